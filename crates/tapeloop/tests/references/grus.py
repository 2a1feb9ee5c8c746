"""The family of the GRU, and cells that know how much time passes."""
import math

import torch
from torch import exp, relu, sigmoid, tanh

from engine import F, H, cell, write


@cell("mgu", weights={k: v for g in "fh" for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}, states={"h": (H,)})
def mgu(p, x, s, o):
    """Zhou et al. 2016: f = σ(x W_f + h U_f + b_f); ĥ = tanh(x W_h + (f ∘ h) U_h + b_h); h′ = (1 − f) ∘ h + f ∘ ĥ"""
    x, h = x["x"], s["h"]
    f = sigmoid(x @ p["W_f"] + h @ p["U_f"] + p["b_f"])
    new = tanh(x @ p["W_h"] + (f * h) @ p["U_h"] + p["b_h"])
    h = (1 - f) * h + f * new
    return h, {"h": h}


def ln(z, gain, eps=1e-5):
    """Layer normalization over the last axis, the variance not corrected."""
    z = z - z.mean(-1, keepdim=True)
    return gain * z / torch.sqrt((z * z).mean(-1, keepdim=True) + eps)


WIDE = lambda sizes: 3 * sizes["H"]


@cell("layer_norm_gru", weights={"W": (F, WIDE), "U": (H, WIDE), "b": (WIDE,), "b_r": (H,), "gamma_x": ("u", (WIDE,), 0.5, 1.5), "gamma_h": ("u", (WIDE,), 0.5, 1.5)},
      states={"h": (H,)}, options=({}, {"epsilon": 0.1}))
def layer_norm_gru(p, x, s, o):
    """Ba et al. 2016 for both products, over all gates (z, r, h); reset after the product"""
    h, eps = s["h"], o.get("epsilon", 1e-5)
    here = ln(x["x"] @ p["W"], p["gamma_x"], eps).tensor_split(3, -1)
    there = ln(h @ p["U"], p["gamma_h"], eps).tensor_split(3, -1)
    b = p["b"].tensor_split(3)
    z, r = (sigmoid(here[k] + there[k] + b[k]) for k in (0, 1))
    new = tanh(here[2] + b[2] + r * (there[2] + p["b_r"]))
    h = z * h + (1 - z) * new
    return h, {"h": h}


