from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from threading import Event, Thread

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.concurrency import Latest
from mien.errors import ConfigError, ImageError
from mien.video.camera import PATIENCE_S, open_live
from mien.video.live import Clock


class Time:
    """A clock that only waiting moves, and reading a frame by `cost` seconds."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.waits: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.wait)

    def wait(self, event: Event, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.now_s += seconds


PICTURE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


class FakeCapture:
    """Stands in for cv2.VideoCapture. Each opening takes the next script: None does not open, else the reads."""

    scripts: Iterator[list[object] | None]
    opened: list[object]

    def __init__(self, camera: object) -> None:
        type(self).opened.append(camera)
        script = next(type(self).scripts, None)
        self.is_there, self.reads = script is not None, iter(script or [])
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.is_there

    def set(self, option: int, value: float) -> bool:
        return False

    def get(self, option: int) -> float:
        return 0.0  # what a camera tells of its number of frames, and of the shape of pixels

    def read(self) -> tuple[bool, object]:
        if self.released:
            return False, None
        read = next(self.reads, None)
        if isinstance(read, cv2.error):
            raise read
        return read is not None, read

    def release(self) -> None:
        self.released = True


Captures = Callable[..., type[FakeCapture]]


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> Captures:
    def use(*scripts: list[object] | None) -> type[FakeCapture]:
        FakeCapture.scripts, FakeCapture.opened = iter(scripts), []
        monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
        return FakeCapture

    return use


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey pictures, whose names do not lie in the order in which they are made."""
    for name, grey in (("b", 20), ("c", 30), ("a", 10)):
        Image.new("RGB", (8, 6), (grey, grey, grey)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_folder_is_played_at_its_rate_in_the_order_of_names(folder: Path) -> None:
    time = Time()
    with open_live(str(folder), rate=10, clock=time.clock) as live:
        assert live.now_s() == 0
        frames = [(frame, live.now_s()) for frame in live]
    assert [int(frame.image[0, 0, 0]) for frame, _ in frames] == [10, 20, 30]
    assert [frame.index for frame, _ in frames] == [0, 1, 2]
    assert [frame.time_s for frame, _ in frames] == pytest.approx([0, 0.1, 0.2])
    assert [now for _, now in frames] == pytest.approx([0, 0.1, 0.2])
    assert live.name == str(folder)


def test_numbers_in_names_count(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        Image.new("RGB", (8, 6), (number, number, number)).save(tmp_path / f"{number}.png")
    with open_live(str(tmp_path), clock=Time().clock) as live:
        assert [int(frame.image[0, 0, 0]) for frame in live] == [9, 10, 100]


def test_an_animation_is_played_at_its_times_and_looped(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 6), (gray, gray, gray)) for gray in (10, 200))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=[300, 100])
    with open_live(str(tmp_path / "a.gif"), loop=True, clock=Time().clock) as live:
        frames = list(islice(live, 4))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 200, 10, 200]
    assert frames[1].time_s == pytest.approx(0.3)


def test_a_loop_begins_again_while_its_time_goes_on(folder: Path) -> None:
    time = Time()
    with open_live(str(folder), loop=True, rate=10, clock=time.clock) as live:
        frames = list(islice(live, 8))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 20, 30, 10, 20, 30, 10, 20]
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.time_s for frame in frames] == pytest.approx([0.1 * index for index in range(8)])


def test_what_is_read_too_slowly_is_not_rushed_afterwards(folder: Path) -> None:
    time = Time()
    delays = []
    with open_live(str(folder), loop=True, rate=10, clock=time.clock) as live:
        for frame in islice(live, 6):
            delays.append(live.now_s() - frame.time_s)
            time.now_s += 5 if frame.index == 2 else 0.02
    assert delays == pytest.approx([0, 0, 0, 0, 0, 0], abs=1e-6)


def test_one_picture_stands_still(folder: Path) -> None:
    time = Time()
    with open_live(str(folder / "b.png"), loop=True, clock=time.clock) as live:
        frames = list(islice(live, 3))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30])


def test_a_picture_that_cannot_be_read_is_told_of_once(folder: Path) -> None:
    (folder / "b.png").write_bytes(b"no picture")
    told: list[str] = []
    with open_live(str(folder), loop=True, clock=Time().clock, report=told.append) as live:
        frames = list(islice(live, 6))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10, 30] * 3
    assert len(told) == 1
    assert "b.png" in told[0]


