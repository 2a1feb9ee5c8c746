"""Keras on its JAX and PyTorch backends. A variant is BACKEND[-step][-unroll].

    step      a training step, or a call, of one's own: no trainer around it. Under JAX it is compiled as a whole
    unroll    the layers' own `unroll`
Otherwise `train_on_batch` and `predict_on_batch`, with `jit_compile` under JAX.
"""

import os

from shared import BETA1, BETA2, CHUNK, EPSILON, RATE, Job, data, lengths, samples, weights

BOTH = ("jax-step", "jax", "torch-step", "torch")
VARIANTS = {
    "T1": ("jax-step", "jax-step-unroll", "jax", "torch-step", "torch"),
    "T2": ("jax-step", "jax-step-unroll", "jax", "torch-step", "torch"),
    "T3": BOTH,
    "T4": BOTH,
    "T5": BOTH,
    "T6": BOTH,
    "T7": BOTH,
    "T8": BOTH,
    "T9": BOTH,
    "I1-lstm": ("jax-step", "torch-step"),
    "I1-gru": ("jax-step", "torch-step"),
    "I2": BOTH,
    "I3": BOTH,
}

job = Job("keras", VARIANTS)
BACKEND, *HOW = job.variant.split("-")
OWN, UNROLL, JAX = "step" in HOW, "unroll" in HOW, BACKEND == "jax"
os.environ["KERAS_BACKEND"] = BACKEND

import keras  # noqa: E402
import numpy as np  # noqa: E402
from keras import layers, ops  # noqa: E402

if JAX:
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
else:
    import torch

    torch.set_num_threads(job.threads)

VERSION = f"{keras.__version__} ({BACKEND} {jax.__version__ if JAX else torch.__version__})"


# ------------------------------------------------------------------------- models


class Peephole(layers.Layer):
    """T7: an LSTM with peepholes, every gate and the cell's state normalised, as a cell of one's own."""

    def __init__(self, units):
        super().__init__()
        self.output_size, self.state_size = units, (units, units)

    def build(self, shape):
        units = self.output_size
        self.kernel = self.add_weight(shape=(shape[-1], 4 * units))
        self.recurrent = self.add_weight(shape=(units, 4 * units))
        self.peepholes = self.add_weight(shape=(3, units))
        self.scales = self.add_weight(shape=(5, units))
        self.shifts = self.add_weight(shape=(5, units))

    def norm(self, k, v):
        v = v - ops.mean(v, -1, keepdims=True)
        return v * ops.rsqrt(ops.mean(ops.square(v), -1, keepdims=True) + 1e-5) * self.scales[k] + self.shifts[k]

    def call(self, x, states):
        (h, c), p = states, self.peepholes
        i, f, g, o = ops.split(ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent), 4, -1)
        i, f = ops.sigmoid(self.norm(0, i + p[0] * c)), ops.sigmoid(self.norm(1, f + p[1] * c))
        c = f * c + i * ops.tanh(self.norm(2, g))
        o = ops.sigmoid(self.norm(3, o + p[2] * c))
        h = o * ops.tanh(self.norm(4, c))
        return h, [h, c]


