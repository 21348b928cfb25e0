"""The sections of the page on what a model gets wrong, each a piece of HTML."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.packed_faces import pick
from mien.emotions import FERPLUS_COLUMNS
from mien.evaluation.calibration import reliability
from mien.evaluation.conditions import Group, brightness, by_fifths, contrast, sharpness
from mien.evaluation.mistakes import HARDLY_ANY, frequent_pairs
from mien.reports.evaluated import Evaluated
from mien.reports.html import named, sign, table, text

PAIRS: Final = 6
"""Confusions that have a row of examples."""

EXAMPLES: Final = 6
"""Faces in such a row."""

MOST_IDS: Final = 10_000
"""Row ids of suspected labels that are written out."""


def calibration(evaluated: Evaluated) -> str:
    """How far confidence can be believed: accuracy against confidence by bins."""
    metrics, bins = evaluated.metrics, reliability(evaluated.probabilities, evaluated.truth)
    marks = "".join(
        f'<line class="gap" x1="{100 * x:.1f}" x2="{100 * x:.1f}" y1="{100 - 100 * x:.1f}" y2="{100 - 100 * y:.1f}"/>'
        f'<circle cx="{100 * x:.1f}" cy="{100 - 100 * y:.1f}" r="1.6"/>'
        for x, y in zip(bins.confidence.tolist(), bins.accuracy.tolist(), strict=True)
    )
    certain = metrics.certain
    right = "" if certain.accuracy is None else f", and {_percent(certain.accuracy)} of those predictions are right"
    return (
        '<section><h2>Calibration</h2><div class="calibration"><svg viewBox="0 0 100 100" role="img" '
        'aria-label="Accuracy against confidence"><line class="even" x1="0" y1="100" x2="100" y2="0"/>'
        f"{marks}</svg><div><p>Expected calibration error: <strong>{_percent(metrics.ece)}</strong>. "
        f"The likeliest class has a probability of {certain.threshold:g} or more in {_percent(certain.fraction)} of "
        f'the faces{right}.</p><p class="note">Each point is one of {len(bins.count)} parts of the predictions, by '
        "their confidence: to the right how confident they are, upwards which fraction is right, both from 0 to 100 %. "
        "On the dashed line both are equal; below it the model is too confident.</p></div></div></section>"
    )


def confusion_matrix(evaluated: Evaluated) -> str:
    """How many faces of each class were predicted as which."""
    metrics = evaluated.metrics
    rows = []
    for k, name in enumerate(metrics.classes):
        counts = metrics.confusion[k].tolist()
        cells = "".join(
            f'<td class="number c{other}{"" if count else " zero"}" style="--part:{round(60 * count / sum(counts))}%">'
            f"{f'{count:,}' if count else '·'}</td>"
            if sum(counts)
            else '<td class="number zero">·</td>'
            for other, count in enumerate(counts)
        )
        recall = metrics.recall[name]
        found = "–" if recall is None else _percent(recall, 0)
        rows.append(f'<tr><th scope="row">{named(k, name)}</th>{cells}<td class="number">{found}</td></tr>')
    signs = (f"#{sign(k, name)}<span>{text(name)}</span>" for k, name in enumerate(metrics.classes))
    return (
        '<section><h2>Confusion matrix</h2><p class="note">Faces by their label (rows) and the prediction (columns); '
        "recall is the fraction of a class's faces that is predicted so.</p>"
        f"{table(['label', *signs, '#recall'], rows, 'matrix')}</section>"
    )


def confident(evaluated: Evaluated, most: int) -> str:
    """The most confidently wrong faces."""
    wrong = evaluated.wrong[:most]
    note = (
        f"{len(wrong)} of {len(evaluated.wrong):,} faces whose prediction is not the label, by falling probability."
        if len(wrong)
        else "No prediction is wrong."
    )
    return (
        f'<section class="long"><h2>Most confidently wrong</h2><p class="note">{note}</p>'
        f"{_faces(evaluated, wrong)}</section>"
    )


def confusions(evaluated: Evaluated) -> str:
    """The most frequent confusions, each with examples; nothing where there is no mistake."""
    pairs = frequent_pairs(evaluated.probabilities, evaluated.truth, PAIRS)
    if not pairs:
        return ""
    classes, support = evaluated.dataset.classes, evaluated.metrics.support
    parts = []
    for pair in pairs:
        truth, predicted = classes[pair.truth], classes[pair.predicted]
        count = f"{len(pair.rows):,} of {support[truth]:,} faces, {_percent(len(pair.rows) / support[truth])}"
        parts.append(
            f'<h3 class="pair">{named(pair.truth, truth)} taken for {named(pair.predicted, predicted)} '
            f"({count})</h3>{_faces(evaluated, pair.rows[:EXAMPLES])}"
        )
    return (
        '<section class="long"><h2>Frequent confusions</h2><p class="note">The most frequent ones first, with their '
        f"most confident examples.</p>{''.join(parts)}</section>"
    )


def conditions(evaluated: Evaluated) -> str:
    """Accuracy by sharpness, light and roll."""
    faces = evaluated.dataset.faces
    right = evaluated.probabilities.argmax(1) == evaluated.truth
    parts = [
        _by_measure("Sharpness", "variance of the Laplacian / variance", by_fifths(sharpness(faces), right), 3),
        _by_measure("Brightness", "mean grey, 0 to 255", by_fifths(brightness(faces), right), 0),
        _by_measure("Contrast", "standard deviation of grey", by_fifths(contrast(faces), right), 0),
    ]
    note = (
        "Sharpness, brightness and contrast are measured on the 48x48 face; each row is a fifth of the faces. The "
        "variance of the Laplacian is divided by that of the grey values, so that light does not count; noise counts "
        "as sharpness. "
    )
    if evaluated.rolls:
        parts.append(_by_measure("Head roll", "degrees to either side", evaluated.rolls, 0))
        n = sum(group.n for group in evaluated.rolls)
        some = "" if n == len(right) else f" of {n:,} faces, evenly spaced,"
        note += (
            f"Roll{some} is measured by YuNet's landmarks on the face enlarged four times; on FER2013 they are "
            "off by three degrees in the median, and by eight or less in nine faces of ten."
        )
    else:
        note += "Head roll was not measured: it takes YuNet's landmarks."
    return (
        f'<section class="long"><h2>Accuracy by sharpness, light and roll</h2><div class="conditions">'
        f'{"".join(parts)}</div><p class="note">{note}</p></section>'
    )


def suspects(evaluated: Evaluated, most: int) -> str:
    """Rows whose label may be wrong, with their ids."""
    rows = evaluated.suspected
    by_votes = evaluated.protocol != "fer2013"
    hardly = f" Only rows count where at most {_percent(HARDLY_ANY, 0)} of the voters named that class." * by_votes
    note = (
        "The likeliest class is not the label, and at least as probable as it is on average for faces whose label it "
        "is (confident learning: Northcutt, Jiang and Chuang, JAIR 70, "
        f"2021).{hardly} Either may be wrong."
    )
    count = "No row is suspected." if not len(rows) else f"{len(rows):,} of {len(evaluated.truth):,} rows"
    count += f"; the {most:,} most suspect are shown." if len(rows) > most else "." * bool(len(rows))
    return (
        f'<section class="long"><h2>Suspected labels</h2><p class="note">{note}</p>'
        f'<p class="note">{count}</p>{_faces(evaluated, rows[:most])}{_ids(evaluated, rows)}</section>'
    )


def _ids(evaluated: Evaluated, rows: NDArray[np.int64]) -> str:
    if not len(rows):
        return ""
    ids = evaluated.dataset.row[rows[:MOST_IDS]].tolist()
    more = f" The first {MOST_IDS:,}:" if len(rows) > MOST_IDS else ""
    return (
        f"<details><summary>The ids of all {len(rows):,} rows, the most suspect first</summary>{more}"
        f"<p><code>{text(', '.join(ids))}</code></p></details>"
    )


def _by_measure(title: str, unit: str, groups: Iterable[Group], digits: int) -> str:
    rows = []
    for group in groups:
        low, high = group.ci95
        values = "not found" if math.isnan(group.low) else f"{group.low:.{digits}f} to {group.high:.{digits}f}"
        rows.append(
            f'<tr><th scope="row">{values}</th><td class="number">{group.n:,}</td>'
            f'<td class="number">{_percent(group.accuracy)}</td>'
            f'<td class="number">{100 * low:.1f} to {100 * high:.1f}</td></tr>'
        )
    return f"<div><h3>{title}</h3>{table([text(unit), '#faces', '#accuracy', '#95 % interval'], rows, 'figures')}</div>"


def _faces(evaluated: Evaluated, rows: NDArray[np.int64]) -> str:
    if not len(rows):
        return ""
    pictures = pick(evaluated.dataset.faces, rows)[:]
    items = (_face(evaluated, row, picture) for row, picture in zip(rows.tolist(), pictures, strict=True))
    return f'<ul class="faces">{"".join(items)}</ul>'


def _face(evaluated: Evaluated, row: int, picture: NDArray[np.uint8]) -> str:
    dataset, predicted = evaluated.dataset, int(evaluated.probabilities[row].argmax())
    probabilities = evaluated.probabilities[row].tolist()
    label = dataset.classes[evaluated.truth[row]]
    lines = [f"label {label}, {_percent(probabilities[evaluated.truth[row]])}"]
    if dataset.labels[row] >= 0 and dataset.labels[row] != evaluated.truth[row]:
        lines.append(f"original label {dataset.classes[dataset.labels[row]]}")
    if evaluated.votes is not None and evaluated.votes[row].any():
        lines.append(f"votes {_votes(evaluated.votes[row].tolist())}")
    lines.append(f"row {dataset.row[row]}")
    said = "".join(f'<span class="said">{text(line)}</span>' for line in lines)
    png = base64.b64encode(cv2.imencode(".png", picture)[1].tobytes()).decode()
    name, alternative = dataset.classes[predicted], text(f"row {dataset.row[row]}")
    return (
        f'<li><img src="data:image/png;base64,{png}" width="48" height="48" alt="{alternative}">'
        f'<span class="named">{sign(predicted, name)}{text(name)} {_percent(probabilities[predicted])}</span>'
        f"{said}</li>"
    )


def _votes(fractions: Sequence[float]) -> str:
    """The classes that were voted for, the most frequent first."""
    ordered = sorted(zip(fractions, FERPLUS_COLUMNS, strict=True), key=lambda one: -one[0])
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{_percent(fraction, 0)}" for fraction, name in ordered if fraction > 0)


def _percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"
