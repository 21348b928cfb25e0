"""The page in real Chromium, against a real service: photos, camera, keys, and what it must never do."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import Analyzer
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

from .visits import (
    GIVE_FILLED,
    KEEP_WORDS,
    PHONE,
    PICTURE,
    Visit,
    choose,
    likeness,
    read,
    saved,
    start_camera,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
GIVE_FILE = """([kind, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "astronaut.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""
COVERED = """() => {
  const canvas = document.querySelector(".timeline-row canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 3 && value > 0).length / (canvas.width * canvas.height);
}"""
PATCH = """([pictured, x, y, width, height]) => {
  const canvas = document.querySelector(".picture");
  const scale = Math.min(canvas.width / pictured, canvas.height / 400);
  const left = (canvas.width - pictured * scale) / 2;
  const top = (canvas.height - 400 * scale) / 2;
  const area = [left + x * scale, top + y * scale, width * scale, height * scale].map(Math.round);
  const { data } = canvas.getContext("2d").getImageData(...area);
  let bright = 0;
  for (let at = 0; at < data.length; at += 4) bright += data[at] > 100;
  return bright / (data.length / 4);
}"""
YELLOW = """() => {
  const canvas = document.querySelector(".picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] > 220 && data[at + 1] > 185 && data[at + 2] < 130 && data[at + 2] > 20) count += 1;
  }
  return count / (canvas.width * canvas.height);
}"""


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))


