"""How steady a video's predictions are, and how soon they follow: label changes a minute against delay.

    python benchmarks/steadiness.py [--data FILE] [--model FILE] [--count N] [--seconds S] [--json FILE] [--chart FILE]

Sequences are made of FER2013's validation faces (`filmed_stills.py` says how), as often as each emotion occurs there by
protocol ferplus: N of S seconds for each of two kinds (an emotion shown by one still, or by several one after the
other), from one half of the stills to choose settings by, and as many from the other half to quote. The model
classifies them at 60 frames a second, of which 30 and 15 take every second and fourth. Its predictions are saved in the
folder for temporary files, so that a second run takes seconds.

The classifier may be wrong about a still, which no smoothing can mend. So what is waited for is its steady prediction:
the label that most frames of a segment (the time for which an emotion is held) have unsmoothed.

- Changes: all label changes a minute. Flicker: those beyond the one that each segment may ask for, which is where the
  label shown just before it is not the segment's steady prediction.
- Delay: from the beginning of a segment to the first frame that shows its steady prediction, where the segment before
  had another one. Never, where that does not come while the segment lasts; quantiles count it as endless.
- Right: fraction of frames that show the true emotion. ECE: expected calibration error of the smoothed probabilities,
  in 15 bins of equal mass; over: their mean confidence, less the fraction that is right.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import filmed_stills
import numpy as np
from numpy.typing import NDArray
from output import markdown_table, write_json
from smoothers import Floats, Smoothed, average, hidden_markov, mien, unsmoothed
from steadiness_chart import draw

from mien.cli import console
from mien.cli.reading import read_dataset
from mien.data.dataset import FaceDataset, evaluated_rows
from mien.evaluation.calibration import reliability
from mien.files import make_folder, written_aside
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model
from mien.tracking.smoothing import EVIDENCE_S, WINDOW_S

RATE = 60
USUAL = 30
KINDS = ("one still", "several stills")
WAITED_S = 0.2
"""Settings are chosen for the least flicker at a median delay of no more than this."""

EVIDENCE = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
WINDOWS = (0.03, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)

Way = Callable[[Floats, float], Smoothed]

FAMILIES: Mapping[str, Mapping[float, Way]] = {
    "Mien": {value: partial(mien, evidence_s=value) for value in EVIDENCE},
    "hidden Markov model": {value: partial(hidden_markov, window_s=value) for value in WINDOWS},
    "average, margin 0.2": {value: partial(average, window_s=value) for value in WINDOWS},
    "average of logarithms, margin 0.2": {
        value: partial(average, window_s=value, logarithms=True) for value in WINDOWS
    },
}
"""Ways by the setting that is varied: Mien's evidence, the others' window, in seconds."""


@dataclass(frozen=True)
class Predictions:
    """The model's predictions for N sequences of F frames: probabilities (N, F, C), truth and segment (N, F)."""

    probabilities: Floats
    truth: NDArray[np.int64]
    segment: NDArray[np.int64]

    def at(self, rate: int) -> Predictions:
        """The same at fewer frames a second."""
        saved = slice(None, None, RATE // rate)
        return Predictions(self.probabilities[:, saved], self.truth[:, saved], self.segment[:, saved])


@dataclass(frozen=True)
class Steadiness:
    """Figures as described above: rates in changes a minute, delays in seconds (None: never), fractions 0..1.

    delays is how many changes were waited for.
    """

    changes: float
    flicker: float
    delay_median: float | None
    delay_p90: float | None
    delays: int
    never: float
    right: float
    ece: float
    over: float


def measure(predictions: Predictions, rate: float, way: Way) -> Steadiness:
    """Smooth the predictions one way, and measure what comes out."""
    shown, numbers = way(predictions.probabilities, rate)
    raw = predictions.probabilities.argmax(2)
    flicker, delays = 0, []
    for labels, own, segments in zip(shown, raw, predictions.segment, strict=True):
        starts = np.flatnonzero(np.diff(segments, prepend=-1))
        before = None
        for start, end in zip(starts, [*starts[1:], len(segments)], strict=True):
            steady = int(np.bincount(own[start:end]).argmax())
            span = labels[max(start - 1, 0) : end]
            changes = int(np.count_nonzero(np.diff(span)))
            flicker += max(0, changes - int(span[0] != steady))
            if before is not None and before != steady:
                there = np.flatnonzero(labels[start:end] == steady)
                delays.append(there[0] / rate if len(there) else np.inf)
            before = steady
    minutes = shown.size / rate / 60
    flat = numbers.reshape(-1, numbers.shape[2])
    truth = predictions.truth.ravel()
    return Steadiness(
        changes=float(np.count_nonzero(np.diff(shown, axis=1)) / minutes),
        flicker=flicker / minutes,
        delay_median=_quantile(delays, 0.5),
        delay_p90=_quantile(delays, 0.9),
        delays=len(delays),
        never=float(np.isinf(delays).mean()),
        right=float((shown == predictions.truth).mean()),
        ece=reliability(flat, truth).ece,
        over=float(flat.max(1).mean() - (flat.argmax(1) == truth).mean()),
    )


def _quantile(delays: list[float], fraction: float) -> float | None:
    value = float(np.quantile(delays, fraction, method="inverted_cdf"))
    return value if np.isfinite(value) else None


def predictions_of(
    dataset: FaceDataset, classifier: Classifier, *, count: int, seconds: float
) -> dict[str, list[Predictions]]:
    """The predictions for the sequences to choose by and for those to quote, a set for each of KINDS."""
    truth, mask = evaluated_rows(dataset, "ferplus")
    rows = np.random.default_rng(0).permutation(np.flatnonzero(mask))
    halves = {"choose": rows[: len(rows) // 2], "quote": rows[len(rows) // 2 :]}
    result: dict[str, list[Predictions]] = {}
    with console.progress() as bar:
        task = bar.add_task("filming and classifying", total=len(halves) * len(KINDS) * count)
        for seed, (half, own) in enumerate(halves.items()):
            result[half] = []
            faces, labels = dataset.faces[own], truth[own]
            for several in range(len(KINDS)):
                found = []
                for rng in np.random.default_rng(2 * seed + several).spawn(count):
                    one = filmed_stills.sequence(faces, labels, round(seconds * RATE), RATE, bool(several), rng)
                    found.append((classifier.probabilities(one.faces).astype(np.float64), one.truth, one.segment))
                    bar.advance(task)
                result[half].append(Predictions(*(np.stack(part) for part in zip(*found, strict=True))))
    return result


def saved_predictions(data: Path, model: Path, *, count: int, seconds: float) -> dict[str, list[Predictions]]:
    """`predictions_of`, from the folder for temporary files where an earlier run left them."""
    content = [model.read_bytes(), Path(filmed_stills.__file__).read_bytes(), f"{data} {count} {seconds}".encode()]
    key = hashlib.sha256(b"".join(content)).hexdigest()[:16]
    file = Path(tempfile.gettempdir()) / "mien-steadiness" / f"{key}.npz"
    fields = ("probabilities", "truth", "segment")
    halves = ("choose", "quote")
    if not file.is_file():
        dataset = read_dataset(data).of_split("validation")
        found = predictions_of(dataset, Classifier(model), count=count, seconds=seconds)
        arrays = {
            f"{half}-{kind}-{name}": getattr(one, name)
            for half in halves
            for kind, one in enumerate(found[half])
            for name in fields
        }
        make_folder(file.parent)
        with written_aside(file) as part, part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
    with np.load(file) as saved:
        return {
            half: [Predictions(*(saved[f"{half}-{kind}-{name}"] for name in fields)) for kind in range(len(KINDS))]
            for half in halves
        }


def _joined(sets: list[Predictions]) -> Predictions:
    return Predictions(*(np.concatenate([getattr(one, name) for one in sets]) for name in Predictions.__annotations__))


def chosen(predictions: Predictions) -> dict[str, float]:
    """For each family the setting with the least flicker at a median delay of no more than WAITED_S."""
    result = {}
    for family, ways in FAMILIES.items():
        found = {value: measure(predictions.at(USUAL), USUAL, way) for value, way in ways.items()}
        soon = {
            value: one.flicker
            for value, one in found.items()
            if one.delay_median is not None and one.delay_median <= WAITED_S + 1e-9
        }
        result[family] = min(soon, key=soon.__getitem__)
    return result


def by_window(predictions: Predictions) -> list[dict[str, float]]:
    """How well calibrated Mien's numbers are with other windows."""
    usual = predictions.at(USUAL)
    found = {value: measure(usual, USUAL, partial(mien, window_s=value)) for value in WINDOWS}
    return [{"window_s": value, "ece": one.ece, "over": one.over} for value, one in found.items()]


def figures(predictions: Mapping[str, list[Predictions]]) -> dict[str, Any]:
    """Everything measured, ready for JSON."""
    first = _joined(predictions["choose"])
    settings = chosen(first)
    quoted = [*zip(KINDS, predictions["quote"], strict=True), ("both", _joined(predictions["quote"]))]
    shipped = f"Mien ({EVIDENCE_S} s)"
    ways = {shipped: mien} | {
        f"{family} ({value} s)": FAMILIES[family][value] for family, value in settings.items() if family != "Mien"
    }
    rows = []
    for kind, own in quoted:
        for rate in (15, USUAL, RATE):
            compared = {"unsmoothed": unsmoothed} | (ways if rate == USUAL else {shipped: mien})
            for name, way in compared.items():
                rows.append({"kind": kind, "rate": rate, "way": name} | asdict(measure(own.at(rate), rate, way)))
    usual = quoted[-1][1].at(USUAL)
    curves = {
        family: [{"setting": value} | asdict(measure(usual, USUAL, way)) for value, way in family_ways.items()]
        for family, family_ways in FAMILIES.items()
    }
    return {
        "settings": {"evidence_s": EVIDENCE_S, "window_s": WINDOW_S},
        "chosen_on_first_half": settings,
        "calibration_by_window_on_first_half": by_window(first),
        "minutes": usual.truth.size / USUAL / 60,
        "segments": int(sum(one.max() + 1 for one in usual.segment)),
        "rows": rows,
        "curves": curves,
    }


def to_markdown(found: Mapping[str, Any]) -> str:
    """The rows as a table."""
    heads = ["sequences", "frames/s", "way", "changes a minute", "flicker", "fewer, %", "delay, median, s"]
    heads += ["90 % within, s", "never, %", "right, %", "ECE, %", "over, %"]
    table = []
    base = {(row["kind"], row["rate"]): row["flicker"] for row in found["rows"] if row["way"] == "unsmoothed"}
    for row in found["rows"]:
        fewer = 100 * (1 - row["flicker"] / base[row["kind"], row["rate"]])
        cells = [row["kind"], str(row["rate"]), row["way"], f"{row['changes']:.1f}", f"{row['flicker']:.1f}"]
        cells += ["" if row["way"] == "unsmoothed" else f"{fewer:.1f}"]
        cells += ["never" if row[key] is None else f"{row[key]:.2f}" for key in ("delay_median", "delay_p90")]
        cells += [f"{100 * row[key]:.1f}" for key in ("never", "right", "ece", "over")]
        table.append(cells)
    return markdown_table(heads, table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--model", type=Path, default=None, help="an ONNX file; else the newest that ships")
    parser.add_argument("--count", type=int, default=30, help="sequences of each kind, in each half")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args()
    model = find_model(options.model)
    predictions = saved_predictions(options.data, model, count=options.count, seconds=options.seconds)
    found = {"model": model.stem, "protocol": "ferplus", "split": "validation"} | figures(predictions)
    print(f"chosen on the first half: {found['chosen_on_first_half']}")
    for row in found["calibration_by_window_on_first_half"]:
        print(f"window {row['window_s']} s: ECE {100 * row['ece']:.1f} %, over {100 * row['over']:.1f} %")
    print()
    print(to_markdown(found), end="")
    if options.json:
        write_json(options.json, found)
    if options.chart:
        draw(found, options.chart)


if __name__ == "__main__":
    main()
