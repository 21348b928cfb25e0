"""Pictures for benchmarks of `mien annotate`, generated: faces on noisy ground, each different, the same every time.

    python benchmarks/annotate_pictures.py FOLDER [--count 20000] [--side 320] [--bad 20]

A picture is a JPEG, side x 3/4 side, with 0 to 3 faces of scikit-image's astronaut: turned, mirrored, lit and scaled at
random. Of 1,000 pictures some are bad: text, cut off, empty.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance
from skimage import data

FACE = (150, 20, 300, 220)  # of the astronaut: from her hair to her collar
A_FOLDER = 1000


def picture(number: int, side: int) -> bytes:
    """JPEG number so and so."""
    rng = np.random.default_rng(number)
    width, height = side, side * 3 // 4
    coarse = rng.integers(40, 216, (4, 5, 3), np.uint8)
    ground = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 6, (height, width, 1))
    canvas = Image.fromarray((np.asarray(ground) + noise).clip(0, 255).astype(np.uint8))
    for place in rng.permutation(3)[: rng.integers(0, 4)]:
        face = _face()
        if rng.random() < 0.5:
            face = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        face = ImageEnhance.Brightness(face).enhance(float(rng.uniform(0.6, 1.3)))
        tall = int(height * rng.uniform(0.45, 0.9))
        face = face.resize((max(1, tall * face.width // face.height), tall), Image.Resampling.BILINEAR)
        face = face.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BILINEAR)
        canvas.paste(face, (int(place) * width // 3, int(rng.integers(0, height - tall + 1))))
    buffer = BytesIO()
    canvas.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def write(folder: Path, side: int, bad: int, number: int) -> None:
    """One picture, or something that is none."""
    path = folder / f"{number // A_FOLDER:03d}" / f"{number:06d}.jpg"
    if path.exists():
        return
    content = picture(number, side)
    if bad and number % A_FOLDER < bad:
        content = (b"no picture", content[: len(content) // 3], b"")[number % 3]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def generate(folder: Path, count: int, side: int, bad: int) -> None:
    """The first `count` pictures, by all processors; those that are there are left."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(write, folder, side, bad), range(count), chunksize=100))


@cache
def _face() -> Image.Image:
    return Image.fromarray(data.astronaut()).crop(FACE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--bad", type=int, default=20, help="of 1,000 pictures")
    asked = parser.parse_args()
    generate(asked.folder, asked.count, asked.side, asked.bad)


if __name__ == "__main__":
    main()
