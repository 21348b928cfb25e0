"""HEAD wherever there is GET: the same head, no body."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from mien.analyzer import Analyzer
from mien.service.page_files import is_built
from mien.service.pages import page_router
from mien.service.settings import Settings

VARYING = {"date", "x-request-id"}
NONE_SUCH = ("/nowhere", "/assets/none.js", "/v1/videos/none", "/v1/videos/none/report")


def heads(url: str, path: str, **headers: str) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, fields and body of GET and HEAD, on one connection, which a body too many would spoil."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    responses = []
    for method in ("HEAD", "GET", "HEAD"):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders() if name.lower() not in VARYING}
        responses.append((response.status, fields, response.read()))
    connection.close()
    return responses


def get_paths(app: FastAPI, analyzer: Analyzer) -> set[str]:
    """All that can be got: of the document, and the page's own."""
    documented = {path for path, methods in app.openapi()["paths"].items() if "get" in methods and "{" not in path}
    pages = {route.path for route in page_router(analyzer, Settings()).routes}
    return {*documented, "/openapi.json", "/engine/model.onnx", *(path for path in pages if "{" not in path)}


def test_every_get_has_its_head(app: FastAPI, analyzer: Analyzer, base_url: str) -> None:
    paths = get_paths(app, analyzer)
    assert {"/", "/metrics", "/v1/model", "/healthz", "/readyz", "/docs", "/page.json"} <= paths
    for path in (*sorted(paths), *NONE_SUCH):
        before, got, after = heads(base_url, path)
        assert before[0] == got[0] == (404 if path in NONE_SUCH else {"/v1/stream": 426}.get(path, 200)), path
        assert (before[2], after[2]) == (b"", b"")
        if path != "/metrics":  # whose figures change meanwhile
            assert before == after
            assert before[1] == got[1]
        assert got[2]


@pytest.mark.skipif(not is_built(), reason="the page is not built")
def test_a_large_file_and_one_that_is_known_have_their_heads(base_url: str) -> None:
    before, got, _ = heads(base_url, "/engine/model.onnx", **{"Accept-Encoding": "gzip"})
    assert before[1]["content-length"] == str(len(got[2]))
    assert heads(base_url, "/", **{"If-None-Match": got[1]["etag"]})[0][0] == 200
    tag = httpx.get(f"{base_url}/", trust_env=False).headers["etag"]
    assert {status for status, *_ in heads(base_url, "/", **{"If-None-Match": tag})} == {304}


def test_other_methods_are_told_of_both(base_url: str) -> None:
    refused = httpx.put(f"{base_url}/v1/model", trust_env=False)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    for method in ("HEAD", "GET"):
        refused = httpx.request(method, f"{base_url}/v1/predict", trust_env=False)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


def test_a_key_is_asked_of_heads_too(serving: Any) -> None:
    with serving(api_keys=("a-key-of-length",)) as url:
        assert [status for status, *_ in heads(url, "/v1/model")] == [401] * 3
        assert [status for status, *_ in heads(url, "/v1/model", **{"X-API-Key": "a-key-of-length"})] == [200] * 3
