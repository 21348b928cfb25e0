"""The static site of `mien page` on a plain file server, in a folder below others, with no other network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien import load
from mien.service.site import write_site

from ..conftest import YUNET_FILE, needs_yunet
from .file_server import file_server
from .visits import Visit, choose, read, start_camera

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = needs_yunet


@pytest.fixture(scope="module")
def served(built_page: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a site at /some/folder of `python -m http.server`."""
    root = tmp_path_factory.mktemp("host")
    write_site(load(detector="yunet", detector_model=YUNET_FILE), root / "some" / "folder")
    with file_server(root) as address:
        yield f"{address}some/folder/"


class Requests:
    """What a tab requests, and what failed of it; any request to another host fails."""

    def __init__(self, site: str) -> None:
        self.site, self.urls, self.failed = site, [], []

    def watch(self, page: Page) -> None:
        page.route(lambda url: not url.startswith((self.site, "blob:", "data:")), lambda route: route.abort())
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.on("response", self._note)

    def _note(self, response: Response) -> None:
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")


def test_a_photo_and_the_camera_are_read(visit: Visit, served: str, astronaut_file: Path) -> None:
    requests = Requests(served)
    page = visit(served, prepare=requests.watch)
    page.get_by_text("Pictures never leave this browser.").wait_for()
    assert page.get_by_role("radio").count() == 0
    assert page.get_by_text("On this server").count() == 0
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("button", name="Close").click()
    start_camera(page)
    assert read(page) == "happiness"
    page.get_by_text(re.compile("in this browser")).wait_for()
    page.get_by_role("button", name="Stop camera").click()
    page.get_by_role("button", name="Try a sample photo").click()
    assert read(page) == "happiness"
    assert requests.failed == []
    fetched = {url.removeprefix(served) for url in requests.urls if not url.startswith(("blob:", "data:"))}
    assert all(url == "" or not url.startswith("http") for url in fetched)
    assert {name.rpartition(".")[2] for name in fetched if name} >= {"json", "js", "css", "wasm", "onnx", "jpg"}
    assert page.request.get(served + page.get_by_role("link", name="Licenses").get_attribute("href")).ok


@pytest.mark.slow
def test_every_address_in_the_site_exists(visit: Visit, served: str) -> None:
    """Also those that a browser without a window does not fetch: the icons and the manifest."""
    page = visit(served)
    for link in page.locator("head link").all():
        assert page.request.get(link.evaluate("one => one.href")).ok
    manifest = page.locator("link[rel=manifest]").evaluate("one => one.href")
    about = page.request.get(manifest).json()
    for address in (about["start_url"], *(icon["src"] for icon in about["icons"])):
        assert page.request.get(page.evaluate("([one, base]) => new URL(one, base).href", [address, manifest])).ok


@pytest.mark.slow
def test_without_a_network_it_says_so_and_tries_again(visit: Visit, served: str, astronaut_file: Path) -> None:
    page = visit(served, expected="ERR_INTERNET_DISCONNECTED|Failed to load")
    page.context.set_offline(True)
    choose(page, astronaut_file)
    page.get_by_text(re.compile("server does not respond")).first.wait_for()
    page.get_by_role("button", name="Use the camera").or_(page.get_by_role("button", name="Camera")).first.click()
    page.get_by_role("alert").get_by_text(re.compile("server does not respond")).wait_for()
    page.context.set_offline(False)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
