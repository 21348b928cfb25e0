"""HEIC and HEIF, as iPhones write them: an optional part, by pi-heif, the decoder alone of pillow-heif."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from PIL import Image


def can_read_heif() -> bool:
    """Whether Pillow opens HEIF: by pi-heif where that is installed, or by an opener that the user registered."""
    _register()
    return "HEIF" in Image.OPEN


@cache
def _register() -> None:
    if "HEIF" not in Image.OPEN:
        with suppress(ImportError):
            from pi_heif import register_heif_opener

            register_heif_opener()
