"""What `mien predict` reads: photos, one video, several, or what comes on standard input."""

from __future__ import annotations

import glob
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from mien.cli import console
from mien.errors import ConfigError, MienError, reason
from mien.images.find import FoundImage, Search, find_images
from mien.images.limits import is_address
from mien.images.save import is_picture_name

STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The photos and videos that paths name; and the only video, where one was named by itself and nothing else."""

    search: Search
    only: Path | None = None


def find_inputs(paths: Sequence[str], *, rate: float | None, skip: Sequence[Path]) -> Inputs:
    """What the paths name; skip are what results are written to: searches pass over those that are folders.

    With a rate each folder or pattern is a video of its pictures. Raises ConfigError on another path then.
    """
    if rate is not None:
        folders = [Path(path) for path in paths]
        for path in folders:
            if not (path.exists() or glob.has_magic(str(path))):
                raise ConfigError(f"{path}: no such folder")
            if path.is_file():
                raise ConfigError(f"--rate goes with folders of pictures, and {path} is a file")
        search = Search([], [], {}, [FoundImage(path, path.parent) for path in folders])
        return Inputs(search, folders[0] if len(folders) == 1 else None)
    if len(paths) == 1 and _is_one_video(paths[0]):
        return Inputs(Search([], [], {}), Path(paths[0]))
    folders = [path for path in skip if not is_picture_name(path)]
    return Inputs(find_images(paths, skip=folders, videos=True))


def _is_one_video(path: str) -> bool:
    from mien.images.animation import moves  # imports the decoders

    if not path or is_address(path):
        return False
    return moves(path) and (Path(path).exists() or not glob.has_magic(path))


@contextmanager
def stdin_stored(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, with a temporary file that holds standard input for "-". Messages call it so all the same.

    Raises ConfigError where standard input is a terminal, or cannot be stored.
    """
    if STDIN not in paths:
        yield list(paths)
        return
    if sys.stdin is None or sys.stdin.isatty():
        what = "closed" if sys.stdin is None else "a terminal"
        raise ConfigError(f"-: standard input is {what}: pipe a file into it, as in `cat film.mp4 | mien predict -`")
    with TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder, "stdin")
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise ConfigError(f"standard input cannot be stored: {reason(error)}") from error
        try:
            with console.called(str(path), STDIN):
                yield [str(path) if name == STDIN else name for name in paths]
        except MienError as error:
            if str(path) not in str(error):
                raise
            raise type(error)(str(error).replace(str(path), STDIN)) from error
