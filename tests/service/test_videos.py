"""`/v1/videos`: a job from its upload to its report, its bounds, its end, and what is left of it."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.errors import MissingExtraError
from mien.reports.aggregate import Gatherer
from mien.reports.summary import to_report
from mien.reports.tables import table_rows
from mien.service import video_jobs, videos
from mien.service.app import create_app
from mien.service.metrics import Metrics
from mien.service.server import running
from mien.service.settings import Settings
from mien.service.temporary import TemporaryVideo
from mien.service.video_jobs import VideoJobs
from mien.stream import StreamResults

pytest.importorskip("av")

from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

RATE, FRAMES = 20, 40
VIDEO = {"Content-Type": "video/mp4"}
MOST = 1_000_000


def level(emotion: str) -> int:
    return round(255 * EMOTIONS.index(emotion) / 6)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fear for a second, then surprise for another one."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with VideoWriter(path, rate=RATE) as writer:
        for index in range(FRAMES):
            grey = level("fear" if index < FRAMES / 2 else "surprise")
            writer.write(np.full((48, 64, 3), grey, np.uint8), index / RATE)
    return path


@pytest.fixture
def content(film: Path) -> bytes:
    return film.read_bytes()


@pytest.fixture
def opened(serving: Any) -> Iterator[Callable[..., httpx.Client]]:
    """A client of a service that takes videos, with some settings changed."""
    with ExitStack() as stack:

        def open_service(*analyzer: Analyzer, **settings: Any) -> httpx.Client:
            url = stack.enter_context(serving(*analyzer, **{"max_video": MOST, **settings}))
            return stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=20))

        yield open_service


@pytest.fixture(scope="module")
def shared(analyzer: Analyzer, settings: Settings) -> Iterator[httpx.Client]:
    """A client of one service for the tests that change nothing of it."""
    changed = replace(settings, max_video=MOST)
    with (
        running(create_app(analyzer, changed), changed) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
    ):
        yield client


@pytest.fixture
def ended(wait_until: Any) -> Callable[[httpx.Client, str], dict[str, Any]]:
    """Waits for a video's end, and gives its record."""

    def wait(client: httpx.Client, address: str) -> dict[str, Any]:
        record: dict[str, Any] = {}
        wait_until(lambda: record.update(client.get(address).json()) or record["state"] in ("done", "failed"))
        return record

    return wait


def post(client: httpx.Client, content: bytes, query: str = "", **headers: str) -> httpx.Response:
    return client.post(f"/v1/videos{query}", content=content, headers={**VIDEO, **headers})


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    detail = str(response.json()["detail"])
    assert "/proc/" not in detail
    assert tempfile.gettempdir() not in detail
    return detail


