"""The npm package in Node.js, installed from its tarball, against Python."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien import load
from mien.emotions import EMOTIONS
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model
from mien.service.site import write_site

from ..conftest import YUNET_FILE, needs_yunet
from .npm_project import MODULES, NAME, Project, snippet
from .parity import ASTRONAUT, assert_alike, assert_probabilities, faces, rolled

pytestmark = needs_yunet


def grey_pictures() -> list[NDArray[np.uint8]]:
    return [np.ascontiguousarray(np.repeat(face[..., None], 3, axis=2)) for face in faces()]


def pythons(image: NDArray[np.uint8], **options: Any) -> dict[str, Any]:
    return load(detector="yunet", detector_model=YUNET_FILE, **options).analyze(image).to_dict(landmarks=True)


def test_the_tarball_holds_what_it_needs_and_nothing_else(npm_project: Project) -> None:
    with tarfile.open(npm_project.tarball) as tarball:
        sizes = {member.name.removeprefix("package/"): member.size for member in tarball}
    named = {name for name in sizes if not name.startswith("engine-")}
    assert named == {
        *("package.json", "README.md", "LICENSE", "LICENSES.txt", "index.d.ts", "record.d.ts"),
        *("browser.js", "node.js", "worker.js", "model.onnx", "yunet.onnx"),
        *("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    }
    assert npm_project.tarball.stat().st_size < 7_500_000
    about = json.loads((npm_project.package / "package.json").read_text())
    assert (about["name"], about["version"], about["license"]) == (NAME, mien.__version__, "Apache-2.0")
    assert "dependencies" not in about
    licenses = (npm_project.package / "LICENSES.txt").read_text(encoding="utf-8")
    assert all(words in licenses for words in ("Shiqi Yu", "Microsoft Corporation", "THIRD PARTY"))
    runtime = MODULES / "onnxruntime-web" / "dist" / "ort.wasm.bundle.min.mjs"
    script = (npm_project.package / runtime.name).read_text(encoding="utf-8")
    assert runtime.read_text(encoding="utf-8").startswith(script)
    assert "sourceMappingURL" not in script
    assert npm_project.installed == [NAME]


def test_photos_get_pythons_records(npm_project: Project) -> None:
    images = [rolled(degrees) for degrees in (0, -25, 90, 180, 250)]
    [got] = npm_project.analyzed({"pictures": images})
    for record, image in zip(got, images, strict=True):
        expected = pythons(image)
        assert expected["faces"]
        assert_alike(record, expected)


@pytest.mark.slow
def test_cropped_faces_get_pythons_probabilities(npm_project: Project) -> None:
    """A rectangle of the whole picture is a face as it is."""
    whole = {"boxes": [{"x": 0, "y": 0, "width": 48, "height": 48}]}
    [got] = npm_project.analyzed({"pictures": grey_pictures(), "each": whole})
    expected = Classifier(find_model()).probabilities(faces())
    rows = np.array([[record["faces"][0]["probabilities"][name] for name in EMOTIONS] for record in got])
    assert_probabilities(rows, expected)
    assert [record["faces"][0]["landmarks"] for record in got] == [None] * len(got)


@pytest.mark.slow
def test_options_do_what_pythons_do(npm_project: Project) -> None:
    covered = ASTRONAUT.copy()
    covered[126:180, 168:282] = 128  # a mouth that is hidden: no probability is 1
    twins = np.ascontiguousarray(np.hstack([covered, cv2.resize(ASTRONAUT, (400, 512))]))
    chosen = {"maxFaces": 1, "order": "size", "detectMode": "thorough", "detectSide": 640, "uncertainBelow": 1}
    named = {"max_faces": 1, "order": "size", "detect_mode": "thorough", "detect_side": 640, "uncertain_below": 1}
    [[one], [all_of_them], none] = npm_project.analyzed(
        {"pictures": [twins], "options": chosen},
        {"pictures": [twins]},
        {"pictures": [twins, twins], "options": {"minFace": 300}},
    )
    assert_alike(one, pythons(twins, **named))
    assert one["faces"][0]["uncertain"] is True
    assert_alike(all_of_them, pythons(twins))
    assert (len(one["faces"]), len(all_of_them["faces"])) == (1, 2)
    assert [record["faces"] for record in none] == [[], []]


def test_transparent_parts_are_white_as_in_python(npm_project: Project) -> None:
    alpha = np.linspace(0, 255, 512).round().astype(np.uint8)[None, :, None].repeat(512, axis=0)
    image = np.ascontiguousarray(np.concatenate([ASTRONAUT, alpha], axis=2))
    [[got]] = npm_project.analyzed({"pictures": [image]})
    assert_alike(got, pythons(image))


def test_a_stream_has_tracks(npm_project: Project) -> None:
    frames = [np.roll(ASTRONAUT, 4 * index, axis=1) for index in range(3)]
    [got] = npm_project.analyzed({"pictures": frames, "each": {"stream": True, "source": "camera"}})
    assert [(record["frame"], record["source"]) for record in got] == [(0, "camera"), (1, "camera"), (2, "camera")]
    assert [[face["track"] for face in record["faces"]] for record in got] == [[1]] * 3


def test_a_site_of_mien_page_brings_its_own_model(npm_project: Project, tmp_path: Path, brightness_model: Path) -> None:
    analyzer = load(brightness_model, detector="none", max_faces=1)
    write_site(analyzer, tmp_path / "my site")
    whole = {"boxes": [{"x": 0, "y": 0, "width": 48, "height": 48}]}
    grey = np.full((48, 48, 3), 255, np.uint8)
    sites = [str(tmp_path / "my site"), (tmp_path / "my site").as_uri() + "/"]
    tasks = [{"pictures": [grey], "options": {"site": site}, "each": whole} for site in sites]
    for [record] in npm_project.analyzed(*tasks):
        assert record["model"] == "brightness-1.0-float32"
        assert record["faces"][0]["emotion"] == EMOTIONS[-1]


def test_what_is_wrong_is_reported_in_one_line(npm_project: Project, tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text("{}")
    options = [
        ({"minFace": -1}, "RangeError: minFace must be 0 pixels or more, got -1"),
        ({"minFaceScore": 2}, "RangeError: minFaceScore must be 0 to 1, got 2"),
        ({"uncertainBelow": "half"}, "RangeError: uncertainBelow must be 0 to 1, got half"),
        ({"maxFaces": 0}, "RangeError: maxFaces must be 1 or more, or null, got 0"),
        ({"detectSide": 63}, "RangeError: detectSide must be 64 pixels or more, or null, got 63"),
        ({"order": "top"}, "RangeError: order must be left or size, got top"),
        ({"detectMode": "slow"}, "RangeError: detectMode must be fast or thorough, got slow"),
        ({"site": str(tmp_path / "gone")}, "Error: cannot read file:"),
        ({"site": str(tmp_path)}, "Error: file:"),
    ]
    got = npm_project.analyzed(*[{"pictures": [], "options": wrong} for wrong, _ in options])
    for result, (_, message) in zip(got, options, strict=True):
        assert result["failure"].startswith(message)
        assert "\n" not in result["failure"]
    assert got[-1]["failure"].endswith("page.json is not what `mien page` writes")


def test_a_picture_that_is_none_is_reported_in_one_line(npm_project: Project) -> None:
    wrong = """
      import { load } from "mien-faces";
      const analyzer = await load();
      const data = new Uint8Array(9 * 9 * 4);
      for (const picture of ["photo.jpg", null, { data: data.subarray(1), width: 9, height: 9 },
          { data, width: 9.5, height: 9 }, { data: [...data], width: 9, height: 9 }]) {
        await analyzer.analyze(picture).catch((error) => console.log(`${error.name}: ${error.message}`));
      }
      console.log((await analyzer.analyze({ data, width: 9, height: 9 })).faces.length);
      analyzer.close();
      await analyzer.analyze({ data, width: 9, height: 9 }).catch((error) => console.log(error.message));
    """
    (npm_project.folder / "wrong.js").write_text(wrong)
    lines = npm_project.run("node", "wrong.js").splitlines()
    no_pixels = "TypeError: expected { data, width, height } with data of RGBA bytes"
    assert lines == [
        no_pixels,
        no_pixels,
        "RangeError: expected width * height * 4 bytes (RGBA) of a picture, 324, got 323",
        "RangeError: expected a picture of some size, got 9.5x9",
        no_pixels,
        "0",
        "the engine was closed",
    ]


def test_the_readmes_example_works(npm_project: Project) -> None:
    """With a stand-in for sharp, which gives the photo's pixels."""
    height, width = ASTRONAUT.shape[:2]
    rgba = np.dstack([ASTRONAUT[..., ::-1], np.full((height, width), 255, np.uint8)])
    sharp = npm_project.folder / "node_modules" / "sharp"
    sharp.mkdir()
    (npm_project.folder / "photo.jpg").write_bytes(rgba.tobytes())
    (sharp / "index.mjs").write_text(
        f"""
        import {{ readFile }} from "node:fs/promises";
        const info = {{ width: {width}, height: {height}, channels: 4 }};
        const same = () => picture;
        const picture = {{ rotate: same, ensureAlpha: same, raw: same }};
        export default (path) => {{
          picture.toBuffer = async () => ({{ data: await readFile(path), info }});
          return picture;
        }};
        """
    )
    (sharp / "package.json").write_text('{"name": "sharp", "main": "index.mjs"}')
    (npm_project.folder / "example.js").write_text(snippet("js"))
    assert "emotion: 'happiness'" in npm_project.run("node", "example.js")


