"""The family of the GRU."""
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


if __name__ == "__main__":
    write("grus")
