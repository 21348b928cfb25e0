"""One person's section of the page: who, the timeline, the figures, the strongest moments, the bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mien.reports.clock import clock_time
from mien.reports.html import Thumbnails, length, named, percent, picture, sign, table, text
from mien.reports.plot import plot
from mien.reports.spans import Every, SpanFigures, in_spans, spans_of
from mien.reports.timeline import Person, Timeline

MOST_BINS: Final = 120
"""A page shows at most this many bins of a person; the tables have all."""


def person_section(timeline: Timeline, person: Person, thumbnails: Thumbnails, every: Every | None) -> str:
    """All about one person in one video."""
    peaks = peak_list(timeline, person, thumbnails)
    when = timeline.clock(person.portrait.time_s)
    where = "" if timeline.video is None else f' <small class="where">{text(timeline.name)}</small>'
    return (
        f'<section id="person-{person.number}"{"" if every is None else " class=long"}><div class="who">'
        f"{picture(thumbnails, person.portrait, f'{person.label} at {when}')}"
        f"<div><h2>{text(person.label)}{where}</h2><p>{_summary(timeline, person)}</p></div></div>"
        f"{plot(timeline, person)}"
        f'<div class="columns{"" if peaks else " single"}"><div><h3>Fraction of the time seen</h3>'
        f"{figures_table(timeline, person)}</div>{peaks}</div>"
        f"{'' if every is None else bins_table(timeline, person, every)}</section>"
    )


def _summary(timeline: Timeline, person: Person) -> str:
    ranked = sorted(person.fractions.items(), key=lambda item: -item[1])
    most, *others = (f"{text(name)} ({percent(fraction)})" for name, fraction in ranked)
    then = " and ".join(other for other, (_, fraction) in zip(others[:2], ranked[1:], strict=False) if fraction >= 0.05)
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
        k, fraction = timeline.classes.index(name), person.fractions[name]
        lengths = [stretch.seconds for stretch in person.stretches if stretch.emotion == name]
        longest = length(timeline, max(lengths)) if lengths else "–"
        rows.append(
            f'<tr><th scope="row">{named(k, name)}</th>'
            f'<td><span class="meter"><i class="c{k}"><b style="width:{100 * fraction:.1f}%"></b></i>'
            f"<span>{percent(fraction)}</span></span></td>"
            f'<td class="number">{length(timeline, fraction * person.seconds)}</td><td class="number">{longest}</td>'
            f'<td class="number">{percent(person.mean[name])}</td></tr>'
        )
    return table(["", "fraction", "#time", "#longest", "#mean proba&shy;bility"], rows, "figures")


def peak_list(timeline: Timeline, person: Person, thumbnails: Thumbnails) -> str:
    """The peaks, numbered as over the timeline; nothing where there is none."""
    items = []
    for number, peak in enumerate(person.peaks, 1):
        k, when = timeline.classes.index(peak.emotion), clock_time(peak.moment.time_s, tenths=True)
        image = picture(thumbnails, peak.moment, f"{person.label} at {when}: {peak.emotion}")
        items.append(
            f'<li class="c{k}">{image}<span class="pin">{number}</span>'
            f"{named(k, peak.emotion)}"
            f'<span class="time">{when} · {percent(peak.probability)}</span></li>'
        )
    return f'<div><h3>Strongest moments</h3><ol class="peaks">{"".join(items)}</ol></div>' if items else ""


def bins_table(timeline: Timeline, person: Person, every: Every) -> str:
    """The fraction of each class in each bin, or scene, in which the person was seen."""
    parts = in_spans(person, timeline.classes, spans_of(timeline, every))
    seen = [(number, part) for number, part in enumerate(parts, 1) if part.seconds > 0]
    rows = [
        _bin_row(timeline, f"Scene {number}" if every == "scene" else "", part) for number, part in seen[:MOST_BINS]
    ]
    heads = [
        "from",
        "#seen",
        *(f"#{sign(k, name)}<span>{text(name)}</span>" for k, name in enumerate(timeline.classes)),
    ]
    title = "By scene" if every == "scene" else f"Every {every:g} s"
    more = len(seen) - len(rows)
    left_out = f'<p class="note">{more:,} more are in the tables.</p>' if more else ""
    caption = "Per cent of the time seen; parts without the person are left out."
    return f'<h3 class="later">{title}</h3><p class="note">{caption}</p>{table(heads, rows, "rates")}{left_out}'


def _bin_row(timeline: Timeline, title: str, part: SpanFigures) -> str:
    fractions: Sequence[float] = (100 * part.named / part.seconds).tolist()
    most = int(np.argmax(fractions))
    cells = []
    for k, fraction in enumerate(fractions):
        figure = f"<strong>{fraction:.0f}</strong>" if k == most else f"{fraction:.0f}"
        cells.append(f'<td class="number{" zero" if fraction < 0.5 else ""}">{figure}</td>')
    name = f"{title} · {timeline.clock(part.span.start_s)}" if title else timeline.clock(part.span.start_s)
    return (
        f'<tr><th scope="row">{name}</th><td class="number">{length(timeline, part.seconds)}</td>{"".join(cells)}</tr>'
    )
