from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

import av

from mien.errors import ConfigError
from mien.video.reader import VideoFile
from mien.video.writer import FORMS, VideoWriter, _Form

MakeVideo = Callable[..., Path]


def copied(source: Path, target: Path, **options: Any) -> VideoWriter:
    with VideoFile(source, **options) as video, VideoWriter(target, video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time_s)
    return writer


def times_of(path: Path) -> tuple[list[float], float]:
    """When each frame is shown, and when the last one ceases to be."""
    with VideoFile(path) as video:
        times = [frame.time_s for frame in video]
        assert video.end_s is not None
        return times, video.end_s


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """The packets of the first audio stream, and when each is heard, on the clock of the first frame."""
    with VideoFile(path) as video:
        zero = video.zero_s
    with av.open(str(path)) as container:
        return [
            (float((packet.pts or 0) * (packet.time_base or 0)) - zero, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.webm"])
def test_what_is_written_has_square_pixels(make_video: MakeVideo, tmp_path: Path, target: str) -> None:
    copied(make_video("in.mp4", 3, aspect=Fraction(4, 3)), tmp_path / target)
    with av.open(str(tmp_path / target)) as container:
        (stream,) = container.streams.video
        assert (stream.width, stream.height) == (86, 48)  # 85, made even
        assert (stream.sample_aspect_ratio or 1) == 1


@pytest.mark.parametrize("target", ["out.mp4", "out.MOV", "out.m4v", "out.mkv"])
def test_times_and_sound_are_carried_over(make_video: MakeVideo, tmp_path: Path, target: str) -> None:
    source = make_video("in.mp4", 45, sound="aac")
    out = tmp_path / target
    writer = copied(source, out)
    assert writer.frames == 45
    assert writer.problems == []
    before, after = times_of(source), times_of(out)
    assert after[0] == pytest.approx(before[0], abs=0.001)
    assert after[1] == pytest.approx(before[1], abs=0.001)
    heard, written = sound_of(source), sound_of(out)
    if target == "out.mkv":
        heard = [(time, data) for time, data in heard if time >= 0]  # it cannot say that the encoder begins early
    assert [data for _, data in written] == [data for _, data in heard]
    assert [time for time, _ in written] == pytest.approx([time for time, _ in heard], abs=0.0011)
    with av.open(str(out)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.codec_context.color_range == 1
        assert video.codec_context.colorspace == 5
    if target == "out.mp4":
        content = out.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")  # it plays while it loads


def test_an_mp4s_timestamps_are_exact(make_video: MakeVideo, tmp_path: Path) -> None:
    times = [0, 33, 100, 110, 300, 1300, 1310, 1311, 2000]
    source = make_video("in.mkv", len(times), times_ms=times)
    copied(source, tmp_path / "out.mp4")
    with VideoFile(tmp_path / "out.mp4") as video:
        assert len(list(video)) == len(times)
        assert video.problems == []
    written, end_s = times_of(tmp_path / "out.mp4")
    assert [time * 1000 for time in written] == pytest.approx(times, abs=1e-6)
    assert end_s == pytest.approx(times_of(source)[1], abs=1e-6)


def test_sound_that_begins_before_the_pictures_keeps_its_place(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("in.ts", 45, sound="aac")  # encoded sound begins a packet early, and TS has no way to say so
    copied(source, tmp_path / "out.mp4")
    heard, written = sound_of(source), sound_of(tmp_path / "out.mp4")
    assert heard[0][0] < -0.02
    assert [time for time, _ in written] == pytest.approx([time for time, _ in heard], abs=0.001)


def test_a_range_with_its_sound(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("in.mp4", 120, sound="aac")
    copied(source, tmp_path / "out.mp4", start=1.5, end=3)
    times, end_s = times_of(tmp_path / "out.mp4")
    assert times == pytest.approx([k / 30 for k in range(45)])
    assert end_s == pytest.approx(1.5)
    written = sound_of(tmp_path / "out.mp4")
    wanted = [(time - 1.5, data) for time, data in sound_of(source) if 1.5 <= time < 3]
    assert [data for _, data in written] == [data for _, data in wanted]
    assert [time for time, _ in written] == pytest.approx([time for time, _ in wanted], abs=0.0011)


def test_left_out_frames_leave_the_length_alone(make_video: MakeVideo, tmp_path: Path) -> None:
    copied(make_video("in.mp4", 60), tmp_path / "out.mp4", every=0.75)
    times, end_s = times_of(tmp_path / "out.mp4")
    assert times == pytest.approx([0, 23 / 30, 1.5], abs=0.001)
    assert end_s == pytest.approx(2.0, abs=0.001)


def test_sound_that_the_container_does_not_take_is_encoded_anew(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("in.mkv", 60, sound="pcm_s16le")
    writer = copied(source, tmp_path / "out.mp4")
    assert writer.problems == [f"{source}: its sound (pcm_s16le) was encoded anew as aac"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert samples.shape[1] == pytest.approx(96_000, abs=2048)
    assert 0.02 < np.abs(samples).mean() < 0.08  # noise of 3000 / 32768, less what AAC takes off
    assert copied(source, tmp_path / "out.mov").problems == []
    assert [data for _, data in sound_of(tmp_path / "out.mov")]


def test_sound_of_which_nothing_can_be_told_is_left_out(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("in.ts", 30, sound="aac")
    packets = np.frombuffer(source.read_bytes(), np.uint8).reshape(-1, 188).copy()
    is_sound = (packets[:, 1] % 32 == 1) & (packets[:, 2] == 1)  # stream 0x101
    assert is_sound.sum() > 10
    packets[is_sound, 60:] = 0  # what lies behind the packets' headers
    source.write_bytes(packets.tobytes())
    writer = copied(source, tmp_path / "out.mp4")
    assert writer.problems == [f"{source}: its sound (aac) was left out: it is damaged or scrambled"]
    assert len(times_of(tmp_path / "out.mp4")[0]) == 30


def test_odd_sides_are_padded_by_their_last_row(tmp_path: Path) -> None:
    image = np.zeros((49, 65, 3), np.uint8)
    image[:, -1] = 200
    image[-1] = 200
    with VideoWriter(tmp_path / "out.mp4", rate=10) as writer:
        writer.write(image, 0.0)
        writer.write(image, 0.1)
    with VideoFile(tmp_path / "out.mp4") as video:
        (first, _) = video
        assert (video.width, video.height, video.rate) == (66, 50, 10)
        assert video.end_s == pytest.approx(0.2)
    assert np.abs(first.image[:49, :65].astype(int) - image).mean() < 3
    assert first.image[20, 64:].min() > 180
    assert first.image[48:, 20].min() > 180


def test_frames_may_be_changed_after_they_were_given(tmp_path: Path) -> None:
    image = np.full((48, 64, 3), 50, np.uint8)
    with VideoWriter(tmp_path / "out.mkv") as writer:
        for index in range(4):
            image[:] = 50 * index
            writer.write(image, index / 30)
            image[:] = 255
    with VideoFile(tmp_path / "out.mkv") as video:
        assert [int(frame.image[20, 30, 1]) for frame in video] == pytest.approx([0, 50, 100, 150], abs=3)


def test_times_that_do_not_rise_are_made_to(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for time_s in (0.0, 0.1, 0.1, 0.05, 0.2):
            writer.write(np.zeros((16, 16, 3), np.uint8), time_s)
    assert times_of(tmp_path / "out.mp4")[0] == pytest.approx([0, 0.1, 0.1, 0.1, 0.2], abs=0.001)


def test_a_webm_has_its_own_codecs(make_video: MakeVideo, tmp_path: Path) -> None:
    writer = copied(make_video("in.mp4", 10, sound="aac"), tmp_path / "out.webm")
    assert len(times_of(tmp_path / "out.webm")[0]) == 10
    with av.open(str(tmp_path / "out.webm")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["vp9", "opus"]
    assert "encoded anew as libopus" in writer.problems[0]


def test_without_x264_the_next_encoder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = FORMS[".mp4"]
    for encoders, codec in ((("none such", "mpeg4"), "mpeg4"), (("none such",), None)):
        monkeypatch.setitem(FORMS, ".mp4", _Form(form.container, encoders))
        if codec is None:
            with pytest.raises(ConfigError, match="none of the encoders none such"):
                VideoWriter(tmp_path / "out.mp4")
            continue
        with VideoWriter(tmp_path / "out.mp4") as writer:
            for index in range(5):
                writer.write(np.full((48, 64, 3), 100, np.uint8), index / 30)
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.streams.video[0].codec_context.name == codec
        assert times_of(tmp_path / "out.mp4")[0] == pytest.approx([k / 30 for k in range(5)])


def test_ctrl_c_leaves_a_file_that_plays(make_video: MakeVideo, tmp_path: Path) -> None:
    source, out = make_video("in.mp4", 90, sound="aac"), tmp_path / "out.mp4"

    def interrupted(after: int) -> None:
        with VideoFile(source) as video, VideoWriter(out, video) as writer:
            for frame in video:
                if frame.index == after:
                    raise KeyboardInterrupt
                writer.write(frame.image, frame.time_s)

    with pytest.raises(KeyboardInterrupt):
        interrupted(40)
    times, end_s = times_of(out)
    assert (len(times), end_s) == (40, pytest.approx(40 / 30))
    heard = sound_of(out)
    assert heard[-1][0] == pytest.approx(end_s, abs=0.03)
    assert [data for _, data in heard] == [data for _, data in sound_of(source)][: len(heard)]
    out.unlink()
    with pytest.raises(KeyboardInterrupt):
        interrupted(0)
    assert names(tmp_path) == {"in.mp4"}


def test_any_other_error_leaves_nothing(make_video: MakeVideo, tmp_path: Path) -> None:
    source, out = make_video("in.mp4", 20, sound="aac"), tmp_path / "out.mp4"
    out.write_bytes(b"from before")

    def failing(error: Exception, after: int) -> None:
        with VideoFile(source) as video, VideoWriter(out, video) as writer:
            for frame in video:
                if frame.index == after:
                    raise error
                writer.write(frame.image, frame.time_s)

    for error in (RuntimeError("x"), OSError("y")):
        for after in (0, 10):
            with pytest.raises(type(error), match=str(error)):
                failing(error, after)
            assert names(tmp_path) == {"in.mp4", "out.mp4"}
            assert out.read_bytes() == b"from before"


def test_what_cannot_be_written_is_refused_at_once(make_video: MakeVideo, tmp_path: Path) -> None:
    source = make_video("in.mp4", 2)
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"expected a file that ends with \.mp4, .*\.webm"):
        VideoWriter(tmp_path / "out.gif")
    with VideoFile(source) as video, pytest.raises(ConfigError, match="is the video itself"):
        VideoWriter(tmp_path / "." / "in.mp4", video)
    bad_options: list[dict[str, Any]] = [{"crf": 52}, {"rate": 0}]
    for options in bad_options:
        with pytest.raises(ConfigError, match="must be within"):
            VideoWriter(tmp_path / "out.mp4", **options)
    with pytest.raises(ConfigError, match="cannot be written"), VideoWriter(tmp_path / "gone" / "out.mp4"):
        pass
    with pytest.raises(ConfigError, match="no frame"), VideoWriter(tmp_path / "out.mp4"):
        pass

    def write(*images: np.ndarray) -> None:
        with VideoWriter(tmp_path / "out.mp4") as writer:
            for index, one in enumerate(images):
                writer.write(one, index)

    with pytest.raises(ConfigError, match="16x16 pixels, got 8x16"):
        write(image, image[:, :8])
    for wrong in (image[:, :, 0], image.astype(np.float32)):
        with pytest.raises(ConfigError, match="expected a frame"):
            write(wrong)
    assert names(tmp_path) == {"in.mp4"}


FULL = """
    import resource, sys
    import numpy as np
    from mien.errors import ConfigError
    from mien.video.writer import FORMS, VideoWriter, _Form

    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    random = np.random.default_rng(0)
    try:
        with VideoWriter(sys.argv[1]) as writer:
            for index in range(60):
                writer.write(random.integers(0, 256, (240, 320, 3), np.uint8), index / 30)
    except ConfigError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_file_that_may_not_grow_is_one_line(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / name), "300000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / name}: cannot be written: File too large\n"
    assert done.stderr == ""
    assert names(tmp_path) == set()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_full_disk_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=rf"{name}: cannot be written: No space left"):
        write_noise(tmp_path / name)
    assert Path("/dev/full").is_char_device()


def write_noise(path: Path) -> None:
    random = np.random.default_rng(0)
    with VideoWriter(path) as writer:
        for index in range(30):
            writer.write(random.integers(0, 256, (240, 320, 3), np.uint8), index / 30)


def test_a_file_that_is_discarded_does_not_appear(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for frames in (0, 3):
        with VideoWriter(path, rate=10) as writer:
            for index in range(frames):
                writer.write(np.zeros((32, 32, 3), np.uint8), index / 10)
            writer.discard()
        assert list(tmp_path.iterdir()) == []
