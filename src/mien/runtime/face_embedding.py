"""What tells the persons of one video apart: a vector for each face, near those of the same person.

A small network, trained by scripts/train_face_embedding.py, makes it of the 48x48 grey face that the emotion is read
from. It is for faces of one video, minutes apart. It is no face recognition: vectors are compared within one stream,
held in memory as long as it runs, and neither stored nor returned.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mien.errors import ModelError, one_line
from mien.runtime.classifier import check_faces
from mien.runtime.int8_backend import SESSION_ENTRIES, choose, cpu_flags, session_options

EMBEDDING: Final = Path(__file__).resolve().parent.parent / "assets" / "identity" / "faces.onnx"
"""The network: "faces" (N, 1, 48, 48) uint8 in, "embedding" (N, D) float32 out, rows of length 1."""


class FaceEmbedder:
    """The network, ready to run. Raises ModelError where its file is missing or damaged."""

    def __init__(self, *, threads: int | None = None, path: Path = EMBEDDING) -> None:
        options = session_options(threads, SESSION_ENTRIES[choose(cpu_flags()).path])
        try:
            self._session = ort.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # OSError, or onnxruntime's, which share no base class
            raise ModelError(f"{path}: cannot be loaded: {one_line(error)}") from error

    def embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, D) float32, rows of length 1, of faces (N, 48, 48) uint8. Raises ImageError on another shape or dtype."""
        check_faces(faces)
        (rows,) = self._session.run(["embedding"], {"faces": np.ascontiguousarray(faces[:, None])})
        return np.asarray(rows, np.float32)


@cache
def face_embedder() -> FaceEmbedder:
    """The shipped network on one thread, loaded once: streams and threads use the same one."""
    return FaceEmbedder(threads=1)
