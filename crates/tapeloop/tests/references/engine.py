"""Reference cases of cells: written straight from their papers in double precision, differentiated by PyTorch.

A family's file registers cells,

    @cell("mgu", weights={"W": (F, H), ...}, states={"h": (H,)})
    def mgu(p, x, s, o): ... return y, {"h": h}

one step each, on rows: `p` weights, `x` the inputs of the step, `s` the states before, `o` the options. Shapes are given with
F features and H units; `("u", shape, low, high)` draws uniformly, others normally (weights scaled by the root of their rows).

`python lstms.py` writes `../cases/zoo/<cell>/<case>.safetensors` and `../cases/cases.lstms.json`.
"""
import json
import pathlib
import sys
import zlib

import numpy as np
import safetensors.numpy
import torch

torch.set_num_threads(1)
F, H = "F", "H"
CELLS = {}
CASES = pathlib.Path(__file__).parent.parent / "cases"


def cell(name, weights, states, inputs=None, output="y", options=({},), square=False):
    """Registers a cell, with a case for each of these options. A square one has as many units as features."""
    def register(step):
        CELLS[name] = (step, weights, states, inputs or {"x": (F,)}, output, options, square)
        return step
    return register


def sized(shape, sizes):
    return tuple(sizes[n] if isinstance(n, str) else n(sizes) if callable(n) else n for n in shape)


def draw(rng, spec, lead, sizes, std):
    if spec and spec[0] == "u":
        return rng.uniform(spec[2], spec[3], lead + sized(spec[1], sizes))
    shape = sized(spec, sizes)
    scale = std if std is not None else 1.0 / np.sqrt(shape[0]) if len(shape) > 1 else 0.3
    return rng.normal(0.0, scale, lead + shape)


def execute(name, tensors, options, time, dtype):
    step, weights, states, inputs, output, _, square = CELLS[name]
    leaves = {k: torch.tensor(np.asarray(v), dtype=dtype, requires_grad=True) for k, v in tensors.items() if k.split("/")[0] in ("w", "in", "state")}
    pick = lambda lead: {k[len(lead):]: v for k, v in leaves.items() if k.startswith(lead)}
    p, xs, s, ys = pick("w/"), pick("in/"), pick("state/"), []
    for t in range(time):
        y, s = step(p, {k: v[:, t] for k, v in xs.items()}, s, options)
        ys.append(y)
    out = {output: torch.stack(ys, 1), **s}
    cot = {k[4:]: torch.tensor(v, dtype=dtype) for k, v in tensors.items() if k.startswith("cot/")}
    result = {f"out/{k}": v.detach().numpy() for k, v in out.items()}
    if cot:
        loss = sum((out[k] * v).sum() for k, v in cot.items())
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        result.update({f"grad/{k}": (torch.zeros_like(v) if g is None else g).numpy() for (k, v), g in zip(leaves.items(), gradients)})
    return result


def make(name, case, options, zeros, batch=2, time=5, units=4, features=3):
    step, weights, states, inputs, output, _, square = CELLS[name]
    features = units if square else features
    sizes = {"F": features, "H": units, **{k: v for k, v in options.items() if isinstance(v, int)}}
    weights, states, inputs = (d(options) if callable(d) else d for d in (weights, states, inputs))
    rng = np.random.default_rng(zlib.crc32(f"{name}/{case}".encode()))
    tensors = {f"in/{k}": draw(rng, v, (batch, time), sizes, 1.0) for k, v in inputs.items()}
    tensors |= {f"w/{k}": draw(rng, v, (), sizes, None) for k, v in weights.items()}
    for k, v in states.items():
        drawn = draw(rng, v, (batch,), sizes, 0.6)
        tensors[f"state/{k}"] = np.zeros_like(drawn) if zeros else drawn
    for k, v in execute(name, tensors, options, time, torch.float64).items():
        tensors[f"cot/{k[4:]}"] = rng.normal(0.0, 1.0, v.shape)
    exact, single = (execute(name, tensors, options, time, d) for d in (torch.float64, torch.float32))
    def error(kind):
        """Relative to the largest element of each, or to a small share of the largest of all, as the runner has it."""
        names = [k for k in exact if k.startswith(kind)]
        largest = {k: np.max(np.abs(exact[k]), initial=0.0) for k in names}
        least = 1e-4 * max(largest.values(), default=0.0) or 1.0
        return max((float(np.max(np.abs(exact[k] - single[k]), initial=0.0) / max(largest[k], least)) for k in names), default=0.0)

    path = f"zoo/{name}/{case}.safetensors"
    (CASES / path).parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({k: np.ascontiguousarray(v) for k, v in (tensors | exact).items()}, CASES / path)
    (CASES / path).chmod(0o644)
    return {
        "id": f"zoo/{name}/{case}", "family": f"zoo/{name}", "file": path, "peer": "references",
        "config": {"cell": name, "dims": [batch, time, features, units], "options": options, "equations": " ".join((step.__doc__ or "").split())},
        "f32_err": {"out": float(f"{error('out/'):.1e}"), "grad": float(f"{error('grad/'):.1e}")},
    }


def write(family):
    """Cases of every cell registered: from zero states, from others, and each of the options."""
    cases = []
    for name, (*_, options, _) in CELLS.items():
        for k, o in enumerate(options):
            tag = "_".join(f"{key}_{value}" for key, value in o.items()) or "plain"
            cases.append(make(name, tag.lower(), dict(o), zeros=False))
            if k == 0:
                cases.append(make(name, "zero_state", dict(o), zeros=True, batch=1, time=9, features=2, units=3))
    lines = ",\n".join(json.dumps(case) for case in cases)
    (CASES / f"cases.{family}.json").write_text('{"cases": [\n' + lines + "\n]}\n")
    print(f"{len(cases)} cases", file=sys.stderr)
