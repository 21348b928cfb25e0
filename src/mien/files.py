"""Files that are written whole or not at all, and folders that are made as needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from mien.errors import ConfigError, reason


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, in the folder of `path`; renamed to it in the end, or removed when anything goes wrong.

    Raises ConfigError where the file cannot be written; errors of other files, and of a pipe that was closed, pass. A
    device or a pipe is written as it is.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.is_dir():
        raise ConfigError(f"{path}: is a folder, expected a file to write")
    is_device = target.exists() and not target.is_file()
    part = target if is_device else target.with_name(f".{token_hex(8)}.part")
    try:
        yield part
        if not is_device:
            part.replace(target)
    except OSError as error:
        if _is_of_another(error, part, target):
            raise
        raise ConfigError(f"{path}: cannot be written: {reason(error)}") from error
    finally:
        if not is_device:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _is_of_another(error: OSError, *own: Path) -> bool:
    """Whether an error is of a file outside of these, or of a pipe that was closed. A full disk's names no file."""
    if isinstance(error, BrokenPipeError):
        return True
    named = error.filename if isinstance(error.filename, (str, os.PathLike)) else None
    return named is not None and not any(Path(named).is_relative_to(path) for path in own)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet. Raises ConfigError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made a folder: {reason(error)}") from error


@contextmanager
def folder_written_aside(out: Path) -> Iterator[Path]:
    """A folder to write to, beside `out`; it takes the place of `out` in the end, or is removed if anything fails."""
    target = Path(os.path.realpath(out))
    part, old = (target.with_name(f".{token_hex(8)}.{what}") for what in ("part", "old"))
    make_folder(target.parent)
    try:
        part.mkdir()
        yield part
        if target.exists():
            target.rename(old)
        part.rename(target)
    except OSError as error:
        if _is_of_another(error, part, target):
            raise
        raise ConfigError(f"{out}: cannot be written: {reason(error)}") from error
    finally:
        if old.exists() and not target.exists():  # it failed, or was interrupted, between both
            old.rename(target)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)
