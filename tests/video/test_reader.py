from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.types import Frame

pytest.importorskip("av")

import av

from mien.errors import ConfigError, ImageError, MissingExtraError
from mien.video import containers
from mien.video.containers import Clock
from mien.video.reader import VideoFile

MakeVideo = Callable[..., Path]
RED = (0, 0, 255)


def read(path: Path, **options: Any) -> tuple[list[Frame], VideoFile]:
    with VideoFile(path, **options) as video:
        return list(video), video


def near(pixel: np.ndarray, wanted: tuple[int, int, int], off: int = 8) -> bool:
    return bool(np.abs(pixel.astype(int) - wanted).max() <= off)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.mov", "ä:b %d.avi"])
def test_frames_come_in_order_with_their_times(make_video: MakeVideo, name: str) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    frames, video = read(make_video(name, codec=codec, sound=None if name.endswith("avi") else "aac"))
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx([k / 30 for k in range(30)], abs=0.001)
    assert (video.width, video.height, video.rate, video.problems) == (64, 48, 30.0, [])
    assert video.has_audio is not name.endswith("avi")
    assert video.duration_s == pytest.approx(1, abs=0.1)
    assert video.end_s == pytest.approx(1, abs=0.002)
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
    assert near(frames[20].image[5, 5], RED)
    assert near(frames[20].image[40, 50], (80, 80, 80))


def test_varying_rates_keep_their_times(make_video: MakeVideo) -> None:
    times = [0, 33, 100, 110, 300, 1300, 1310]
    for name in ("v.mkv", "v.mp4"):
        frames, video = read(make_video(name, len(times), times_ms=times))
        assert [frame.time_s * 1000 for frame in frames] == pytest.approx(times, abs=1e-6)
        assert video.problems == []


def test_a_range_and_a_step(make_video: MakeVideo) -> None:
    path = make_video("long.mp4", 120)
    frames, video = read(path, start=2.5, end=3.5)
    assert [frame.index for frame in frames] == list(range(75, 105))
    assert frames[0].time_s == 2.5
    assert near(frames[0].image[40, 50], (4 * 75 % 256,) * 3)
    assert video.end_s == 3.5
    frames, video = read(path, start=2, every=0.5)
    assert [frame.time_s for frame in frames] == [2, 2.5, 3, 3.5]
    assert video.end_s == 4
    assert len(read(path, every=10)[0]) == 1


def test_a_start_far_into_a_file_is_found_where_key_frames_are_rare(make_video: MakeVideo) -> None:
    for name in ("a.mkv", "a.ts"):
        path = make_video(name, 300, codec="mpeg4" if name == "a.mkv" else "libx264")
        frames, _ = read(path, start=8.0)
        assert (frames[0].index, len(frames)) == (240, 60)
        assert frames[0].time_s == pytest.approx(8.0)


