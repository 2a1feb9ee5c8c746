"""JAX: functions of dictionaries, a step compiled as a whole, its parameters donated.

    scan          lax.scan over time, the products of all inputs before it
    scan-N        the same, N steps unrolled
    own, own-N    an LSTM whose derivative is written by hand: the weights' gradient is one product over all steps
    cell          the whole step inside the scan
"""

from functools import partial

from shared import BETA1, BETA2, CHUNK, EPSILON, RATE, Job, data, lengths, samples, weights

VARIANTS = {
    "T1": ("scan-10", "scan-2", "scan", "own", "cell"),
    "T2": ("scan-10", "scan-2", "scan", "cell"),
    "T3": ("scan", "scan-4", "own", "own-4", "cell"),
    "T4": ("scan", "scan-4", "cell"),
    "T5": ("scan", "own", "own-4", "cell"),
    "T6": ("scan", "own", "own-4", "cell"),
    "T7": ("scan", "scan-4"),
    "T8": ("chunks", "associative", "log", "scan", "scan-16"),
    "T9": ("scan", "scan-4"),
    "I1-lstm": ("compiled", "call"),
    "I1-gru": ("compiled", "call"),
    "I2": ("scan", "scan-4", "scan-10"),
    "I3": ("scan", "scan-4"),
}

job = Job("jax", VARIANTS)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402

# Dispatch from another thread gives nothing where each step is waited for.
jax.config.update("jax_cpu_enable_async_dispatch", False)

sigmoid, tanh = jax.nn.sigmoid, jnp.tanh


# ------------------------------------------------------------------------- layers: time first


def lstm_of(z, c):
    i, f, g, o = jnp.split(z, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_of(x, inner, h):
    (xz, xr, xn), (hz, hr, hn) = jnp.split(x, 3, -1), jnp.split(inner, 3, -1)
    z = sigmoid(xz + hz)
    return z * h + (1 - z) * tanh(xn + sigmoid(xr + hr) * hn)


def lstm(w, x, kind, unroll, mask=None):
    """Outputs of all steps, and the last; where a mask is false the states stay."""
    zero = jnp.zeros((x.shape[1], w["recurrent"].shape[0]), x.dtype)
    if kind == "own":
        every = own(x @ w["kernel"] + w["bias"], w["recurrent"], unroll)
        return every, every[-1]
    if kind == "scan":
        x = x @ w["kernel"] + w["bias"]

    def step(states, now):
        (h, c), (x, keep) = states, now
        if kind == "cell":
            x = x @ w["kernel"] + w["bias"]
        new = lstm_of(x + h @ w["recurrent"], c)
        if keep is not None:
            new = tuple(jnp.where(keep, new, old) for new, old in zip(new, states))
        return new, new[0]

    (last, _), every = lax.scan(step, (zero, zero), (x, mask), unroll=unroll)
    return every, last


def gru(w, x, kind, unroll):
    inner, outer = w["bias"]
    if kind == "scan":
        x = x @ w["kernel"] + inner

    def step(h, x):
        if kind == "cell":
            x = x @ w["kernel"] + inner
        h = gru_of(x, h @ w["recurrent"] + outer, h)
        return h, h

    last, every = lax.scan(step, jnp.zeros((x.shape[1], w["recurrent"].shape[0]), x.dtype), x, unroll=unroll)
    return every, last


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def own(x, recurrent, unroll):
    return own_forward(x, recurrent, unroll)[0]


def own_forward(x, recurrent, unroll):
    zero = jnp.zeros((x.shape[1], recurrent.shape[0]), x.dtype)

    def step(states, x):
        h, c = states
        i, f, g, o = jnp.split(x + h @ recurrent, 4, -1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        new = f * c + i * g
        t = tanh(new)
        return (o * t, new), (o * t, (h, c, i, f, g, o, t))

    _, (every, kept) = lax.scan(step, (zero, zero), x, unroll=unroll)
    return every, (kept, recurrent)


def own_backward(unroll, saved, dy):
    kept, recurrent = saved

    def step(back, now):
        (dh, dc), (dy, (_, c, i, f, g, o, t)) = back, now
        dh = dh + dy
        dc = dc + dh * o * (1 - t * t)
        dz = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o))
        dz = jnp.concatenate(dz, -1)
        return (dz @ recurrent.T, dc * f), dz

    zero = jnp.zeros_like(dy[0])
    _, dz = lax.scan(step, (zero, zero), (dy, kept), reverse=True, unroll=unroll)
    return dz, jnp.tensordot(kept[0], dz, ((0, 1), (0, 1)))


own.defvjp(own_forward, own_backward)


def peephole(w, x, unroll):
    """T7: the last output of an LSTM with peepholes, every gate and the cell's state normalised."""
    p, zero = w["peepholes"], jnp.zeros((x.shape[1], w["recurrent"].shape[0]), x.dtype)

    def norm(k, v):
        v = v - v.mean(-1, keepdims=True)
        return v * lax.rsqrt(jnp.square(v).mean(-1, keepdims=True) + 1e-5) * w["scales"][k] + w["shifts"][k]

    def step(states, x):
        h, c = states
        i, f, g, o = jnp.split(x + h @ w["recurrent"], 4, -1)
        i, f = sigmoid(norm(0, i + p[0] * c)), sigmoid(norm(1, f + p[1] * c))
        c = f * c + i * tanh(norm(2, g))
        o = sigmoid(norm(3, o + p[2] * c))
        return (o * tanh(norm(4, c)), c), None

    return lax.scan(step, (zero, zero), x @ w["kernel"], unroll=unroll)[0][0]


