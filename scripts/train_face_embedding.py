"""Train the network that tells the persons of one video apart (`runtime/face_embedding.py`), and write it as ONNX.

    python scripts/train_face_embedding.py FACES... --dlib FILE.dat --out FILE.onnx [--photos DIR] [--epochs N]
                                           [--device cuda]

It learns to place faces as dlib's face recogniser does (King, 2017; its weights are in `face_recognition_models` on
PyPI, CC0): of each of eight views of a face dlib gives a descriptor, less the mean, reduced to 64 numbers by principal
components, of length 1. The small network sees the same view under other light, and is held to that vector and to the
cosines among a batch (Park et al., Relational Knowledge Distillation, CVPR 2019). FACES are any form of `--data`;
labels are ignored. With --photos, named PERSON_NUMBER.jpg as in LFW, it says how well persons are told apart.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien import load
from mien.cli import console
from mien.cli.reading import read_dataset
from mien.files import written_aside
from mien.runtime.crops import FACE_SIZE
from mien.runtime.face_embedding import FaceEmbedder
from mien.training.augment import Augmentation, Augmenter
from mien.training.dlib_weights import read_tensors
from mien.training.initialization import initialise
from mien.training.network import as_input, build, named_network
from mien.training.onnx_graphs import quantize, write_graph

DIMENSIONS: Final = 64
VIEWS: Final = 8
BATCH: Final = 512
RATE: Final = 4e-3
_FILTERS: Final = (32, 64, 96, 128, 128)
_ZOOM: Final = 1.25  # dlib's frame is narrower than FER2013's: measured on LFW, by the AUC of pairs
_RELATIONS: Final = 4.0
_VARIED: Final = Augmentation(
    rotation=12.0, scale=0.12, shift=0.06, brightness=0.25, contrast=0.4, blur=0.25, noise=0.04, erasing=0.15
)


class Embedding(nn.Module):
    """Faces (N, 1, 48, 48) uint8 to vectors (N, 64) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d, e = _FILTERS
        self.features = nn.Sequential(
            *_convolution(1, a, 5, stride=2),
            *_convolution(a, b),
            nn.MaxPool2d(2),
            *_convolution(b, c),
            nn.MaxPool2d(2),
            *_convolution(c, d),
            *_convolution(d, e),
            nn.MaxPool2d(2),
        )
        self.last = nn.Linear(9 * e, DIMENSIONS)

    def forward(self, faces: Tensor) -> Tensor:
        """As the graph."""
        seen = (faces.float() / 255 - 0.5) / 0.25
        return functional.normalize(self.last(self.features(seen).flatten(1)), dim=1)