@pytest.mark.parametrize("turned", [90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_phones_videos_come_upright(make_video: MakeVideo, turned: int, mirrored: bool) -> None:
    stored = read(make_video("stored.mp4", 2))[0][0].image
    frames, video = read(make_video("phone.mp4", 2, turned=turned, mirrored=mirrored))
    upright = frames[0].image
    expected = np.rot90(stored, turned // 90 % 4)  # both count degrees counterclockwise
    expected = expected[:, ::-1] if mirrored else expected
    assert (video.height, video.width) == upright.shape[:2] == expected.shape[:2]
    assert np.abs(upright.astype(int) - expected).mean() < 3
    assert upright.flags.c_contiguous


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize(
    ("aspect", "width"), [("4/3", 85), ("64/45", 91), ("8/9", 57), ("16/11", 93), ("1/1", 64), ("1/50", 64)]
)
def test_pixels_come_square(make_video: MakeVideo, name: str, aspect: str, width: int) -> None:
    frames, video = read(make_video(name, 12, aspect=Fraction(aspect)))
    assert (video.width, video.height) == (width, 48)
    assert frames[1].image.shape == (48, width, 3)
    across = frames[1].image[10, :, 2] > 100  # the red part
    assert abs(across.sum() - width / 2) <= 1


def test_pixels_come_square_and_upright(make_video: MakeVideo) -> None:
    frames, video = read(make_video("phone.mp4", 2, aspect=Fraction(4, 3), turned=90))
    assert (video.width, video.height) == (48, 85)
    assert frames[1].image.shape == (85, 48, 3)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "size"),
    [
        ("ten.mkv", "ffv1", "yuv420p10le", (64, 48)),
        ("odd.mkv", "ffv1", "yuv444p", (65, 49)),
        ("odd.avi", "ffv1", "yuv420p", (65, 49)),
        ("grey.mkv", "ffv1", "gray", (64, 48)),
        ("full.avi", "mjpeg", "yuvj420p", (64, 48)),
        ("alpha.mov", "png", "rgba", (64, 48)),
        ("large.mp4", "libx264", "yuv420p", (1280, 720)),
    ],
)
def test_all_kinds_of_pixels(make_video: MakeVideo, name: str, codec: str, pixels: str, size: tuple[int, int]) -> None:
    frames, video = read(make_video(name, 3, codec=codec, pixels=pixels, size=size))
    assert len(frames) == 3
    assert (video.width, video.height) == size
    image = frames[2].image
    assert image.shape == (size[1], size[0], 3)
    assert near(image[-3, -3], (8, 8, 8))
    if name == "grey.mkv":
        assert near(image[3, 3], (76, 76, 76))
    else:
        assert near(image[3, 3], RED, 25)  # the large one is made with BT.601 and does not say so


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 4, 2, "rgba"
        pixels = np.zeros((2, 4, 4), np.uint8)
        pixels[:, 2:] = 200, 100, 0, 51
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgba")))
        container.mux(stream.encode(None))
    (frame,), _ = read(path)
    assert frame.image[0].tolist() == [[255, 255, 255]] * 2 + [[204, 224, 244]] * 2


def damaged(path: Path, begin: float, end: float) -> Path:
    """The file with random bytes from one part of it to another."""
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    low, high = int(begin * content.size), int(end * content.size)
    content[low:high] = np.random.default_rng(1).integers(0, 256, high - low, np.uint8)
    path.write_bytes(content.tobytes())
    return path


@pytest.mark.parametrize("name", ["bad.mp4", "bad.mkv", "bad.ts"])
def test_damage_in_the_middle_is_passed_over_and_told(make_video: MakeVideo, name: str) -> None:
    frames, video = read(damaged(make_video(name, 90, noise=True, size=(96, 96)), 0.4, 0.6))
    assert 30 < len(frames) <= 90
    assert frames[-1].time_s == pytest.approx(89 / 30, abs=0.1)
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    assert 1 <= len(video.problems) <= 4
    assert all(line.startswith(f"{video.path}: ") and "\n" not in line for line in video.problems)


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts"])
def test_a_file_cut_short_plays_as_far_as_it_goes(make_video: MakeVideo, name: str) -> None:
    path = make_video(name, 120, noise=True)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 188 * 188 + 100])
    frames, video = read(path)
    assert 40 < len(frames) < 80
    assert any("cut short" in line for line in video.problems)


def test_an_mp4_without_its_index(make_video: MakeVideo) -> None:
    path = make_video("cut.mp4")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match=r"cut\.mp4: .*cut short"):
        VideoFile(path)


def only_sound(path: Path, cover: bytes | None = None) -> Path:
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48_000)
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.width = picture.height = 16
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")
            container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        samples.sample_rate = 48_000
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    return path


def test_what_is_no_video_is_one_clear_line(tmp_path: Path, make_video: MakeVideo) -> None:
    (tmp_path / "text.mp4").write_text("no video at all\n" * 50, encoding="utf-8")
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n", encoding="utf-8")
    (tmp_path / "empty.mp4").touch()
    only_sound(tmp_path / "sound.mp4")
    only_sound(tmp_path / "cover.mp4", b"cover")
    for name in ("none.mkv", "none.mp4"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            container.start_encoding()
    for name, words in (
        ("text.mp4", "not a video"),
        ("playlist.mp4", "not a video|cannot be read|no video stream"),
        ("empty.mp4", "is empty"),
        ("gone.mp4", "no such file"),
        ("", "is a folder"),
        ("sound.mp4", "sound only"),
        ("cover.mp4", "sound only"),
        ("none.mkv", "before its first frame"),
        ("none.mp4", "no video stream"),
    ):
        path = tmp_path / name
        with pytest.raises(ImageError, match=words) as caught:
            VideoFile(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match=r"ends at 0\.97 s, before the start at 5 s"):
        VideoFile(make_video("short.mp4"), start=5)


@pytest.mark.parametrize(
    "options", [{"start": -1}, {"start": float("nan")}, {"start": 2, "end": 2}, {"end": 0}, {"every": 0}]
)
def test_options_that_make_no_sense(make_video: MakeVideo, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        VideoFile(make_video("a.mp4", 1), **options)


def test_without_its_package_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"video needs .*mien\[video\]"):
        VideoFile(tmp_path / "a.mp4")


def test_closed_early_a_file_gives_no_more(make_video: MakeVideo) -> None:
    with VideoFile(make_video("a.mp4")) as video:
        assert next(iter(video)).index == 0
    assert list(video) == []
    assert video.end_s is None


def test_a_picture_that_changes_its_size_is_scaled(tmp_path: Path, make_video: MakeVideo) -> None:
    parts = [make_video("one.ts", 5, size=(64, 48)), make_video("two.ts", 5, size=(128, 96))]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, video = read(path)
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert len(frames) > 5
    assert any("changes its size" in line for line in video.problems)
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))


