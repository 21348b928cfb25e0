"""Video files that are written: H.264 that browsers and phones play, true timestamps, the source's sound."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, reason
from mien.files import written_aside
from mien.video.audio import Soundtrack
from mien.video.containers import import_av
from mien.video.convert import UNSPECIFIED, usual_matrix
from mien.video.source import FrameSource

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

H264_ENCODERS: Final = ("libx264", "libopenh264", "h264_videotoolbox", "mpeg4")
"""What encodes, the best first; the last is older than H.264 and always there."""

CRF: Final = 20
"""How much x264 may lose, 0 (nothing) to 51; from about 18 on nobody sees a difference in motion."""

_BITS_PER_PIXEL: Final = 0.15
"""What encoders without such a quality get: 4 Mbit/s at 1280x720 and 30 frames/s."""

_TICK: Final = Fraction(1, 60_000)
"""The time base without a source: 24, 25, 30 and 30000/1001 frames/s fall on whole ticks; MPEG-4 can hold it."""

_SWSCALE_MATRICES: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""Matrix coefficients by the numbers of ITU-T H.273, and by swscale's."""


@dataclass(frozen=True, slots=True)
class _Form:
    """A container: FFmpeg's name of it, encoders of pictures and of sound that is not copied, and options."""

    container: str
    video: tuple[str, ...] = H264_ENCODERS
    audio: tuple[str, ...] = ("aac",)
    options: Mapping[str, str] = field(default_factory=dict)


_INDEX_FIRST: Final = {"movflags": "+faststart"}  # so that it plays while it still loads

FORMS: Final = {
    ".mp4": _Form("mp4", options=_INDEX_FIRST),
    ".m4v": _Form("mp4", options=_INDEX_FIRST),
    ".mov": _Form("mov", options=_INDEX_FIRST),
    ".mkv": _Form("matroska"),
    ".webm": _Form("webm", ("libvpx-vp9",), ("libopus",)),
}
"""What can be written, by suffix in lower case."""


