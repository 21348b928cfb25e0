"""A timeline as one HTML file that opens offline, in a browser of any size, and prints.

The file asks nothing of any network: styles, pictures and a short script, which reads values under the pointer, are
inside, and its Content-Security-Policy allows that script and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from mien.files import make_folder, written_aside
from mien.reports import html as pieces
from mien.reports.timeline import Moment, Timeline

MOST_PERSONS: Final = 30
"""A page shows at most this many persons: those who were seen for the longest time."""

_TEMPLATE: Final = Path(__file__).with_name("page.html")
_NONE: Final[Mapping[Moment, bytes]] = MappingProxyType({})


def save_page(timeline: Timeline, path: Path, *, thumbnails: Mapping[Moment, bytes] = _NONE) -> None:
    """Write the page, whole or not at all. Raises ConfigError where that fails."""
    page = render_page(timeline, thumbnails=thumbnails)
    make_folder(path.parent)
    with written_aside(path) as part:
        part.write_text(page, encoding="utf-8", newline="\n")


def wanted_moments(timeline: Timeline) -> list[Moment]:
    """The moments that the page shows thumbnails of, where it gets them: a portrait of each person, and the peaks."""
    persons = timeline.longest_seen(MOST_PERSONS)
    return [moment for one in persons for moment in (one.portrait, *(peak.moment for peak in one.peaks))]


def render_page(timeline: Timeline, *, thumbnails: Mapping[Moment, bytes] = _NONE) -> str:
    """The page as text; thumbnails are JPEG files by their moments."""
    from mien import __version__

    template = _TEMPLATE.read_text(encoding="utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    shown = timeline.longest_seen(MOST_PERSONS)
    parts = [pieces.overview(timeline, shown, thumbnails)] if len(shown) > 1 else []
    parts += [pieces.person_section(timeline, person, thumbnails) for person in shown]
    left_out = _left_out(timeline, len(shown))
    if left_out:
        parts.append(f'<p class="note">{left_out}</p>')
    return Template(template).substitute(
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        generator=f"mien {__version__}",
        name=pieces.text(pieces.name_of(timeline.source)),
        styles=pieces.styles(timeline.classes),
        head=pieces.facts(timeline) + pieces.legend(timeline.classes),
        persons="\n".join(parts),
        notes="\n".join(f"<li>{note}</li>" for note in _NOTES),
        made=f"Made by mien {__version__} from the predictions of {pieces.text(timeline.model)}.",
        classes=pieces.data(timeline.classes),
    )


def _left_out(timeline: Timeline, shown: int) -> str:
    parts = [] if timeline.persons else ["No face was seen for long enough to report it."]
    more, brief = len(timeline.persons) - shown, timeline.brief
    if more:
        parts.append(f"The {shown} persons who were seen longest are shown; {more} more are in the tables.")
    if brief.tracks:
        what = "face was" if brief.tracks == 1 else "faces were"
        parts.append(f"{brief.tracks} {what} seen too shortly to be shown ({timeline.spoken(brief.seconds)} in all).")
    if timeline.unread:
        parts.append(f"{timeline.unread} {'frame' if timeline.unread == 1 else 'frames'} could not be read.")
    return " ".join(parts)


_NOTES: Final = (
    "The band over a timeline is the likeliest emotion; the areas below are the probabilities of all of them, stacked.",
    "Time is counted in seconds, not frames. Shares are parts of the time in which the person was seen.",
    "A prediction is uncertain where the likeliest emotion was less probable than the threshold of the analysis.",
    "A strongest moment is the peak of a stretch of one emotion; neutral has none.",
    "Persons are numbered as they came. Someone who leaves the picture and comes back may get a new number.",
    "It reads what a face shows; what a person feels does not follow.",
    "Not for decisions about people. In the European Union, inferring emotions at work and in education is forbidden, "
    "with few exceptions (Regulation (EU) 2024/1689, Article 5(1)(f)).",
)
