from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mien.cli import interrupt, main
from mien.cli.interrupt import handled, interruptible
from mien.signals import ENDING

each_signal = pytest.mark.parametrize("ending", ENDING)
unless_windows = pytest.mark.skipif(sys.platform == "win32", reason="sends signals to a process")


@each_signal
def test_the_first_signal_is_noted_and_a_later_one_interrupts(
    ending: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with interruptible() as exit_code:
        assert exit_code() == 0
        signal.raise_signal(ending)
        assert exit_code() == 128 + ending
        signal.raise_signal(ending)  # `timeout` sends it twice, at once
        monkeypatch.setattr(interrupt, "_TWICE_S", 0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert exit_code() == 128 + ending
    assert [signal.getsignal(number) for number in ENDING] == before


@each_signal
def test_where_nothing_asks_the_first_signal_interrupts_and_its_copy_does_not(ending: signal.Signals) -> None:
    with handled() as exit_code:
        with interruptible() as same:
            assert same() == 0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(ending)
        signal.raise_signal(ending)  # what cleans up is left in peace
        assert exit_code() == same() == 128 + ending


@each_signal
def test_a_signal_that_is_ignored_stays_ignored(ending: signal.Signals) -> None:
    before = signal.signal(ending, signal.SIG_IGN)
    try:
        with handled() as exit_code, interruptible():
            signal.raise_signal(ending)
            assert exit_code() == 0
            assert signal.getsignal(ending) is signal.SIG_IGN
    finally:
        signal.signal(ending, before)


@each_signal
def test_a_signal_that_python_ignores_comes_again(ending: signal.Signals) -> None:
    """As in the callbacks of its imports. Nothing would end a command that then waits."""

    class Deleted:
        def __del__(self) -> None:
            signal.raise_signal(ending)

    def work() -> None:
        Deleted()
        threading.Event().wait(60)

    with handled() as exit_code:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert exit_code() == 128 + ending


def test_another_thread_is_left_in_peace() -> None:
    seen: list[int] = []

    def work() -> None:
        with interruptible() as exit_code:
            seen.append(exit_code())

    with handled() as exit_code:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (seen, exit_code()) == ([0], 130)


def test_ctrl_c_while_the_commands_are_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Imported:
        @property
        def app(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "mien.cli.app", Imported())
    with pytest.raises(SystemExit, match="130"):
        main()


# A command that writes a file, is at it until a signal comes, and says whether it could clean up.
WRITING = """
import sys, time
from pathlib import Path
import typer
from mien.cli import app as commands, console, main
from mien.files import written_aside
app = commands.app = typer.Typer()
@app.command()
def write(path: Path):
    try:
        with written_aside(path) as part:
            part.touch()
            print("writes", flush=True)
            for _ in range(600):  # a signal that comes just before a sleep is handled after it, in Python 3.14
                time.sleep(0.1)
    finally:
        time.sleep(0.1)
        path.with_name("cleaned").touch()
        console.log("cleaned up")
main()
"""


@unless_windows
@each_signal
def test_a_signal_ends_a_command_which_cleans_up(ending: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writes\n"
        process.send_signal(ending)
        process.send_signal(ending)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + ending, "cleaned up\n")
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]


@unless_windows
def test_a_reader_that_is_gone_does_not_change_the_exit_code(tmp_path: Path) -> None:
    """As where `timeout` or a scheduler ends `mien ... 2>&1 | tee log`, and tee is the first to go."""
    command = [sys.executable, "-c", WRITING, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writes\n"
        process.stdout.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]


@unless_windows
def test_a_terminal_that_closes_ends_a_command_which_cleans_up(tmp_path: Path) -> None:
    """The system sends SIGHUP, and each write to the terminal fails from then on."""
    ours, its = os.openpty()
    shell = 'exec "$@" <>"$0" >&0 2>&0'  # the session's first terminal becomes its own
    command = ["sh", "-c", shell, os.ttyname(its), sys.executable, "-c", WRITING, str(tmp_path / "out")]
    with subprocess.Popen(command, start_new_session=True) as process:
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            assert terminal.readline() == b"writes\r\n"
            os.close(its)
        assert process.wait(30) == 129
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]
