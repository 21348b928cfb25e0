"""A timeline as a picture: a row a person, with the prediction as a band and the probabilities as stacked areas below
it.

It needs matplotlib, which the extra [video] brings. The picture's format is that of its suffix (.png, .svg, .pdf), and
the file is whole or absent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mien.drawing.colors import Color, ink_on
from mien.errors import ConfigError, MissingExtraError
from mien.evaluation.plots import FORMATS
from mien.files import make_folder, written_aside
from mien.reports.clock import axis_ticks, clock_time
from mien.reports.numbers import missing_numbers
from mien.reports.palette import class_colors
from mien.reports.segments import band, runs_seen
from mien.reports.timeline import Person, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

MOST_PERSONS: Final = 12
"""A chart shows at most this many persons: those who were seen for the longest time."""

_WIDTH: Final = 11.0
_INK, _GREY, _RULE = "#1f2328", "#6b7280", "#d9dde3"


def check_chart(path: str | os.PathLike[str]) -> None:
    """Raise before long work what a chart at this path would raise after it: MissingExtraError or ConfigError."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError("drawing a chart", "video") from None
    if Path(path).suffix.lower() not in FORMATS:
        raise ConfigError(f"a chart ends in {', '.join(sorted(FORMATS))}; got {Path(path).name}")


def save_chart(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Draw the timeline of each person. Raises MissingExtraError without matplotlib, ConfigError on the path."""
    check_chart(path)
    from matplotlib.figure import Figure

    persons = timeline.longest_seen(MOST_PERSONS)
    columns = max(1, int(_WIDTH / (0.45 + 0.085 * max(map(len, _short(timeline.classes)), default=0))))
    head = 0.75 + 0.2 * -(-len(timeline.classes) // columns)
    row = float(np.clip(7.5 / max(len(persons), 1), 0.95, 1.7))
    height = head + row * max(len(persons), 1) + 0.42
    left, right = 0.135, 0.968
    figure = Figure(figsize=(_WIDTH, height), facecolor="white")
    _titles(figure, timeline, len(persons), height)
    if timeline.classes:
        _legend(figure, timeline.classes, columns, height)
    rows = figure.subplots(
        max(len(persons), 1),
        sharex=True,
        squeeze=False,
        gridspec_kw={"left": left, "right": right, "top": 1 - head / height, "bottom": 0.42 / height, "hspace": 0.22},
    )[:, 0]
    for axes, person in zip(rows, persons, strict=False):
        _row(axes, person, timeline, seconds_wide=timeline.seconds / (_WIDTH * (right - left)))
    if not persons:
        rows[0].text(0.5, 0.5, "no face was seen for long enough", ha="center", va="center", color=_GREY)
        _bare(rows[0])
    _time_axis(rows[-1], timeline)
    target = Path(path)
    make_folder(target.parent)
    with written_aside(target) as part:
        figure.savefig(part, format=target.suffix[1:].lower(), dpi=150)


def _titles(figure: Figure, timeline: Timeline, shown: int, height: float) -> None:
    name = timeline.name
    name = name if len(name) <= 60 else f"{name[:40]}…{name[-19:]}"
    _plain(figure.text(0.012, 1 - 0.12 / height, name, ha="left", va="top", fontsize=13, weight="bold", color=_INK))
    facts = f"{timeline.spoken(timeline.seconds)} · {timeline.model}"
    if shown < len(timeline.persons):
        facts = f"{shown} of {len(timeline.persons)} persons, those seen longest · {facts}"
    place: dict[str, Any] = {"ha": "right", "va": "top", "color": _GREY}
    _plain(figure.text(0.988, 1 - 0.12 / height, facts, fontsize=9, **place))
    missing = " ".join(missing_numbers(timeline))
    missing = missing if len(missing) <= 100 else f"{missing[:99]}…"
    _plain(figure.text(0.988, 1 - 0.28 / height, missing, fontsize=8, **place))


def _legend(figure: Figure, classes: Sequence[str], columns: int, height: float) -> None:
    from matplotlib.patches import Patch

    legend = figure.legend(
        [Patch(facecolor=_hex(color)) for color in class_colors(classes).values()],
        _short(classes),
        loc="upper left",
        bbox_to_anchor=(0.005, 1 - 0.42 / height),
        borderaxespad=0,
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=1.1,
        handleheight=1.1,
        handletextpad=0.5,
        columnspacing=1.6,
        labelcolor=_INK,
    )
    for text in legend.get_texts():
        _plain(text)


def _row(axes: Axes, person: Person, timeline: Timeline, *, seconds_wide: float) -> None:
    """One person: the band of predictions from 1.06 to 1.34, the areas from 0 to 1; seconds_wide is per inch."""
    colors, edges = class_colors(timeline.classes), timeline.edges
    for a, b in runs_seen(person):
        x = np.concatenate([edges[a : a + 1], (edges[a:b] + edges[a + 1 : b + 1]) / 2, edges[b : b + 1]])
        values = person.probabilities[np.concatenate([[a], np.arange(a, b), [b - 1]])].astype(float)
        tops = np.cumsum(values / values.sum(1, keepdims=True), 1)
        floor = np.zeros(len(x))
        for k, color in enumerate(colors.values()):
            axes.fill_between(x, floor, tops[:, k], color=_hex(color), linewidth=0)
            floor = tops[:, k]
        axes.plot(x, tops[:, :-1], color="white", linewidth=0.35, alpha=0.6)
    for start, end, name in band(person, timeline):
        axes.fill_between([start, end], 1.06, 1.34, color=_hex(colors[name]), linewidth=0)
        if (end - start) / seconds_wide > 0.064 * len(name) + 0.08:
            ink = _hex(ink_on(colors[name]))
            _plain(axes.text((start + end) / 2, 1.19, name, color=ink, ha="center", va="center", fontsize=7.5))
    _bare(axes)
    axes.set_ylim(0, 1.36)
    axes.hlines([0.5, 1], timeline.start_s, timeline.end_s, color=_RULE, linewidth=0.6, zorder=0)
    prediction = f"{100 * person.fractions[person.emotion]:.0f} % {_short([person.emotion])[0]}"
    for text, down, size, shade in (
        (_short([person.label])[0], 0, 10, _INK),
        (prediction, 17, 8, _GREY),
        (f"seen {timeline.spoken(person.seconds)}", 30, 8, _GREY),
    ):
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (-9, -down)}
        _plain(axes.annotate(text, (0, 0.97), ha="right", va="top", fontsize=size, color=shade, **place))


def _time_axis(axes: Axes, timeline: Timeline) -> None:
    ticks = axis_ticks(timeline.start_s, timeline.end_s, most=12)
    tenths = len(ticks) > 1 and ticks[1] - ticks[0] < 1
    axes.set_xlim(timeline.start_s, timeline.end_s)
    axes.set_xticks(ticks, [clock_time(tick, tenths=tenths) for tick in ticks], fontsize=8.5, color=_GREY)
    axes.tick_params(axis="x", length=3, color=_GREY, labelbottom=True, bottom=True)


def _bare(axes: Axes) -> None:
    axes.set_yticks([])
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_RULE)


def _short(names: Sequence[str]) -> list[str]:
    return [name if len(name) <= 20 else f"{name[:19]}…" for name in names]


def _plain(text: Text) -> None:
    """Whatever dollar signs a name has, it is no formula."""
    text.set_parse_math(False)


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
