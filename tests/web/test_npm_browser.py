"""The npm package in Chromium, installed from its tarball, against Python: as files, and through a bundler."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mien import load
from mien.emotions import EMOTIONS
from mien.service.site import write_site

from ..conftest import YUNET_FILE, needs_yunet
from .engine_tab import png
from .file_server import file_server
from .npm_project import Project, snippet
from .parity import ASTRONAUT, assert_alike, rolled

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [needs_yunet, pytest.mark.slow]

HEAD = '<!doctype html><meta charset="utf-8"><title>empty</title><link rel="icon" href="data:,">'
PAGE = """<script type="module">
  import { load } from "./node_modules/mien-faces/browser.js";
  window.load = load;
</script>
"""
PREPARE = """async () => {
  globalThis.bitmap = ({ png }) => fetch(`data:image/png;base64,${png}`).then((response) => response.blob())
    .then(createImageBitmap);
  globalThis.failure = (promise) => promise.then(() => "no failure", (error) => `${error.name}: ${error.message}`);
  globalThis.analyzer = await load();
}"""


@contextlib.contextmanager
def watched(chromium: Browser, address: str, wrong: list[str]) -> Iterator[Page]:
    """A page. In wrong is at the end what failed, what was logged, and what went to another host."""
    host = address[: address.index("/", len("http://"))]
    context = chromium.new_context()
    page = context.new_page()
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("response", lambda response: response.ok or wrong.append(f"{response.status} {response.url}"))
    page.on("request", lambda request: request.url.startswith((host, "data:", "blob:")) or wrong.append(request.url))
    page.goto(address)
    yield page
    context.close()


@pytest.fixture(scope="module")
def tab(chromium: Browser, npm_project: Project) -> Iterator[Page]:
    """A page without a bundler: it imports the package's file."""
    (npm_project.folder / "index.html").write_text(HEAD + PAGE)
    wrong: list[str] = []
    with file_server(npm_project.folder) as address, watched(chromium, address, wrong) as page:
        page.wait_for_function("() => window.load !== undefined")
        page.evaluate(PREPARE)
        yield page
    assert wrong == []


def pythons(image: np.ndarray[Any, np.dtype[np.uint8]]) -> dict[str, Any]:
    return load(detector="yunet", detector_model=YUNET_FILE).analyze(image).to_dict(landmarks=True)


@pytest.mark.parametrize("degrees", [0, -25, 90, 180, 250])
def test_photos_get_pythons_records(tab: Page, degrees: float) -> None:
    image = rolled(degrees)
    expected = pythons(image)
    assert expected["faces"]
    assert_alike(tab.evaluate("async (image) => analyzer.analyze(await bitmap(image))", png(image)), expected)


