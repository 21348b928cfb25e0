"""Fixtures that several rooms of the tests use."""

from __future__ import annotations

import os
from pathlib import Path

# Where several processes run tests, each of their libraries' threads would be one too many: before any is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")

import pytest
from hypothesis import settings

from mien.emotions import EMOTIONS
from mien.model_card import CARD_KEY, ModelCard
from mien.runtime.weights import YUNET, vendored_yunet

# A busy machine is no failure: examples of property tests have no time limit. `.ci/run` tries the same ones each time,
# so that a change is judged by what it changes; on a developer's machine each run looks for new ones.
settings.register_profile("mien", settings.default, deadline=None)
settings.register_profile("same", settings.default, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("MIEN_EXAMPLES", "mien"))

# The package holds YuNet where the build could make it. Tests pass with and without.
_SHARED = Path(__file__).parents[2] / "shared" / "data" / "detectors" / YUNET.name
YUNET_FILE = vendored_yunet() if vendored_yunet().is_file() else _SHARED
needs_yunet = pytest.mark.skipif(
    not YUNET_FILE.is_file(), reason="YuNet is neither in the package (make vendor) nor in ../shared/data"
)


@pytest.fixture(scope="session")
def brightness_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ONNX model with Mien's interface that names class k for faces of mean grey 255 * k / 6.

    Its logits are 400 (c m - c² / 2) for the mean m and the class's own level c, both 0..1: highest where c is nearest.
    """
    onnx = pytest.importorskip("onnx")
    import numpy as np
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
        metrics={"ferplus/validation": {"accuracy": 0.5, "n": 12}},
    )
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    path = tmp_path_factory.mktemp("models") / "brightness.onnx"
    onnx.save(model, path)
    return path
