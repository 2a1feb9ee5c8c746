"""Linear recurrences, and their gated neighbours."""
import torch
from torch import exp, sigmoid, tanh

from engine import F, H, cell, write


def g(a):
    return torch.where(a >= 0, a + 0.5, sigmoid(a))


def affine(*gates):
    return {k: v for n in gates for k, v in {f"W_{n}": (F, H), f"b_{n}": (H,)}.items()}


@cell("mingru", weights=affine("z", "h"), states={"h": (H,)}, options=({}, {"log_space": True}))
def mingru(p, x, s, o):
    """Feng et al. 2024: z = σ(x W_z + b_z); ĥ = x W_h + b_h, in log space g of it; h′ = (1 − z) h + z ĥ"""
    x = x["x"]
    z, new = sigmoid(x @ p["W_z"] + p["b_z"]), x @ p["W_h"] + p["b_h"]
    h = (1 - z) * s["h"] + z * (g(new) if o.get("log_space") else new)
    return h, {"h": h}


@cell("minlstm", weights=affine("f", "i", "h"), states={"h": (H,)}, options=({}, {"log_space": True}))
def minlstm(p, x, s, o):
    """Feng et al. 2024: f, i = σ(x W + b); ĥ = x W_h + b_h, in log space g of it; h′ = (f h + i ĥ) / (f + i)"""
    x = x["x"]
    f, i = sigmoid(x @ p["W_f"] + p["b_f"]), sigmoid(x @ p["W_i"] + p["b_i"])
    new = x @ p["W_h"] + p["b_h"]
    h = (f * s["h"] + i * (g(new) if o.get("log_space") else new)) / (f + i)
    return h, {"h": h}


SRU = {"W": (F, H), "W_f": (F, H), "W_r": (F, H), "v_f": (H,), "v_r": (H,), "b_f": (H,), "b_r": (H,)}


@cell("sru_square", weights=SRU, states={"c": (H,)}, options=({},), square=True)
@cell("sru", weights=SRU | {"W_skip": (F, H)}, states={"c": (H,)}, options=({}, {"act": "tanh", "alpha": 1.25}))
def sru(p, x, s, o):
    """Lei et al. 2018: f = σ(x W_f + v_f c + b_f); r = σ(x W_r + v_r c + b_r); c′ = f c + (1 − f) x W;
    h = r act(c′) + (1 − r) α x′, x′ = x or x W_skip; α = 1 unless given"""
    x, c = x["x"], s["c"]
    f, r = (sigmoid(x @ p[f"W_{n}"] + p[f"v_{n}"] * c + p[f"b_{n}"]) for n in "fr")
    c = f * c + (1 - f) * (x @ p["W"])
    skip = x @ p["W_skip"] if "W_skip" in p else x
    return r * (tanh(c) if o.get("act") == "tanh" else c) + (1 - r) * o.get("alpha", 1.0) * skip, {"c": c}


def qrnn_gates(o):
    return {"f": "zf", "ifo": "zfoi"}.get(o.get("pooling"), "zfo")


@cell("qrnn",
      weights=lambda o: {f"{n}{k}": (F, H) for n in qrnn_gates(o) for k in range(o.get("window", 2))} | {f"b_{n}": (H,) for n in qrnn_gates(o)},
      states=lambda o: {"c": (H,)} | {f"before{k}": (F,) for k in range(1, o.get("window", 2))},
      options=({}, {"window": 1}, {"window": 4, "pooling": "ifo"}, {"pooling": "f"}))
def qrnn(p, x, s, o):
    """Bradbury et al. 2017: z = tanh(conv), f, o, i = σ(conv) over the last inputs; c′ = f c + (1 − f) z, ifo: f c + i z;
    h = o c′, f: c′"""
    window = [x["x"]] + [s[f"before{k}"] for k in range(1, o.get("window", 2))]
    conv = {n: sum(v @ p[f"{n}{k}"] for k, v in enumerate(window)) + p[f"b_{n}"] for n in qrnn_gates(o)}
    f = sigmoid(conv["f"])
    c = f * s["c"] + (sigmoid(conv["i"]) if "i" in conv else 1 - f) * tanh(conv["z"])
    y = sigmoid(conv["o"]) * c if "o" in conv else c
    return y, {"c": c} | {f"before{k + 1}": v for k, v in enumerate(window[:-1])}


