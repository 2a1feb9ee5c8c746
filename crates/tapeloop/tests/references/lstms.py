"""The family of the LSTM, and the simple network with its layer normalization."""
import torch
from torch import sigmoid, tanh

from engine import F, H, cell, write

def weights(gates, inputs="W", bias="b", recurrent="U", f=F, h=H):
    """W_k, U_k and b_k for each of these gates."""
    all_of = {}
    for g in gates:
        all_of |= {f"{inputs}_{g}": (f, h), f"{recurrent}_{g}": (h, h), f"{bias}_{g}": (h,)}
    return all_of

def pre(p, g, x, h):
    """x W_g + h U_g + b_g"""
    return x @ p[f"W_{g}"] + h @ p[f"U_{g}"] + p[f"b_{g}"]

def ln(z, gain=None, shift=None, eps=1e-5):
    """Layer normalization over the last axis, the variance not corrected."""
    mean = z.mean(-1, keepdim=True)
    variance = ((z - mean) ** 2).mean(-1, keepdim=True)
    z = (z - mean) / torch.sqrt(variance + eps)
    z = z if gain is None else gain * z
    return z if shift is None else z + shift

def lstm(p, x, h, c):
    """The LSTM with a forget gate."""
    i, f, o = (sigmoid(pre(p, k, x, h)) for k in "ifo")
    c = f * c + i * tanh(pre(p, "g", x, h))
    return o * tanh(c), c

HC = {"h": (H,), "c": (H,)}

def peepholes(o):
    gates = "igo" if o.get("input_forget") else "ifgo"
    return weights(gates) | {f"p_{k}": ("u", (H,), -0.5, 0.5) for k in gates if k != "g"}

@cell("peephole_lstm", weights=peepholes, states=HC, options=({}, {"cell_clip": 0.4}, {"clip": 0.6}, {"input_forget": True}))
def peephole_lstm(p, x, s, o):
    """Gers & Schmidhuber 2000; cell_clip as in TensorFlow's LSTMCell, clip and input_forget as in ONNX' LSTM."""
    x, h, c = x["x"], s["h"], s["c"]
    within = lambda z: z.clamp(-o["clip"], o["clip"]) if "clip" in o else z
    i = sigmoid(within(pre(p, "i", x, h) + p["p_i"] * c))
    f = 1 - i if o.get("input_forget") else sigmoid(within(pre(p, "f", x, h) + p["p_f"] * c))
    c = f * c + i * tanh(within(pre(p, "g", x, h)))
    if "cell_clip" in o:
        c = c.clamp(-o["cell_clip"], o["cell_clip"])
    out = sigmoid(within(pre(p, "o", x, h) + p["p_o"] * c))
    h = out * tanh(within(c))
    return h, {"h": h, "c": c}

@cell("cifg_lstm", weights=weights("fgo"), states=HC)
def cifg_lstm(p, x, s, o):
    """Greff et al. 2015: i = 1 − f"""
    x, h, c = x["x"], s["h"], s["c"]
    f = sigmoid(pre(p, "f", x, h))
    c = f * c + (1 - f) * tanh(pre(p, "g", x, h))
    h = sigmoid(pre(p, "o", x, h)) * tanh(c)
    return h, {"h": h, "c": c}

def quarters(name, low, high):
    return {name: ("u", (lambda sizes: 4 * sizes["H"],), low, high)}

WIDE = lambda sizes: 4 * sizes["H"]
LN = {"W": (F, WIDE), "U": (H, WIDE), "b": (WIDE,), **quarters("gamma_x", 0.5, 1.5), **quarters("gamma_h", 0.5, 1.5),
      "gamma_c": ("u", (H,), 0.5, 1.5), "beta_c": ("u", (H,), -0.5, 0.5)}

