"""Every file that is opened on the page is accounted for, and what the page says of it stays."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from .visits import Visit, choose, read, start_camera

if TYPE_CHECKING:
    from playwright.sync_api import Page

GIVE_FILES = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, text] of files) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
    : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""
NOTES = ("notes.txt", "text/plain", b"words")
FILM = ("film.mp4", "video/mp4", b"frames")
PLAN = ("plan.pdf", "application/pdf", b"%PDF")
File = tuple[str, str, bytes]


@pytest.fixture
def meadow(tmp_path: Path) -> bytes:
    """A picture without a face, as PNG."""
    Image.new("RGB", (40, 30), (90, 120, 90)).save(tmp_path / "meadow.png")
    return (tmp_path / "meadow.png").read_bytes()


def give(page: Page, kind: str, *files: File) -> None:
    """Choose, paste or drop files of these names, types and contents."""
    if kind == "choose":
        payload = [{"name": name, "mimeType": type_, "buffer": content} for name, type_, content in files]
        page.locator("input[type=file]").set_input_files(payload)  # type: ignore[arg-type]
    else:
        page.evaluate(GIVE_FILES, [kind, [(*file[:2], base64.b64encode(file[2]).decode()) for file in files]])


def test_each_file_is_read_failed_or_passed_over_by_name(visit: Visit, service: str, meadow: bytes) -> None:
    page = visit(service)
    empty, broken = ("empty.jpg", "image/jpeg", b""), ("broken.png", "image/png", b"no picture")
    for number, kind in enumerate(("choose", "paste", "drop"), 1):
        meadows = [(f"{index}.png", "image/png", meadow) for index in range(number)]
        give(page, kind, NOTES, *meadows, empty, FILM, broken, ("untyped", "", meadow))
        page.get_by_text(f"{5 + number} files: {1 + number} read, 2 not read, 2 passed over").wait_for()
        if kind == "choose":
            page.locator(".account summary").click()
        lines = page.locator(".account li").all_inner_texts()
        assert [line.split(":")[0].split(" ")[0] for line in lines] == [
            *("empty.jpg", "broken.png", "notes.txt", "film.mp4")
        ]
        reasons = ["This file is empty", "cannot read it as a picture", "is not a picture file", "is a video"]
        assert all(reason in line for line, reason in zip(lines, reasons, strict=True))
        page.get_by_role("status").get_by_text("2 files passed over: notes.txt, film.mp4.").wait_for()


def test_files_of_which_none_is_a_picture_are_all_named(visit: Visit, service: str) -> None:
    page = visit(service)
    give(page, "drop", NOTES)
    page.get_by_role("alert").get_by_text("notes.txt is not a picture file.").wait_for()
    give(page, "drop", NOTES, FILM, PLAN, ("song.mp3", "audio/mpeg", b"sound"))
    alert = page.get_by_role("alert")
    alert.get_by_text("4 files passed over: notes.txt, film.mp4, plan.pdf and 1 more.").wait_for()
    alert.get_by_text("Which").click()
    assert [line.split()[0] for line in alert.locator("li").all_inner_texts()] == [
        *("notes.txt", "film.mp4", "plan.pdf", "song.mp3")
    ]


@pytest.mark.slow
def test_what_is_said_of_files_stays_until_the_user_closes_it(
    visit: Visit, service: str, meadow: bytes, astronaut_file: Path
) -> None:
    """Neither records, nor other photos, nor a switch of the backend, nor a note of another owner wipe it."""
    page = visit(service, expected="503")
    problem = {"title": "Service Unavailable", "status": 503, "detail": "too many pictures wait"}
    busy = [True]

    def respond(route: Any) -> None:
        if not busy:
            route.fallback()
            return
        busy.clear()
        headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
        route.fulfill(status=503, headers=headers, body=json.dumps(problem))

    page.route("**/v1/predict", respond)
    pictures = [(f"{number}.png", "image/png", meadow) for number in range(35)]
    give(page, "choose", *pictures, NOTES)
    note = page.get_by_text("Only the first 30 of 35 pictures are read. 1 file passed over: notes.txt.")
    note.wait_for()
    page.get_by_text("The service is busy.").wait_for()
    page.get_by_text("36 files: 30 read, 6 passed over").wait_for()
    assert page.get_by_text("The service is busy.").count() == 0
    page.keyboard.press("ArrowRight")
    page.get_by_role("switch", name="Cover faces").check()
    assert note.is_visible()
    page.get_by_role("button", name="Close this message").click()
    note.wait_for(state="detached")
    give(page, "choose", *pictures)
    page.get_by_text("Only the first 30 of 35 pictures are read.", exact=True).wait_for()
    choose(page, astronaut_file)  # all of these are read
    assert read(page) == "happiness"
    assert page.locator(".message, .account").count() == 0


def test_a_note_goes_with_the_photos_that_it_is_about(visit: Visit, service: str, meadow: bytes) -> None:
    page = visit(service)
    for leave in (
        lambda: page.get_by_role("button", name="Close", exact=True).click(),
        lambda: page.keyboard.press("c"),
    ):
        give(page, "choose", ("one.png", "image/png", meadow), NOTES)
        page.get_by_text("notes.txt is not a picture file.").first.wait_for()
        leave()
        page.locator(".message").wait_for(state="detached")


def test_files_passed_over_do_not_stop_the_camera(visit: Visit, service: str) -> None:
    page = visit(service)
    start_camera(page)
    give(page, "drop", NOTES)
    page.get_by_role("alert").get_by_text("notes.txt is not a picture file.").wait_for()
    assert page.locator(".pace").is_visible()


def test_try_again_tries_all_that_failed(visit: Visit, service: str, meadow: bytes) -> None:
    """But not the files themselves that no try can read."""
    page = visit(service, expected="500|ERR_FAILED")
    fails = {"first": True}
    page.route("**/v1/predict", lambda route: route.abort() if fails["first"] else route.fallback())
    pictures = [(f"{number}.png", "image/png", meadow) for number in range(4)]
    give(page, "choose", *pictures, ("broken.png", "image/png", b"no picture"))
    page.get_by_text("5 files: 5 not read").wait_for()
    fails["first"] = False
    page.get_by_role("button", name=re.compile("cannot be read")).click()  # whichever is shown
    page.get_by_role("button", name="Try again (4)").click()
    page.get_by_text("5 files: 4 read, 1 not read").wait_for()
    assert page.get_by_role("button", name="Try again").count() == 0
