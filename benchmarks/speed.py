"""Mien beside others on this machine: time of the classifier and of whole pictures, cold start, memory, size, limit.

    python benchmarks/speed.py [--only SECTION ...] [--rounds N] [--seconds S] [--work FOLDER] [--env NAME=FOLDER ...]
                               [--yunet FILE] [--json FILE] [--markdown FILE] [--chart FILE] [--report]

Contestants: Mien as a wheel of the working tree, with YuNet and with Haar; fer; and, as a few lines of onnxruntime and
OpenCV with random weights (speed only), the full AlexNet in float32 and int8, FER+'s VGG13 and EfficientNet-B0. Each
has its own environment below --work (.bench), made once; --env names one that is there already. What cannot be had is
reported as absent, the rest goes on.

Every measurement goes in rounds: each contestant in turn, in an order drawn anew, works alone for a burst of --seconds.
A round gives the burst's median; the tables give the median of rounds, and ratios within rounds. It needs Linux or
macOS, a machine with nothing else to do, and 4 to 6 minutes once the environments are there. On Linux it watches for
other programs: bursts that they disturb are done again, within bounds, and the tables report how many stayed disturbed.

--json FILE holds what was measured; with --only the other sections of that file stay. --markdown FILE gets the tables
between its two marker lines, --chart FILE the picture. --report measures nothing and writes both from --json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from output import write_json, write_text
from peers.environments import AbsentError, Environment, by_package, last_line, run
from peers.graphs import PEAKS, cost, peak_multiply_adds, write_peak
from peers.pictures import write_pictures
from peers.room import PEERS, Bench, Contestant, Entry, in_rounds, log, noted, timed
from speed_chart import draw
from speed_tables import plural, replace_tables, to_markdown

from mien.errors import DetectorError, MienError
from mien.files import make_folder
from mien.runtime.download import place
from mien.runtime.weights import YUNET, find_model, find_yunet

BARE: Final = ("alexnet-fp32", "alexnet-int8", "vgg13", "efficientnet-b0")
CLASSIFIED: Final = ((1, 1), (1, 2), (64, 2))
FLAGS: Final = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
_INFERENCE: Final = ("numpy", "onnxruntime", "opencv-python-headless")
TOLD: Final = {
    "mien": ("mien", *_INFERENCE, "pillow"),
    "fer": ("fer", "tensorflow-cpu", "numpy", "opencv-python-headless"),
    "bare": _INFERENCE,
    "networks": ("torch", "transformers"),
}


def contestants(bench: Bench, fer: str, *, haar: bool) -> dict[str, Contestant]:
    """Who takes part, by name, with environments and networks in place; fer is how fer's network runs alone."""
    for name in ("mien", "fer", "bare"):
        with noted(bench, name):
            bench.environment(name)
    found = {"mien": Contestant("mien", "worker_mien.py", ("yunet",))}
    if haar:
        found["mien, Haar"] = Contestant("mien", "worker_mien.py", ("haar",))
    found["fer"] = Contestant("fer", "worker_fer.py", (fer,))
    for name in BARE:
        with noted(bench, name):
            found[name] = bench.bare(name)
    return found


def classifier(bench: Bench) -> dict[str, Any]:
    """Faces that are cut out already to probabilities."""
    found = {}
    for faces, threads in CLASSIFIED:
        request = {"task": "classify", "faces": faces, "threads": threads}
        entries = [Entry(name, one, request) for name, one in contestants(bench, "single", haar=False).items()]
        if faces > 1:
            entries.append(Entry("fer, batched", Contestant("fer", "worker_fer.py", ("batched",)), request))
        found[label(faces, threads)] = timed(label(faces, threads), bench, entries)
    bench.close()
    return found


def pictures(bench: Bench) -> dict[str, Any]:
    """A picture in memory to the emotions of its faces, by each one's own call."""
    paths = write_pictures(bench.work / "pictures")
    found = {}
    for name in ("astronaut", "group"):
        request = {"task": "picture", "picture": str(paths[name])}
        entries = [Entry(who, one, request) for who, one in contestants(bench, "single", haar=True).items()]
        found[name] = timed(name, bench, entries)
    bench.close()
    return found


