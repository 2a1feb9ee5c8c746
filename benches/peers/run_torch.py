"""PyTorch.

    nn            nn.LSTM or nn.GRU, eager; an LSTM runs in oneDNN
    nn-plain      the same without oneDNN
    loop          the step by hand, the products of all inputs before the loop
    X-compile     X under torch.compile
Adam is the fused one.
"""

from shared import BETA1, BETA2, CHUNK, EPSILON, RATE, Job, data, lengths, samples, weights

LSTM, GRU = ("nn", "nn-plain", "loop"), ("nn", "loop")
VARIANTS = {
    "T1": (*LSTM, "loop-compile", "nn-compile"),
    "T2": (*GRU, "loop-compile", "nn-compile"),
    "T3": LSTM,
    "T4": GRU,
    "T5": LSTM,
    "T6": LSTM,
    "T7": ("cell-compile", "cell"),
    "T8": ("log-compile", "doubling-compile", "chunks-compile", "log", "doubling", "chunks"),
    "T9": ("packed", "flipped", "flipped-plain"),
    "I1-lstm": ("loop", "cell", "script", "loop-compile"),
    "I1-gru": ("loop", "cell", "script", "loop-compile"),
    "I2": ("nn", "nn-plain"),
    "I3": ("nn", "nn-plain"),
}

job = Job("torch", VARIANTS)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


def tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def parameter(array):
    return nn.Parameter(tensor(array))


# ------------------------------------------------------------------------- layers


def reorder(array, cell):
    """Columns of gates from Keras' order to PyTorch's: a GRU has z and r the other way round."""
    if cell != "gru":
        return array
    z, r, n = np.split(array, 3, -1)
    return np.concatenate([r, z, n], -1)


def fill(rnn, layers, cell):
    """The weights of `layers` into an nn.LSTM, nn.GRU or a cell of them."""
    kinds = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    with torch.no_grad():
        for place, layer in enumerate(layers):
            if isinstance(rnn, nn.RNNCellBase):
                end = ""
            elif rnn.bidirectional:
                end = f"_l{place // 2}" + ("_reverse" if place % 2 else "")
            else:
                end = f"_l{place}"
            bias = layer["bias"]
            inner, outer = bias if bias.ndim == 2 else (bias, 0 * bias)
            values = layer["kernel"], layer["recurrent"], inner, outer
            for kind, value in zip(kinds, values):
                getattr(rnn, kind + end).copy_(tensor(reorder(value, cell).T))
    return rnn


def dense(layer):
    result = nn.Linear(*layer["kernel"].shape)
    with torch.no_grad():
        result.weight.copy_(tensor(layer["kernel"].T))
        result.bias.zero_()
    return result


def lstm(z, c):
    i, f, g, o = z.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru(x, inner, h):
    xz, xr, xn = x.chunk(3, 1)
    hz, hr, hn = inner.chunk(3, 1)
    z = torch.sigmoid(xz + hz)
    n = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
    return torch.lerp(n, h, z)


class Loop(nn.Module):
    """A layer whose step is written by hand; time first."""

    def __init__(self, cell, layer):
        super().__init__()
        self.cell = cell
        self.kernel, self.recurrent, self.bias = (parameter(layer[name]) for name in ("kernel", "recurrent", "bias"))

    def forward(self, x):
        bias = self.bias[0] if self.cell == "gru" else self.bias
        h = c = x.new_zeros(x.shape[1], self.recurrent.shape[0])
        every = []
        for now in F.linear(x, self.kernel.t(), bias).unbind(0):
            if self.cell == "gru":
                h = gru(now, torch.addmm(self.bias[1], h, self.recurrent), h)
            else:
                h, c = lstm(torch.addmm(now, h, self.recurrent), c)
            every.append(h)
        return torch.stack(every)


class Network(nn.Module):
    """[Embedding →] recurrent layers → Linear, on the last output or on all of them."""

    def __init__(self, work, by_hand):
        super().__init__()
        layers = weights(work)
        self.embedding = parameter(layers.pop(0)["embedding"]) if work.vocabulary else None
        self.dense = dense(layers.pop())
        if by_hand:
            self.rnn = nn.Sequential(*(Loop(work.cell, layer) for layer in layers))
        else:
            kind = nn.GRU if work.cell == "gru" else nn.LSTM
            self.rnn = fill(kind(work.inputs, work.hidden, work.layers), layers, work.cell)
        self.by_hand = by_hand

    def forward(self, x):
        if self.embedding is not None:
            x = F.embedding(x, self.embedding)
        y = self.rnn(x) if self.by_hand else self.rnn(x)[0]
        return self.dense(y if self.embedding is not None else y[-1])


