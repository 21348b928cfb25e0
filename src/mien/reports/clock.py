"""Times as people read them, and where to put them along an axis."""

from __future__ import annotations

from typing import Final

_STEPS: Final = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
)


def clock_time(seconds: float, *, tenths: bool = False) -> str:
    """A time as m:ss, or h:mm:ss from an hour on, rounded down as clocks do; with tenths of a second if asked for."""
    count = int(seconds * 10 + 1e-6)  # 0.3 * 10 is a little less than 3
    whole, tenth = divmod(count, 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"{text}.{tenth}" if tenths else text


def spoken_time(seconds: float, *, tenths: bool = False) -> str:
    """A length of time in words: 8.4 s, 2 min 5 s, 1 h 3 min; with tenths also 2 min 5.3 s, below an hour."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    count = round(10 * seconds)
    if tenths and count < 36000 and count % 600:
        return f"{count // 600} min {count % 600 / 10:.1f} s"
    whole = round(seconds)
    (large, unit), (small, minor) = (
        ((whole // 60, "min"), (whole % 60, "s"))
        if whole < 3600
        else ((round(seconds / 60) // 60, "h"), (round(seconds / 60) % 60, "min"))
    )
    return f"{large} {unit} {small} {minor}" if small else f"{large} {unit}"


def axis_ticks(start: float, end: float, *, most: int = 9) -> list[float]:
    """At most `most` round times from start to end, in seconds."""
    step = next((step for step in _STEPS if (end - start) / step < most), (end - start) / (most - 1))
    first, last = -int(-start // step), int(end // step + 1e-9)
    return [i * step for i in range(first, last + 1)]
