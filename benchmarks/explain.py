"""How well do maps show what spoke for a class? Deletion and insertion, a half that is covered, and the time a face.

The areas under the deletion and the insertion curve (Petsiuk, Das and Saenko, BMVC 2018): the probability of the
predicted class while pixels are hidden, or shown, the highest values of the map first, in 16 steps. A good map has a
small deletion area and a large insertion area. Both are measured twice: pixels are hidden by the face's mean grey, and
by a blur. "cover" is the mean absolute value on the visible half of a face, over that on a half covered in mean grey.

    python benchmarks/explain.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from output import markdown_table

from mien.data.readers import read_faces
from mien.runtime.classifier import Classifier
from mien.runtime.evidence import BLUR, MASKS, evidence_map
from mien.runtime.weights import find_model

SIZE: Final = 48
STEPS: Final = 16
SKIPPED: Final = 120  # validation faces of the same order on which the method was chosen
Values: TypeAlias = NDArray[Any]
Method: TypeAlias = Callable[[NDArray[np.uint8], int], Values]
FILLS: Final[dict[str, Callable[[Values], Values]]] = {
    "mean": lambda face: np.full_like(face, face.mean()),
    "blur": lambda face: cv2.GaussianBlur(face, (0, 0), BLUR),
}


def hidden(face: NDArray[np.uint8], masks: Values, fill: str) -> NDArray[np.uint8]:
    """The face (48, 48) with the parts of masks (N, 48, 48), 0..1, hidden."""
    exact = face.astype(np.float32)
    return np.asarray(np.rint(exact + (FILLS[fill](exact) - exact) * masks), np.uint8)


def occlusion(classifier: Classifier, size: int, fill: str) -> Method:
    """A window that slides by 4 pixels: by how much the probability falls (Zeiler and Fergus, ECCV 2014)."""
    masks = np.zeros((((SIZE - size) // 4 + 1) ** 2, SIZE, SIZE), np.float32)
    places = [(y, x) for y in range(0, SIZE - size + 1, 4) for x in range(0, SIZE - size + 1, 4)]
    for mask, (y, x) in zip(masks, places, strict=True):
        mask[y : y + size, x : x + size] = 1

    def method(face: NDArray[np.uint8], index: int) -> Values:
        rows = classifier.probabilities(np.concatenate([face[None], hidden(face, masks, fill)]))[:, index]
        return np.asarray(np.tensordot(rows[0] - rows[1:], masks, 1) / masks.sum(axis=0))

    return method


def rise(classifier: Classifier, fill: str) -> Method:
    """RISE: the mean probability where a pixel is seen, less where it is hidden; as many masks as Mien's maps."""
    draws, cell = np.random.default_rng(1), 4
    masks = np.empty((MASKS, SIZE, SIZE), np.float32)
    for mask in masks:
        cells = (draws.random((SIZE // cell + 1, SIZE // cell + 1)) < 0.5).astype(np.float32)
        down, across = draws.integers(0, cell, 2)
        mask[:] = cv2.resize(cells, None, fx=cell, fy=cell)[down : down + SIZE, across : across + SIZE]

    def method(face: NDArray[np.uint8], index: int) -> Values:
        scores = classifier.probabilities(hidden(face, masks, fill))[:, index]
        seen = 1 - masks
        means = [np.tensordot(scores, part, 1) / part.sum(axis=0) for part in (seen, masks)]
        return np.asarray(means[0] - means[1])

    return method


def random_map(face: NDArray[np.uint8], index: int) -> Values:
    """As smooth as a map of evidence."""
    noise = np.random.default_rng(int(face.sum()) + index).normal(size=(SIZE, SIZE))
    return cv2.GaussianBlur(noise, (0, 0), 3)


def centre(face: NDArray[np.uint8], index: int) -> Values:
    """The nearer to the middle the higher, whatever the face shows."""
    away = np.arange(SIZE) - (SIZE - 1) / 2
    return -(away[:, None] ** 2 + away[None] ** 2)


def areas(classifier: Classifier, face: NDArray[np.uint8], values: Values, index: int) -> list[float]:
    """Deletion and insertion with each fill."""
    rank = np.empty(values.size, int)
    rank[np.argsort(-values.ravel(), kind="stable")] = np.arange(values.size)
    first = rank.reshape(SIZE, SIZE) < np.linspace(0, values.size, STEPS + 1)[:, None, None]
    found = []
    for fill in FILLS:
        for masks in (first, ~first):
            curve = classifier.probabilities(hidden(face, masks, fill))[:, index]
            found.append(float(np.mean((curve[1:] + curve[:-1]) / 2)))
    return found


def cover_ratio(classifier: Classifier, method: Method, faces: NDArray[np.uint8]) -> float:
    """How much more a map has on the visible half than on the covered one."""
    sums = np.zeros(2)
    for face in faces:
        for covered in (slice(0, SIZE // 2), slice(SIZE // 2, SIZE)):
            half = face.copy()
            half[:, covered] = round(float(face.mean()))
            values = np.abs(method(half, int(classifier.probabilities(half[None]).argmax())))
            on_cover = values[:, covered].sum()
            sums += values.sum() - on_cover, on_cover
    return float(sums[0] / sums[1])


def times(classifier: Classifier, face: NDArray[np.uint8], rounds: int) -> str:
    """Milliseconds of a map and of as many predictions, in turns: the best of each, as others may use the cores too."""
    batch, taken = np.repeat(face[None], MASKS, 0), []
    evidence_map(classifier.probabilities, face, 0)
    for _ in range(rounds):
        began = time.perf_counter()
        evidence_map(classifier.probabilities, face, 0)
        between = time.perf_counter()
        classifier.probabilities(batch)
        taken.append((between - began, time.perf_counter() - between))
    one, many = 1000 * np.min(taken, axis=0)
    return f"a map {one:.0f} ms, {MASKS} predictions {many:.0f} ms: {one / many:.2f} times"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    validation = read_faces(args.data).of_split("validation").faces[:]
    order = np.random.default_rng(1).permutation(len(validation))[SKIPPED : SKIPPED + args.faces]
    faces, classifier = validation[np.sort(order)], Classifier(find_model(None), threads=args.threads)
    predicted = classifier.probabilities(faces).argmax(axis=1)
    methods: dict[str, Method] = {"random": random_map, "centre": centre}
    for fill in FILLS:
        methods |= {f"occlusion 8x8, {fill}": occlusion(classifier, 8, fill), f"RISE, {fill}": rise(classifier, fill)}
    methods["occlusion 16x16, blur"] = occlusion(classifier, 16, "blur")
    methods["Mien"] = lambda face, index: evidence_map(classifier.probabilities, face, index)
    rows = []
    for name, method in methods.items():
        pairs = zip(faces, map(int, predicted), strict=True)
        found = np.mean([areas(classifier, face, method(face, index), index) for face, index in pairs], axis=0)
        gain = found[1] - found[0] + found[3] - found[2]
        covered = cover_ratio(classifier, method, faces[:24])
        rows.append([name, *(f"{value:.3f}" for value in found), f"{gain / 2:.3f}", f"{covered:.1f}"])
        print(rows[-1], flush=True)
    heads = ["map", *(f"{kind}, {fill}" for fill in FILLS for kind in ("deletion", "insertion"))]
    print(markdown_table([*heads, "insertion - deletion", "cover"], rows))
    print(times(classifier, faces[0], 15))


if __name__ == "__main__":
    main()
