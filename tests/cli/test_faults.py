"""Whatever fails while a command writes: files are whole or absent, no partial one stays, and one line says why.

The disk is full from each step on (a file opened for writing, a folder made, a rename), is read-only, is a network
share that is lost, and refuses what is longer than a limit, which libraries in C meet as well. Where only the clock
jumps, back too, nothing fails.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from PIL import Image

from mien.cli import main
from mien.emotions import EMOTIONS
from mien.service.page_files import is_built

from ..conftest import YUNET_FILE
from .conftest import TINY
from .faults import Ended, Fault, run_with

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs fork and named pipes"),
    pytest.mark.slow,
]

Arguments: TypeAlias = Sequence[str | Path]
Command: TypeAlias = Callable[[Path, Path], Arguments]

MODEL = ("--model", "model.onnx", "--detector", "none")
COMMANDS: dict[str, tuple[str, ...]] = {
    "predict photos": ("predict", "photos", *MODEL, "-o", "out/drawn", "--json", "out/a.jsonl", "--csv", "out/a.csv"),
    "predict video": (
        *("predict", "video.mp4", *MODEL, "-o", "out/a.mp4", "--json", "out/a.jsonl", "--csv", "out/a.csv"),
        *("--chart", "out/a.svg"),
    ),
    "report": ("report", "a.jsonl", "-o", "out/a.html", "--csv", "out/a.csv", "--json", "out/b.jsonl"),
    "report parquet": ("report", "a.jsonl", "--parquet", "out/a.parquet"),
    "report subtitles": ("report", "a.jsonl", "-o", "out/a.srt"),
    "explain": ("explain", "photos/0.png", *MODEL, "-o", "out/why.png"),
    "annotate": ("annotate", "photos", *MODEL, "-o", "out/faces", "--workers", "0"),
    "page": ("page", "--detector-model", str(YUNET_FILE), "-o", "out/site"),
    "export": ("export", "run", "-o", "out/model.onnx"),
    "data pack": ("data", "pack", "faces", "-o", "out/pack"),
    "evaluate": ("evaluate", "model.onnx", "--data", "faces", "--split", "training", "-o", "out/a.npz"),
    "errors": ("errors", "--data", "faces", "--split", "training", "--model", "model.onnx", "-o", "out/errors.html"),
    "detector": ("detector", "yunet", "--from", str(YUNET_FILE)),
}
NEEDS = {
    "predict video": ("av", "matplotlib"),
    "report parquet": ("pyarrow",),
    "annotate": ("fsspec", "pyarrow"),
    "export": ("torch", "onnx", "onnxscript"),
}
UNFINISHED = {"annotate": {"faces/plan/attempts/000000.json"}}
"""What a command leaves behind by which the next run goes on."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, brightness_model: Path) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("given")
    shutil.copy(brightness_model, folder / "model.onnx")
    for number, grey in enumerate((0, 85, 255)):
        for place in (folder / "photos", folder / "faces" / "train" / EMOTIONS[number]):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((48, 48), grey, np.uint8)).save(place / f"{number}.png")
    face = {
        "box": {"x": 2.0, "y": 1.0, "width": 24.0, "height": 24.0},
        "emotion": "fear",
        "uncertain": False,
        "track": 1,
    }
    lines = [
        {"schema": 1, "model": "m", "source": "b.mp4", "frame": i, "time_s": i / 5, "width": 96, "height": 64}
        | {"faces": [face | {"probabilities": {"fear": 0.8, "surprise": 0.2}}], "error": None}
        for i in range(20)
    ]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return folder


