"""Video files, frame by frame: upright, with true timestamps, in memory that does not grow with their length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mien.cpus import usable_cpus
from mien.errors import ConfigError, ImageError
from mien.images.limits import MAX_PIXELS
from mien.types import Frame
from mien.video.containers import (
    Clock,
    check_pixels,
    duration_of,
    import_av,
    moving_streams,
    open_video,
    pixel_aspect,
    shown_width,
)
from mien.video.convert import BT709, NO_MATRIX, Converter, usual_matrix
from mien.video.frame_reader import FrameReader
from mien.video.problems import CHANGES_SIZE, Problems

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_DAMAGED: Final = "damaged data was skipped"
_MAX_THREADS: Final = 8
_MAX_STUMBLES: Final = 10
_MAX_HOLE: Final = 4096
"""Bytes that may lie between two packets of a Matroska file; healthy ones have some ten."""

_TS_PACKETS: Final = (188, 192)
"""Bytes of a packet of an MPEG transport stream, without and with a time code."""

_BACK_S: Final = (1.0, 15.0)
"""How many seconds before the wanted time a search aims: some containers find a place behind the one asked for."""


class VideoFile(FrameReader):
    """The frames of a video file, in order, each once.

        with VideoFile("interview.mp4", every=0.5) as video:
            for frame in video:
                ...

    start, end  seconds: frames shown from start on and before end are given; None is the beginning, and the end
    every       seconds between the frames that are given; None gives every frame
    max_pixels  width times height of a frame; a video of larger ones is refused
    is_over     asked often, also between the frames that are given; once it says so there are no more

    Frames are BGR, C-contiguous, upright and of square pixels; transparency is laid over white, HDR (PQ, HLG) is
    brought to SDR of BT.709. `time_s` is the file's own timestamp, counted from the video's beginning, and made rising
    where the file's do not rise. `index` counts all decoded frames; with start, the file is not read from its
    beginning, and the count goes on from the time reached times the average rate: exact where the rate is constant, an
    estimate where it varies.

    Damaged parts are skipped or patched up, and `problems` reports them; `notes` has what was chosen and converted.
    Raises ImageError, one line with the path, on what is no video, holds no frame, or has frames of more than
    max_pixels; ConfigError on an option that is invalid.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        every: float | None = None,
        max_pixels: int = MAX_PIXELS,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        check_range(start, end, every)
        self._is_over, self._max_pixels = is_over, max_pixels
        self._av = import_av()
        self.path, self.start, self.end, self.every = Path(path), start, end, every
        self._problems = Problems()
        self._time_s = 0.0
        self._end_s: float | None = None
        self._reached_s = 0.0  # the end of the other streams, as far as they were read, on the file's clock
        self._container: InputContainer | None = None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise
        self._frames = self._kept()

    def close(self) -> None:
        """Close the file; no more frames come."""
        self._left: Iterator[tuple[VideoFrame, float]] = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    @property
    def end_s(self) -> float | None:
        """When the last frame ceases to be shown, in seconds; None as long as not all frames were read."""
        return self._end_s

    @property
    def zero_s(self) -> float:
        """Where time_s 0 lies on the clock that pictures and sound of this file share, in seconds."""
        return float((self._zero or 0) * self.time_base)

    @property
    def lead_s(self) -> float:
        """How many seconds the sound begins before the pictures, 0 or more."""
        return 0.0 if self._began_s is None else max(0.0, self.zero_s - self._began_s)

    @property
    def colors(self) -> tuple[int, int, int]:
        """The frames' matrix coefficients, primaries and transfer characteristics, by the numbers of ITU-T H.273."""
        if self._converter.hdr:
            return BT709, BT709, BT709
        context = self._stream.codec_context
        matrix = usual_matrix(context.height) if context.colorspace in NO_MATRIX else context.colorspace
        return matrix, context.color_primaries, context.color_trc

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of how the file is read and no damage, a line each."""
        lines = [self._chosen] if self._has_others else []
        if self._converter.hdr:
            lines.append(f"its HDR ({self._converter.hdr}) is shown as SDR")
        return [f"{self.name}: {line}" for line in lines]

    @property
    def problems(self) -> list[str]:
        """What was wrong with the file, as far as it was read: a line for each kind of damage."""
        return self._problems.lines(self.name)

    def note(self, what: str) -> None:
        """Add a problem, at the time that was reached."""
        self._problems.add(what, self._time_s)

    def _begin(self) -> None:
        """Open the file, learn from the first frame, and go to the start."""
        self._open()
        self._left = self._timed()
        first = next(self._left, None)
        if first is None:
            raise ImageError(f"{self.name}: no frame of this video can be decoded")
        frame, time_s = first
        self._converter = Converter(frame, pixel_aspect(self._stream))
        self.width, self.height = self._converter.size
        check_pixels(self.width, self.height, self.name, self._max_pixels)  # the file's header may say less
        self._next, self._index = first, 0
        if self.start and time_s < self.start:
            self._seek(self.start)

    def _open(self) -> None:
        """Open the file at its beginning, and read its header."""
        if self._container is not None:
            self._container.close()
        self._container = open_video(self.path)
        streams = moving_streams(self._container, self.name)
        self._stream = streams[0]
        self._chosen = f"of its {len(streams)} video streams the one with index {streams[0].index} was read"
        self._has_others = len(streams) > 1
        context = self._stream.codec_context
        width = shown_width(context.width, pixel_aspect(self._stream))
        check_pixels(width, context.height, self.name, self._max_pixels)
        # A frame may be larger than the file says at its beginning.
        context.options = {"max_pixels": str(self._max_pixels)}
        context.thread_type, context.thread_count = "AUTO", min(usable_cpus(), _MAX_THREADS)
        self._read_header(self._container, self._stream)

    def _read_header(self, container: InputContainer, stream: VideoStream) -> None:
        self.time_base: Fraction = stream.time_base or Fraction(1, 1000)
        self.rate = float(stream.average_rate or stream.guessed_rate or 25)
        self.has_audio = any(track.codec_context is not None for track in container.streams.audio)
        self.duration_s = duration_of(container, stream)
        self._zero: int | None = stream.start_time
        self._began_s = container.start_time / 1_000_000 if container.start_time is not None else None

    def _seek(self, start: float) -> None:
        """Go to the first frame that is shown at start or later."""
        for back in (*_BACK_S, None):
            if back is not None and start <= back:
                continue
            self._open()
            assert self._container is not None
            if back is not None:
                with suppress(self._av.error.FFmpegError):
                    target = (self._zero or 0) + int((start - back) / self.time_base)
                    self._container.seek(target, stream=self._stream)
            self._left = self._timed()
            found = next(self._left, None)
            if found is not None and (found[1] <= start or back is None):
                break
        self._problems.clear()  # of frames that are not asked for
        self._index = 0 if back is None or found is None else round(found[1] * self.rate)
        while found is not None and found[1] < start:
            found = next(self._left, None)
            self._index += 1
        if found is None:
            raise ImageError(f"{self.name}: ends at {self._time_s:.2f} s, before the start at {start:g} s")
        self._next = found

    def _kept(self) -> Iterator[Frame]:
        """The frames that are asked for."""
        due = self._next[1]
        decoded, time_s = self._next
        index = self._index
        while self.end is None or time_s < self.end:
            if time_s >= due - 1e-6:
                if (decoded.width, decoded.height) != self._converter.stored_size:
                    self.note(CHANGES_SIZE)
                yield Frame(self._converter.convert(decoded), index, time_s)
                if self.every is not None:
                    due += self.every * (1 + int((time_s - due) / self.every + 1e-6))
            following = next(self._left, None)
            if self._container is None or self._is_over():  # it was closed before the end
                return
            if following is None:
                self._end_s = time_s + self._shown_s(decoded)
                self._check_truncation(self._end_s)
                return
            decoded, time_s = following
            index += 1
        self._end_s = self.end

    def _shown_s(self, frame: VideoFrame) -> float:
        """How long a frame is shown, in seconds."""
        return float(frame.duration * self.time_base) if frame.duration else 1 / self.rate

    def _check_truncation(self, end_s: float) -> None:
        """Note that the file ends too early: before the announced end, which may be the sound's."""
        reached_s = max(end_s, self._reached_s - self.zero_s)
        if self.duration_s is not None and self.duration_s > reached_s + 0.5 + 2 / self.rate:
            self._time_s = end_s
            self.note(f"cut short: {self.duration_s:.2f} s are announced, and it ends")
        elif self._container is not None and self._container.format.name == "mpegts":
            with suppress(OSError):
                size = self.path.stat().st_size
                if all(size % packet for packet in _TS_PACKETS):
                    self._time_s = end_s
                    self.note("cut short: it ends within a packet")

    def _timed(self) -> Iterator[tuple[VideoFrame, float]]:
        """The decoded frames from here on, and when each is shown."""
        clock = Clock(round(1 / self.time_base), round(1 / self.rate / self.time_base), self._zero)
        for frame in self._decoded():
            ticks = clock.rising(frame.pts if frame.pts is not None else frame.dts)
            if self._zero is None:
                self._zero = ticks
            time_s = float((ticks - self._zero) * self.time_base)
            self._time_s = time_s
            if frame.is_corrupt:
                self.note("a damaged frame was patched up")
            yield frame, time_s

    def _decoded(self) -> Iterator[VideoFrame]:
        """The frames from where the file stands, past whatever is damaged."""
        stumbles = 0
        while stumbles < _MAX_STUMBLES:
            try:
                for packet in self._packets():
                    stumbles = 0
                    if self._is_over():
                        return
                    if packet.is_corrupt:
                        self.note(_DAMAGED)
                    try:
                        frames = packet.decode()
                    except self._av.error.EOFError:
                        return
                    except self._av.error.FFmpegError:
                        self.note(_DAMAGED)
                        continue
                    yield from frames
                return
            except self._av.error.FFmpegError:  # the file itself: it may go on behind the damage
                stumbles += 1
                self.note(_DAMAGED)
        with suppress(self._av.error.FFmpegError):
            yield from self._stream.decode(None)

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """The video's packets. In a damaged Matroska file only a hole between all its packets shows the damage."""
        assert self._container is not None
        may_have_holes = "matroska" in self._container.format.name
        end: int | None = None
        for packet in self._container.demux():
            if packet.size and packet.pos is not None and may_have_holes:
                if end is not None and packet.pos > end + _MAX_HOLE:
                    self.note(_DAMAGED)
                end = packet.pos + packet.size
            if packet.stream.index == self._stream.index:
                yield packet  # type: ignore[misc]
            elif packet.pts is not None and packet.time_base is not None:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._reached_s = max(self._reached_s, end_s)


def check_range(start: float | None, end: float | None, every: float | None) -> None:
    """Raise ConfigError on a part of a video that is none."""
    if start is not None and not 0 <= start < float("inf"):
        raise ConfigError(f"start must be 0 seconds or more, got {start}")
    if end is not None and not (start or 0) < end:
        raise ConfigError(f"end must lie after the start at {start or 0:g} seconds, got {end}")
    if every is not None and not 0 < every < float("inf"):
        raise ConfigError(f"every must be more than 0 seconds, got {every}")
