"""What the commands print with: data goes to standard output, everything else to standard error.

rich is imported when something is printed with it, so that a command that prints nothing with it starts sooner.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def is_terminal() -> bool:
    """Whether standard output is a terminal: then tables are printed, else lines for other programs."""
    return sys.stdout is not None and sys.stdout.isatty()  # None where the shell closed it


@cache
def out() -> Console:
    """The console on standard output."""
    from rich.console import Console

    return Console()


@cache
def err() -> Console:
    """The console on standard error."""
    from rich.console import Console

    return Console(stderr=True)


def escape(text: str) -> str:
    """The text as rich prints it word for word, whatever brackets it has."""
    from rich.markup import escape as escaped

    return escaped(text)


def as_options(text: str) -> str:
    """A library's message with its `argument=VALUE` shown as the command line's options.

    >>> as_options("name its file: `detector_model=FILE`, or `skip_bad=True`; `network.pool=6` fits")
    'name its file: --detector-model FILE, or --skip-bad; --set network.pool=6 fits'
    """

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        if "." in name:
            return f"--set {name}={value}"
        return f"--{name.replace('_', '-')}" + ("" if value == "True" else f" {value}")

    return re.sub(r"`([a-z_.]+)=([^`]+)`", option, text)


def report(problem: str) -> None:
    """Print what went wrong with one item among others, in one line on standard error."""
    err().print(f"[bold red]error:[/] {escape(printable(as_options(problem)))}", soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """Print what is worth knowing and no failure, in one line on standard error."""
    err().print(f"[yellow]note:[/] {escape(printable(as_options(text)))}", soft_wrap=True, highlight=False)


def log(text: str) -> None:
    """Print a line of plain text on standard error."""
    err().print(escape(printable(text)), soft_wrap=True, highlight=False)


_called: dict[str, str] = {}


@contextmanager
def called(path: str, name: str) -> Iterator[None]:
    """Within this context all that is printed calls a file by another name than its path."""
    _called[path] = name
    try:
        yield
    finally:
        del _called[path]


def renamed(text: str) -> str:
    """The text with the names that files are called by."""
    for path, name in _called.items():
        text = text.replace(path, name)
    return text


def printable(text: str) -> str:
    """The text on one line, in what standard output can encode: a file's name may hold anything."""
    text = renamed(text)
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain.encode(encoding, "replace").decode(encoding)


def progress(*fields: str) -> Progress:
    """A progress bar on standard error: description, bar, count, extra fields ("{task.fields[...]}"), time passed and
    left.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *map(TextColumn, fields),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err(),
        disable=not err().is_terminal,
        transient=True,
    )
