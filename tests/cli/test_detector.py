from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.cli.app import app
from mien.errors import DetectorError
from mien.runtime import weights
from mien.runtime.weights import YUNET, RemoteFile

from ..conftest import YUNET_FILE, needs_yunet

ROOT = Path(__file__).parents[2]
CONTENT = b"stands for YuNet" * 5000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served on this machine, which YUNET points to, and an empty cache; yields the served file."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    file = folder / "yunet.onnx"
    file.write_bytes(CONTENT)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        remote = RemoteFile(
            "yunet.onnx",
            f"http://127.0.0.1:{server.server_port}/yunet.onnx",
            hashlib.sha256(CONTENT).hexdigest(),
            len(CONTENT),
        )
        monkeypatch.setattr(weights, "YUNET", remote)
        monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
        yield file
        server.shutdown()
        thread.join()


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "yunet.onnx"


def test_yunet_is_fetched_once_and_its_path_printed(zoo: Path, cached: Path) -> None:
    first = CliRunner().invoke(app, ["detector", "yunet"])
    assert (first.exit_code, first.stdout.strip()) == (0, str(cached))
    assert cached.read_bytes() == CONTENT
    zoo.unlink()
    second = CliRunner().invoke(app, ["detector", "yunet"])
    assert (second.exit_code, second.stdout.strip()) == (0, str(cached))
    assert "installed already" in second.stderr


def test_a_damaged_cache_is_fetched_anew(zoo: Path, cached: Path) -> None:
    cached.parent.mkdir()
    cached.write_bytes(CONTENT[:-5])
    assert CliRunner().invoke(app, ["detector", "yunet"]).exit_code == 0
    assert cached.read_bytes() == CONTENT


def test_what_is_not_yunet_is_not_stored(zoo: Path, cached: Path) -> None:
    zoo.write_bytes(CONTENT[::-1])
    result = CliRunner().invoke(app, ["detector", "yunet"])
    assert isinstance(result.exception, DetectorError)
    assert "expected SHA-256" in str(result.exception)
    assert list(cached.parent.iterdir()) == []


def test_yunet_from_a_file(zoo: Path, cached: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(CONTENT)
    zoo.unlink()
    assert CliRunner().invoke(app, ["detector", "yunet", "--from", str(mine)]).exit_code == 0
    assert cached.read_bytes() == CONTENT


def test_nothing_is_fetched_where_the_package_holds_yunet(zoo: Path, cached: Path) -> None:
    zoo.unlink()
    weights.vendored_yunet().parent.mkdir(parents=True)
    weights.vendored_yunet().write_bytes(CONTENT)
    result = CliRunner().invoke(app, ["detector", "yunet"])
    assert (result.exit_code, result.stdout.strip()) == (0, str(weights.vendored_yunet()))
    assert "came with the package" in result.stderr
    assert not cached.exists()


def test_list_shows_what_is_installed(zoo: Path) -> None:
    result = CliRunner().invoke(app, ["detector", "list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    lines = {line.split("│")[1].strip(): line for line in result.stdout.splitlines() if line.count("│") > 2}
    assert "uses haar" in lines["auto"]
    assert " no " in lines["yunet"]
    assert "mien detector yunet" in lines["yunet"]
    assert " yes " in lines["haar"]
    assert " yes " in lines["none"]


@needs_yunet
def test_auto_takes_the_real_yunet_once_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
    assert CliRunner().invoke(app, ["detector", "yunet", "--from", str(YUNET_FILE)]).exit_code == 0
    result = CliRunner().invoke(app, ["detector", "list"], env={"COLUMNS": "300"})
    assert "uses yunet" in result.stdout


def test_vendoring_a_wrong_file_fails_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(CONTENT)
    vendor = ROOT / "src" / "mien" / "assets" / "vendor"
    before = sorted(vendor.glob("*")) if vendor.is_dir() else []
    script = ROOT / "scripts" / "vendor_yunet.py"
    result = subprocess.run(
        [sys.executable, str(script), "--from", str(wrong)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert f"expected SHA-256 {YUNET.sha256}" in result.stderr
    assert (sorted(vendor.glob("*")) if vendor.is_dir() else []) == before