@pytest.fixture
def open_videos(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many temporary files there are that are not removed."""
    made: list[TemporaryVideo] = []

    class Noted(TemporaryVideo):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(video_jobs, "TemporaryVideo", Noted)
    return lambda: sum(not one.file.closed for one in made)


@pytest.fixture(autouse=True)
def leaves_nothing(open_videos: Callable[[], int], wait_until: Any) -> Iterator[None]:
    """After each test there is no file left."""
    yield
    wait_until(lambda: open_videos() == 0)


def test_a_video_gives_the_report_that_its_records_give(
    opened: Any, ended: Any, film: Path, content: bytes, analyzer: Analyzer
) -> None:
    client = opened()
    taken = post(client, content)
    assert taken.status_code == 202
    address = taken.headers["location"]
    first = taken.json()
    assert address == f"/v1/videos/{first['id']}"
    assert len(first["id"]) >= 32
    assert first["state"] in ("waiting", "running")
    assert ended(client, address) == {
        "id": first["id"], "state": "done", "progress": 1.0, "frames": FRAMES, "error": None
    }  # fmt: skip

    gatherer = Gatherer()
    with VideoFile(film) as video:
        for result in analyzer.stream(video):
            gatherer.add(result.to_dict())
    timeline = gatherer.timeline()
    report = client.get(f"{address}/report")
    assert report.headers["content-type"] == "application/json"
    assert report.json() == json.loads(json.dumps(to_report(timeline)))
    [person] = report.json()["persons"]
    assert [stretch["emotion"] for stretch in person["stretches"]] == ["fear", "surprise"]
    assert person["emotions"]["fear"]["seconds"] == pytest.approx(1.0, abs=0.3)

    for by_csv in (
        client.get(f"{address}/report?format=csv"),
        client.get(f"{address}/report", headers={"Accept": "text/csv"}),
    ):
        assert by_csv.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(by_csv.text)))
        assert rows == [{k: "" if v is None else str(v) for k, v in row.items()} for row in table_rows(timeline)]
    as_json = client.get(f"{address}/report?format=json", headers={"Accept": "text/csv"})
    assert as_json.headers["content-type"] == "application/json"

    assert client.delete(address).status_code == 204
    for gone in (client.get(address), client.delete(address), client.get(f"{address}/report")):
        assert "no such video" in problem(gone, 404)


def test_its_persons_are_those_of_the_whole_video(
    shared: httpx.Client, ended: Any, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamResults, "persons", lambda self: {track: track + 2 for track in (1,)})
    address = post(shared, content).headers["location"]
    assert ended(shared, address)["state"] == "done"
    [person] = shared.get(f"{address}/report").json()["persons"]
    assert person["tracks"] == [3]


def test_one_frame_in_so_many_seconds(shared: httpx.Client, ended: Any, content: bytes) -> None:
    assert ended(shared, post(shared, content, "?every=0.5").headers["location"])["frames"] == 4
    for every in ("0", "-1", "nan", "inf", "1e9", "x"):
        assert "every" in problem(post(shared, content, f"?every={every}"), 400)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: b"no video at all" * 99, "the video: not a video, or a damaged one"),
        (lambda content: content[:40], "the video: "),
        (lambda content: content[:10], "the video: "),
        (lambda content: b"ffconcat version 1.0\nfile 3\n", "not a video"),
        (lambda content: b"\x89PNG\r\n\x1a\n" + bytes(99), "the video: "),
        (
            lambda content: b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88X\1\0\2\0\x10\0data\0\0\0\0",
            "the video: ",
        ),
    ],
)
def test_a_video_that_cannot_be_read_has_failed_with_a_line(
    shared: httpx.Client, ended: Any, content: bytes, spoil: Callable[[bytes], bytes], words: str
) -> None:
    address = post(shared, spoil(content), "", **{"Content-Type": "application/octet-stream"}).headers["location"]
    record = ended(shared, address)
    assert (record["state"], record["progress"] is None or record["progress"] < 1) == ("failed", True)
    assert words in record["error"]
    assert record["error"].isprintable()
    assert "/proc/" not in record["error"]
    assert "the video has no report: " in problem(shared.get(f"{address}/report"), 409)


def test_a_video_that_is_damaged_within_is_done_and_says_so(shared: httpx.Client, ended: Any, tmp_path: Path) -> None:
    path = tmp_path / "film.ts"
    with VideoWriter(tmp_path / "film.mkv", rate=RATE) as writer:
        random = np.random.default_rng(0)
        for index in range(FRAMES):
            writer.write(random.integers(0, 256, (48, 64, 3), np.uint8), index / RATE)
    content = bytearray((tmp_path / "film.mkv").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 6000] = bytes(6000)
    path.write_bytes(content)
    address = post(shared, bytes(content)).headers["location"]
    assert ended(shared, address)["state"] == "done"
    problems = shared.get(f"{address}/report").json()["problems"]
    assert problems
    assert all(line.startswith("the video: ") for line in problems)


def test_a_video_of_too_many_pixels_has_failed(opened: Any, ended: Any, content: bytes) -> None:
    client = opened(max_pixels=64 * 48 - 1)
    record = ended(client, post(client, content).headers["location"])
    assert record["error"] == "the video: has 64x48 pixels, which is more than the limit of 3,071"


def test_one_that_takes_too_long_has_failed(
    opened: Any, ended: Any, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(step=200)  # each look at it is 200 s later
    monkeypatch.setattr(video_jobs, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    client = opened(video_seconds=600)
    record = ended(client, post(client, content).headers["location"])
    assert record["error"] == "the video took longer than 600 s to process"


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Content-Type": "image/png"}, 415, "got image/png"),
        ({"Content-Type": ""}, 415, "got no content type"),
        ({"Content-Type": "x" * 30_000}, 415, "got " + "x" * 100),
        ({"Content-Type": "multipart/form-data; boundary=b"}, 415, "as the body"),
        ({"Content-Encoding": "gzip"}, 415, "without Content-Encoding"),
        ({"Origin": "https://evil.example"}, 403, "may not use this service"),
    ],
)
def test_what_is_no_video_is_refused_before_it_is_read(
    shared: httpx.Client, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    assert words in problem(post(shared, content, "", **headers), status)


def test_too_many_bytes_are_refused_announced_or_not(opened: Any, content: bytes) -> None:
    client = opened(max_video=2000)
    assert "at most 2,000 are accepted" in problem(post(client, bytes(2001)), 413)
    sent = client.post("/v1/videos", content=iter([bytes(1500)] * 2), headers=VIDEO)
    assert "more than the 2,000 bytes" in problem(sent, 413)
    assert "the body is empty" in problem(post(client, b""), 400)


def test_by_default_there_are_no_videos(opened: Any, content: bytes) -> None:
    assert "mien serve --max-video" in problem(post(opened(max_video=0), content), 404)


def test_without_pyav_it_says_what_is_missing(
    shared: httpx.Client, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("video", "video")

    monkeypatch.setattr(videos, "import_av", missing)
    assert "pip install 'mien[video]'" in problem(post(shared, content), 501)


def test_a_key_is_needed_for_all_of_it(opened: Any, content: bytes) -> None:
    client = opened(api_keys=("a-key-of-length",))
    problem(post(client, content), 401)
    for method, path in (("GET", "/v1/videos/x"), ("DELETE", "/v1/videos/x"), ("GET", "/v1/videos/x/report")):
        problem(client.request(method, path), 401)
        problem(client.request(method, path, headers={"X-API-Key": "a-key-of-length"}), 404)


def test_one_waits_for_the_other_and_a_third_is_refused(
    opened: Any, ended: Any, gated: Analyzer, gate: Any, content: bytes, wait_until: Any
) -> None:
    client = opened(gated, max_videos=2)
    first, second = (post(client, content).headers["location"] for _ in range(2))
    assert gate.entered.wait(10)
    assert (client.get(first).json()["state"], client.get(second).json()["state"]) == ("running", "waiting")
    assert "the video has no report: running" in problem(client.get(f"{first}/report"), 409)
    refused = post(client, content)
    assert "2 videos are at work" in problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    metrics = client.get("/metrics").text
    assert "\nmien_videos 2.0\n" in metrics
    assert 'mien_rejected_total{reason="videos"} 1.0' in metrics
    assert client.delete(second).status_code == 204
    third = post(client, content)
    assert third.status_code == 202
    gate.open.set()
    for address in (first, third.headers["location"]):
        assert ended(client, address)["state"] == "done"
    wait_until(lambda: 'mien_videos_ended_total{state="done"} 2.0' in client.get("/metrics").text)


def test_one_that_is_deleted_makes_way_at_once(
    opened: Any, ended: Any, gated: Analyzer, gate: Any, content: bytes, wait_until: Any
) -> None:
    client = opened(gated, max_videos=1)
    first = post(client, content).headers["location"]
    assert gate.entered.wait(10)
    assert client.delete(first).status_code == 204
    second = post(client, content).headers["location"]
    gate.open.set()
    assert ended(client, second)["frames"] == FRAMES


@pytest.mark.parametrize("steps", range(4))
def test_one_that_is_dropped_as_it_begins_leaves_no_file(analyzer: Analyzer, steps: int) -> None:
    async def receive(content: TemporaryVideo) -> None:
        content.file.write(b"no video")

    async def take_and_drop() -> None:
        jobs = VideoJobs(analyzer, Settings(max_video=MOST), Metrics(lambda: 0))
        job = await jobs.take(receive, None)
        for _ in range(steps):
            await asyncio.sleep(0)
        jobs.drop(job)
        await jobs.close()

    asyncio.run(take_and_drop())


def test_the_end_of_the_service_does_not_wait_for_videos(
    serving: Any, gated: Analyzer, gate: Any, content: bytes, capfd: pytest.CaptureFixture[str], wait_until: Any
) -> None:
    before = set(threading.enumerate())
    with serving(gated, max_video=MOST) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for _ in range(2):
            assert post(client, content).status_code == 202
        assert gate.entered.wait(10)
        gate.open.set()
    wait_until(lambda: set(threading.enumerate()) <= before)
    assert capfd.readouterr().err == ""


def test_a_report_is_forgotten_after_its_time_and_the_oldest_where_there_are_many(
    opened: Any, ended: Any, content: bytes, monkeypatch: pytest.MonkeyPatch, wait_until: Any
) -> None:
    monkeypatch.setattr(video_jobs, "MAX_KEPT", 2)
    client = opened()
    addresses = []
    for _ in range(3):
        addresses.append(post(client, content).headers["location"])
        assert ended(client, addresses[-1])["state"] == "done"
    assert [client.get(address).status_code for address in addresses] == [404, 200, 200]
    brief = opened(keep_seconds=0.2)
    address = post(brief, content).headers["location"]
    wait_until(lambda: brief.get(address).status_code == 404)


def test_a_report_that_is_too_large_has_failed(
    opened: Any, ended: Any, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_jobs, "MAX_REPORTS", 100)
    client = opened()
    assert "more than can be kept" in ended(client, post(client, content).headers["location"])["error"]


def test_an_error_of_its_own_is_logged_with_its_request_and_tells_nothing(
    opened: Any, ended: Any, content: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(video_jobs, "to_report", broken)
    client = opened()
    record = ended(client, post(client, content, "", **{"X-Request-Id": "the-broken-one"}).headers["location"])
    assert record["error"] == "something went wrong here; the service's log has more"
    [line] = capfd.readouterr().err.splitlines()
    assert "RuntimeError: /secret/path" in line
    assert line.endswith("[request the-broken-one]")


def send_slowly(url: str, count: int) -> bytes:
    """What comes back when a body of so many bytes stops after its first ones."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
        client.sendall(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n")
        client.sendall(b"Content-Length: 100000\r\n\r\n" + bytes(count))
        return client.recv(65_536)


@pytest.mark.parametrize(("count", "limit"), [(0, "body_seconds"), (5000, "body_seconds"), (5000, "video_seconds")])
def test_a_body_that_stops_or_takes_too_long_is_given_up(
    opened: Any, count: int, limit: str, await_figure: Any
) -> None:
    client = opened(**{limit: 0.3})
    assert b" 408 " in send_slowly(str(client.base_url), count).splitlines()[0]
    await_figure(str(client.base_url).rstrip("/"), "mien_videos", 0)


def test_a_client_that_leaves_leaves_nothing(opened: Any, await_figure: Any) -> None:
    client = opened()
    url = str(client.base_url).rstrip("/")
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as leaving:
        leaving.sendall(b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n")
        leaving.sendall(b"Content-Length: 100000\r\n\r\n" + bytes(1000))
        await_figure(url, "mien_videos", 1)
    await_figure(url, "mien_videos", 0)


def test_a_disk_that_is_full_is_a_problem(
    shared: httpx.Client, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video_jobs, "TemporaryVideo", full)
    assert "the video cannot be stored: No space left on device" in problem(post(shared, content), 503)


def test_a_service_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    code = (
        "from mien.service.temporary import TemporaryVideo\n"
        "video = TemporaryVideo(); video.file.write(b'x' * 9); video.file.flush()\n"
        "print(len(video.path.read_bytes()), flush=True); input()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TEMP": str(tmp_path), "TMP": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "9\n"
        process.kill()
    if sys.platform == "linux":
        assert list(tmp_path.iterdir()) == []


def test_elsewhere_its_file_has_a_name_and_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    video = TemporaryVideo()
    video.file.write(b"x")
    video.file.flush()
    assert video.path.read_bytes() == b"x"
    assert [path.name.startswith("mien-") for path in tmp_path.iterdir()] == [True]
    video.close()
    video.close()
    assert list(tmp_path.iterdir()) == []
