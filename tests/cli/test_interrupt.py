from __future__ import annotations

import signal
import sys
import threading

import pytest

from mien.cli import main
from mien.cli.interrupt import interruptible


def test_the_first_ctrl_c_is_noted_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as pressed:
        assert not pressed()
        signal.raise_signal(signal.SIGINT)
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_is_left_in_peace() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interruptible() as pressed:
            seen.append(pressed())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_ctrl_c_while_the_commands_are_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Imported:
        @property
        def app(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "mien.cli.app", Imported())
    with pytest.raises(SystemExit, match="130"):
        main()
