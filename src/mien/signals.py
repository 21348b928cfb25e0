"""The signals by which a person or a system asks a program to end, and processes that they do not reach."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
)
"""Ctrl-C, what `kill`, `timeout`, `docker stop` and schedulers send, and that the terminal was closed."""


@contextmanager
def sheltered() -> Iterator[None]:
    """Start Python processes by spawning that these signals do not reach, even while they import.

    They inherit that the signals are blocked, so that the process which started them ends them. A signal that comes to
    this process meanwhile waits until the context ends. On Windows nothing is inherited.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        resource_tracker.ensure_running()  # a process as well; starting it, Python lets signals through again
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_ending() -> None:
    """Let this process, which works for another one, ignore them. To be called in its main thread."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
