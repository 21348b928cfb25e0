"""The hook of mkdocs.yml: the checkout's own pages join those of docs/, so that links between them hold on the site.

On the site a file has the path that it has in the checkout, but that README.md is the first page and docs/ is the root.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[1]
OUTSIDE: Final = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "LICENSES.md",
    "MODEL_CARD.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "deploy/Caddyfile",
    "deploy/Dockerfile",
    "deploy/mien.service",
    "deploy/nginx.conf",
    "web/package/README.md",
)
"""What the site has besides docs/, as paths in the checkout."""

_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files: Files, /, *, config: Any) -> Files:
    """Add the files that lie outside docs/."""
    for name in OUTSIDE:
        files.append(File.generated(config, site_path(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, /, *, page: Any, **_: Any) -> str:
    """Turn the page's links, which hold in the checkout, into links that hold on the site."""
    return with_site_links(markdown, page.file.src_uri)


def site_path(name: str) -> str:
    """Where a file of the checkout lies on the site."""
    return "index.md" if name == "README.md" else name.removeprefix("docs/")


def with_site_links(markdown: str, page: str) -> str:
    """The Markdown of a page, by its path on the site, with the checkout's relative links turned into the site's."""
    outside = {site_path(name): name for name in OUTSIDE}
    folder = posixpath.dirname(outside.get(page, f"docs/{page}"))

    def turned(link: re.Match[str]) -> str:
        parts = urlsplit(link[2])
        if parts.scheme or not parts.path:
            return link[0]
        target = site_path(posixpath.normpath(posixpath.join(folder, parts.path)))
        relative = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return link[1] + relative + (f"#{parts.fragment}" if parts.fragment else "") + link[3]

    return _LINK.sub(turned, markdown)