class VideoWriter:
    """A video file that is written frame by frame; whole or absent under its name.

        with VideoFile("in.mp4") as video, VideoWriter("out.mp4", video) as writer:
            for frame in video:
                writer.write(frame.image, frame.time_s)

    path    .mp4, .m4v, .mov or .mkv (H.264) or .webm (VP9)
    source  the video that the frames come from: timestamps, colors and sound are carried over, the sound packet for
            packet where the container takes it; None: no sound
    rate    frames/s without a source, 30 if None. It sets how long the last frame is shown, and helps the encoder
    crf     what the encoder may lose, 0..51, where the encoder has such a scale

    With a source that was read to its end, the file ends when the source's last frame does. The first frame sets the
    size; where a side is odd, its last row or column is repeated. On KeyboardInterrupt within the context, what was
    written so far is kept, and plays; on any other error nothing is.

    A thread encodes one frame while the next is being made. Raises ConfigError, one line with the path, on a suffix
    that is not known, on the source's own path, and where the file cannot be written, a full disk included.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        source: FrameSource | None = None,
        *,
        rate: float | None = None,
        crf: int = CRF,
    ) -> None:
        self.path, self.source = Path(path), source
        form = FORMS.get(self.path.suffix.lower())
        if form is None:
            raise ConfigError(f"{path}: expected a file that ends with {', '.join(FORMS)}")
        with suppress(OSError, ValueError):
            if source is not None and source.path.samefile(self.path):
                raise ConfigError(f"{path}: is the video itself and would be overwritten: name another file")
        if not 0 <= crf <= 51:
            raise ConfigError(f"crf must be within 0..51, got {crf}")
        if rate is not None and not 0 < rate <= 1000:
            raise ConfigError(f"rate must be within 0..1000 frames/s, got {rate}")
        self._av = import_av()
        self._form, self._crf, self._codec = form, crf, self._choose(form.video)
        given = 30.0 if source is None else min(source.rate, 1 / source.every if source.every else source.rate)
        self._rate = rate or given
        self._size: tuple[int, int] | None = None
        self._encoding: _Encoding | None = None
        self._job: Future[None] | None = None
        self._is_discarded = False
        self.frames = 0

    def _choose(self, encoders: tuple[str, ...]) -> str:
        for name in encoders:
            with suppress(ValueError):
                self._av.codec.Codec(name, "w")
                return name
        raise ConfigError(f"{self.path}: this FFmpeg has none of the encoders {', '.join(encoders)}")

    def __enter__(self) -> Self:
        self._aside = written_aside(self.path)
        self._part = self._aside.__enter__()
        try:
            self._part.touch()
        except OSError as error:
            self._aside.__exit__(type(error), error, error.__traceback__)
            raise
        self._pool = ThreadPoolExecutor(1, "video-writer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_kept = not self._is_discarded and (error is None or isinstance(error, KeyboardInterrupt))
        try:
            if is_kept:
                self._settle()
                if self._encoding is None and error is None:
                    raise ConfigError(f"{self.path}: there was no frame to write")
                is_kept = self._encoding is not None
                self._job = self._pool.submit(self._finish)
                self._settle()
        except BaseException:
            self._give_up()
            raise
        if not is_kept:
            self._give_up()
            return
        self._pool.shutdown()
        self._aside.__exit__(None, None, None)

    @property
    def problems(self) -> list[str]:
        """What could not be carried over as it was: a line each."""
        return [] if self._encoding is None else self._encoding.problems

    def discard(self) -> None:
        """Let the file not appear when the context ends."""
        self._is_discarded = True

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Add a frame: (H, W, 3) uint8, BGR; time_s as in `Frame`, later than the frame before.

        The image may be changed afterwards. Raises ConfigError on another shape or type than the first frame's.
        An error that the encoder met is raised by a later call, or at the end.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ConfigError(f"expected a frame (H, W, 3) of uint8, got {image.shape} of {image.dtype}")
        size = image.shape[1], image.shape[0]
        if self._size is None:
            self._size = size
        if size != self._size:
            raise ConfigError(f"expected a frame of {self._size[0]}x{self._size[1]} pixels, got {size[0]}x{size[1]}")
        even = cv2.copyMakeBorder(image, 0, size[1] % 2, 0, size[0] % 2, cv2.BORDER_REPLICATE)
        frame = self._av.VideoFrame.from_ndarray(even, "bgr24")
        self._settle()
        self._job = self._pool.submit(self._encode, frame, time_s)
        self.frames += 1

    def _settle(self) -> None:
        """Wait for the thread. What it met is raised here."""
        job = self._job
        try:
            if job is not None:
                job.result()
        except (OSError, ValueError, self._av.error.FFmpegError) as error:
            raise ConfigError(f"{self.path}: cannot be written: {reason(error)}") from error

    def _encode(self, frame: VideoFrame, time_s: float) -> None:
        if self._encoding is None:
            settings = _Settings(self._form, self._codec, self._rate, self._crf)
            self._encoding = _Encoding(self._part, settings, self.source, (frame.width, frame.height))
        self._encoding.encode(frame, time_s)

    def _finish(self) -> None:
        if self._encoding is not None:
            self._encoding.finish()

    def _give_up(self) -> None:
        """Remove what was written."""
        if self._encoding is not None:
            self._pool.submit(self._encoding.close)
        self._pool.shutdown()
        stop = _NotKept()  # the error itself is reported where it was raised
        self._aside.__exit__(_NotKept, stop, None)


class _NotKept(Exception):  # noqa: N818 - never seen
    """Makes `written_aside` remove the part."""


@dataclass(frozen=True, slots=True)
class _Settings:
    """How a file is encoded: container, codec, frames/s, quality."""

    form: _Form
    codec: str
    rate: float
    crf: int

    @property
    def has_quality(self) -> bool:
        """Whether the codec takes crf; else it gets a bit rate."""
        return self.codec in ("libx264", "libvpx-vp9")

    @property
    def options(self) -> dict[str, str] | None:
        """The codec's."""
        return {
            "libx264": {"preset": "veryfast", "crf": str(self.crf)},
            "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "crf": str(self.crf + 12), "b": "0"},
        }.get(self.codec)


