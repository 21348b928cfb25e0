"""A window that shows the frames of a stream, and the keys that are pressed in it."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, MissingExtraError

NO_WINDOW: Final = (
    "no window can open here (no display): the page of `mien serve` shows the camera in a browser, "
    "and `no_window=True` with `record=FILE` and `seconds=N` does without"
)


class Action(StrEnum):
    """What a key asks for."""

    PAUSE = "pause"
    SAVE = "save"
    RECORD = "record"
    COVER = "cover"
    LABELS = "labels"
    QUIT = "quit"


KEYS: Final = MappingProxyType(
    {
        "space": Action.PAUSE,
        "s": Action.SAVE,
        "r": Action.RECORD,
        "e": Action.COVER,
        "l": Action.LABELS,
        "q": Action.QUIT,
    }
)
"""The keys, in the order in which the window names them. Esc and the window's own button quit too; h hides the line."""

_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "SDL_VIDEODRIVER")
"""The environment variables of which Linux has one where there may be a display."""

_FONT_FILE: Final = Path(__file__).parents[1] / "assets" / "fonts" / "DejaVuSans.ttf"
_TEXT: Final = 13
_PAD: Final = 6
_GAP: Final = 14
_INK: Final = (245, 245, 245)
_PALE: Final = (186, 186, 192)
_RED: Final = (255, 92, 92)
_PLATE: Final = (20, 20, 24, 200)
_LARGEST: Final = 0.9
"""The fraction of the screen that a window takes at most when it opens."""


class Window:
    """One window on this machine's screen; it opens with the first frame, in its size where the screen is large enough.

    A picture keeps its sides' ratio however the window is pulled. All methods belong to the thread that made the window
    (systems want the main one). Raises MissingExtraError without pygame, ConfigError where no window can open.
    """

    def __init__(self, title: str) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError:
            raise MissingExtraError("a window", "window") from None
        self._pygame: Any = pygame
        if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
            raise ConfigError(NO_WINDOW)  # SDL's libraries would complain on standard error first
        try:
            pygame.display.init()
        except pygame.error as error:
            raise ConfigError(NO_WINDOW) from error
        # Without a display, SDL falls back in silence to a driver that shows nothing.
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy") and os.environ.get("SDL_VIDEODRIVER") != driver:
            pygame.display.quit()
            raise ConfigError(NO_WINDOW)
        pygame.font.init()
        self._font = pygame.font.Font(str(_FONT_FILE), _TEXT)
        pygame.display.set_caption(title)
        self._screen: Any = None
        self._image: NDArray[np.uint8] | None = None
        self._status = self._alert = ""
        self._hidden = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
        self._pygame.font.quit()

    def show(self, image: NDArray[np.uint8], status: str, alert: str = "") -> None:
        """Show a picture (H, W, 3) uint8 BGR, and over its bottom a line: an alert in red, the status, and the keys."""
        self._image, self._status, self._alert = image, status, alert
        if self._screen is None:
            self._open(image.shape[1], image.shape[0])
        self._draw()

    def actions(self) -> list[Action]:
        """What was asked for since the last call. Call it often: a system takes a window that nobody asks for hung."""
        pygame, asked, stale = self._pygame, [], False
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                asked.append(Action.QUIT)
            elif event.type == pygame.KEYDOWN:
                name = "q" if event.key == pygame.K_ESCAPE else pygame.key.name(event.key)
                if name in KEYS:
                    asked.append(KEYS[name])
                elif name == "h":
                    self._hidden, stale = not self._hidden, True
            elif event.type in (pygame.VIDEORESIZE, pygame.WINDOWEXPOSED):
                stale = True
        if stale and self._screen is not None:
            self._draw()
        return asked

    def _open(self, width: int, height: int) -> None:
        pygame = self._pygame
        across, down = pygame.display.get_desktop_sizes()[0]
        scale = min(1.0, _LARGEST * across / width, _LARGEST * down / height)
        size = max(1, round(scale * width)), max(1, round(scale * height))
        try:
            self._screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            raise ConfigError(NO_WINDOW) from error

    def _draw(self) -> None:
        pygame, image = self._pygame, self._image
        assert image is not None
        screen = self._screen = pygame.display.get_surface()
        across, down = screen.get_size()
        left, top, width, height = placed(image.shape[1], image.shape[0], across, down)
        if (width, height) != (image.shape[1], image.shape[0]):
            way = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (width, height), interpolation=way), np.uint8)
        if (width, height) != (across, down):
            screen.fill((0, 0, 0))
        screen.blit(pygame.image.frombuffer(np.ascontiguousarray(image), (width, height), "BGR"), (left, top))
        if not self._hidden:
            self._draw_line(screen, across, down)
        pygame.display.flip()

    def _draw_line(self, screen: Any, across: int, down: int) -> None:
        """The line at the bottom. The keys move to a second one where there is no room, and go where there is still
        none.
        """
        texts = [
            self._font.render(text, True, ink) for text, ink in ((self._alert, _RED), (self._status, _INK)) if text
        ]
        keys = self._font.render(HINTS, True, _PALE)
        if sum(piece.get_width() + _GAP for piece in (*texts, keys)) + _GAP <= across:
            rows = [[*texts, keys]]
        else:
            rows = [texts, [keys]] if keys.get_width() + 2 * _GAP <= across else [texts]
        height = self._font.get_height() * len(rows) + 2 * _PAD
        plate = self._pygame.Surface((across, height), self._pygame.SRCALPHA)
        plate.fill(_PLATE)
        for number, row in enumerate(rows):
            x = _GAP
            for piece in row:
                plate.blit(piece, (x, _PAD + number * self._font.get_height()))
                x += piece.get_width() + _GAP
        screen.blit(plate, (0, down - height))


HINTS: Final = ", ".join([*(f"{key} {action}" for key, action in KEYS.items()), "h hide"])


def placed(width: int, height: int, across: int, down: int) -> tuple[int, int, int, int]:
    """Where a picture of this width and height stands in a window: left, top, width, height; as large as fits."""
    scale = min(across / width, down / height)
    shown = max(1, min(across, round(scale * width))), max(1, min(down, round(scale * height)))
    return (across - shown[0]) // 2, (down - shown[1]) // 2, *shown
