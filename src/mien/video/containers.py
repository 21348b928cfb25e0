"""Media files as FFmpeg opens them: errors are one line, and clocks rise."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.errors import ImageError, MissingExtraError, reason

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_MAX_ASPECT: Final = Fraction(4)
"""How much wider or narrower than high a pixel may be. Those of cameras are within 1/2 to 2: more is a mistake."""


_VIDEO: Final = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,live_flv,ogg,yuv4mpegpipe,nut,mxf,ivf,obu,dv,rm,wtv"
)
_RAW: Final = "m4v,h261,h263,h264,hevc,vc1,mjpeg,gif,apng"
_SOUND: Final = "wav,w64,mp3,flac,aac,ac3,eac3,dts,aiff,caf,amr,au,ape,wv,tta"
_FORMATS: Final = f"{_VIDEO},{_RAW},{_SOUND}"
"""FFmpeg's names of what is opened: files that hold their pictures and sound. Playlists and lists of files are left
out: FFmpeg opens what they name, whoever wrote them.
"""


def import_av() -> Any:
    """PyAV, imported when first needed. Raises MissingExtraError."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("video", "video") from error
    return av


def open_media(path: Path, *, edited: bool = True) -> InputContainer:
    """A media file, opened for reading. It is a local file, and no other file that it names is opened.

    edited  whether edit lists of MP4 and MOV hold
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "ignore_editlist": str(int(not edited))}
    container: InputContainer = import_av().open(f"file:{path}", options=options)
    return container


def open_video(path: Path) -> InputContainer:
    """A video file, opened for reading. Raises ImageError, one line with the path, where it is none."""
    errors = import_av().error
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected a video")
        with path.open("rb") as file:
            head = file.read(12)
        if not head:
            raise ImageError(f"{path}: is empty, expected a video")
        return open_media(path)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except errors.EOFError as error:
        raise ImageError(f"{path}: ends before its first frame") from error
    except (errors.InvalidDataError, errors.ArgumentError) as error:  # the latter on what is none of _FORMATS
        if head[4:8] == b"ftyp":
            cause = "its index (moov) is missing or damaged; it was probably cut short while it was written"
            raise ImageError(f"{path}: this video cannot be opened: {cause}") from error
        raise ImageError(f"{path}: not a video, or a damaged one") from error
    except (OSError, ValueError, errors.FFmpegError) as error:
        raise ImageError(f"{path}: cannot be read: {reason(error)}") from error


def moving_streams(container: InputContainer, name: str) -> list[VideoStream]:
    """The streams that can be decoded, the one to take first: of several the one that is marked as default.

    A sound file's cover is none. Raises ImageError where there is none.
    """
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails)
    ]
    if not moving:
        kind = "sound only" if container.streams.audio else "no video stream"
        raise ImageError(f"{name}: {kind}, expected a video")
    known = [stream for stream in moving if stream.codec_context is not None]
    if not known:
        raise ImageError(f"{name}: this video's codec cannot be decoded")
    return sorted(known, key=lambda stream: not stream.disposition & stream.disposition.default)


def check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    """Raise ImageError on frames, as they are shown, of more pixels."""
    if width * height > max_pixels:
        raise ImageError(f"{name}: has {width}x{height} pixels, which is more than the limit of {max_pixels:,}")


def duration_of(container: InputContainer, stream: VideoStream) -> float | None:
    """How long the video's pictures last by the file, in seconds.

    Matroska's tag and WMV name the time at which they end, and they may begin later than the sound. The duration of all
    streams comes last: that may be the sound's.
    """
    whole_begin = (container.start_time or 0) / 1_000_000
    begin = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else whole_begin
    if stream.duration and stream.time_base:
        last = float(stream.duration * stream.time_base)
        return _positive(last - begin if container.format.name == "asf" else last)
    with suppress(KeyError, ValueError):
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return _positive(int(hours) * 3600 + int(minutes) * 60 + float(seconds) - begin)
    return _positive(whole_begin + container.duration / 1_000_000 - begin) if container.duration else None


def _positive(seconds: float) -> float | None:
    return seconds if seconds > 0 else None


def pixel_aspect(stream: VideoStream) -> Fraction:
    """The width of a stored pixel by its height: by the container, else by the codec, else 1."""
    return stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)


def shown_width(width: int, aspect: Fraction) -> int:
    """The width in square pixels of a row of pixels of this shape; a shape beyond _MAX_ASPECT is taken for square."""
    return max(1, round(width * aspect)) if 1 / _MAX_ASPECT <= aspect <= _MAX_ASPECT else width


class Clock:
    """Ticks made strictly rising: a missing one is counted on, a repeated one moved by a tick, and a clock that was set
    back goes on where it stood.
    """

    def __init__(self, second: int, period: int, least: int | None = None) -> None:
        """Ticks in a second, from one frame or packet to the next by default, and that none comes before."""
        self._second, self._period = second, max(1, period)
        self._offset = 0
        self._last = None if least is None else least - 1

    def rising(self, ticks: int | None) -> int:
        """The ticks to go by; ticks is the file's, or None where it has none."""
        if self._last is None:
            self._last = ticks or 0
            return self._last
        now = self._last + self._period if ticks is None else ticks + self._offset
        if now < self._last - self._second:
            self._offset += self._last + self._period - now
            now = self._last + self._period
        self._last = max(now, self._last + 1)
        return self._last
