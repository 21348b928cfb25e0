"""How fast `mien annotate` is, beside what its stages allow, and the memory it takes.

    python benchmarks/annotate_rates.py FOLDER [--part stages workers overlap storage memory around]
                                        [--detector-model FILE] [--count N] [--rounds N] [--markdown FILE]

FOLDER holds pictures (benchmarks/annotate_pictures.py makes some). Linux only. Rates are pictures a second, the best of
the rounds, as what else the machine does only takes away.

stages   Each stage alone on all processors: a process for each goes through the pictures in chunks, one stage after the
         other. From this follow what the slowest stage alone allows, and what the processors allow: they do all stages.
workers  The command with one worker on one processor, and with one for each on all.
overlap  One worker on two processors: reading and detecting in one thread, classifying in another, beside each alone.
storage  Slow storage: the rate beside that of fetching alone, when that is the slowest stage and when not.
memory   Of the command and its workers together (PSS), as the pictures go by.
around   Planning a list of a million paths; handing out shards of one tiny picture, in which there is hardly any work,
         by either engine, Ray's start included; finding that they are done. FOLDER is not read.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from output import table_of, write_text
from PIL import Image

import mien
from mien.annotate import Engine, Options, annotate
from mien.annotate.listing import list_input
from mien.annotate.model_bundle import ModelBundle
from mien.annotate.plan import Plan, Shards, complete, saved_plan
from mien.annotate.prefetch import fetch
from mien.annotate.run import draft_plan
from mien.annotate.storage import Folder
from mien.errors import ImageError
from mien.images.decode import read_picture

PARTS = ("stages", "workers", "overlap", "storage", "memory", "around")
CHUNK = 64

Row = dict[str, object]


def paths_of(folder: Path, count: int) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))[:count]


def alone(paths: Sequence[Path], detector_model: Path | None) -> dict[str, float]:
    """Seconds of each stage over the pictures, in this process, one after the other."""
    import cv2

    cv2.setNumThreads(1)
    analyzer = mien.load(detector_model=detector_model, threads=1, reduce=True)
    spent = dict.fromkeys(("fetch", "read", "detect", "classify"), 0.0)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        spent[stage] += time.perf_counter() - began
        return result

    def read(content: bytes) -> Any:
        try:
            return read_picture(content, reduce_to=analyzer.detector.max_side)
        except ImageError:
            return None

    def detect(picture: Any) -> Any:
        return analyzer._crop_faces(picture, analyzer._selected(analyzer.detector.detect(picture.image)))

    for chunk in chunks(paths):
        contents = timed("fetch", lambda: [path.read_bytes() for path in chunk])  # noqa: B023 - called at once
        pictures = timed("read", lambda: [read(content) for content in contents])  # noqa: B023
        crops = timed("detect", lambda: [detect(one) for one in pictures if one is not None])  # noqa: B023
        for batch in chunks([crop for some in crops for crop in some], 24):
            timed("classify", partial(analyzer._probabilities, np.stack(batch)))
    return spent


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def stages(paths: Sequence[Path], detector_model: Path | None, cpus: int) -> dict[str, float]:
    """Pictures a second that each stage alone allows on `cpus` processors."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cpus, mp_context=context) as pool:
        parts = [paths[number::cpus] for number in range(cpus)]
        spent = list(pool.map(alone, parts, [detector_model] * cpus))
    return {name: len(paths) / max(one[name] for one in spent) for name in spent[0]}


