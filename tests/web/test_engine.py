"""The engine in the browser against Python: the same numbers from the same pixels, in real Chromium."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien import load
from mien.emotions import EMOTIONS
from mien.runtime.classifier import Classifier
from mien.runtime.crops import CropRule, crop_face, to_grey
from mien.runtime.detectors import YuNetDetector
from mien.runtime.prior import reweighted
from mien.runtime.weights import find_model
from mien.types import Box

from ..conftest import YUNET_FILE, needs_yunet
from .engine_tab import Tab, packed, png, unpacked
from .parity import ASTRONAUT, assert_alike, assert_probabilities, faces, rolled

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def classified(tab: Tab, engine: str, sent: NDArray[np.uint8]) -> NDArray[np.float32]:
    result = tab.run(f"async (faces) => text(await {engine}.classify(bytes(faces.data)))", packed(sent))
    return unpacked(result, np.float32, len(sent), len(EMOTIONS))


def test_the_shipped_model_predicts_as_in_python(tab: Tab) -> None:
    """WebAssembly sums products of 8 bits in 32 bits, as VNNI does."""
    sent = faces()
    expected = Classifier(find_model()).probabilities(sent)
    got = classified(tab, "engine", sent)
    assert_probabilities(got, expected)
    assert len(set(got.argmax(axis=1))) >= 3


def _random_alexnet(folder: Path) -> Path:
    """An AlexNet of random weights in float32, with a temperature so low that its probabilities are far from even."""
    torch = pytest.importorskip("torch")
    from mien.training.checkpoint import Description, save
    from mien.training.export import export
    from mien.training.network import AlexNetConfig, build

    torch.manual_seed(0)
    config = AlexNetConfig(input_size=99, width=0.25, hidden=(64, 64), mirror=True)
    weights = {f"model.{name}": value for name, value in build(config).state_dict().items()}
    described = Description(EMOTIONS, {"network": config.to_dict()}, {}, {}, (), temperature=0.01)
    save(folder / "random.safetensors", described, weights)
    export(folder / "random.safetensors", folder / "random.onnx")
    return folder / "random.onnx"


@pytest.mark.slow
def test_another_prior_changes_predictions_as_in_python(tab: Tab) -> None:
    """A page whose service was started with `--prior` names its weights; even probabilities stay even."""
    sent = np.concatenate([faces(), np.full((1, 48, 48), 90, np.uint8)])
    weights = np.array([1.6, 14.8, 4.7, 0.5, 0.4, 1.0, 1.2])
    expected = reweighted(Classifier(find_model()).probabilities(sent), weights)
    tab.run(
        "async (weights) => { globalThis.prior = await openEngine({ ...config, prior_weights: weights }); }",
        weights.tolist(),
    )
    try:
        got = classified(tab, "prior", sent)
    finally:
        tab.run("() => prior.close()")
    assert_probabilities(got, expected)
    assert np.abs(got[-1] - 1 / 7).max() < 1e-6
    assert (expected.argmax(1) != classified(tab, "engine", sent).argmax(1)).any()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["brightness", "AlexNet"])
def test_a_float32_model_predicts_as_in_python(
    tab: Tab, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = request.getfixturevalue("brightness_model") if kind == "brightness" else _random_alexnet(tmp_path)
    sent = faces()
    expected = Classifier(path).probabilities(sent)
    tab.page.route("**/engine/float32.onnx", lambda route: route.fulfill(body=path.read_bytes()))
    tab.run(
        """async () => {
          const engine = { model: "engine/float32.onnx", detector: null };
          globalThis.float32 = await openEngine({ ...config, engine });
        }"""
    )
    try:
        got = classified(tab, "float32", sent)
        assert tab.run("() => float32.canDetect") is False
    finally:
        tab.run("() => float32.close()")
        tab.page.unroute("**/engine/float32.onnx")
    assert np.abs(got - expected).max() <= 1e-3
    assert len(set(expected.argmax(axis=1))) >= 2


@needs_yunet
@pytest.mark.parametrize("side", [120, 512, 1900])
def test_yunet_detects_what_it_detects_in_python(tab: Tab, side: int) -> None:
    image = np.asarray(cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    expected = YuNetDetector(YUNET_FILE).detect(image)
    got = tab.run("async (image) => engine.detect(await bitmap(image))", png(image))
    assert len(got) == len(expected) >= 1
    for one, other in zip(got, expected, strict=True):
        assert one["score"] == pytest.approx(other.score, abs=1e-3)
        assert one["box"] == pytest.approx(asdict(other.box), abs=0.002 * other.box.height)
        points = [(point["x"], point["y"]) for point in one["landmarks"]]
        np.testing.assert_allclose(points, np.array(other.landmarks), atol=0.002 * other.box.height)


@needs_yunet
@pytest.mark.parametrize("degrees", [0, -25, 90, 180, 250])
def test_a_photo_gets_pythons_record(tab: Tab, degrees: float) -> None:
    image = rolled(degrees)
    expected = load(detector="yunet", detector_model=YUNET_FILE).analyze(image).to_dict()
    got = tab.run("async (image) => engine.analyze(await bitmap(image), { source: null })", png(image))
    assert expected["faces"]  # two where the border mirrors the first
    assert_alike(got, expected)


@needs_yunet
def test_a_stream_has_frames_tracks_and_smoothed_predictions(tab: Tab) -> None:
    frames = [png(np.roll(ASTRONAUT, 4 * index, axis=1)) for index in range(4)]
    records = tab.run(
        """async (frames) => {
          engine.reset();
          const records = [];
          for (const [index, frame] of frames.entries()) {
            records.push(await engine.analyze(await bitmap(frame), { stream: true, timeS: index / 10 }));
          }
          engine.reset();
          records.push(await engine.analyze(await bitmap(frames[0]), { stream: true }));
          return records;
        }""",
        frames,
    )
    assert [record["frame"] for record in records] == [0, 1, 2, 3, 0]
    assert [record["time_s"] for record in records[:4]] == [0, 0.1, 0.2, 0.3]
    assert 0 <= records[4]["time_s"] < 1
    assert [[face["track"] for face in record["faces"]] for record in records] == [[1]] * 5
    assert {record["faces"][0]["emotion"] for record in records} == {"happiness"}


@pytest.mark.parametrize("box", [Box(166, 56, 114, 114), Box(176, 56, 94, 114), Box(166, 66, 114, 94)])
def test_a_drawn_rectangle_is_classified_as_the_square_around_it(tab: Tab, box: Box) -> None:
    record = tab.run(
        "async ([image, boxes]) => engine.analyze(await bitmap(image), { boxes, source: 'a.png' })",
        [png(ASTRONAUT), [asdict(box)]],
    )
    crop = crop_face(to_grey(ASTRONAUT), Box(166, 56, 114, 114), CropRule())
    [expected] = Classifier(find_model()).probabilities(crop[None])
    [face] = record["faces"]
    assert (face["box"], face["score"], face["track"]) == (asdict(box), None, None)
    assert list(face["probabilities"].values()) == pytest.approx(expected, abs=1e-3)
    assert (record["source"], record["frame"], record["time_s"]) == ("a.png", None, None)


def test_what_is_transparent_lies_on_white(tab: Tab) -> None:
    clear = np.dstack([ASTRONAUT, np.zeros((512, 512), np.uint8)])
    white = np.full((512, 512, 3), 255, np.uint8)
    ask = """async (image) => {
      const boxes = [{ x: 0, y: 0, width: 99, height: 99 }];
      return engine.analyze(await bitmap(image), { boxes });
    }"""
    assert tab.run(ask, png(clear)) == tab.run(ask, png(white))


@pytest.mark.slow
def test_without_a_network_it_works_on(chromium: Browser, service: str) -> None:
    """Also: progress rises to 1, no request goes to another host, and a strict policy is enough."""
    with chromium.new_context() as context:
        tab = Tab(context.new_page(), service)
        progress = tab.run(
            """async () => {
              const parts = [];
              globalThis.engine = await openEngine(config, { onProgress: (part) => parts.push(part) });
              return parts;
            }"""
        )
        assert progress == sorted(progress)
        assert progress[-1] == 1
        assert all(url.startswith((service, "blob:")) for url in tab.requests)
        before = len(tab.requests)
        context.set_offline(True)
        got = classified(tab, "engine", faces()[:3])
        assert np.abs(got - Classifier(find_model()).probabilities(faces()[:3])).max() <= 0.001
        assert tab.run(
            """async (image) => {
              const options = { boxes: [{ x: 166, y: 56, width: 114, height: 114 }] };
              return (await engine.analyze(await bitmap(image), options)).faces[0].emotion;
            }""",
            png(ASTRONAUT),
        )
        assert len(tab.requests) == before
        assert tab.messages == []
        assert "script-src 'self' 'wasm-unsafe-eval';" in tab.policy
        assert "worker-src 'self';" in tab.policy


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (lambda route: route.fulfill(status=404), "Error: cannot fetch the model: the server responded with 404"),
        (lambda route: route.fulfill(status=401), "Error: cannot fetch the model: the server needs its key"),
        (lambda route: route.abort(), "Error: cannot fetch the model: the server does not respond"),
        (lambda route: route.fulfill(body=b"no model"), "Error: the model cannot be opened: "),
    ],
    ids=["missing", "key", "gone", "damaged"],
)
def test_a_failure_to_open_is_reported_in_one_line(tab: Tab, respond: Callable[[Any], None], message: str) -> None:
    tab.page.route("**/engine/model.onnx", respond)
    try:
        error = tab.run("() => failure(openEngine(config))")
    finally:
        tab.page.unroute("**/engine/model.onnx")
    assert error.startswith(message)
    assert "\n" not in error


def test_a_worker_that_does_not_start_is_reported(tab: Tab) -> None:
    tab.page.route("**/assets/worker-*.js", lambda route: route.fulfill(status=404))
    try:
        error = tab.run("() => failure(openEngine(config))")
    finally:
        tab.page.unroute("**/assets/worker-*.js")
    assert error == "Error: the engine cannot run in this browser"


def test_the_key_goes_with_what_is_guarded(tab: Tab) -> None:
    seen = {}

    def respond(route: Any) -> None:
        seen[route.request.url.rsplit("/", 1)[1]] = route.request.headers.get("authorization")
        route.continue_()

    tab.page.route("**/*", respond)
    try:
        tab.run("async () => (await openEngine(config, { key: 'secret' })).close()")
    finally:
        tab.page.unroute("**/*")
    assert seen.pop("model.onnx") == "Bearer secret"
    assert seen.pop("yunet.onnx", "Bearer secret") == "Bearer secret"
    assert set(seen.values()) == {None}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ("engine.analyze(image, { boxes: [{ x: 0, y: 0, width: 0, height: 5 }] })", "Error: expected a rectangle of"),
        ("engine.analyze(image, { boxes: [{ x: NaN, y: 0, width: 5, height: 5 }] })", "Error: expected a rectangle of"),
        ("engine.classify(new Uint8Array(2305))", "Error: expected faces of 2304 bytes each, got 2305"),
        (
            "(engine.analyze(image, { boxes: [] }), engine.analyze(image))",
            "Error: this picture was transferred already",
        ),
        (
            "(engine.reset(), engine.analyze(image, { stream: true, timeS: -1, boxes: [] }))",
            "Error: expected a frame's time of 0 seconds or later, got -1",
        ),
    ],
)
def test_an_invalid_request_is_reported_in_one_line(tab: Tab, ask: str, message: str) -> None:
    error = tab.run(
        f"async (picture) => {{ const image = await bitmap(picture); return failure({ask}); }}", png(ASTRONAUT)
    )
    assert error.startswith(message)
    assert "\n" not in error


def test_a_closed_engine_rejects_requests(tab: Tab) -> None:
    error = tab.run(
        """async () => {
          const engine = await openEngine({ ...config, engine: { ...config.engine, detector: null } });
          const detection = await failure(engine.analyze(await createImageBitmap(new ImageData(9, 9))));
          const running = failure(engine.classify(new Uint8Array(2304 * 64)));
          engine.close();
          return [detection, await running, await failure(engine.classify(new Uint8Array(2304)))];
        }"""
    )
    assert error == [
        "Error: there is no face detector here: mark the face yourself",
        "Error: the engine was closed",
        "Error: the engine was closed",
    ]
