"""The command line: a file a command; each parses, calls, prints."""

from __future__ import annotations

import sys

from rich.markup import escape

from mien.cli.console import stderr
from mien.errors import MienError


def main() -> None:
    """Run `mien`. Exits 0 when all went well, 1 when some item failed, 2 on a usage error, 130 on Ctrl-C."""
    from mien.cli.app import app

    try:
        app(standalone_mode=True)
    except MienError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)
