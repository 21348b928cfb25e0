"""The machine room of `speed.py`: running programs, bursts in rounds, and who is absent and why."""

from __future__ import annotations

import json
import os
import random
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from mien.files import make_folder, written_aside
from peers.environments import AbsentError, Environment, clean_environment, last_line, make, run

PEERS: Final = Path(__file__).parent
PATIENCE_S: Final = 120
REST_S: Final = 0.05
DISTURBED: Final = 0.15
"""From this many cores on that other programs use, a burst is done again as long as the measurement may repeat some."""

_PAUSE_S: Final = 1.0
_WORKING: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True)
class Contestant:
    """A program that serves requests: its environment, its file below peers/, and its arguments."""

    environment: str
    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One row of a measurement: who, and what is asked."""

    name: str
    contestant: Contestant
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Program:
    """A contestant's running program, and what it writes to standard error."""

    process: subprocess.Popen[str]
    log: IO[str]

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Its reply, or None where it ended or takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        reply = self.process.stdout.readline() if ready else ""
        return json.loads(reply) if reply else None

    def end(self) -> str:
        """End it; the last line that it wrote to standard error."""
        self.process.kill()
        self.process.communicate()
        self.log.seek(0)
        with self.log:
            return last_line(self.log.read())


@dataclass
class Bench:
    """The machine room: environments, networks, running programs, and who is absent and why."""

    work: Path
    given: Mapping[str, Path]
    rounds: int
    seconds: float
    yunet: Path
    absent: dict[str, str] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    unmade: dict[str, str] = field(default_factory=dict)
    programs: dict[Contestant, Program] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        return clean_environment(self.work / "cache")

    def environment(self, name: str) -> Environment:
        """The environment of this name. Raises AbsentError where it cannot be made, and tries that once."""
        if name in self.unmade:
            raise AbsentError(self.unmade[name])
        if name not in self.environments:
            try:
                given = self.given.get(name)
                self.environments[name] = Environment(given) if given else make(name, self.work / "envs", log)
            except AbsentError as error:
                self.unmade[name] = str(error)
                raise
        return self.environments[name]

    def network(self, name: str) -> Path:
        """The ONNX file of a network that Mien is timed against, written where it is not there yet."""
        path = self.work / "networks" / f"{name}.onnx"
        if not path.is_file():
            log(f"{name}: writing it, with random weights")
            make_folder(path.parent)
            python = self.environment("networks").python if name == "efficientnet-b0" else Path(sys.executable)
            with written_aside(path) as part:
                run([str(python), str(PEERS / "networks.py"), name, str(part)])
        return path

    def bare(self, name: str) -> Contestant:
        return Contestant("bare", "worker_bare.py", (str(self.network(name)), str(self.yunet)))

    def ask(self, entry: Entry) -> dict[str, Any]:
        """A burst of this entry's calls. Raises AbsentError with the program's message where it fails."""
        one = entry.contestant
        if one not in self.programs:
            command = [str(self.environment(one.environment).python), str(PEERS / one.program), *one.arguments]
            log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - Program.end closes it
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=self.variables
            )
            self.programs[one] = Program(process, log)
        reply = self.programs[one].ask({**entry.request, "seconds": self.seconds, "least": 3})
        if reply is None:
            raise AbsentError(self.programs.pop(one).end() or f"no reply within {PATIENCE_S} s")
        return reply

    def note(self, name: str, error: AbsentError) -> None:
        """Keep who is absent and why, a reason once, without folders of this machine."""
        reason = without_folders(str(error))
        if reason not in self.absent.values():
            self.absent[name] = reason

    def close(self) -> None:
        while self.programs:
            self.programs.popitem()[1].end()


def in_rounds(
    title: str, bench: Bench, names: Sequence[str], measure: Callable[[str], Mapping[str, float]]
) -> dict[str, dict[str, list[float]]]:
    """By name and quantity, one value for each round; who fails is absent, and the rest goes on.

    measure gives "seconds" and what else is to be saved, and "cpu": the seconds of CPU time. From that follows
    "others": how many cores other programs used meanwhile. Up to twice as many bursts as names are done again for them.
    """
    order = random.Random(0)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    repeats = 2 * len(names)
    for number in range(bench.rounds):
        playing = list(found)
        order.shuffle(playing)
        for name in playing:
            try:
                values = watched(measure, name)
                while values["others"] > DISTURBED and repeats > 0:
                    repeats -= 1
                    time.sleep(_PAUSE_S)
                    values = watched(measure, name)
            except AbsentError as error:
                bench.note(f"{name}, {title}", error)
                del found[name]
                continue
            for quantity, value in values.items():
                found[name].setdefault(quantity, []).append(value)
            time.sleep(REST_S)
        times = ", ".join(f"{name} {values['seconds'][-1] * 1e3:.4g}" for name, values in found.items())
        log(f"{title}, round {number + 1} of {bench.rounds}, ms: {times}")
    return found


def watched(measure: Callable[[str], Mapping[str, float]], name: str) -> dict[str, float]:
    """What is measured, with the cores that other programs used meanwhile in place of its own seconds of processor."""
    before, start = busy_seconds(), time.perf_counter()
    values = dict(measure(name))
    busy, elapsed = busy_seconds() - before, time.perf_counter() - start
    others = max(0.0, busy - values.pop("cpu")) / elapsed
    return {**values, "others": round(others, 2)}


def busy_seconds() -> float:
    """Seconds that all processors together have worked since the machine started; 0 where it is not known."""
    counters = Path("/proc/stat")
    if not counters.is_file():
        return 0.0
    ticks = dict(zip(_WORKING, map(int, counters.read_text().split()[1:]), strict=False))
    return (sum(ticks.values()) - ticks["idle"] - ticks["iowait"]) / os.sysconf("SC_CLK_TCK")


def timed(title: str, bench: Bench, entries: Sequence[Entry]) -> dict[str, Any]:
    """The medians of bursts by name and round, in seconds, and how many faces the calls classified."""
    by_name = {entry.name: entry for entry in entries}

    def measure(name: str) -> dict[str, float]:
        reply = bench.ask(by_name[name])
        seconds = round(statistics.median(reply["seconds"]), 8)
        return {"seconds": seconds, "faces": reply["faces"], "cpu": reply["cpu"]}

    found = in_rounds(title, bench, list(by_name), measure)
    return {name: {**values, "faces": values["faces"][-1]} for name, values in found.items()}


@contextmanager
def noted(bench: Bench, name: str) -> Iterator[None]:
    """What is absent is noted, and the rest goes on."""
    try:
        yield
    except AbsentError as error:
        bench.note(name, error)


def without_folders(text: str) -> str:
    """A message that names files without the folders that they lie in."""
    return re.sub(r"(?<![\w./])/(?!/)([\w.+~-]+/)+", "", text)


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