def mingru(w, x, kind, unroll, length=64):
    """T8: h' = (1 − z) h + z g(v)."""
    k, v = jnp.split(x @ w["kernel"] + w["bias"], 2, -1)
    if kind == "log":
        kept = jnp.cumsum(-jax.nn.softplus(k), 0)
        value = jnp.where(v >= 0, jnp.log(jax.nn.relu(v) + 0.5), -jax.nn.softplus(-v))
        return jnp.exp(kept + lax.cumlogsumexp(value - jax.nn.softplus(-k) - kept, 0))
    z = sigmoid(k)
    a, b = 1 - z, z * jnp.where(v >= 0, v + 0.5, sigmoid(v))

    def follow(early, late):
        return early[0] * late[0], late[0] * early[1] + late[1]

    if kind == "associative":
        return lax.associative_scan(follow, (a, b))[1]
    if kind == "chunks":
        split = lambda part: part.reshape(-1, length, *part.shape[1:]).swapaxes(0, 1)
        a, b = split(a), split(b)

        def inside(states, now):
            states = follow(states, now)
            return states, states

        ends, (kept, inner) = lax.scan(inside, (jnp.ones_like(a[0]), jnp.zeros_like(a[0])), (a, b))
        before = lax.scan(lambda h, end: (end[0] * h + end[1], h), jnp.zeros_like(a[0, 0]), ends)[1]
        return (kept * before + inner).swapaxes(0, 1).reshape(x.shape[0], *k.shape[1:])

    def step(h, now):
        h = now[0] * h + now[1]
        return h, h

    return lax.scan(step, jnp.zeros_like(a[0]), (a, b), unroll=unroll)[1]


# ------------------------------------------------------------------------- what is timed


def network(work, layers, x, mask, kind, unroll):
    *layers, last = layers
    if work.vocabulary:
        x, layers = layers[0]["embedding"][x], layers[1:]
    if work.cell == "peephole":
        h = peephole(layers[0], x, unroll)
    elif work.cell == "mingru":
        h = mingru(layers[0], x, kind, unroll).mean(0)
    elif work.cell == "bilstm":
        for forward, backward in zip(layers[::2], layers[1::2]):
            y, h = lstm(forward, x, kind, unroll, mask)
            z, k = lstm(backward, x[::-1], kind, unroll, mask[::-1])
            x, h = jnp.concatenate([y, z[::-1]], -1), jnp.concatenate([h, k], -1)
    else:
        for w in layers:
            x, h = (gru if work.cell == "gru" else lstm)(w, x, kind, unroll)
        h = x if work.vocabulary else h
    return h @ last["kernel"] + last["bias"]


def training(work, kind, unroll):
    x, y = (jnp.asarray(array) for array in data(work))
    x = x.swapaxes(0, 1)
    y = y.swapaxes(0, 1) if work.vocabulary else y
    mask = None
    if work.cell == "bilstm":
        mask = jnp.asarray((np.arange(work.time)[:, None] < lengths(work))[..., None])

    def loss_of(layers, x, y):
        output = network(work, layers, x, mask, kind, unroll)
        if work.vocabulary:
            return -jnp.take_along_axis(jax.nn.log_softmax(output), y[..., None], -1).mean()
        return jnp.square(output - y).mean()

    @partial(jax.jit, donate_argnums=0)
    def update(state, x, y):
        layers, first, second, t = state
        loss, gradient = jax.value_and_grad(loss_of)(layers, x, y)
        t = t + 1
        rate, root = RATE / (1 - BETA1**t), jnp.sqrt(1 - BETA2**t)
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, gradient)
        change = lambda w, m, v: w - rate * m / (jnp.sqrt(v) / root + EPSILON)
        return (jax.tree.map(change, layers, first, second), first, second, t), loss

    layers = jax.tree.map(jnp.asarray, weights(work))
    state = layers, jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers), jnp.float32(0)

    def step():
        nonlocal state
        state, loss = update(state, x, y)
        jax.block_until_ready(state)
        return float(loss)

    return step


def stream(work, kind):
    layer, last = jax.tree.map(jnp.asarray, weights(work))

    @jax.jit
    def call(x, states):
        (h, c), w = states, layer
        if work.cell == "gru":
            h = gru_of(x * w["kernel"] + w["bias"][0], h @ w["recurrent"] + w["bias"][1], h)
        else:
            h, c = lstm_of(x * w["kernel"] + w["bias"] + h @ w["recurrent"], c)
        return h @ last["kernel"] + last["bias"], (h, c)

    inputs = [x[None] for x in samples(work)]
    zero = jnp.zeros((1, work.hidden), jnp.float32)
    states = zero, zero
    if kind == "compiled":
        call = call.lower(inputs[0], states).compile()

    def step():
        nonlocal states
        for x in inputs:
            y, states = call(x, states)
            number = y.item()
        return number

    return step


def sequence(work, unroll):
    layer = jax.tree.map(jnp.asarray, weights(work)[0])
    x = jnp.asarray(data(work)[0].swapaxes(0, 1))
    call = jax.jit(lambda w, x: lstm(w, x, "scan", unroll)[0])
    return lambda: np.asarray(call(layer, x))[-1, 0, 0]


def main():
    kind, _, unroll = job.variant.partition("-")
    unroll = int(unroll or 1)
    if job.name.startswith("T"):
        job.measure(training(job.work, kind, unroll), jax.__version__)
    elif job.name.startswith("I1"):
        job.measure(stream(job.work, kind), jax.__version__, CHUNK)
    else:
        job.measure(sequence(job.work, unroll), jax.__version__)


main()