class Peephole(nn.Module):
    """T7: an LSTM with peepholes, every gate and the cell's state normalised."""

    def __init__(self, work, compiled):
        super().__init__()
        layer, last = weights(work)
        for name, value in layer.items():
            setattr(self, name, parameter(value))
        self.dense = dense(last)
        self.step = torch.compile(self.step_of) if compiled else self.step_of

    @staticmethod
    def step_of(x, h, c, recurrent, peepholes, scales, shifts):
        norm = lambda k, v: F.layer_norm(v, v.shape[1:], scales[k], shifts[k])
        i, f, g, o = torch.addmm(x, h, recurrent).chunk(4, 1)
        i = torch.sigmoid(norm(0, i + peepholes[0] * c))
        f = torch.sigmoid(norm(1, f + peepholes[1] * c))
        c = f * c + i * torch.tanh(norm(2, g))
        o = torch.sigmoid(norm(3, o + peepholes[2] * c))
        return o * torch.tanh(norm(4, c)), c

    def forward(self, x):
        h = c = x.new_zeros(x.shape[1], self.recurrent.shape[0])
        for now in (x @ self.kernel).unbind(0):
            h, c = self.step(now, h, c, self.recurrent, self.peepholes, self.scales, self.shifts)
        return self.dense(h)


# T8: h' = (1 − z) h + z g(v), over all of time at once. Batch first.


def coefficients(k, v):
    z = torch.sigmoid(k)
    return 1 - z, z * torch.where(v >= 0, v + 0.5, torch.sigmoid(v))


def scan_log(k, v):
    """In logarithms: a prefix sum and a prefix log-sum-exp."""
    kept = torch.cumsum(-F.softplus(k), 1)
    value = torch.where(v >= 0, torch.log(F.relu(v) + 0.5), -F.softplus(-v))
    return torch.exp(kept + torch.logcumsumexp(value - F.softplus(-k) - kept, 1))


def scan_doubling(k, v):
    """Reaching back 1, 2, 4, … steps."""
    a, b = coefficients(k, v)
    reach = 1
    while reach < b.shape[1]:
        b = torch.cat([b[:, :reach], b[:, reach:] + a[:, reach:] * b[:, :-reach]], 1)
        a = torch.cat([a[:, :reach], a[:, reach:] * a[:, :-reach]], 1)
        reach *= 2
    return b


def scan_chunks(k, v, length=64):
    """Step by step inside of chunks, all chunks at once; then from chunk to chunk."""
    a, b = (part.unflatten(1, (-1, length)) for part in coefficients(k, v))
    inner, kept = [b[:, :, 0]], [a[:, :, 0]]
    for t in range(1, length):
        inner.append(torch.addcmul(b[:, :, t], a[:, :, t], inner[-1]))
        kept.append(kept[-1] * a[:, :, t])
    before = [torch.zeros_like(inner[0][:, 0])]
    for chunk in range(a.shape[1] - 1):
        before.append(torch.addcmul(inner[-1][:, chunk], kept[-1][:, chunk], before[-1]))
    return torch.addcmul(torch.stack(inner, 2), torch.stack(kept, 2), torch.stack(before, 1)[:, :, None]).flatten(1, 2)


class MinGru(nn.Module):
    def __init__(self, work, scan):
        super().__init__()
        layer, last = weights(work)
        self.kernel, self.bias, self.dense = parameter(layer["kernel"]), parameter(layer["bias"]), dense(last)
        self.scan = {"log": scan_log, "doubling": scan_doubling, "chunks": scan_chunks}[scan]

    def forward(self, x):
        k, v = F.linear(x, self.kernel.t(), self.bias).chunk(2, 2)
        return self.dense(self.scan(k, v).mean(1))


class Packed(nn.Module):
    """T9 as PyTorch means it."""

    def __init__(self, work):
        super().__init__()
        *layers, last = weights(work)
        self.rnn = fill(nn.LSTM(work.inputs, work.hidden, work.layers, bidirectional=True), layers, "lstm")
        self.dense, self.lengths = dense(last), tensor(lengths(work))

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, self.lengths, enforce_sorted=False)
        h = self.rnn(packed)[1][0]
        return self.dense(torch.cat([h[-2], h[-1]], 1))


