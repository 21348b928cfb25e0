"""The command line: one file per command; each parses, calls, prints."""

from __future__ import annotations

import gc
import io
import sys
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC

from mien.cli import console
from mien.cli.interrupt import handled
from mien.errors import MienError, reason


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
        except OSError as error:  # files report it themselves, so standard output is full
            if error.errno not in (ENOSPC, EDQUOT, EFBIG):
                raise
            what = f"standard output: cannot be written: {reason(error)}"
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
