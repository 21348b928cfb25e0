"""Photos on the page in real Chromium, against a real service."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import Analyzer

from .visits import (
    GIVE_FILLED,
    KEEP_WORDS,
    PHONE,
    Visit,
    choose,
    likeness,
    read,
    saved,
    wait_until,
)

if TYPE_CHECKING:
    pass

GIVE_FILE = """([kind, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "astronaut.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
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
    page.get_by_role("switch", name="Cover faces").check()
    hidden = saved(page)

    assert boxed.shape == hidden.shape == astronaut_image.shape
    box = analyzer.analyze(astronaut_image).faces[0].box
    inside = np.s_[round(box.y) : round(box.y + box.height), round(box.x) : round(box.x + box.width)]
    assert likeness(boxed[inside], astronaut_image[inside]) > 0.7
    assert likeness(hidden[inside], astronaut_image[inside]) < 0.1
    corners = hidden[inside][[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert (corners[:, 0] < 140).all()  # opaque yellow, or its dark edge
    assert (corners[:, 2] > 150).all()
