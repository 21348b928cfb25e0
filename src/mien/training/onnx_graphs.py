"""Networks as ONNX graphs that name their faces alike, in float32 and in int8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn


def write_graph(network: nn.Module, path: Path, output: str) -> None:
    """Write a network of faces (N, 1, 48, 48) uint8 as an ONNX graph: input "faces", one output of the name given."""
    example = torch.zeros(2, 1, 48, 48, dtype=torch.uint8)
    torch.onnx.export(
        network,
        (example,),
        path,
        dynamo=True,
        input_names=["faces"],
        output_names=[output],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        opset_version=18,
        external_data=False,
        verbose=False,
    )
    model = onnx.load(path)
    # The exporter notes the stack at each node, with paths of the machine that it ran on.
    for noted in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del noted.metadata_props[:]
        noted.doc_string = ""
    onnx.save(model, path)


def quantize(graph: Path, out: Path, faces: NDArray[np.uint8]) -> None:
    """Write a graph as static int8 (QDQ): weights per channel, activations by their range on faces (N, 48, 48) uint8.

    Weights get 7 bits: products of 8 bits would overflow on CPUs without VNNI (docs/int8.md), and cost nothing here.
    """
    quantize_static(
        graph,
        out,
        _Calibration(faces),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Gemm", "Relu"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=True,
    )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, faces: NDArray[np.uint8], batch: int = 32) -> None:
        self.batches: Iterator[NDArray[np.uint8]] = iter(
            [faces[start : start + batch, None] for start in range(0, len(faces), batch)]
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"faces": batch}