def start(bench: Bench) -> dict[str, Any]:
    """Start of the process to the first face's prediction and the end of the process, and its peak memory."""
    photo = str(write_pictures(bench.work / "pictures")["photo"])
    read = "import sys, cv2; from fer.fer import FER; print(FER().detect_emotions(cv2.imread(sys.argv[1]))[0])"
    commands: dict[str, list[str]] = {}
    with noted(bench, "mien"):
        python = bench.environment("mien").python
        by_api = "import sys, mien; print(mien.load().analyze(sys.argv[1]).faces[0].emotion)"
        commands["mien"] = [str(python), "-c", by_api, photo]
        commands["mien predict"] = [str(python.with_name("mien")), "predict", photo]
    with noted(bench, "fer"):
        commands["fer"] = [str(bench.environment("fer").python), "-c", read, photo]
    for name in BARE:
        with noted(bench, name):
            one = bench.bare(name)
            python = bench.environment(one.environment).python
            commands[name] = [str(python), str(PEERS / one.program), *one.arguments, photo]

    def measure(name: str) -> dict[str, float]:
        launcher = [sys.executable, "-I", "-S", str(PEERS / "launch.py")]
        done = subprocess.run(
            [*launcher, *commands[name]], capture_output=True, text=True, check=False, env=bench.variables
        )
        reply = json.loads(done.stdout) if done.returncode == 0 else {"code": done.returncode}
        if reply["code"]:
            raise AbsentError(last_line(done.stderr) or f"exit code {reply['code']}")
        return {"seconds": round(reply["seconds"], 5), "bytes": reply["bytes"], "cpu": reply["cpu"]}

    for name in list(commands):  # what is read from the disk for the first time does not count
        try:
            measure(name)
        except AbsentError as error:
            bench.note(f"{name}, cold start", error)
            del commands[name]
    return in_rounds("cold start", bench, list(commands), measure)


def size(bench: Bench) -> dict[str, Any]:
    """Bytes of the environments with all that was installed into them, and whose they are."""
    found = {}
    for name in ("mien", "fer", "bare"):
        with noted(bench, name):
            environment = bench.environment(name)
            total = environment.bytes()
            packages = by_package(environment.packages(), total, least=5_000_000)
            found[name] = {"bytes": total, "packages": packages}
    return found


def limit(bench: Bench) -> dict[str, Any]:
    """How near Mien's classifier comes to what this machine can do in int8 at most."""
    folder = bench.work / "networks"
    make_folder(folder)
    candidates = {}
    for index, name in enumerate(PEAKS):
        path = folder / f"peak-{index}.onnx"
        write_peak(name, path)
        candidates[name] = Contestant("bare", "worker_bare.py", (str(path), ""))
    mien = Contestant("mien", "worker_mien.py", ("yunet",))
    found: dict[str, Any] = {"multiply_adds": {name: peak_multiply_adds(name) for name in PEAKS}}
    for threads in (1, 2):
        peak = {"task": "peak", "threads": threads}
        entries = [Entry(name, one, peak) for name, one in candidates.items()]
        for faces in (1, 64):
            request = {"task": "classify", "faces": faces, "threads": threads}
            entries.append(Entry(f"mien, {faces}", mien, request))
        found[str(threads)] = timed(f"int8 peak, {plural(threads, 'thread')}", bench, entries)
    bench.close()
    return found


SECTIONS: Final = {"classifier": classifier, "pictures": pictures, "start": start, "size": size, "limit": limit}


