"""Whether memory grows with a video's length: `mien predict` on a file of one minute and on a long one.

    python benchmarks/long_video.py [--minutes 30] [--rate 15] [--json long_video.json] [-- OPTION ...]

Makes two files of 1280x720 with sound in a temporary folder, the astronaut's face wandering about; what stands behind
`--` goes to `mien predict`. The long file repeats the encoded minute, with the times moved on. With --copy the frames
are only read and written, without any analysis. Prints peak memory, durations in and out, and whether the packets of
the sound are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from output import write_json

from mien.video.reader import VideoFile

SIZE = 1280, 720
SECONDS = 60
SOUND_RATE = 48_000
LAUNCH = Path(__file__).parent / "peers" / "launch.py"
"""Runs a command and prints its peak memory."""

COPY = """
import sys
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

with VideoFile(sys.argv[1]) as video, VideoWriter(sys.argv[2], video) as writer:
    for frame in video:
        writer.write(frame.image, frame.time_s)
"""


def pictures(rate: int) -> Iterator[NDArray[np.uint8]]:
    """A minute of frames (720, 1280, 3) uint8 RGB: the face moves on an ellipse and changes its size."""
    face = skimage.data.astronaut()[:256, 96:352]
    background = cv2.GaussianBlur(cv2.resize(skimage.data.astronaut(), SIZE), (0, 0), 25)
    for index in range(SECONDS * rate):
        angle = 2 * np.pi * index / (10 * rate)
        side = int(300 + 80 * np.sin(3 * angle))
        x, y = int(490 + 350 * np.cos(angle)), int(170 + 120 * np.sin(angle))
        frame = background.copy()
        frame[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        yield frame


def make_minute(path: Path, rate: int) -> None:
    """A minute of H.264 with AAC."""
    random = np.random.default_rng(0)
    samples_each = SOUND_RATE // rate
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE)
        for index, picture in enumerate(pictures(rate)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(video.encode(frame))
            noise = (random.standard_normal((1, samples_each)) * 2000).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(noise, "s16", "mono")
            samples.sample_rate, samples.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
            samples.pts = index * samples_each
            container.mux(audio.encode(samples))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def repeat(minute: Path, path: Path, minutes: int) -> None:
    """The same packets over and over, a minute later each time."""
    with av.open(str(path), "w") as container:
        outputs: dict[int, Any] = {}
        for turn in range(minutes):
            with av.open(str(minute)) as source:
                for packet in source.demux():
                    stream = packet.stream
                    if turn == 0 and stream.index not in outputs:
                        outputs = {each.index: container.add_stream_from_template(each) for each in source.streams}
                    assert packet.time_base is not None
                    moved = round(turn * SECONDS / packet.time_base)
                    # encoders of sound begin before 0 and end behind the last frame: only the first minute has that
                    if packet.size and not (
                        stream.type == "audio" and (_int(packet.pts) < 0 < turn or is_late(packet))
                    ):
                        packet.pts, packet.dts = _int(packet.pts) + moved, _int(packet.dts) + moved
                        packet.stream = outputs[stream.index]
                        container.mux(packet)


def _int(time: int | None) -> int:
    """The time of a packet, which a muxer always sets."""
    assert time is not None
    return time


def is_late(packet: Any) -> bool:
    """Whether a packet reaches into the next minute."""
    return bool((packet.pts + packet.duration) * packet.time_base > SECONDS)


def _seconds(packet: Any) -> Fraction:
    return Fraction(packet.pts * packet.time_base)


def sound(path: Path) -> list[tuple[int, int]]:
    """Of each packet of sound its time in samples, and a hash of its bytes."""
    with av.open(str(path)) as container:
        return [
            (round(_seconds(packet) * SOUND_RATE), hash(bytes(packet)))
            for packet in container.demux(audio=0)
            if packet.size
        ]


def duration(path: Path) -> float:
    """Seconds of the pictures, as the file reports."""
    with VideoFile(path) as video:
        return float(video.duration_s or 0)


def measured(source: Path, command: Sequence[str], out: Path, rate: int) -> dict[str, object]:
    """Run the command on a file, and hold what it wrote against what it read."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCH), *command], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    if result["code"] or not out.exists():
        sys.exit(f"{' '.join(command)} ended with {result['code']}\n{done.stderr}")
    before, after = duration(source), duration(out)
    return {
        "seconds": round(result["seconds"], 1),
        "peak_mb": round(result["bytes"] / 1e6, 1),
        "duration_in_s": round(before, 3),
        "duration_out_s": round(after, 3),
        "within_a_frame": abs(before - after) <= 1 / rate,
        "sound_packets": len(sound(source)),
        "sound_identical": sound(source) == sound(out),
        "bytes_out": os.path.getsize(out),  # noqa: PTH202
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30, help="length of the long file")
    parser.add_argument("--rate", type=int, default=15, help="frames/s; must divide 48000")
    parser.add_argument("--copy", action="store_true", help="only read and write, without analysis")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("options", nargs="*", help="options of mien predict, after --")
    arguments = parser.parse_args()

    figures: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        minute, long = folder / "minute.mp4", folder / "long.mp4"
        make_minute(minute, arguments.rate)
        repeat(minute, long, arguments.minutes)
        for source in (minute, long):
            out = folder / f"{source.stem}-out.mp4"
            if arguments.copy:
                command = [sys.executable, "-c", COPY, str(source), str(out)]
            else:
                records = folder / f"{source.stem}.jsonl"
                command = [sys.executable, "-m", "mien", "predict", str(source), "--out", str(out)]
                command += ["--json", str(records), *arguments.options]
            figures[source.stem] = measured(source, command, out, arguments.rate)
            print(source.stem, json.dumps(figures[source.stem]), flush=True)
    grown = float(str(figures["long"]["peak_mb"])) - float(str(figures["minute"]["peak_mb"]))
    print(f"peak memory of {arguments.minutes} minutes is {grown:+.1f} MB against one minute")
    if arguments.json:
        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
