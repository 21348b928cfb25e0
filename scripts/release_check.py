"""Check that what would be released installs and runs: `make release-check`.

    python scripts/release_check.py [--out DIR] [--tag TAG] [--python PYTHON ...] [--photo FILE]
    python scripts/release_check.py --wheel FILE       # only: is all in this wheel that belongs there?

Builds the sdist, and the wheel from the sdist, into DIR. Checks that version, CHANGELOG.md, CITATION.cff and TAG say
the same; the metadata (twine); what the wheel holds; and, in a fresh environment each, the wheel on each PYTHON with
the newest dependencies, and on the first with the lowest minor versions that pyproject.toml allows (smoke_test.py).
Beside the wheel it writes an SBOM (CycloneDX) and the dependencies' licences, of which none may be the GPL's.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from fnmatch import filter as matching
from pathlib import Path
from typing import Final
from zipfile import ZipFile

ROOT: Final = Path(__file__).resolve().parent.parent
SMOKE: Final = ROOT / "scripts" / "smoke_test.py"
WANTED: Final = (
    "mien/py.typed",
    *(f"mien/service/page/{name}.gz" for name in ("index.html", "assets/engine.js", "assets/*.wasm")),
    *(f"mien/assets/vendor/{name}" for name in ("face_detection_yunet_2026may.onnx", "LICENSE_YUNET")),
    *(f"mien/assets/{name}" for name in ("models/*.onnx", "identity/*.onnx", "fonts/*.ttf", "emoji/*.png")),
    "mien/reports/page.html",
    "mien/reports/page.css",
    "mien/reports/gallery.html",
    "mien-*/licenses/LICENSES.md",
)
"""What a wheel must hold, beside the code."""


def main() -> None:
    """Check; exits with 1 and one line where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR")
    parser.add_argument("--tag", help="as the release will be tagged, vX.Y.Z")
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--photo", type=Path, help="a photo of one happy face; scikit-image's astronaut where left out")
    parser.add_argument("--wheel", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.wheel is not None:
        check_contents(args.wheel)
        return
    version = released_version(args.tag)
    wheel = built(args.out.resolve(), version)
    check_contents(wheel)
    photo = (args.photo or astronaut()).resolve()
    for number, python in enumerate(args.python):
        for lowest in (False, True) if number == 0 else (False,):
            with tempfile.TemporaryDirectory() as folder:
                check_installed(python, wheel, Path(folder), photo, lowest=lowest)
                if number == 0 and not lowest:
                    list_dependencies(Path(folder), wheel.parent / f"mien-{version}")
    print(f"mien {version} may be released: {wheel.parent}")


def released_version(tag: str | None) -> str:
    """The version, where all places name the same one."""
    version = _found(r'__version__ = "([^"]+)"', ROOT / "src" / "mien" / "__init__.py")
    named = {
        "CHANGELOG.md": _found(r"^## (\S+)", ROOT / "CHANGELOG.md"),
        "CITATION.cff": _found(r'^version: "?([^"\s]+)', ROOT / "CITATION.cff"),
        "the tag": version if tag is None else tag.removeprefix("v"),
    }
    for where, other in named.items():
        if other != version:
            sys.exit(f"{where} names {other}, and src/mien/__init__.py {version}")
    return version


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else "no version"


def built(out: Path, version: str) -> Path:
    """The wheel, made from the sdist beside it; both with metadata that PyPI takes."""
    _step("the sdist, and the wheel from it")
    for old in out.glob("mien-*"):
        old.unlink()
    _run(sys.executable, "-m", "build", "--outdir", str(out), str(ROOT))
    files = [out / f"mien-{version}.tar.gz", out / f"mien-{version}-py3-none-any.whl"]
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, files))
    return files[1]


def check_contents(wheel: Path) -> None:
    """Exit with 1 where a wheel lacks a file."""
    names = ZipFile(wheel).namelist()
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size / 1e6:.1f} MB")
    if missing := [pattern for pattern in WANTED if not matching(names, pattern)]:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}")


def check_installed(python: str, wheel: Path, folder: Path, photo: Path, *, lowest: bool) -> None:
    """Install the wheel into a fresh environment in a folder, and use it there."""
    _step(f"{python}, {'lowest' if lowest else 'newest'} dependencies")
    _run(python, "-m", "venv", str(folder / "env"))
    inside = _python_of(folder)
    _run(inside, "-m", "pip", "install", "--quiet", str(wheel), *(lowest_requirements() if lowest else ()))
    _run(inside, "-m", "pip", "check")
    # Away from the checkout, so that the installed package is imported.
    _run(inside, str(SMOKE), str(photo), cwd=folder)


def lowest_requirements() -> Iterator[str]:
    """The lowest minor version of each dependency that pyproject.toml allows, as pip takes it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["dependencies"]:
        name, major, minor = re.match(r"([\w-]+)>=(\d+)(?:\.(\d+))?", requirement).groups()  # type: ignore[union-attr]
        yield f"{name}=={major}.{minor or 0}.*"


def list_dependencies(folder: Path, stem: Path) -> None:
    """Write what is installed in an environment as STEM.cdx.json, and its licences as STEM-licenses.md."""
    _step("SBOM and licences")
    inside = _python_of(folder)
    _run(sys.executable, "-m", "cyclonedx_py", "environment", inside, "--output-file", f"{stem}.cdx.json")
    options = ("--python", inside, "--format", "markdown", "--with-urls", "--output-file", f"{stem}-licenses.md")
    _run(sys.executable, "-m", "piplicenses", *options, "--partial-match", "--fail-on", "GPL;General Public License")


def astronaut() -> Path:
    """Scikit-image's photo of Eileen Collins."""
    import skimage

    return Path(skimage.__file__).parent / "data" / "astronaut.png"


def _python_of(folder: Path) -> str:
    return str(folder / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def _step(name: str) -> None:
    print(f"\n== {name}", flush=True)


def _run(*command: str, cwd: Path | None = None) -> None:
    """Run a command without this checkout on its path; exit with 1 where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(command, cwd=cwd, env=environment, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