def test_a_folder_without_one_readable_picture_ends_even_in_a_loop(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with open_live(str(tmp_path), loop=True, clock=Time().clock) as live, pytest.raises(ImageError, match="no frame"):
        list(live)


def test_a_video_is_played_at_its_own_pace_and_looped(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in (40, 120, 200):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), "bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    time = Time()
    with open_live(str(path), loop=True, mirror=True, clock=time.clock) as live:
        frames = [(frame, live.now_s()) for frame in islice(live, 5)]
    assert [round(float(frame.image.mean()) / 40) for frame, _ in frames] == [1, 3, 5, 1, 3]
    assert [frame.time_s for frame, _ in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)
    assert [now for _, now in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=1e-3)


def test_a_looped_videos_damage_is_told_of_once(make_video: Callable[..., Path]) -> None:
    path = make_video("clip.ts", 10)
    path.write_bytes(path.read_bytes()[:-101])
    told: list[str] = []
    with open_live(str(path), loop=True, clock=Time().clock, report=told.append) as live:
        assert len(list(islice(live, 35))) == 35
    assert len(told) == 1
    assert "cut short" in told[0]


def test_a_file_that_is_no_video_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video at all")
    with pytest.raises(ImageError, match=r"clip\.mp4"):
        open_live(str(path))


def test_mirror(folder: Path) -> None:
    Image.fromarray(PICTURE[:, :, ::-1]).save(folder / "a.png")
    for mirror, expected in ((None, PICTURE), (True, PICTURE[:, ::-1])):
        with open_live(str(folder), mirror=mirror, clock=Time().clock) as live:
            np.testing.assert_array_equal(next(iter(live)).image, expected)


def test_a_camera_is_mirrored_and_timed_from_its_first_frame(captures: Captures) -> None:
    captures([PICTURE] * 3)
    time = Time()
    with open_live("0", clock=time.clock) as live:
        frames = []
        for frame in islice(live, 3):
            frames.append(frame)
            time.now_s += 0.25
    assert live.name == "camera 0"
    assert FakeCapture.opened == [0]
    np.testing.assert_array_equal(frames[0].image, PICTURE[:, ::-1])
    assert [(frame.index, frame.time_s) for frame in frames] == [(0, 0.0), (1, 0.25), (2, 0.5)]
    captures([PICTURE])
    with open_live(0, mirror=False, clock=time.clock) as live:
        np.testing.assert_array_equal(next(iter(live)).image, PICTURE)


def test_an_address_is_not_mirrored_and_its_password_not_told(captures: Captures) -> None:
    captures([PICTURE])
    with open_live("rtsp://me:secret@host:554/live", clock=Time().clock) as live:
        np.testing.assert_array_equal(next(iter(live)).image, PICTURE)
    assert FakeCapture.opened == ["rtsp://me:secret@host:554/live"]
    assert live.name == "camera rtsp://host:554/live"
    captures(None)
    with pytest.raises(ConfigError, match="is the address right") as caught:
        open_live("rtsp://me:secret@host:554/live")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PICTURE[:, :, 0], np.repeat(PICTURE[:, :, :1], 3, axis=2)),
        (PICTURE[:, :, :1], np.repeat(PICTURE[:, :, :1], 3, axis=2)),
        (PICTURE[:, :, 0].astype(np.uint16) * 257, np.repeat(PICTURE[:, :, :1], 3, axis=2)),
        (np.dstack([PICTURE, np.full((4, 6), 255, np.uint8)]), PICTURE),
    ],
    ids=["grey", "grey with a channel", "16 bits", "with alpha"],
)
def test_whatever_a_camera_gives_becomes_bgr(captures: Captures, given: np.ndarray, expected: np.ndarray) -> None:
    captures([given])
    with open_live("0", mirror=False, clock=Time().clock) as live:
        np.testing.assert_array_equal(next(iter(live)).image, expected)


def test_a_camera_that_is_not_there_names_those_that_are(captures: Captures) -> None:
    captures(None, [PICTURE], None, [PICTURE], [PICTURE])
    with pytest.raises(ConfigError, match=r"^camera 7: cannot be opened; cameras that open here: 0, 2, 3$"):
        open_live("7")


def test_no_camera_at_all(captures: Captures) -> None:
    captures()
    with pytest.raises(
        ConfigError, match=r"^camera 0: cannot be opened; no camera opens here, of 0 to 3; is it plugged"
    ):
        open_live(0)
    assert FakeCapture.opened == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "broken", [[], [np.zeros((4, 6, 2), np.uint8)], [np.zeros((0, 0, 3), np.uint8)], [cv2.error("driver")]]
)
def test_a_camera_that_was_taken_away_comes_back(captures: Captures, broken: list[object]) -> None:
    captures([PICTURE, PICTURE, *broken], None, None, [], [PICTURE] * 2)
    time = Time()
    told: list[str] = []
    with open_live("0", clock=time.clock, report=told.append) as live:
        frames = list(islice(live, 4))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert time.waits == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert frames[2].time_s == pytest.approx(1.5)
    assert told == ["camera 0: gives no picture; trying again for 10 s", "camera 0: is back after 1.5 s"]


