"""Write MODEL_CARD.md from a model and its evaluation, by the template beside this script.

python scripts/model_card.py EVALUATION.json MODEL.onnx [--out MODEL_CARD.md]

EVALUATION.json holds what `mien evaluate MODEL.onnx --protocol all --json` printed: a line a protocol. What these
figures do not hold (how the run went, measurements on other data) comes from a file beside it that is named after the
model's id, as mien-0.1.0-int8.md, where there is one. Needs mien[train], which knows the network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import nn

from mien.errors import DataError, MienError, ModelError
from mien.files import written_aside
from mien.model_card import ModelCard
from mien.runtime.classifier import Classifier
from mien.training.network import NETWORKS, AlexNet, AlexNetConfig, multiply_adds

Figures = Mapping[str, Mapping[str, Any]]

TEMPLATE = Path(__file__).with_name("model_card.template.md")

PAPER = AlexNetConfig(in_channels=3, classes=1000, groups=2)
"""The network of 2012, as far as a config holds it."""

MOST_APART = 0.005
"""How far an accuracy may lie from the model's own card: int8 rounds otherwise on another processor, by few faces."""

REQUIRED = {"source", "fingerprint", "learned", "held_back", "protocol", "leaked", "min_share"}
"""What the model's card must record of its data."""

SPLITS = {
    "validation": "Validation (PublicTest), which chose nothing within the run",
    "test": "Test (PrivateTest)",
    "training": "Training, which it has seen",
}