def test_a_chosen_photo_is_read_and_shown(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    assert "never stored" in page.locator(".privacy").inner_text()
    assert "(this computer)" in page.locator(".privacy").inner_text()
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    assert page.locator(".card .bars li").count() == 7
    assert re.search(r"happiness\s*(9\d|100) %", page.locator(".card .bars").inner_text().replace("\n", " "))
    page.get_by_text(re.compile(r"1 face: happiness \d+ %\.")).wait_for(state="attached")
    assert "happiness" in str(page.get_by_role("img").first.get_attribute("aria-label"))


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_photo_is_pasted_or_dropped(visit: Visit, service: str, astronaut_file: Path, kind: str) -> None:
    page = visit(service)
    page.evaluate(GIVE_FILE, [kind, base64.b64encode(astronaut_file.read_bytes()).decode()])
    assert read(page) == "happiness"


def test_several_photos_can_be_gone_through(visit: Visit, service: str, astronaut_file: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (90, 120, 90)).save(tmp_path / "meadow.png")
    page = visit(service)
    choose(page, astronaut_file, tmp_path / "meadow.png")
    assert read(page) == "happiness"
    page.keyboard.press("ArrowRight")
    page.get_by_text("No face found", exact=True).wait_for()
    page.get_by_role("button", name=re.compile("astronaut.png: 1 face")).click()
    assert read(page) == "happiness"


def test_a_file_that_is_no_picture_is_reported(visit: Visit, service: str, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page = visit(service)
    choose(page, tmp_path / "notes.png")
    page.get_by_role("alert").get_by_text("notes.png").wait_for()
    page.get_by_role("alert").get_by_text("cannot read it as a picture").wait_for()
    assert page.get_by_role("button", name="Try again").count() == 0  # another try would fail too


def test_among_several_the_first_readable_photo_is_shown(
    visit: Visit, service: str, astronaut_file: Path, tmp_path: Path
) -> None:
    """Those that cannot be read are marked, and each shows its own reason."""
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    page = visit(service)
    choose(page, tmp_path / "text.jpg", tmp_path / "empty.jpg", astronaut_file)
    assert read(page) == "happiness"
    tiles = page.locator(".strip button")
    assert [tiles.nth(i).get_attribute("aria-current") for i in range(3)] == ["false", "false", "true"]
    assert page.locator(".strip .failed").count() == 2
    assert page.locator(".message, .failure").count() == 0
    for number, reason in enumerate(["text.jpg\nThis browser cannot read it", "empty.jpg\nThis file is empty"]):
        tiles.nth(number).click()
        assert page.locator(".failure").inner_text().replace("\n\n", "\n").startswith(reason)
        assert "0 %" not in page.locator(".card").inner_text()
    tiles.nth(2).click()
    assert read(page) == "happiness"
    assert page.locator(".failure").count() == 0


def test_each_of_many_faces_has_a_label_that_hides_none(visit: Visit, service: str, astronaut_file: Path) -> None:
    """Of faces that stand close, at a phone's width."""
    columns, rows = 5, 4
    boxes = [
        {"x": 100 * column + 38, "y": 100 * row + 22, "width": 32, "height": 36}
        for row in range(rows)
        for column in range(columns)
    ]
    values = {"anger": 0.0, "disgust": 0.0, "fear": 0.0, "happiness": 1.0, "neutral": 0.0, "sadness": 0.0}
    shared = {"score": 0.9, "emotion": "happiness", "confidence": 1.0, "uncertain": False, "track": None}
    faces = [{"box": box, **shared, "probabilities": {**values, "surprise": 0.0}} for box in boxes]
    record = {"schema": 1, "model": "m", "source": None, "frame": None, "time_s": None, "width": 500, "height": 400}
    page = visit(service, expected="willReadFrequently", viewport=PHONE)
    page.evaluate(KEEP_WORDS)
    page.route("**/v1/predict", lambda route: route.fulfill(json={**record, "faces": faces, "error": None}))
    page.evaluate(GIVE_FILLED, [500, 400, "#000"])
    assert read(page) == "happiness"
    page.get_by_text("20 faces", exact=False).wait_for(state="attached")
    numbers = {str(number) for number in range(1, 21)}
    wait_until(page, lambda: {text.split()[0] for text in page.evaluate("[...written]")} == numbers)
    for box in boxes:
        assert page.evaluate(PATCH, [500, box["x"] + 8, box["y"] + 8, box["width"] - 16, box["height"] - 16]) == 0


def test_an_uncertain_prediction_has_a_question_mark(visit: Visit, service: str, astronaut_file: Path) -> None:
    values = {"anger": 0.1, "disgust": 0.0, "fear": 0.41, "happiness": 0.1, "neutral": 0.1, "sadness": 0.1}
    face = {
        "box": {"x": 170, "y": 60, "width": 90, "height": 110},
        **{"score": 0.9, "emotion": "fear", "confidence": 0.41, "uncertain": True, "track": None},
        "probabilities": {**values, "surprise": 0.19},
    }
    record = {"schema": 1, "model": "m", "source": None, "frame": None, "time_s": None, "width": 512, "height": 512}
    page = visit(service)
    page.route("**/v1/predict", lambda route: route.fulfill(json={**record, "faces": [face], "error": None}))
    choose(page, astronaut_file)
    assert read(page) == "fear?"
    page.get_by_text("uncertain", exact=True).wait_for()
    assert page.locator(".card .emoji.pale img").count() == 2


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned by EXIF"])
def test_emoji_hide_the_whole_face(
    visit: Visit,
    service: str,
    analyzer: Analyzer,
    astronaut_image: NDArray[np.uint8],
    tmp_path: Path,
    turned: bool,
) -> None:
    """What is saved has nothing of the face left, whereas with boxes it has."""
    path = tmp_path / "astronaut.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1  # to be turned by a quarter clockwise
    stored = np.rot90(astronaut_image) if turned else astronaut_image
    Image.fromarray(np.ascontiguousarray(stored[:, :, ::-1])).save(path, quality=95, exif=exif)
    page = visit(service)
    choose(page, path)
    assert read(page) == "happiness"
    boxed = saved(page)
    page.get_by_role("switch", name="Emoji only").check()
    hidden = saved(page)

    assert boxed.shape == hidden.shape == astronaut_image.shape
    box = analyzer.analyze(astronaut_image).faces[0].box
    inside = np.s_[round(box.y) : round(box.y + box.height), round(box.x) : round(box.x + box.width)]
    assert likeness(boxed[inside], astronaut_image[inside]) > 0.7
    assert likeness(hidden[inside], astronaut_image[inside]) < 0.1
    corners = hidden[inside][[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert (corners[:, 0] < 140).all()  # opaque yellow, or its dark edge
    assert (corners[:, 2] > 150).all()


def test_the_camera_is_read_live_and_let_go(visit: Visit, service: str) -> None:
    page = visit(service, expected="willReadFrequently")
    with page.expect_websocket() as opened:
        start_camera(page)
    assert read(page) == "happiness"
    assert re.search(r"\d+ frames/s · \d+ ms", page.locator(".pace").inner_text())
    assert page.get_by_role("switch", name="Mirror").is_checked()
    before = page.evaluate(COVERED)
    wait_until(page, lambda: page.evaluate(COVERED) > before + 0.015)  # one second is a sixtieth
    page.get_by_text("1 face: happiness.").wait_for(state="attached")
    page.get_by_role("button", name="Stop camera").click()
    page.get_by_role("heading", name="What does this face show?").wait_for()
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended"]
    wait_until(page, opened.value.is_closed)
    assert page.locator("[aria-live=polite]").inner_text() == ""  # of a face that is not seen any more


def test_no_live_frame_shows_a_face_without_its_emoji(visit: Visit, service: str) -> None:
    page = visit(service, expected="willReadFrequently")
    start_camera(page)
    assert page.evaluate(YELLOW) < 0.02
    page.get_by_role("switch", name="Emoji only").check()
    bare = set()

    def is_hidden() -> bool:
        picture = page.evaluate(PICTURE)
        hidden: bool = page.evaluate(YELLOW) > 0.03
        if not hidden:
            bare.add(picture)
        return hidden

    wait_until(page, is_hidden)
    assert len(bare) <= 2  # what was shown last, and that veiled
    for _ in range(12):
        assert page.evaluate(YELLOW) > 0.03
        page.wait_for_timeout(70)


def test_a_live_frame_is_anonymous_only_with_its_own_record(visit: Visit, service: str) -> None:
    """With emoji only, no newer frame is shown under the emoji of an older one: without records the picture stands."""
    held = False

    def relay(channel: WebSocketRoute) -> None:
        server = channel.connect_to_server()
        server.on_message(lambda record: None if held else channel.send(record))

    def has_moved() -> bool:
        """Within more than a turn of the film, which takes half a second."""
        seen = set()
        for _ in range(6):
            seen.add(page.evaluate(PICTURE))
            page.wait_for_timeout(110)
        return len(seen) > 1

    page = visit(
        service,
        expected="willReadFrequently",
        prepare=lambda page: page.route_web_socket("**/v1/stream", relay),
    )
    start_camera(page)
    for hides in (False, True):
        held = False
        page.get_by_role("switch", name="Emoji only").set_checked(hides)
        if hides:
            wait_until(page, lambda: page.evaluate(YELLOW) > 0.03)
        held = True
        if hides:
            wait_until(page, lambda: not has_moved())  # records of earlier frames may still come
        else:
            assert any(has_moved() for _ in range(10))


def test_a_restarted_service_is_found_again(visit: Visit, built_page: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def slow_clock(page: Page) -> None:
        """A face that comes back within 15 s is taken for the same one, and a service may take long to start."""
        page.add_init_script("const now = performance.now.bind(performance); performance.now = () => now() / 20;")

    with serving(port) as address:
        page = visit(address, expected="WebSocket connection|ERR_CONNECTION_REFUSED", prepare=slow_clock)
        start_camera(page)
        assert read(page) == "happiness"
    page.get_by_text("Reconnecting…").wait_for()
    assert page.locator(".card:not(.empty)").count() == 0  # nothing stale
    with serving(port):
        page.locator(".pace").wait_for()
        assert read(page) == "happiness"
        assert page.locator(".timeline-row").count() == 1  # the same person
        page.get_by_role("button", name="Stop camera").click()


def test_it_shows_when_the_service_takes_no_more_streams(visit: Visit, built_page: None, analyzer: Analyzer) -> None:
    settings = Settings(max_streams=1)
    with running(create_app(analyzer, settings), settings) as address:
        first = visit(address)
        start_camera(first)
        second = visit(address, expected="WebSocket connection")
        second.get_by_role("button", name="Use the camera").click()
        second.get_by_text("The service takes no more streams").wait_for()
        first.get_by_role("button", name="Stop camera").click()
        second.locator(".pace").wait_for()


@contextmanager
def serving(port: int) -> Iterator[str]:
    """A service in a process of its own."""
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port), "--detector", "haar"]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 120
            is_ready = False
            while not is_ready:
                assert time.monotonic() < until, "waited in vain"
                try:
                    is_ready = httpx.get(f"{address}/readyz").is_success
                except httpx.TransportError:
                    assert process.poll() is None, process.stderr and process.stderr.read().decode()
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_need_not_scroll_sideways(visit: Visit, service: str, astronaut_file: Path, width: int) -> None:
    page = visit(service, viewport={**PHONE, "width": width}, has_touch=True, is_mobile=True)
    assert fits(page)
    choose(page, astronaut_file, astronaut_file)
    assert read(page) == "happiness"
    assert fits(page)
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert fits(page)
    page.get_by_role("button", name="Help").click()
    page.get_by_role("heading", name="Keys").wait_for()
    assert fits(page)


def test_all_can_be_done_by_keyboard(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    page.on("filechooser", lambda chooser: chooser.set_files(astronaut_file))
    tab_to(page, "Choose photos…")
    page.keyboard.press("Enter")
    assert read(page) == "happiness"
    tab_to(page, "Emoji only")
    page.keyboard.press("Space")
    assert page.get_by_role("switch", name="Emoji only").is_checked()
    page.keyboard.press("e")
    assert not page.get_by_role("switch", name="Emoji only").is_checked()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Keys").wait_for(state="detached")
    page.get_by_role("button", name="Close").click()
    tab_to(page, "Use the camera")
    page.keyboard.press("c")
    page.locator(".pace").wait_for()
    assert focused(page) == "Stop camera"
    page.keyboard.press("c")
    page.get_by_role("heading", name="What does this face show?").wait_for()
    wait_until(page, lambda: focused(page) == "Use the camera")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText"))


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus; each on the way shows that it has it."""
    for _ in range(20):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
              const one = document.activeElement;
              const shown = [one, one.nextElementSibling].some((e) => e && getComputedStyle(e).outlineStyle !== "none");
              return [one.labels?.[0]?.innerText ?? one.innerText ?? "", shown || one === document.body];
            }"""
        )
        assert focus[1], f"the focus on {focus[0]!r} is not visible"
        if focus[0].strip() == name:
            return
    pytest.fail(f"Tab does not lead to {name!r}")


def test_a_key_is_asked_for_once(visit: Visit, built_page: None, analyzer: Analyzer, astronaut_file: Path) -> None:
    settings = Settings(api_keys=("open sesame".replace(" ", "-"),))
    with running(create_app(analyzer, settings), settings) as address:
        page = visit(address, expected="401")
        choose(page, astronaut_file)
        page.get_by_label("Key", exact=True).fill("something-else")
        page.keyboard.press("Enter")
        page.get_by_text("That key is not right.").wait_for()
        page.get_by_label("Key", exact=True).fill("open-sesame")
        page.get_by_role("button", name="Use this key").click()
        assert read(page) == "happiness"
        page.get_by_role("button", name="Camera").click()
        page.locator(".pace").wait_for()
        page.reload()
        choose(page, astronaut_file)
        assert read(page) == "happiness"
        assert page.get_by_role("dialog").count() == 0


def test_a_camera_with_a_wrong_key_asks_again(visit: Visit, built_page: None, analyzer: Analyzer) -> None:
    settings = Settings(api_keys=("open-sesame",))
    with running(create_app(analyzer, settings), settings) as address:
        page = visit(address, expected="401|WebSocket connection")
        page.get_by_role("button", name="Use the camera").click()
        page.get_by_label("Key", exact=True).fill("something-else")
        page.keyboard.press("Enter")
        page.get_by_text("That key is not right.").wait_for()
        page.get_by_label("Key", exact=True).fill("open-sesame")
        page.keyboard.press("Enter")
        page.locator(".pace").wait_for()
        assert read(page) == "happiness"


def test_a_busy_service_is_asked_once_more(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service, expected="503")
    busy = {"title": "Service Unavailable", "status": 503, "detail": "too many pictures wait: try again later"}
    statuses = [503, None, 503, 503]

    def respond(route: Any) -> None:
        if statuses.pop(0) is None:
            route.fallback()
            return
        headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
        route.fulfill(status=503, headers=headers, body=json.dumps(busy))

    page.route("**/v1/predict", respond)
    choose(page, astronaut_file)
    page.get_by_text("The service is busy. It is asked again in 1 second.").wait_for()
    assert read(page) == "happiness"
    assert page.locator(".message").count() == 0
    choose(page, astronaut_file)
    page.get_by_role("alert").get_by_text("Too many pictures wait").wait_for()
    assert statuses == []
    page.unroute("**/v1/predict")
    page.get_by_role("button", name="Try again").click()
    assert read(page) == "happiness"
    assert page.locator(".message").count() == 0


def test_in_the_browser_no_network_is_needed(
    visit: Visit, built_page: None, analyzer: Analyzer, astronaut_file: Path
) -> None:
    with running(create_app(analyzer, settings := Settings()), settings) as address:
        page = visit(address)
        page.get_by_role("radio", name="In this browser").click()
        page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)
        if not page.evaluate("fetch('page.json').then((response) => response.json())")["engine"]["detector"]:
            pytest.skip("YuNet is neither in the package nor in ../shared/data")
    page.context.set_offline(True)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert read(page) == "happiness"
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == []


def test_without_a_detector_the_user_marks_the_face(
    visit: Visit, service: str, astronaut_file: Path, analyzer: Analyzer, astronaut_image: NDArray[np.uint8]
) -> None:
    """With a mouse and, beginning anew, with keys."""
    about = httpx.get(f"{service}/page.json").json()
    about["engine"]["detector"] = None
    page = visit(service, prepare=lambda page: page.route("**/page.json", lambda route: route.fulfill(json=about)))
    page.get_by_role("radio", name="In this browser").click()
    page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)
    choose(page, astronaut_file)
    page.get_by_text("Draw a rectangle round a face").wait_for()
    page.get_by_role("switch", name="Emoji only").check()  # nothing is covered yet
    page.get_by_text("Switch off “Emoji only” to see the picture").wait_for()
    assert page.get_by_role("button", name="Save PNG").is_disabled()
    page.get_by_role("switch", name="Emoji only").uncheck()
    box = analyzer.analyze(astronaut_image).faces[0].box
    canvas = page.locator(".picture").bounding_box()
    assert canvas is not None
    scale = canvas["height"] / 512
    left = canvas["x"] + (canvas["width"] - canvas["height"]) / 2 + scale * (box.x - 10)
    top = canvas["y"] + scale * box.y
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + scale * (box.width + 20), top + scale * box.height, steps=3)
    page.mouse.up()
    assert read(page) == "happiness"

    page.get_by_role("button", name="Remove rectangles").click()
    page.get_by_text("No face marked", exact=True).wait_for()
    page.get_by_role("application").focus()
    page.keyboard.press("Enter")
    for key, times in (("ArrowUp", 10), ("ArrowLeft", 4), ("Shift+ArrowLeft", 8), ("Shift+ArrowUp", 8)):
        for _ in range(times):
            page.keyboard.press(key)
    page.get_by_role("heading", name=re.compile("happiness", re.I)).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, service: str, astronaut_file: Path, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `npm ci` in web")
    page = visit(service, color_scheme=scheme, reduced_motion="reduce")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert violations(page) == []
    choose(page, astronaut_file, astronaut_file)
    assert read(page) == "happiness"
    assert violations(page) == []
    page.get_by_role("switch", name="Emoji only").check()
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Help").click()
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]
