"""The built page, as the package holds it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

BUILT: Final = Path(__file__).parent / "page"
"""Where `make page` builds the page. Each file is stored gzipped, as NAME.gz: in the wheel it takes a quarter."""

POLICY: Final = (
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob:",
    "connect-src 'self'",
    "worker-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
)
"""The directives of the page's content security policy: it gets nothing from another host, and sends nothing there."""


def built_files() -> dict[str, Path]:
    """The gzipped files, by their addresses relative to the page; none where it is not built."""
    return {path.relative_to(BUILT).as_posix().removesuffix(".gz"): path for path in sorted(BUILT.rglob("*.gz"))}


def is_built() -> bool:
    """Whether this copy of Mien holds the page."""
    return "index.html" in built_files()
