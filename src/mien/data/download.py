"""Getting FER2013 and FER+'s votes: only when the user asks, verified, whole or absent.

The votes come from microsoft/FERPlus. The faces are Kaggle's and need the user's own login there and a yes to the
competition's rules, so kagglehub fetches their archive; its one wanted file is unpacked.
"""

from __future__ import annotations

import gzip
import hashlib
import shlex
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mien.data.readers.kaggle import VOTES_FILE
from mien.errors import ConfigError, DataError, MissingExtraError, reason
from mien.files import written_aside
from mien.runtime.download import fetch
from mien.runtime.weights import RemoteFile

FERPLUS: Final = RemoteFile(
    name=VOTES_FILE,
    url="https://raw.githubusercontent.com/microsoft/FERPlus/master/fer2013new.csv",
    sha256="9206e20d62f56475939f516847d61753e4860caeac9718b560129541b776fc2c",
    size=1_602_762,
)
"""FER+'s votes (Barsoum et al., ICMI 2016), ten people a face; the labels' licence is MIT.

The hash pins the content. Two public projects check this very address against it, and the Git LFS pointer of a public
copy states it together with the size.
"""

FACES_FILE: Final = "fer2013.csv"
FACES_MD5: Final = "f8428a1edbd21e88f42c73edd2a14f95"
"""The MD5 of Kaggle's fer2013.csv (Goodfellow et al., ICONIP 2013) that torchvision's FER2013 class publishes."""

COMPETITION: Final = "challenges-in-representation-learning-facial-expression-recognition-challenge"
ARCHIVE: Final = "fer2013.tar.gz"
_MEMBER: Final = PurePosixPath("fer2013", FACES_FILE)
_UNPACKED_LIMIT: Final = 1 << 29  # fer2013.csv is 301 MB; a small archive can unpack to far more
_CHUNK: Final = 1 << 20
_SHA256: Final = hashlib.sha256
_MD5: Final = partial(hashlib.md5, usedforsecurity=False)  # else absent where only approved hashes are allowed

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


def get_ferplus(folder: Path, progress: Progress | None = None, *, force: bool = False) -> bool:
    """Put FER+'s fer2013new.csv into a folder, verified by SHA-256: the whole file is the one that is known.

    A right file that is there is left, and nothing is fetched; a different one is replaced with force only.

    Returns whether it was fetched. Raises ConfigError where a different file is there or none can be read, DataError
    where it cannot be fetched or written, or is not the one that is known.
    """
    path = folder / FERPLUS.name
    if _is_there(path, _SHA256, FERPLUS.sha256, force):
        return False
    fetch(
        FERPLUS,
        path,
        progress,
        error=DataError,
        by_hand=f"fetch it by other means, put it at {path} and run this again to verify it",
    )
    return True


def get_fer2013(folder: Path, progress: Progress | None = None, *, force: bool = False) -> bool:
    """Put Kaggle's fer2013.csv into a folder, verified by the MD5 that torchvision publishes for it.

    kagglehub fetches the competition's archive into its own cache, with the user's own login; progress tells of the
    unpacking. A right file that is there is left, and nothing is fetched; a different one is replaced with force only,
    which fetches the archive anew as well.

    Returns whether it was fetched. Raises MissingExtraError without kagglehub, ConfigError where a different file is
    there or the new one cannot be written, DataError where Kaggle does not give the archive or it holds something else.
    """
    path = folder / FACES_FILE
    if _is_there(path, _MD5, FACES_MD5, force):
        return False
    kagglehub = _kagglehub()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {reason(error)}") from error
    with written_aside(path) as part, part.open("xb") as file:
        archive = _from_kaggle(kagglehub, force)
        found = _MD5()
        for chunk in _unpacked(archive, progress):
            found.update(chunk)
            file.write(chunk)
        if found.hexdigest() != FACES_MD5:
            raise DataError(
                f"{archive}: expected {_MEMBER} of MD5 {FACES_MD5}, got {found.hexdigest()}; nothing was saved, "
                "`force=True` fetches the archive anew"
            )
    return True


def by_hand(folder: Path) -> tuple[str, str, str]:
    """How to get Kaggle's fer2013.csv without kagglehub, in three steps: the last is the command that comes next."""
    return (
        f"log in and accept the rules: https://www.kaggle.com/competitions/{COMPETITION}/data",
        f"download {ARCHIVE} there, take {_MEMBER} out of it and put it at {folder / FACES_FILE}",
        f"look at it: mien data check {shlex.quote(str(folder / FACES_FILE))}",
    )


def _is_there(path: Path, new_hash: Callable[[], Any], digest: str, force: bool) -> bool:
    """Whether the right file is there. Raises ConfigError where a different one is and may not be replaced."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, new_hash).hexdigest()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {reason(error)}") from error
    if found != digest and not force:
        raise ConfigError(
            f"{path}: expected {new_hash().name.upper()} {digest}, got {found}: a different file is there and was "
            "left, `force=True` replaces it"
        )
    return found == digest


def _kagglehub() -> Any:
    try:
        import kagglehub
    except ImportError as error:
        raise MissingExtraError("fetching FER2013 from Kaggle", "kaggle") from error
    return kagglehub


def _from_kaggle(kagglehub: Any, force: bool) -> Path:
    """Where kagglehub's cache holds the competition's archive. Raises DataError where Kaggle does not give it."""
    try:
        return Path(kagglehub.competition_download(COMPETITION, path=ARCHIVE, force_download=force))
    except Exception as error:  # its own errors, those of requests, of the disk: all say why there is no archive
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"Kaggle did not give {ARCHIVE}: {reason}") from error


def _unpacked(archive: Path, progress: Progress | None) -> Iterator[bytes]:
    """The content of the one wanted member, as it comes; no other is looked into, and no name in it is a path here.

    Raises DataError where the archive is damaged, too large, or does not hold the member as a plain file.
    """
    try:
        with _BoundedGzip(archive) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() and PurePosixPath(member.name) == _MEMBER else None
                if content is not None:
                    done = 0
                    while chunk := content.read(_CHUNK):
                        yield chunk
                        done += len(chunk)
                        if progress:
                            progress(done, member.size)
                    return
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}") from error
    raise DataError(f"{archive}: expected a file {_MEMBER} in it, found none")


class _BoundedGzip(gzip.GzipFile):
    """A gzip file that stops where it unpacks to more than the limit."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if self.tell() > _UNPACKED_LIMIT:
            raise DataError(f"{self.name}: unpacks to more than {_UNPACKED_LIMIT:,} bytes, refused")
        return data
