"""Records of many faces, which the page gets in place of the service's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .visits import GIVE_FILLED

if TYPE_CHECKING:
    from playwright.sync_api import Page

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
Box = tuple[float, float, float, float]


def grid(columns: int, rows: int, width: float, height: float, step: float) -> list[Box]:
    return [(step * column + 10, step * row + 10, width, height) for column in range(columns) for row in range(rows)]


def show(page: Page, boxes: list[Box], size: tuple[int, int], color: str = "#000") -> list[str]:
    """Open a picture of one color on which the service has read faces at these places. Their emotions."""
    emotions = [EMOTIONS[index % 7] for index in range(len(boxes))]
    faces = []
    for (x, y, width, height), emotion in zip(boxes, emotions, strict=True):
        values = dict.fromkeys(EMOTIONS, 0.05) | {emotion: 0.7}
        faces.append(
            {
                "box": {"x": x, "y": y, "width": width, "height": height},
                **{"score": 0.9, "emotion": emotion, "confidence": 0.7, "uncertain": False, "track": None},
                "probabilities": values,
            }
        )
    record: dict[str, Any] = {"schema": 1, "model": "m", "source": None, "frame": None, "time_s": None}
    record |= {"width": size[0], "height": size[1], "faces": faces, "error": None}
    page.route("**/v1/predict", lambda route: route.fulfill(json=record))
    page.evaluate(GIVE_FILLED, [*size, color])
    page.locator(".card:not(.empty)").first.wait_for()
    return emotions


def point(page: Page, x: float, y: float, size: tuple[int, int]) -> tuple[float, float]:
    """Where a pixel of the picture is in the viewport."""
    canvas = page.locator(".picture").bounding_box()
    assert canvas is not None
    scale = min(canvas["width"] / size[0], canvas["height"] / size[1])
    left = canvas["x"] + (canvas["width"] - scale * size[0]) / 2
    top = canvas["y"] + (canvas["height"] - scale * size[1]) / 2
    return left + scale * x, top + scale * y
