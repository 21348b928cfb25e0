"""A command in a process of its own whose writes fail, as on a disk that is full, read-only, or lost."""

from __future__ import annotations

import errno
import multiprocessing
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from .conftest import COMMAND

_LONGEST_S: Final = 60

_PRELUDE: Final = """
import datetime, os, signal, sys, time
sys.stdout, sys.stderr = open(out, "w"), open(err, "w", buffering=1)
seen, moved = [], [0.0]
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        is_written = set(mode) & set("wxa+") if isinstance(mode, str) else flags & WRITING
    elif event in ("os.mkdir", "os.rename"):
        path, is_written = arguments[0], True
    else:
        return
    if not is_written or not isinstance(path, (str, bytes, os.PathLike)):
        return
    if os.path.abspath(os.fsdecode(path)).startswith(watched + os.sep):
        seen.append(event)
        moved[0] += jump_s
        if step is not None and len(seen) >= step:
            if kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(error, os.strerror(error), os.fsdecode(path))

class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=moved[0])

if jump_s:
    now, moved[0] = time.time, jump_s
    time.time = lambda: now() + moved[0]
    for module in [*sys.modules.values()]:
        if getattr(module, "datetime", None) is datetime.datetime and module.__name__.startswith("mien."):
            module.datetime = Clock

def report():
    with open(counted, "w") as file:
        file.write(str(len(seen)))

import multiprocessing.util
sys.addaudithook(hook)
if largest is None:
    multiprocessing.util.Finalize(None, report, exitpriority=0)
if largest is not None:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""


@dataclass(frozen=True)
class Fault:
    """What fails: from the `step`-th file that is opened for writing, renamed or folder that is made on, each of them
    with this error number, or, where `kills`, the process; or each write beyond `largest` bytes of a file, whoever
    writes it (libraries in C too). Or nothing fails, but the clock jumps by so many seconds at the beginning and at
    each step.
    """

    step: int | None = None
    error: int = errno.ENOSPC
    kills: bool = False
    largest: int | None = None
    jump_s: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, standard error, and how many such steps it took."""

    code: int
    stderr: str
    steps: int


def run_with(fault: Fault, watched: Path, *arguments: str | Path) -> Ended:
    """Run a command, forked from a process with its imports, whose steps below the folder `watched` fail."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(["mien.cli.app", *(["mien.training.export"] if find_spec("torch") else [])])
    with tempfile.TemporaryDirectory() as folder:
        pipe, counted = Path(folder, "stderr"), Path(folder, "steps")
        os.mkfifo(pipe)  # no limit on files' sizes holds for it
        reading = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # so that opening it waits for nobody
        given = {"out": os.devnull, "err": str(pipe), "arguments": [*map(str, arguments)]}
        where = {"folder": str(Path.cwd()), "environment": dict(os.environ), "watched": str(watched.resolve())}
        what = asdict(fault) | {"counted": str(counted)}
        process = forking.Process(target=exec, args=(_PRELUDE + COMMAND, given | where | what))
        process.start()
        try:
            process.join(_LONGEST_S)
            process.kill()
            process.join()
            with suppress(BlockingIOError):
                stderr = ""
                stderr = os.read(reading, 65_536).decode(errors="replace")
        finally:
            os.close(reading)
        steps = counted.read_text() if counted.exists() else ""
        return Ended(process.exitcode or 0, stderr, int(steps or 0))
