"""The family of the GRU."""
import torch
from torch import sigmoid, tanh

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


@cell("recurrent_dropout_gru", weights={k: v for g in "zrh" for k, v in {f"W_{g}": (F, H), f"U_{g}": (H, H), f"b_{g}": (H,)}.items()}, states={"h": (H,)})
def recurrent_dropout_gru(p, x, s, o):
    """Semeniuta et al. 2016, as it infers: h′ = (1 − z) ∘ h + z ∘ ĥ"""
    x, h = x["x"], s["h"]
    z, r = (sigmoid(x @ p[f"W_{k}"] + h @ p[f"U_{k}"] + p[f"b_{k}"]) for k in "zr")
    new = tanh(x @ p["W_h"] + (r * h) @ p["U_h"] + p["b_h"])
    h = h + z * (new - h)
    return h, {"h": h}


if __name__ == "__main__":
    write("grus")