SOURCES = {
    "img": """async (image, picture) => {
      const element = new Image();
      element.src = `data:image/png;base64,${picture.png}`;
      return element;
    }""",
    "blob": "async (image, picture) => (await fetch(`data:image/png;base64,${picture.png}`)).blob()",
    "bitmap": "async (image) => image",
    "canvas": "async (image) => canvasOf(image)",
    "offscreen canvas": "async (image) => offscreenOf(image)",
    "ImageData": "async (image) => canvasOf(image).getContext('2d').getImageData(0, 0, image.width, image.height)",
    "pixels": """async (image) => {
      const { data } = canvasOf(image).getContext("2d").getImageData(0, 0, image.width, image.height);
      return { data: new Uint8Array(data), width: image.width, height: image.height };
    }""",
    "wide colors": """async (image) => {
      const settings = { colorSpace: "display-p3" };
      return canvasOf(image).getContext("2d").getImageData(0, 0, image.width, image.height, settings);
    }""",
    "VideoFrame": "async (image) => new VideoFrame(canvasOf(image), { timestamp: 0 })",
    "video": """async (image) => {
      const video = document.createElement("video");
      const canvas = canvasOf(image);
      video.srcObject = canvas.captureStream();
      video.muted = true;
      const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      await video.play();
      canvas.getContext("2d").drawImage(image, 0, 0);
      await shown;
      return video;
    }""",
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_picture_is_read(tab: Page, source: str) -> None:
    """A picture is still the caller's afterwards, so it may be read twice.

    Video and another color space change colors a little.
    """
    first, second = tab.evaluate(
        """async ([source, picture]) => {
          const drawn = (canvas, image) => {
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas;
          };
          const size = ({ width, height }) => ({ width, height });
          globalThis.canvasOf = (image) => drawn(Object.assign(document.createElement("canvas"), size(image)), image);
          globalThis.offscreenOf = (image) => drawn(new OffscreenCanvas(image.width, image.height), image);
          const image = await (0, eval)(source)(await bitmap(picture), picture);
          return [await analyzer.analyze(image), await analyzer.analyze(image)];
        }""",
        [SOURCES[source], png(ASTRONAUT)],
    )
    expected = pythons(ASTRONAUT)
    assert first == second
    assert (first["width"], first["height"]) == (512, 512)
    if source in {"video", "VideoFrame", "wide colors"}:
        [face], [other] = first["faces"], expected["faces"]
        assert face["emotion"] == other["emotion"]
        assert face["box"] == pytest.approx(other["box"], abs=2)
        return
    assert_alike(first, expected)


def test_once_loaded_it_needs_no_network(tab: Page) -> None:
    tab.context.set_offline(True)
    try:
        record = tab.evaluate("() => analyzer.analyze({ data: new Uint8Array(400), width: 10, height: 10 })")
    finally:
        tab.context.set_offline(False)
    assert record["faces"] == []


def test_it_runs_within_a_worker(tab: Page, npm_project: Project) -> None:
    (npm_project.folder / "within.js").write_text(
        """
        import { load } from "./node_modules/mien-faces/browser.js";
        self.onmessage = async ({ data }) => {
          const missing = await load({ site: "./gone" }).catch((error) => error.message);
          const { faces } = await (await load()).analyze(data);
          self.postMessage([faces[0].emotion, missing]);
        };
        """
    )
    tab.route("**/gone/*", lambda route: route.fulfill(body="{}"))
    emotion, missing = tab.evaluate(
        """async (image) => {
          const worker = new Worker("./within.js", { type: "module" });
          worker.postMessage(await bitmap(image));
          return new Promise((resolve) => { worker.onmessage = ({ data }) => resolve(data); });
        }""",
        png(ASTRONAUT),
    )
    assert emotion == "happiness"
    assert missing.endswith("/gone/page.json is not what `mien page` writes")


def test_a_stream_has_tracks_and_another_begins_anew(tab: Page) -> None:
    records = tab.evaluate(
        """async (image) => {
          const picture = await bitmap(image);
          const records = [];
          for (const timeS of [0, 0.1]) records.push(await analyzer.analyze(picture, { stream: true, timeS }));
          analyzer.reset();
          records.push(await analyzer.analyze(picture, { stream: true, timeS: 0 }));
          analyzer.reset();
          return records;
        }""",
        png(ASTRONAUT),
    )
    assert [(record["frame"], record["faces"][0]["track"]) for record in records] == [(0, 1), (1, 1), (0, 1)]


def test_what_is_wrong_is_reported_in_one_line(tab: Page) -> None:
    got = tab.evaluate(
        """async () => {
          const closed = await load({ maxFaces: 1 });
          closed.close();
          const pixels = { data: new Uint8Array(400), width: 10, height: 10 };
          return Promise.all([
            failure(analyzer.analyze("photo.jpg")),
            failure(analyzer.analyze(document.createElement("video"))),
            failure(analyzer.analyze(Object.assign(document.createElement("canvas"), { width: 0 }))),
            failure(analyzer.analyze(Object.assign(new Image(), { src: "data:image/png;base64,AAAA" }))),
            failure(analyzer.analyze({ ...pixels, width: 9 })),
            failure(analyzer.analyze(pixels, { boxes: [{ x: 0, y: 0, width: 0, height: 1 }] })),
            failure(load({ order: "top" })),
            failure(closed.analyze(pixels)),
          ]);
        }"""
    )
    assert all(line.startswith("Error: cannot read the picture: ") for line in got[:4])
    assert got[4:] == [
        "RangeError: expected width * height * 4 bytes (RGBA) of a picture, 360, got 400",
        "Error: expected a rectangle of some size, got 0, 0, 0, 1",
        "RangeError: order must be left or size, got top",
        "Error: the engine was closed",
    ]
    assert all("\n" not in line for line in got)


def test_a_site_of_mien_page_brings_its_own_model(
    built_page: None, tab: Page, npm_project: Project, brightness_model: Path
) -> None:
    shutil.rmtree(npm_project.folder / "my site", ignore_errors=True)
    write_site(load(brightness_model, detector="none"), npm_project.folder / "my site")
    record = tab.evaluate(
        """async () => {
          const parts = [];
          const own = await load({ site: "my site", onProgress: (part) => parts.push(part) });
          const picture = { data: new Uint8Array(400).fill(255), width: 10, height: 10 };
          const record = await own.analyze(picture, { boxes: [{ x: 0, y: 0, width: 10, height: 10 }] });
          return { ...record, classes: own.classes, parts };
        }"""
    )
    assert record["model"] == "brightness-1.0-float32"
    assert record["classes"] == list(EMOTIONS)
    assert record["faces"][0]["emotion"] == EMOTIONS[-1]
    assert record["parts"] == sorted(record["parts"])
    assert record["parts"][-1] == 1


@pytest.mark.slow
def test_the_readmes_example_works_through_a_bundler(
    chromium: Browser, npm_project: Project, astronaut_file: Path
) -> None:
    page = npm_project.folder / "bundled"
    page.mkdir()
    shutil.copyfile(astronaut_file, page / "photo.png")
    (page / "index.html").write_text(HEAD + snippet("html").replace("photo.jpg", "photo.png"))
    npm_project.script("vite/bin/vite.js", "build", "bundled", "--base", "./", "--outDir", "../host/some/folder")
    wrong: list[str] = []
    host = npm_project.folder / "host"
    with file_server(host) as address, watched(chromium, f"{address}some/folder/", wrong) as tab:
        tab.locator("#out").get_by_text(re.compile("^happiness 100 % at 1[67]")).wait_for()
    assert wrong == []
