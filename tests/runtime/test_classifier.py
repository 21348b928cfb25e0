from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ImageError, ModelError
from mien.model_card import CARD_KEY, ModelCard
from mien.runtime import classifier as runtime_classifier
from mien.runtime.classifier import Classifier
from mien.runtime.int8_backend import Int8Path

Save = Callable[..., Path]
CARD = ModelCard("tiny", "1.0", ("calm", "cross", "glad"), {"kind": "tiny"})


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a graph that gives the top left pixel's share of 255 to the first class, the rest by halves to the others.

    Each argument breaks one part of the contract.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def write(
        *,
        card: str | None = CARD.to_json(),
        faces: Sequence[Any] = ("faces", TensorProto.UINT8, ["N", 1, 48, 48]),
        output: Sequence[Any] = ("probabilities", TensorProto.FLOAT, ["N", 3]),
        classes: int = 3,
        width_known: bool = True,
    ) -> Path:
        slope = np.full((1, classes), -1 / (classes - 1), np.float32)
        slope[0, 0] = 1
        offset = np.full(classes, 1 / (classes - 1), np.float32)
        offset[0] = 0
        nodes = [
            helper.make_node("Cast", [faces[0]], ["values"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["values"], ["flat"]),
            helper.make_node("Slice", ["flat", "zero", "one", "axes"], ["pixel"]),
            helper.make_node("Div", ["pixel", "white"], ["share"]),
            helper.make_node("Gemm", ["share", "slope", "offset"], ["float_answer"]),
            helper.make_node("Cast", ["float_answer"], [output[0]], to=output[1]),
        ]
        if not width_known:  # nobody knows before it runs that this drops the last column
            nodes.insert(5, helper.make_node("Compress", ["float_answer", "keep"], ["fewer"], axis=1))
            nodes[6].input[0] = "fewer"
        constants = {
            "zero": np.array([0], np.int64),
            "one": np.array([1], np.int64),
            "axes": np.array([1], np.int64),
            "keep": np.array([True, True, False]),
            "white": np.array(255, np.float32),
            "slope": slope,
            "offset": offset,
        }
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info(*faces)],
            [helper.make_tensor_value_info(*output)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if card is not None:
            helper.set_model_props(model, {CARD_KEY: card})
        path = tmp_path / "tiny.onnx"
        onnx.save(model, path)
        return path

    return write


def faces_of(first_pixels: Sequence[int]) -> NDArray[np.uint8]:
    faces = np.random.default_rng(0).integers(0, 256, (len(first_pixels), 48, 48), dtype=np.uint8)
    faces[:, 0, 0] = first_pixels
    return faces


def test_probabilities_of_each_face(save: Save) -> None:
    classifier = Classifier(save())
    assert classifier.card == CARD
    assert classifier.classes == ("calm", "cross", "glad")
    result = classifier.probabilities(faces_of([0, 51, 255]))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, np.array([[0, 0.5, 0.5], [0.2, 0.4, 0.4], [1, 0, 0]]), atol=1e-6)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_batches_keep_the_order(save: Save, count: int) -> None:
    pixels = [(7 * index) % 256 for index in range(count)]
    result = Classifier(save()).probabilities(faces_of(pixels))
    np.testing.assert_allclose(result[:, 0], np.array(pixels) / 255, atol=1e-6)


