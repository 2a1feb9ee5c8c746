"""What all runners have in common: sizes, numbers, the clock, and the line they print.

    run_torch.py WORKLOAD [--threads N] [--seconds S] [--variant V] [--list]

A runner asks for its `Job` before it imports its library, since libraries count the processors while they are imported;
then it hands `Job.measure` a call that makes one step, or several.

Weights and data are a formula of a place (`draw`), the same in every runner here and in `../peers-rust`, so that all of
them print the same first losses. NumPy alone is needed here.
"""

import argparse
import gc
import json
import os
import resource
import sys
import time
from dataclasses import dataclass

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8

# Samples of a stream between two looks at the clock.
CHUNK = 64


@dataclass(frozen=True)
class Work:
    """The sizes of a workload."""

    cell: str
    batch: int
    time: int
    inputs: int
    hidden: int
    layers: int = 1
    outputs: int = 10
    vocabulary: int = 0

    @property
    def gates(self):
        return {"lstm": 4, "bilstm": 4, "peephole": 4, "gru": 3, "mingru": 2}[self.cell]

    @property
    def directions(self):
        return 2 if self.cell == "bilstm" else 1


WORK = {
    "T1": Work("lstm", 32, 10, 1, 128, outputs=1),
    "T2": Work("gru", 32, 10, 1, 64, outputs=1),
    "T3": Work("lstm", 32, 64, 64, 256, layers=2),
    "T4": Work("gru", 32, 64, 64, 256, layers=2),
    "T5": Work("lstm", 64, 32, 1024, 1024),
    "T6": Work("lstm", 32, 100, 128, 512, outputs=96, vocabulary=96),
    "T7": Work("peephole", 32, 64, 64, 256),
    "T8": Work("mingru", 8, 4096, 64, 256),
    "T9": Work("bilstm", 32, 64, 64, 128, layers=2),
    "I2": Work("lstm", 1, 100, 64, 128, outputs=0),
    "I3": Work("lstm", 32, 100, 64, 512, outputs=0),
}
for _cell in ("lstm", "gru"):
    for _hidden in (8, 16, 32, 64, 128, 256, 512, 1024):
        WORK[f"I1-{_cell}-{_hidden}"] = Work(_cell, 1, 1, 1, _hidden, outputs=1)


# ------------------------------------------------------------------------- numbers


def draw(stream, shape):
    """Uniform numbers in [0, 1): SplitMix64 of (stream, place), 24 bits each."""
    import numpy as np

    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = (np.uint64(stream << 32) + np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)


def normal(stream, shape):
    """Standard normal numbers by the polar form of two uniform ones."""
    import numpy as np

    radius = np.sqrt(-2 * np.log(1 - draw(stream, shape)))
    return (radius * np.cos(2 * np.pi * draw(stream + 1, shape))).astype(np.float32)


def data(work):
    """Inputs and targets, batch first; ids and classes where there is a vocabulary."""
    import numpy as np

    if work.vocabulary:
        return tuple(
            (draw(stream, (work.batch, work.time)) * work.vocabulary).astype(np.int32) for stream in (100, 102)
        )
    x = normal(100, (work.batch, work.time, work.inputs))
    return x, normal(102, (work.batch, max(work.outputs, 1)))


def lengths(work):
    """T9: how long each sequence is, 16 to 64, the first the longest."""
    import numpy as np

    result = 16 + (draw(104, (work.batch,)) * 49).astype(np.int64)
    result[0] = work.time
    return result


def samples(work):
    """I1: a chunk of a stream."""
    return normal(100, (CHUNK, work.inputs))


