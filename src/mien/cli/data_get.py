"""`mien data get`: FER+'s votes and FER2013's faces, fetched and verified."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console
from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(no_args_is_help=True, help="Fetch FER+'s votes or FER2013's faces, verified.")

Folder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where it goes; made if it is not there.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a different file that is there.")]


@app.command()
def ferplus(out: Folder = Path(), force: Force = False) -> None:
    """Fetch FER+'s votes (fer2013new.csv, 1.6 MB, MIT licence) from microsoft/FERPlus, verified by SHA-256.

    A right file that is there is left as it is. Prints the file's path.
    """
    from mien.data.download import FERPLUS, get_ferplus

    with _bar(FERPLUS.name) as progress:
        fetched = get_ferplus(out, progress, force=force)
    _tell(out / FERPLUS.name, fetched, f"SHA-256 {FERPLUS.sha256}")
    _next(out)


@app.command()
def fer2013(out: Folder = Path(), force: Force = False) -> None:
    """Fetch FER2013's faces (fer2013.csv, 301 MB) from Kaggle, with your own login, verified by MD5.

    Needs `pip install 'mien[kaggle]'`, a login that kagglehub finds (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json), and
    the rules accepted on the competition's page. Where that fails, it says how to get the file by hand. A right file
    that is there is left as it is. Prints the file's path.
    """
    from mien.data.download import FACES_FILE, FACES_MD5, by_hand, get_fer2013

    try:
        # kagglehub tells of its download on standard output, where the path goes
        with contextlib.redirect_stdout(sys.stderr), _bar(FACES_FILE) as progress:
            fetched = get_fer2013(out, progress, force=force)
    except (MissingExtraError, DataError) as error:
        console.report(str(error))
        for number, step in enumerate(by_hand(out), 1):
            _say(f"by hand, {number}: {step}")
        raise typer.Exit(2) from None
    _tell(out / FACES_FILE, fetched, f"MD5 {FACES_MD5}")
    _next(out)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """What a progress bar is told with; it shows from the first bytes on, as kagglehub draws a bar of its own."""
    with contextlib.ExitStack() as stack:
        bar: Progress | None = None
        task: TaskID | None = None

        def progress(done: int, total: int) -> None:
            nonlocal bar, task
            if bar is None or task is None:
                bar = stack.enter_context(console.progress())
                task = bar.add_task(name)
            bar.update(task, completed=done, total=total or None)

        yield progress


def _tell(path: Path, fetched: bool, hashed: str) -> None:
    _say(f"{'fetched' if fetched else 'there already'}, verified by {hashed}")
    typer.echo(path)


def _next(folder: Path) -> None:
    """Say the command that comes next."""
    from mien.data.download import FACES_FILE, FERPLUS

    faces, out = folder / FACES_FILE, shlex.quote(str(folder))
    if not faces.is_file():
        _say(f"next, the faces: mien data get fer2013 -o {out}")
    elif not (folder / FERPLUS.name).is_file():
        _say(f"next, FER+'s votes: mien data get ferplus -o {out}")
    else:
        _say(f"next: mien train --data {shlex.quote(str(faces))}")


def _say(text: str) -> None:
    console.err().print(console.escape(console.printable(text)), soft_wrap=True, highlight=False)
