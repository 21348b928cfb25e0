"""Covers in a video where no face is reported: just before a face appears, and just after it is lost.

A detector finds a face a little after it came, and loses it now and then. Results are held back for a while, so that
what is known later covers what was before. It goes by the results alone, whatever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.types import Box, Detection, Face

COVER_S: Final = 0.4
"""Seconds before a face appears, and after it is lost, in which its place is covered."""

_MOTION_S: Final = 0.1  # seconds in which a face's motion is measured, after it appeared or before it was lost
_FARTHEST: Final = 1.5  # sides of its box by which a face is taken to have moved, at most
_GROWTH: Final = 0.5  # sides a second by which what is covered grows on each side
_SAME_PLACE: Final = 0.5  # IoU from which on a place is that of a face which is covered anyway
_STILL: Final = 16.0  # mean difference of coarse colors, 0..255, below which two frames show one scene
_ALIKE: Final = 0.7  # correlation of coarse colors, from which on they do so as well
_EPSILON_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is remembered of a frame: its time, its coarse colors (12, 16, 3) float32, its faces by their tracks."""

    time_s: float
    colors: NDArray[np.float32]
    faces: Mapping[int, Face]

    @classmethod
    def of(cls, result: Analysis) -> _Moment:
        step = max(1, min(result.image.shape[:2]) // 96)  # of a large picture, some pixels are enough
        colors = cv2.resize(result.image[::step, ::step], (16, 12), interpolation=cv2.INTER_AREA)
        faces = {face.track: face for face in result.faces if face.track is not None}
        return cls(result.time_s or 0.0, colors.astype(np.float32), faces)


def covered(results: Iterable[Analysis], *, live: bool = False) -> Iterator[Analysis]:
    """The results of a stream, where `unreported` has also the places of faces that were just lost or soon appear.

    A face is taken to be there for COVER_S before and after it is reported, as long as the picture goes on: not beyond
    a cut, but beyond a flash. Its place moves on as it did, and grows. Each result is held back until half a second
    more of the stream is known, with its frame in memory; with live none is, and nothing is known beforehand.
    """
    ahead_s = 0.0 if live else COVER_S + _MOTION_S
    held: list[Analysis] = []
    moments: list[_Moment] = []  # of the frames held, and of some before them
    for result in results:
        held.append(result)
        moments.append(_Moment.of(result))
        while held and moments[-1].time_s - moments[-len(held)].time_s >= ahead_s - _EPSILON_S:
            yield _completed(held, moments)
    while held:
        yield _completed(held, moments)


def _completed(held: list[Analysis], moments: list[_Moment]) -> Analysis:
    """Take the first of the results held, and forget the moments that no later one needs."""
    at = len(moments) - len(held)
    here = moments[at]
    places = tuple(_missing(here, moments[:at][::-1], moments[at + 1 :]))
    while here.time_s - moments[0].time_s > COVER_S + _MOTION_S:
        del moments[0]
    result = held.pop(0)
    return replace(result, unreported=(*result.unreported, *places))


def _missing(here: _Moment, before: Sequence[_Moment], after: Sequence[_Moment]) -> Iterator[Detection]:
    """The places of faces that are reported before or after this moment only. Both sequences lead away from it."""
    taken = [face.box for face in here.faces.values()]
    for others in (before, after):
        for face, others_from in _reported_near(here, others):
            place = _moved(face, here.time_s, others_from)
            if all(place.box.iou(box) < _SAME_PLACE for box in taken):
                taken.append(place.box)
                yield replace(place, box=_grown(place.box, _GROWTH * abs(others_from[0].time_s - here.time_s)))


def _reported_near(here: _Moment, others: Sequence[_Moment]) -> Iterator[tuple[Face, Sequence[_Moment]]]:
    """The faces reported within COVER_S of a moment but not in it, each with the moments from its nearest one on."""
    known, goes_on, last = set(here.faces), True, here
    for number, other in enumerate(others):
        if abs(other.time_s - here.time_s) > COVER_S + _EPSILON_S:
            return
        goes_on = goes_on and _is_one_scene(last, other)
        last = other
        new = [track for track in other.faces if track not in known]
        # After a flash the scene is the one before it, though the flash itself is another one.
        if new and (goes_on or _is_one_scene(here, other)):
            known.update(new)
            for track in new:
                yield other.faces[track], others[number:]


def _moved(face: Face, time_s: float, moments: Sequence[_Moment]) -> Detection:
    """Where a face was or will be at a time, by its motion in the moments from its nearest one on."""
    near, box = moments[0], face.box
    far = near
    for moment in moments:
        if abs(moment.time_s - near.time_s) > _MOTION_S + _EPSILON_S:
            break
        if face.track in moment.faces:
            far = moment
    detection = Detection(box, face.score, face.landmarks)
    if face.track is None or far.time_s == near.time_s:
        return detection
    steps = (time_s - near.time_s) / (far.time_s - near.time_s)
    other = far.faces[face.track].box
    x = steps * (other.x - box.x + (other.width - box.width) / 2)
    y = steps * (other.y - box.y + (other.height - box.height) / 2)
    most = _FARTHEST * max(box.width, box.height)
    shorter = min(1.0, most / max(abs(x), abs(y), most))
    return detection.moved(1, 1, shorter * x, shorter * y)


def _grown(box: Box, by: float) -> Box:
    """The box with this fraction of its longer side more on each side."""
    more = by * max(box.width, box.height)
    return Box(box.x - more, box.y - more, box.width + 2 * more, box.height + 2 * more)


def _is_one_scene(one: _Moment, other: _Moment) -> bool:
    """Whether two frames show one scene, as far as their coarse colors show. Where it is not clear, they do.

    Motion from one frame to the next changes them a little; a change of light changes them all alike.
    """
    if float(cv2.absdiff(one.colors, other.colors).mean()) < _STILL:
        return True
    first, second = (colors - colors.mean() for colors in (one.colors, other.colors))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return size > 0 and float((first * second).sum()) >= _ALIKE * size
