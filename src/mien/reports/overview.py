"""What a page shows of all persons together: at a glance, from one emotion to another, scene by scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.reports.clock import spoken_time
from mien.reports.figures import Figures, figures_of
from mien.reports.html import Thumbnails, length, named, percent, picture, shares_bar, sign, table, text
from mien.reports.html import facts as fact_list
from mien.reports.spans import Span, in_spans, scenes
from mien.reports.timeline import SHORT_S, Person, Timeline

MOST_SCENES: Final = 120
"""A page shows at most this many scenes of a video."""


@dataclass(frozen=True, slots=True)
class Group:
    """A person, who by the name may be in several videos: in each once, where its section is."""

    label: str
    persons: tuple[Person, ...]


def groups_of(timelines: Sequence[Timeline]) -> list[Group]:
    """The persons of all videos, those of one name as one, in the order in which they came."""
    groups: dict[tuple[bool, str], list[Person]] = {}
    for timeline in timelines:
        for person in timeline.persons:
            groups.setdefault((person.name is None, person.label), []).append(person)
    return [Group(label, tuple(persons)) for (_, label), persons in groups.items()]


def facts(timelines: Sequence[Timeline], persons: int) -> str:
    """Length, persons, frames, size and model of a video, or of several together."""
    seconds = sum(timeline.seconds for timeline in timelines)
    sizes = {timeline.size for timeline in timelines} - {None}
    items = [
        *([("videos", str(len(timelines)))] if len(timelines) > 1 else []),
        ("length", spoken_time(seconds, tenths=seconds < SHORT_S)),
        ("person" if persons == 1 else "persons", str(persons)),
        ("frames", f"{sum(timeline.frames for timeline in timelines):,}"),
        *([("pixels", "{} × {}".format(*size)) for size in sizes if size] if len(sizes) == 1 else []),
        ("model", timelines[0].model),
    ]
    return fact_list(items)


def overview(timelines: Sequence[Timeline], shown: Sequence[Group], thumbnails: Thumbnails) -> str:
    """A line for each person, and one for all: how the time seen was shared out among the classes."""
    classes = classes_of(timelines)
    finely = sum(timeline.seconds for timeline in timelines) < SHORT_S
    rows = []
    for group in shown:
        face = next(filter(None, (picture(thumbnails, one.portrait, group.label) for one in group.persons)), "")
        link = f'<a href="#person-{group.persons[0].number}">{text(group.label)}</a>'
        rows.append(_row(link, face if thumbnails else None, figures_of(group.persons, classes), finely))
    groups = groups_of(timelines)
    everyone = [person for group in groups for person in group.persons]
    if len(groups) > 1:
        title = f"All {len(groups)} persons"
        rows.append(_row(title, "" if thumbnails else None, figures_of(everyone, classes), finely))
    heads = [*([""] if thumbnails else []), "person", "fraction of the time seen", "mostly", "#seen", "#uncertain"]
    return f"<section><h2>Everyone at a glance</h2>{table(heads, rows, 'overview')}</section>"


def _row(title: str, face: str | None, figures: Figures, finely: bool) -> str:
    k = list(figures.fractions).index(figures.emotion)
    seen = spoken_time(figures.seconds, tenths=finely).replace(" ", "&nbsp;")
    return (
        f"<tr>{'' if face is None else f'<td class=slim>{face}</td>'}"
        f'<th scope="row">{title}</th>'
        f'<td class="wide">{shares_bar(figures.fractions)}</td>'
        f'<td class="most">{named(k, figures.emotion)}</td>'
        f'<td class="number" data-label="seen">{seen}</td>'
        f'<td class="number unsure" data-label="uncertain">{percent(figures.uncertain)}</td></tr>'
    )


def changes(timelines: Sequence[Timeline]) -> str:
    """How often each class followed each other one, of all persons; nothing where none ever did."""
    classes = classes_of(timelines)
    persons = [person for timeline in timelines for person in timeline.persons]
    if not persons or not (counts := figures_of(persons, classes).transitions).any():
        return ""
    most = counts.max()
    rows = []
    for k, name in enumerate(classes):
        cells = "".join(
            f'<td class="number c{other}{"" if count else " zero"}" style="--part:{round(45 * count / most)}%">'
            f"{count if count else '·'}</td>"
            for other, count in enumerate(counts[k].tolist())
        )
        rows.append(f'<tr><th scope="row">{named(k, name)}</th>{cells}<td class="number">{counts[k].sum()}</td></tr>')
    heads = ["from", *(f"#{sign(k, name)}<span>{text(name)}</span>" for k, name in enumerate(classes)), "#all"]
    return (
        "<section><h2>From one emotion to another</h2>"
        '<p class="note">How often the emotion of a row was followed by that of a column, of one person in view.</p>'
        f"{table(heads, rows, 'matrix')}</section>"
    )


def scenes_table(timeline: Timeline) -> str:
    """A line for each scene: who was seen, and for how much of the time; nothing for a single scene."""
    spans = scenes(timeline)
    if len(spans) < 2:
        return ""
    named_s = np.stack([[part.named for part in in_spans(one, timeline.classes, spans)] for one in timeline.persons])
    rows = []
    for number, span in enumerate(spans[:MOST_SCENES]):
        there = [one.label for one, own in zip(timeline.persons, named_s[:, number], strict=True) if own.sum() > 0]
        rows.append(_scene_row(timeline, number + 1, span, there, named_s[:, number].sum(0)))
    left_out = f"The first {MOST_SCENES} of {len(spans)} are shown. " if len(spans) > MOST_SCENES else ""
    where = "" if timeline.video is None else f' <small class="where">{text(timeline.name)}</small>'
    return (
        f'<section class="long"><h2>Scene by scene{where}</h2>'
        f"{table(['scene', 'fraction of the time seen', 'mostly', 'persons', '#length'], rows, 'overview')}"
        f'<p class="note">{left_out}A scene ends where no person stays in the picture, or nobody was seen for long. '
        "It is found by the faces, not by the picture.</p></section>"
    )


def _scene_row(timeline: Timeline, number: int, span: Span, there: Sequence[str], seconds: NDArray[np.float64]) -> str:
    total = float(seconds.sum())
    fractions = {name: float(value) / total for name, value in zip(timeline.classes, seconds, strict=True)}
    k = int(np.argmax(seconds))
    return (
        f'<tr><th scope="row">{number} <small>{timeline.clock(span.start_s)}–{timeline.clock(span.end_s)}</small></th>'
        f'<td class="wide">{shares_bar(fractions)}</td>'
        f'<td class="most">{named(k, timeline.classes[k])}</td>'
        f'<td class="persons">{text(", ".join(there))}</td>'
        f'<td class="number">{length(timeline, span.end_s - span.start_s)}</td></tr>'
    )


def classes_of(timelines: Sequence[Timeline]) -> tuple[str, ...]:
    """The classes, which are the same for all videos in which a face was found."""
    return next((timeline.classes for timeline in timelines if timeline.classes), ())