@pytest.mark.parametrize("libraries", ["ES2022,DOM", "ES2022"])
@pytest.mark.parametrize(("module", "resolution"), [("ESNext", "bundler"), ("NodeNext", "NodeNext")])
def test_types_are_checked(npm_project: Project, libraries: str, module: str, resolution: str) -> None:
    in_browsers = """
      const canvas = document.createElement("canvas");
      const frame = new VideoFrame(canvas, { timestamp: 0 });
      for (const image of [new Image(), canvas, frame, document.createElement("video"), new Blob()]) {
        await analyzer.analyze(image);
      }
    """
    consumer = f"""
      import {{ load, type Analyzer, type Face, type PictureRecord }} from "mien-faces";
      const analyzer: Analyzer = await load({{ maxFaces: null, onProgress: (part: number) => void part }});
      const data = new Uint8Array(16);
      const picture = {{ data, width: 1, height: 4 }};
      const record: PictureRecord = await analyzer.analyze(picture, {{ stream: true, timeS: 1 }});
      const face: Face | undefined = record.faces[0];
      const nose: number | undefined = face?.landmarks?.nose.x;
      const yaw: number | undefined = face?.pose?.yaw;
      const likeliest: string | undefined = face?.emotion;
      export const all = [nose, yaw, likeliest, face?.uncertain, face?.probabilities["fear"]];
      // @ts-expect-error
      await analyzer.analyze("photo.jpg");
      // @ts-expect-error
      await load({{ order: "top" }});
      {in_browsers if "DOM" in libraries else ""}
    """
    (npm_project.folder / "consumer.ts").write_text(consumer)
    options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "false", "--types", ""]
    target = ["--target", "ES2022", "--lib", libraries, "--module", module, "--moduleResolution", resolution]
    npm_project.script("typescript/bin/tsc", *options, *target, "consumer.ts")
