"""ONNX Runtime: inference alone, one LSTM or GRU node and the product of the Dense.

    bound   inputs and outputs stay in buffers that are bound once, states go back and forth between two
    run     arrays in, arrays out
"""

from shared import CHUNK, Job, data, samples, weights

VARIANTS = {name: ("bound", "run") for name in ("I1-lstm", "I1-gru", "I2", "I3")}

job = Job("onnxruntime", VARIANTS)

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

value = onnxruntime.OrtValue.ortvalue_from_numpy


def reorder(array, cell):
    """Columns of gates from Keras' order to ONNX's: an LSTM has i o f g, a GRU is the same."""
    if cell == "gru":
        return array
    i, f, g, o = np.split(array, 4, -1)
    return np.concatenate([i, o, f, g], -1)


def session(work):
    """A graph from `x` to `y`; where there is a Dense, from and to the states as well."""
    layer, *last = weights(work)
    kernel, recurrent, bias = (reorder(layer[name], work.cell) for name in ("kernel", "recurrent", "bias"))
    inner, outer = bias if work.cell == "gru" else (bias, 0 * bias)
    constants = {"W": kernel.T[None], "R": recurrent.T[None], "B": np.concatenate([inner, outer])[None]}
    states = ["h", "c"][: 1 if work.cell == "gru" else 2]
    tensors = lambda names, shape: [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in names]
    node = {"op_type": work.cell.upper(), "hidden_size": work.hidden}
    if work.cell == "gru":
        node["linear_before_reset"] = 1
    inputs, outputs = tensors(["x"], [work.time, work.batch, work.inputs]), []
    if last:
        constants |= {"kernel": last[0]["kernel"], "bias": last[0]["bias"], "flat": np.array([1, work.hidden])}
        old, new = [f"{name}_old" for name in states], [f"{name}_new" for name in states]
        nodes = [
            helper.make_node(inputs=["x", "W", "R", "B", "", *old], outputs=["", *new], **node),
            helper.make_node("Reshape", ["h_new", "flat"], ["last"]),
            helper.make_node("Gemm", ["last", "kernel", "bias"], ["y"]),
        ]
        inputs += tensors(old, [1, 1, work.hidden])
        outputs = tensors(["y"], [1, work.outputs]) + tensors(new, [1, 1, work.hidden])
    else:
        nodes = [helper.make_node(inputs=["x", "W", "R", "B"], outputs=["y"], **node)]
        outputs = tensors(["y"], [work.time, 1, work.batch, work.hidden])
    constants = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "workload", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = job.threads, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), states


def stream(work, variant):
    runtime, states = session(work)
    inputs = samples(work)[:, None, None]
    zeros = lambda: np.zeros((1, 1, work.hidden), np.float32)
    if variant == "run":
        held = [zeros() for _ in states]

        def step():
            nonlocal held
            for x in inputs:
                y, *held = runtime.run(None, {"x": x} | {f"{n}_old": s for n, s in zip(states, held)})
                number = y.item()
            return number

        return step

    x, y = value(inputs[0]), value(np.zeros((1, work.outputs), np.float32))
    buffers = [[value(zeros()) for _ in states] for _ in range(2)]
    bindings = []
    for old, new in (buffers, buffers[::-1]):
        binding = runtime.io_binding()
        binding.bind_ortvalue_input("x", x)
        binding.bind_ortvalue_output("y", y)
        for name, a, b in zip(states, old, new):
            binding.bind_ortvalue_input(f"{name}_old", a)
            binding.bind_ortvalue_output(f"{name}_new", b)
        bindings.append(binding)

    def step():
        for place, sample in enumerate(inputs):
            x.update_inplace(sample)
            runtime.run_with_iobinding(bindings[place % 2])
            number = y.numpy().item()
        return number

    return step


def sequence(work, variant):
    runtime, _ = session(work)
    x = np.ascontiguousarray(data(work)[0].swapaxes(0, 1))
    if variant == "run":
        return lambda: runtime.run(None, {"x": x})[0][-1, 0, 0, 0]
    y, binding = value(np.zeros((work.time, 1, work.batch, work.hidden), np.float32)), runtime.io_binding()
    binding.bind_ortvalue_input("x", value(x))
    binding.bind_ortvalue_output("y", y)

    def step():
        runtime.run_with_iobinding(binding)
        return y.numpy()[-1, 0, 0, 0]

    return step


def main():
    version = onnxruntime.__version__
    if job.name.startswith("I1"):
        job.measure(stream(job.work, job.variant), version, CHUNK)
    else:
        job.measure(sequence(job.work, job.variant), version)


main()
