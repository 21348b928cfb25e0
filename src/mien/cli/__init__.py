"""The command line: a file a command; each parses, calls, prints."""

from __future__ import annotations

import gc
import io
import sys

from mien.cli import console
from mien.errors import MienError


def main() -> None:
    """Run `mien`. Exits 0 when all went well, 1 when some item failed, 2 on a usage error, 130 on Ctrl-C."""
    gc.set_threshold(50_000)  # imports make many objects and hardly any garbage: looking for it takes a tenth of them
    from mien.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may not know every character of a file's name
    try:
        app(standalone_mode=True)
    except MienError as error:
        console.err().print(f"[bold red]error:[/] {console.escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        console.err().print("interrupted")
        sys.exit(130)
