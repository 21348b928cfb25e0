"""The rows that robustness.py measures, and how they are shown: on the terminal, and as Markdown for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from output import markdown_table
from rich.table import Table

from mien.cli import console


@dataclass(frozen=True)
class Row:
    """What a condition does to the predictions. Fractions are 0..1, the drop is of accuracy."""

    group: str
    name: str
    faces: int
    accuracy: float
    macro_f1: float
    confidence: float
    ece: float
    uncertain: float
    drop: float
    drop_ci95: tuple[float, float]
    alignment: Mapping[str, float | None]


@dataclass(frozen=True)
class NonFaceRow:
    """What is predicted for what is no face. Fractions are 0..1."""

    name: str
    pictures: int
    answers: Mapping[str, float]
    confidence: float
    uncertain: float


HEADS = ("fault", "accuracy", "drop", "95 % interval", "macro-F1", "confidence", "ECE", "uncertain")
NON_FACE_HEADS = ("what is no face", "pictures", "confidence", "uncertain", "predictions, %")
# So that a terminal of 80 columns has room for them.
SHORT = {"accuracy": "acc.", "95 % interval": "95 %", "macro-F1": "F1", "confidence": "conf.", "uncertain": "unsure"}


def cells(row: Row | NonFaceRow) -> list[str]:
    """A row as the tables show it, in per cent; of the answers, those of 1 % and more."""
    if isinstance(row, NonFaceRow):
        ordered = sorted(row.answers.items(), key=lambda answer: -answer[1])
        answers = ", ".join(f"{name} {100 * fraction:.0f}" for name, fraction in ordered if fraction >= 0.01)
        return [row.name, str(row.pictures), f"{100 * row.confidence:.1f}", f"{100 * row.uncertain:.1f}", answers]
    low, high = (f"{100 * end:.1f}" for end in row.drop_ci95)
    drop = ["", ""] if row.group == "clean" else [f"{100 * row.drop:.1f}", f"{low} to {high}"]
    fractions = (row.macro_f1, row.confidence, row.ece, row.uncertain)
    name = f"{row.group}: {row.name}"
    return [name, f"{100 * row.accuracy:.1f}", *drop, *(f"{100 * fraction:.1f}" for fraction in fractions)]


def remarks(rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that goes by the landmarks."""
    sentences = []
    for row in rows:
        if row.alignment:
            found, angle, error = (row.alignment[key] for key in ("found", "angle", "error"))
            angles = "" if angle is None else f"; median angle {angle:.1f}°, median error {error:.1f}°"
            sentences.append(f"{row.name}: a face detected in {100 * (found or 0):.1f} %{angles}.")
    return sentences


def to_markdown(title: str, rows: Sequence[Row], others: Sequence[NonFaceRow]) -> str:
    """Both tables, for the docs."""
    sentences = "".join(f"- {sentence}\n" for sentence in remarks(rows))
    first = markdown_table(HEADS, [cells(row) for row in rows])
    second = markdown_table(NON_FACE_HEADS, [cells(row) for row in others])
    return "\n".join(block for block in (f"{title}\n", first, sentences, second) if block)


def show(title: str, rows: Sequence[Row], others: Sequence[NonFaceRow]) -> None:
    """Both tables, on standard output."""
    console.out().print(title, highlight=False)
    for heads, table in ((HEADS, rows), (NON_FACE_HEADS, others)):
        shown = Table(*(SHORT.get(head, head) for head in heads), box=None, padding=(0, 1, 0, 0))
        for head, column in zip(heads, shown.columns, strict=True):
            column.no_wrap = head != NON_FACE_HEADS[-1]
            column.justify = "left" if head in {heads[0], NON_FACE_HEADS[-1]} else "right"
        for row in table:
            shown.add_row(*cells(row))
        console.out().print(shown, "", sep="\n")
    for sentence in remarks(rows):
        console.out().print(sentence, highlight=False)