class MinGru(layers.Layer):
    """T8: h' = (1 − z) h + z g(v), with Keras' associative scan."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 2 * self.units))
        self.bias = self.add_weight(shape=(2 * self.units,))

    def call(self, x):
        k, v = ops.split(ops.matmul(x, self.kernel) + self.bias, 2, -1)
        z = ops.sigmoid(k)
        steps = 1 - z, z * ops.where(v >= 0, v + 0.5, ops.sigmoid(v))
        return ops.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), steps, axis=1)[1]


def model_of(work):
    if work.vocabulary:
        x = keras.Input((work.time,), batch_size=work.batch, dtype="int32")
        h = layers.Embedding(work.vocabulary, work.inputs)(x)
    else:
        x = h = keras.Input((work.time, work.inputs), batch_size=work.batch)
    if work.cell == "peephole":
        h = layers.RNN(Peephole(work.hidden), unroll=UNROLL)(h)
    elif work.cell == "mingru":
        h = ops.mean(MinGru(work.hidden)(h), 1)
    else:
        kind = layers.GRU if work.cell == "gru" else layers.LSTM
        if work.cell == "bilstm":
            h = layers.Masking()(h)
        for layer in range(work.layers):
            every = layer + 1 < work.layers or bool(work.vocabulary) or not work.outputs
            rnn = kind(work.hidden, return_sequences=every, unroll=UNROLL)
            h = layers.Bidirectional(rnn)(h) if work.cell == "bilstm" else rnn(h)
    if work.outputs:
        h = layers.Dense(work.outputs)(h)
    model = keras.Model(x, h)
    model.set_weights([array for layer in weights(work) for array in layer.values()])
    return model


# ------------------------------------------------------------------------- what is timed


def training(work):
    model = model_of(work)
    x, y = data(work)
    if work.cell == "bilstm":
        # What is all zero is masked.
        x = x * (np.arange(work.time) < lengths(work)[:, None])[..., None].astype(np.float32)
    loss = keras.losses.SparseCategoricalCrossentropy(True) if work.vocabulary else keras.losses.MeanSquaredError()
    adam = keras.optimizers.Adam(RATE, BETA1, BETA2, EPSILON)
    if not OWN:
        model.compile(adam, loss, jit_compile=JAX)
        return lambda: model.train_on_batch(x, y)
    adam.build(model.trainable_variables)
    return (step_jax if JAX else step_torch)(model, adam, loss, x, y)


def step_jax(model, adam, loss, x, y):
    def loss_of(trained, other, x, y):
        output, other = model.stateless_call(trained, other, x, training=True)
        return loss(y, output), other

    def update(state, x, y):
        trained, other, slots = state
        (value, other), gradient = jax.value_and_grad(loss_of, has_aux=True)(trained, other, x, y)
        trained, slots = adam.stateless_apply(slots, gradient, trained)
        return (trained, other, slots), value

    update = jax.jit(update, donate_argnums=0)
    # What is donated must not be the model's own.
    copies = lambda variables: [jax.numpy.array(variable.value, copy=True) for variable in variables]
    state = copies(model.trainable_variables), copies(model.non_trainable_variables), copies(adam.variables)
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def step():
        nonlocal state
        state, value = update(state, x, y)
        jax.block_until_ready(state)
        return value

    return step


def step_torch(model, adam, loss, x, y):
    x, y = torch.from_numpy(x), torch.from_numpy(y)

    def step():
        model.zero_grad()
        value = loss(y, model(x, training=True))
        value.backward()
        gradients = [variable.value.grad for variable in model.trainable_weights]
        with torch.no_grad():
            adam.apply(gradients, model.trainable_weights)
        return value.item()

    return step


def called(model):
    """The model as a function of arrays of the backend, without gradients."""
    if JAX:
        trained, other = ([v.value for v in part] for part in (model.trainable_variables, model.non_trainable_variables))
        call = jax.jit(lambda trained, x: model.stateless_call(trained, other, x)[0])
        return lambda x: call(trained, x)

    @torch.inference_mode()
    def call(x):
        return model(x, training=False)

    return call


def stream(work):
    count = 1 if work.cell == "gru" else 2
    inputs = [keras.Input((1,), batch_size=1), *(keras.Input((work.hidden,), batch_size=1) for _ in range(count))]
    cell = (layers.GRUCell if work.cell == "gru" else layers.LSTMCell)(work.hidden)
    h, states = cell(inputs[0], inputs[1:])
    model = keras.Model(inputs, [layers.Dense(1)(h), *states])
    model.set_weights([array for layer in weights(work) for array in layer.values()])
    call, array = called(model), (lambda x: x) if JAX else torch.from_numpy
    inputs = [array(x[None]) for x in samples(work)]
    states = [array(np.zeros((1, work.hidden), np.float32)) for _ in range(count)]

    def step():
        nonlocal states
        for x in inputs:
            y, *states = call([x, *states])
            number = y.item()
        return number

    return step


def sequence(work):
    model = model_of(work)
    x = data(work)[0]
    if not OWN:
        model.compile(jit_compile=JAX)
        return lambda: model.predict_on_batch(x)[-1, -1, 0]
    call = called(model)
    x = jax.numpy.asarray(x) if JAX else torch.from_numpy(x)
    return lambda: np.asarray(call(x))[-1, -1, 0]


def main():
    if job.name.startswith("T"):
        job.measure(training(job.work), VERSION)
    elif job.name.startswith("I1"):
        job.measure(stream(job.work), VERSION, CHUNK)
    else:
        job.measure(sequence(job.work), VERSION)


main()