def command(folder: Path, count: int, detector_model: Path | None, workers: int, cpus: int) -> float:
    """Pictures a second of the command, from the moment that its workers begin, on `cpus` processors."""
    detector = ["--detector-model", str(detector_model)] if detector_model else []
    allowed = sorted(os.sched_getaffinity(0))[:cpus]
    with TemporaryDirectory() as out:
        asked = [str(folder), "-o", out, "--limit", str(count), "--workers", str(workers), "--json", *detector]
        done = subprocess.run(
            ["taskset", "-c", ",".join(map(str, allowed)), sys.executable, "-m", "mien", "annotate", *asked],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        run = json.loads(done.stdout)["runs"][-1]
    return float(run["pictures"] / run["seconds"])


def overlap(paths: Sequence[Path], detector_model: Path | None) -> list[Row]:
    """One worker on two processors, within this process."""
    import cv2

    cv2.setNumThreads(1)
    analyzer = mien.load(detector_model=detector_model, threads=1, reduce=True)

    def rate(work: Callable[[bytes], object] | None, *, overlapped: bool = False) -> float:
        began = time.perf_counter()
        contents = (path.read_bytes() for path in paths)
        if work is not None:
            for content in contents:
                work(content)
        else:
            for _ in analyzer.try_many(contents, overlap=overlapped):
                pass
        return len(paths) / (time.perf_counter() - began)

    detecting = rate(lambda content: analyzer._try_detect(content, "bgr"))
    detected = [analyzer._try_detect(path.read_bytes(), "bgr") for path in paths]
    began = time.perf_counter()
    for batch in chunks(detected, 16):
        list(analyzer._classify(batch))
    classifying = len(paths) / (time.perf_counter() - began)
    one_by_one, both, slower = rate(None), rate(None, overlapped=True), min(detecting, classifying)
    return [
        {"what": "reading and detecting alone", "pictures/s": detecting},
        {"what": "classifying alone", "pictures/s": classifying},
        {"what": "all, one after the other", "pictures/s": one_by_one, "of the slower alone": one_by_one / slower},
        {"what": "all, overlapped", "pictures/s": both, "of the slower alone": both / slower},
    ]


class Late(LocalFileSystem):  # type: ignore[misc]  # fsspec has no types
    """This machine's files, late."""

    protocol = "late"
    delay = 0.0

    def open(self, path: str, *more: Any, **options: Any) -> Any:
        if path.endswith(".jpg"):
            time.sleep(self.delay)
        return super().open(path, *more, **options)


def storage(folder: Path, count: int, detector_model: Path | None) -> list[Row]:
    """The rate with storage that responds late."""
    fsspec.register_implementation("late", Late, clobber=True)
    options = Options(detector_model=detector_model, limit=count, shard=250)
    table: list[Row] = []
    for delay in (0.0, 0.05, 0.2, 0.5):
        Late.delay = delay
        with TemporaryDirectory() as out:
            run = annotate(f"late://{folder}", out, options=options, engine=Engine(workers=0)).manifest["runs"][-1]
            rate = run["pictures"] / run["seconds"]
            plan = saved_plan(Folder(out))
            assert isinstance(plan, Plan)
            shards, began, fetched = Shards(Folder(out)), time.perf_counter(), 0
            for number in range(plan.shards):
                with closing(fetch(plan, shards[number])) as items:
                    fetched += sum(1 for _ in islice(items, count))
            limit = fetched / (time.perf_counter() - began)
        table.append({"responds after ms": 1000 * delay, "pictures/s": rate, "fetching alone": limit})
    undelayed = table[0]["pictures/s"]
    for row in table:
        slowest = min(float(row["fetching alone"]), float(undelayed))  # type: ignore[arg-type]
        row["of the slowest stage"] = float(row["pictures/s"]) / slowest  # type: ignore[arg-type]
    return table


def memory(folder: Path, count: int, detector_model: Path | None, cpus: int) -> list[Row]:
    """PSS of driver and workers, in MB, as the pictures go by."""
    detector = ["--detector-model", str(detector_model)] if detector_model else []
    seen: list[tuple[int, float]] = []
    with TemporaryDirectory() as out:
        asked = [str(folder), "-o", out, "--limit", str(count), "--workers", str(cpus), *detector]
        driver = subprocess.Popen([sys.executable, "-m", "mien", "annotate", *asked], stderr=subprocess.DEVNULL)
        notes = Path(out, "plan", "done")
        shard = None
        while driver.poll() is None:
            done = len(list(notes.iterdir())) if notes.is_dir() else 0
            if done:
                shard = shard or saved_plan(Folder(out))
                seen.append((done * count // shard.shards, pss(driver.pid)))  # type: ignore[union-attr]
            time.sleep(0.5)
    table: list[Row] = []
    for fraction in (0.1, 0.25, 0.5, 0.75, 1.0):
        near = [size for done, size in seen if abs(done - fraction * count) <= 0.05 * count]
        if near:
            table.append({"of the pictures": fraction, "MB": float(np.median(near)), "largest": max(near)})
    return table


def around(pictures: int = 3000, paths: int = 1_000_000) -> list[Row]:
    """Seconds of what is not work on pictures."""
    table: list[Row] = []

    def timed(what: str, work: Callable[[], object], count: int) -> None:
        began = time.perf_counter()
        work()
        spent = time.perf_counter() - began
        table.append({"what": what, "seconds": spent, "a second": count / spent})

    with TemporaryDirectory() as folder:
        listed, tiny = Path(folder, "list.txt"), Path(folder, "tiny")
        listed.write_text("".join(f"{number // 1000:04d}/{number:07d}.jpg\n" for number in range(paths)))
        bundle = ModelBundle.gather(Options(detector="none"))
        out, listing = Folder(f"{folder}/plan"), list_input(str(listed))
        timed(
            f"planning {paths:,} paths", lambda: complete(draft_plan(listing, Options(), bundle), listing, out), paths
        )
        table[-1]["MB"] = sum(path.stat().st_size for path in Path(folder, "plan", "plan").iterdir()) / 1e6
        tiny.mkdir()
        for number in range(pictures):
            Image.new("L", (48, 48), number % 256).save(tiny / f"{number:05d}.png")
        for engine in ("local", "ray"):
            ask: dict[str, Any] = {"options": Options(detector="none", shard=1), "engine": Engine(name=engine)}
            work = partial(annotate, str(tiny), f"{folder}/{engine}", **ask)
            timed(f"{pictures:,} shards, {engine}", work, pictures)
        timed(f"finding {pictures:,} shards done", partial(annotate, str(tiny), f"{folder}/local", **ask), pictures)
    return table


def pss(pid: int) -> float:
    """Proportional set size of a process and its children, in MB."""
    total = 0.0
    for one in (pid, *children(pid)):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:"))
    return total


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def rates(folder: Path, paths: Sequence[Path], detector_model: Path | None, rounds: int, parts: set[str]) -> list[Row]:
    """Stages alone and the command, in turns."""
    cpus = len(os.sched_getaffinity(0))
    best: dict[str, float] = {}

    def note(name: str, rate: float) -> None:
        best[name] = max(best.get(name, 0.0), rate)

    for _ in range(rounds):
        if "stages" in parts:
            for name, rate in stages(paths, detector_model, cpus).items():
                note(name, rate)
        if "workers" in parts:
            note("one", command(folder, len(paths), detector_model, 1, 1))
            note("all", command(folder, len(paths), detector_model, cpus, cpus))
    table: list[Row] = []
    if "stages" in parts:
        names = ("fetch", "read", "detect", "classify")
        table += [{"what": f"{name} alone, {cpus} processors", "pictures/s": best[name]} for name in names]
        best["sum"] = 1 / sum(1 / best[name] for name in names)
        best["slowest"] = min(best[name] for name in names)
        table.append({"what": f"all four, one after the other, {cpus} processors", "pictures/s": best["sum"]})
    if "workers" in parts:
        table.append({"what": "mien annotate, 1 worker on 1 processor", "pictures/s": best["one"]})
        row: Row = {"what": f"mien annotate, {cpus} workers on {cpus}", "pictures/s": best["all"]}
        row["of one worker"] = best["all"] / best["one"]
        if "stages" in parts:
            row["of what the processors allow"] = best["all"] / best["sum"]
            row["of the slowest stage alone"] = best["all"] / best["slowest"]
        table.append(row)
    return table


def show(table: Sequence[Row]) -> str:
    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.3g}" if value < 100 else f"{value:.0f}"
        return str(value)

    return table_of([{name: cell(value) for name, value in row.items()} for row in table])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--detector-model", type=Path)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    paths, parts = paths_of(asked.folder, asked.count), set(asked.part)
    tables = []
    if parts & {"stages", "workers"}:
        tables.append(show(rates(asked.folder, paths, asked.detector_model, asked.rounds, parts)))
        print(tables[-1], end="", flush=True)
    measures: dict[str, Callable[[], Sequence[Row]]] = {
        "overlap": lambda: overlap(paths[:1000], asked.detector_model),
        "storage": lambda: storage(asked.folder, min(1000, asked.count), asked.detector_model),
        "around": around,
        "memory": lambda: memory(asked.folder, 20_000, asked.detector_model, len(os.sched_getaffinity(0))),
    }
    for name, measure in measures.items():
        if name in parts:
            tables.append(show(measure()))
            print(f"\n{tables[-1]}", end="", flush=True)
    if asked.markdown:
        write_text(asked.markdown, "\n".join(tables))


if __name__ == "__main__":
    main()