@cell("lru", weights={"nu_log": ("u", (H,), -2.0, 0.0), "theta_log": ("u", (H,), -2.0, 1.0), "gamma_log": ("u", (H,), -1.5, 0.0),
                      "B_re": (F, H), "B_im": (F, H), "C_re": (H, F), "C_im": (H, F), "D": (F,)}, states={"h_re": (H,), "h_im": (H,)})
def lru(p, x, s, o):
    """Orvieto et al. 2023: λ = exp(−exp(ν) + i exp(θ)); h′ = λ h + exp(γ) x B; y = Re(h′ C) + D x"""
    x = x["x"]
    decay = exp(torch.complex(-exp(p["nu_log"]), exp(p["theta_log"])))
    h = decay * torch.complex(s["h_re"], s["h_im"]) + exp(p["gamma_log"]) * torch.complex(x @ p["B_re"], x @ p["B_im"])
    y = (h @ torch.complex(p["C_re"], p["C_im"])).real + p["D"] * x
    return y, {"h_re": h.real, "h_im": h.imag}


def block_diagonal(w):
    return torch.block_diag(*w)


def width(sizes):
    return sizes["H"] // sizes.get("heads", 1)


def heads(sizes):
    return sizes.get("heads", 1)


@cell("rg_lru", weights={"W_a": (heads, width, width), "b_a": (H,), "W_x": (heads, width, width), "b_x": (H,), "lambda": (H,)},
      states={"h": (H,)}, options=({}, {"heads": 2}), square=True)
def rg_lru(p, x, s, o):
    """De et al. 2024: r = σ(x W_a + b_a); i = σ(x W_x + b_x); a = exp(−softplus(Λ))^(8 r); h′ = a h + √(1 − a²) (i x)"""
    x = x["x"]
    r = sigmoid(x @ block_diagonal(p["W_a"]) + p["b_a"])
    i = sigmoid(x @ block_diagonal(p["W_x"]) + p["b_x"])
    a = sigmoid(-p["lambda"]) ** (8 * r)
    h = a * s["h"] + torch.sqrt(1 - a ** 2) * (i * x)
    return h, {"h": h}


@cell("slstm", weights={k: v for n in "ifzo" for k, v in {f"W_{n}": (F, H), f"R_{n}": (heads, width, width), f"b_{n}": (H,)}.items()},
      states={"h": (H,), "c": (H,), "n": ("u", (H,), 0.2, 1.0), "m": (H,)}, options=({}, {"heads": 2}, {"forget_gate": "exponential"}))
def slstm(p, x, s, o):
    """Beck et al. 2024: the gates without a stabiliser, on the states it stands for: c exp(m) and n exp(m).
    c = f c + i tanh(z); n = f n + i; h = σ(o) c / n; m′ = max(log f + m, log i), log i where n was 0"""
    x, h = x["x"], s["h"]
    i, f, z, out = (x @ p[f"W_{n}"] + h @ block_diagonal(p[f"R_{n}"]) + p[f"b_{n}"] for n in "ifzo")
    gate = exp(f) if o.get("forget_gate") == "exponential" else sigmoid(f)
    c, n = s["c"] * exp(s["m"]), s["n"] * exp(s["m"])
    m = torch.where(s["n"] == 0, i, torch.maximum(torch.log(gate) + s["m"], i))
    c, n = gate * c + exp(i) * tanh(z), gate * n + exp(i)
    h = sigmoid(out) * c / n
    return h, {"h": h, "c": c * exp(-m), "n": n * exp(-m), "m": m}


if __name__ == "__main__":
    write("linear")