class _Encoding:
    """What the writer's thread works on: the open container, its encoder, and the sound. size is width and height."""

    def __init__(self, part: Path, settings: _Settings, source: FrameSource | None, size: tuple[int, int]) -> None:
        av = import_av()
        self._av, self._source = av, source
        self._tick = source.time_base if source is not None and settings.has_quality else _TICK
        self._period = max(1, round(1 / settings.rate / self._tick))
        self._held: VideoFrame | None = None
        self._first_s, self._lead_s = 0.0, 0.0
        self._sound: Soundtrack | None = None
        self._reformatter = av.video.reformatter.VideoReformatter()
        kinds = av.video.reformatter.Interpolation
        self._accurate = kinds.BILINEAR | kinds.ACCURATE_RND  # else colors come out 2 levels too dark
        self._container: OutputContainer = av.open(
            f"file:{part}", "w", format=settings.form.container, container_options=dict(settings.form.options)
        )
        with ExitStack() as opened:
            opened.callback(self._container.close)
            self._encoder = self._video_stream(settings, size)
            if source is not None:
                self._first_s = source.start or 0.0
                self._lead_s = 0.0 if source.start else source.lead_s
                if source.has_audio:
                    self._sound = self._soundtrack(settings, source)
            opened.pop_all()

    def _video_stream(self, settings: _Settings, size: tuple[int, int]) -> VideoStream:
        """The stream of pictures; the source's colors are carried over."""
        av, source = self._av, self._source
        width, height = size
        matrix, primaries, transfer = (
            (usual_matrix(height), UNSPECIFIED, UNSPECIFIED) if source is None else source.colors
        )
        if matrix not in _SWSCALE_MATRICES:
            matrix = usual_matrix(height)
        self._matrix = _SWSCALE_MATRICES[matrix]
        encoder: VideoStream = self._container.add_stream(  # type: ignore[assignment]
            settings.codec, rate=Fraction(settings.rate).limit_denominator(65_535), options=settings.options
        )
        context = encoder.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = self._tick
        context.color_range = av.video.reformatter.ColorRange.MPEG
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.flags |= av.codec.context.Flags.frame_duration
        if not settings.has_quality:
            context.bit_rate = round(width * height * settings.rate * _BITS_PER_PIXEL)
        return encoder

    def _soundtrack(self, settings: _Settings, source: FrameSource) -> Soundtrack:
        return Soundtrack(
            source.path,
            self._container,
            settings.form.audio,
            begin_s=source.zero_s + self._first_s - self._lead_s,
            is_cut=bool(source.start),
            length_s=None if source.end is None else self._shown_s(source.end),
        )

    @property
    def problems(self) -> list[str]:
        return [] if self._sound is None else self._sound.problems

    def encode(self, frame: VideoFrame, time_s: float) -> None:
        """Take a frame; it is encoded when the next one comes, which ends its time."""
        ticks = max(0, self._ticks(time_s))
        if self._held is not None:
            assert self._held.pts is not None
            ticks = max(ticks, self._held.pts + 1)
            self._put(self._held, ticks - self._held.pts)
        frame = self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range=self._av.video.reformatter.ColorRange.MPEG,
            interpolation=self._accurate,
            threads=1,
        )
        frame.pts, frame.time_base = ticks, self._tick
        self._held = frame
        if self._sound is not None:
            self._sound.advance(float(ticks * self._tick))

    def finish(self) -> None:
        """Encode what is held back, bring the sound to its end, and write the container's end."""
        frame = self._held
        assert frame is not None
        assert frame.pts is not None
        end_s = None if self._source is None else self._source.end_s
        duration = self._period if end_s is None else max(1, self._ticks(end_s) - frame.pts)
        self._held = None
        self._put(frame, duration)
        self._container.mux(self._encoder.encode(None))
        if self._sound is not None:
            self._sound.advance(None if end_s is not None else float((frame.pts + duration) * self._tick))
            self._sound.finish()
        self._container.close()

    def close(self) -> None:
        """Close the files, whatever state they are in."""
        if self._sound is not None:
            self._sound.close()
        self._container.close()

    def _shown_s(self, time_s: float) -> float:
        """When a moment of the source comes in the new file."""
        return time_s - self._first_s + self._lead_s

    def _ticks(self, time_s: float) -> int:
        return round(self._shown_s(time_s) / float(self._tick))

    def _put(self, frame: VideoFrame, duration: int) -> None:
        frame.duration = duration
        for packet in self._encoder.encode(frame):
            self._container.mux(packet)
