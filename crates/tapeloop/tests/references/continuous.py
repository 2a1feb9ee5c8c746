"""Cells in continuous time, reservoirs, spiking neurons."""
import torch
from torch import exp, sigmoid, tanh

from engine import F, H, cell, write


def cfc_weights(o):
    layers, width = o.get("backbone_layers", 1), o.get("backbone_units", 6)
    joined = lambda n: n["F"] + n["H"]
    w = {}
    for k in range(layers):
        w |= {f"B{k}": (width if k else joined, width), f"b_B{k}": (width,)}
    pure = o.get("mode") == "pure"
    for n in ["ff1"] if pure else ["ff1", "ff2", "time_a", "time_b"]:
        w |= {n: (width if layers else joined, H), f"b_{n}": (H,)}
    if pure:
        w |= {"w_tau": ("u", (H,), 0.1, 1.0), "A": ("u", (H,), 0.5, 1.5)}
    if o.get("mixed_memory"):
        w |= {k: v for g in "ifgo" for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}
    return w


@cell("cfc", weights=cfc_weights, states=lambda o: {"h": (H,)} | ({"c": (H,)} if o.get("mixed_memory") else {}),
      inputs=lambda o: {"x": (F,)} | ({} if o.get("untimed") else {"dt": ("u", (1,), 0.2, 2.0)}),
      options=({}, {"mode": "no_gate", "backbone_layers": 2}, {"mode": "pure", "backbone_layers": 0}, {"untimed": True}, {"mixed_memory": True}))
def cfc(p, x, s, o):
    """Hasani et al. 2022: q = the backbone of [x, h], layers of 1.7159 tanh(0.666 a); a = tanh(q ff1), b = tanh(q ff2), k = σ(Δ q time_a + q time_b);
    h′ = a (1 − k) + k b; no_gate: a + k b; pure: f = q ff1, A − A exp(−Δ(|w_tau| + |f|)) f. Mixed memory: h is first that of an LSTM"""
    dt, mode, carried, h = x.get("dt", 1.0), o.get("mode"), {}, s["h"]
    x = x["x"]
    if o.get("mixed_memory"):
        i, f, g, out = (x @ p[f"W_{n}"] + h @ p[f"U_{n}"] + p[f"b_{n}"] for n in "ifgo")
        c = sigmoid(f) * s["c"] + sigmoid(i) * tanh(g)
        carried, h = {"c": c}, sigmoid(out) * tanh(c)
    q = torch.cat([x, h], -1)
    for k in range(o.get("backbone_layers", 1)):
        q = 1.7159 * tanh(0.666 * (q @ p[f"B{k}"] + p[f"b_B{k}"]))
    head = lambda n: q @ p[n] + p[f"b_{n}"]
    if mode == "pure":
        f = head("ff1")
        h = p["A"] - p["A"] * exp(-dt * (p["w_tau"].abs() + f.abs())) * f
    else:
        a, b, k = tanh(head("ff1")), tanh(head("ff2")), sigmoid(dt * head("time_a") + head("time_b"))
        h = a + k * b if mode == "no_gate" else a * (1 - k) + k * b
    return h, {"h": h} | carried


LTC = {"g": ("u", (H,), 0.01, 1.0), "l": ("u", (H,), -0.2, 0.2), "c": ("u", (H,), 0.4, 0.6)}
for mark, rows in (("", H), ("_s", F)):
    LTC |= {f"w{mark}": ("u", (rows, H), 0.01, 1.0), f"sigma{mark}": ("u", (rows, H), 3.0, 8.0), f"mu{mark}": ("u", (rows, H), 0.3, 0.8),
            f"E{mark}": (rows, H), f"mask{mark}": ("u", (rows, H), 0.0, 1.0)}
LTC |= {"w_in": (F,), "b_in": (F,), "w_out": (H,), "b_out": (H,)}


@cell("ltc", weights=LTC, states={"v": (H,)}, inputs={"x": (F,), "dt": ("u", (1,), 0.2, 2.0)}, options=({}, {"unfolds": 2}))
def ltc(p, x, s, o):
    """Hasani et al. 2021, fused steps with δ = Δ / 6: v_j ← (c_j/δ v_j + g_j l_j + Σ w σ(σ(v_i − μ)) E + sensory) / (c_j/δ + g_j + Σ w σ(..) + sensory + 1e-8);
    the sums over neurons, and over the inputs x w_in + b_in. Masks say which synapses there are, here in parts; they have no gradient.
    y = v w_out + b_out"""
    u, v, n, units = x["x"] * p["w_in"] + p["b_in"], s["v"], o.get("unfolds", 6), s["v"].shape[-1]

    def synapses(pre, j, mark):
        num = den = 0.0
        for i in range(pre.shape[-1]):
            w = p[f"w{mark}"][i, j] * p[f"mask{mark}"][i, j].detach()
            a = w * sigmoid(p[f"sigma{mark}"][i, j] * (pre[:, i] - p[f"mu{mark}"][i, j]))
            num, den = num + a * p[f"E{mark}"][i, j], den + a
        return num, den

    for _ in range(n):
        new = []
        for j in range(units):
            (a, b), (c, d) = synapses(v, j, ""), synapses(u, j, "_s")
            k = p["c"][j] / (x["dt"][:, 0] / n)
            new.append((k * v[:, j] + p["g"][j] * p["l"][j] + a + c) / (k + p["g"][j] + b + d + 1e-8))
        v = torch.stack(new, -1)
    return v * p["w_out"] + p["b_out"], {"v": v}