def test_a_camera_that_stays_away_ends_in_one_line(captures: Captures) -> None:
    captures([PICTURE])
    time = Time()
    told: list[str] = []
    with open_live("0", clock=time.clock, report=told.append) as live:
        frames = iter(live)
        next(frames)
        with pytest.raises(ImageError, match=r"^camera 0: gone for 10 s$"):
            next(frames)
    assert sum(time.waits) == pytest.approx(PATIENCE_S)
    assert max(time.waits) == 2.0
    assert len(told) == 1


def test_a_camera_that_opens_but_gives_nothing(captures: Captures) -> None:
    captures([])
    with (
        open_live("0", clock=Time().clock) as live,
        pytest.raises(ImageError, match=r"^camera 0: gave no picture for 10 s$"),
    ):
        list(live)


def test_closing_ends_the_wait_for_a_camera(captures: Captures) -> None:
    captures([PICTURE])
    waiting = Event()
    with open_live("0", report=lambda line: waiting.set()) as live:
        newest = Latest(live)
        next(newest)
        assert waiting.wait(30)
        live.close()
        assert list(newest) == []
        newest.close()


def test_what_cannot_be_a_live_source(tmp_path: Path, captures: Captures) -> None:
    captures([PICTURE])
    with pytest.raises(ConfigError, match="camera 0: a camera never ends"):
        open_live("0", loop=True)
    with pytest.raises(ConfigError, match="no such file or folder; expected a camera's number"):
        open_live(str(tmp_path / "none.mp4"))
    with pytest.raises(ConfigError, match="no pictures in this folder"):
        open_live(str(tmp_path))
    with pytest.raises(ConfigError, match=r"rate must be within 0\.\.1000"):
        open_live(str(tmp_path), rate=0)


def test_nothing_is_written_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    for camera in ("9", "rtsp://127.0.0.1:1/none"):
        with pytest.raises(ConfigError):
            open_live(camera)
    assert capfd.readouterr().err == ""


def test_a_number_that_opencv_cannot_hold_is_no_camera() -> None:
    for number in ("2147483648", "99999999999"):
        with pytest.raises(ConfigError, match=f"{number}.*cannot be opened"):
            open_live(number)


def test_the_address_of_a_file_is_that_file(tmp_path: Path) -> None:
    folder = tmp_path / "a film"
    folder.mkdir()
    Image.fromarray(PICTURE[:, :, ::-1]).save(folder / "1.png")
    with open_live(folder.as_uri()) as live:
        [frame] = list(live)
    np.testing.assert_array_equal(frame.image, PICTURE)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of tmp_path's files, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_video_at_an_address_is_played_once_at_its_pace(make_video: Callable[..., Path], served: str) -> None:
    make_video("film.mp4", 10, rate=5)
    time, lines = Time(), list[str]()
    with open_live(f"{served}/film.mp4", clock=time.clock, report=lines.append) as live:
        frames = list(live)
    assert [frame.index for frame in frames] == list(range(10))
    assert [round(frame.time_s, 3) for frame in frames] == [k / 5 for k in range(10)]
    assert time.now_s == pytest.approx(101.8)
    assert lines == []
    with open_live(f"{served}/film.mp4", clock=Time().clock, loop=True) as live:
        assert [frame.index for frame in islice(live, 25)] == list(range(25))


def test_a_video_at_an_address_has_square_pixels(make_video: Callable[..., Path], served: str) -> None:
    make_video("film.mp4", 3, aspect=Fraction(4, 3))
    with open_live(f"{served}/film.mp4", clock=Time().clock) as live:
        assert {frame.image.shape for frame in live} == {(48, 85, 3)}


def test_a_video_at_an_address_that_is_cut_short_says_so(make_video: Callable[..., Path], served: str) -> None:
    film, lines = make_video("film.mkv", 60, noise=True), list[str]()
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 3])
    with open_live(f"{served}/film.mkv", clock=Time().clock, report=lines.append) as live:
        assert 5 < len(list(live)) < 40
    assert len(lines) == 1
    assert "film.mkv: ends at " in lines[0]
    assert "before its end at 2.0 s" in lines[0]