@cell("layernorm_lstm", weights=LN, states=HC, options=({}, {"epsilon": 0.1}))
def layernorm_lstm(p, x, s, o):
    """Ba et al. 2016: LN of x W and of h U over all gates (i, g, f, o), of c on its way to the output; c is carried as it is."""
    x, h, c, eps = x["x"], s["h"], s["c"], o.get("epsilon", 1e-5)
    z = ln(x @ p["W"], p["gamma_x"], eps=eps) + ln(h @ p["U"], p["gamma_h"], eps=eps) + p["b"]
    i, g, f, out = z.tensor_split(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(out) * tanh(ln(c, p["gamma_c"], p["beta_c"], eps))
    return h, {"h": h, "c": c}

@cell("layer_norm_simple_rnn", weights={"W": (F, H), "U": (H, H), "b": (H,), "gamma_x": ("u", (H,), 0.5, 1.5), "gamma_h": ("u", (H,), 0.5, 1.5)},
      states={"h": (H,)}, options=({}, {"epsilon": 0.1}))
def layer_norm_simple_rnn(p, x, s, o):
    """Ba et al. 2016 for each product: h′ = tanh(LN(x W) + LN(h U) + b)"""
    eps = o.get("epsilon", 1e-5)
    h = tanh(ln(x["x"] @ p["W"], p["gamma_x"], eps=eps) + ln(s["h"] @ p["U"], p["gamma_h"], eps=eps) + p["b"])
    return h, {"h": h}


@cell("recurrent_dropout_lstm", weights=weights("ifgo"), states=HC)
def recurrent_dropout_lstm(p, x, s, o):
    """Semeniuta et al. 2016, as it infers: the LSTM"""
    h, c = lstm(p, x["x"], s["h"], s["c"])
    return h, {"h": h, "c": c}

@cell("lstm1997", weights=weights("igo"), states=HC)
def lstm1997(p, x, s, o):
    """Hochreiter & Schmidhuber 1997: c′ = c + i ∘ g"""
    x, h, c = x["x"], s["h"], s["c"]
    c = c + sigmoid(pre(p, "i", x, h)) * tanh(pre(p, "g", x, h))
    h = sigmoid(pre(p, "o", x, h)) * tanh(c)
    return h, {"h": h, "c": c}

@cell("capped_lstm", weights=weights("ifgo"), states=HC)
def capped_lstm(p, x, s, o):
    """Melis et al. 2017: c′ = f ∘ c + min(1 − f, i) ∘ g"""
    x, h, c = x["x"], s["h"], s["c"]
    i, f, out = (sigmoid(pre(p, k, x, h)) for k in "ifo")
    c = f * c + torch.minimum(1 - f, i) * tanh(pre(p, "g", x, h))
    h = out * tanh(c)
    return h, {"h": h, "c": c}

@cell("janet", weights=weights("fg"), states={"c": (H,)}, options=({}, {"beta": 0.3}))
def janet(p, x, s, o):
    """van der Westhuizen & Lasenby 2018: c′ = σ(s) ∘ c + (1 − σ(s − β)) ∘ g"""
    x, c = x["x"], s["c"]
    k = pre(p, "f", x, c)
    c = sigmoid(k) * c + (1 - sigmoid(k - o.get("beta", 1.0))) * tanh(pre(p, "g", x, c))
    return c, {"c": c}

@cell("ur_lstm", weights=weights("frgo"), states=HC)
def ur_lstm(p, x, s, o):
    """Gu et al. 2020: the effective gate lies between f² and 1 − (1 − f)²; r says where"""
    x, h, c = x["x"], s["h"], s["c"]
    f, r = sigmoid(pre(p, "f", x, h)), sigmoid(pre(p, "r", x, h))
    gate = 2 * r * f + (1 - 2 * r) * f * f
    c = gate * c + (1 - gate) * tanh(pre(p, "g", x, h))
    h = sigmoid(pre(p, "o", x, h)) * tanh(c)
    return h, {"h": h, "c": c}

@cell("ran", weights=weights("if") | {"W_c": (F, H)}, states=HC, options=({}, {"activation": "linear"}))
def ran(p, x, s, o):
    """Lee et al. 2017: c′ = i ∘ x W_c + f ∘ c; h′ = tanh(c′), or c′"""
    x, h, c = x["x"], s["h"], s["c"]
    c = sigmoid(pre(p, "i", x, h)) * (x @ p["W_c"]) + sigmoid(pre(p, "f", x, h)) * c
    h = c if o.get("activation") == "linear" else tanh(c)
    return h, {"h": h, "c": c}

@cell("atr", weights={"W": (F, H), "U": (H, H), "b": (H,)}, states={"h": (H,)})
def atr(p, x, s, o):
    """Zhang et al. 2018: i = σ(p + q), f = σ(p − q), h′ = i ∘ p + f ∘ h"""
    here, there = x["x"] @ p["W"] + p["b"], s["h"] @ p["U"]
    h = here / (1 + torch.exp(-here - there)) + s["h"] / (1 + torch.exp(there - here))
    return h, {"h": h}

@cell("cfn", weights=weights(["θ", "η"]) | {"W": (F, H)}, states={"h": (H,)})
def cfn(p, x, s, o):
    """Laurent & von Brecht 2016: h′ = θ ∘ tanh(h) + η ∘ tanh(x W)"""
    x, h = x["x"], s["h"]
    h = sigmoid(pre(p, "θ", x, h)) * tanh(h) + sigmoid(pre(p, "η", x, h)) * tanh(x @ p["W"])
    return h, {"h": h}

KRAUSE = {f"{w}_{k}": s for k in "hifo" for w, s in {"W": (F, H), "U": (H, H), "b": (H,)}.items()} | {"W_m": (F, H), "U_m": (H, H)}

@cell("mlstm_krause", weights=KRAUSE, states=HC)
def mlstm_krause(p, x, s, o):
    """Krause et al. 2016: m = x W_m ∘ h U_m in the place of h"""
    x, h, c = x["x"], s["h"], s["c"]
    m = (x @ p["W_m"]) * (h @ p["U_m"])
    c = sigmoid(pre(p, "f", x, m)) * c + sigmoid(pre(p, "i", x, m)) * tanh(pre(p, "h", x, m))
    h = tanh(c) * sigmoid(pre(p, "o", x, m))
    return h, {"h": h, "c": c}

def mogrifier(o):
    all_of = weights("ifgo")
    for r in range(1, o["rounds"] + 1):
        name, first, last = ("Q", H, F) if r % 2 else ("R", F, H)
        if "rank" in o:
            all_of |= {f"{name}{r}_left": (first, "rank"), f"{name}{r}_right": ("rank", last)}
        else:
            all_of |= {f"{name}{r}": (first, last)}
    return all_of

@cell("mogrifier_lstm", weights=mogrifier, states=HC, options=({"rounds": 5}, {"rounds": 4, "rank": 2}, {"rounds": 0}))
def mogrifier_lstm(p, x, s, o):
    """Melis et al. 2020: x and h modulate each other before the LSTM"""
    x, h, c = x["x"], s["h"], s["c"]
    full = lambda name: p[f"{name}_left"] @ p[f"{name}_right"] if "rank" in o else p[name]
    for r in range(1, o["rounds"] + 1):
        if r % 2:
            x = 2 * sigmoid(h @ full(f"Q{r}")) * x
        else:
            h = 2 * sigmoid(x @ full(f"R{r}")) * h
    h, c = lstm(p, x, h, c)
    return h, {"h": h, "c": c}

GROUPS = lambda sizes: sizes["H"] // sizes["chunk"]
MASTER = {f"{w}_{k}": s for k in ("mf", "mi") for w, s in {"W": (F, GROUPS), "U": (H, GROUPS), "b": (GROUPS,)}.items()}

@cell("on_lstm", weights=weights("ifgo") | MASTER, states=HC, options=({"chunk": 1}, {"chunk": 2}))
def on_lstm(p, x, s, o):
    """Shen et al. 2019"""
    x, h, c = x["x"], s["h"], s["c"]
    cumax = lambda z: torch.cumsum(torch.softmax(z, -1), -1).repeat_interleave(o["chunk"], -1)
    forget, write_in = cumax(pre(p, "mf", x, h)), 1 - cumax(pre(p, "mi", x, h))
    both = forget * write_in
    i, f, out = (sigmoid(pre(p, k, x, h)) for k in "ifo")
    c = (f * both + (forget - both)) * c + (i * both + (write_in - both)) * tanh(pre(p, "g", x, h))
    h = out * tanh(c)
    return h, {"h": h, "c": c}

@cell("wmc_lstm", weights=weights("ifgo") | {f"V_{k}": (H, H) for k in "ifo"}, states=HC)
def wmc_lstm(p, x, s, o):
    """Landi et al. 2021: tanh(c V) in the gates"""
    x, h, c = x["x"], s["h"], s["c"]
    i, f = (sigmoid(pre(p, k, x, h) + tanh(c @ p[f"V_{k}"])) for k in "if")
    c = f * c + i * tanh(pre(p, "g", x, h))
    h = sigmoid(pre(p, "o", x, h) + tanh(c @ p["V_o"])) * tanh(c)
    return h, {"h": h, "c": c}

@cell("memory_controller_lstm", weights=weights("ifnom"), states={"h": (H,), "v": (H,), "c": (H,)})
def memory_controller_lstm(p, x, s, o):
    """RecurrentLayers.jl's documentation of MCLSTM"""
    x, v, c = x["x"], s["v"], s["c"]
    i, f, out, m = (sigmoid(pre(p, k, x, v)) for k in "ifom")
    c = f * c + i * tanh(pre(p, "n", x, v))
    h = out * tanh(c)
    return h, {"h": h, "v": m * tanh(c), "c": c}

AUX = lambda o: lambda sizes: sizes["A"] + sizes["H"]

def masses(o):
    seen = lambda sizes: o["A"] + sizes["H"]
    all_of = {"W_o": (seen, H), "b_o": (H,)}
    for k in range(o["M"]):
        all_of |= {f"W_i{k}": (seen, H), f"b_i{k}": (H,)}
    every = lambda sizes: sizes["H"] ** 2
    all_of |= {"b_R": (every,)} if o.get("fixed") else {"W_R": (seen, every), "b_R": (every,)}
    return all_of

@cell("mass_conserving_lstm", weights=masses, states={"h": (H,), "c": ("u", (H,), 0.0, 1.0)},
      inputs={"m": ("u", ("M",), 0.0, 1.0), "a": ("A",)},
      options=({"M": 1, "A": 2}, {"M": 2, "A": 1}, {"M": 1, "A": 1, "fixed": True}))
def mass_conserving_lstm(p, x, s, o):
    """Hoedt et al. 2021"""
    mass, c = x["m"], s["c"]
    total = c.sum(-1, keepdim=True)
    seen = torch.cat([x["a"], torch.where(total > 0, c / torch.where(total > 0, total, torch.ones_like(total)), c)], -1)
    out = sigmoid(seen @ p["W_o"] + p["b_o"])
    units = c.shape[-1]
    z = p["b_R"].expand(len(c), units**2) if o.get("fixed") else seen @ p["W_R"] + p["b_R"]
    m = sum(c[:, k : k + 1] * torch.softmax(z[:, k * units : (k + 1) * units], -1) for k in range(units))
    for k in range(o["M"]):
        m = m + mass[:, k : k + 1] * torch.softmax(seen @ p[f"W_i{k}"] + p[f"b_i{k}"], -1)
    h, new = out * m, (1 - out) * m
    assert torch.allclose(h.sum(-1) + new.sum(-1), c.sum(-1) + mass.sum(-1), atol=1e-5)
    return h, {"h": h, "c": new}

@cell("nas", weights=weights("01234567"), states=HC)
def nas(p, x, s, o):
    """Zoph & Le 2016"""
    x, h, c = x["x"], s["h"], s["c"]
    relu = torch.relu
    inputs = [x @ p[f"W_{k}"] for k in range(8)]
    hidden = [h @ p[f"U_{k}"] + p[f"b_{k}"] for k in range(8)]
    first = [f(a + m) for f, a, m in zip([sigmoid, relu, sigmoid, None, tanh, sigmoid, tanh, sigmoid], inputs, hidden) if f]
    first.insert(3, relu(inputs[3] * hidden[3]))
    second = [tanh(first[0] * first[1]), tanh(first[2] + first[3]), tanh(first[4] * first[5]), sigmoid(first[6] + first[7])]
    c = tanh(second[0] + c) * second[1]
    h = tanh(c * tanh(second[2] + second[3]))
    return h, {"h": h, "c": c}

INNER = weights(["ti", "tf", "tg", "to"], f=H)

@cell("nested_lstm", weights=weights("ifgo") | INNER, states={"h": (H,), "c": (H,), "c_inner": (H,)})
def nested_lstm(p, x, s, o):
    """Moniz & Krueger 2018: the memory is an LSTM, of i ∘ g and f ∘ c"""
    x, h, c, inner = x["x"], s["h"], s["c"], s["c_inner"]
    i, f, out = (sigmoid(pre(p, k, x, h)) for k in "ifo")
    g = tanh(pre(p, "g", x, h))
    c, inner = lstm({k.replace("_t", "_"): v for k, v in p.items() if "_t" in k}, i * g, f * c, inner)
    h = out * tanh(c)
    return h, {"h": h, "c": c, "c_inner": inner}

def hyper(o):
    k, e = "hyper_units", "embedding"
    seen = lambda sizes: sizes["F"] + sizes["H"]
    all_of = weights("ifgo") | {f"{w}_t{g}": s for g in "ifgo" for w, s in {"W": (seen, k), "U": (k, k), "b": (k,)}.items()}
    for y in "ifgo":
        for source in "xh":
            all_of |= {f"Z_{source}{y}": (k, e), f"z_{source}{y}": ("u", (e,), 0.5, 1.5), f"D_{source}{y}": (e, H)}
        all_of |= {f"Z_b{y}": (k, e), f"D_b{y}": (e, H)}
    if not o.get("plain"):
        for lead, width in (("", H), ("t", k)):
            for y in "ifgoc":
                all_of |= {f"gamma_{lead}{y}": ("u", (width,), 0.5, 1.5), f"beta_{lead}{y}": (width,)}
    return all_of

# A wider ε than the default 1e-3: so few features are often almost equal, and single precision would be checked against noise.
SMALL = {"hyper_units": 5, "embedding": 2, "epsilon": 0.1}

@cell("hyper_lstm", weights=hyper, states=HC | {"h_small": ("hyper_units",), "c_small": ("hyper_units",)}, options=(SMALL, SMALL | {"plain": True}))
def hyper_lstm(p, x, s, o):
    """Ha et al. 2016, with the layer normalization of its experiments"""
    x, h, c = x["x"], s["h"], s["c"]
    norm = lambda z, k: z if o.get("plain") else ln(z, p[f"gamma_{k}"], p[f"beta_{k}"], o["epsilon"])

    def through(sums, c, lead):
        i, f, g, out = (norm(z, lead + k) for z, k in zip(sums, "ifgo"))
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(out) * tanh(norm(c, lead + "c")), c

    seen = torch.cat([x, h], -1)
    small, c_small = through([pre(p, f"t{k}", seen, s["h_small"]) for k in "ifgo"], s["c_small"], "t")
    sums = []
    for y in "ifgo":
        scale_x = (small @ p[f"Z_x{y}"] + p[f"z_x{y}"]) @ p[f"D_x{y}"]
        scale_h = (small @ p[f"Z_h{y}"] + p[f"z_h{y}"]) @ p[f"D_h{y}"]
        sums.append(scale_x * (x @ p[f"W_{y}"]) + scale_h * (h @ p[f"U_{y}"]) + p[f"b_{y}"] + small @ p[f"Z_b{y}"] @ p[f"D_b{y}"])
    h, c = through(sums, c, "")
    return h, {"h": h, "c": c, "h_small": small, "c_small": c_small}

@cell("fast_weights", weights={"W": (F, H), "U": (H, H), "gamma": ("u", (H,), 0.5, 1.5), "beta": (H,)}, states={"h": (H,), "A": (H, H)},
      options=({}, {"inner_steps": 3, "activation": "tanh"}, {"decay": 0.9, "rate": 0.3}))
def fast_weights(p, x, s, o):
    """Ba et al. 2016"""
    act = tanh if o.get("activation") == "tanh" else torch.relu
    h, a = s["h"], s["A"]
    a = o.get("decay", 0.95) * a + o.get("rate", 0.5) * torch.einsum("bi,bj->bij", h, h)
    z = x["x"] @ p["W"] + h @ p["U"]
    h = act(z)
    for _ in range(o.get("inner_steps", 1)):
        h = act(ln(z + torch.einsum("bij,bj->bi", a, h), p["gamma"], p["beta"]))
    return h, {"h": h, "A": a}

TIMED = {"period": ("u", (H,), 1.0, 5.0), "shift": ("u", (H,), 0.0, 2.0)}

@cell("phased_lstm", weights=lambda o: weights("ifgo") | TIMED | {"ratio": ("u", (H,), *o.get("open", (0.3, 0.7)))}, states=HC,
      inputs={"x": (F,), "t": ("u", (1,), 0.0, 20.0)}, options=({}, {"leak": 0.2}))
def phased_lstm(p, x, s, o):
    """Neil et al. 2016: c and h move only while φ = ((t − s) mod τ) / τ is below the open ratio"""
    t, x, h, c = x["t"], x["x"], s["h"], s["c"]
    phase = torch.remainder(t - p["shift"], p["period"]) / p["period"]
    r = p["ratio"].expand_as(phase)
    opening = torch.where(phase < r / 2, 2 * phase / r, torch.where(phase < r, 2 - 2 * phase / r, o.get("leak", 0.001) * phase))
    new_h, new_c = lstm(p, x, h, c)
    h, c = h + opening * (new_h - h), c + opening * (new_c - c)
    return h, {"h": h, "c": c}

if __name__ == "__main__":
    write("lstms")
