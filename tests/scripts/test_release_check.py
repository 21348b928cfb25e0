"""scripts/release_check.py: what it refuses. `make release-check` itself builds and installs, which takes minutes."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest

import mien

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = ROOT / "scripts" / "release_check.py"

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="needs the repository's scripts")


@pytest.fixture
def script() -> ModuleType:
    spec = spec_from_file_location("release_check", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a checkout whose files name these versions."""
    monkeypatch.setattr(script, "ROOT", tmp_path)

    def made(package: str = "1.2.3", changelog: str = "1.2.3", citation: str = "1.2.3") -> None:
        (tmp_path / "src" / "mien").mkdir(parents=True)
        (tmp_path / "src" / "mien" / "__init__.py").write_text(f'"""Mien."""\n\n__version__ = "{package}"\n')
        (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {changelog} (2026-01-02)\n\n## 1.0.0\n")
        (tmp_path / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {citation}\n")

    return made


def test_one_version_everywhere_may_be_released(script: ModuleType, checkout: Callable[..., None]) -> None:
    checkout()
    assert script.released_version(None) == script.released_version("v1.2.3") == "1.2.3"


@pytest.mark.parametrize(
    ("versions", "tag", "named"),
    [
        ({"changelog": "Unreleased"}, None, "CHANGELOG.md names Unreleased"),
        ({"citation": "1.2.2"}, None, "CITATION.cff names 1.2.2"),
        ({}, "v1.2.4", "the tag names 1.2.4"),
        ({"package": "1.3.0"}, "v1.3.0", "CHANGELOG.md names 1.2.3"),
    ],
)
def test_another_version_somewhere_is_refused(
    script: ModuleType, checkout: Callable[..., None], versions: dict[str, str], tag: str | None, named: str
) -> None:
    checkout(**versions)
    with pytest.raises(SystemExit, match=named):
        script.released_version(tag)


def test_the_repositorys_citation_names_a_version_of_the_changelog(script: ModuleType) -> None:
    version = script._found(r'^version: "?([^"\s]+)', ROOT / "CITATION.cff")
    assert version in re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert version == mien.__version__


def test_the_lowest_requirements_are_those_of_pyproject(script: ModuleType) -> None:
    lowest = list(script.lowest_requirements())
    assert "numpy==1.26.*" in lowest
    assert "pillow==11.0.*" in lowest
    assert all(re.fullmatch(r"[\w-]+==\d+\.\d+\.\*", one) for one in lowest)


def test_a_wheel_that_lacks_files_is_refused(script: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "mien-1.2.3-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for name in script.WANTED:
            archive.writestr(name.replace("*", "one"), "content")
    script.check_contents(wheel)
    with ZipFile(wheel, "w") as archive:
        for name in script.WANTED[1:]:
            archive.writestr(name.replace("*", "one"), "content")
    with pytest.raises(SystemExit, match=r"lacks mien/py\.typed"):
        script.check_contents(wheel)
