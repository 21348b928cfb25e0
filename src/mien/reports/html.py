"""The pieces of a report's page, each a piece of HTML. Whatever comes from records is escaped here."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.drawing.colors import ink_on
from mien.drawing.emoji import EMOJI_FOLDER
from mien.emotions import EMOTIONS
from mien.reports.clock import axis_ticks, clock_time
from mien.reports.palette import class_colors
from mien.reports.segments import band, runs_seen
from mien.reports.timeline import Moment, Person, Timeline

Thumbnails = Mapping[Moment, bytes]


def text(value: str) -> str:
    """The text, inert in HTML and in quoted attributes; what is no text in a file's name becomes question marks."""
    return html.escape(value.encode("utf-8", "replace").decode("utf-8"))


def data(value: Any) -> str:
    """The value as JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def percent(share: float) -> str:
    """A part of 1 in per cent: whole ones, but for what is less than one."""
    return f"{100 * share:.1f} %" if 0 < share < 0.00995 else f"{100 * share:.0f} %"


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


def facts(timeline: Timeline) -> str:
    """Length, persons, frames, size and model."""
    count = len(timeline.persons)
    items = [
        ("length", timeline.spoken(timeline.seconds)),
        ("person" if count == 1 else "persons", str(count)),
        ("frames", f"{timeline.frames:,}"),
        *([("pixels", "{} × {}".format(*timeline.size))] if timeline.size else []),
        ("model", timeline.model),
    ]
    pairs = "".join(f"<div><dt>{label}</dt><dd>{text(value)}</dd></div>" for label, value in items)
    return f'<dl class="facts">{pairs}</dl>'


def legend(classes: Sequence[str]) -> str:
    """The classes with their colors and emoji."""
    items = "".join(
        f'<li><i class="swatch c{k}"></i>{sign(k, name) if name in EMOTIONS else ""}{text(name)}</li>'
        for k, name in enumerate(classes)
    )
    return f'<ul class="legend" aria-label="Colors">{items}</ul>' if items else ""


def overview(timeline: Timeline, shown: Sequence[Person], thumbnails: Thumbnails) -> str:
    """A line for each person: how the time seen was shared out among the classes."""
    rows = []
    for person in shown:
        k = timeline.classes.index(person.emotion)
        face = picture(thumbnails, person.portrait, f"Person {person.track}")
        rows.append(
            f"<tr>{f'<td class=slim>{face}</td>' if thumbnails else ''}"
            f'<th scope="row"><a href="#person-{person.track}">Person {person.track}</a></th>'
            f'<td class="wide">{shares_bar(timeline, person)}</td>'
            f'<td class="most"><span class="named">{sign(k, person.emotion)}{text(person.emotion)}</span></td>'
            f'<td class="number" data-label="seen">{_length(timeline, person.seconds)}</td>'
            f'<td class="number doubt" data-label="uncertain">{percent(person.uncertain)}</td></tr>'
        )
    heads = '<th class="slim"></th>' if thumbnails else ""
    heads += "<th>person</th><th>fraction of the time seen</th><th>mostly</th>"
    heads += '<th class="number">seen</th><th class="number">uncertain</th>'
    return (
        '<section><h2>Everyone at a glance</h2><div class="tablebox"><table class="overview">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _length(timeline: Timeline, seconds: float) -> str:
    """A length of time for a cell of a table: it breaks between minutes and seconds only."""
    return timeline.spoken(seconds).replace(" s", "&nbsp;s").replace(" min", "&nbsp;min")


def shares_bar(timeline: Timeline, person: Person) -> str:
    """The fractions of the classes, side by side."""
    parts = [(k, name, person.fractions[name]) for k, name in enumerate(timeline.classes) if person.fractions[name] > 0]
    spoken = ", ".join(f"{name} {percent(share)}" for _, name, share in parts)
    spans = "".join(
        f'<span class="c{k}" style="width:{100 * share:.2f}%" title="{text(name)} {percent(share)}">'
        f"<b>{text(name) if share >= 0.16 else ''} {percent(share)}</b></span>"
        for k, name, share in parts
    )
    return f'<div class="shares" role="img" aria-label="{text(spoken)}">{spans}</div>'


def person_section(timeline: Timeline, person: Person, thumbnails: Thumbnails) -> str:
    """All about one person: who, the timeline, the figures, the peaks."""
    peaks = peak_list(timeline, person, thumbnails)
    return (
        f'<section id="person-{person.track}"><div class="who">'
        f"{picture(thumbnails, person.portrait, f'Person {person.track} at {timeline.clock(person.portrait.time_s)}')}"
        f"<div><h2>Person {person.track}</h2><p>{_summary(timeline, person)}</p></div></div>"
        f"{plot(timeline, person)}"
        f'<div class="columns{"" if peaks else " single"}"><div><h3>Share of the time seen</h3>'
        f"{figures_table(timeline, person)}</div>{peaks}</div></section>"
    )


def _summary(timeline: Timeline, person: Person) -> str:
    ranked = sorted(person.fractions.items(), key=lambda item: -item[1])
    most, *others = (f"{text(name)} ({percent(share)})" for name, share in ranked)
    then = " and ".join(other for other, (_, share) in zip(others[:2], ranked[1:], strict=False) if share >= 0.05)
    first, last = timeline.clock(person.first_s), timeline.clock(person.last_s)
    return (
        f"Mostly <strong>{most}</strong>{f', then {then}' if then else ''}. "
        f"Seen for {timeline.spoken(person.seconds)}, between {first} and {last}; "
        f"uncertain for {percent(person.uncertain)} of it."
    )


def figures_table(timeline: Timeline, person: Person) -> str:
    """The classes by their fraction of the time, with bars; classes that never were the prediction have their mean
    only.
    """
    rows = []
    for name in sorted(timeline.classes, key=lambda one: (-person.fractions[one], -person.mean[one])):
        k, share = timeline.classes.index(name), person.fractions[name]
        lengths = [stretch.seconds for stretch in person.stretches if stretch.emotion == name]
        longest = _length(timeline, max(lengths)) if lengths else "–"
        rows.append(
            f'<tr><th scope="row"><span class="named">{sign(k, name)}{text(name)}</span></th>'
            f'<td><span class="meter"><i class="c{k}"><b style="width:{100 * share:.1f}%"></b></i>'
            f"<span>{percent(share)}</span></span></td>"
            f'<td class="number">{_length(timeline, share * person.seconds)}</td><td class="number">{longest}</td>'
            f'<td class="number">{percent(person.mean[name])}</td></tr>'
        )
    heads = '<th></th><th>share</th><th class="number">time</th><th class="number">longest</th>'
    heads += '<th class="number">mean proba&shy;bility</th>'
    return f'<div class="tablebox"><table class="figures"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def peak_list(timeline: Timeline, person: Person, thumbnails: Thumbnails) -> str:
    """The peaks, numbered as over the timeline; nothing where there is none."""
    items = []
    for number, peak in enumerate(person.peaks, 1):
        k, when = timeline.classes.index(peak.emotion), clock_time(peak.moment.time_s, tenths=True)
        image = picture(thumbnails, peak.moment, f"Person {person.track} at {when}: {peak.emotion}")
        items.append(
            f'<li class="c{k}">{image}<span class="pin">{number}</span>'
            f'<span class="named">{sign(k, peak.emotion)}{text(peak.emotion)}</span>'
            f'<span class="time">{when} · {percent(peak.probability)}</span></li>'
        )
    return f'<div><h3>Strongest moments</h3><ol class="peaks">{"".join(items)}</ol></div>' if items else ""


def plot(timeline: Timeline, person: Person) -> str:
    """The timeline: pins for peaks, the prediction as a band, the probabilities as stacked areas, a time axis."""

    def across(time_s: float) -> float:
        return 100 * (time_s - timeline.start_s) / timeline.seconds

    pins = "".join(
        f'<span class="pin" style="left:{left:.2f}%">{number}</span>'
        for number, left in enumerate(_apart([across(peak.moment.time_s) for peak in person.peaks]), 1)
    )
    spans = "".join(
        f'<span class="c{timeline.classes.index(name)}" style="left:{across(start):.2f}%;'
        f'width:{across(end) - across(start):.2f}%" title="{_span(timeline, start, end)}: {text(name)}">'
        f"{_caption(timeline.classes.index(name), name, across(end) - across(start))}</span>"
        for start, end, name in band(person, timeline)
    )
    ticks = axis_ticks(timeline.start_s, timeline.end_s)
    tenths = len(ticks) > 1 and ticks[1] - ticks[0] < 1
    marks = "".join(
        f'<span class="{_edge(across(tick))}" style="left:{across(tick):.2f}%">{clock_time(tick, tenths=tenths)}</span>'
        for tick in ticks
    )
    values = [
        None if np.isnan(row).any() else [round(100 * float(value)) for value in row] for row in person.probabilities
    ]
    read = data({"start": timeline.start_s, "end": timeline.end_s, "values": values})
    label = f"Timeline of person {person.track}; the figures are in the table below"
    return (
        f'<div class="timeline" role="group" aria-label="Timeline of person {person.track}">'
        f'<div aria-hidden="true">{pins}<div class="band">{spans}</div></div>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'{_areas(person)}</svg><div class="axis" aria-hidden="true">{marks}</div>'
        f'<script type="application/json">{read}</script></div>'
    )


def _span(timeline: Timeline, start_s: float, end_s: float) -> str:
    return f"{timeline.clock(start_s)} to {timeline.clock(end_s)}"


def _caption(k: int, name: str, width: float) -> str:
    """The name in a piece of the band, this many per cent of it wide; where it has no place on a wide screen, the sign.

    On a narrow screen the style sheet hides what does not fit.
    """
    if width > 1 + 0.65 * len(name):
        return f"<b>{text(name)}</b>"
    return sign(k, name) if width > 2.1 and name in EMOTIONS else ""


def _areas(person: Person) -> str:
    """A path a class, from the baseline up to the sum of the classes so far: the last one first, others over it."""
    bins, classes = person.probabilities.shape
    tops = np.cumsum(person.probabilities.astype(float), 1)
    tops = 100 - 100 * tops / tops[:, -1:]
    paths = []
    for k in reversed(range(classes)):
        steps = []
        for a, b in runs_seen(person):
            x = 1000 / bins * np.concatenate([[a], np.arange(a, b) + 0.5, [b]])
            y = tops[np.concatenate([[a], np.arange(a, b), [b - 1]]), k]
            line = "L".join(f"{left:.4g},{top:.3g}" for left, top in zip(x, y, strict=True))
            steps.append(f"M{x[0]:.4g},100L{line}L{x[-1]:.4g},100Z")
        paths.append(f'<path class="c{k}" d="{"".join(steps)}"/>')
    return "".join(paths)


def _apart(places: Sequence[float], least: float = 2.4) -> list[float]:
    """Rising places 0..100, moved where they must to be so far from each other."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else place)
    limit = 100.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - least
    return moved


def _edge(place: float) -> str:
    return "first" if place < 2 else "last" if place > 98 else "inner"


def name_of(source: str | None) -> str:
    """The video's name without its folders."""
    return "video" if source is None else Path(source).name or source