def measure_all(bench: Bench, only: Sequence[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """The results: sections that are measured now, and those of before where the machine is the same."""
    here = machine()
    saved = before if before.get("machine") == here else {}
    found: dict[str, Any] = {"machine": here}
    sections = {}
    for name in SECTIONS:
        if name in only:
            now = datetime.now(UTC).strftime("%Y-%m-%d")
            sections[name] = {"date": now, "rounds": bench.rounds, "measured": SECTIONS[name](bench)}
        elif name in saved.get("sections", {}):
            sections[name] = saved["sections"][name]
    found["versions"] = {**saved.get("versions", {}), **versions(bench)}
    networks = {"mien": asdict(cost(find_model()))}
    for path in sorted((bench.work / "networks").glob("*.onnx")):
        if path.stem in BARE:
            networks[path.stem] = asdict(cost(path))
    return {**found, "networks": networks, "sections": sections, "absent": bench.absent}


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names this machine."""
    found: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": platform.processor(),
    }
    found["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text().splitlines()
        entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        found["cpu"] = entries.get("model name", found["cpu"])
        flags = entries.get("flags", entries.get("Features", "")).split()
        found["flags"] = [flag for flag in FLAGS if flag in flags]
    return found


def versions(bench: Bench) -> dict[str, dict[str, str]]:
    """Of what matters in each environment that took part, and in the one that wrote EfficientNet."""
    found = {}
    writer = Environment(bench.work / "envs" / "networks")
    others = {"networks": writer} if writer.python.exists() else {}
    for name, environment in {**bench.environments, **others}.items():
        installed = environment.packages()
        python = run([str(environment.python), "-c", "import platform; print(platform.python_version())"]).strip()
        found[name] = {"python": python, **{one: installed[one].version for one in TOLD[name] if one in installed}}
    return found


def label(faces: int, threads: int) -> str:
    return f"{plural(faces, 'face')}, {plural(threads, 'thread')}"


def place_yunet(named: Path | None, cache: Path) -> Path:
    """Put YuNet's verified file where Mien looks for it when MIEN_CACHE is `cache`. Raises DetectorError without it."""
    lent = Path("../shared/data/detectors") / YUNET.name
    source = named or find_yunet() or lent
    if not source.is_file():
        raise DetectorError("YuNet is not installed: run `mien detector yunet` once, or name a file by --yunet FILE")
    return place(source, YUNET.sha256, cache / YUNET.name)


def report(results: Mapping[str, Any], markdown: Path | None, chart: Path | None) -> None:
    """Write tables and chart; without a file for them the tables go to standard output."""
    tables = to_markdown(results)
    if markdown is None:
        print(tables)
    else:
        text = replace_tables(markdown.read_text(encoding="utf-8"), tables)
        write_text(markdown, text)
    if chart is not None:
        draw(results, chart)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="measure these alone")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.4, help="length of a burst")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="environments, networks, pictures")
    parser.add_argument("--env", nargs="+", default=[], metavar="NAME=FOLDER", help="an environment that is there")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file; the one that Mien finds, else ../shared's")
    parser.add_argument("--json", type=Path, help="what was measured")
    parser.add_argument("--markdown", type=Path, help="the tables go between this file's marker lines")
    parser.add_argument("--chart", type=Path, help="a picture (.png, .svg, .pdf)")
    parser.add_argument("--report", action="store_true", help="measure nothing: tables and chart of --json")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    if options.report and options.json is None:
        parser.error("--report needs --json FILE")
    if any("=" not in one for one in options.env):
        parser.error("--env takes NAME=FOLDER")
    if options.markdown is not None:
        try:
            replace_tables(options.markdown.read_text(encoding="utf-8"), "")
        except (OSError, ValueError) as error:
            parser.error(f"--markdown {options.markdown}: {error}")
    return options


def main() -> int:
    options = parse()
    before = json.loads(options.json.read_text()) if options.json and options.json.is_file() else {}
    if options.report:
        report(before, options.markdown, options.chart)
        return 0
    work = options.work.absolute()
    given = {name: Path(folder).absolute() for name, _, folder in (one.partition("=") for one in options.env)}
    try:
        yunet = place_yunet(options.yunet, work / "cache")
    except MienError as error:
        log(f"error: {error}")
        return 2
    bench = Bench(work, given, options.rounds, options.seconds, yunet)
    try:
        results = measure_all(bench, options.only, before)
    except KeyboardInterrupt:
        log("stopped; nothing was written")
        return 130
    finally:
        bench.close()
    for name, reason in bench.absent.items():
        log(f"absent: {name}: {reason}")
    if options.json is not None:
        write_json(options.json, results)
    report(results, options.markdown, options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
