"""The command line: a file a command; each parses, calls, prints."""

from __future__ import annotations

import io
import sys

from rich.markup import escape

from mien.cli.console import stderr
from mien.errors import MienError


def main() -> None:
    """Run `mien`. Exits 0 when all went well, 1 when some item failed, 2 on a usage error, 130 on Ctrl-C."""
    from mien.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may not know every character of a file's name
    try:
        app(standalone_mode=True)
    except MienError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)
