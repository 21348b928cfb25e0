"""The picture and video files that paths, folders and patterns name."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from mien.errors import reason
from mien.images.content import HEIF_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES, file_content, is_video
from mien.images.heif import can_read_heif
from mien.images.limits import NOT_FETCHED, is_address


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A picture or video file that was asked for: its path, and the folder that was named (a file's own parent)."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Unfound:
    """A path that names no picture, or a folder that cannot be read, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Search:
    """What `find_images` found: the pictures, what names none, and how many files were passed over, by their kind; and
    the videos, where they are looked for.
    """

    images: list[FoundImage]
    unfound: list[Unfound]
    passed: Mapping[str, int]
    videos: list[FoundImage] = field(default_factory=list)


def find_images(paths: Sequence[str | os.PathLike[str]], *, skip: Sequence[Path] = (), videos: bool = False) -> Search:
    """The picture files that paths name, each once; with videos also those, and animations are among them.

    A file counts as given, whatever it is. A folder is searched with its subfolders, sorted by name, for pictures, as
    `is_picture` has it; other files are passed over and counted, hidden ones ignored, links to folders not followed.
    What does not exist but holds *, ? or [ is a pattern (** crosses folders), for shells that do not expand it.

    skip are folders that searches pass over unless they are searched themselves: those that results are written to.
    """
    found: dict[Path, FoundImage] = {}
    wanted = _Wanted(videos)
    problems: list[Unfound] = []
    passed: Counter[str] = Counter()
    for given in paths:
        if not os.fspath(given):
            problems.append(Unfound('""', "the path is empty"))
            continue
        if is_address(given):
            problems.append(Unfound(os.fspath(given), NOT_FETCHED))
            continue
        path = Path(given)
        name = str(path)
        before, others = len(problems), Counter[str]()
        is_folder, is_there = _looked_up(path)
        if is_folder:
            images = [FoundImage(file, path) for file in _walk(path, problems) if wanted.has(file, others)]
            complaint = f"no {wanted.what[0]} in this folder"
        elif not is_there and glob.has_magic(name):
            images = [FoundImage(file, _fixed_part(path)) for file in _match(name) if wanted.has(file, others)]
            complaint = f"no {wanted.what[1]} matches this pattern"
        else:
            images = [FoundImage(path, path.parent)] if is_there else []
            complaint = "no such file or folder"
        if not images and len(problems) == before:
            problems.append(Unfound(name, f"{complaint}; {passed_over(others)}" if others else complaint))
        else:
            passed += others
        for image in images:
            if not any(_lies_in(image.path, folder) and not _lies_in(image.root, folder) for folder in skip):
                found.setdefault(image.path.absolute(), image)
    if not videos:
        return Search(list(found.values()), problems, passed)
    from mien.images.animation import moves  # imports the decoders

    kinds: dict[bool, list[FoundImage]] = {False: [], True: []}
    for image in found.values():
        kinds[moves(image.path)].append(image)
    return Search(kinds[False], problems, passed, kinds[True])


def is_picture(path: Path) -> bool:
    """Whether a file in a folder is taken for a picture: by its suffix, or by its content where that is no known one.

    HEIC counts where the extra `[heic]` is installed.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    if suffix in VIDEO_SUFFIXES:
        return False
    if suffix in HEIF_SUFFIXES:
        return can_read_heif()
    content = file_content(path)
    return content == "picture" or (content == "heif" and can_read_heif())


def kind_of(path: Path) -> str:
    """How a file that is passed over is counted: by its suffix in lower case."""
    return path.suffix.lower() or "without a suffix"


def passed_over(counts: Mapping[str, int]) -> str:
    """What was passed over, in words: "4 passed over: 3 .txt, 1 .mov"."""
    kinds = sorted(counts, key=lambda kind: (-counts[kind], kind))
    listed = ", ".join(kinds if len(kinds) == 1 else [f"{counts[kind]} {kind}" for kind in kinds])
    advice = "" if HEIF_SUFFIXES.isdisjoint(kinds) else " (HEIC is read with: pip install 'mien[heic]')"
    return f"{sum(counts.values())} passed over: {listed}{advice}"


def _looked_up(path: Path) -> tuple[bool, bool]:
    """Whether the path is a folder, and whether it is there at all; a name that cannot be is not there."""
    with suppress(OSError, ValueError):
        return path.is_dir(), path.exists()
    return False, False


def _lies_in(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _walk(folder: Path, problems: list[Unfound]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(Unfound(str(error.filename), f"cannot be read: {reason(error)}"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(files) if not name.startswith("."))


def _match(pattern: str) -> list[Path]:
    matches = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - Path.glob refuses absolute patterns
    return [path for path in matches if not path.name.startswith(".") and path.is_file()]


def _fixed_part(pattern: Path) -> Path:
    """The folder before the first part with a wildcard."""
    parts = pattern.parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])


class _Wanted:
    """Which files of a folder are taken: pictures, and with videos those that can be read here."""

    def __init__(self, videos: bool) -> None:
        self._with_videos, self._can_read = videos, videos and find_spec("av") is not None
        self.what = ("pictures or videos", "picture or video") if videos else ("pictures", "picture")

    def has(self, path: Path, others: Counter[str]) -> bool:
        """Whether a file is wanted; others are counted."""
        if is_picture(path) or (self._can_read and is_video(path)):
            return True
        others[kind_of(path)] += 1
        return False
