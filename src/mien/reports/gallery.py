"""What a model gets wrong as one HTML file that opens offline: figures, confusions, faces, suspected labels.

The file asks nothing of any network and has no script: styles and faces, as small PNGs, are inside.
"""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

from mien.errors import DataError
from mien.files import make_folder, written_aside
from mien.reports import html as pieces
from mien.reports.evaluated import Evaluated
from mien.reports.gallery_sections import calibration, conditions, confident, confusion_matrix, confusions, suspects

FACES: Final = 48
"""The most confident mistakes, and the suspected labels, that a page shows by default."""

_TEMPLATE: Final = Path(__file__).with_name("gallery.html")


def save_gallery(evaluated: Evaluated, path: Path, *, faces: int = FACES) -> None:
    """Write the page, whole or not at all. Raises ConfigError where that fails; otherwise as `render_gallery`."""
    page = render_gallery(evaluated, faces=faces)
    make_folder(path.parent)
    with written_aside(path) as part:
        part.write_text(page, encoding="utf-8", newline="\n")


def render_gallery(evaluated: Evaluated, *, faces: int = FACES) -> str:
    """The page as text, with at most `faces` mistakes and as many suspected labels. Raises DataError on no rows."""
    from mien import __version__

    if len(evaluated.truth) != len(evaluated.dataset):
        raise DataError(f"expected a truth for each of {len(evaluated.dataset)} rows, got {len(evaluated.truth)}")
    classes = evaluated.dataset.classes
    sections = (
        calibration(evaluated),
        confusion_matrix(evaluated),
        confident(evaluated, faces),
        confusions(evaluated),
        conditions(evaluated),
        suspects(evaluated, faces),
    )
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        generator=f"mien {__version__}",
        name=pieces.text(Path(evaluated.dataset.source).name or evaluated.dataset.source),
        layout=pieces.layout(),
        styles=pieces.styles(classes),
        head=_head(evaluated),
        sections="\n".join(sections),
        notes="\n".join(f"<li>{note}</li>" for note in _notes(evaluated)),
        made=f"Made by mien {__version__} from the predictions of {pieces.text(evaluated.model)}.",
    )


def _head(evaluated: Evaluated) -> str:
    metrics = evaluated.metrics
    low, high = metrics.accuracy_ci95
    return pieces.facts(
        [
            ("model", evaluated.model),
            ("protocol", evaluated.protocol),
            ("split", evaluated.split),
            ("faces", f"{metrics.n:,}"),
            ("wrong", f"{len(evaluated.wrong):,}"),
            ("accuracy", f"{100 * metrics.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})"),
            ("macro-F1", f"{100 * metrics.macro_f1:.1f} %"),
        ]
    ) + pieces.legend(evaluated.dataset.classes)


def _notes(evaluated: Evaluated) -> list[str]:
    learnt = "The model may have learnt these faces: its mistakes are then fewer, and suspected labels are unreliable."
    return [
        *([learnt] if evaluated.split == "training" else []),
        "Intervals are of 95 %: of accuracy above by bootstrap, in the tables Wilson's.",
        "A confident mistake may be the model's, or that of the label: look at the face before you change either.",
        "Row ids are those of the data: the number of a row, counted from 0, or the name of a picture.",
        "Labels say what people saw in a face, and people differ. What a person feels does not follow from either.",
    ]
