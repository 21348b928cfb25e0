"""The site of `make docs`: links that hold in the checkout hold there, and nothing is loaded from another host."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest

import mien

ROOT = Path(__file__).parents[2]
LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed", "object", "link"}

if not (ROOT / "mkdocs.yml").is_file():
    pytest.skip("mkdocs.yml is not here: this is no checkout", allow_module_level=True)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_script", ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hook() -> ModuleType:
    pytest.importorskip("mkdocs")
    return script("docs_site")


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("index.md", "docs/live.md", "live.md"),
        ("index.md", "MODEL_CARD.md", "MODEL_CARD.md"),
        ("live.md", "../MODEL_CARD.md", "MODEL_CARD.md"),
        ("live.md", "../README.md", "index.md"),
        ("live.md", "photos.md#what-it-costs", "photos.md#what-it-costs"),
        ("live.md", "images/webcam.jpg", "images/webcam.jpg"),
        ("serving.md", "../deploy/Caddyfile", "deploy/Caddyfile"),
        ("benchmarks/README.md", "../docs/int8.md", "../int8.md"),
        ("web/package/README.md", "../../LICENSES.md", "../../LICENSES.md"),
        ("ARCHITECTURE.md", "#invariants", "#invariants"),
        ("live.md", "https://example.org/docs/a.md", "https://example.org/docs/a.md"),
    ],
)
def test_links_of_the_checkout_become_links_of_the_site(hook: ModuleType, page: str, link: str, expected: str) -> None:
    assert hook.with_site_links(f"see [a page]({link}).", page) == f"see [a page]({expected})."


def test_every_page_is_in_the_navigation(hook: ModuleType) -> None:
    named = set(re.findall(r": ([\w/.-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    outside = {hook.site_path(name) for name in hook.OUTSIDE if name.endswith(".md")}
    assert named == outside | {path.name for path in (ROOT / "docs").glob("*.md")}


def test_the_api_page_has_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names = re.findall(r"^::: mien\.(\w+)$", text, re.MULTILINE)
    assert sorted(names) == sorted(set(mien.__all__) - {"__version__"})


def test_columns_of_docstrings_become_lists() -> None:
    pytest.importorskip("griffe")
    text = "What it is: two  blanks.\n\nx, y  the centre,\n      in pixels\nside the square's\n\nRaises ImageError."
    assert script("docs_docstrings").columns_as_lists(text) == (
        "What it is: two  blanks.\n\n- `x, y`: the centre,\n    in pixels\n- `side`: the square's\n\nRaises ImageError."
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(name)
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


def build(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a folder's site as `make docs` does."""
    recipe = re.search(r"-m (mkdocs build.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert recipe
    command = [sys.executable, "-m", *recipe[1].split(), "--site-dir", str(out)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=250)


class Loads(HTMLParser):
    """Collects the addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADING:
            self.found += [value for name, value in attrs if name in {"src", "href", "data", "poster"} and value]


def loads_of(path: Path) -> Iterator[str]:
    parser = Loads()
    parser.feed(path.read_text(encoding="utf-8"))
    yield from parser.found


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {"index.html", "api.html", "live.html", "MODEL_CARD.html"} <= {path.name for path in pages}
    loaded = {address for path in pages for address in loads_of(path)}
    assert any(address.endswith(".css") for address in loaded)
    assert [address for address in loaded if urlsplit(address).netloc] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"(?:@import\s+|url\()[\"']?(?:https?:)?//", styles) == []
    assert "uncertain_below" in (site / "api.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_link_that_leads_nowhere_is_an_error(hook: ModuleType, tmp_path: Path) -> None:
    for name in ("material", "mkdocstrings"):
        pytest.importorskip(name)
    for name in ("docs", "scripts", "src/mien"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.onnx", "__pycache__", "page"))
    for name in ("mkdocs.yml", *hook.OUTSIDE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "faq.md").open("a", encoding="utf-8") as page:
        page.write("\n[gone](photos.md#no-such-heading)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode == 1
    assert "no-such-heading" in done.stderr
