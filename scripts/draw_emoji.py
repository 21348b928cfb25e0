"""Rasterise the emoji's SVGs into the PNGs that the package ships, and draw the pictures that show them.

python scripts/draw_emoji.py [--pictures docs/images]

Needs resvg-py, of the dev group. Each PNG holds the hash of the SVG that it was made of, and a test holds it to that.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import mien
from mien.drawing.emoji import EMOJI_FOLDER, draw_emoji
from mien.drawing.style import THEMES
from mien.emotions import EMOTIONS
from mien.files import written_aside
from mien.images.save import save_picture

SIDE: Final = 512
HASH_KEY: Final = "svg-sha256"
_SHEET_SIDES: Final = (256, 64, 32, 16)
_GAP: Final = 12


def main() -> int:
    """Write every PNG anew; 0 when they are there, 2 with one line on standard error without the rasteriser."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="write emoji.png and styles.jpg here too")
    pictures: Path | None = parser.parse_args().pictures
    try:
        for svg in svg_files():
            write_png(svg)
    except ImportError:
        print("error: rasterising needs resvg-py (pip install resvg-py)", file=sys.stderr)
        return 2
    if pictures is not None:
        save_picture(contact_sheet(), pictures / "emoji.png")
        save_picture(styles(), pictures / "styles.jpg")
    return 0


def svg_files() -> list[Path]:
    """The emoji's sources, by name."""
    return sorted(EMOJI_FOLDER.glob("*.svg"))


def svg_hash(svg: Path) -> str:
    """SHA-256 of an SVG's text, whatever ends its lines."""
    return hashlib.sha256(svg.read_text(encoding="utf-8").encode()).hexdigest()


def rasterised(svg: Path) -> Image.Image:
    """An SVG as RGBA of SIDE x SIDE pixels. Raises ImportError without resvg-py."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg.read_text(encoding="utf-8"), width=SIDE, height=SIDE)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def write_png(svg: Path) -> None:
    """Write the PNG beside its SVG."""
    image, info = rasterised(svg), PngInfo()
    info.add_text(HASH_KEY, svg_hash(svg))
    with written_aside(svg.with_suffix(".png")) as part:
        image.save(part, "PNG", optimize=True, pnginfo=info)


def contact_sheet() -> Image.Image:
    """All emoji in the sizes that they must be told apart in, on white and on black, as RGB, drawn as on faces.

    After the seven come that of an uncertain face, and that of a custom class.
    """
    columns = [(name, False) for name in EMOTIONS] + [("fear", True), ("focused", False)]
    height = _GAP + sum(side + _GAP for side in _SHEET_SIDES)
    sheet = np.full((2 * height, _GAP + len(columns) * (max(_SHEET_SIDES) + _GAP), 3), 255, np.uint8)
    sheet[height:] = 0
    for column, (name, uncertain) in enumerate(columns):
        left = _GAP + column * (max(_SHEET_SIDES) + _GAP)
        for ground in range(2):
            top = ground * height + _GAP
            for side in _SHEET_SIDES:
                draw_emoji(sheet, name, (left + side / 2, top + side / 2), side, uncertain=uncertain)
                top += side + _GAP
    return Image.fromarray(np.ascontiguousarray(sheet[:, :, ::-1]))


def styles() -> Image.Image:
    """The astronaut of scikit-image (NASA, public domain) in each theme, side by side, as RGB."""
    from skimage.data import astronaut

    analysis = mien.load().analyze(astronaut()[:, :, ::-1])
    drawn = [np.asarray(analysis.draw(theme=theme))[:330, 40:430] for theme in THEMES]
    return Image.fromarray(np.hstack(drawn))


if __name__ == "__main__":
    sys.exit(main())
