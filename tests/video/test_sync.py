"""Films with a flash and a beep at one moment, as a clapperboard gives them, in each container."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

import av

from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

RATE, SAMPLES, AT = 25, 48_000, 1.6
CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx-vp9", "libopus"),
    ".wmv": ("wmv2", "wmav2"),
    ".avi": ("mpeg4", "mp3"),
    ".ts": ("libx264", "aac"),
    ".flv": ("libx264", "aac"),
}
SPANS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "together": ((0, 3), (0, 3)),
    "pictures later": ((1, 3), (0, 3)),
    "sound later": ((0, 3), (1, 3)),
    "sound longer": ((0, 3), (0, 5)),
    "both late": ((1.2, 3), (1.2, 3)),
}
"""When pictures and sound begin and end, in seconds."""


def beep(begin: float, end: float) -> np.ndarray:
    times = np.arange(round(begin * SAMPLES), round(end * SAMPLES)) / SAMPLES
    return np.where((times >= AT) & (times < AT + 0.1), 0.6 * np.sin(2 * np.pi * 1000 * times), 0)


def as_frame(samples: np.ndarray, form: str) -> av.AudioFrame:
    kind, scale = {"flt": (np.float32, 1), "s16": (np.int16, 2**15), "s32": (np.int32, 2**31)}[form.removesuffix("p")]
    return av.AudioFrame.from_ndarray((samples * scale).astype(kind)[None], form, "mono")


def clap(path: Path, pictures: tuple[float, float], sound: tuple[float, float]) -> Path:
    """A film whose pictures and sound have these begins and ends; what lies before 0 is trimmed by an edit list."""
    codec, sound_codec = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"libx264": {"g": "12", "bf": "2"}, "libvpx-vp9": {"deadline": "realtime"}}.get(codec, {})
        audio: Any = container.add_stream(sound_codec, rate=SAMPLES)
        audio.layout, audio.codec_context.bit_rate = "mono", 128_000
        audio.codec_context.open()
        packets = []
        for index in range(round(pictures[0] * RATE), round(pictures[1] * RATE)):
            gray = 255 if index == round(AT * RATE) else 30
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), gray, np.uint8), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            packets += video.encode(frame)
        samples, size = beep(*sound), audio.codec_context.frame_size
        for first in range(0, len(samples) - size, size):
            part = as_frame(samples[first : first + size], audio.codec_context.format.name)
            part.sample_rate, part.pts = SAMPLES, round(sound[0] * SAMPLES) + first
            part.time_base = Fraction(1, SAMPLES)
            packets += audio.encode(part)
        packets += [*video.encode(None), *audio.encode(None)]
        timed = [packet for packet in packets if packet.dts is not None]
        for packet in sorted(timed, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def heard(path: Path) -> Iterator[tuple[float, float, np.ndarray]]:
    """When each piece of the sound begins and ends, in seconds, and its samples within -1..1."""
    end = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            begin = end if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
            end = begin + frame.samples / frame.sample_rate
            samples: np.ndarray[Any, Any] = frame.to_ndarray()
            full = 1 if samples.dtype.kind == "f" else 2 ** (8 * samples.itemsize - 1)
            yield begin, end, samples.mean(axis=0) / full


def moments(path: Path) -> tuple[float, float]:
    """When the flash and the beep come, in seconds."""
    with av.open(str(path)) as container:
        bright = [frame.time for frame in container.decode(video=0) if frame.to_ndarray(format="gray").mean() > 150]
    loud = [
        begin + int(found[0]) / SAMPLES
        for begin, _, samples in heard(path)
        if (found := np.flatnonzero(np.abs(samples) > 0.2)).size
    ]
    assert len(bright) == 1
    assert bright[0] is not None
    return bright[0], loud[0]


def copied(source: Path, out: Path) -> VideoFile:
    with VideoFile(source) as video, VideoWriter(out, video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time_s)
    return video


@pytest.mark.parametrize("target", [".mp4", pytest.param(".mkv", marks=pytest.mark.slow)])
@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("suffix", CODECS)
def test_sound_stays_with_the_pictures(tmp_path: Path, suffix: str, span: str, target: str) -> None:
    source = clap(tmp_path / f"in{suffix}", *SPANS[span])
    out = tmp_path / f"out{target}"
    video = copied(source, out)
    assert video.problems == []
    (flash, beeped), (written_flash, written_beep) = moments(source), moments(out)
    assert written_flash - written_beep == pytest.approx(flash - beeped, abs=0.005)
    if suffix != ".avi":  # has no times, so that a stream cannot begin later
        assert abs(flash - beeped) < 1 / RATE
    assert copied(out, tmp_path / f"again{target}").problems == []


@pytest.mark.parametrize("span", ["together", "pictures later", "both late"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".wmv"])
def test_the_pictures_have_the_duration_that_is_announced(tmp_path: Path, suffix: str, span: str) -> None:
    with VideoFile(clap(tmp_path / f"in{suffix}", *SPANS[span])) as video:
        assert [frame.time_s for frame in video][:2] == pytest.approx([0, 1 / RATE], abs=0.001)
        assert video.end_s == pytest.approx(SPANS[span][0][1] - SPANS[span][0][0], abs=0.05)
        assert video.duration_s == pytest.approx(video.end_s, abs=0.05)


@pytest.mark.parametrize("suffix", [".mkv", ".flv"])
def test_a_file_that_is_cut_short_is_known_whoever_is_longer(tmp_path: Path, suffix: str) -> None:
    for span in ("together", "sound longer", "pictures later"):
        path = clap(tmp_path / f"in{suffix}", *SPANS[span])
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 55 // 100])
        with VideoFile(path) as video:
            assert len(list(video)) > 5
        assert any("cut short" in line for line in video.problems), span


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize(("pictures", "sound"), [(-0.28, -0.28), (0, -0.28), (-0.28, 0)])
def test_what_an_edit_list_trims_stays_away(tmp_path: Path, target: str, pictures: float, sound: float) -> None:
    source, out = clap(tmp_path / "in.mp4", (pictures, 3), (sound, 3)), tmp_path / f"out{target}"
    assert copied(source, out).problems == []
    with VideoFile(out) as video:
        assert len(list(video)) == 75
    flash, beeped = moments(out)
    assert flash == pytest.approx(AT, abs=0.005)
    assert beeped == pytest.approx(AT, abs=0.005)
    assert next(heard(out))[0] == pytest.approx(0, abs=0.005)


def boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes of an MP4, or within one: kind and content of each."""
    found = []
    while content:
        size, kind = struct.unpack(">I4s", content[:8])
        found.append((kind, content[8:size]))
        content = content[size:]
    return found


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def edited(path: Path, parts: list[tuple[float, float]]) -> Path:
    """The MP4 with edit lists that play these parts of it, in seconds, one after the other."""
    *before, (kind, moov) = boxes(path.read_bytes())
    assert kind == b"moov"
    changed = b""
    for kind, inside in boxes(moov):
        content = inside
        if kind == b"mvhd":
            (second,) = struct.unpack(">I", content[12:16])
        if kind == b"trak":
            inner = dict(boxes(content))
            (tick,) = struct.unpack(">I", dict(boxes(inner[b"mdia"]))[b"mdhd"][12:16])
            (first,) = struct.unpack(">i", inner[b"edts"][20:24])
            rows = [
                struct.pack(">IiI", round((end - begin) * second), first + round(begin * tick), 65_536)
                for begin, end in parts
            ]
            edits = box(b"elst", struct.pack(">II", 0, len(rows)) + b"".join(rows))
            content = b"".join(box(name, edits if name == b"edts" else part) for name, part in inner.items())
        changed += box(kind, content)
    path.write_bytes(b"".join(box(kind, content) for kind, content in before) + box(b"moov", changed))
    return path


@pytest.mark.parametrize("target", [".mp4", ".mkv", ".webm"])
def test_a_part_that_is_cut_out_by_an_edit_list_stays_away(tmp_path: Path, target: str) -> None:
    source = edited(clap(tmp_path / "in.mp4", (0, 3), (0, 3)), [(0, 0.8), (1.4, 3)])
    out = tmp_path / f"out{target}"
    assert copied(source, out).problems == []
    flash, beeped = moments(out)
    assert flash == pytest.approx(1.0, abs=0.05)
    assert beeped == pytest.approx(1.0, abs=0.02)
    *_, (_, end, _) = heard(out)
    assert end == pytest.approx(2.4, abs=0.05)
