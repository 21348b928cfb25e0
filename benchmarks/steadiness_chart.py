"""What steadiness.py measured, as one picture: how much flicker is left at which delay, a line for each way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mien.files import make_folder, written_aside

COLORS = ("#0072b2", "#d55e00", "#009e73", "#888888")
PANELS = {"delay_median": "median delay to a true change, s", "delay_p90": "90 % of true changes shown within, s"}
AIM = (20.0, 0.5)
"""The flicker that may be left, in per cent, and the median delay in seconds, at most."""


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw both delays; the file is whole or absent."""
    base = next(
        row["flicker"] for row in found["rows"] if (row["kind"], row["rate"], row["way"]) == ("both", 30, "unsmoothed")
    )
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for one, (key, label) in zip(axes, PANELS.items(), strict=True):
            for (family, points), color in zip(found["curves"].items(), COLORS, strict=True):
                there = [point for point in points if point[key] is not None]
                one.plot(
                    [point[key] for point in there],
                    [100 * point["flicker"] / base for point in there],
                    "o-",
                    color=color,
                    label=family,
                    markersize=3.5,
                    linewidth=2 if family == "Mien" else 1.3,
                    zorder=3 if family == "Mien" else 2,
                )
                for point in there:
                    if family == "Mien" and point["setting"] == found["settings"]["evidence_s"]:
                        place = (point[key], 100 * point["flicker"] / base)
                        one.plot(*place, "o", color=color, markersize=11, fillstyle="none", markeredgewidth=2)
                        one.annotate("ships", place, (-12, -16), textcoords="offset points", color=color, ha="right")
            one.axhline(AIM[0], color="black", linewidth=0.8, linestyle=":")
            one.set_xlabel(label)
            one.set_yscale("log")
            one.grid(color="#e5e5e5", linewidth=0.6)
            one.spines[["top", "right"]].set_visible(False)
        axes[0].axvline(AIM[1], color="black", linewidth=0.8, linestyle=":")
        axes[0].set_xlim(0, 0.8)
        axes[1].set_xlim(left=0)
        axes[0].set_ylabel("flicker left, % of unsmoothed")
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes[0].yaxis.set_minor_formatter(NullFormatter())
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes[1].legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.97))
        figure.suptitle("Lower left is better; dotted: what was aimed at", fontsize=10)
        make_folder(path.parent)
        with written_aside(path) as part:
            figure.savefig(part, format="png", dpi=110)
