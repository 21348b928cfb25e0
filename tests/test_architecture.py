"""The rules of the code base that a machine can hold: import contracts, dependencies, the size of files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mien"


def test_the_import_contracts_hold() -> None:
    pytest.importorskip("importlinter")
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_torch_contract_covers_every_room_but_training_and_the_command_line() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = {contract["name"]: contract for contract in tools["importlinter"]["contracts"]}
    covered = set(contracts["torch only in training"]["source_modules"])
    rooms = {path.stem for path in SOURCE.glob("[!_]*.py")}
    rooms |= {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert covered == {f"mien.{room}" for room in rooms - {"training", "cli"}}


def test_using_public_names_brings_no_extra() -> None:
    code = "import mien, sys; [getattr(mien, name) for name in mien.__all__]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"matplotlib", "pandas", "pyarrow", "scipy", "torch"}


def test_inference_needs_no_more_than_it_says() -> None:
    needed = [line for line in requires("mien") or [] if "extra ==" not in line]
    names = {re.split(r"[^A-Za-z0-9-]", line, maxsplit=1)[0] for line in needed}
    assert names == {"numpy", "onnxruntime", "opencv-python-headless", "pillow", "platformdirs", "rich", "typer"} | {
        "typing-extensions"
    }


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
