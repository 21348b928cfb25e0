"""The model and the detector of a run, saved with the plan, so that every machine has the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mien.analyzer import Analyzer, load
from mien.annotate.plan import Options, Plan
from mien.annotate.storage import Folder
from mien.errors import DetectorError, ModelError, StorageError, reason

_MODEL: Final = "plan/model.onnx"
_DETECTOR: Final = "plan/detector.onnx"


@dataclass(frozen=True)
class ModelBundle:
    """A model and a detector: the content of their ONNX files (None where the detector has none), and what plans and
    manifests record of them: of the model id, SHA-256 and classes, of the detector name and SHA-256.
    """

    model: bytes
    detector: bytes | None
    model_record: dict[str, Any]
    detector_record: dict[str, Any]

    @classmethod
    def gather(cls, options: Options, providers: Sequence[str] | None = None) -> ModelBundle:
        """Find the model and the detector as `mien.load` does, and read them. Raises as it does."""
        analyzer = load(
            options.model,
            detector=options.detector,
            detector_model=options.detector_model,
            providers=providers,
            threads=1,
        )
        try:
            weights = analyzer.model_path.read_bytes()
        except OSError as error:
            raise ModelError(f"{analyzer.model_path}: cannot read the model: {reason(error)}") from error
        file = analyzer.detector.model_file
        try:
            network = None if file is None else file.read_bytes()
        except OSError as error:
            raise DetectorError(f"{file}: cannot be read: {reason(error)}") from error
        return cls(
            weights,
            network,
            {"id": analyzer.card.id, "sha256": _sha256(weights), "classes": list(analyzer.card.classes)},
            {"name": analyzer.detector.name, "sha256": None if network is None else _sha256(network)},
        )

    def save(self, out: Folder) -> None:
        """Save both with the plan, unless they are there. Raises StorageError."""
        for name, content in ((_MODEL, self.model), (_DETECTOR, self.detector)):
            if content is not None and out.read(name) != content:
                out.write(name, content)

    @classmethod
    def saved(cls, out: Folder, plan: Plan) -> ModelBundle:
        """What is saved with a plan. Raises StorageError where it is missing or is not what the plan names."""
        contents = []
        for name, digest in ((_MODEL, plan.model["sha256"]), (_DETECTOR, plan.detector["sha256"])):
            content = None if digest is None else out.read(name)
            if digest is not None and (content is None or _sha256(content) != digest):
                raise StorageError(f"{out.url}: {name} is missing or damaged: the same command puts it there again")
            contents.append(content)
        return cls(contents[0] or b"", contents[1], plan.model, plan.detector)

    def analyzer(self, plan: Plan, providers: Sequence[str] | None) -> Analyzer:
        """An analyzer with the plan's options, and with one thread for its networks. Raises as `mien.load` does."""
        with TemporaryDirectory(prefix="mien-") as folder:  # loading reads both files whole
            model, detector = Path(folder, "model.onnx"), Path(folder, "detector.onnx")
            model.write_bytes(self.model)
            if self.detector is not None:
                detector.write_bytes(self.detector)
            return load(
                model,
                detector=self.detector_record["name"],
                detector_model=None if self.detector is None else detector,
                providers=providers,
                threads=1,
                **{**asdict(plan.options.analyzer), "reduce": True},
            )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
