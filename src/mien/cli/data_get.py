"""`mien data get`: FER+'s votes and FER2013's faces, fetched and verified."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options
from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(no_args_is_help=True, help="Fetch FER+'s votes or FER2013's faces, verified.")

Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the file; made if missing.")]


@app.command()
def ferplus(*, out: Out = Path(), force: options.Force = False) -> None:
    """Fetch FER+'s votes (fer2013new.csv, 1.6 MB, MIT license) from microsoft/FERPlus, verified by SHA-256.

    An existing file with the right hash is left as it is. Prints the file's path.
    """
    from mien.data.download import FERPLUS, get_ferplus

    with _bar(FERPLUS.name) as progress:
        fetched = get_ferplus(out, progress, force=force)
    _print_file(out / FERPLUS.name, fetched, f"SHA-256 {FERPLUS.sha256}")
    _print_next(out)


@app.command()
def fer2013(*, out: Out = Path(), force: options.Force = False) -> None:
    """Fetch FER2013's faces (fer2013.csv, 301 MB) from Kaggle, with your own login, verified by MD5.

    Needs `pip install 'mien[kaggle]'`, a login that kagglehub finds (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json), and
    the rules accepted on the competition's page. If that fails, it prints how to get the file by hand. An existing file
    with the right hash is left as it is. Prints the file's path.
    """
    from mien.data.download import FACES_FILE, FACES_MD5, by_hand, get_fer2013

    try:
        # kagglehub prints on standard output, where only the path goes
        with contextlib.redirect_stdout(sys.stderr), _bar(FACES_FILE) as progress:
            fetched = get_fer2013(out, progress, force=force)
    except (MissingExtraError, DataError) as error:
        console.report(str(error))
        for number, step in enumerate(by_hand(out), 1):
            console.log(f"by hand, {number}: {step}")
        raise typer.Exit(2) from None
    _print_file(out / FACES_FILE, fetched, f"MD5 {FACES_MD5}")
    _print_next(out)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """What moves a progress bar. It shows from the first bytes on only: kagglehub draws its own bar."""
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


def _print_file(path: Path, fetched: bool, hashed: str) -> None:
    console.log(f"{'fetched' if fetched else 'there already'}, verified by {hashed}")
    typer.echo(path)


def _print_next(folder: Path) -> None:
    """Print the command that comes next."""
    from mien.data.download import FACES_FILE, FERPLUS

    faces, out = folder / FACES_FILE, shlex.quote(str(folder))
    if not faces.is_file():
        console.log(f"next, the faces: mien data get fer2013 -o {out}")
    elif not (folder / FERPLUS.name).is_file():
        console.log(f"next, FER+'s votes: mien data get ferplus -o {out}")
    else:
        console.log(f"next: mien train --data {shlex.quote(str(faces))}")