def weights(work):
    """Layers as dictionaries of arrays, gates in Keras' order and layout, and the last one of the Dense.

    LSTM and GRU: `kernel` (inputs, gates · hidden), `recurrent` (hidden, gates · hidden), `bias`; the peephole cell has
    `peepholes` (3, hidden), `scales` and `shifts` (5, hidden) besides. Uniform within 1 / √inputs; biases 0, a forget
    gate's 1. With two directions there are twice the layers: forward, backward, forward, backward.
    """
    import numpy as np

    stream = 0

    def within(inputs, shape):
        nonlocal stream
        stream += 1
        return ((2 * draw(stream, shape) - 1) / np.sqrt(inputs)).astype(np.float32)

    layers, hidden = [], work.hidden
    if work.vocabulary:
        layers.append({"embedding": within(1, (work.vocabulary, work.inputs))})
    width = work.inputs
    for _ in range(work.layers):
        for _ in range(work.directions):
            columns = work.gates * hidden
            layer = {"kernel": within(width, (width, columns))}
            if work.cell != "mingru":
                layer["recurrent"] = within(hidden, (hidden, columns))
            if work.cell == "peephole":
                layer["peepholes"] = within(hidden, (3, hidden))
                layer["scales"] = np.ones((5, hidden), np.float32)
                layer["shifts"] = np.zeros((5, hidden), np.float32)
                layer["shifts"][1] = 1
            elif work.cell == "gru":
                layer["bias"] = np.zeros((2, columns), np.float32)
            else:
                layer["bias"] = np.zeros(columns, np.float32)
                if work.cell != "mingru":
                    layer["bias"][hidden : 2 * hidden] = 1
            layers.append(layer)
        width = hidden * work.directions
    if work.outputs:
        layers.append({"kernel": within(width, (width, work.outputs)), "bias": np.zeros(work.outputs, np.float32)})
    return layers


# ------------------------------------------------------------------------- a job


class Job:
    """What the command line asks of a runner."""

    def __init__(self, peer, variants):
        """`variants`: for each workload, or for `I1-lstm` and `I1-gru`, what the runner can do, likely the fastest first."""
        parser = argparse.ArgumentParser(description=f"Runs one workload in {peer} and prints what a step took.")
        parser.add_argument("workload", nargs="?")
        parser.add_argument("--threads", type=int, default=2)
        parser.add_argument("--seconds", type=float, default=4.0)
        parser.add_argument("--variant")
        parser.add_argument("--list", action="store_true", help="print each workload and variant there is")
        asked = parser.parse_args()
        of = lambda name: variants.get("-".join(name.split("-")[:2]), ())
        if asked.list:
            for name in WORK:
                for variant in of(name):
                    print(name, variant)
            sys.exit()
        name = asked.workload
        if name == "I1" and asked.variant:
            name, asked.variant = f"I1-{asked.variant}", None
        if name not in WORK:
            parser.error(f"there is no workload {name}")
        known = of(name)
        variant = asked.variant or next(iter(known), None)
        if variant not in known:
            parser.error(f"{name} has no variant {variant} here; there are: {', '.join(known) or 'none'}")
        self.peer, self.name, self.work, self.variant = peer, name, WORK[name], variant
        self.threads, self.seconds = asked.threads, asked.seconds
        self._pin()

    def _pin(self):
        """As many processors as threads, and the libraries' own pools to the same number."""
        for pool in ("OMP", "MKL", "OPENBLAS"):
            os.environ[f"{pool}_NUM_THREADS"] = str(self.threads)
        os.environ["NPROC"] = str(self.threads)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["JAX_PLATFORMS"] = "cpu"
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-self.threads :])

    def measure(self, call, version, steps=1):
        """Warms up, times `call`, which makes `steps` steps and may return a loss, and prints the line."""
        base = peak_mb()
        # The first call is not one of the five: it may compile.
        losses = [call()]
        start, warm = time.perf_counter(), min(1.0, self.seconds / 2)
        for count in range(10**9):
            if count >= 5 and time.perf_counter() - start >= warm:
                break
            losses.append(call())
        gc.collect()
        gc.disable()
        clock, times = time.perf_counter, []
        start = clock()
        while len(times) < 5 or clock() - start < self.seconds:
            before = clock()
            call()
            times.append(clock() - before)
        times.sort()
        five_digits = lambda seconds: float(f"{seconds * 1e3 / steps:.4e}")
        line = {
            "peer": self.peer,
            "variant": self.variant,
            "workload": self.name,
            "threads": self.threads,
            "median_ms": five_digits(times[len(times) // 2]),
            "min_ms": five_digits(times[0]),
            "steps": len(times) * steps,
            "version": version,
            "base_mb": base,
            "losses": [float(f"{float(loss):.5e}") for loss in losses[:3]],
        }
        print(json.dumps(line))


def peak_mb():
    """The most memory the process has had so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
