"""Which parts of the faces in one picture spoke for a class: what `Analyzer.explain` gives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.analysis import Analysis
from mien.records import ExplanationRecord, to_explanation_record
from mien.types import ExplainedFace

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explained faces of one picture, in the order of `analysis.faces`."""

    analysis: Analysis
    faces: tuple[ExplainedFace, ...]

    def to_dict(self) -> ExplanationRecord:
        """The record of this picture, as the service gives it: that of `analysis`, and each face's map."""
        return to_explanation_record(self.analysis.to_dict(), self.faces)

    def draw(self) -> Image:
        """A picture (PIL, RGB) with a row for each face: the crop, the map over it, and the classes' probabilities."""
        from mien.drawing.evidence import draw_explained  # nothing else needs it

        return draw_explained(self.faces)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the drawn picture as JPEG or PNG, by the suffix; folders are made as needed.

        Raises ConfigError on another suffix, and where the file cannot be written.
        """
        from mien.images.save import save_picture

        save_picture(self.draw(), Path(path))

    def _repr_png_(self) -> bytes:
        """What Jupyter shows."""
        from io import BytesIO

        buffer = BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()
