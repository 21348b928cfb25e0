from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mien

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("numpy", "cv2", "onnxruntime", "PIL", "torch", "matplotlib", "pandas", "pyarrow", "urllib.request")


def loaded_after(statement: str) -> set[str]:
    """Names of the modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("statement", ["import mien", "import mien.cli.app", "import mien; mien.Box(0, 0, 1, 1)"])
def test_importing_is_light(statement: str) -> None:
    assert not loaded_after(statement) & set(HEAVY)


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert len(set(mien.__all__)) == len(mien.__all__)
    assert set(mien.__all__) == {*mien._HOMES, "__version__"}
    assert dir(mien) == sorted(mien.__all__)
    for name in mien.__all__:
        value = getattr(mien, name)
        assert getattr(value, "__module__", None) in (mien._HOMES.get(name), None), name


def test_the_docs_name_what_is_exported_and_nothing_else() -> None:
    named: set[str] = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for block in re.findall(r"```python\n(.*?)```|`([^`\n]+)`", page.read_text(encoding="utf-8"), re.DOTALL):
            named |= set(re.findall(r"\bmien\.(\w+)", "".join(block)))
    modules = {info.name for info in pkgutil.iter_modules(mien.__path__)}
    others = {"env", "key", "v1"}  # files of the service, and its WebSocket protocol
    assert named - modules - others == set(mien.__all__) - {"__version__"}


def test_nothing_is_reported_and_no_file_is_left_behind(tmp_path: Path, brightness_model: Path) -> None:
    """onnxruntime would leave an id and its reports in the user's cache, and send them."""
    code = f"""
import mien, numpy
mien.load({str(brightness_model)!r}, detector="none").analyze(numpy.zeros((60, 60, 3), numpy.uint8))
"""
    homes = dict.fromkeys(("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "XDG_CACHE_HOME"), str(tmp_path))
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | homes)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        mien.nothing  # noqa: B018