def gates(*names, features=F):
    return {k: v for g in names for k, v in {f"W_{g}": (features, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}


@cell("ligru", weights=gates("z", "h"), states={"h": (H,)}, options=({}, {"act": "tanh"}))
def ligru(p, x, s, o):
    """Ravanelli et al. 2018, without batch norm: z = σ(x W_z + h U_z + b_z); ĥ = relu(x W_h + h U_h + b_h); h′ = z h + (1 − z) ĥ"""
    x, h = x["x"], s["h"]
    z = sigmoid(x @ p["W_z"] + h @ p["U_z"] + p["b_z"])
    new = (tanh if o.get("act") == "tanh" else relu)(x @ p["W_h"] + h @ p["U_h"] + p["b_h"])
    h = z * h + (1 - z) * new
    return h, {"h": h}


@cell("recurrent_dropout_gru", weights={k: v for g in "zrh" for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}, states={"h": (H,)})
def recurrent_dropout_gru(p, x, s, o):
    """Semeniuta et al. 2016, as it infers: h′ = (1 − z) ∘ h + z ∘ ĥ"""
    x, h = x["x"], s["h"]
    z, r = (sigmoid(x @ p[f"W_{k}"] + h @ p[f"U_{k}"] + p[f"b_{k}"]) for k in "zr")
    new = tanh(x @ p["W_h"] + (r * h) @ p["U_h"] + p["b_h"])
    h = h + z * (new - h)
    return h, {"h": h}


@cell("minimal_rnn", weights={"W_x": (F, H), "U_h": (H, H), "U_z": (H, H), "b_z": (H,), "b_u": (H,)}, states={"h": (H,)})
def minimal_rnn(p, x, s, o):
    """Chen 2017: z = tanh(x W_x + b_z); u = σ(h U_h + z U_z + b_u); h′ = u h + (1 − u) z"""
    h, z = s["h"], tanh(x["x"] @ p["W_x"] + p["b_z"])
    u = sigmoid(h @ p["U_h"] + z @ p["U_z"] + p["b_u"])
    h = u * h + (1 - u) * z
    return h, {"h": h}


def simple_mgu_weights(o):
    gate = {"mgu2": {"U_f": (H, H)}, "mgu3": {"b_f": (H,)}}.get(o.get("gate"), {"U_f": (H, H), "b_f": (H,)})
    return gates("h") | gate


@cell("simple_mgu", weights=simple_mgu_weights, states={"h": (H,)}, options=({}, {"gate": "mgu2"}, {"gate": "mgu3"}))
def simple_mgu(p, x, s, o):
    """Heck & Salem 2017: f = σ(h U_f + b_f), σ(h U_f) or σ(b_f); ĥ = tanh(x W_h + (f h) U_h + b_h); h′ = (1 − f) h + f ĥ"""
    h = s["h"]
    f = sigmoid((h @ p["U_f"] if "U_f" in p else torch.zeros_like(h)) + p.get("b_f", 0.0))
    h = (1 - f) * h + f * tanh(x["x"] @ p["W_h"] + (f * h) @ p["U_h"] + p["b_h"])
    return h, {"h": h}


@cell("mutant", weights=lambda o: {k: v for k, v in gates("z", "r", "h").items() if k != "U_z" or o.get("mutation")}, states={"h": (H,)},
      options=({}, {"mutation": "mut2"}, {"mutation": "mut3"}))
def mutant(p, x, s, o):
    """Jozefowicz et al. 2015. MUT1: z = σ(x W_z + b_z); r = σ(x W_r + h U_r + b_r); ĥ = tanh(tanh(x W_h) + (r h) U_h + b_h).
    MUT2: z = σ(x W_z + h U_z + b_z), ĥ = tanh(x W_h + (r h) U_h + b_h). MUT3: z = σ(x W_z + tanh(h) U_z + b_z). h′ = ĥ z + h (1 − z)"""
    x, h, kind = x["x"], s["h"], o.get("mutation", "mut1")
    seen = {"mut1": lambda: 0.0, "mut2": lambda: h @ p["U_z"], "mut3": lambda: tanh(h) @ p["U_z"]}[kind]()
    z = sigmoid(x @ p["W_z"] + seen + p["b_z"])
    r = sigmoid(x @ p["W_r"] + h @ p["U_r"] + p["b_r"])
    v = x @ p["W_h"]
    h = tanh((r * h) @ p["U_h"] + (tanh(v) if kind == "mut1" else v) + p["b_h"]) * z + h * (1 - z)
    return h, {"h": h}


@cell("typed_rnn", weights={"W": (F, H), "V": (F, H), "b": (H,)}, states={"h": (H,)})
def typed_rnn(p, x, s, o):
    """Balduzzi & Ghifary 2016: z = x W; f = σ(x V + b); h′ = f h + (1 − f) z"""
    f = sigmoid(x["x"] @ p["V"] + p["b"])
    h = f * s["h"] + (1 - f) * (x["x"] @ p["W"])
    return h, {"h": h}


TYPED = {k: v for g in "zfo" for k, v in {f"W_{g}": (F, H), f"V_{g}": (F, H), f"b_{g}": (H,)}.items()}


def typed_parts(p, x, before):
    z, f, o = (x @ p[f"W_{g}"] + before @ p[f"V_{g}"] + p[f"b_{g}"] for g in "zfo")
    return z, sigmoid(f), tanh(o)


@cell("typed_gru", weights=TYPED, states={"h": (H,), "before": (F,)})
def typed_gru(p, x, s, o):
    """Balduzzi & Ghifary 2016: z = x W_z + x₋ V_z + b_z; f = σ(..); o = tanh(..); h′ = f h + z o"""
    z, f, out = typed_parts(p, x["x"], s["before"])
    h = f * s["h"] + z * out
    return h, {"h": h, "before": x["x"]}


@cell("typed_lstm", weights=TYPED, states={"c": (H,), "before": (F,)})
def typed_lstm(p, x, s, o):
    """Balduzzi & Ghifary 2016: z, f, o as the typed GRU's; c′ = f c + (1 − f) z; h = c′ o"""
    z, f, out = typed_parts(p, x["x"], s["before"])
    c = f * s["c"] + (1 - f) * z
    return c * out, {"c": c, "before": x["x"]}


@cell("gru_d", weights={k: v for g in "zrh" for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"V_{g}": (F, H), f"b_{g}": (H,)}.items()}
      | {"w_gamma": (F,), "a_gamma": (F,), "W_gamma": (F, H), "b_gamma": (H,)}, states={"h": (H,), "seen": (F,)},
      inputs={"x": (F,), "m": ("u", (F,), 0.0, 1.0), "delta": ("u", (F,), 0.0, 3.0)}, options=({}, {"mean": 0.5}))
def gru_d(p, x, s, o):
    """Che et al. 2018: γx = exp(−max(0, w_γ δ + a_γ)); γh = exp(−max(0, δ W_γ + b_γ)); x̂ = m x + (1 − m)(γx x₋ + (1 − γx) x̄); h ← γh h;
    z, r = σ(x̂ W + h U + m V + b); h̃ = tanh(x̂ W_h + (r h) U_h + m V_h + b_h); h′ = (1 − z) h + z h̃; x₋ = the last x where m is 1.
    The mask is drawn between 0 and 1, as the equations say what then is."""
    x, m, delta, mean = x["x"], x["m"], x["delta"], o.get("mean", 0.0)
    fade_x = exp(-torch.clamp(p["w_gamma"] * delta + p["a_gamma"], min=0))
    fade_h = exp(-torch.clamp(delta @ p["W_gamma"] + p["b_gamma"], min=0))
    full = m * x + (1 - m) * (fade_x * s["seen"] + (1 - fade_x) * mean)
    h = fade_h * s["h"]
    z, r = (sigmoid(full @ p[f"W_{g}"] + h @ p[f"U_{g}"] + m @ p[f"V_{g}"] + p[f"b_{g}"]) for g in "zr")
    new = tanh(full @ p["W_h"] + (r * h) @ p["U_h"] + m @ p["V_h"] + p["b_h"])
    h = (1 - z) * h + z * new
    return h, {"h": h, "seen": m * x + (1 - m) * s["seen"]}


@cell("gru_ode", weights=lambda o: gates("z", "h") if o.get("minimal") else gates("z", "r", "h"), states={"h": (H,)},
      options=({}, {"minimal": True, "substeps": 3, "step_size": 0.25}))
def gru_ode(p, x, s, o):
    """De Brouwer et al. 2019: dh/dt = (1 − z)(g − h); z, r = σ(x W + h U + b); g = tanh(x W_h + (r h) U_h + b_h), z in place of r
    in the minimal one; Euler steps"""
    x, h = x["x"], s["h"]
    for _ in range(o.get("substeps", 1)):
        z = sigmoid(x @ p["W_z"] + h @ p["U_z"] + p["b_z"])
        r = z if o.get("minimal") else sigmoid(x @ p["W_r"] + h @ p["U_r"] + p["b_r"])
        slope = (1 - z) * (tanh(x @ p["W_h"] + (r * h) @ p["U_h"] + p["b_h"]) - h)
        h = h + o.get("step_size", 0.05) * slope
    return h, {"h": h}


@cell("ode_rnn", weights=lambda o: gates("z", "r", "h") | {"A": (H, o.get("hidden", H)), "a": (o.get("hidden", H),), "B": (o.get("hidden", H), H), "b": (H,)},
      states={"h": (H,)}, inputs={"x": (F,), "dt": ("u", (1,), 0.1, 2.0)}, options=({}, {"hidden": 5, "substeps": 3}))
def ode_rnn(p, x, s, o):
    """Rubanova et al. 2019: h follows dh/dt = tanh(h A + a) B + b for Δ, in Euler steps; then a GRU with h′ = z h + (1 − z) ĥ"""
    x, dt, h, n = x["x"], x["dt"], s["h"], o.get("substeps", 1)
    for _ in range(n):
        h = h + (tanh(h @ p["A"] + p["a"]) @ p["B"] + p["b"]) * dt / n
    z, r = (sigmoid(x @ p[f"W_{g}"] + h @ p[f"U_{g}"] + p[f"b_{g}"]) for g in "zr")
    h = z * h + (1 - z) * tanh(x @ p["W_h"] + (r * h) @ p["U_h"] + p["b_h"])
    return h, {"h": h}


@cell("time_aware_lstm", weights=gates("i", "f", "g", "o") | {"W_d": (H, H), "b_d": (H,)}, states={"h": (H,), "c": (H,)},
      inputs={"x": (F,), "dt": ("u", (1,), 0.1, 9.0)})
def time_aware_lstm(p, x, s, o):
    """Baytas et al. 2017: short = tanh(c W_d + b_d); long = c − short; c* = long + short / log(e + Δ); then an LSTM with c* as its c"""
    x, dt, h = x["x"], x["dt"], s["h"]
    pre = {g: x @ p[f"W_{g}"] + h @ p[f"U_{g}"] + p[f"b_{g}"] for g in "ifgo"}
    short = tanh(s["c"] @ p["W_d"] + p["b_d"])
    adjusted = (s["c"] - short) + short * (1 / torch.log(math.e + dt))
    c = sigmoid(pre["f"]) * adjusted + sigmoid(pre["i"]) * tanh(pre["g"])
    h = sigmoid(pre["o"]) * tanh(c)
    return h, {"h": h, "c": c}


if __name__ == "__main__":
    write("grus")
