from __future__ import annotations

import subprocess
import sys

import pytest

import mien

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


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        mien.nothing  # noqa: B018
