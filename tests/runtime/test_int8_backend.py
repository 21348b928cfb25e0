from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ConfigError
from mien.model_card import CARD_KEY, ModelCard
from mien.runtime import int8_backend
from mien.runtime.classifier import Classifier
from mien.runtime.int8_backend import Int8, Int8Path, choose, cpu_flags
from mien.runtime.weights import find_model

QEMU = shutil.which("qemu-x86_64")
HASWELL = "flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 avx f16c fma avx2\n"


@pytest.mark.parametrize(
    ("flags", "path"),
    [
        ({"sse2", "avx2", "avx512f", "avx512_vnni"}, "fast"),
        ({"sse2", "avx2", "avx512f", "avx512_vnni", "avx_vnni"}, "fast"),
        ({"sse2", "avx2", "avx_vnni"}, "fast"),
        ({"sse2", "avx2", "avx512f"}, "exact"),
        ({"sse2", "avx2", "avx512f", "avx_vnni"}, "exact"),
        ({"sse2", "avx2"}, "exact"),
        ({"sse2"}, "exact"),
        ({"neon"}, "fast"),
        ({"neon", "asimddp"}, "fast"),
        (set(), "exact"),  # nothing is known: what is right on every x86 CPU, and does nothing elsewhere
    ],
)
def test_the_flags_decide(flags: Set[str], path: Int8Path) -> None:
    assert choose(flags).path == path


def test_the_reason_names_the_flag() -> None:
    assert "avx512_vnni" in choose({"sse2", "avx512f", "avx512_vnni"}).why
    assert "avx_vnni" in choose({"sse2", "avx_vnni"}).why
    assert "without VNNI" in choose({"sse2", "avx2"}).why


@pytest.mark.parametrize("asked", ["fast", "exact", "float"])
def test_what_is_asked_for_is_taken_whatever_the_cpu(asked: Int8Path) -> None:
    for flags in ({"sse2"}, {"sse2", "avx512f", "avx512_vnni"}, {"neon"}):
        assert choose(flags, asked).path == asked


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected int8 to be one of auto, fast, exact, float, got 'slow'"):
        choose({"sse2"}, "slow")  # type: ignore[arg-type]


