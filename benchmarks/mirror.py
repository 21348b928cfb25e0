"""What averaging over the mirror image gains a trained AlexNet: on held-back faces and on validation, by `ferplus`.

    python benchmarks/mirror.py runs/ablation/scratch-0 runs/ablation/student-4 [--data trainval.parquet]

Each run is evaluated as it is without `network.mirror` and with it; the temperature is fitted anew each time, on the
held-back faces. "NLL" is the cross-entropy of held-back faces against their label, at that temperature.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from mien.cli.reading import read_dataset
from mien.data.audit import drop_leaks
from mien.evaluation.calibration import apply_temperature, fit_temperature
from mien.evaluation.metrics import evaluate
from mien.training.checkpoint import load_network, logits_of
from mien.training.network import AlexNet
from mien.training.recipes import Recipe
from mien.training.splits import Material, gather

HEAD = "| run | mirror | held back: accuracy, % | NLL | validation: accuracy, % | macro-F1, % | ECE, % |"


def cells(network: AlexNet, material: Material) -> str:
    """The cells of one network: held-back accuracy and cross-entropy, validation accuracy, macro-F1 and ECE."""
    labelled = material.held_truth >= 0
    truth = material.held_truth[labelled]
    held = logits_of(network, material.held.faces[labelled])
    temperature = fit_temperature(held, truth)
    right = np.mean(held.argmax(1) == truth)
    loss = -np.log(apply_temperature(held, temperature)[np.arange(len(truth)), truth]).mean()
    predictions = apply_temperature(logits_of(network, material.validation.faces), temperature)
    found = evaluate(predictions, material.validation.truth, classes=material.classes, resamples=1)
    figures = (found.accuracy, found.macro_f1, found.ece)
    return f"{100 * right:.1f} | {loss:.3f} | " + " | ".join(f"{100 * value:.1f}" for value in figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    options = parser.parse_args()
    dataset = drop_leaks(read_dataset(options.data))
    print(HEAD, "| --- " * 7 + "|", sep="\n")
    for run in options.runs:
        description, network = load_network(run)
        if not isinstance(network, AlexNet):
            parser.error(f"{run}: expected AlexNet, which alone has network.mirror")
        material = gather(dataset, Recipe.from_dict(description.recipe))
        for mirror in (False, True):
            network.config = dataclasses.replace(network.config, mirror=mirror)
            print(f"| `{run.name}` | {'yes' if mirror else 'no'} | {cells(network, material)} |", flush=True)


if __name__ == "__main__":
    main()
