"""What systems and archivers leave behind among a user's files: it is ignored, and not counted."""

from __future__ import annotations

from typing import Final

_NAMES: Final = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"})


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or was not put there by the user."""
    return name.startswith(".") or name.lower() in _NAMES
