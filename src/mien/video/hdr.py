"""HDR pictures (PQ, HLG) as SDR ones: the light that they stand for, compressed to what an SDR display shows.

Each step is a standard's: the codes become light in cd/m² (ITU-R BT.2100-2, tables 4 and 5), highlights are compressed
(the EETF of ITU-R BT.2390, section 5.4.1), the primaries become those of BT.709, and light becomes codes for a display
of BT.1886. White of 203 cd/m², HDR's reference (ITU-R BT.2408), is the brightest that SDR has.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

PQ: Final = 16
HLG: Final = 18
TRANSFERS: Final = {PQ: "PQ", HLG: "HLG"}
"""The transfer characteristics of HDR (ITU-T H.273, table 3), and their names."""

_PEAK: Final = 1000.0
"""What light is compressed from, in cd/m²: the peak of HLG's reference display, and of most that is graded in PQ."""

_WHITE: Final = 203.0
_GAMMA: Final = 2.4
_CODES: Final = 65_536
FULL: Final = 65_280
"""The code of 16 bits that swscale gives for the highest one of a video in YUV, of whatever depth."""

_ROWS: Final = 16
"""Rows that are converted together: few enough for a CPU's cache, which takes a third of the time."""

_D65: Final = (0.3127, 0.3290)
_PRIMARIES: Final = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
"""x and y of red, green and blue (ITU-T H.273, table 2): BT.709, BT.2020, P3."""


def to_sdr(image: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """An SDR picture of BT.709, (H, W, 3) uint8 BGR, of an HDR one, (H, W, 3) uint16 BGR whose codes reach FULL.

    transfer is one of TRANSFERS; primaries that are unknown or not named are taken for BT.2020.
    """
    light, codes = _light(transfer), _sdr_codes()
    matrix = _to_bt709(primaries if primaries in _PRIMARIES else 9)
    out = np.empty(image.shape, np.uint8)
    for row in range(0, len(image), _ROWS):
        rows = slice(row, row + _ROWS)
        converted = cv2.transform(light.take(image[rows]), matrix)  # clips what lies outside
        out[rows] = codes.take(np.asarray(converted, np.uint16))
    return out


@cache
def _light(transfer: int) -> NDArray[np.uint16]:
    """The compressed light of each code of 16 bits, 65535 for white.

    HLG's OOTF is applied to each channel, as SDR's own rendering is: exact for grays, a little more colorful else.
    """
    code = (np.arange(_CODES) / FULL).clip(0, 1)
    light = _pq_light(code) if transfer == PQ else _PEAK * _hlg_scene(code) ** 1.2
    return np.asarray(np.rint((_CODES - 1) * (_compressed(light) / _WHITE).clip(0, 1)), np.uint16)


@cache
def _sdr_codes() -> NDArray[np.uint8]:
    """The code of eight bits for each light of 16 bits."""
    return np.asarray(np.rint(255 * (np.arange(_CODES) / (_CODES - 1)) ** (1 / _GAMMA)), np.uint8)


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ's EOTF: codes 0..1 to cd/m²."""
    power = code ** (1 / _M2)
    return np.asarray(10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _pq_code(light: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The inverse of PQ's EOTF: cd/m² to codes 0..1."""
    power = (np.asarray(light) / 10_000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _hlg_scene(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of HLG's OETF: codes 0..1 to the scene's light 0..1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _compressed(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light up to _PEAK brought below _WHITE, in cd/m²: unchanged up to 93 cd/m², from there on along a spline."""
    peak = _pq_code(_PEAK)
    code, white = (_pq_code(light) / peak).clip(0, 1), _pq_code(_WHITE) / peak
    knee = 1.5 * white - 0.5
    t = ((code - knee) / (1 - knee)).clip(0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return _pq_light(np.where(code < knee, code, spline) * peak)


@cache
def _to_bt709(primaries: int) -> NDArray[np.float64]:
    """The matrix from light of these primaries to that of BT.709, for BGR."""
    matrix = np.linalg.inv(_to_xyz(1)) @ _to_xyz(primaries)
    return np.ascontiguousarray(matrix[::-1, ::-1])


def _to_xyz(primaries: int) -> NDArray[np.float64]:
    """The matrix from RGB to XYZ (SMPTE RP 177)."""
    colors = np.array([(x / y, 1, (1 - x - y) / y) for x, y in (*_PRIMARIES[primaries], _D65)]).T
    return np.asarray(colors[:, :3] * np.linalg.solve(colors[:, :3], colors[:, 3]))
