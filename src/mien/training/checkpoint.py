"""Checkpoints: one safetensors file each, described by JSON in its header. No pickle; written whole or not at all.

`last.safetensors` holds all that a run needs to go on; `best.safetensors` holds the averaged weights of the best epoch.
Tensors are named `model.*` (the averaged weights, which are evaluated and exported), and in `last` also `raw.*` (the
weights being trained) and `optimizer.*`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as shown
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mien.data.packed_faces import Faces
from mien.errors import ConfigError, ModelError
from mien.files import written_aside
from mien.model_card import check_fields
from mien.training.contrast import seen_logits
from mien.training.network import Network, NetworkConfig, build, config_from_dict, prepare

LAST: Final = "last.safetensors"
BEST: Final = "best.safetensors"

_HEADER: Final = "mien.checkpoint"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Description:
    """The description in a checkpoint.

    classes      names of the outputs, in their order
    recipe       the whole recipe, the network's config within it
    data         what it was trained on: source, fingerprint, counts (those learned, of them unlabeled), leaked faces;
                 SHA-256 of the outliers' squares; who taught it; what it began with; by how many ranks, in turn, where
                 that was ever more than one
    progress     where the run stands: epoch, step within it, sums of the running epoch
    history      a record an epoch, as metrics.jsonl holds them
    temperature  of the last finished epoch, fitted on the held-back faces; the logits are to be divided by it
    commit       git commit of the code, or None
    launch       the name of the `torchrun` that it is trained under, or None: that one resumes it by itself
    """

    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    progress: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    temperature: float = 1.0
    commit: str | None = None
    launch: str | None = None

    @property
    def network(self) -> NetworkConfig:
        """The network's config. Raises ModelError on one that this Mien does not know."""
        try:
            return config_from_dict(self.recipe["network"])
        except (ConfigError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"a network that this Mien does not know: {error}") from error


def save(path: Path, description: Description, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint aside, then move it to its place, so that a kill leaves the old one or the new one.

    Raises ConfigError where it cannot be written.
    """
    save_tensors(path, tensors, {_HEADER: json.dumps({"schema": _SCHEMA, **asdict(description)})})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: dict[str, str]) -> None:
    """As `save`, with any header."""
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_aside(path) as part:
        part.touch()
        mode = part.stat().st_mode
        try:
            save_file(kept, part, header)
        except SafetensorError as error:
            raise ConfigError(f"{path}: cannot be written: {error}") from error
        part.chmod(mode)  # safetensors leaves a file that nobody else may read
        with part.open("rb+") as file:
            os.fsync(file.fileno())


def describe(path: Path) -> Description:
    """The description in a checkpoint; no weights are read. Raises ModelError as `load` does."""
    return _read(path, None)[0]


def describe_model(path: Path) -> Description:
    """As `describe`, of a checkpoint that is to predict. Raises ModelError where it was trained without labels."""
    description = describe(path)
    _check_predicts(description, path)
    return description


def _check_predicts(description: Description, path: Path) -> None:
    if description.recipe.get("labels") == "none":
        raise ModelError(
            f"{path} was trained without labels and predicts nothing: begin a training with it: `init=FILE`"
        )


def identity(path: Path) -> tuple[str, str]:
    """How a later checkpoint names this one: run and file, as `run/best.safetensors`, and the file's SHA-256 in hex."""
    file = (path / BEST if path.is_dir() else path).resolve()
    with file.open("rb") as opened:
        return f"{file.parent.name}/{file.name}", hashlib.file_digest(opened, "sha256").hexdigest()


def load(path: Path, *, prefix: str = "") -> tuple[Description, dict[str, Tensor]]:
    """Description and tensors, those under a prefix only. A folder stands for its best.safetensors.

    Raises ModelError where the file is missing, damaged or not a checkpoint of Mien.
    """
    return _read(path, prefix)


def _read(path: Path, prefix: str | None) -> tuple[Description, dict[str, Tensor]]:
    file = path / BEST if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"no checkpoint at {file}")
    try:
        with safe_open(file, framework="pt") as opened:
            header = (opened.metadata() or {}).get(_HEADER)
            if header is None:
                raise ModelError(f"{file} is not a checkpoint of Mien: its header has no description")
            names = [] if prefix is None else [name for name in opened.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors = {name: opened.get_tensor(name) for name in names}
        return _described(json.loads(header)), tensors
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{file} is not a readable checkpoint: {error}") from error


def _described(values: dict[str, Any]) -> Description:
    schema = values.pop("schema")
    if schema != _SCHEMA:
        raise ModelError(f"the checkpoint has schema {schema}, this Mien reads {_SCHEMA}: update mien")
    described = Description(**{**values, "classes": tuple(values["classes"]), "history": tuple(values["history"])})
    check_fields(described, _KINDS)
    if not isinstance(described.recipe["network"], Mapping):
        raise ValueError(f"the network is {shown(described.recipe['network'])}")
    return described


_KINDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("recipe", "data", "progress"), Mapping),
    **dict.fromkeys(("commit", "launch"), (str, type(None))),
}
"""Of what types a description's fields are."""


