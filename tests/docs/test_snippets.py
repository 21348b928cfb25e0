"""The blocks of README.md and docs/ are run as they stand, in order, page by page, on small inputs of these names.

Only trainings get fewer epochs and smaller batches.

docs/serving.md's are run by tests/service/test_examples.py, docs/switching.md's by tests/compat/test_common.py, the
JavaScript by tests/web. What needs a camera, a network, a cluster or hours is not run: `not_run` says why, and
test_commands.py holds that it is taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("fsspec")
pytest.importorskip("matplotlib")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("skimage")

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from mien.cli.app import app
from mien.emotions import EMOTIONS
from mien.runtime.weights import find_model
from mien.video.writer import VideoWriter

from .pages import PAGES, ROOT, Block, Command, blocks, commands

if not (ROOT / "docs" / "start.md").is_file():
    pytest.skip("docs/ is not here: this is no checkout", allow_module_level=True)

ELSEWHERE = {"serving.md", "switching.md"}
SLOW = {"annotate", "train", "distill", "evaluate", "export"}
SHORTER = ("--set", "epochs=1", "--set", "batch=16")
"""What is added to commands that train: the recipes' own epochs and batches are for thousands of faces."""
OUTPUTS = ("-o", "--out", "--json", "--csv", "--chart")
REASONS: tuple[tuple[str, str], ...] = (
    (r"serve\b", "runs until it is stopped: tests/service"),
    (r"webcam\b(?!.*--no-window)|webcam\b(?!.*--camera)", "needs a camera or a window: tests/video, tests/cli"),
    (r"detector |data get |.*--init imagenet", "needs a network"),
    (r".*\b[a-z0-9]+://", "needs a store and a cluster"),
    (r"--install-completion", "changes the shell"),
    (r"errors .*runs/mine", "needs a run on these classes, which fine-tuning.md trains"),
    (r".*\b(trainval\.parquet|fer2013\.pack|alexnet\.pth)", "needs FER2013, or weights that are not Mien's, and hours"),
)


def not_run(command: Command) -> str | None:
    """Why a command is not run here; None where it is."""
    line = " ".join(command.words[1:])
    return next((why for pattern, why in REASONS if re.match(pattern, line)), None)


def runs(block: Block) -> list[Command]:
    return [one for one in commands(block) if one.words[0] == "mien" and not_run(one) is None]


def is_slow(page: Path) -> bool:
    return any(one.words[1] in SLOW for block in blocks(page) for one in runs(block))


def has_work(page: Path) -> bool:
    return page.name not in ELSEWHERE and any(runs(block) or block.language == "python" for block in blocks(page))


# What the pages name


def portrait(side: int = 256) -> Image.Image:
    from skimage.data import astronaut

    return Image.fromarray(astronaut()).crop((96, 0, 352, 256)).resize((side, side))


def write_film(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with VideoWriter(path, rate=10) as film:
        for index in range(12):
            frame = np.zeros((256, 320, 3), np.uint8)
            frame[:, 2 * index : 2 * index + 256] = np.asarray(portrait())[:, :, ::-1]
            film.write(frame, index / 10)


def write_records(path: Path) -> None:
    """Two persons side by side; the first is lost in the middle, and gets the number 4."""
    probabilities = dict.fromkeys(EMOTIONS, 0.05) | {"happiness": 0.7}
    with path.open("w", encoding="utf-8") as file:
        for index in range(40):
            faces = [
                {"track": track, "emotion": "happiness", "confidence": 0.7, "probabilities": probabilities,
                 "uncertain": False, "score": 0.9, "box": {"x": x, "y": 40, "width": 60, "height": 80}}
                for track, x in ((1 if index < 20 else 4, 20), (2, 200))
            ]  # fmt: skip
            record = {
                "schema": 1,
                "source": f"{path.stem}.mp4",
                "width": 320,
                "height": 256,
                "model": "mien",
                "faces": faces,
            }
            file.write(json.dumps(record | {"frame": index, "time_s": index / 10, "error": None}) + "\n")


def write_faces(folder: Path, classes: tuple[str, ...]) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 16), ("validation", 4)):
        for level, name in zip((60, 120, 190), classes, strict=True):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                face = random.normal(level, 25, (48, 48)).clip(0, 255).astype(np.uint8)
                Image.fromarray(face).save(folder / split / name / f"{index}.png")


