"""The script that makes the emoji's PNGs, and the PNGs that the package ships."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from mien.drawing.emoji import EMOJI_FOLDER
from mien.emotions import EMOTIONS

ROOT = Path(__file__).parents[2]
SVGS = sorted(EMOJI_FOLDER.glob("*.svg"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_emoji_script", ROOT / "scripts" / "draw_emoji.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_emotion_has_its_emoji_and_all_are_small() -> None:
    assert {svg.stem for svg in SVGS} == {*EMOTIONS, "plain", "uncertain"}
    assert {png.stem for png in EMOJI_FOLDER.glob("*.png")} == {svg.stem for svg in SVGS}
    assert sum(file.stat().st_size for file in EMOJI_FOLDER.iterdir()) < 300_000


@pytest.mark.parametrize("svg", SVGS, ids=lambda svg: svg.stem)
def test_the_png_was_made_of_its_svg(script: ModuleType, svg: Path) -> None:
    with Image.open(svg.with_suffix(".png")) as png:
        assert png.info[script.HASH_KEY] == script.svg_hash(svg)
        assert (png.mode, png.size) == ("RGBA", (script.SIDE, script.SIDE))


@pytest.mark.parametrize("svg", SVGS, ids=lambda svg: svg.stem)
def test_rasterised_anew_it_is_the_same_picture(script: ModuleType, svg: Path) -> None:
    pytest.importorskip("resvg_py", reason="rasterising needs resvg-py")
    with Image.open(svg.with_suffix(".png")) as png:
        shipped = np.asarray(png, int)
    assert abs(np.asarray(script.rasterised(svg), int) - shipped).max() <= 8


def test_the_hash_does_not_depend_on_line_ends(script: ModuleType, tmp_path: Path) -> None:
    unix, dos = tmp_path / "unix.svg", tmp_path / "dos.svg"
    unix.write_bytes(b"<svg>\n</svg>\n")
    dos.write_bytes(b"<svg>\r\n</svg>\r\n")
    assert script.svg_hash(unix) == script.svg_hash(dos)
    dos.write_bytes(b"<svg>\n\n</svg>\n")
    assert script.svg_hash(unix) != script.svg_hash(dos)


def test_without_the_rasteriser_it_says_what_is_missing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    monkeypatch.setattr(sys, "argv", ["draw_emoji.py"])
    assert script.main() == 2
    assert "resvg-py" in capsys.readouterr().err


def test_the_sheet_shows_every_emoji_on_white_and_on_black(script: ModuleType) -> None:
    sheet = np.asarray(script.contact_sheet())
    half = sheet.shape[0] // 2
    assert (sheet[0] == 255).all()
    assert (sheet[half] == 0).all()
    for ground, part in ((255, sheet[:half]), (0, sheet[half:])):
        shown = np.flatnonzero((part != ground).any((0, 2)))
        assert (np.diff(shown) > 1).sum() == len(EMOTIONS) + 1  # gaps between nine columns
