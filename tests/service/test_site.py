"""The page as static files: what is in the folder, and which folders are written to."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

import mien
from mien.analyzer import Analyzer
from mien.errors import ConfigError
from mien.service import page_config, page_files, site
from mien.service.page_files import POLICY
from mien.service.site import write_site

INDEX = b"<!doctype html>\n<html>\n  <head>\n    <title>built</title>\n  </head>\n</html>\n"
FILES = {
    "index.html": INDEX,
    "assets/index-CiRLcOiC.js": b"export const answer = 42;\n",
    "assets/licenses.txt": b"Of the page.\n",
    "assets/swagger-ui-bundle.js": b"the service's",
    "assets/swagger-ui.css": b"the service's",
}


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of a few files, as the build leaves them, and YuNet."""
    (tmp_path / "page" / "assets").mkdir(parents=True)
    for name, content in FILES.items():
        (tmp_path / "page" / f"{name}.gz").write_bytes(gzip.compress(content))
    (tmp_path / "yunet.onnx").write_bytes(b"a network")
    monkeypatch.setattr(page_files, "BUILT", tmp_path / "page")
    monkeypatch.setattr(page_config, "find_yunet", lambda: tmp_path / "yunet.onnx")
    return tmp_path / "page"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_site_holds_the_page_and_the_networks_unzipped(tmp_path: Path, analyzer: Analyzer) -> None:
    size = write_site(analyzer, tmp_path / "new" / "site")
    written = files(tmp_path / "new" / "site")
    assert size == sum(map(len, written.values()))
    config = json.loads(written.pop("page.json"))
    assert config["service"] is None
    assert config["version"] == mien.__version__
    assert config["classes"] == list(analyzer.card.classes)
    model, detector = (written.pop(config["engine"][name]) for name in ("model", "detector"))
    assert model == analyzer.model_path.read_bytes()
    assert detector == b"a network"
    assert hashlib.sha256(model).hexdigest()[:8] in config["engine"]["model"]
    assert written.pop("assets/index-CiRLcOiC.js") == FILES["assets/index-CiRLcOiC.js"]
    assert set(written) == {"index.html", "assets/licenses.txt"}
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["site"]


def test_the_page_itself_says_what_it_may_fetch(tmp_path: Path, analyzer: Analyzer) -> None:
    write_site(analyzer, tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text()
    head = index[: index.index("<title>")]
    assert f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(POLICY)}" />' in head
    assert "frame-ancestors" not in index  # browsers refuse it there, and say so on the console


def test_a_site_holds_the_licenses_of_what_it_holds(tmp_path: Path, analyzer: Analyzer) -> None:
    write_site(analyzer, tmp_path / "site")
    text = (tmp_path / "site" / "assets" / "licenses.txt").read_text()
    for words in ("Of the page.", "Shiqi Yu", "Microsoft Corporation", "THIRD PARTY"):
        assert words in text


def test_without_yunet_the_site_has_no_detector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer
) -> None:
    monkeypatch.setattr(page_config, "find_yunet", lambda: None)
    write_site(analyzer, tmp_path / "site")
    assert json.loads((tmp_path / "site" / "page.json").read_text())["engine"]["detector"] is None
    assert len(list((tmp_path / "site" / "engine").iterdir())) == 1


def test_an_empty_folder_is_filled_and_a_site_is_replaced_with_force_only(tmp_path: Path, analyzer: Analyzer) -> None:
    out = tmp_path / "site"
    out.mkdir()
    write_site(analyzer, out)
    (out / "assets" / "old.js").write_bytes(b"")
    with pytest.raises(ConfigError, match="holds a site already: `force=True` replaces it"):
        write_site(analyzer, out)
    assert "assets/old.js" in files(out)
    write_site(analyzer, out, force=True)
    assert "assets/old.js" not in files(out)
    assert "index.html" in files(out)


@pytest.mark.parametrize("name", ["CNAME", ".git", "notes"])
def test_no_other_file_is_ever_lost(tmp_path: Path, analyzer: Analyzer, name: str) -> None:
    out = tmp_path / "site"
    write_site(analyzer, out)
    (out / name).write_text("mine")
    before = files(out)
    with pytest.raises(ConfigError, match=f"holds other files \\({name}\\)"):
        write_site(analyzer, out, force=True)
    assert files(out) == before


def test_a_file_is_no_folder(tmp_path: Path, analyzer: Analyzer) -> None:
    (tmp_path / "site").write_text("mine")
    with pytest.raises(ConfigError, match="is a file, expected a folder to write"):
        write_site(analyzer, tmp_path / "site", force=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_the_old_site_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer, error: BaseException
) -> None:
    out = tmp_path / "sites" / "site"
    write_site(analyzer, out)
    before = files(tmp_path / "sites")

    def fails(index: bytes) -> bytes:
        raise error

    monkeypatch.setattr(site, "_strict", fails)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ConfigError):
        write_site(analyzer, out, force=True)
    assert files(tmp_path / "sites") == before
    assert [path.name for path in (tmp_path / "sites").iterdir()] == ["site"]


def test_without_a_built_page_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer
) -> None:
    monkeypatch.setattr(page_files, "BUILT", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="make page"):
        write_site(analyzer, tmp_path / "site")
    assert not (tmp_path / "site").exists()