def write_table(path: Path, *, votes: bool) -> None:
    """Kaggle's table of FER2013, or that of FER+ for it, with 70 made faces."""
    random = np.random.default_rng(1)
    usages = ["Training"] * 56 + ["PublicTest"] * 14
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    rows = [f"Usage,Image name,{names}" if votes else "emotion,pixels,Usage"]
    for index, usage in enumerate(usages):
        label = index % 7  # in Kaggle's order: angry, disgust, fear, happy, sad, surprise, neutral
        column = (4, 5, 6, 1, 3, 2, 0)[label]
        if votes:
            rows.append(f"{usage},fer{index:07}.png," + ",".join("9" if n == column else "0" for n in range(10)))
        else:
            pixels = random.normal(30 + 30 * label, 20, 48 * 48).clip(0, 255).astype(int)
            rows.append(f"{label},{' '.join(map(str, pixels))},{usage}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("team.jpg", "face.png", "crowd.jpg", "photo.jpg", "a.jpg", "b.jpg", "holidays/1.jpg", "scans/1.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        portrait().save(folder / name)
    for place in ("photos", "frames"):
        (folder / place).mkdir()
        for index in range(6):
            portrait().rotate(2 * index).save(folder / place / f"{index}.jpg")
    for name in ("interview.mp4", "film.mp4", "clip.mp4", "talk.mov", "films/one.mp4"):
        write_film(folder / name)
    for name in ("t.jsonl", "monday.jsonl", "tuesday.jsonl"):
        write_records(folder / name)
    write_faces(folder / "my_faces", ("bored", "confused", "pleased"))
    write_faces(folder / "more_faces", ("bored", "confused", "pleased"))
    write_faces(folder / "faces", ("sad", "neutral", "happy"))
    write_table(folder / "fer2013.csv", votes=False)
    write_table(folder / "fer2013new.csv", votes=True)
    shutil.copy(find_model(), folder / "mine.onnx")
    return folder


@pytest.fixture
def folder(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """A function that puts the inputs into the current folder, over what earlier blocks made of them."""
    monkeypatch.chdir(tmp_path)
    return lambda: Path(shutil.copytree(inputs, tmp_path, dirs_exist_ok=True))


# Running them


def run_command(command: Command, where: Path) -> None:
    stdin = (where / command.stdin).read_bytes() if command.stdin else None
    added = SHORTER if command.words[1] in ("train", "distill") else ()
    done = CliRunner().invoke(app, [*command.words[1:], *added], input=stdin)
    assert done.exit_code == 0, f"{' '.join(command.words)}\n{done.output}\n{done.exception!r}"
    for option, value in zip(command.words, command.words[1:], strict=False):
        if option in OUTPUTS and value != "-" and "--dry-run" not in command.words:
            assert (where / value).exists(), f"{' '.join(command.words)} wrote no {value}"


def run_python(code: str, where: Path) -> None:
    (where / "page.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{code}\n{done.stderr}"


def run_page(page: Path, put_inputs: Callable[[], Path]) -> None:
    """Blocks of Python go on from those before them, unless they begin with imports of their own."""
    before = ""
    for block in blocks(page):
        where = put_inputs()
        for command in runs(block):
            if command.words[1] != "page" or find_page():
                run_command(command, where)
        if block.language == "python":
            before = block.text if re.match("import |from ", block.text) else f"{before}\n{block.text}"
            run_python(before, where)


def find_page() -> bool:
    """Whether the page of `mien serve` is built: `mien page` writes no site without it."""
    spec = find_spec("mien.service")
    return spec is not None and (Path(spec.origin or "").parent / "page" / "index.html.gz").is_file()


@pytest.mark.parametrize("page", [page for page in PAGES if has_work(page) and not is_slow(page)], ids=lambda p: p.name)
def test_what_a_page_tells_to_type_runs(page: Path, folder: Callable[[], Path]) -> None:
    run_page(page, folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if has_work(page) and is_slow(page)], ids=lambda p: p.name)
def test_what_a_page_on_training_or_scale_tells_to_type_runs(page: Path, folder: Callable[[], Path]) -> None:
    pytest.importorskip("torch")
    run_page(page, folder)


def test_most_commands_are_run() -> None:
    """What is left out stays the exception, and each reason is still in use."""
    told = [one for page in PAGES for block in blocks(page) for one in commands(block) if one.words[0] == "mien"]
    done = [one for one in told if not_run(one) is None]
    reasons = {not_run(one) for one in told} - {None}
    assert reasons == {why for _, why in REASONS}
    assert len(done) > 60
