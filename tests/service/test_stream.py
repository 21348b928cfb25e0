from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mien.analyzer import Analyzer, load
from mien.emotions import EMOTIONS


@contextmanager
def stream(url: str, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    address = url.replace("http", "ws", 1) + "/v1/stream" + query
    with connect(address, proxy=None, max_size=None, close_timeout=5, **options) as client:
        yield client


def ask(client: ClientConnection, frame: bytes) -> dict[str, Any]:
    client.send(frame)
    response = client.recv(timeout=10)
    assert isinstance(response, str)
    record: dict[str, Any] = json.loads(response)
    return record


def closed_with(client: ClientConnection, message: str | bytes | list[bytes] | None = None) -> tuple[int, str]:
    """The code and the reason with which the service closes the stream, after this message if any."""
    try:
        if message is not None:
            client.send(message)
        pytest.fail(f"the stream goes on: {client.recv(timeout=10)!r}")
    except ConnectionClosed as closed:
        close = closed.rcvd
    assert close is not None
    return close.code, close.reason


def test_each_frame_has_its_response_in_order(base_url: str, frame: Callable[..., bytes]) -> None:
    greys = [0, 255, 128, 42, 0, 212]
    with stream(base_url, "?smooth=0") as client:
        for index, grey in enumerate(greys):
            client.send(frame(grey, kind=(".png", ".jpg", ".webp")[index % 3]))
        records = [json.loads(client.recv(timeout=10)) for _ in greys]
    assert [record["frame"] for record in records] == list(range(6))
    assert [record["faces"][0]["emotion"] for record in records] == [EMOTIONS[round(grey * 6 / 255)] for grey in greys]
    assert records[0]["time_s"] == 0
    times = [record["time_s"] for record in records]
    assert times == sorted(times)
    assert {(record["width"], record["height"], record["error"]) for record in records} == {(64, 48, None)}


def test_a_face_keeps_its_track_and_is_steadied(base_url: str, frame: Callable[..., bytes]) -> None:
    with stream(base_url) as client:
        records = [ask(client, frame(grey)) for grey in (0, 0, 0, 85)]
    assert [record["faces"][0]["track"] for record in records] == [1, 1, 1, 1]
    assert records[-1]["faces"][0]["probabilities"][EMOTIONS[0]] > 0.01
    with stream(base_url, "?smooth=0") as client:
        records = [ask(client, frame(grey)) for grey in (0, 0, 0, 85)]
    assert records[-1]["faces"][0]["probabilities"][EMOTIONS[0]] < 1e-6


def test_streams_know_nothing_of_each_other(
    base_url: str, frame: Callable[..., bytes], await_figure: Any, figure: Any
) -> None:
    with stream(base_url) as dark, stream(base_url) as bright:
        for index in range(5):
            for client, grey, emotion in ((dark, 0, EMOTIONS[0]), (bright, 255, EMOTIONS[-1])):
                record = ask(client, frame(grey))
                assert (record["frame"], record["faces"][0]["track"]) == (index, 1)
                assert record["faces"][0]["emotion"] == emotion
                assert record["faces"][0]["confidence"] > 0.99
        assert figure(base_url, "mien_streams") == 2
    await_figure(base_url, "mien_streams", 0)
    assert figure(base_url, "mien_frames_total") == figure(base_url, "mien_faces_total") == 10


def test_a_frame_that_cannot_be_read_has_an_error_and_the_stream_goes_on(
    base_url: str, frame: Callable[..., bytes]
) -> None:
    whole = frame(0, 640, 480, ".jpg")
    with stream(base_url) as client:
        assert ask(client, frame(0))["faces"][0]["track"] == 1
        for index, content in enumerate((b"", b"no picture", os.urandom(500), whole[: len(whole) // 2], b"BM" * 40), 1):
            record = ask(client, content)
            assert record["error"].startswith("the frame: ")
            assert (record["frame"], record["faces"], record["width"], record["height"]) == (index, [], None, None)
        record = ask(client, frame(0))
        assert (record["frame"], record["error"], record["faces"][0]["track"]) == (6, None, 1)


def test_a_frame_with_too_many_pixels_is_not_decoded(serving: Any, frame: Callable[..., bytes]) -> None:
    with serving(max_pixels=1000) as url, stream(url) as client:
        assert "the limit is 1,000" in ask(client, frame(0, 64, 48))["error"]
        assert ask(client, frame(0, 30, 30))["error"] is None


@pytest.mark.parametrize("detector", ["none", "haar"])
def test_the_frame_may_change_its_size(
    serving: Any, brightness_model: Any, frame: Callable[..., bytes], detector: str
) -> None:
    with serving(load(brightness_model, detector=detector, threads=1)) as url, stream(url) as client:
        sizes = [(64, 48), (48, 64), (1, 1), (1280, 720), (720, 1280), (3, 900), (64, 48)]
        records = [ask(client, frame(0, *size)) for size in sizes]
    assert [(record["width"], record["height"]) for record in records] == sizes
    assert {record["error"] for record in records} == {None}


def test_a_phone_that_is_turned_goes_on(serving: Any, brightness_model: Any) -> None:
    skimage = pytest.importorskip("skimage")
    import cv2

    upright = cv2.cvtColor(skimage.data.astronaut()[:400, 60:360], cv2.COLOR_RGB2BGR)
    across = cv2.copyMakeBorder(upright[:300], 0, 0, 50, 50, cv2.BORDER_REPLICATE)
    with serving(load(brightness_model, detector="haar", threads=1)) as url, stream(url) as client:
        for image in (upright, across, upright):
            faces: list[dict[str, Any]] = []
            while not faces:  # the detector has a rest after each frame that it saw
                record = ask(client, cv2.imencode(".jpg", image)[1].tobytes())
                assert (record["width"], record["height"]) == image.shape[1::-1]
                assert record["frame"] < 1000
                faces = record["faces"]
            left = 118 if image is upright else 168
            assert [face["track"] for face in faces] == [1]
            assert abs(faces[0]["box"]["x"] - left) < 20, faces


def test_the_protocol_is_selected_where_it_is_offered(base_url: str) -> None:
    with stream(base_url, subprotocols=["mien.key.c2VjcmV0", "mien.v1"]) as client:
        assert client.subprotocol == "mien.v1"
    with stream(base_url) as client:
        assert client.subprotocol is None


def test_text_closes_the_stream(base_url: str) -> None:
    with stream(base_url) as client:
        assert closed_with(client, "hello") == (1003, "expected frames, in binary messages")


@pytest.mark.parametrize("message", [b"0" * 200_000, [b"0" * 60_000, b"0" * 60_000]], ids=["whole", "parts"])
def test_a_frame_that_is_too_large_closes_the_stream_with_a_reason(serving: Any, message: bytes | list[bytes]) -> None:
    with serving(max_frame=100_000) as url, stream(url) as client:
        assert "error" in ask(client, b"0" * 100_000)
        code, reason = closed_with(client, message)
        assert code == 1009
        assert reason.endswith("bytes, at most 100,000 are accepted")


def test_a_frame_that_is_far_too_large_cuts_the_stream(serving: Any) -> None:
    with serving(max_frame=100_000) as url, stream(url) as client:
        with suppress(ConnectionClosed):
            client.send(b"0" * 30_000_000)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=10)


def test_a_message_without_end_closes_the_stream(serving: Any) -> None:
    with serving(idle_seconds=1) as url, stream(url) as client:
        with suppress(ConnectionClosed):
            client.send(b"" for _ in iter(int, 1))
        assert closed_with(client) == (4408, "no frame came for 1 s")


def test_a_stream_without_frames_is_closed(serving: Any, frame: Callable[..., bytes], await_figure: Any) -> None:
    with serving(idle_seconds=1) as url, stream(url) as client:
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            assert ask(client, frame(0))["error"] is None
        assert closed_with(client) == (4408, "no frame came for 1 s")
        await_figure(url, "mien_streams", 0)


def test_one_stream_too_many_is_refused_before_it_opens(
    serving: Any, frame: Callable[..., bytes], await_figure: Any, figure: Any
) -> None:
    with serving(max_streams=2) as url, stream(url) as one:
        with stream(url) as other:
            ask(one, frame(0))
            ask(other, frame(0))
            with pytest.raises(InvalidStatus) as refused, stream(url):
                pass
        response = refused.value.response
        assert response.status_code == 503
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["Retry-After"] == "5"
        assert json.loads(response.body or b"")["detail"] == "all 2 streams are taken: try again"
        assert figure(url, 'mien_rejected_total{reason="streams"}') == 1
        await_figure(url, "mien_streams", 1)
        with stream(url) as other:
            assert ask(other, frame(0))["frame"] == 0


def test_what_smooth_must_be(serving: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as url, pytest.raises(InvalidStatus) as refused, stream(url, "?smooth=perhaps"):
        pass
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body or b"")["detail"] == "smooth must be 0 or 1"
    assert capfd.readouterr().err == ""


def test_a_client_that_vanishes_frees_its_place_at_once(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes], await_figure: Any
) -> None:
    with serving(gated, workers=1, max_streams=1) as url:
        with stream(url) as client:
            client.send(frame(0))
            assert gate.entered.wait(10)
            client.socket.close()  # without a word
        await_figure(url, "mien_streams", 0)  # while its frame is still being processed
        with stream(url) as client:
            client.send(frame(255))
            gate.open.set()
            record = json.loads(client.recv(timeout=10))
        assert (record["frame"], record["faces"][0]["emotion"]) == (0, EMOTIONS[-1])


def test_streams_that_come_and_vanish_leave_nothing(
    base_url: str, frame: Callable[..., bytes], await_figure: Any, wait_until: Any
) -> None:
    with stream(base_url) as client:
        ask(client, frame(0))
    await_figure(base_url, "mien_streams", 0)
    threads = threading.active_count()
    for index in range(20):
        with stream(base_url) as client:
            client.send(frame(0))
            if index % 2:
                client.recv(timeout=10)
            client.socket.close()
    await_figure(base_url, "mien_streams", 0)
    wait_until(lambda: threading.active_count() <= threads + 1)  # the pool may have begun its other one


def test_an_internal_error_closes_the_stream_and_is_logged_in_a_line(
    serving: Any,
    gate: Any,
    gated: Analyzer,
    frame: Callable[..., bytes],
    capfd: pytest.CaptureFixture[str],
    await_figure: Any,
) -> None:
    def fail(image: object) -> None:
        raise RuntimeError("a defect")

    gate.detect = fail
    with serving(gated) as url:
        with stream(url) as client:
            assert closed_with(client, frame(0))[0] == 1011
        await_figure(url, "mien_streams", 0)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "RuntimeError: a defect" in lines[0]
