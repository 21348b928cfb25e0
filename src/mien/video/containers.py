"""Media files as FFmpeg opens them: errors are one line, and clocks rise."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mien.errors import ImageError, MissingExtraError, reason
from mien.images.limits import MAX_PIXELS

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
        raise MissingExtraError("video files", "video") from error
    return av


def open_media(path: Path) -> InputContainer:
    """A media file, opened for reading. It is a local file, and no other file that it names is opened."""
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
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


def moving_stream(container: InputContainer, name: str, max_pixels: int = MAX_PIXELS) -> VideoStream:
    """The stream to decode; a sound file's cover is none. Raises ImageError where there is none that can be."""
    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (stream.disposition.attached_pic | stream.disposition.timed_thumbnails)
    ]
    if not moving:
        kind = "sound only" if container.streams.audio else "no video stream"
        raise ImageError(f"{name}: {kind}, expected a video")
    stream = moving[0]
    if stream.codec_context is None:
        raise ImageError(f"{name}: this video's codec cannot be decoded")
    width = shown_width(stream.codec_context.width, pixel_aspect(stream))
    check_pixels(width, stream.codec_context.height, name, max_pixels)
    return stream


def check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    """Raise ImageError on frames, as they are shown, of more pixels."""
    if width * height > max_pixels:
        raise ImageError(f"{name}: has {width}x{height} pixels, which is more than the limit of {max_pixels:,}")


def duration_of(container: InputContainer, stream: VideoStream) -> float | None:
    """The video's duration by the file, in seconds.

    The file's own duration comes last: that may be the duration of the sound.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    with suppress(KeyError, ValueError):
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return container.duration / 1_000_000 if container.duration and container.duration > 0 else None


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
