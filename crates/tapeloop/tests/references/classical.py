"""The classical family."""
import math

import torch
from torch import relu, sigmoid, tanh

from engine import F, H, cell, write


def gates(*names):
    """Weights of gates that read input and state, each with a bias."""
    return {k: v for g in names for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}


def G(p, g, x, h):
    return x @ p[f"W_{g}"] + h @ p[f"U_{g}"] + p[f"b_{g}"]


def eye(like):
    return torch.eye(like.shape[0], dtype=like.dtype)


ACT = {"relu": relu, "tanh": tanh, "sigmoid": sigmoid, "linear": lambda z: z}


@cell("indrnn", weights={"W": (F, H), "u": (H,), "b": (H,)}, states={"h": (H,)}, options=({}, {"act": "tanh"}))
def indrnn(p, x, s, o):
    """Li et al. 2018: h′ = relu(x W + u ∘ h + b)"""
    h = ACT[o.get("act", "relu")](x["x"] @ p["W"] + p["u"] * s["h"] + p["b"])
    return h, {"h": h}


@cell("cornn", weights={"V": (F, H), "W": (H, H), "Wz": (H, H), "b": (H,)}, states={"y": (H,), "z": (H,)}, output="ys",
      options=({"dt": 0.3, "gamma": 1.1, "epsilon": 0.7}, {"dt": 0.05, "gamma": 3.0, "epsilon": 4.0}))
def cornn(p, x, s, o):
    """Rusch & Mishra 2021: z′ = z + Δt (tanh(y W + z 𝓦 + x V + b) − γ y − ε z); y′ = y + Δt z′"""
    y, z = s["y"], s["z"]
    second = tanh(y @ p["W"] + z @ p["Wz"] + x["x"] @ p["V"] + p["b"]) - o["gamma"] * y - o["epsilon"] * z
    z = z + o["dt"] * second
    y = y + o["dt"] * z
    return y, {"y": y, "z": z}


O = lambda s: s.get("outputs", s["H"])
C = lambda s: s.get("context", s["H"])


@cell("jordan_rnn", weights={"W": (F, H), "U": (O, H), "b": (H,), "V": (H, O), "c": (O,)}, states={"y": (O,)}, output="ys",
      options=({}, {"outputs": 3, "activation": "sigmoid", "output_activation": "tanh"}))
def jordan(p, x, s, o):
    """Jordan 1986: h = φ(x W + y U + b); y′ = g(h V + c)"""
    h = ACT[o.get("activation", "tanh")](x["x"] @ p["W"] + s["y"] @ p["U"] + p["b"])
    y = ACT[o.get("output_activation", "linear")](h @ p["V"] + p["c"])
    return y, {"y": y}


def rectified(p, x, s, o):
    """Le et al. 2015; Talathi & Vartak 2015: h′ = relu(x W + h U + b)"""
    h = relu(x["x"] @ p["W"] + s["h"] @ p["U"] + p["b"])
    return h, {"h": h}


for name in ("irnn", "np_rnn"):
    cell(name, weights={"W": (F, H), "U": (H, H), "b": (H,)}, states={"h": (H,)})(rectified)


def of_scrn(o):
    fixed = {"A": (F, H), "B": (F, C), "R": (H, H), "P": (C, H), "U": (H, O), "V": (C, O)}
    return fixed | ({"beta": (C,)} if o.get("learned") else {})


@cell("scrn", weights=of_scrn, states={"h": (H,), "s": (C,)}, options=({}, {"context": 2, "outputs": 3, "learned": True}))
def scrn(p, x, s, o):
    """Mikolov et al. 2014: s′ = (1 − α) x B + α s; h′ = σ(s′ P + x A + h R); y = h′ U + s′ V"""
    α = sigmoid(p["beta"]) if o.get("learned") else 0.95
    slow = (1 - α) * (x["x"] @ p["B"]) + α * s["s"]
    h = sigmoid(slow @ p["P"] + x["x"] @ p["A"] + s["h"] @ p["R"])
    return h @ p["U"] + slow @ p["V"], {"h": h, "s": slow}