def write_card(evaluation: Path, model: Path) -> str:
    """The text of the card. Raises MienError where the figures are damaged or of another model."""
    card = Classifier(model).card
    figures = read_figures(evaluation, card)
    notes = evaluation.with_name(f"{card.id}.md")
    if not card.data.keys() >= REQUIRED:
        raise ModelError(
            f"{model}: its card does not record {', '.join(sorted(REQUIRED - card.data.keys()))} of its data"
        )
    learned_from = card.data["protocol"]
    if learned_from not in figures:
        raise DataError(f"{evaluation}: expected figures by {learned_from}, got {', '.join(figures)}")
    values = {
        "name": card.name,
        "version": card.version,
        "file": model.name,
        "size": f"{model.stat().st_size / 1e6:.1f}",
        "precision": card.precision,
        "quantisation": "static int8, weights per channel, activations by their range on training faces"
        if card.precision == "int8"
        else "none",
        "temperature": f"{card.temperature:.2f}",
        "commit": f"commit `{card.source[:7]}` trained it" if card.source else "not recorded",
        "license": card.license,
        "learned_from": learned_from,
        "rows": rows(card.data),
        "source": card.data["source"],
        "fingerprint": card.data["fingerprint"][:12],
        "origin": origin(card.data),
        "notes": notes.read_text(encoding="utf-8").strip() + "\n\n" if notes.is_file() else "",
        **network_values(card),
        **figure_values(figures, learned_from),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(values)


def read_figures(path: Path, card: ModelCard) -> Figures:
    """The figures by protocol, held to be the card's model's."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        figures = {line["protocol"]: line for line in lines}
        of = {(line["model"], line["split"], tuple(line["classes"])) for line in lines}
        whole = all({"aurc", "certain", "recall_ci95"} <= line.keys() for line in lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected the lines of `mien evaluate --json`, got {error!r}") from error
    if len(of) != 1 or len(figures) != len(lines) or not whole:
        raise DataError(f"{path}: expected one whole line a protocol, of one model and split, got {len(lines)} lines")
    ((model, split, classes),) = of
    if model != card.id or classes != card.classes:
        raise DataError(f"{path}: expected figures of {card.id}, got those of {model}: evaluate anew")
    for protocol, line in figures.items():
        own = card.metrics.get(f"{protocol}/{split}", line)["accuracy"]
        if abs(own - line["accuracy"]) > MOST_APART:
            raise DataError(f"{path}: accuracy {line['accuracy']:.4f}, the model has {own:.4f}: evaluate anew")
    return figures


def network_values(card: ModelCard) -> dict[str, str]:
    """What the config in the card records of the network."""
    config = AlexNetConfig.from_dict(dict(card.architecture))
    with torch.device("meta"):
        network = AlexNet(config).eval()
    named = next((f"`{name}`" for name, known in NETWORKS.items() if known == config), "AlexNet")
    return {
        "classes": ", ".join(card.classes),
        "class_count": str(len(card.classes)),
        "network": named,
        "filters": "-".join(map(str, filters(network))),
        "hidden": "-".join(map(str, config.hidden)),
        "input_size": str(config.input_size),
        "parameters": f"{sum(each.numel() for each in network.parameters()) / 1e6:.1f}",
        "multiply_adds": f"{multiply_adds(config) / 1e9:.2f}",
        "differences": "; ".join(differences(network)),
    }


def filters(network: AlexNet) -> list[int]:
    """Filters of each convolution, in their order."""
    return [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]


def differences(network: AlexNet) -> list[str]:
    """How the network differs from the one of 2012."""
    own, paper = network.config.to_dict(), PAPER.to_dict()
    with torch.device("meta"):
        paper_filters = filters(AlexNet(PAPER))
    found = []
    if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        found.append(
            "batch normalisation after each convolution (folded into it here) in place of local response normalisation"
        )
    if filters(network) != paper_filters:
        found.append("-".join(map(str, filters(network))) + " filters for " + "-".join(map(str, paper_filters)))
    texts = {
        "in_channels": "one grey channel",
        "input_size": "an input of {0}x{0} pixels for {1}x{1}",
        "classes": "{0} classes for {1}",
        "groups": "no split between two GPUs",
        "stride": "a first convolution that steps by {0} pixels, not {1}",
        "padding": "{0} pixels around the input for {1}",
        "pool": "average pooling to {0}x{0} before the classifier",
        "hidden": "fully connected layers of {0} for {1}",
        "dropout": "dropout {0} for {1}",
        "mirror": "each face judged together with its mirror image, the logits averaged (both are counted above)",
    }
    skipped = {"filters", "width", "mean", "std"}  # the first two above; the paper subtracts a mean image
    for field, value in own.items():
        if field not in skipped and value != paper[field]:
            pair = ("-".join(map(str, each)) if isinstance(each, list) else each for each in (value, paper[field]))
            found.append(texts.get(field, f"{field} {{0}} for {{1}}").format(*pair))
    return found


def rows(data: Mapping[str, Any]) -> str:
    """Which rows were learned from, by which labels."""
    by, left_out = "their original labels", ""
    if data["protocol"] != "fer2013":
        by = "FER+ votes"
        left_out = (
            f" Faces of which {percent(1 - data['min_share'])} % or\nmore of the votes say contempt, unknown or "
            "not-a-face were left out."
        )
    leaks = "without any row whose pixels\nstand in validation or test as well"
    if data["leaked"]:
        leaks = (
            f"**of which {data['leaked']:,} stand in\nvalidation or test as well, which flatters every figure here**"
        )
    unlabeled = f" ({data['unlabeled']:,} of them by teachers alone, without labels)" if data.get("unlabeled") else ""
    counts = f"{data['learned']:,} faces were learned from{unlabeled}, {data['held_back']:,} were held back"
    return f"with {by}, {leaks}: {counts}.{left_out}"


def origin(data: Mapping[str, Any]) -> str:
    """What it began with, and who taught it, in a sentence."""

    def named(weights: Mapping[str, Any], key: str) -> str:
        return f"`{weights[key]}` (sha256 `{weights['sha256'][:12]}`)"

    begun = f"the weights of {named(data['init'], 'source')}" if data.get("init") else "random weights"
    teachers = ", ".join(named(teacher, "file") for teacher in data.get("teachers", ()))
    taught = f", and was taught by {teachers} too" if teachers else ""
    return f"The network began with {begun}{taught}."


def figure_values(figures: Figures, main: str) -> dict[str, str]:
    """The tables, and what they mean in words."""
    chosen = figures[main]
    of_protocols, of_classes, of_certain = [], [], []
    for name, line in figures.items():
        accuracy = with_interval(line["accuracy"], line["accuracy_ci95"])
        macro_f1 = with_interval(line["macro_f1"], line["macro_f1_ci95"])
        of_protocols.append((f"`{name}`", f"{line['n']:,}", accuracy, macro_f1, percent(line["ece"])))
        certain = line["certain"]
        right = with_interval(certain["accuracy"], certain["accuracy_ci95"])
        values = (percent(certain["fraction"]), right, percent(line["accuracy"]), percent(line["aurc"]))
        of_certain.append((f"`{name}`", *values))
    for name in chosen["classes"]:
        recall = with_interval(chosen["recall"][name], chosen["recall_ci95"][name])
        cells = (percent(chosen["precision"][name]), recall, percent(chosen["f1"][name]))
        of_classes.append((name, *cells, f"{chosen['support'][name]:,}"))
    return {
        "split_text": SPLITS[chosen["split"]],
        "threshold": f"{chosen['certain']['threshold']:g}",
        "protocol_table": table("protocol | faces | accuracy, % | macro-F1, % | calibration error, %", of_protocols),
        "class_table": table("class | precision, % | recall, % | F1, % | faces", of_classes),
        "certain_table": table("protocol | certain, % | accuracy on these, % | on all, % | AURC, %", of_certain),
        "weak_classes": weak_classes(chosen),
        "confusions": confusions(chosen),
    }


def weak_classes(line: Mapping[str, Any]) -> str:
    """The classes of which less than half is found."""
    weak = sorted((recall, name) for name, recall in line["recall"].items() if recall is not None and recall < 0.5)
    if not weak:
        return "Of each class at least half is found."
    named = ", ".join(f"{name} ({percent(recall)} % of {line['support'][name]:,})" for recall, name in weak)
    return (
        f"**Less than half is found of {named}.** Such a class still gets its probability,\nand a user who needs it "
        "should look at that."
    )


def confusions(line: Mapping[str, Any], most: int = 3) -> str:
    """The worst kinds of error, as fractions of the true class."""
    found = [
        (count / sum(row), truth, prediction)
        for truth, row in zip(line["classes"], line["confusion"], strict=True)
        for prediction, count in zip(line["classes"], row, strict=True)
        if count and truth != prediction
    ]
    worst = sorted(found, key=lambda one: (-one[0], *one[1:]))[:most]
    return (
        ", ".join(f"{truth} for {prediction} ({100 * fraction:.0f} %)" for fraction, truth, prediction in worst)
        or "none"
    )


def percent(fraction: float | None) -> str:
    """A fraction in per cent with one digit behind the point, a dash where there is none."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def with_interval(fraction: float | None, ends: Sequence[float] | None) -> str:
    """As `percent`, with the ends of its interval."""
    return percent(fraction) if ends is None else f"{percent(fraction)} ({percent(ends[0])} to {percent(ends[1])})"


def table(head: str, rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; head is its first line, less the outer bars."""
    rule = ["---"] * (head.count("|") + 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in ([head], rule, *rows))


def main() -> int:
    """Write the card; 0 when it is there, 2 with one line on standard error when it cannot be made."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("evaluation", type=Path, help="what `mien evaluate --protocol all --json` printed")
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("--out", type=Path, default=Path("MODEL_CARD.md"))
    arguments = parser.parse_args()
    try:
        text = write_card(arguments.evaluation, arguments.model)
        with written_aside(arguments.out) as part:
            part.write_text(text, encoding="utf-8")
    except MienError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
