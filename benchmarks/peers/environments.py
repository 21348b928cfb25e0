"""An environment for each contestant, made once and left there: nothing that one needs can disturb another."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_MADE: Final = "made-by-benchmark"
_INSTALLER: Final = frozenset({"pip", "setuptools", "wheel"})

# fer asks for tensorflow, opencv-contrib-python and facenet-pytorch, which brings torch and CUDA. Its detector of
# faces in OpenCV 4 and its network need none of these but TensorFlow; without them it is smaller, and it starts.
RECIPES: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "mien": (),
    "fer": (
        (
            *("tensorflow-cpu", "opencv-python-headless>=4.10,<5", "setuptools<81", "matplotlib", "pandas", "requests"),
            *("tqdm", "moviepy<2", "ffmpeg-python", "Pillow"),
        ),
        ("--no-deps", "fer"),
    ),
    "bare": (("numpy", "onnxruntime", "opencv-python-headless>=4.10,<5"),),
    "networks": (("transformers",),),
}
"""What pip installs, call by call. `mien` gets a wheel of the working tree, `networks` stands on this environment."""


class AbsentError(Exception):
    """A contestant that cannot take part, and why, in one line."""


@dataclass(frozen=True)
class Package:
    """An installed package: its version, and the bytes of its files."""

    version: str
    bytes: int


@dataclass(frozen=True)
class Environment:
    """A virtual environment on disk."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def packages(self) -> dict[str, Package]:
        """All that is installed in it, by name. Raises AbsentError where its Python does not run."""
        found = json.loads(run([str(self.python), "-c", _LIST]))
        return {name: Package(version, size) for name, version, size in found}

    def bytes(self) -> int:
        """Of all files below its folder; what links point to elsewhere (Python itself) does not count."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())


_LIST: Final = """
import json
from importlib.metadata import distributions
rows = {}
for one in distributions():
    paths = [path.locate() for path in one.files or ()]
    name = one.metadata["Name"].lower().replace("_", "-")
    rows.setdefault(name, [name, one.version, sum(path.stat().st_size for path in paths if path.is_file())])
print(json.dumps(list(rows.values())))
"""


def make(name: str, folder: Path, log: Any) -> Environment:
    """The environment of this name below the folder, made where it is not there or was made otherwise.

    log is called with a line before something that takes long. Raises AbsentError where it cannot be made.
    """
    environment = Environment(folder / name)
    stamp = environment.folder / _MADE
    recipe = hashlib.sha256(json.dumps(RECIPES[name]).encode()).hexdigest()
    before = stamp.read_text().splitlines() if stamp.is_file() else []
    if before[:1] != [recipe]:
        log(f"{name}: making its environment")
        shutil.rmtree(environment.folder, ignore_errors=True)
        venv.create(environment.folder, with_pip=True, symlinks=True)
        if name == "networks":
            _stand_on_this(environment)
        for arguments in RECIPES[name]:
            _pip(environment, *arguments)
    source = _source() if name == "mien" else ""
    if name == "mien" and before != [recipe, source]:
        log("mien: installing a wheel of the working tree")
        with tempfile.TemporaryDirectory() as built:
            run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, str(ROOT)])
            wheel = str(next(Path(built).glob("*.whl")))
            _pip(environment, wheel)
            _pip(environment, "--force-reinstall", "--no-deps", wheel)  # the version may be the old one
    stamp.write_text("\n".join([recipe, *([source] if source else [])]))
    return environment


def by_package(packages: Mapping[str, Package], total: int, least: int) -> dict[str, int]:
    """Where the bytes of an environment go: packages from `least` bytes on, the largest first, then the rest.

    pip and setuptools, which every environment has, stand together; "other" is what no package owns or is smaller.
    """
    ordered = sorted(packages.items(), key=lambda item: -item[1].bytes)
    sizes = {name: package.bytes for name, package in ordered if package.bytes >= least and name not in _INSTALLER}
    sizes["pip, setuptools"] = sum(package.bytes for name, package in packages.items() if name in _INSTALLER)
    sizes["other"] = total - sum(sizes.values())
    return sizes


def clean_environment(cache: Path) -> dict[str, str]:
    """This process' environment variables without those that steer threads and Python; Mien's cache is `cache`."""
    passed = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("OMP_", "MKL_", "OPENBLAS_", "TF_", "ORT_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**passed, "MIEN_CACHE": str(cache)}


def run(command: Sequence[str]) -> str:
    """What a command prints. Raises AbsentError with its last line on standard error where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise AbsentError(f"{Path(command[0]).name}: {error.strerror}") from error
    if done.returncode:
        raise AbsentError(last_line(done.stderr) or f"exit code {done.returncode}")
    return done.stdout


def last_line(text: str) -> str:
    """The last line with text; of a traceback that is the error."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _pip(environment: Environment, *arguments: str) -> None:
    run([str(environment.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments])


def _stand_on_this(environment: Environment) -> None:
    """Let an environment import what this one has, torch above all, so that it is not installed twice."""
    packages = next((environment.folder / "lib").glob("python*")) / "site-packages"
    (packages / "project.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")


def _source() -> str:
    """A hash over everything that goes into Mien's wheel."""
    digest = hashlib.sha256()
    for path in sorted((*(ROOT / "src").rglob("*"), ROOT / "pyproject.toml")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()
