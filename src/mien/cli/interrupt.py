"""Ctrl-C, SIGTERM and SIGHUP end each command alike: what was done is closed and saved, the exit code names the signal.

`main` handles them: the first one raises KeyboardInterrupt, whichever it is, so that all that cleans up at Ctrl-C does.
Within `interruptible` it is noted instead, and a loop that asks ends by itself.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, ClassVar, Final

from mien.signals import ENDING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_TWICE_S: Final = 0.5
"""Signals as close as this are one: `timeout` and shells send theirs twice, to the process and to its group."""

_AGAIN_S: Final = 0.05
"""How soon a signal comes again whose exception was ignored: by then Python is elsewhere."""


class _Signals:
    """What asked this process to end; `hook` is Python's own for exceptions that it ignores."""

    active: ClassVar[_Signals | None] = None

    def __init__(self) -> None:
        self.are_noted = False
        self._first = 0
        self._last_s = -inf
        self.hook = sys.unraisablehook
        self._terminals = [number for number in range(3) if os.isatty(number)]

    def exit_code(self) -> int:
        """128 and the number of the first signal; 0 as long as none has come."""
        return 128 + self._first if self._first else 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, or raise KeyboardInterrupt."""
        if number != signal.SIGINT:
            self._leave_closed_terminals()
        now = monotonic()
        if now - self._last_s < _TWICE_S:
            return
        self._last_s = now
        is_first = not self._first
        self._first = self._first or number
        if not (self.are_noted and is_first):
            raise KeyboardInterrupt

    def insist(self, ignored: UnraisableHookArgs) -> None:
        """Let a signal come again if Python ignored its exception, as it does in its import callbacks and `__del__`."""
        if not isinstance(ignored.exc_value, KeyboardInterrupt):
            self.hook(ignored)
            return
        self._last_s = -inf
        again = threading.Timer(_AGAIN_S, _send_to_main_thread, [self._first or signal.SIGINT])
        again.daemon = True
        again.start()

    def _leave_closed_terminals(self) -> None:
        """Let what is still printed go nowhere where a terminal was closed: each write to it would raise OSError."""
        for number in self._terminals:
            if not os.isatty(number):
                nowhere = os.open(os.devnull, os.O_RDWR)
                os.dup2(nowhere, number)
                os.close(nowhere)


def _send_to_main_thread(number: int) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


@contextmanager
def handled() -> Iterator[Callable[[], int]]:
    """Let the signals raise KeyboardInterrupt, except those that are ignored, as `nohup` has it for SIGHUP.

    Gives what `interruptible` gives.
    """
    with _handled() as signals:
        yield signals.exit_code


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """A function that returns the exit code that a signal asks for (130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP),
    and 0 as long as none has come. A loop asks it and ends. Another signal, later, raises KeyboardInterrupt.

    Outside the main thread, where no signals arrive, it always returns 0.
    """
    with _handled() as signals:
        before, signals.are_noted = signals.are_noted, True
        try:
            yield signals.exit_code
        finally:
            signals.are_noted = before


@contextmanager
def _handled() -> Iterator[_Signals]:
    """The signals that are handled, by this context or by one around it."""
    if threading.current_thread() is not threading.main_thread():
        yield _Signals()
        return
    if _Signals.active is not None:
        yield _Signals.active
        return
    signals = _Signals.active = _Signals()
    before = {number: signal.getsignal(number) for number in ENDING}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for number in before:
            signal.signal(number, signals.handle)
        sys.unraisablehook = signals.insist
        yield signals
    finally:
        _Signals.active = None
        sys.unraisablehook = signals.hook
        for number, handler in before.items():
            signal.signal(number, handler)
