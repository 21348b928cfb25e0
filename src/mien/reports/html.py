"""The pieces of a report's page, each a piece of HTML. Whatever comes from records is escaped here."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mien.drawing.colors import ink_on
from mien.drawing.emoji import EMOJI_FOLDER
from mien.emotions import EMOTIONS
from mien.reports.palette import class_colors
from mien.reports.timeline import Moment, Timeline

_LAYOUT: Final = Path(__file__).with_name("page.css")

Thumbnails = Mapping[Moment, bytes]


def text(value: str) -> str:
    """The text, inert in HTML and in quoted attributes; what is no text in a file's name becomes question marks."""
    return html.escape(value.encode("utf-8", "replace").decode("utf-8"))


def data(value: Any) -> str:
    """The value as JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def percent(fraction: float) -> str:
    """A part of 1 in per cent: whole ones, but for what is less than one."""
    return f"{100 * fraction:.1f} %" if 0 < fraction < 0.00995 else f"{100 * fraction:.0f} %"


def layout() -> str:
    """The style sheet of all pages, but for the classes' colors."""
    return _LAYOUT.read_text(encoding="utf-8")


def styles(classes: Sequence[str]) -> str:
    """A CSS class c0, c1, ... for each class: its color, what is read on it, and where it is an emotion its emoji."""
    rules = []
    for k, (name, color) in enumerate(class_colors(classes).items()):
        fill, ink = ("#{:02x}{:02x}{:02x}".format(*one) for one in (color, ink_on(color)))
        rules.append(f".c{k} {{ --fill: {fill}; --on: {ink} }}")
        if name in EMOTIONS:
            art = base64.b64encode((EMOJI_FOLDER / f"{name}.svg").read_bytes()).decode()
            rules.append(f'.c{k}.emoji {{ background-image: url("data:image/svg+xml;base64,{art}") }}')
    return "\n".join(rules)


def sign(k: int, name: str) -> str:
    """What stands before a class's name: its emoji, or its color where it has none."""
    return f'<i class="{"emoji" if name in EMOTIONS else "swatch"} c{k}"></i>'


def picture(thumbnails: Thumbnails, moment: Moment, what: str) -> str:
    """The thumbnail of a moment, or nothing where there is none; what is its text alternative, not escaped yet."""
    if moment not in thumbnails:
        return ""
    encoded = base64.b64encode(thumbnails[moment]).decode()
    return f'<img src="data:image/jpeg;base64,{encoded}" alt="{text(what)}">'


def facts(items: Iterable[tuple[str, str]]) -> str:
    """Names and values in a line, as at the head of a page; neither is escaped yet."""
    pairs = "".join(f"<div><dt>{text(label)}</dt><dd>{text(value)}</dd></div>" for label, value in items)
    return f'<dl class="facts">{pairs}</dl>'


def legend(classes: Sequence[str]) -> str:
    """The classes with their colors and emoji."""
    items = "".join(
        f'<li><i class="swatch c{k}"></i>{sign(k, name) if name in EMOTIONS else ""}{text(name)}</li>'
        for k, name in enumerate(classes)
    )
    return f'<ul class="legend" aria-label="Colors">{items}</ul>' if items else ""


def named(k: int, name: str) -> str:
    """A class's name after its sign."""
    return f'<span class="named">{sign(k, name)}{text(name)}</span>'


def table(heads: Sequence[str], rows: Sequence[str], kind: str) -> str:
    """A table of rows that are HTML; heads are HTML too, those of numbers begin with #."""
    cells = "".join(
        f'<th class="number">{head[1:]}</th>' if head.startswith("#") else f"<th>{head}</th>" for head in heads
    )
    return (
        f'<div class="tablebox"><table class="{kind}"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def length(timeline: Timeline, seconds: float) -> str:
    """A length of time for a cell of a table: it breaks between minutes and seconds only."""
    return timeline.spoken(seconds).replace(" s", "&nbsp;s").replace(" min", "&nbsp;min")


def shares_bar(fractions: Mapping[str, float]) -> str:
    """The fractions of the classes, in their order, side by side."""
    parts = [(k, name, fraction) for k, (name, fraction) in enumerate(fractions.items()) if fraction > 0]
    spoken = ", ".join(f"{name} {percent(fraction)}" for _, name, fraction in parts)
    spans = "".join(
        f'<span class="c{k}" style="width:{100 * fraction:.2f}%" title="{text(name)} {percent(fraction)}">'
        f"<b>{text(name) if fraction >= 0.16 else ''} {percent(fraction)}</b></span>"
        for k, name, fraction in parts
    )
    return f'<div class="fractions" role="img" aria-label="{text(spoken)}">{spans}</div>'