@cell("ugrnn", weights=gates("c", "g"), states={"h": (H,)})
def ugrnn(p, x, s, o):
    """Collins et al. 2016: c = tanh(x W_c + h U_c + b_c); g = σ(x W_g + h U_g + b_g); h′ = g ∘ h + (1 − g) ∘ c"""
    x, h = x["x"], s["h"]
    c, g = tanh(G(p, "c", x, h)), sigmoid(G(p, "g", x, h))
    h = g * h + (1 - g) * c
    return h, {"h": h}


def intersection(p, x, s, o):
    """Collins et al. 2016: y′ = g_y ∘ x + (1 − g_y) ∘ relu(G_y); h′ = g_h ∘ h + (1 − g_h) ∘ tanh(G_h)"""
    x, h = x["x"], s["h"]
    y_in, h_in = relu(G(p, "y", x, h)), tanh(G(p, "h", x, h))
    g_y, g_h = sigmoid(G(p, "gy", x, h)), sigmoid(G(p, "gh", x, h))
    y = g_y * (x @ p["P"] if "P" in p else x) + (1 - g_y) * y_in
    h = g_h * h + (1 - g_h) * h_in
    return y, {"y": y, "h": h}


for name, more in (("intersection_rnn", {"P": (F, H)}), ("intersection_rnn_square", {})):
    cell(name, weights=gates("y", "h", "gy", "gh") | more, states={"y": (H,), "h": (H,)}, output="ys", square=not more)(intersection)


@cell("fast_rnn", weights={"W": (F, H), "U": (H, H), "b": (H,), "alpha": ("u", (1,), -4.0, -2.0), "beta": ("u", (1,), 2.0, 4.0)}, states={"h": (H,)},
      options=({}, {"activation": "sigmoid"}))
def fast_rnn(p, x, s, o):
    """Kusupati et al. 2018: c = φ(x W + h U + b); h′ = σ(α) c + σ(β) h"""
    c = ACT[o.get("activation", "tanh")](x["x"] @ p["W"] + s["h"] @ p["U"] + p["b"])
    h = sigmoid(p["alpha"]) * c + sigmoid(p["beta"]) * s["h"]
    return h, {"h": h}


def of_fast_grnn(o):
    w = {"W1": (F, o["rank_w"]), "W2t": (o["rank_w"], H)} if "rank_w" in o else {"W": (F, H)}
    u = {"U1": (H, o["rank_u"]), "U2t": (o["rank_u"], H)} if "rank_u" in o else {"U": (H, H)}
    return w | u | {"b_z": (H,), "b_h": (H,), "zeta": (1,), "nu": (1,)}


