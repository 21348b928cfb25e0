"""From a checkpoint to one ONNX graph: grey faces (N, 1, 48, 48) uint8 in, calibrated probabilities (N, C) out.

Contrast, enlarging, normalisation, softmax and temperature lie inside the graph, batch normalisation is folded into the
convolutions, and the model card travels in the metadata.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from mien.data.dataset import PROTOCOLS, FaceDataset, evaluated_rows
from mien.data.packed_faces import chunks
from mien.errors import ConfigError, ModelError
from mien.evaluation.calibration import apply_temperature
from mien.evaluation.metrics import Metrics, evaluate
from mien.files import written_aside
from mien.model_card import CARD_KEY, CLASS_FREQUENCIES, ModelCard
from mien.runtime.classifier import Classifier
from mien.training.checkpoint import Description, load_network, logits_of
from mien.training.deployed import Deployed
from mien.training.network import Network
from mien.training.onnx_graphs import quantize, write_graph
from mien.training.recipes import Recipe
from mien.training.splits import class_frequencies_record, gather

PARITY: Final = 1e-4
"""The largest difference of any probability between torch and the float32 graph that an export lets pass."""

CALIBRATION_FACES: Final = 512


@dataclass(frozen=True)
class Exported:
    """What an export did: the card that was written, and figures by precision, then by "protocol/split"."""

    card: ModelCard
    parity: float
    figures: Mapping[str, Mapping[str, Metrics]]


def export(
    checkpoint: Path,
    out: Path,
    *,
    dataset: FaceDataset | None = None,
    int8: bool = False,
    name: str = "mien",
    version: str = "0",
) -> Exported:
    """Write a checkpoint (a file, or a run's folder) as ONNX; the file appears whole or not at all.

    With a dataset, the graph is evaluated on validation faces, for the card; int8 needs one, to calibrate
    on its training faces. Raises ModelError where float32 and torch differ by more than PARITY, ConfigError on int8
    without training faces, on data of other classes, and where the file cannot be written.
    """
    if int8 and (dataset is None or not len(dataset.of_split("training"))):
        raise ConfigError("int8 is calibrated on training faces: give a dataset that has some")
    description, network = load_network(checkpoint)
    if dataset is not None and dataset.classes != description.classes:
        raise ConfigError(
            f"the checkpoint knows {', '.join(description.classes)}; the data has {', '.join(dataset.classes)}"
        )
    card = ModelCard(
        name=name,
        version=version,
        classes=description.classes,
        architecture=description.network.to_dict(),
        temperature=description.temperature,
        data=_with_class_frequencies(description, dataset),
        source=description.commit,
    )
    with written_aside(out) as whole, tempfile.TemporaryDirectory() as folder, _quiet():
        whole.touch()  # a path that cannot be written is refused before the work
        graph = Path(folder) / "float32.onnx"
        write_graph(Deployed(network, description.temperature), graph, "probabilities")
        _stamp(graph, card)
        parity = _parity(graph, network, description.temperature, dataset)
        figures = {card.precision: _figures(graph, dataset)}
        if int8 and dataset is not None:
            card = dataclasses.replace(card, precision="int8")
            graph = _quantised(graph, dataset.of_split("training"))
            _stamp(graph, card)
            figures["int8"] = _figures(graph, dataset)
        card = dataclasses.replace(card, metrics=_short(figures[card.precision]))
        _stamp(graph, card)
        whole.write_bytes(graph.read_bytes())
    return Exported(card, parity, figures)


def _with_class_frequencies(description: Description, dataset: FaceDataset | None) -> Mapping[str, Any]:
    """What the checkpoint says of its data. Where it does not say how frequent its classes were, as before 0.4.0, the
    dataset does.
    """
    if CLASS_FREQUENCIES in description.data or dataset is None or not len(dataset.of_split("training")):
        return description.data
    return {**description.data, **class_frequencies_record(gather(dataset, Recipe.from_dict(description.recipe)))}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings and quantize_static's advice to prepare a graph that is prepared already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _stamp(path: Path, card: ModelCard) -> None:
    model = onnx.load(path)
    kept = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, CARD_KEY: card.to_json()})
    onnx.save(model, path)


def _parity(path: Path, network: Network, temperature: float, dataset: FaceDataset | None) -> float:
    """Largest difference of a probability between graph and torch, on noise and on faces, at N = 1, 3 and 64."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 48, 48), dtype=np.uint8)
    smooth = noise[:, :12, :12].repeat(4, axis=1).repeat(4, axis=2)  # as faces are, unlike noise
    samples = [noise[:1], noise[:3], noise, smooth, smooth // 32]
    if dataset is not None and len(dataset):
        samples.append(dataset.faces[:64])
    classifier = Classifier(path)
    worst = 0.0
    for faces in samples:
        expected = apply_temperature(logits_of(network, faces), temperature)
        worst = max(worst, float(np.abs(classifier.probabilities(faces) - expected).max()))
    if worst > PARITY:
        raise ModelError(f"the exported graph differs from torch by {worst:.1e}, at most {PARITY:.0e} is allowed")
    return worst


def _quantised(graph: Path, training: FaceDataset) -> Path:
    """The graph in int8, calibrated on some of the training faces."""
    picked = np.random.default_rng(0).permutation(len(training))[:CALIBRATION_FACES]
    target = graph.with_name("int8.onnx")
    quantize(graph, target, training.faces[picked])
    return target


def _figures(graph: Path, dataset: FaceDataset | None) -> dict[str, Metrics]:
    """By "protocol/split", on the validation faces: all protocols that the dataset can serve."""
    if dataset is None:
        return {}
    validation = dataset.of_split("validation")
    protocols: Sequence[Any] = PROTOCOLS if dataset.votes is not None else ("fer2013",)
    if not len(validation):
        return {}
    classifier = Classifier(graph)
    probabilities = np.concatenate([classifier.probabilities(part) for part in chunks(validation.faces)])
    found = {}
    for protocol in protocols:
        truth, mask = evaluated_rows(validation, protocol)
        if mask.any():
            metrics = evaluate(probabilities[mask], truth[mask], classes=validation.classes)
            found[f"{protocol}/validation"] = metrics
    return found


def _short(figures: Mapping[str, Metrics]) -> dict[str, Any]:
    """What the card keeps of the figures."""
    kept = ("n", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "ece", "recall", "precision")
    return {key: {name: metrics.to_dict()[name] for name in kept} for key, metrics in figures.items()}
