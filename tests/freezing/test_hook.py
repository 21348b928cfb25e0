from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.freezing import hook_folders

PROGRAM = """
import sys
import mien
analyzer = mien.load(detector="none")
face = analyzer.analyze(sys.argv[1])
face.save(sys.argv[2])
print(analyzer.card.id, len(face.faces), mien.load().card.classes[0])
"""


def test_the_hook_is_announced() -> None:
    (hook,) = [entry for entry in entry_points(group="pyinstaller40") if entry.value.startswith("mien")]
    assert hook.load()() == hook_folders()
    assert (Path(hook_folders()[0]) / "hook-mien.py").is_file()


@pytest.mark.slow  # it takes half a minute
def test_a_frozen_program_has_model_font_and_emoji(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    (tmp_path / "reader.py").write_text(PROGRAM, encoding="utf-8")
    left_out = [option for name in ("torch", "matplotlib", "ray", "pandas") for option in ("--exclude-module", name)]
    built = subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", *left_out, "reader.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    picture = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    Image.fromarray(picture).save(tmp_path / "face.png")
    command = [str(tmp_path / "dist" / "reader" / "reader"), "face.png", "drawn.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["1", "anger"]
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (72, 72)
