"""What ONNX graphs cost, read from the graphs themselves; and graphs that drive a processor to its int8 peak."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_COUNTED: Final = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Cost:
    """What a network holds and does: weights and biases, multiply-adds for one face, bytes of its file."""

    parameters: int
    multiply_adds: int
    file_bytes: int


def cost(path: Path) -> Cost:
    """The cost of a graph. Raises ValueError on a graph with an operation that this cannot count."""
    model = onnx.load(path)
    for entry in model.graph.input:
        entry.type.tensor_type.shape.dim[0].dim_value = 1
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.value_info, *model.graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:  # a quantised weight goes through one node before it is used
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    parameters = multiply_adds = 0
    for node in model.graph.node:
        if node.op_type not in _COUNTED:
            if any(name in node.op_type for name in _COUNTED):
                raise ValueError(f"{path.name}: cannot count the multiply-adds of {node.op_type}")
            continue
        is_left = node.input[0] in weights  # of a matrix product: what is multiplied stands on its right
        kernel, result = weights[node.input[0 if is_left else 1]], shapes[node.output[0]]
        if not all(result):
            raise ValueError(f"{path.name}: the shape of {node.output[0]} is not known: {result}")
        parameters += sum(math.prod(weights[name]) for name in node.input if name in weights)
        if is_left:
            per_value = kernel[-1]
        elif node.op_type == "Conv":  # (filters, inputs, rows, columns)
            per_value = math.prod(kernel[1:])
        else:  # inputs times outputs in either order
            per_value = math.prod(kernel) // result[-1]
        multiply_adds += math.prod(result) * per_value
    return Cost(parameters, multiply_adds, path.stat().st_size)


PEAKS: Final = {
    "conv 256, 56x56": ("Conv", (1, 256, 56, 56), (256, 256, 3, 3)),
    "conv 512, 28x28": ("Conv", (1, 512, 28, 28), (512, 512, 3, 3)),
    "conv 256, 14x14, 16 at once": ("Conv", (16, 256, 14, 14), (256, 256, 3, 3)),
    "matrix 1024": ("MatMul", (1024, 1024), (1024, 1024)),
    "matrix 2048": ("MatMul", (2048, 2048), (2048, 2048)),
}
"""Candidates for the int8 peak: operation, shape of the input, shape of the weights."""


def peak_multiply_adds(name: str) -> int:
    """Multiply-adds of one run of a candidate."""
    kind, values, weights = PEAKS[name]
    if kind == "Conv":
        return values[0] * values[2] * values[3] * math.prod(weights)
    return values[0] * math.prod(weights)


def write_peak(name: str, path: Path) -> None:
    """Write a candidate: uint8 in and out, int8 weights, as quantize-dequantize pairs around one operation."""
    kind, values, weights = PEAKS[name]
    kernel = np.random.default_rng(0).integers(-127, 128, weights, dtype=np.int8)
    constants: dict[str, Any] = {
        "kernel": kernel,
        "scale": np.float32(0.02).reshape(()),
        "kernel_scale": np.float32(0.01).reshape(()),
        "result_scale": np.float32(1.0).reshape(()),
        "zero": np.uint8(128).reshape(()),
        "kernel_zero": np.int8(0).reshape(()),
    }
    pads: dict[str, Any] = {"pads": [1, 1, 1, 1]} if kind == "Conv" else {}
    nodes = [
        helper.make_node("DequantizeLinear", ["input", "scale", "zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["kernel", "kernel_scale", "kernel_zero"], ["b"]),
        helper.make_node(kind, ["a", "b"], ["c"], **pads),
        helper.make_node("QuantizeLinear", ["c", "result_scale", "zero"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "peak",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, values)],
        [helper.make_tensor_value_info("output", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
