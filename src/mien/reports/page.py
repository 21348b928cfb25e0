"""A timeline as one HTML file that opens offline, in a browser of any size, and prints.

The file asks nothing of any network: styles, pictures and a short script, which reads values under the pointer, are
inside, and its Content-Security-Policy allows that script and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from mien.files import make_folder, written_aside
from mien.reports import html as pieces
from mien.reports.numbers import missing_numbers
from mien.reports.overview import changes, classes_of, facts, groups_of, overview, scenes_table
from mien.reports.person_section import person_section
from mien.reports.spans import Every
from mien.reports.timeline import Moment, Person, Timeline

MOST_PERSONS: Final = 30
"""A page shows at most this many persons: those who were seen for the longest time."""

_TEMPLATE: Final = Path(__file__).with_name("page.html")
_NONE: Final[Mapping[Moment, bytes]] = MappingProxyType({})


def save_page(
    report: Timeline | Sequence[Timeline],
    path: Path,
    *,
    thumbnails: Mapping[Moment, bytes] = _NONE,
    every: Every | None = None,
) -> None:
    """Write the page, whole or not at all. Raises ConfigError where that fails; otherwise as `render_page`."""
    page = render_page(report, thumbnails=thumbnails, every=every)
    make_folder(path.parent)
    with written_aside(path) as part:
        part.write_text(page, encoding="utf-8", newline="\n")


def wanted_moments(timeline: Timeline, shown: Collection[Person] | None = None) -> list[Moment]:
    """The moments that the page shows thumbnails of, where it gets them: a portrait of each person, and the peaks.

    shown are the persons whom a page of several videos has room for, as `shown_persons` gives them.
    """
    persons = shown_persons([timeline]) if shown is None else shown
    wanted = [one for one in timeline.persons if any(one is other for other in persons)]
    return [moment for one in wanted for moment in (one.portrait, *(peak.moment for peak in one.peaks))]


def shown_persons(timelines: Sequence[Timeline]) -> list[Person]:
    """The persons who were seen for the longest time, of all videos, in the order in which they came."""
    persons = [person for timeline in timelines for person in timeline.persons]
    kept = {id(person) for person in sorted(persons, key=lambda person: -person.seconds)[:MOST_PERSONS]}
    return [person for person in persons if id(person) in kept]


def render_page(
    report: Timeline | Sequence[Timeline],
    *,
    thumbnails: Mapping[Moment, bytes] = _NONE,
    every: Every | None = None,
) -> str:
    """The page as text, of one video or several, whose classes are the same (`read_timelines` sees to it).

    thumbnails are JPEG files by their moments. With `every`, figures by bins of that many seconds, or by scene, are
    added; raises ConfigError where they are too many.
    """
    from mien import __version__

    timelines = [report] if isinstance(report, Timeline) else list(report)
    template = _TEMPLATE.read_text(encoding="utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    classes = classes_of(timelines)
    return Template(template).substitute(
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        generator=f"mien {__version__}",
        name=pieces.text(_name(timelines)),
        layout=pieces.layout(),
        styles=pieces.styles(classes),
        head=facts(timelines, len(groups_of(timelines))) + pieces.legend(classes),
        persons="\n".join(_sections(timelines, thumbnails, every)),
        notes="\n".join(f"<li>{note}</li>" for note in _NOTES),
        made=f"Made by mien {__version__} from the predictions of {pieces.text(timelines[0].model)}.",
        classes=pieces.data(classes),
    )


def _name(timelines: Sequence[Timeline]) -> str:
    more = len(timelines) - 1
    return f"{timelines[0].name} and {more} more" if more else timelines[0].name


def _sections(timelines: Sequence[Timeline], thumbnails: Mapping[Moment, bytes], every: Every | None) -> Iterator[str]:
    """All together, then each video: what it is where there are several, its scenes, its persons."""
    shown = shown_persons(timelines)
    numbers = {person.number for person in shown}
    groups = [group for group in groups_of(timelines) if any(one.number in numbers for one in group.persons)]
    if len(groups) > 1 or len(timelines) > 1:
        yield overview(timelines, groups, thumbnails)
    yield changes(timelines)
    for timeline in timelines:
        if timeline.video is not None:
            about = facts([timeline], len(timeline.persons))
            title = f"{timeline.video}. {pieces.text(timeline.name)}"
            yield f"<section><h2>{title}</h2>{about}{_left_out(timeline)}</section>"
        yield scenes_table(timeline)
        for person in timeline.persons:
            if person.number in numbers:
                yield person_section(timeline, person, thumbnails, every)
        if timeline.video is None:
            yield _left_out(timeline)
    if more := sum(len(timeline.persons) for timeline in timelines) - len(shown):
        note = f"The {len(shown)} persons who were seen longest are shown; {more} more are in the tables."
        yield f'<p class="note">{note}</p>'


def _left_out(timeline: Timeline) -> str:
    """What the page does not show of the video, and why numbers are missing; nothing where it shows all."""
    parts = [] if timeline.persons else ["No face was seen for long enough to report it."]
    parts += missing_numbers(timeline)
    if timeline.unread:
        parts.append(f"{timeline.unread} {'frame' if timeline.unread == 1 else 'frames'} could not be read.")
    return f'<p class="note">{pieces.text(" ".join(parts))}</p>' if parts else ""


_NOTES: Final = (
    "The band over a timeline is the likeliest emotion; the areas below are the probabilities of all of them, stacked.",
    "Time is counted in seconds, not frames. Fractions are parts of the time in which the person was seen.",
    "A prediction is uncertain where the likeliest emotion was less probable than the threshold of the analysis, or "
    "the head was turned far aside.",
    "A strongest moment is the peak of a stretch of one emotion; neutral has none.",
    "Persons have the numbers of the records and of the annotated video, as they came. Someone who leaves the picture "
    "and comes back may get a new number.",
    "It reads what a face shows; what a person feels does not follow.",
    "Not for decisions about people. In the European Union, inferring emotions at work and in education is forbidden, "
    "with few exceptions (Regulation (EU) 2024/1689, Article 5(1)(f)).",
)