def _convolution(inputs: int, filters: int, kernel: int = 3, *, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(filters), nn.ReLU(inplace=True)


class Recognizer:
    """dlib's descriptors of faces, with those of their mirror images added."""

    def __init__(self, file: Path, faces: NDArray[np.uint8], device: torch.device) -> None:
        self.device = device
        self.network = build(named_network("face-resnet"))
        initialise(self.network, str(file), faces[:256])
        self.network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.last = read_tensors(file)[-1][1].reshape(-1, 128).to(device)
        self.augment = Augmenter(_VARIED, self.network.config.input_size)
        middle = (FACE_SIZE - 1) / 2
        zoom = [[_ZOOM, 0, middle * (1 - _ZOOM)], [0, _ZOOM, middle * (1 - _ZOOM)], [0, 0, 1]]
        self.zoom = torch.tensor(zoom, device=device)

    @torch.inference_mode()
    def views(self, faces: NDArray[np.uint8], count: Callable[[int], None]) -> tuple[Tensor, Tensor]:
        """The moves (VIEWS, N, 3, 3) of each view, the first at rest, and its descriptors (VIEWS, N, 128)."""
        moves, found = [], []
        for view in range(VIEWS):
            for start in range(0, len(faces), BATCH):
                part = torch.from_numpy(faces[start : start + BATCH])[:, None].to(self.device).float() / 255
                still = torch.eye(3, device=self.device).repeat(len(part), 1, 1)
                move = self.augment.drawn_moves(part) if view else still
                shown = self.augment.moved(part, self.zoom @ move)
                moves.append(move)
                found.append(self._descriptors(shown) + self._descriptors(shown.flip(-1)))
                count(len(part))
        return torch.cat(moves).reshape(VIEWS, -1, 3, 3).clone(), torch.cat(found).reshape(VIEWS, -1, 128).clone()

    def _descriptors(self, shown: Tensor) -> Tensor:
        result: Tensor = self.network.features(as_input(shown, self.network.config)).flatten(1) @ self.last
        return result


def directions(descriptors: Tensor) -> Tensor:
    """Descriptors (V, N, 128) as vectors (V, N, 64) of length 1, along the principal components of the first view."""
    centred = descriptors - descriptors.mean((0, 1))
    _, _, components = torch.pca_lowrank(centred[0], q=DIMENSIONS, center=False)
    return functional.normalize(centred @ components, dim=2)


def train(faces: NDArray[np.uint8], moves: Tensor, wanted: Tensor, epochs: int) -> Embedding:
    """The moving average of the weights after so many passes."""
    device = wanted.device
    network, averaged = Embedding().to(device), Embedding().to(device).eval()
    averaged.load_state_dict(network.state_dict())
    augment = Augmenter(_VARIED, FACE_SIZE)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    pixels, steps = torch.from_numpy(faces)[:, None].to(device), len(faces) // BATCH
    with console.progress("{task.fields[loss]}") as bar:
        task = bar.add_task("training", total=epochs * steps, loss="")
        for step in range(epochs * steps):
            if step % steps == 0:
                order = torch.randperm(len(faces), device=device)
            rows = order[step % steps * BATCH :][:BATCH]
            which = (rows + step // steps) % VIEWS
            seen, _, _ = augment.with_whole(
                pixels[rows].float() / 255, rows[:, None], whole=False, moves=moves[which, rows]
            )
            found, target = network(255 * seen), wanted[which, rows]
            apart = functional.mse_loss(found @ found.T, target @ target.T)
            loss = (1 - (found * target).sum(1)).mean() + _RELATIONS * apart
            for group in optimizer.param_groups:
                rising, falling = min(1.0, (step + 1) / 200), 0.5 + 0.5 * math.cos(math.pi * step / (epochs * steps))
                group["lr"] = RATE * rising * falling
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
                    mean.copy_(torch.lerp(mean, value, 0.01) if mean.is_floating_point() else value)
            bar.update(task, advance=1, loss=f"loss {float(loss):.3f}")
    return averaged.cpu()


def write(network: Embedding, faces: NDArray[np.uint8], out: Path) -> None:
    """The network as an int8 graph, calibrated on some of the faces."""
    with written_aside(out) as part:
        plain = part.with_suffix(".float.onnx")
        try:
            write_graph(network, plain, "embedding")
            quantize(plain, part, faces[:: max(1, len(faces) // 512)])
        finally:
            plain.unlink(missing_ok=True)


def report(out: Path, photos: Path) -> None:
    """Print how well pairs of photos of one person are told from pairs of two."""
    crops: list[NDArray[np.uint8]] = []
    persons: list[str] = []
    analyzer = load(detector="yunet", max_faces=1)
    for path in sorted(photos.glob("*.jpg")):
        faces = analyzer._detect(path, "bgr").crops
        crops += faces
        persons += [path.stem.rsplit("_", 1)[0]] * len(faces)
    vectors = FaceEmbedder(path=out).embed(np.stack(crops))
    rows, columns = np.triu_indices(len(vectors), 1)
    alike = (vectors @ vectors.T)[rows, columns]
    same = np.array([persons[row] == persons[column] for row, column in zip(rows, columns, strict=True)])
    ranks = alike.argsort().argsort()
    area = (ranks[same].sum() - same.sum() * (same.sum() - 1) / 2) / (same.sum() * (~same).sum())
    limits = np.quantile(alike[~same], [0.5, 0.99, 0.999])
    console.out().print(f"{same.sum()} pairs of one person, {(~same).sum()} of two: AUC {area:.4f}")
    console.out().print(f"cosine of two persons: median {limits[0]:.2f}, 99 % {limits[1]:.2f}, 99.9 % {limits[2]:.2f}")
    console.out().print(
        f"cosine of one person: median {np.median(alike[same]):.2f}, 10 % {np.quantile(alike[same], 0.1):.2f}"
    )


def main() -> None:
    """Train, write, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, nargs="+", metavar="FACES")
    parser.add_argument("--dlib", type=Path, required=True, metavar="FILE.dat")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx")
    parser.add_argument("--photos", type=Path, metavar="DIR")
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--device", default="cpu", help="a torch device; a GPU takes minutes, a processor a day")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    parts = [read_dataset(path, labelled=False).of_split("training").faces for path in arguments.faces]
    faces = np.concatenate([np.asarray(part[:]) for part in parts])
    recognizer = Recognizer(arguments.dlib, faces, torch.device(arguments.device))
    with console.progress() as bar:
        task = bar.add_task("dlib's descriptors", total=VIEWS * len(faces))
        moves, descriptors = recognizer.views(faces, lambda count: bar.advance(task, count))
    network = train(faces, moves, directions(descriptors), arguments.epochs)
    write(network, faces, arguments.out)
    console.log(f"wrote {arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")
    if arguments.photos is not None:
        report(arguments.out, arguments.photos)


if __name__ == "__main__":
    main()
