"""A service of the brightness model on a free port: every picture is a face, and its grey names the class."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray

import mien
from mien.analyzer import Analyzer, load
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.service import wrong_keys
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings
from mien.types import Detection

Serving = Callable[..., AbstractContextManager[str]]
Frames = Callable[..., bytes]
Figure = Callable[[str, str], float]
Wait = Callable[[Callable[[], bool]], None]
Certificate = Callable[[str], tuple[Path, Path]]
WaitForFigure = Callable[[str, str, float], None]


class Gate(mien.Detector):
    """A detector that takes each picture for a face, once it is let."""

    name = "none"

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self._detector = load_detector("none")

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        self.entered.set()
        assert self.open.wait(30)
        return self._detector.detect(image)


@pytest.fixture(autouse=True)
def wrong_keys_have_their_response_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_keys, "DELAY_S", 0.01)


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until a test moves it."""

    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[ClockLoop]:
    loop = ClockLoop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(port=0, workers=2)


@pytest.fixture(scope="session")
def analyzer(brightness_model: Path) -> Analyzer:
    return load(brightness_model, detector="none", threads=1)


@pytest.fixture
def app(analyzer: Analyzer, settings: Settings) -> FastAPI:
    return create_app(analyzer, settings)


@pytest.fixture
def base_url(app: FastAPI, settings: Settings) -> Iterator[str]:
    with running(app, settings) as url:
        yield url


@pytest.fixture
def serving(analyzer: Analyzer, settings: Settings) -> Serving:
    """Runs a service with some settings changed, and another analyzer if need be."""

    def serve(other: Analyzer = analyzer, **changes: Any) -> AbstractContextManager[str]:
        changed = replace(settings, **changes)
        return running(create_app(other, changed), changed)

    return serve


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def gated(brightness_model: Path, gate: Gate) -> Analyzer:
    """An analyzer that waits at the gate with each picture."""
    return Analyzer(Classifier(brightness_model, threads=1), gate)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """Makes a certificate for 127.0.0.1, signed by itself, and its key, in files of this name."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not here")

    def make(name: str) -> tuple[Path, Path]:
        files = tmp_path / f"{name}.pem", tmp_path / f"{name}.key.pem"
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(files[1])]
        command = [openssl, "req", "-x509", "-days", "2", *key, "-out", str(files[0]), *subject]
        subprocess.run(command, check=True, capture_output=True)
        return files

    return make


@pytest.fixture(scope="session")
def frame() -> Frames:
    """The file of a picture of one grey, 0..255."""

    def make(grey: int, width: int = 64, height: int = 48, kind: str = ".png") -> bytes:
        return cv2.imencode(kind, np.full((height, width, 3), grey, np.uint8))[1].tobytes()

    return make


@pytest.fixture(scope="session")
def figure() -> Figure:
    """Reads a figure of a service's metrics, such as "mien_streams"."""

    def read(url: str, name: str) -> float:
        lines = httpx.get(f"{url}/metrics", trust_env=False).text.splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    return read


@pytest.fixture(scope="session")
def wait_until() -> Wait:
    """Waits until something is so, and fails where it does not come to be."""

    def wait(is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def await_figure(figure: Figure, wait_until: Wait) -> WaitForFigure:
    """Waits until a figure of a service's metrics is this one."""
    return lambda url, name, value: wait_until(lambda: figure(url, name) == value)