def streams(path: Path, grays: list[int], default: int | None, cover: bool = False) -> Path:
    """A video of even pictures, with a stream for each gray, of which at most one is marked as default."""
    flags = av.stream.Disposition
    with av.open(str(path), "w") as container:
        picture: Any = container.add_stream("png", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 16, 16, "rgb24"
            picture.disposition = flags.attached_pic
        videos: list[Any] = [container.add_stream("mpeg4", rate=10) for _ in grays]
        for index, video in enumerate(videos):
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.disposition = flags.default if index == default else flags(0)
        if picture is not None:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")))
            container.mux(picture.encode(None))
        for index in range(5):
            for gray, video in zip(grays, videos, strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), gray, np.uint8), "rgb24")
                frame.pts = index
                container.mux(video.encode(frame))
        for video in videos:
            container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov"])
@pytest.mark.parametrize(("default", "taken"), [(0, 0), (1, 1), (2, 2), (None, 0)])
def test_of_several_streams_the_default_one_is_read(tmp_path: Path, name: str, default: int | None, taken: int) -> None:
    frames, video = read(streams(tmp_path / name, [50, 120, 200], default))
    assert near(frames[2].image[20, 20], ([50, 120, 200][taken],) * 3, 3)
    assert video.notes == [f"{video.path}: of its 3 video streams the one with index {taken} was read"]
    assert video.problems == []
    started, _ = read(video.path, start=0.2)  # opens the file anew
    assert near(started[0].image[20, 20], ([50, 120, 200][taken],) * 3, 3)


def test_a_cover_is_no_stream_to_choose(tmp_path: Path) -> None:
    frames, video = read(streams(tmp_path / "a.mp4", [120], 0, cover=True))
    assert near(frames[0].image[20, 20], (120, 120, 120), 3)
    assert video.notes == []


def test_a_clock_rises() -> None:
    clock = Clock(second=1000, period=40, least=0)
    told = [-40, 0, 80, None, 120, 120, 200, -5000, -4960, None]
    assert [clock.rising(ticks) for ticks in told] == [0, 1, 80, 120, 121, 122, 200, 240, 280, 320]
    assert [Clock(1000, 40).rising(ticks) for ticks in (None, 5)] == [0, 5]


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles='
    '"urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
    "<BaseURL>secret.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".ffconcat", ".m3u8"])
def test_a_file_that_names_others_does_not_get_them_opened(
    make_video: MakeVideo, tmp_path: Path, kind: str, suffix: str
) -> None:
    make_video("secret.mp4")
    path = tmp_path / f"list{suffix}"
    path.write_text(PLAYLISTS[kind])
    with pytest.raises(ImageError, match="not a video, or a damaged one"):
        VideoFile(path)


def test_a_frame_that_grows_past_the_limit_is_not_decoded(make_video: MakeVideo, tmp_path: Path) -> None:
    small, large = make_video("small.ts"), make_video("large.ts", size=(128, 96))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with VideoFile(both) as video:
        assert len(list(video)) > 50
    with VideoFile(both, max_pixels=64 * 48 * 2) as video:
        assert 20 < len(list(video)) <= 31
        assert any("damaged data was skipped" in line for line in video.problems)


def test_a_video_of_larger_frames_is_refused(make_video: MakeVideo) -> None:
    with pytest.raises(ImageError, match="has 64x48 pixels, which is more than the limit of 3,071"):
        VideoFile(make_video("clip.mp4"), max_pixels=64 * 48 - 1)


def test_frames_count_as_they_are_shown(make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file says how wide its pixels are only with its first frame."""
    wide = make_video("wide.mkv", aspect=Fraction(4, 3))
    with VideoFile(wide, max_pixels=85 * 48) as video:
        assert (video.width, video.height) == (85, 48)
    with pytest.raises(ImageError, match="has 85x48 pixels"):
        VideoFile(wide, max_pixels=85 * 48 - 1)
    monkeypatch.setattr(containers, "pixel_aspect", lambda stream: Fraction(1))
    with pytest.raises(ImageError, match="has 85x48 pixels"):
        VideoFile(wide, max_pixels=85 * 48 - 1)


def test_it_ends_as_soon_as_it_is_over(make_video: MakeVideo) -> None:
    path, asked = make_video("long.mp4", 90), 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return asked > 40

    with VideoFile(path, every=100, is_over=is_over) as video:
        assert len(list(video)) == 1
        assert video.problems == []
    assert asked <= 45  # it was asked while nothing was given
    with pytest.raises(ImageError, match="no frame"):
        VideoFile(path, is_over=lambda: True)
