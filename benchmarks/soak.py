"""Whether memory, handles and threads stay flat while frames and requests go on and on.

    python benchmarks/soak.py --frames 864000 --requests 100000     # 8 hours of 30 frames/s
    python benchmarks/soak.py --minutes 2                           # what fits, N minutes for each of the two

Frames are as quick as this machine makes them: a face (scikit-image's astronaut) goes to and fro, leaves and comes
back, so that tracks begin and end; each frame is smoothed and becomes a record. Requests go to a service in this
process over HTTP, every third one with what is no picture. The slope is that of a line through the second half of the
samples (least squares): what caches and pools take at first is no leak.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

import mien
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings
from mien.types import Frame

RATE = 30
CLIENTS = 4
SAMPLES = 200


@dataclass
class Samples:
    """What the process held, by how many items were done: resident memory in MB, open files, threads.

    Of many samples every second one is dropped, again and again, so that they take no memory of their own.
    """

    rows: list[tuple[int, float, int, int]] = field(default_factory=list)
    calls: int = 0
    every: int = 1

    def take(self, done: int) -> None:
        self.calls += 1
        if self.calls % self.every:
            return
        if len(self.rows) == 2 * SAMPLES:
            self.rows, self.every = self.rows[1::2], 2 * self.every
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        files, threads = (len(list(Path("/proc/self", place).iterdir())) for place in ("fd", "task"))
        self.rows.append((done, memory, files, threads))

    def summary(self, kind: str, goal: int, seconds: float) -> str:
        """A line: how many, and how memory, files and threads went over the second half."""
        half = np.array(self.rows[len(self.rows) // 2 :], float)
        slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
        files, threads = ((int(half[:, column].min()), int(half[:, column].max())) for column in (2, 3))
        done = self.rows[-1][0]
        return (
            f"{kind}: {done:,} in {seconds:.0f} s; memory {half[0, 1]:.1f} to {half[-1, 1]:.1f} MB, "
            f"{1e3 * slope * 1000:+.1f} kB per 1,000, so {slope * goal:+.1f} MB in {goal:,}; "
            f"open files {files[0]} to {files[1]}, threads {threads[0]} to {threads[1]}"
        )


def frames(face: NDArray[np.uint8]) -> Iterator[Frame]:
    """A face that goes to and fro for 6 s and is away for 2 s, over and over."""
    side = face.shape[0]
    for index in count():
        image = np.full((240, 320, 3), 70, np.uint8)
        if index % (8 * RATE) < 6 * RATE:
            x = int((320 - side) * (0.5 + 0.5 * np.sin(index / 40)))
            image[60 : 60 + side, x : x + side] = face
        yield Frame(image, index, index / RATE)


def soak_stream(analyzer: mien.Analyzer, face: NDArray[np.uint8], ended: Callable[[int], bool]) -> Samples:
    samples = Samples()
    for done, result in enumerate(analyzer.stream(frames(face)), 1):
        json.dumps(result.to_dict())
        if done % RATE == 0:
            samples.take(done)
            if ended(done):
                return samples
    return samples


def soak_service(analyzer: mien.Analyzer, picture: bytes, ended: Callable[[int], bool]) -> Samples:
    settings, samples = Settings(port=0, workers=2), Samples()
    lock, done, over = threading.Lock(), 0, threading.Event()

    def ask(url: str) -> None:
        nonlocal done
        place = urlsplit(url)
        connection = HTTPConnection(str(place.hostname), place.port, timeout=60)
        for number in count():
            body, wanted = (picture, 200) if number % 3 else (b"no picture", 415)
            connection.request("POST", "/v1/predict", body)
            response = connection.getresponse()
            response.read()
            if response.status != wanted:
                raise SystemExit(f"expected {wanted}, got {response.status}")
            with lock:
                done += 1
            if over.is_set():
                break
        connection.close()

    with running(create_app(analyzer, settings), settings) as url, ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(ask, url) for _ in range(CLIENTS)]
        while not ended(done) and not any(each.done() for each in asked):
            time.sleep(0.5)
            samples.take(done)
        over.set()
        for each in asked:
            each.result()
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8 * 3600 * RATE)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end each part after N minutes")
    arguments = parser.parse_args()
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    face = np.asarray(cv2.resize(astronaut[0:200, 130:330], (120, 120)), np.uint8)
    picture = cv2.imencode(".jpg", np.pad(face, ((60, 60), (100, 100), (0, 0)), constant_values=70))[1].tobytes()
    analyzer = mien.load(threads=1)
    print(f"{analyzer.model_id}, detector {analyzer.detector.name}", flush=True)
    _report("frames", arguments.frames, arguments.minutes, partial(soak_stream, analyzer, face))
    _report("requests", arguments.requests, arguments.minutes, partial(soak_service, analyzer, picture))


def _report(kind: str, goal: int, minutes: float, soak: Callable[[Callable[[int], bool]], Samples]) -> None:
    began = time.monotonic()
    samples = soak(lambda done: done >= goal or time.monotonic() - began >= 60 * minutes)
    print(samples.summary(kind, goal, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
