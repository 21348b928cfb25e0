"""The service under load: its rate beside the library's, how long clients wait, and the memory it takes.

    python benchmarks/serving.py [--part rates bound memory settings] [--detector-model FILE] [--markdown FILE]

The load comes from wrk (Debian: apt-get install wrk) over the loopback: 64 clients that ask anew as soon as they are
served, 8 where each asks for eight pictures in a form. wrk shares the cores with the service and takes little of
them: 2 % of one at 140 pictures a second, where hey took 7 %. The service is `mien serve` in a separate process.
Pictures are scikit-image's astronaut, a JPEG of 512x512 pixels, and the same in one of 1280x720.

rates     The service, batching on and off, and `analyze_many` alone in this process, over the same bytes, with both
          detectors. They take turns, round by round; rates are the best of the rounds, as what else the machine does
          only takes away, and waits are those of that round. `analyze_many` has the processor to itself and uses it as
          `mien.load` does by default; it decodes large JPEGs at a reduced size, as the service does. CPU time is the
          process's own, of all rounds together; wrk's is not in it.
bound     A queue of 8 for 64 clients: how many requests had a response of which status.
memory    The service's resident memory after 1,000 requests, 2,000 and so on, by /proc, so on Linux only: the small
          picture, a form of it, the large one and a form of that take turns.
settings  The rate with 64 clients and the wait of one client, by workers and by threads of each network.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from output import table_of, write_text
from PIL import Image
from skimage import data

import mien

CLIENTS = 64
FORM = 8
QUEUE = 8
BATCH = 16  # pictures that analyze_many classifies together
TURNS = 4  # responses that each client gets at least, or about; what is under way at the end does not count
PARTS = ("rates", "bound", "memory", "settings")

Row = dict[str, object]

SCRIPT = """
local file = io.open(os.getenv("BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*all")
wrk.headers["Content-Type"] = os.getenv("TYPE")
local threads = {}
counts = {}

function setup(thread) table.insert(threads, thread) end

function response(status) counts[status] = (counts[status] or 0) + 1 end

function done(summary, latency)
  io.write(string.format("result %d %d %d %d", summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do io.write(string.format(" %d=%d", status, count)) end
  end
  io.write("\\n")
end
"""


@dataclass(frozen=True)
class Body:
    """What is sent: a file, its content type, the number of pictures in it, and one of them."""

    path: Path
    content_type: str
    pictures: int
    picture: bytes


@dataclass(frozen=True)
class Load:
    """What came of one load: its seconds, responses by status, requests without a response, the service's CPU time."""

    seconds: float
    p50_s: float
    p99_s: float
    statuses: dict[int, int]
    failed: int
    cpu_s: float

    @property
    def rate(self) -> float:
        """Responses of 200 a second."""
        return self.statuses.get(200, 0) / self.seconds

    @property
    def statuses_line(self) -> str:
        """The statuses in words."""
        parts = [f"{status}: {count:,}" for status, count in sorted(self.statuses.items())]
        return ", ".join([*parts, f"no response: {self.failed}"] if self.failed else parts)


class Service:
    """`mien serve` in a separate process."""

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path) -> None:
        self._process, self.url, self._script = process, url, folder / "load.lua"
        self._script.write_text(SCRIPT, encoding="utf-8")

    def load(self, body: Body, *, seconds: float, clients: int = CLIENTS) -> Load:
        """Let clients ask for `seconds` seconds."""
        variables = {"BODY": str(body.path), "TYPE": body.content_type}
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "60s", "-s", str(self._script)]
        began = self._cpu_seconds()
        environment = {**os.environ, **variables}
        done = subprocess.run(
            [*command, f"{self.url}/v1/predict"], env=environment, capture_output=True, text=True, check=False
        )
        line = next((line for line in done.stdout.splitlines() if line.startswith("result")), None)
        if line is None:
            sys.exit(f"wrk failed: {done.stdout}{done.stderr}")
        _, took, p50, p99, failed, *counts = line.split()
        statuses = {int(status): int(count) for status, count in (one.split("=") for one in counts)}
        cpu_s = self._cpu_seconds() - began
        self._settle()
        return Load(int(took) / 1e6, int(p50) / 1e6, int(p99) / 1e6, statuses, int(failed), cpu_s)

    def figure(self, name: str) -> float:
        """One of its metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def resident_mb(self) -> float:
        """Its resident memory in MB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _settle(self) -> None:
        """Wait until what clients left behind is done."""
        while self.figure("mien_queue"):
            time.sleep(0.1)
        time.sleep(0.3)


@contextmanager
def serving(options: Sequence[str], folder: Path) -> Iterator[Service]:
    """A service with these options, for as long as the context lasts."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"https?://[\w.:]+", line)
        if address is None:
            sys.exit(f"the service does not start: {line}{process.stderr.read()}")
        service = Service(process, address[0], folder)
        yield service
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def make_bodies(folder: Path) -> dict[str, Body]:
    """The pictures alone, and eight of each in a form."""
    astronaut = Image.fromarray(data.astronaut())
    wide = Image.new("RGB", (1280, 720), (96, 104, 112))
    wide.paste(astronaut.resize((720, 720)), (280, 0))
    bodies = {}
    for picture in (astronaut, wide):
        name = "{}x{}".format(*picture.size)
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n%s\r\n' % buffer.getvalue()
        contents = {f"{name}.jpg": (buffer.getvalue(), "image/jpeg", 1)}
        contents[f"{name}.form"] = (part * FORM + b"--b--\r\n", "multipart/form-data; boundary=b", FORM)
        for file, (content, kind, pictures) in contents.items():
            (folder / file).write_bytes(content)
            bodies[file] = Body(folder / file, kind, pictures, buffer.getvalue())
    return bodies


@dataclass(frozen=True)
class Alone:
    """What `analyze_many` does alone: pictures a second, and seconds of CPU time for each."""

    rate: float
    cpu_s: float


def alone(analyzer: mien.Analyzer, content: bytes, seconds: float) -> Alone:
    """Let it read a picture over and over for some seconds; the first batches warm it up."""
    results = analyzer.analyze_many(repeat(content))
    for _ in range(2 * BATCH):
        next(results)
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    while count % BATCH or time.perf_counter() - began < seconds:
        next(results)
        count += 1
    return Alone(count / (time.perf_counter() - began), (time.process_time() - cpu) / count)


def measure_rates(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A row for each detector and body."""
    for detector, chosen in detectors(args).items():
        path = args.detector_model if detector == "yunet" else None
        analyzer = mien.load(detector=detector, detector_model=path, reduce=True)
        options = [*chosen, *args.option]
        with serving(options, folder) as on, serving([*options, "--no-batching"], folder) as off:
            for name, body in make_bodies(folder).items():
                yield {"detector": detector, "picture": name, **rates(args, analyzer, on, off, body)}


def rates(args: argparse.Namespace, analyzer: mien.Analyzer, on: Service, off: Service, body: Body) -> Row:
    """One body, in turns: alone, with batching, without."""
    clients = CLIENTS // body.pictures
    lone, shared, apart = [], [], []
    faces, batches = on.figure("mien_batch_faces_sum"), on.figure("mien_batch_faces_count")
    for _ in range(args.rounds):
        lone.append(alone(analyzer, body.picture, args.seconds))
        seconds = max(args.seconds, TURNS * CLIENTS / lone[-1].rate)
        shared.append(on.load(body, seconds=seconds, clients=clients))
        apart.append(off.load(body, seconds=seconds, clients=clients))
    faces, batches = on.figure("mien_batch_faces_sum") - faces, on.figure("mien_batch_faces_count") - batches
    best, pictures = max(shared, key=lambda load: load.rate), body.pictures
    rate, alone_rate = best.rate * pictures, max(one.rate for one in lone)
    apart_rate = max(load.rate for load in apart) * pictures
    others = sorted({status for load in (*shared, *apart) for status in load.statuses} - {200})
    return {
        "a request": pictures,
        "clients": clients,
        "p50, ms": f"{1000 * best.p50_s:.0f}",
        "p99, ms": f"{1000 * best.p99_s:.0f}",
        "images/s": f"{rate:.1f}",
        "`analyze_many`": f"{alone_rate:.1f}",
        "service, % of it": f"{100 * rate / alone_rate:.0f}",
        "CPU ms an image": f"{1000 * cpu_s(shared, pictures):.1f}",
        "`analyze_many`, CPU ms": f"{1000 * sum(one.cpu_s for one in lone) / len(lone):.1f}",
        "batching on / off": f"{rate / apart_rate:.2f}",
        "by CPU time": f"{cpu_s(apart, pictures) / cpu_s(shared, pictures):.2f}",
        "faces a batch": f"{faces / batches:.2f}",
        "statuses but 200": ", ".join(map(str, others)) or "none",
    }


def cpu_s(loads: Sequence[Load], pictures: int) -> float:
    """Seconds of CPU time for a picture."""
    return sum(load.cpu_s for load in loads) / sum(load.statuses.get(200, 0) for load in loads) / pictures


def measure_bound(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """More clients than workers and queue hold."""
    for detector, options in detectors(args).items():
        with serving([*options, *args.option, "--queue", str(QUEUE)], folder) as service:
            load = service.load(make_bodies(folder)["512x512.jpg"], seconds=args.seconds)
            yield {
                "detector": detector,
                "queue": QUEUE,
                "clients": CLIENTS,
                "images/s": f"{load.rate:.1f}",
                "responses": load.statuses_line,
            }


def measure_memory(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Resident memory, each thousand requests."""
    bodies = make_bodies(folder)
    options = next(iter(detectors(args).values()))
    with serving([*options, *args.option], folder) as service:
        began, statuses, next_row = service.resident_mb(), Counter[int](), 1000
        for body in cycle(bodies.values()):
            load = service.load(body, seconds=args.seconds / 2, clients=CLIENTS // body.pictures)
            statuses.update(load.statuses)
            if statuses.total() >= next_row:
                line = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
                yield {"responses": line, "MB": f"{service.resident_mb():.0f}", "MB before all": f"{began:.0f}"}
                next_row = statuses.total() // 1000 * 1000 + 1000
            if statuses.total() >= args.requests:
                return


def measure_settings(args: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """What workers and threads do."""
    bodies, cores = make_bodies(folder), os.cpu_count() or 1
    options = next(iter(detectors(args).values()))
    tried = [(workers, threads) for workers in (1, cores, cores + 1, 2 * cores) for threads in (1, cores)]
    results: dict[tuple[int, int, str, int], float] = {}
    for _ in range(args.rounds):
        for workers, threads in tried:
            with serving([*options, "--workers", str(workers), "--threads", str(threads)], folder) as service:
                for name in ("512x512.jpg", "1280x720.jpg"):
                    many = service.load(bodies[name], seconds=args.seconds / 2).rate
                    one = service.load(bodies[name], seconds=args.seconds / 4, clients=1).p50_s
                    key = (workers, threads, name)
                    results[*key, 64] = max(many, results.get((*key, 64), 0))
                    results[*key, 1] = min(one, results.get((*key, 1), one))
    for workers, threads in tried:
        row: Row = {"workers": workers, "threads": threads}
        for name in ("512x512.jpg", "1280x720.jpg"):
            size = name.removesuffix(".jpg")
            row[f"{size}: images/s, {CLIENTS} clients"] = f"{results[workers, threads, name, 64]:.1f}"
            row[f"{size}: p50 of one client, ms"] = f"{1000 * results[workers, threads, name, 1]:.1f}"
        yield row


def detectors(args: argparse.Namespace) -> dict[str, list[str]]:
    """The detectors that can be had, each with the service's options for it."""
    yunet = ["--detector", "yunet", "--detector-model", str(args.detector_model)]
    found = {**({"yunet": yunet} if args.detector_model else {}), "haar": ["--detector", "haar"]}
    return {name: options for name, options in found.items() if name in args.detector}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="what is measured; all by itself")
    parser.add_argument("--detector-model", type=Path, help="YuNet's ONNX file; without it Haar alone is measured")
    parser.add_argument("--detector", nargs="+", choices=("yunet", "haar"), default=("yunet", "haar"))
    parser.add_argument("--seconds", type=float, default=8, help="of each load, at least")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000, help="of the memory's measurement")
    parser.add_argument("--option", action="append", default=[], help="one more word for `mien serve`; may be repeated")
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("this takes wrk, the load generator: apt-get install wrk")
    measures = dict(zip(PARTS, (measure_rates, measure_bound, measure_memory, measure_settings), strict=True))
    tables = []
    with TemporaryDirectory() as folder:
        for part in args.part:
            rows = []
            for row in measures[part](args, Path(folder)):
                rows.append(row)
                print(", ".join(f"{name}: {value}" for name, value in row.items()), file=sys.stderr)
            tables.append(table_of(rows))
            print(tables[-1], flush=True)
    if args.markdown:
        write_text(args.markdown, "\n".join(tables))


if __name__ == "__main__":
    main()
