"""The one result type: what was found in one picture, and the ways to look at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.media.records import ROW_COLUMNS, to_record, to_rows
from mien.types import Face

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found in one picture.

    faces   from left to right
    model   id of the model that judged
    source  where the picture came from: a path, or None
    image   (H, W, 3) uint8, BGR: the picture itself, upright
    """

    faces: tuple[Face, ...]
    model: str
    source: str | None
    image: NDArray[np.uint8] = field(repr=False, compare=False)

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Height of the picture in pixels."""
        return int(self.image.shape[0])

    def to_dict(self) -> dict[str, Any]:
        """The record of this picture, as `mien predict --json` writes it."""
        return to_record(self.faces, model=self.model, source=self.source, width=self.width, height=self.height)

    def to_pandas(self) -> pd.DataFrame:
        """A table with a row a face. Raises MissingExtraError without pandas."""
        try:
            import pandas as pd
        except ImportError:
            from mien.errors import MissingExtraError

            raise MissingExtraError("a pandas table", "tables") from None
        rows = to_rows(self.to_dict())
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(ROW_COLUMNS))

    def draw(self) -> Image:
        """The picture with boxes, labels and bars on it, as a PIL image (RGB)."""
        from mien.media.drawing import draw_faces  # nothing else needs it, and it takes its time

        return draw_faces(self.image, self.faces)

    def _repr_png_(self) -> bytes:
        """What Jupyter shows."""
        from io import BytesIO

        buffer = BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()