class Flipped(nn.Module):
    """T9 with layers of one direction: backward ones see every sequence reversed within its length."""

    def __init__(self, work):
        super().__init__()
        *layers, last = weights(work)
        self.rnns = nn.ModuleList(fill(nn.LSTM(w["kernel"].shape[0], work.hidden), [w], "lstm") for w in layers)
        self.dense = dense(last)
        t, ends = torch.arange(work.time)[:, None], tensor(lengths(work))[None]
        self.places = torch.where(t < ends, ends - 1 - t, t)[..., None]
        self.ends = (ends - 1)[..., None]

    def flip(self, x):
        return x.gather(0, self.places.expand(-1, -1, x.shape[2]))

    def forward(self, x):
        for forward, backward in zip(self.rnns[::2], self.rnns[1::2]):
            y, z = forward(x)[0], backward(self.flip(x))[0]
            x = torch.cat([y, self.flip(z)], 2)
        ends = self.ends.expand(-1, -1, y.shape[2])
        return self.dense(torch.cat([y.gather(0, ends)[0], z.gather(0, ends)[0]], 1))


# ------------------------------------------------------------------------- what is timed


def training(work, kind, compiled):
    if work.cell == "peephole":
        model, compiled = Peephole(work, compiled), False
    elif work.cell == "mingru":
        model = MinGru(work, kind)
    elif work.cell == "bilstm":
        model = Packed(work) if kind == "packed" else Flipped(work)
    else:
        model = Network(work, kind == "loop")
    if compiled:
        torch._dynamo.config.allow_rnn = True
        model = torch.compile(model)
    x, y = data(work)
    x = tensor(x if work.cell == "mingru" else x.swapaxes(0, 1))
    y = tensor(y.swapaxes(0, 1).reshape(-1).astype(np.int64) if work.vocabulary else y)
    adam = torch.optim.Adam(model.parameters(), RATE, (BETA1, BETA2), EPSILON, fused=True)

    def step():
        adam.zero_grad()
        output = model(x)
        loss = F.cross_entropy(output.flatten(0, 1), y) if work.vocabulary else F.mse_loss(output, y)
        loss.backward()
        adam.step()
        return loss.item()

    return step


class Stream(nn.Module):
    """I1: a sample and the states in, a number and the states out."""

    def __init__(self, work, kind):
        super().__init__()
        layer, last = weights(work)
        self.gru, self.own = work.cell == "gru", kind == "loop"
        if self.own:
            self.kernel, self.recurrent, self.bias = (tensor(layer[name]) for name in ("kernel", "recurrent", "bias"))
        else:
            cell = nn.GRUCell if self.gru else nn.LSTMCell
            self.cell = fill(cell(1, work.hidden), [layer], work.cell)
        self.dense = dense(last)

    def forward(self, x, h, c):
        if self.own:
            if self.gru:
                x = torch.addcmul(self.bias[0], x, self.kernel)
                h = gru(x, torch.addmm(self.bias[1], h, self.recurrent), h)
            else:
                h, c = lstm(torch.addmm(torch.addcmul(self.bias, x, self.kernel), h, self.recurrent), c)
        elif self.gru:
            h = self.cell(x, h)
        else:
            h, c = self.cell(x, (h, c))
        return self.dense(h), h, c


def stream(work, kind, compiled):
    model = Stream(work, kind).eval()
    if kind == "script":
        model = torch.jit.freeze(torch.jit.script(model))
    if compiled:
        model = torch.compile(model, fullgraph=True)
    inputs = [tensor(x[None]) for x in samples(work)]
    state = [torch.zeros(1, work.hidden), torch.zeros(1, work.hidden)]

    @torch.inference_mode()
    def step():
        h, c = state
        for x in inputs:
            y, h, c = model(x, h, c)
            # The user has it before the next sample.
            number = y.item()
        state[:] = h, c
        return number

    return step


def sequence(work):
    rnn = fill(nn.LSTM(work.inputs, work.hidden), weights(work), "lstm").eval()
    x = tensor(data(work)[0].swapaxes(0, 1))

    @torch.inference_mode()
    def step():
        return rnn(x)[0][-1, 0, 0].item()

    return step


def main():
    kind, _, end = job.variant.partition("-")
    torch.set_num_threads(job.threads)
    torch.backends.mkldnn.enabled = end != "plain"
    compiled = end == "compile"
    if job.name.startswith("T"):
        job.measure(training(job.work, kind, compiled), torch.__version__)
    elif job.name.startswith("I1"):
        job.measure(stream(job.work, kind, compiled), torch.__version__, CHUNK)
    else:
        job.measure(sequence(job.work), torch.__version__)


main()
