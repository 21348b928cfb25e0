"""The notebook runs from top to bottom, but for the cell that installs Mien, and is kept without results."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from .pages import ROOT

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("av")
pytest.importorskip("matplotlib")
pytest.importorskip("skimage")

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
if not NOTEBOOK.is_file():
    pytest.skip("docs/ is not here: this is no checkout", allow_module_level=True)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # where mien is
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = notebook.cells
    notebook.cells = [cell for cell in cells if "install" not in cell.metadata.get("tags", ())]
    assert len(notebook.cells) == len(cells) - 1
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("happiness" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3  # photo, explanation, curve
    assert not any("error" in output.get("text", "") for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs), outputs
    for name in ("film.mp4", "annotated.mp4", "film.jsonl", "report.html"):
        assert (tmp_path / name).stat().st_size > 0


def test_the_notebook_is_kept_without_results() -> None:
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