@cell("lmu", weights=lambda o: {"W_x": (F, H), "W_h": (H, H), "W_m": (o.get("order", 5), H), "e_x": (F, 1), "e_h": (H, 1), "e_m": (o.get("order", 5), 1)},
      states=lambda o: {"h": (H,), "m": (o.get("order", 5),)}, options=({}, {"order": 8, "theta": 12.5}))
def lmu(p, x, s, o):
    """Voelker et al. 2019: u = x e_x + h e_h + m e_m; θ dm/dt = A m + B u with u held for a step, solved by the inverse of A:
    m′ = exp(A/θ) m + A⁻¹ (exp(A/θ) − 1) B u; h′ = tanh(x W_x + h W_h + m′ W_m); A_ij = (2i+1)(−1 if i < j else (−1)^(i−j+1)), B_i = (2i+1)(−1)^i"""
    d, theta, x, h, m = o.get("order", 5), o.get("theta", 8.0), x["x"], s["h"], s["m"]
    A = torch.tensor([[(2 * i + 1) * (-1.0 if i < j else (-1.0) ** (i - j + 1)) for j in range(d)] for i in range(d)], dtype=torch.float64)
    B = torch.tensor([(2 * i + 1) * (-1.0) ** i for i in range(d)], dtype=torch.float64)
    step = torch.linalg.matrix_exp(A / theta)
    entry = torch.linalg.solve(A, (step - torch.eye(d, dtype=torch.float64)) @ B)
    u = x @ p["e_x"] + h @ p["e_h"] + m @ p["e_m"]
    m = m @ step.T.to(x.dtype) + u * entry.to(x.dtype)
    h = tanh(x @ p["W_x"] + h @ p["W_h"] + m @ p["W_m"])
    return h, {"h": h, "m": m}


@cell("esn", weights={"W": (F, H), "U": (H, H), "b": (H,)}, states={"h": (H,)}, options=({}, {"leak": 0.3}))
def esn(p, x, s, o):
    """Jaeger 2001: h′ = (1 − a) h + a tanh(x W + h U + b), no weight trained"""
    a, p = o.get("leak", 1.0), {k: v.detach() for k, v in p.items()}
    h = (1 - a) * s["h"] + a * tanh(x["x"] @ p["W"] + s["h"] @ p["U"] + p["b"])
    return h, {"h": h}


class Spike(torch.autograd.Function):
    """1 above 0; its derivative is that of a function which is not a step."""
    @staticmethod
    def forward(ctx, u, kind, k):
        ctx.save_for_backward(u)
        ctx.kind, ctx.k = kind, k
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad):
        u, k = ctx.saved_tensors[0], ctx.k
        return grad / ((1 + k * u.abs()) ** 2 if ctx.kind == "fast" else 1 + (k * u) ** 2), None, None


@cell("lif", weights=lambda o: {"W": (F, H), "b": (H,)} | ({"U": (H, H)} if o.get("recurrent") else {}),
      states=lambda o: {"u": (H,)} | ({"i": (H,)} if o.get("alpha") else {}),
      options=({}, {"alpha": 0.8, "recurrent": True}, {"surrogate": "arctan", "slope": 2.0}, {"graded": True, "slope": 2.0}))
def lif(p, x, s, o):
    """I = x W + b, α I + x W + b, and + s U; u′ = β u + I − ϑ [u > ϑ], nothing through the reset; s = [u′ > ϑ] with the derivative
    1/(1 + k|u|)² or 1/(1 + (k u)²), u over the threshold; graded: u/(1 + k|u|). β = 0.9, ϑ = 0.5, k = 25"""
    theta, k, kind = 0.5, o.get("slope", 25.0), "arctan" if o.get("surrogate") == "arctan" else "fast"
    fire = lambda u: u / (1 + k * u.abs()) if o.get("graded") else Spike.apply(u, kind, k)
    drive = x["x"] @ p["W"] + p["b"]
    if o.get("recurrent"):
        drive = drive + fire(s["u"] - theta) @ p["U"]
    if o.get("alpha"):
        drive = o["alpha"] * s["i"] + drive
    u = 0.9 * s["u"] + drive - theta * (s["u"] > theta).to(drive.dtype)
    return fire(u - theta), {"u": u} | ({"i": drive} if o.get("alpha") else {})


if __name__ == "__main__":
    write("continuous")