def test_opencv_and_linux_see_the_same_cpu() -> None:
    """Holds the numbers by which OpenCV is asked."""
    told = int8_backend._flags_by_linux()
    if not told:
        pytest.skip("needs Linux on an x86 CPU, which lists flags")
    for flag in ("sse2", "avx2", "avx512f", "avx512_vnni"):  # avx_vnni is told by Linux alone
        assert (flag in cpu_flags()) == (flag in told), flag


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: sse2 avx2 avx_vnni\nbugs\t\t:\nflags\t\t: other\n", {"sse2", "avx2", "avx_vnni"}),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", set()),
        ("", set()),
        (None, set()),
    ],
)
def test_flags_by_linux(text: str | None, flags: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(int8_backend, "_CPUINFO", path)
    assert int8_backend._flags_by_linux() == flags


def drawn(count: int) -> NDArray[np.uint8]:
    """Pictures (N, 48, 48) of overlapping ellipses."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:48, :48]
    pictures = np.empty((count, 48, 48), np.uint8)
    for picture in pictures:
        picture[:] = rng.integers(20, 236)
        for _ in range(12):
            x, y, a, b, grey = *rng.uniform(0, 48, 2), *rng.uniform(2, 22, 2), rng.integers(256)
            picture[((across - x) / a) ** 2 + ((down - y) / b) ** 2 < 1] = grey
    return pictures


def probabilities(path: Path, faces: NDArray[np.uint8], int8: Int8) -> NDArray[np.float32]:
    return Classifier(path, threads=1, int8=int8).probabilities(faces)


@pytest.mark.parametrize("path", ["exact", "float"])
def test_the_paths_agree_on_the_shipped_model(path: Int8Path) -> None:
    faces = drawn(64)
    # Float keeps each activation's rounding, but sums in another order, so a few activations round the other way.
    tolerance = 1e-6 if path == "exact" else 0.05
    auto, forced = (probabilities(find_model(None), faces, int8) for int8 in ("auto", path))
    np.testing.assert_allclose(auto, forced, atol=tolerance)


@pytest.fixture
def overflowing(tmp_path: Path) -> Path:
    """An int8 model with the largest weights, so that a white face's sums of two products pass 16 bits.

    Its logits of a white face are 2 and 1, summed in 32 bits; cut off at 16 bits, the first is 1.01.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = np.full((2, 48 * 48), 127, np.int8)
    weights[1, 1::2] = 0
    constants: dict[str, Any] = {
        "share": np.float32(1 / 255),
        "black": np.uint8(0),
        "weights": weights,
        "unit": np.float32(2 / (127 * 48 * 48)),
        "middle": np.int8(0),
    }
    nodes = [
        helper.make_node("Cast", ["faces"], ["grey"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["grey", "share"], ["light"]),
        helper.make_node("Flatten", ["light"], ["flat"]),
        helper.make_node("QuantizeLinear", ["flat", "share", "black"], ["quantised"]),
        helper.make_node("DequantizeLinear", ["quantised", "share", "black"], ["pixels"]),
        helper.make_node("DequantizeLinear", ["weights", "unit", "middle"], ["kernel"]),
        helper.make_node("Gemm", ["pixels", "kernel"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "overflowing",
        [helper.make_tensor_value_info("faces", TensorProto.UINT8, ["N", 1, 48, 48])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {CARD_KEY: ModelCard("overflowing", "1", ("a", "b"), {}, precision="int8").to_json()})
    onnx.save(model, tmp_path / "overflowing.onnx")
    return tmp_path / "overflowing.onnx"


RIGHT = [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]
CUT_OFF = 0.503
WHITE = np.full((1, 48, 48), 255, np.uint8)


@pytest.mark.parametrize("int8", ["auto", "exact", "float"])
def test_sums_do_not_overflow_on_this_cpu(overflowing: Path, int8: Int8) -> None:
    np.testing.assert_allclose(probabilities(overflowing, WHITE, int8), [RIGHT], atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(QEMU is None or platform.machine() not in ("x86_64", "AMD64"), reason="needs qemu-user on x86-64")
def test_on_an_emulated_cpu_without_vnni(overflowing: Path, tmp_path: Path) -> None:
    """Haswell has AVX2 and nothing newer: "fast" must overflow there, else this shows nothing, and "auto" must not."""
    (tmp_path / "proc").mkdir()  # qemu lets the real CPU's /proc/cpuinfo through, unless its prefix holds another
    (tmp_path / "proc" / "cpuinfo").write_text(HASWELL, encoding="utf-8")
    np.savez(tmp_path / "faces.npz", white=WHITE, drawn=drawn(2))
    script = """
import json, sys
import numpy as np
from mien.runtime.classifier import Classifier
from mien.runtime.int8_backend import choose, cpu_flags
overflowing, shipped, faces = sys.argv[1], sys.argv[2], np.load(sys.argv[3])
answers = {}
for int8 in ("auto", "fast", "exact", "float"):
    answers[int8] = {
        "white": Classifier(overflowing, threads=1, int8=int8).probabilities(faces["white"]).tolist(),
        "drawn": Classifier(shipped, threads=1, int8=int8).probabilities(faces["drawn"]).tolist(),
    }
print(json.dumps({"flags": sorted(cpu_flags()), "path": choose(cpu_flags()).path, "answers": answers}))
"""
    assert QEMU is not None
    command: list[str | Path] = [QEMU, "-cpu", "Haswell", sys.executable, "-c", script, overflowing, find_model(None)]
    ran = subprocess.run(
        [*command, tmp_path / "faces.npz"],
        env={**os.environ, "QEMU_LD_PREFIX": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["flags"], told["path"]) == (["avx2", "sse2"], "exact")
    answers = told["answers"]
    assert answers["fast"]["white"][0][0] == pytest.approx(CUT_OFF, abs=2e-3)
    here = probabilities(find_model(None), drawn(2), "auto")
    for int8 in ("auto", "exact", "float"):
        np.testing.assert_allclose(answers[int8]["white"], [RIGHT], atol=1e-3)
        np.testing.assert_allclose(answers[int8]["drawn"], here, atol=0.05)
    assert answers["auto"] == answers["exact"]


def test_every_path_has_its_entries() -> None:
    assert set(int8_backend.SESSION_ENTRIES) == set(get_args(Int8Path)) == set(get_args(Int8)) - {"auto"}