@cell("fast_grnn", weights=of_fast_grnn, states={"h": (H,)}, options=({}, {"rank_w": 2}, {"rank_w": 1, "rank_u": 3}))
def fast_grnn(p, x, s, o):
    """Kusupati et al. 2018: z = σ(x W + h U + b_z); c = tanh(x W + h U + b_h); h′ = z ∘ h + (σ(ζ)(1 − z) + σ(ν)) ∘ c"""
    W = p["W1"] @ p["W2t"] if "rank_w" in o else p["W"]
    U = p["U1"] @ p["U2t"] if "rank_u" in o else p["U"]
    x, h = x["x"], s["h"]
    z, c = sigmoid(x @ W + h @ U + p["b_z"]), tanh(x @ W + h @ U + p["b_h"])
    h = z * h + (sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * c
    return h, {"h": h}


@cell("star", weights={"W_z": (F, H), "b_z": (H,), "W_k": (F, H), "U": (H, H), "b_k": (H,)}, states={"h": (H,)})
def star(p, x, s, o):
    """Turkoglu et al. 2019: z = tanh(x W_z + b_z); k = σ(x W_k + h U + b_k); h′ = tanh((1 − k) ∘ h + k ∘ z)"""
    z = tanh(x["x"] @ p["W_z"] + p["b_z"])
    k = sigmoid(x["x"] @ p["W_k"] + s["h"] @ p["U"] + p["b_k"])
    h = tanh((1 - k) * s["h"] + k * z)
    return h, {"h": h}


@cell("light_ru", weights={"W_h": (F, H), "W_f": (F, H), "U_f": (H, H), "b_f": (H,)}, states={"h": (H,)})
def light_ru(p, x, s, o):
    """Ye et al. 2024: ĥ = tanh(x W_h); f = σ(x W_f + h U_f + b_f); h′ = (1 − f) ∘ h + f ∘ ĥ"""
    f = sigmoid(G(p, "f", x["x"], s["h"]))
    h = (1 - f) * s["h"] + f * tanh(x["x"] @ p["W_h"])
    return h, {"h": h}


@cell("mi_ru", weights=lambda o: gates("h") if "reset" in o else gates("r", "h"), states={"h": (H,)},
      options=({"update": 0.4}, {"update": 0.7, "reset": 0.3}))
def mi_ru(p, x, s, o):
    """Zyarah & Kudithipudi: r = σ(G_r) or θ; ĥ = tanh(x W_h + (r ∘ h) U_h + b_h); h′ = λ h + (1 − λ) ĥ"""
    r = o["reset"] if "reset" in o else sigmoid(G(p, "r", x["x"], s["h"]))
    h = o["update"] * s["h"] + (1 - o["update"]) * tanh(G(p, "h", x["x"], r * s["h"]))
    return h, {"h": h}


@cell("sgrn", weights={"W": (F, H), "U": (H, H), "b": (H,)}, states={"h": (H,)})
def sgrn(p, x, s, o):
    """Zu & Wei 2020: f = σ(x W + h U + b); h′ = tanh((1 − f) ∘ (x W) + f ∘ h)"""
    f = sigmoid(x["x"] @ p["W"] + s["h"] @ p["U"] + p["b"])
    h = tanh((1 - f) * (x["x"] @ p["W"]) + f * s["h"])
    return h, {"h": h}


def of_rhn(o):
    kinds = "htc" if o.get("uncoupled") else "ht"
    layers = {k: v for l in range(1, o["depth"] + 1) for g in kinds for k, v in {f"R_{g}{l}": (H, H), f"b_{g}{l}": (H,)}.items()}
    return {f"W_{g}": (F, H) for g in kinds} | layers


@cell("rhn", weights=of_rhn, states={"s": (H,)}, options=({"depth": 2}, {"depth": 1}, {"depth": 3, "uncoupled": True}))
def rhn(p, x, s, o):
    """Zilly et al. 2016: for every layer l: s ← t ∘ h + c ∘ s, h = tanh(…), t = σ(…), c = 1 − t or σ(…), of [l = 1] x W + s R_l + b_l"""
    y = s["s"]
    for l in range(1, o["depth"] + 1):
        z = {g: y @ p[f"R_{g}{l}"] + p[f"b_{g}{l}"] + (x["x"] @ p[f"W_{g}"] if l == 1 else 0) for g in ("htc" if o.get("uncoupled") else "ht")}
        t = sigmoid(z["t"])
        y = tanh(z["h"]) * t + y * (sigmoid(z["c"]) if o.get("uncoupled") else 1 - t)
    return y, {"s": y}


@cell("antisymmetric_rnn", states={"h": (H,)},
      weights=lambda o: {"M": (H, H), "V": (F, H), "b": (H,)} | ({"V_z": (F, H), "b_z": (H,)} if o.get("gated") else {}),
      options=({"eps": 0.3, "gamma": 0.1}, {"eps": 0.2, "gamma": 0.05, "gated": True}))
def antisymmetric(p, x, s, o):
    """Chang et al. 2019: h′ = h + ε [σ(x V_z + h A + b_z) ∘] tanh(x V + h A + b), A = M − Mᵀ − γ I"""
    A = p["M"] - p["M"].T - o["gamma"] * eye(p["M"])
    change = tanh(s["h"] @ A + x["x"] @ p["V"] + p["b"])
    if o.get("gated"):
        change = sigmoid(s["h"] @ A + x["x"] @ p["V_z"] + p["b_z"]) * change
    h = s["h"] + o["eps"] * change
    return h, {"h": h}


@cell("lipschitz_rnn", states={"h": (H,)},
      weights=lambda o: {"B": (H, H), "C": (H, H), "U": (F, H), "b": (H,)} | ({"E": (F, H), "e": (H,)} if o.get("gated") else {}),
      options=({"eps": 0.3}, {"eps": 0.2, "gated": True}))
def lipschitz(p, x, s, o):
    """Erichson et al. 2021: h′ = h + ε [σ(h W + x E + e) ∘] (h A + tanh(h W + x U + b)), β_A 0.8, γ_A 0.1, β_W 0.6, γ_W 0.2"""
    part = lambda M, β, γ: β * (M - M.T) + (1 - β) * (M + M.T) - γ * eye(M)
    A, W = part(p["B"], 0.8, 0.1), part(p["C"], 0.6, 0.2)
    change = s["h"] @ A + tanh(s["h"] @ W + x["x"] @ p["U"] + p["b"])
    if o.get("gated"):
        change = change * sigmoid(s["h"] @ W + x["x"] @ p["E"] + p["e"])
    h = s["h"] + o["eps"] * change
    return h, {"h": h}


@cell("unicornn", weights={"V": (F, H), "w": (H,), "c": (H,), "b": (H,)}, states={"y": (H,), "z": (H,)}, output="ys",
      options=({"dt": 0.2, "alpha": 1.3},))
def unicornn(p, x, s, o):
    """Rusch & Mishra 2021: z′ = z − Δt σ(c) ∘ (tanh(w ∘ y + x V + b) + α y); y′ = y + Δt σ(c) ∘ z′"""
    y, z = s["y"], s["z"]
    z = z - o["dt"] * sigmoid(p["c"]) * (tanh(p["w"] * y + x["x"] @ p["V"] + p["b"]) + o["alpha"] * y)
    y = y + o["dt"] * sigmoid(p["c"]) * z
    return y, {"y": y, "z": z}


@cell("lem", weights={f"{w}_{g}": (F, H) if w == "V" else (H, H) if w == "W" else (H,) for g in "12zy" for w in "WVb"},
      states={"y": (H,), "z": (H,)}, output="ys", options=({"dt": 1.0}, {"dt": 0.4}))
def lem(p, x, s, o):
    """Rusch et al. 2022: Δ₁ = Δt σ(y W_1 + x V_1 + b_1), Δ₂ likewise; z′ = (1 − Δ₁) z + Δ₁ tanh(y W_z + x V_z + b_z);
    y′ = (1 − Δ₂) y + Δ₂ tanh(z′ W_y + x V_y + b_y)"""
    y, z = s["y"], s["z"]
    of = lambda g, state: state @ p[f"W_{g}"] + x["x"] @ p[f"V_{g}"] + p[f"b_{g}"]
    δ1, δ2 = o["dt"] * sigmoid(of("1", y)), o["dt"] * sigmoid(of("2", y))
    z = (1 - δ1) * z + δ1 * tanh(of("z", y))
    y = (1 - δ2) * y + δ2 * tanh(of("y", z))
    return y, {"y": y, "z": z}


def above(S):
    """The skew symmetric matrix of what is above the diagonal."""
    return torch.triu(S, 1) - torch.triu(S, 1).T


def modrelu(z, b):
    """Real or complex: the length grows by b, down to 0; the direction stays."""
    length = torch.abs(z)
    return relu(length + b) * z / length


@cell("exp_rnn", weights={"W": (F, H), "S": (H, H), "b": (H,)}, states={"h": (H,)})
def exp_rnn(p, x, s, o):
    """Lezcano-Casado & Martínez-Rubio 2019: h′ = modReLU(x W + h exp(A); b), A skew symmetric"""
    h = modrelu(x["x"] @ p["W"] + s["h"] @ torch.linalg.matrix_exp(above(p["S"])), p["b"])
    return h, {"h": h}


@cell("cayley_rnn", weights={"W": (F, H), "S": (H, H), "b": (H,)}, states={"h": (H,)}, options=({}, {"negatives": 2}))
def cayley_rnn(p, x, s, o):
    """Helfrich et al. 2018: h′ = modReLU(x W + h (I + A)⁻¹ (I − A) D; b), A skew symmetric"""
    A = above(p["S"])
    D = torch.diag(torch.tensor([-1.0 if k < o.get("negatives", 0) else 1.0 for k in range(len(A))], dtype=A.dtype))
    h = modrelu(x["x"] @ p["W"] + s["h"] @ (torch.linalg.inv(eye(A) + A) @ (eye(A) - A) @ D), p["b"])
    return h, {"h": h}


def pair(h):
    half = h.shape[-1] // 2
    return torch.complex(h[..., :half], h[..., half:])


def flat(z):
    return torch.cat([z.real, z.imag], -1)


# What the generator of the cell draws from the seed 0.
PERMUTATIONS = {3: [1, 2, 0], 4: [3, 2, 1, 0]}


@cell("urnn", weights={"W_re": (F, H), "W_im": (F, H), "D": (3, H), "R": (4, H), "b": (H,)}, states={"h": (lambda s: 2 * s["H"],)})
def urnn(p, x, s, o):
    """Arjovsky et al. 2016: h′ = modReLU(D₃ R₂ F⁻¹ D₂ Π R₁ F D₁ h + W x; b)"""
    n = len(p["b"])
    one = torch.eye(n, dtype=pair(s["h"]).dtype)
    D = [torch.diag(torch.exp(1j * p["D"][k])) for k in range(3)]
    v = [torch.complex(p["R"][2 * k], p["R"][2 * k + 1]) for k in range(2)]
    R = [one - 2 * torch.outer(u, u.conj()) / torch.sum(torch.abs(u) ** 2) for u in v]
    Π = one[PERMUTATIONS[n]]
    Fourier = torch.fft.fft(one, dim=0)
    U = D[2] @ R[1] @ torch.linalg.inv(Fourier) @ D[1] @ Π @ R[0] @ Fourier @ D[0]
    z = pair(s["h"]) @ U.T + torch.complex(x["x"] @ p["W_re"], x["x"] @ p["W_im"])
    h = flat(modrelu(z, p["b"]))
    return h, {"h": h}


def layers(n, o):
    """The pairs of every layer."""
    if o.get("fft"):
        return [[(i, i + (1 << l)) for i in range(n) if not i >> l & 1] for l in range(n.bit_length() - 1)]
    return [[(i, i + 1) for i in range(l % 2, n - 1, 2)] for l in range(o["capacity"])]


def product(n, o, θ, φ, dtype):
    """The product of all layers, the last one leftmost."""
    whole, at = torch.eye(n, dtype=dtype), 0
    for pairs in layers(n, o):
        for i, j in pairs:
            turn = [torch.zeros(n, dtype=dtype) for _ in range(n)]
            rows = [list(torch.eye(n, dtype=dtype)[k]) for k in range(n)]
            phase = torch.exp(1j * φ[at]) if φ is not None else 1
            rows[i][i], rows[i][j] = phase * torch.cos(θ[at]), -phase * torch.sin(θ[at])
            rows[j][i], rows[j][j] = torch.sin(θ[at]).to(dtype), torch.cos(θ[at]).to(dtype)
            whole, at = torch.stack([torch.stack(row) for row in rows]) @ whole, at + 1
    return whole


def count(o):
    return lambda s: sum(len(pairs) for pairs in layers(s["H"], o))


TURNS = ({"capacity": 2}, {"capacity": 3}, {"fft": True})


@cell("eunn", weights=lambda o: {"W_re": (F, H), "W_im": (F, H), "theta": (count(o),), "phi": (count(o),), "omega": (H,), "b": (H,)},
      states={"h": (lambda s: 2 * s["H"],)}, options=TURNS)
def eunn(p, x, s, o):
    """Jing et al. 2017: h′ = modReLU(diag(e^(iω)) F_L … F₁ h + W x; b)"""
    n, dtype = len(p["b"]), pair(s["h"]).dtype
    U = torch.diag(torch.exp(1j * p["omega"])) @ product(n, o, p["theta"], p["phi"], dtype)
    z = pair(s["h"]) @ U.T + torch.complex(x["x"] @ p["W_re"], x["x"] @ p["W_im"])
    h = flat(modrelu(z, p["b"]))
    return h, {"h": h}


@cell("goru", weights=lambda o: gates("r", "z") | {"W_h": (F, H), "b_h": (H,), "theta": (count(o),)}, states={"h": (H,)}, options=TURNS)
def goru(p, x, s, o):
    """Jing et al. 2017: ĥ = modReLU(x W_h + r ∘ (U h); b_h), U orthogonal; h′ = z ∘ h + (1 − z) ∘ ĥ"""
    x, h = x["x"], s["h"]
    U = product(len(p["b_h"]), o, p["theta"], None, h.dtype)
    r, z = sigmoid(G(p, "r", x, h)), sigmoid(G(p, "z", x, h))
    h = z * h + (1 - z) * modrelu(x @ p["W_h"] + r * (h @ U.T), p["b_h"])
    return h, {"h": h}


def bistable(p, x, s, o):
    """Vecoven et al. 2021: a = 1 + tanh(x W_a + u_a ∘ h + b_a); c = σ(x W_c + u_c ∘ h + b_c); h′ = c ∘ h + (1 − c) ∘ tanh(x W + a ∘ h)"""
    x, h = x["x"], s["h"]
    read = lambda u: h @ u if u.dim() == 2 else h * u
    a = 1 + tanh(x @ p["W_a"] + read(p["U_a"]) + p["b_a"])
    c = sigmoid(x @ p["W_c"] + read(p["U_c"]) + p["b_c"])
    h = c * h + (1 - c) * tanh(x @ p["W"] + a * h)
    return h, {"h": h}


for name, shape in (("brc", (H,)), ("nbrc", (H, H))):
    own = {k: v for g in "ac" for k, v in {f"W_{g}": (F, H), f"U_{g}": shape, f"b_{g}": (H,)}.items()}
    cell(name, weights=own | {"W": (F, H)}, states={"h": (H,)})(bistable)


@cell("clockwork_rnn", weights={"W": (F, H), "U": (H, H), "b": (H,)}, states={"h": (H,), "t": (1,)}, options=({"periods": "1-3"}, {"periods": "4-2-1"}))
def clockwork(p, x, s, o):
    """Koutník et al. 2014: groups with periods T; a group moves where t mod T = 0, and reads groups with periods as long or longer"""
    periods, n = [int(T) for T in o["periods"].split("-")], len(p["b"])
    own = [periods[k * len(periods) // n] for k in range(n)]
    columns, t = [], s["t"]
    for i, T in enumerate(own):
        reads = [j for j in range(n) if own[j] >= T]
        new = tanh(x["x"] @ p["W"][:, i] + s["h"][:, reads] @ p["U"][reads, i] + p["b"][i])
        columns.append(torch.where(torch.floor(t[:, 0]) % T == 0, new, s["h"][:, i]))
    h = torch.stack(columns, -1)
    return h, {"h": h, "t": torch.remainder(t + 1, math.lcm(*periods))}


if __name__ == "__main__":
    write("classical")
