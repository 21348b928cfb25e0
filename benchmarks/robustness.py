"""How a model bears what goes wrong with faces, and what it predicts for what is no face.

    python benchmarks/robustness.py [--model FILE] [--data FILE] [--detectors FOLDER] [--limit N] [--threads N]
                                    [--json FILE] [--markdown FILE]

FER2013's validation faces, protocol ferplus, each fault alone (`degradations.py` says how each is made). Uncertain are
predictions below `mien.types.UNCERTAIN_BELOW`; the drop is paired, against the same faces as they are, with a 95 %
bootstrap interval; a roll is taken to both sides, and counts once. For the roll, faces are enlarged to 192 pixels in a
picture with mirrored surroundings, and "aligned" means turned back before the cut: as `head_roll.py` says by YuNet's
landmarks, where it finds a face, else not at all; or by the true angle, which loses by resampling alone. The frame
stays the true one throughout, so the detector's box plays no part there.

No face are: rows that more than half of FER+'s voters took for none; squares of 48 to 240 pixels, anywhere in pictures
of scikit-image's that show no face, a cat's left out; noise that is even over 0..255; each flat grey.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from degradations import (
    EYES,
    GLASSES_GREY,
    LOWER_FACE,
    MASK_GREY,
    Faces,
    blurred,
    compressed,
    covered,
    darkened,
    flattened,
    noised,
    picture,
    reduced,
    reframed,
    roll_by_landmarks,
    rolled,
    shifted,
    square_covered,
)
from non_faces import FACELESS, non_faces
from numpy.typing import NDArray
from output import write_text
from robustness_tables import NonFaceRow, Row, show, to_markdown

from mien.cli import console
from mien.cli.reading import read_dataset
from mien.data.dataset import FaceDataset, evaluated_rows
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, DetectorError
from mien.evaluation.metrics import evaluate
from mien.runtime.classifier import Classifier
from mien.runtime.crops import FACE_SIZE
from mien.runtime.detectors import YuNetDetector
from mien.runtime.weights import find_model
from mien.types import UNCERTAIN_BELOW, Detector

ROLLS = (15, 30)
BATCH = 256

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Condition:
    """One fault: each version makes it of all faces, and the figures are the mean over them."""

    group: str
    name: str
    versions: Sequence[Callable[[Faces], Faces]]
    alignment: Mapping[str, float | None] = field(default_factory=dict)


def conditions(rolls: Mapping[int, Floats]) -> list[Condition]:
    """All faults. rolls are the angles by the landmarks (N,), NaN without any, at true angles of 0, ±15 and ±30."""
    single: list[tuple[str, str, Callable[[Faces], Faces]]] = [
        ("size", "24 px", partial(reduced, side=24)),
        ("size", "32 px", partial(reduced, side=32)),
        ("size", "48 px, half a pixel off", partial(reframed, x=0.5 / FACE_SIZE, y=0.5 / FACE_SIZE)),
        ("blur", "sigma 1 px", partial(blurred, sigma=1)),
        ("blur", "sigma 2 px", partial(blurred, sigma=2)),
        ("JPEG", "quality 30", partial(compressed, quality=30)),
        ("JPEG", "quality 10", partial(compressed, quality=10)),
        ("light", "gain 0.5", partial(darkened, gain=0.5)),
        ("light", "gain 0.25", partial(darkened, gain=0.25)),
        ("light", "gamma 2.2", partial(darkened, gamma=2.2)),
        ("light", "contrast 0.3", partial(flattened, contrast=0.3)),
        ("noise", "deviation 10 of 255", partial(noised, sigma=10)),
        ("noise", "deviation 25 of 255", partial(noised, sigma=25)),
        ("box", "shifted by 10 %", partial(shifted, fraction=0.1)),
        *(("box", f"{percent} % larger", partial(reframed, scale=1 + percent / 100)) for percent in (15, 20)),
        *(("box", f"{percent} % smaller", partial(reframed, scale=1 - percent / 100)) for percent in (15, 20)),
        ("covered", "lower face (mask)", partial(covered, part=LOWER_FACE, grey=MASK_GREY)),
        ("covered", "eyes (dark glasses)", partial(covered, part=EYES, grey=GLASSES_GREY)),
        ("covered", "a quarter, anywhere", square_covered),
    ]
    found = [Condition(group, name, [version]) for group, name, version in single]
    found.append(Condition("roll", "0°", [partial(rolled, roll=0)]))
    found.append(_by_landmarks(rolls, [0]))
    for angle in ROLLS:
        both = [angle, -angle]
        found.append(Condition("roll", f"{angle}°", [partial(rolled, roll=roll) for roll in both]))
        found.append(_by_landmarks(rolls, both))
        true = [partial(rolled, roll=roll, back=roll) for roll in both]
        found.append(Condition("roll", f"{angle}°, aligned, true angle", true))
    return found


def _by_landmarks(rolls: Mapping[int, Floats], angles: Sequence[int]) -> Condition:
    versions = [partial(rolled, roll=roll, back=rolls[roll]) for roll in angles]
    name = f"{abs(angles[0])}°, aligned by landmarks"
    return Condition("roll", name, versions, alignment_figures({roll: rolls[roll] for roll in angles}))


def alignment_figures(rolls: Mapping[int, Floats]) -> dict[str, float | None]:
    """How well landmarks give the roll: fraction found, median angle (towards the true side), median error; degrees."""
    angles = np.concatenate([np.where(true < 0, -1, 1) * found for true, found in rolls.items()])
    errors = np.concatenate([np.abs(found - true) for true, found in rolls.items()])
    known = ~np.isnan(angles)
    angle, error = (float(np.median(values[known])) if known.any() else None for values in (angles, errors))
    return {"found": float(known.mean()), "angle": angle, "error": error}


def paired_drop(before: Floats, after: Floats, resamples: int = 2000) -> tuple[float, tuple[float, float]]:
    """How far the mean of the same N faces falls, and its 95 % bootstrap interval over the faces.

    before and after are (N,), 0..1: how often each face's prediction is right. The faces fall into few kinds by their
    difference, so drawing how many there are of each kind is that bootstrap, exactly.
    """
    kinds, counts = np.unique(before - after, return_counts=True)
    n = len(before)
    draws = np.random.default_rng(0).multinomial(n, counts / n, size=resamples) @ kinds / n
    low, high = np.quantile(draws, [0.025, 0.975])
    return float((before - after).mean()), (float(low), float(high))


def figures_of(condition: Condition, predictions: Sequence[Floats], truth: NDArray[np.int64], clean: Floats) -> Row:
    """The figures of one condition: probabilities (N, C) for each version; clean is those of the clean faces."""
    pooled = np.concatenate(predictions)
    metrics = evaluate(pooled, np.tile(truth, len(predictions)), classes=EMOTIONS, resamples=1)
    right = np.mean([one.argmax(1) == truth for one in predictions], axis=0)
    drop, interval = paired_drop((clean.argmax(1) == truth).astype(float), right)
    return Row(
        group=condition.group,
        name=condition.name,
        faces=len(truth),
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        confidence=float(pooled.max(1).mean()),
        ece=metrics.ece,
        uncertain=float((pooled.max(1) < UNCERTAIN_BELOW).mean()),
        drop=drop,
        drop_ci95=interval,
        alignment=condition.alignment,
    )


def figures_of_non_faces(name: str, predictions: Floats) -> NonFaceRow:
    """The figures of probabilities (N, C) for pictures without a face."""
    fractions = np.bincount(predictions.argmax(1), minlength=len(EMOTIONS)) / len(predictions)
    top = predictions.max(1)
    return NonFaceRow(
        name,
        len(predictions),
        dict(zip(EMOTIONS, fractions.tolist(), strict=True)),
        float(top.mean()),
        float((top < UNCERTAIN_BELOW).mean()),
    )


def ask(classifier: Classifier, faces: Faces, done: Callable[[int], None]) -> Floats:
    """The probabilities (N, C) of faces, reporting the size of each batch."""
    predictions = []
    for start in range(0, len(faces), BATCH):
        predictions.append(classifier.probabilities(faces[start : start + BATCH]))
        done(len(predictions[-1]))
    return np.concatenate(predictions)


def measure(
    classifier: Classifier, detector: Detector, dataset: FaceDataset, limit: int | None = None
) -> tuple[list[Row], list[NonFaceRow]]:
    """Both tables, the clean faces first, on the first `limit` faces.

    Raises ConfigError on a model of other classes, a dataset without votes or a limit below 1.
    """
    if classifier.classes != EMOTIONS:
        raise ConfigError(f"protocol ferplus has {', '.join(EMOTIONS)}; the model has {', '.join(classifier.classes)}")
    if limit is not None and limit < 1:
        raise ConfigError(f"expected a limit of at least 1 face, got {limit}")
    validation = dataset.of_split("validation")
    truth, mask = evaluated_rows(validation, "ferplus")
    faces, truth = validation.faces[mask][:limit], truth[mask][:limit]
    angles = [0, *(sign * angle for angle in ROLLS for sign in (1, -1))]
    rolls: dict[int, Floats] = {}
    others = non_faces(dataset)
    with console.progress() as bar:
        task = bar.add_task("finding landmarks", total=len(angles) * len(faces))
        for roll in angles:
            rolls[roll] = np.empty(len(faces))
            for index, face in enumerate(faces):
                rolls[roll][index] = roll_by_landmarks(picture(face, roll), detector)
                bar.advance(task)
        asked = [Condition("clean", "48 px, as they are", [lambda faces: faces]), *conditions(rolls)]
        versions = sum(len(condition.versions) for condition in asked)
        task = bar.add_task("faces", total=versions * len(faces) + sum(map(len, others.values())))

        def done(count: int) -> None:
            bar.advance(task, count)

        rows: list[Row] = []
        clean: Floats | None = None
        for condition in asked:
            bar.update(task, description=f"{condition.group}: {condition.name}")
            predictions = [ask(classifier, version(faces), done) for version in condition.versions]
            clean = predictions[0] if clean is None else clean
            rows.append(figures_of(condition, predictions, truth, clean))
        return rows, [figures_of_non_faces(name, ask(classifier, shown, done)) for name, shown in others.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="an ONNX file or the version of a shipped model")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--detectors", type=Path, default=Path("../shared/data/detectors"), help="holds YuNet's file")
    parser.add_argument("--limit", type=int, default=None, help="only the first N faces")
    parser.add_argument("--threads", type=int, default=None, help="of the processor, for the model; one a core")
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    args = parser.parse_args()
    yunet = next(iter(sorted(args.detectors.glob("face_detection_yunet_*.onnx"))), None)
    if yunet is None:
        raise DetectorError(f"{args.detectors}: holds no face_detection_yunet_*.onnx: name its folder with --detectors")
    classifier = Classifier(find_model(args.model), threads=args.threads)
    rows, others = measure(classifier, YuNetDetector(yunet), read_dataset(args.data), args.limit)
    title = f"{classifier.card.id}, ferplus, validation, {rows[0].faces} faces; all figures in per cent"
    show(title, rows, others)
    if args.json is not None:
        figures = {
            "model": classifier.card.id,
            "protocol": "ferplus",
            "split": "validation",
            "uncertain_below": UNCERTAIN_BELOW,
            "detector": yunet.name,
            "faceless": FACELESS,
            "faces": [asdict(row) for row in rows],
            "non_faces": [asdict(row) for row in others],
        }
        write_text(args.json, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    if args.markdown is not None:
        write_text(args.markdown, to_markdown(title, rows, others))


if __name__ == "__main__":
    main()
