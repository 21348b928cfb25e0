"""A running service with its built page, and real Chromium whose camera shows the astronaut."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from mien import Analyzer, load
from mien.runtime.weights import find_yunet
from mien.service.app import create_app
from mien.service.page_files import BUILT
from mien.service.server import running
from mien.service.settings import Settings

from ..conftest import YUNET_FILE
from .engine_tab import Tab
from .npm_project import MODULES, NODE, NPM, ROOT, Project
from .visits import KEEP_CAMERAS, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = (
    *("--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)


@pytest.fixture(scope="session")
def astronaut_image() -> NDArray[np.uint8]:
    """(512, 512, 3) uint8, BGR."""
    return cv2.cvtColor(astronaut(), cv2.COLOR_RGB2BGR).astype(np.uint8)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def astronaut_file(tmp_path_factory: pytest.TempPathFactory, astronaut_image: NDArray[np.uint8]) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "astronaut.png"
    cv2.imwrite(str(path), astronaut_image)
    return path


@pytest.fixture(scope="session")
def camera_film(tmp_path_factory: pytest.TempPathFactory, astronaut_image: NDArray[np.uint8]) -> Path:
    """Ten frames of 640x480 in which the astronaut moves a little, as Chromium plays them over and over."""
    path = tmp_path_factory.mktemp("camera") / "astronaut.y4m"
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F20:1 Ip A1:1 C420jpeg\n")
        for shift in (0, 2, 4, 6, 8, 10, 8, 6, 4, 2):
            moved = np.array([[1.25, 0, shift], [0, 1.25, -20]], np.float32)
            frame = cv2.warpAffine(astronaut_image, moved, (640, 480), borderMode=cv2.BORDER_REPLICATE)
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


@pytest.fixture(scope="module")
def chromium(camera_film: Path) -> Iterator[Browser]:
    """Chromium without a window; its camera plays `camera_film`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("MIEN_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on the PATH, and MIEN_CHROMIUM does not name one")
    with playwright.sync_playwright() as driver:
        flags = [*_FLAGS, f"--use-file-for-fake-video-capture={camera_film}"]
        with driver.chromium.launch(executable_path=path, args=flags) as browser:
            yield browser


@pytest.fixture(scope="session")
def built_page() -> None:
    if not (BUILT / "index.html.gz").is_file():
        pytest.skip("the page is not built: run `make page`")


@pytest.fixture(scope="session")
def analyzer() -> Analyzer:
    """With the model that ships, and YuNet where it is found."""
    if YUNET_FILE.is_file():
        return load(detector="yunet", detector_model=YUNET_FILE)
    return load(detector="haar")


@pytest.fixture(scope="module")
def service(built_page: None, analyzer: Analyzer) -> Iterator[str]:
    """The address of a running service."""
    with running(create_app(analyzer, settings := Settings()), settings) as address:
        yield address


@pytest.fixture(scope="session")
def npm_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty project into which the npm package was installed from its tarball, without network."""
    if NODE is None or NPM is None or not (MODULES / "rolldown").is_dir():
        pytest.skip("Node.js and the packages of web/ are not installed: run `make page`")
    if find_yunet() is None:
        pytest.skip("YuNet is not in the package: run `make vendor`")
    out = tmp_path_factory.mktemp("tarball")
    subprocess.run([sys.executable, str(ROOT / "scripts" / "npm_package.py"), str(out)], check=True, timeout=240)
    [tarball] = out.iterdir()
    return Project(tmp_path_factory.mktemp("project"), tarball)


@pytest.fixture(scope="module")
def tab(chromium: Browser, service: str) -> Iterator[Tab]:
    """A tab in which `engine` is open, with the model that ships and YuNet where the service has it."""
    with chromium.new_context() as context:
        tab = Tab(context.new_page(), service)
        tab.run("async () => { globalThis.engine = await openEngine(config); }")
        yield tab


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Opens the page of a service. At the end the console has only expected messages, and all requests went to the
    service.
    """
    contexts = []

    def opened(
        address: str, *, expected: str = r"(?!)", prepare: Callable[[Page], None] | None = None, **kw: Any
    ) -> Page:
        context = chromium.new_context(**kw)
        context.set_default_timeout(60_000)
        messages: list[str] = []
        requests: list[str] = []
        contexts.append((context, address, re.compile(expected), messages, requests))
        page = context.new_page()
        page.add_init_script(KEEP_CAMERAS)
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.on("websocket", lambda channel: requests.append(channel.url))
        if prepare is not None:
            prepare(page)
        page.goto(address)
        page.get_by_role("heading", name="What does this face show?").wait_for()
        return page

    yield opened
    for context, address, expected, messages, requests in contexts:
        context.close()
        assert [text for text in messages if not expected.search(text)] == []
        foreign = {urlsplit(url).netloc for url in requests if urlsplit(url).scheme not in {"data", "blob"}}
        assert foreign == {urlsplit(address).netloc}
