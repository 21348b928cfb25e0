"""A small model whose answers are known."""

from __future__ import annotations

from pathlib import Path

from mien.emotions import EMOTIONS
from mien.model_card import CARD_KEY, CLASS_FREQUENCIES, ModelCard


def save_brightness_model(path: Path) -> Path:
    """Write a small ONNX model with Mien's interface that names class k for faces of mean grey 255 * k / 6.

    Its logits are 400 (c m - c² / 2) for the mean m and the class's own level c, both 0..1: highest where c is nearest.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    levels = np.arange(len(EMOTIONS), dtype=np.float32)[None] / (len(EMOTIONS) - 1)
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "white": np.array(255, np.float32),
        "slope": 400 * levels,
        "offset": -200 * levels[0] ** 2,
    }
    nodes = [
        helper.make_node("Cast", ["faces"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values", "axes"], ["mean"], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "last"], ["column"]),
        helper.make_node("Gemm", ["column", "slope", "offset"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants["last"] = np.array([1], np.int64)
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 1, 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(EMOTIONS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    card = ModelCard(
        "brightness",
        "1.0",
        EMOTIONS,
        {"kind": "brightness"},
        data={CLASS_FREQUENCIES: dict(zip(EMOTIONS, (0.1, 0.01, 0.03, 0.27, 0.34, 0.14, 0.11), strict=True))},
        metrics={"ferplus/validation": {"accuracy": 0.5, "n": 12}},
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, path)
    return path
