"""Faces to probabilities: one ONNX graph, which holds everything from enlarging to temperature, run by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError, ModelError, one_line, reason
from mien.model_card import CARD_KEY, ModelCard
from mien.runtime.crops import FACE_SIZE
from mien.runtime.int8_backend import SESSION_ENTRIES, Chosen, Int8, choose, cpu_flags, session_options

INPUT: Final = "faces"
OUTPUT: Final = "probabilities"
_BATCH: Final = 64


class FaceClassifier(Protocol):
    """What classifies faces: an ONNX file that is ready to run."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def card(self) -> ModelCard:
        """What the model's file states."""

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, C) float32 of faces (N, 48, 48) uint8."""


class Classifier:
    """A model, ready to classify faces. Safe to use from several threads; a copy by pickle loads its file anew.

    path       an ONNX file: "faces" (N, 1, 48, 48) uint8 in, "probabilities" (N, C) float32 out, a model card inside
    providers  onnxruntime's execution providers by name, the first that can run a node runs it; None: the processor
    threads    of the processor; None: onnxruntime's choice, one a core
    int8       how an int8 model runs: "auto" by the CPU's flags, or "fast", "exact" or "float" whatever the CPU
               (`runtime/int8_backend.py` says what they do); a float32 model is the same in all of them

    Raises ModelError where the file is missing or is not such a model, ConfigError on unknown providers, threads < 1 or
    another `int8`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        int8: Int8 = "auto",
    ) -> None:
        self._path = Path(path)
        self._arguments: dict[str, Any] = {"providers": providers, "threads": threads, "int8": int8}
        chosen = _check_providers(providers)
        self.int8: Chosen = choose(cpu_flags(), int8)
        options = session_options(threads, SESSION_ENTRIES[self.int8.path])
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot read the model: {reason(error)}") from error
        try:
            self._session = ort.InferenceSession(content, options, providers=chosen, enable_fallback=0)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise ModelError(f"{path}: expected an ONNX model, onnxruntime reports: {one_line(error)}") from error
        try:
            self._card = self._read_card()
            self._check_shapes()
        except UnicodeDecodeError as error:
            raise ModelError(f"{path}: the ONNX file has a name that is no text: {error}") from error

    def __reduce__(self) -> tuple[object, ...]:
        return partial(Classifier, **self._arguments), (self._path,)

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._path

    @property
    def card(self) -> ModelCard:
        """What the model's file states."""
        return self._card

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the outputs, in their order."""
        return self.card.classes

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities (N, C) float32 of faces (N, 48, 48) uint8, each row 0..1 of sum 1.

        Runs at most 64 faces at once, so memory is bounded; none at all for N = 0. Raises ImageError on another shape
        or dtype, ModelError where the graph fails.
        """
        check_faces(faces)
        result = np.empty((len(faces), len(self.classes)), np.float32)
        for start in range(0, len(faces), _BATCH):
            batch = np.ascontiguousarray(faces[start : start + _BATCH, None])
            result[start : start + _BATCH] = self._run(batch)
        return result

    def _run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            rows = np.asarray(self._session.run([OUTPUT], {INPUT: batch})[0])
        except Exception as error:  # as above
            raise ModelError(f"{self.path}: the model fails on {len(batch)} faces: {one_line(error)}") from error
        if rows.shape != (len(batch), len(self.classes)):
            raise ModelError(
                f"{self.path}: expected output of shape {(len(batch), len(self.classes))}, got {rows.shape}"
            )
        return rows

    def _read_card(self) -> ModelCard:
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise ModelError(f"{self.path}: the ONNX file has no model card (metadata {CARD_KEY!r}): not one of Mien's")
        try:
            return ModelCard.from_json(text)
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from error

    def _check_shapes(self) -> None:
        """Hold the graph's ends to the contract; a dimension of unknown size is let through, but never a wrong one."""
        ends = (
            ("input", self._session.get_inputs(), INPUT, "tensor(uint8)", (None, 1, FACE_SIZE, FACE_SIZE)),
            ("output", self._session.get_outputs(), OUTPUT, "tensor(float)", (None, len(self.classes))),
        )
        for which, values, name, kind, shape in ends:
            wanted = f"{name} {_show(shape)} {kind}"
            got = ", ".join(f"{value.name} {_show(value.shape)} {value.type}" for value in values) or "none"
            fits = len(values) == 1 and values[0].name == name and values[0].type == kind
            if not (fits and _agree(values[0].shape, shape)):
                raise ModelError(f"{self.path}: expected the {which} {wanted}, got {got}")


def check_faces(faces: NDArray[np.uint8]) -> None:
    """Raise ImageError where they are not (N, 48, 48) uint8."""
    if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (FACE_SIZE, FACE_SIZE):
        raise ImageError(
            f"expected faces of shape (N, {FACE_SIZE}, {FACE_SIZE}) in uint8, got {faces.shape} in {faces.dtype}"
        )


def _check_providers(providers: Sequence[str] | None) -> list[str]:
    """The providers in order. A name that this onnxruntime does not have is refused, never silently left out."""
    if providers is None:
        return ["CPUExecutionProvider"]
    if isinstance(providers, str):
        providers = [providers]
    available = ort.get_available_providers()
    unknown = [name for name in providers if name not in available]
    if unknown or not providers:
        got = ", ".join(unknown) or "none"
        raise ConfigError(f"expected onnxruntime providers of {', '.join(available)}, got {got}")
    return list(providers)


def _agree(shape: Sequence[int | str | None], wanted: Sequence[int | None]) -> bool:
    """Whether a declared shape can be the wanted one; None is the batch, which must not be fixed."""
    return len(shape) == len(wanted) and all(
        not isinstance(got, int) if want is None else got == want or not isinstance(got, int)
        for got, want in zip(shape, wanted, strict=True)
    )


def _show(shape: Sequence[int | str | None]) -> str:
    return "(" + ", ".join("N" if size is None else str(size) for size in shape) + ")"