@pytest.fixture
def fails(
    tmp_path: Path,
    prepared: Path,
    make_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Callable[..., tuple[Ended, dict[str, bytes]]]:
    """Runs a command, in a fresh folder where `fresh`; how it ended, and the files in `out`."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    monkeypatch.setenv("MIEN_CACHE", str(out / "cache"))

    def fails(command: str, fault: Fault, *, fresh: bool = True) -> tuple[Ended, dict[str, bytes]]:
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
        if command == "export" and not Path("run").exists():
            shutil.copytree(request.getfixturevalue("run"), "run")
        if command == "predict video" and not Path("video.mp4").exists():
            make_video("video.mp4", 12)
        ended = run_with(fault, out, *COMMANDS[command])
        return ended, {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    return fails


@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_whole_or_absent_and_one_line_says_why(
    command: str, fails: Callable[[str, Fault], tuple[Ended, dict[str, bytes]]]
) -> None:
    skip_what_cannot_run(command)
    usual, whole = fails(command, Fault())
    assert usual.code == 0, usual.stderr
    assert whole
    assert usual.steps or command == "report parquet"  # which a library in C writes
    varies = names_with_a_time(command, fails, whole)
    sizes = sorted({*map(len, whole.values())})
    faults = [Fault(step) for step in range(1, usual.steps + 1)]
    faults += [Fault(1, error) for error in (errno.EROFS, errno.EACCES, errno.EIO, errno.ESTALE)]
    faults += [Fault(largest=size) for size in {0, 1, sizes[0] // 2, sizes[0] - 1, sizes[-1] // 2, sizes[-1] - 1}]
    for fault in faults:
        ended, files = fails(command, fault)
        where = f"{fault}\n{ended.stderr}"
        assert ended.code in (1, 2), where
        assert "Traceback" not in ended.stderr, where
        last = ended.stderr.strip().splitlines()[-1]
        assert last.startswith("error: "), where
        assert fault.step is None or last.endswith(os.strerror(fault.error)), where
        unfinished = UNFINISHED.get(command, set())
        assert set(files) <= set(whole) | unfinished, where
        assert_whole({name: content for name, content in files.items() if name not in unfinished}, whole, varies, where)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_at_any_step_leaves_no_broken_file_and_the_next_run_ends_as_usual(
    command: str, fails: Callable[..., tuple[Ended, dict[str, bytes]]]
) -> None:
    skip_what_cannot_run(command)
    usual, whole = fails(command, Fault())
    varies = names_with_a_time(command, fails, whole)
    for step in range(1, usual.steps + 1):
        fault = Fault(step, kills=True)
        ended, files = fails(command, fault)
        assert ended.code == -signal.SIGKILL, fault
        assert_whole({name: content for name, content in files.items() if name in whole}, whole, varies, str(fault))
        ended, files = fails(command, Fault(), fresh=False)
        assert ended.code == 0, f"{fault}\n{ended.stderr}"
        assert set(files) >= set(whole), fault
        assert_whole({name: files[name] for name in whole}, whole, varies, f"{fault}\n{set(files) - set(whole)}")


def test_a_training_stopped_at_any_step_goes_on_to_the_same_weights(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.numpy").load_file
    monkeypatch.chdir(tmp_path)
    last = Path("run/last.safetensors")

    def train(fault: Fault, *more: str) -> Ended:
        command = ("train", "--data", folders, "--out", "run", "--drop-leaks", *TINY, "--set", "epochs=2", *more)
        return run_with(fault, tmp_path, *command)

    usual = train(Fault())
    assert usual.code == 0, usual.stderr
    expected = load_file(last)
    for step in range(1, usual.steps + 1, 2):
        shutil.rmtree("run")
        fault = Fault(step, kills=step % 4 == 1)
        ended = train(fault)
        assert ended.code == (-signal.SIGKILL if fault.kills else 2), f"{fault}\n{ended.stderr}"
        assert fault.kills or ended.stderr.strip().splitlines()[-1].endswith("No space left on device"), ended.stderr
        ended = train(Fault(), *(["--resume"] if last.exists() else []))
        assert ended.code == 0, f"{fault}\n{ended.stderr}"
        weights = load_file(last)
        assert weights.keys() == expected.keys(), fault
        for name, tensor in weights.items():
            np.testing.assert_allclose(tensor, expected[name], rtol=1e-4, atol=1e-5, err_msg=f"{fault}, {name}")


def skip_what_cannot_run(command: str) -> None:
    for module in NEEDS.get(command, ()):
        pytest.importorskip(module)
    if (command in ("page", "detector") and not YUNET_FILE.is_file()) or (command == "page" and not is_built()):
        pytest.skip("needs YuNet, and the page (make page)")


def names_with_a_time(
    command: str, fails: Callable[[str, Fault], tuple[Ended, dict[str, bytes]]], whole: dict[str, bytes]
) -> set[str]:
    """The files whose content depends on the clock; nothing fails where only that jumps."""
    names: set[str] = set()
    for jump_s in (3600.0, -3600.0):
        ended, files = fails(command, Fault(jump_s=jump_s))
        assert ended.code == 0, ended.stderr
        assert set(files) == set(whole)
        names |= {name for name, content in files.items() if content != whole[name]}
    return names


def assert_whole(files: dict[str, bytes], whole: dict[str, bytes], varies: set[str], where: str) -> None:
    for name, content in files.items():
        if name in varies:
            assert len(content) > 0.9 * len(whole[name]), where
        else:
            assert content == whole[name], f"{name}, {where}"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "is the disk full?"),
        (OSError(errno.ENOSPC, "No space left on device"), "standard output: cannot be written: No space left"),
    ],
)
def test_a_full_disk_is_one_line(
    error: OSError, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("mien.cli.app.app", fail)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
