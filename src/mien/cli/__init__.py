"""The command line: one file per command; each parses, calls, prints."""

from __future__ import annotations

import gc
import io
import sys
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Final

from mien.cli import console
from mien.cli.interrupt import handled
from mien.errors import MienError, reason

_NO_TEMPORARY: Final = "No usable temporary directory"
"""What Python's tempfile says, which libraries use."""


def main() -> None:
    """Run `mien`. Exits 0 when all went well, 1 when some item failed, 2 on a usage error; 130 on Ctrl-C, 143 on
    SIGTERM, 129 on SIGHUP.
    """
    gc.set_threshold(50_000)  # imports make many objects and hardly any garbage; collecting takes a tenth of the time
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may not know every character of a file's name
    with handled() as exit_code:
        try:
            from mien.cli.app import app  # takes time, in which Ctrl-C may come

            app(standalone_mode=True)
        except MienError as error:
            console.err().print(f"[bold red]error:[/] {console.escape(console.as_options(str(error)))}", soft_wrap=True)
            sys.exit(2)
        except OSError as error:
            if _NO_TEMPORARY in str(error):
                what = "no folder for temporary files can be written to: is the disk full?"
            elif error.errno in (ENOSPC, EDQUOT, EFBIG):  # files report it themselves, so standard output is full
                what = f"standard output: cannot be written: {reason(error)}"
            else:
                raise
            console.err().print(f"[bold red]error:[/] {what}", soft_wrap=True)
            sys.exit(2)
        except KeyboardInterrupt:
            with suppress(OSError):  # nobody may read it any more
                console.err().print("interrupted")
            sys.exit(exit_code() or 130)
        except SystemExit:
            if code := exit_code():  # typer knows Ctrl-C only
                sys.exit(code)
            raise
