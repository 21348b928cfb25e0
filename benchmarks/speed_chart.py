"""What speed.py measured, as one picture: a panel for each quantity, a dot for each contestant, on log axes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from speed_tables import LABELS, MANY, TWO, measured

from mien.files import make_folder, written_aside

MIEN, OTHERS, LINE = "#0072b2", "#d55e00", "#d5d5d5"

Row = tuple[str, Sequence[float]]
"""A contestant and its values, one for each round."""


def panels(results: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """The panels that there is something for: title and rows, in the order of the tables."""
    classifier, pictures = measured(results, "classifier"), measured(results, "pictures")
    start, sizes = measured(results, "start"), measured(results, "size")
    one, many = classifier.get(TWO, {}), classifier.get(MANY, {})
    found: list[tuple[str, list[Row]]] = [
        ("Classifier, 1 face, 2 threads: ms", _rows(one, 1e3)),
        ("Classifier, 64 faces, 2 threads: ms a face", _rows(many, 1e3 / 64)),
        ("Astronaut 512x512, detect and classify: ms", _rows(pictures.get("astronaut", {}), 1e3)),
        ("Frame 1280x720, six faces: ms", _rows(pictures.get("group", {}), 1e3)),
        ("Cold start to the first answer: s", _rows(start, 1)),
        ("Peak memory of that process: MB", _rows(start, 1e-6, "bytes")),
        ("Install size: MB", [(NAMES.get(name, name), [entry["bytes"] / 1e6]) for name, entry in sizes.items()]),
    ]
    return [(title, rows) for title, rows in found if rows]


NAMES: Final = {name: label.replace("*", "").replace("`", "") for name, label in LABELS.items()} | {
    "mien predict": "mien predict photo.jpg",
    "bare": "onnxruntime, OpenCV",
}


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw all panels; the file is whole or absent."""
    shown = panels(results)
    lines = (len(shown) + 1) // 2
    with mpl.rc_context({"font.size": 9, "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 2.6 * lines), layout="constrained")
        axes = figure.subplots(lines, 2, squeeze=False).flatten()
        for one, (title, rows) in zip(axes, shown, strict=False):
            _panel(one, title, rows)
        for one in axes[len(shown) :]:
            one.set_axis_off()
        figure.suptitle("Left is better: median of the rounds, with a line from the lowest to the highest", fontsize=11)
        make_folder(path.parent)
        with written_aside(path) as part:
            figure.savefig(part, format=path.suffix[1:], dpi=130)


def _panel(axes: Axes, title: str, rows: Sequence[Row]) -> None:
    middles = [statistics.median(values) for _, values in rows]
    for place, ((name, values), value) in enumerate(zip(rows, middles, strict=True)):
        color = MIEN if name.startswith(("Mien", "mien")) else OTHERS
        axes.axhline(place, color=LINE, linewidth=0.8, zorder=0)
        axes.plot([min(values), max(values)], [place, place], color=color, linewidth=2, solid_capstyle="round")
        axes.plot(value, place, "o", color=color, markersize=6)
        axes.annotate(
            f"{value:,.0f}" if value >= 100 else f"{value:.3g}",
            (max(values), place),
            (7, 0),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    axes.set_xscale("log")
    axes.set_xlim(min(middles) / 1.6, max(middles) * 2.6)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params("y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left")


def _rows(group: Mapping[str, Any], unit: float, quantity: str = "seconds") -> list[Row]:
    return [(NAMES[name], [value * unit for value in group[name][quantity]]) for name in LABELS if name in group]
