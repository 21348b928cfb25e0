"""95 % intervals: how far a fraction that was counted may lie from the true one."""

from __future__ import annotations

from typing import Final

Interval = tuple[float, float]

_Z: Final = 1.959964
"""The normal distribution's 97.5th percentile."""


def wilson(hits: int, n: int) -> Interval:
    """The 95 % score interval (low, high), 0..1, of a fraction of which hits in n were counted; n is at least 1.

    After Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. Unlike the
    normal approximation it stays within 0..1 and holds for few rows and for fractions near 0 and 1 (Brown, Cai and
    DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001).
    """
    fraction = hits / n
    scale = 1 + _Z**2 / n
    middle = (fraction + _Z**2 / (2 * n)) / scale
    half = _Z / scale * (fraction * (1 - fraction) / n + _Z**2 / (4 * n**2)) ** 0.5
    return min(fraction, max(0.0, middle - half)), max(fraction, min(1.0, middle + half))