def test_memory_is_bounded_by_batches_of_64(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(save())
    sizes: list[int] = []
    run = Classifier._run
    monkeypatch.setattr(Classifier, "_run", lambda self, batch: sizes.append(len(batch)) or run(self, batch))
    classifier.probabilities(faces_of([1] * 150))
    assert sizes == [64, 64, 22]


def test_no_faces_never_run_the_graph(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(save())
    monkeypatch.setattr(Classifier, "_run", lambda *_: pytest.fail("the graph was run"))
    result = classifier.probabilities(np.empty((0, 48, 48), np.uint8))
    assert (result.shape, result.dtype) == ((0, 3), np.float32)


def test_views_are_read_as_they_look(save: Save) -> None:
    faces = faces_of([10, 20, 30, 40])
    np.testing.assert_array_equal(
        Classifier(save()).probabilities(faces[::-2, :, ::-1]),
        Classifier(save()).probabilities(np.ascontiguousarray(faces[::-2, :, ::-1])),
    )


def test_seven_emotions(brightness_model: Path) -> None:
    classifier = Classifier(brightness_model, threads=1)
    faces = np.stack([np.full((48, 48), round(255 * k / 6), np.uint8) for k in range(7)])
    assert classifier.classes == EMOTIONS
    result = classifier.probabilities(faces)
    np.testing.assert_array_equal(result.argmax(axis=1), np.arange(7))
    np.testing.assert_allclose(result.sum(axis=1), 1, atol=1e-5)


def test_threads_share_one_classifier(brightness_model: Path) -> None:
    classifier = Classifier(brightness_model)
    jobs = [np.full((n, 48, 48), (37 * n) % 256, np.uint8) for n in range(1, 80)]
    alone = [classifier.probabilities(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(classifier.probabilities, jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    "faces", [np.zeros((2, 48, 48)), np.zeros((48, 48), np.uint8), np.zeros((1, 227, 227), "u1"), np.zeros((0,), "u1")]
)
def test_faces_of_another_shape_are_refused(save: Save, faces: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"expected faces of shape \(N, 48, 48\) in uint8, got \("):
        Classifier(save()).probabilities(faces)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx: cannot read the model"):
        Classifier(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="cannot read the model"):
        Classifier(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "overwritten"])
def test_a_corrupt_file_is_told_in_one_line_without_noise(
    save: Save, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save()
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"this is no model\n" * 100,
        "truncated": content[: len(content) // 2],
        "overwritten": content[:50] + b"\xff" * 200 + content[250:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=r"tiny\.onnx: expected an ONNX model, onnxruntime reports: .+") as raised:
        Classifier(path)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_model_without_a_card(save: Save) -> None:
    with pytest.raises(ModelError, match=r"tiny\.onnx: the ONNX file has no model card"):
        Classifier(save(card=None))


def test_a_damaged_card_names_the_file(save: Save) -> None:
    with pytest.raises(ModelError, match=r"tiny\.onnx: the model card is damaged"):
        Classifier(save(card="{"))


@pytest.mark.parametrize("name", [b"mien.card", b"faces", b"probabilities"])
def test_names_that_are_no_text_are_refused_without_noise(
    save: Save, name: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save()
    path.write_bytes(path.read_bytes().replace(name, b"\xfe" + name[1:]))
    with pytest.raises(ModelError, match=r"tiny\.onnx: .*(no text|onnxruntime reports)"):
        Classifier(path)
    assert capfd.readouterr() == ("", "")


FLOAT, DOUBLE, UINT8 = 1, 11, 2


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"faces": ("faces", FLOAT, ["N", 1, 48, 48])}, r"expected the input .*uint8.*, got .*float"),
        ({"faces": ("faces", UINT8, ["N", 1, 64, 64])}, r"faces \(N, 1, 48, 48\).*got faces \(N, 1, 64, 64\)"),
        ({"faces": ("faces", UINT8, ["N", 48, 48])}, r"got faces \(N, 48, 48\)"),
        ({"faces": ("faces", UINT8, [1, 1, 48, 48])}, r"got faces \(1, 1, 48, 48\)"),
        ({"faces": ("pixels", UINT8, ["N", 1, 48, 48])}, "got pixels"),
        ({"output": ("logits", FLOAT, ["N", 3])}, r"expected the output probabilities \(N, 3\).*got logits"),
        ({"output": ("probabilities", DOUBLE, ["N", 3])}, "got probabilities .*double"),
        ({"output": ("probabilities", FLOAT, ["N", 4]), "classes": 4}, r"\(N, 3\).*got probabilities \(N, 4\)"),
    ],
)
def test_a_graph_with_other_ends_is_refused(save: Save, broken: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Classifier(save(**broken))


def test_an_output_of_undeclared_width_is_checked_when_it_comes(save: Save) -> None:
    classifier = Classifier(save(output=("probabilities", FLOAT, ["N", "C"]), width_known=False))
    with pytest.raises(ModelError, match=r"expected output of shape \(1, 3\), got \(1, 2\)"):
        classifier.probabilities(np.ones((1, 48, 48), np.uint8))


def test_unknown_providers_name_the_known_ones(save: Save) -> None:
    with pytest.raises(ConfigError, match=r"providers of .*CPUExecutionProvider.*, got WarpDrive"):
        Classifier(save(), providers=["CPUExecutionProvider", "WarpDrive"])
    with pytest.raises(ConfigError, match="got none"):
        Classifier(save(), providers=[])


def test_a_named_provider_serves(save: Save) -> None:
    classifier = Classifier(save(), providers=["CPUExecutionProvider"], threads=2)
    np.testing.assert_allclose(classifier.probabilities(faces_of([255]))[0], [1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_start_at_one(save: Save, threads: int) -> None:
    with pytest.raises(ConfigError, match="expected at least 1 thread"):
        Classifier(save(), threads=threads)


@pytest.mark.parametrize(
    ("int8", "entries"),
    [
        ("fast", ("", "")),
        ("exact", ("1", "")),
        ("float", ("", "1")),
    ],
)
def test_int8_becomes_an_option_of_the_session(save: Save, int8: Int8Path, entries: tuple[str, str]) -> None:
    classifier = Classifier(save(), int8=int8)
    options = classifier._session.get_session_options()
    assert classifier.int8.path == int8
    for key, value in zip(("session.x64quantprecision", "session.disable_quant_qdq"), entries, strict=True):
        if value:
            assert options.get_session_config_entry(key) == value
        else:
            with pytest.raises(RuntimeError, match=key):
                options.get_session_config_entry(key)


def test_int8_goes_by_the_cpus_flags_unless_told(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, path in (({"sse2", "avx2"}, "exact"), ({"sse2", "avx2", "avx_vnni"}, "fast"), ({"neon"}, "fast")):
        monkeypatch.setattr(runtime_classifier, "cpu_flags", lambda flags=flags: flags)
        assert Classifier(save()).int8.path == path
    with pytest.raises(ConfigError, match="expected int8 to be one of auto"):
        Classifier(save(), int8="quick")  # type: ignore[arg-type]
