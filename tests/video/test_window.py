from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from mien.errors import ConfigError, MissingExtraError
from mien.video.window import HINTS, NO_WINDOW, Action, Window, placed

pygame = pytest.importorskip("pygame")


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    """A window that SDL keeps in memory."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with Window("test") as window:
        yield window


def pixels() -> np.ndarray:
    """What the window holds, (H, W, 3) RGB."""
    return pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)


def press(*keys: str) -> None:
    for key in keys:
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))


def plain(width: int, height: int, bgr: tuple[int, int, int]) -> np.ndarray:
    return np.full((height, width, 3), bgr, np.uint8)


def test_a_frame_opens_the_window_in_its_size_and_colors(window: Window) -> None:
    window.show(plain(320, 240, (10, 100, 200)), "")
    shown = pixels()
    assert shown.shape == (240, 320, 3)
    assert (shown[:150] == (200, 100, 10)).all()
    assert pygame.display.get_caption()[0] == "test"


def test_a_frame_larger_than_the_screen_is_made_smaller(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pygame.display, "get_desktop_sizes", lambda: [(1000, 500)])
    window.show(plain(3840, 2160, (0, 0, 255)), "")
    assert pixels().shape == (450, 800, 3)
    assert (pixels()[0, 0] == (255, 0, 0)).all()


def test_a_pulled_window_keeps_the_pictures_ratio(window: Window) -> None:
    window.show(plain(320, 240, (255, 255, 255)), "")
    pygame.display.set_mode((640, 240), pygame.RESIZABLE)
    window.actions()
    window.show(plain(320, 240, (255, 255, 255)), "")
    shown = pixels()[:150]
    assert (shown[:, :160] == 0).all()
    assert (shown[:, 160:480] == 255).all()
    assert (shown[:, 480:] == 0).all()


@pytest.mark.parametrize(
    ("picture", "window", "expected"),
    [
        ((640, 480), (640, 480), (0, 0, 640, 480)),
        ((640, 480), (1280, 960), (0, 0, 1280, 960)),
        ((640, 480), (100, 480), (0, 202, 100, 75)),
        ((4000, 10), (300, 200), (0, 99, 300, 1)),
    ],
)
def test_where_a_picture_is_placed(
    picture: tuple[int, int], window: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert placed(*picture, *window) == expected


def test_the_line_holds_an_alert_the_status_and_the_keys_as_far_as_they_fit(window: Window) -> None:
    def ink(width: int, status: str, alert: str = "") -> np.ndarray:
        pygame.display.set_mode((width, 300))
        window.show(plain(width, 300, (0, 0, 0)), status, alert)
        return pixels()

    window.show(plain(900, 300, (0, 0, 0)), "")
    empty = ink(900, "")
    told = ink(900, "30 frames/s", "● 00:12")
    is_red = (told[:, :, 0] > 200) & (told[:, :, 1] < 120)
    assert is_red.any()
    assert not ((empty[:, :, 0] > 200) & (empty[:, :, 1] < 120)).any()
    keys_width = window._font.size(HINTS)[0]
    in_one = (told.max(axis=2) > 40).any(axis=1).sum()
    in_two = (ink(keys_width + 40, "30 frames/s").max(axis=2) > 40).any(axis=1).sum()
    without = (ink(keys_width - 40, "30 frames/s").max(axis=2) > 40).any(axis=1).sum()
    assert in_two > 1.5 * in_one
    assert without < 1.2 * in_one
    assert without > 0


def test_h_hides_the_line_and_brings_it_back(window: Window) -> None:
    window.show(plain(640, 200, (255, 255, 255)), "30 frames/s")
    assert (pixels()[-5] < 255).all()
    press("h")
    assert window.actions() == []
    assert (pixels() == 255).all()
    press("h")
    window.actions()
    assert (pixels()[-5] < 255).all()


def test_keys_become_actions_in_their_order(window: Window) -> None:
    window.actions()
    press("s", "space", "x", "r", "e", "l", "escape", "q")
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    asked = [Action.SAVE, Action.PAUSE, Action.RECORD, Action.COVER, Action.LABELS, *[Action.QUIT] * 3]
    assert window.actions() == asked
    assert window.actions() == []


def test_where_sdl_would_show_nothing_an_error_says_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(pygame.display, "init", lambda: None)
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    with pytest.raises(ConfigError, match="mien serve") as caught:
        Window("test")
    assert str(caught.value) == NO_WINDOW
    assert "`no_window=True`" in NO_WINDOW
    assert "\n" not in NO_WINDOW


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_without_a_display_there_is_one_line_and_no_noise() -> None:
    gone = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "SDL_VIDEODRIVER")
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    code = "from mien.video.window import Window, ConfigError\ntry: Window('x')\nexcept ConfigError as e: print(e)"
    for extra in ({}, {"DISPLAY": ":987"}):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, **extra},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == NO_WINDOW
        assert "Traceback" not in done.stderr
        assert extra or done.stderr == ""


def test_without_pygame_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"a window needs .*mien\[window\]"):
        Window("test")


IN_XVFB = """
import numpy as np, pygame
from PIL import ImageGrab
from mien.video.window import Window

with Window("Mien under Xvfb") as window:
    assert pygame.display.get_driver() == "x11", pygame.display.get_driver()
    asked = []
    for key in (pygame.K_SPACE, pygame.K_h, pygame.K_q):
        for _ in range(20):
            window.show(np.full((240, 320, 3), (20, 120, 240), np.uint8), "30 frames/s")
            asked += window.actions()
            pygame.time.wait(5)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    asked += window.actions()
    screen = np.asarray(ImageGrab.grab(xdisplay="").convert("RGB"))
print(*asked, int((screen == (240, 120, 20)).all(axis=2).sum()))
"""


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb")
def test_a_real_window_shows_the_frame_and_hears_keys() -> None:
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            number = server.stdout.readline().strip()
            environment = {name: value for name, value in os.environ.items() if name != "SDL_VIDEODRIVER"}
            done = subprocess.run(
                [sys.executable, "-c", IN_XVFB],
                env={**environment, "DISPLAY": f":{number}"},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
        finally:
            server.terminate()
    assert done.returncode == 0, done.stderr
    pause, quits, area = done.stdout.splitlines()[-1].split()
    assert (pause, quits) == ("pause", "quit")
    assert int(area) == 320 * 240  # the line is hidden
