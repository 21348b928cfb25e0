from __future__ import annotations

import gzip
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest

import mien
from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.runtime.detectors import BUILT_IN, YuNetDetector
from mien.runtime.search_table import TABLE
from mien.service import page_config, page_files
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

INDEX, SCRIPT = b"<!DOCTYPE html><title>built</title>", b"export const answer = 42;\n"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of two files, as the build leaves them."""
    (tmp_path / "page" / "assets").mkdir(parents=True)
    for name, content in {
        "index.html": INDEX,
        "assets/engine.js": SCRIPT,
        "assets/index-CiRLcOiC.js": SCRIPT,
        "assets/swagger-ui-bundle.js": b"",
    }.items():
        (tmp_path / "page" / f"{name}.gz").write_bytes(gzip.compress(content))
    (tmp_path / "secret.gz").write_bytes(gzip.compress(b"secret"))
    monkeypatch.setattr(page_files, "BUILT", tmp_path / "page")
    return tmp_path / "page"


@pytest.fixture
def client(analyzer: Analyzer) -> Iterator[httpx.Client]:
    with running(create_app(analyzer), Settings()) as url, httpx.Client(base_url=url) as client:
        yield client


def test_files_are_sent_gzipped_or_not_as_the_client_takes_them(built: Path, client: httpx.Client) -> None:
    for path, content, kind in (("/", INDEX, "text/html"), ("/assets/engine.js", SCRIPT, "text/javascript")):
        zipped = client.get(path, headers={"accept-encoding": "br, gzip"})
        assert zipped.headers["content-encoding"] == "gzip"
        assert zipped.content == content
        plain = client.get(path, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == content
        assert plain.headers["content-type"].startswith(kind)
        assert plain.headers["vary"] == "Accept-Encoding"
        assert client.head(path).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["nothing.js", "..%2f..%2fsecret", "%2e%2e%2fsecret", "..%5csecret", "%00", "a" * 300, "engine.js.gz", "%2fetc"],
)
def test_other_files_are_not_there(built: Path, client: httpx.Client, name: str) -> None:
    for folder in ("assets", "engine"):
        answer = client.get(f"/{folder}/{name}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_client_that_fetches_nothing_costs_little(built: Path, analyzer: Analyzer) -> None:
    large = bytes(20_000_000)
    (built / "assets" / "large.wasm.gz").write_bytes(gzip.compress(large))
    with running(create_app(analyzer), Settings()) as url, ExitStack() as stack:
        port = int(url.rsplit(":", 1)[1])
        tracemalloc.start()
        for _ in range(20):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /assets/large.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1)
        time.sleep(0.5)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert held < 2 * len(large)
        assert httpx.get(f"{url}/assets/large.wasm", headers={"accept-encoding": "identity"}).content == large


def test_without_a_built_page_the_page_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyzer: Analyzer
) -> None:
    monkeypatch.setattr(page_files, "BUILT", tmp_path / "nowhere")
    with running(create_app(analyzer), Settings()) as url:
        for path in ("/", "/docs"):
            assert "make page" in httpx.get(url + path).text
        assert httpx.get(f"{url}/v1/model").status_code == 200


def test_the_reader_of_the_interface_comes_from_here(built: Path, client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "://" not in page
    assert "openapi.json" in client.get("/docs.js").text
    assert client.get("/openapi.json").json()["info"]["version"] == mien.__version__


def test_the_page_is_told_what_the_service_does(client: httpx.Client) -> None:
    about = client.get("/page.json").json()
    assert about["classes"] == list(EMOTIONS)
    assert about["colors"]["anger"] == "#d55e00"
    assert set(about["crop_rules"]) == set(BUILT_IN)
    assert about["service"]["key_required"] is False
    assert about["service"]["max_body"] == Settings().max_body
    assert about["service"]["detector"] == "none"


def test_page_json_is_what_the_typescript_expects(client: httpx.Client) -> None:
    source = Path(__file__).parents[2] / "web" / "src" / "config.ts"
    if not source.is_file():
        pytest.skip("the page's sources are not here")
    body = source.read_text(encoding="utf-8").split("interface PageConfig {")[1].split("\n}")[0]
    fields = {
        line.split(":")[0].strip() for line in body.splitlines() if ":" in line and line.strip()[0] not in {"/", "*"}
    }
    assert set(client.get("/page.json").json()) == fields


def test_the_page_is_told_how_the_service_detects_faces(analyzer: Analyzer) -> None:
    changed = analyzer.with_options(
        min_face=30, min_face_score=0.5, max_faces=2, order="size", detect_mode="thorough", detect_side=640
    )
    with running(create_app(changed), Settings()) as url:
        about = httpx.get(f"{url}/page.json").json()
    for name in ("min_face", "min_face_score", "max_faces", "order", "detect_mode", "detect_side"):
        assert about[name] == getattr(changed.options, name)
    assert about["search"] == asdict(TABLE)
    assert about["stream_side"] == YuNetDetector.STREAM_SIDE


def test_the_models_file_is_served_as_it_is(client: httpx.Client, analyzer: Analyzer) -> None:
    assert client.get("/engine/model.onnx").content == analyzer.model_path.read_bytes()


@pytest.mark.parametrize("has_it", [True, False])
def test_yunet_is_served_where_it_is_found(
    analyzer: Analyzer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"a network")
    monkeypatch.setattr(page_config, "find_yunet", lambda: path if has_it else None)
    with running(create_app(analyzer), Settings()) as url:
        assert httpx.get(f"{url}/engine/yunet.onnx").status_code == (200 if has_it else 404)
        expected = "engine/yunet.onnx" if has_it else None
        assert httpx.get(f"{url}/page.json").json()["engine"]["detector"] == expected
