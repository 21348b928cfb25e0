"""Who guesses keys waits, and is reported; nobody else notices."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mien.service import guard, wrong_keys
from mien.service.wrong_keys import LINE_S, MAX_DELAYED, WrongKeys

KEY = "right-key-1"
KNOWN = {"authorization": f"Bearer {KEY}"}


class Gate:
    """Replaces the sleep: who waits does so until it is opened."""

    def __init__(self) -> None:
        self.waiting, self.open = 0, asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waiting += 1
        try:
            await self.open.wait()
        finally:
            self.waiting -= 1


def test_a_bounded_number_waits() -> None:
    async def guess() -> None:
        gate = Gate()
        keys = WrongKeys(sleep=gate.sleep)
        waiting = [asyncio.ensure_future(keys.delay(("10.0.0.1", 1))) for _ in range(MAX_DELAYED)]
        await asyncio.sleep(0)
        assert gate.waiting == MAX_DELAYED
        assert [await keys.delay(("10.0.0.2", 1)) for _ in range(100)] == [False] * 100
        waiting[0].cancel()  # a client that leaves makes room
        with suppress(asyncio.CancelledError):
            await waiting[0]
        waiting[0] = asyncio.ensure_future(keys.delay(None))
        await asyncio.sleep(0)
        assert gate.waiting == MAX_DELAYED
        gate.open.set()
        assert await asyncio.gather(*waiting) == [True] * MAX_DELAYED
        assert await keys.delay(("10.0.0.1", 1))

    asyncio.run(guess())


def test_lines_are_few_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("mien.service"), "warning", lambda text, *values: lines.append(text % values))
    now = 0.0

    async def guess() -> None:
        nonlocal now
        gate = Gate()
        gate.open.set()
        keys = WrongKeys(clock=lambda: now, sleep=gate.sleep)
        for number in range(1, 1_001):
            await keys.delay((f"10.0.0.{number % 7}", 1))
        now = LINE_S - 0.01
        await keys.delay(("10.0.0.8", 1))
        now = LINE_S
        await keys.delay(("10.0.0.9", 1))
        now = 3 * LINE_S
        await keys.delay(None)

    asyncio.run(guess())
    assert lines == [
        "a wrong API key came from 10.0.0.1",
        "a wrong API key came from 10.0.0.9, and 1000 more before",
        "a wrong API key came from an unknown address",
    ]


def test_in_the_service(serving: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Right keys, and requests without one, do not wait behind wrong ones. No line holds a key."""
    waiting, is_open = threading.Semaphore(0), threading.Event()

    async def wait(seconds: float) -> None:
        waiting.release()
        while not is_open.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(guard, "WrongKeys", lambda: WrongKeys(sleep=wait))
    monkeypatch.setattr(wrong_keys, "MAX_DELAYED", 3)
    wrong = {"x-api-key": "wrong-key"}
    with serving(api_keys=(KEY,)) as url, ThreadPoolExecutor(3) as threads:
        guesses = [
            threads.submit(httpx.get, f"{url}/v1/model", headers=wrong, timeout=30, trust_env=False) for _ in range(3)
        ]
        for _ in guesses:
            assert waiting.acquire(timeout=10)
        with httpx.Client(base_url=url, trust_env=False) as client:
            excess = client.get("/v1/model", headers=wrong)
            assert (excess.status_code, excess.headers["connection"]) == (401, "close")
            assert client.get("/v1/model", headers=KNOWN).status_code == 200
            assert client.get("/v1/model").status_code == 401
            assert client.get("/healthz", headers=wrong).status_code == 200
        assert not any(guess.done() for guess in guesses)
        is_open.set()
        assert [guess.result(10).status_code for guess in guesses] == [401] * 3
        line = capfd.readouterr().err
        assert re.fullmatch(r"mien: a wrong API key came from 127\.0\.0\.1 \[request [0-9a-f]{32}]\n", line)


@pytest.mark.parametrize(
    ("options", "path", "headers", "status", "route"),
    [
        ({"api_keys": (KEY,)}, "/v1/stream", {}, 401, "/v1/stream"),
        ({"api_keys": (KEY,)}, "/v1/stream", {"x-api-key": "wrong-key"}, 401, "/v1/stream"),
        ({}, "/v1/stream", {"origin": "https://evil.example"}, 403, "/v1/stream"),
        ({}, "/v1/stream?smooth=2", {}, 400, "/v1/stream"),
        ({}, "/v1/nothing", {}, 404, "other"),
    ],
)
def test_refused_streams_are_counted(
    serving: Any, options: dict[str, Any], path: str, headers: dict[str, str], status: int, route: str
) -> None:
    with serving(**options) as url:
        for _ in range(2):
            with (
                pytest.raises(InvalidStatus) as refused,
                connect(url.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None),
            ):
                pass
            assert refused.value.response.status_code == status
        told = httpx.get(f"{url}/metrics", headers=KNOWN, trust_env=False).text
    assert f'mien_requests_total{{route="{route}",status="{status}"}} 2.0' in told
    assert f'mien_request_seconds_count{{route="{route}"}} 2.0' in told
