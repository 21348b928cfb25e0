"""The page as static files, which any host serves: pictures are read in the visitor's browser only."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from mien.analyzer import Analyzer
from mien.errors import ConfigError, reason
from mien.files import folder_written_aside
from mien.runtime.weights import vendored_yunet
from mien.service.page_config import EngineFiles, as_json, engine_yunet, page_config
from mien.service.page_files import POLICY, built_files

_OF_THE_SERVICE: Final = "assets/swagger-ui"
"""How the files begin that only the service's page needs."""
_LICENSES: Final = "assets/licenses.txt"
_PARTS: Final = frozenset({"index.html", "page.json", "assets", "engine"})
"""What lies at the top of a site."""


def write_site(analyzer: Analyzer, out: Path, *, force: bool = False) -> int:
    """Write the page, the analyzer's model, YuNet where it is installed, and the wasm that runs them; returns bytes.

    out is a folder that is not there yet or empty, or with force an earlier site, which is replaced. It appears whole
    or not at all. Raises ConfigError where out is something else or cannot be written, or where this copy of Mien holds
    no built page.
    """
    files = built_files()
    if "index.html" not in files:
        raise ConfigError("the page is not built in this copy of Mien: `make page` in a checkout builds it")
    _check(out, force=force)
    with folder_written_aside(out) as folder:
        size = 0
        for name, content in _contents(analyzer, files):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            size += path.write_bytes(content)
    return size


def _check(out: Path, *, force: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out} is a file, expected a folder to write")
    try:
        names = {path.name for path in out.iterdir()}
    except OSError as error:
        raise ConfigError(f"{out}: cannot be read: {reason(error)}") from error
    if not names:
        return
    if others := sorted(names - _PARTS):
        raise ConfigError(f"{out} holds other files ({others[0]}): name a folder that is not there yet")
    if not force:
        raise ConfigError(f"{out} holds a site already: `force=True` replaces it")


def _contents(analyzer: Analyzer, files: dict[str, Path]) -> Iterator[tuple[str, bytes]]:
    """Each file's name and content, one after another: the largest takes 14 MB."""
    for name, path in files.items():
        if name.startswith(_OF_THE_SERVICE):
            continue
        content = gzip.decompress(path.read_bytes())
        if name == "index.html":
            content = _strict(content)
        if name == _LICENSES:
            content = "\n".join([content.decode(), *engine_licenses()]).encode()
        yield name, content
    model, yunet = analyzer.model_path.read_bytes(), engine_yunet(analyzer)
    engine: EngineFiles = {"model": _named("model", model), "detector": None}
    yield engine["model"], model
    if yunet is not None:
        content = yunet.read_bytes()
        engine["detector"] = name = _named("yunet", content)
        yield name, content
    yield "page.json", json.dumps(as_json(page_config(analyzer, engine, None)), indent=1).encode()


def _named(name: str, content: bytes) -> str:
    """An address that changes with the content, so that no cache mixes two versions of a site."""
    return f"engine/{name}-{hashlib.sha256(content).hexdigest()[:8]}.onnx"


def _strict(index: bytes) -> bytes:
    """The page with the policy inside that the service sends as a header: a host may send none."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(POLICY)}" />'
    head, mark, rest = index.partition(b"<head>")
    return head + mark + b"\n    " + policy.encode() + rest


def engine_licenses() -> Iterator[str]:
    """The texts of what the built page does not hold: YuNet and onnxruntime."""
    texts = {"YuNet": [vendored_yunet().with_name("LICENSE_YUNET")]}
    if (spec := find_spec("onnxruntime")) is not None and spec.origin is not None:
        texts["ONNX Runtime"] = [Path(spec.origin).parent / name for name in ("LICENSE", "ThirdPartyNotices.txt")]
    for name, paths in texts.items():
        for path in filter(Path.is_file, paths):
            yield f"{'=' * 80}\n{name}: {path.name}\n{'=' * 80}\n"
            yield path.read_text(encoding="utf-8", errors="replace")