def load_network(path: Path, *, to_predict: bool = True) -> tuple[Description, Network]:
    """The averaged network of a checkpoint, in evaluation mode on the CPU.

    Raises ModelError where it does not fit, and where it is to predict but was trained without labels.
    """
    description, tensors = load(path, prefix="model.")
    if to_predict:
        _check_predicts(description, path)
        if len(description.classes) != description.network.classes:
            raise ModelError(
                f"{path} names {len(description.classes)} classes for {description.network.classes} outputs"
            )
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    try:
        with torch.device("meta"):  # takes no memory for a network of which the file does not hold the weights
            _check_shapes(build(description.network), weights, path)
        network = build(description.network)
        network.load_state_dict(weights)
    except (ConfigError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{path} holds a network that this Mien does not know: {error}") from error
    return description, network.eval()


def fill(network: Network, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network. Raises ModelError naming the first that is missing, unknown or of another shape."""
    _check_shapes(network, tensors, path)
    network.load_state_dict(dict(tensors))


def _check_shapes(network: Network, tensors: Mapping[str, Tensor], path: Path) -> None:
    own = network.state_dict()
    for name in own.keys() | tensors.keys():
        expected = tuple(own[name].shape) if name in own else None
        got = tuple(tensors[name].shape) if name in tensors else None
        if expected != got:
            raise ModelError(f"{path} is of another architecture: {name} is {got}, expected {expected}")


@torch.no_grad()
def logits_of(
    network: Network,
    faces: Faces,
    *,
    batch: int = 256,
    config: NetworkConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits (N, C) of grey faces (N, 48, 48) uint8, in float32 on the network's own device.

    config is the network's own, unless it is to be asked at another input size.
    """
    config = config or network.config

    def ask(pixels: Tensor) -> Tensor:
        return network(prepare(pixels, config))  # type: ignore[no-any-return]

    device = next(network.parameters()).device
    predictions = [torch.zeros(0, config.classes)]
    for start in range(0, len(faces), batch):
        part = torch.from_numpy(faces[start : start + batch]).to(device)
        predictions.append(seen_logits(ask, part[:, None]).float().cpu())
        if progress is not None:
            progress(len(part))
    result: NDArray[np.float32] = torch.cat(predictions).numpy()
    return result


def predict_faces(
    path: Path, faces: Faces, *, progress: Callable[[int], None] | None = None
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Classes and calibrated probabilities (N, C) float32 of a checkpoint for grey faces (N, 48, 48) uint8."""
    description, network = load_network(path)
    logits = torch.from_numpy(logits_of(network, faces, progress=progress))
    probabilities: NDArray[np.float32] = torch.softmax(logits / description.temperature, dim=1).numpy()
    return description.classes, probabilities
