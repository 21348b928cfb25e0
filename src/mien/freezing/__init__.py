"""What PyInstaller finds here by Mien's entry point `pyinstaller40`: how a frozen program gets Mien whole."""

from __future__ import annotations

from pathlib import Path


def hook_folders() -> list[str]:
    """Where the hook lies."""
    return [str(Path(__file__).parent)]
