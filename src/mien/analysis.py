"""The one result type: what was found in one picture, and the ways to show it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.records import Origin, PictureRecord, row_columns, to_record, to_rows
from mien.types import Detection, Face

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

_DTYPES: Final = {
    **dict.fromkeys(("source", "emotion"), "string"),
    **dict.fromkeys(("frame", "track"), "Int64"),
    "face": "int64",
    "uncertain": "bool",
}
"""Of the columns of a table that hold something else than float64."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found in one picture.

    faces   from left to right, or the largest first (`order`)
    model   id of the model
    source  where the picture came from: a path, or None
    image   (H, W, 3) uint8, BGR: the picture itself, upright; smaller than it where it was decoded at a reduced size
            (`load(reduce=True)`): faces are in pixels of the whole picture all the same
    size    width and height of the whole picture in pixels, where that is so; None: those of image
    frame   index of the frame in its stream, from 0; None for a photo
    time_s  when the frame is shown, in seconds from the stream's beginning; None for a photo
    classes the model's, in its order
    frames  how many frames or pages the picture's file holds: of an animation the first is read
    stages  milliseconds that each stage took, by its name: of a photo read, detect and its part of classify; of a
            frame those of `FaceStream`
    unreported  faces that were detected and are not among `faces`, as there are more than `max_faces`, they are below
            `min_face`, or are nobody's (`renumbered`): themes that cover faces cover these too
    """

    faces: tuple[Face, ...]
    model: str
    source: str | None
    image: NDArray[np.uint8] = field(repr=False, compare=False)
    size: tuple[int, int] | None = None
    frame: int | None = None
    time_s: float | None = None
    classes: tuple[str, ...] = EMOTIONS
    frames: int = 1
    stages: Mapping[str, float] = field(default_factory=dict, repr=False, compare=False)
    unreported: tuple[Detection, ...] = ()

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return self.image.shape[1] if self.size is None else self.size[0]

    @property
    def height(self) -> int:
        """Height of the picture in pixels."""
        return self.image.shape[0] if self.size is None else self.size[1]

    def to_dict(self, *, landmarks: bool = False) -> PictureRecord:
        """The record of this picture, as `mien predict --json` writes it; with landmarks each face has its own too."""
        origin = Origin(self.source, self.width, self.height, self.frame, self.time_s)
        return to_record(self.faces, origin, model=self.model, landmarks=landmarks)

    def renumbered(self, numbers: Mapping[int, int | None]) -> Analysis:
        """This result with the numbers of persons in place of tracks, as `persons` of a stream's results gives them.

        Who is nobody is unreported. Raises ConfigError on a track without a number.
        """
        if missing := {face.track for face in self.faces if face.track is not None} - set(numbers):
            raise ConfigError(f"track {min(missing)} has no number")
        faces, strays = [], []
        for face in self.faces:
            number = None if face.track is None else numbers[face.track]
            if face.track is not None and number is None:
                strays.append(Detection(face.box, face.score, face.landmarks))
            else:
                faces.append(replace(face, track=number))
        return replace(self, faces=tuple(faces), unreported=(*self.unreported, *strays))

    def to_pandas(self) -> pd.DataFrame:
        """A table with a row a face, of the same columns and dtypes whatever was found: those of `csv_rows`.

        Texts are pandas' strings, `frame` and `track` whole numbers that may be missing. Raises MissingExtraError
        without pandas.
        """
        try:
            import pandas as pd
        except ImportError:
            from mien.errors import MissingExtraError

            raise MissingExtraError("a pandas table", "tables") from None
        columns = row_columns(self.classes)
        return pd.DataFrame(to_rows(self.to_dict()), columns=columns).astype(
            {name: _DTYPES.get(name, "float64") for name in columns}
        )

    def draw(
        self,
        *,
        theme: str = "labels",
        emoji: bool | None = None,
        labels: bool | None = None,
        bars: bool | None = None,
    ) -> Image:
        """The picture with its faces marked, as a PIL image (RGB) of the size of `image`.

        theme is "labels" (boxes, labels and bars), "minimal" (the boxes' corners and a small emoji), or one that covers
        each face with its whole head: "emoji", "blur", "pixelate". emoji, labels and bars add what a theme leaves out,
        or leave out what it has. A photo in which no face was found is blurred as a whole by a theme that covers, and
        says so: a face that was missed must not look covered. Raises ConfigError on another theme, and on the theme
        "emoji" with emoji=False.
        """
        from mien.drawing.draw import draw_faces, draw_hidden  # nothing else needs it, and it takes its time
        from mien.drawing.style import Style

        style = Style.of(theme, emoji=emoji, labels=labels, bars=bars)
        if style.covers and not (self.faces or self.unreported) and self.frame is None:
            return draw_hidden(self.image, "No face found")

        across, down = self.image.shape[1] / self.width, self.image.shape[0] / self.height
        faces = []
        for face in self.faces:
            place = Detection(face.box, landmarks=face.landmarks).scaled(across, down)
            faces.append(replace(face, box=place.box, landmarks=place.landmarks))
        return draw_faces(self.image, faces, style, [one.scaled(across, down) for one in self.unreported])

    def save(self, path: str | os.PathLike[str], **drawing: Any) -> None:
        """Write the drawn picture as JPEG or PNG, by the suffix; folders are made as needed.

        drawing is as in `draw`. Raises ConfigError on another suffix, and where the file cannot be written.
        """
        from mien.images.save import save_picture

        save_picture(self.draw(**drawing), Path(path))

    def _repr_png_(self) -> bytes:
        """What Jupyter shows."""
        from io import BytesIO

        buffer = BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()
