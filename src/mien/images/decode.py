"""Pictures from wherever they come: files, bytes, arrays, PIL images."""

from __future__ import annotations

import base64
import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from mien.errors import ConfigError, ImageError, ImageFormatError, ImageTooLargeError, reason
from mien.images.content import HEAD, content_of
from mien.images.depth import deep_file, eight_bits, with_all_bits
from mien.images.heif import can_read_heif
from mien.images.limits import FORMATS, MAX_PIXELS, MAX_SIDE, NOT_FETCHED, check_parts, is_address

_TURNED: Final = (5, 6, 7, 8)
"""The EXIF orientations whose width is the upright picture's height."""

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]
"""Whatever `read_image` reads."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was decoded: (H, W, 3) uint8, BGR, upright; and the whole picture's width and height in pixels,
    which are larger than the array's where it was decoded at a reduced size. frames is how many its file holds, of an
    animation or of pages: this is the first.
    """

    image: NDArray[np.uint8]
    width: int
    height: int
    frames: int = 1

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Picture:
        """The picture that an array holds in full."""
        return cls(image, image.shape[1], image.shape[0])

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the whole picture to one of the array, across and down: 1 where it was decoded in full."""
        return self.width / self.image.shape[1], self.height / self.image.shape[0]


def read_image(
    source: ImageSource,
    *,
    color: Literal["bgr", "rgb"] = "bgr",
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] = FORMATS,
) -> NDArray[np.uint8]:
    """One picture as (H, W, 3) uint8 in BGR order, upright, in full size. The options are those of `read_picture`."""
    return read_picture(source, color=color, max_pixels=max_pixels, formats=formats).image


def read_picture(
    source: ImageSource,
    *,
    color: Literal["bgr", "rgb"] = "bgr",
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] = FORMATS,
    reduce_to: int | None = None,
) -> Picture:
    """One picture, decoded.

    source      a path; a `data:image/...;base64,` text; the bytes of a file; a file object opened for reading bytes,
                read from its beginning where it can seek; a PIL image; or an array: (H, W), (H, W, 1), (H, W, 3) or
                (H, W, 4), of bool, uint8, float within 0..1, or integers of more bits (`eight_bits` scales them)
    color       the channel order of an array; says nothing about the other sources
    max_pixels  pictures with more pixels are refused before they are decoded
    formats     those of FORMATS whose decoders may see the file
    reduce_to   a JPEG is decoded at a half, a quarter or an eighth of its size where its longer side keeps at least
                N pixels, which takes a fraction of the time; None: in full

    EXIF orientation is applied, transparency is laid over white, CMYK is converted, 10 to 16 bits are scaled by the
    depth that the values imply; color profiles are not applied. A uint8 BGR array is returned as it is, not copied:
    Mien never writes into it.

    Raises ImageError on whatever is missing, damaged or truncated, ImageFormatError on what is no picture of `formats`,
    ImageTooLargeError beyond max_pixels, ConfigError on a bad option.
    """
    if color not in ("bgr", "rgb"):
        raise ConfigError(f"color must be 'bgr' or 'rgb', got {color!r}")
    if isinstance(source, np.ndarray):
        return Picture.of(_from_array(source, color, max_pixels))
    if isinstance(source, str) and source.startswith(_DATA_URI):
        source = data_uri_bytes(source)
    name = source_name(source)
    if isinstance(source, Image.Image):
        return _from_pil(source, name or "the image", max_pixels, None)
    if isinstance(source, str | os.PathLike):
        _check_path(str(name))
        with open_file(Path(source), str(name)) as file:
            return _from_pil(identify(file, str(name), formats), str(name), max_pixels, reduce_to)
    if isinstance(source, bytes | bytearray | memoryview):
        name, content = "the bytes", bytes(source)
    elif hasattr(source, "read"):
        name = name or "the file object"
        content = _content(source, name)
    else:
        advice = ": `numpy.asarray` makes an array of it" if hasattr(source, "__array__") else ""
        kind = type(source).__name__
        raise ImageError(f"expected a path, bytes, a file object, a PIL image or an array, got {kind}{advice}")
    check_parts(content, name)
    return _from_pil(identify(BytesIO(content), name, formats), name, max_pixels, reduce_to)


def check_pictures(sources: Iterable[ImageSource]) -> None:
    """Raise ConfigError on one picture where several are expected."""
    kinds = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)
    is_one = isinstance(sources, kinds) or hasattr(sources, "read")
    if isinstance(sources, np.ndarray):
        is_one = sources.ndim < 3 or (sources.ndim == 3 and sources.shape[2] in (1, 3, 4))
    if is_one:
        raise ConfigError("expected several pictures, got one: use `analyze`, or put it in a list")
    if not isinstance(sources, Iterable):
        raise ConfigError(f"expected several pictures, in a list or an iterator, got {type(sources).__name__}")


_DATA_URI: Final = "data:image/"
_BASE64: Final = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")  # how JPEG, PNG, GIF and WebP begin in base64
_LONGEST_PATH: Final = 4096


def data_uri_bytes(text: str) -> bytes:
    """The content of a `data:...;base64,` text (RFC 2397). Raises ImageError."""
    head, comma, _ = text[:1000].partition(",")
    if not (comma and head.lower().endswith(";base64")):
        raise ImageError("the data URI: expected `data:image/...;base64,...`")
    return base64_bytes(text, "the data URI", start=len(head) + 1)


def base64_bytes(text: str, name: str, start: int = 0) -> bytes:
    """What base64 from `start` on holds, whatever its line breaks. Raises ImageError about what has this name.

    Text may come from anybody, so it takes no more than three times the text's memory, the text included.
    """
    try:
        return base64.b64decode(text[start:].encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except UnicodeEncodeError:
        raise ImageError(f"{name} is not base64: it holds more than ASCII") from None
    except ValueError as error:
        raise ImageError(f"{name} is not base64: {error}") from None


def _check_path(name: str) -> None:
    """Raise ImageError on what is no path, in words that help: base64, other data URIs, addresses."""
    if len(name) > _LONGEST_PATH or (name.startswith(_BASE64) and not Path(name).exists()):
        raise ImageError(
            f"expected a path, got a text of {len(name):,} characters; if it is a picture in base64, put "
            "`data:image/jpeg;base64,` before it"
        )
    if name.lower().startswith("data:"):
        raise ImageError("the data URI: expected `data:image/...;base64,...`")
    if not name:
        raise ImageError("the path is empty")
    if is_address(name):
        raise ImageError(f"{name}: {NOT_FETCHED}")


def _content(file: BinaryIO, name: str) -> bytes:
    """All bytes of a file object, from its beginning where it can seek: whoever had it before may have read of it."""
    try:
        if hasattr(file, "seekable") and file.seekable():
            file.seek(0)
        content: object = file.read()
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read: {error}") from error
    if inspect.isawaitable(content):
        if inspect.iscoroutine(content):
            content.close()
        raise ImageError(f"{name}: it is read asynchronously: give its bytes, `await file.read()`")
    if not isinstance(content, bytes):
        raise ImageError(f"{name}: expected a file opened for reading bytes ('rb'), got {type(content).__name__}")
    return content


def source_name(source: object) -> str | None:
    """The path that a source has, as text, or None where it has none."""
    if isinstance(source, str) and source.startswith(_DATA_URI):
        return None
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) else None


def open_file(path: Path, name: str) -> BinaryIO:
    """A picture file, opened; what is wrong with the path is reported in one line."""
    try:
        if path.is_dir():
            raise ImageError(f"{name}: is a folder, expected a picture")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read: {reason(error)}") from error


def identify(file: IO[bytes], name: str, formats: Sequence[str]) -> Image.Image:
    """The picture in a file, its header read and nothing decoded.

    Image.open would do, but above its own limit it warns, or raises without the size. So its plugins are asked
    here as it asks them, and the size is checked by `check_size`. Raises ImageError.
    """
    prefix = file.read(HEAD)
    if not prefix:
        raise ImageError(f"{name}: the file is empty")
    for factory, accept in _openers(formats):
        if accept is None or accept(prefix[:16]) is True:
            file.seek(0)
            try:
                image: Image.Image = factory(file, name)
                return image
            except Exception as error:  # plugins raise nearly anything on damaged files
                raise ImageError(f"{name}: damaged or truncated: {reason(error)}") from error
    match content_of(prefix):
        case "heif":
            raise ImageFormatError(f"{name}: reading HEIC needs an optional part of Mien: pip install 'mien[heic]'")
        case "video":
            raise ImageFormatError(f"{name}: a video, expected a picture")
    raise ImageFormatError(f"{name}: not a picture of a known format; known are {', '.join(formats).upper()}")


def _openers(formats: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Pillow's openers for these formats, in their order, where this Pillow has them: what makes a picture of a file,
    and what knows the format by its first bytes. A module is imported when a file is of none of the formats before it.

    Where all of FORMATS are allowed, HEIF follows, and what the user's program registered with Pillow.
    """
    for name in formats:
        with suppress(ImportError):
            import_module(f"PIL.{name}ImagePlugin")
        if name.upper() in Image.OPEN:
            yield Image.OPEN[name.upper()]
    if tuple(formats) == FORMATS:
        can_read_heif()
        for opener, accept in list(Image.OPEN.values()):
            if accept is not None and not opener.__module__.startswith("PIL."):
                yield opener, accept


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Raise ImageError on a picture without pixels, ImageTooLargeError on one with too many."""
    if width < 1 or height < 1:
        raise ImageError(f"{name}: has no pixels: {width} x {height}")
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width:,} x {height:,} = {width * height:,} pixels, the limit is {max_pixels:,} (max_pixels)"
        )
    if max(width, height) > MAX_SIDE:
        raise ImageTooLargeError(f"{name}: {width:,} x {height:,} pixels, the limit of a side is {MAX_SIDE:,}")


def _from_pil(image: Image.Image, name: str, max_pixels: int, reduce_to: int | None) -> Picture:
    """Decode, turn upright, and bring to eight bits, opaque, BGR."""
    check_size(*image.size, name, max_pixels)
    try:
        sides = image.size
        if reduce_to is not None:
            reduction = max((n for n in (2, 4, 8) if max(sides) >= n * reduce_to), default=1)
            image.draft(None, (max(1, sides[0] // reduction), max(1, sides[1] // reduction)))  # JPEG; others pass
        deep = deep_file(image)
        image.load()
        frames = _count_frames(image)
        if deep is not None:
            image = with_all_bits(image, deep)
        with suppress(Exception):  # a damaged EXIF block does not spoil the pixels
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            if orientation != 1:
                image = ImageOps.exif_transpose(image)
                sides = sides[::-1] if orientation in _TURNED else sides
        if image.mode.startswith(("I", "F")):
            return replace(Picture.of(_from_array(np.asarray(image), "bgr", max_pixels)), frames=frames)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return Picture(_swapped(np.asarray(image if image.mode == "RGB" else image.convert("RGB"))), *sides, frames)
    except ImageError as error:
        raise type(error)(f"{name}: {error}") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"{name}: damaged or truncated: {reason(error)}") from error


def _count_frames(image: Image.Image) -> int:
    """How many frames or pages a file holds. Of a photo with a depth or gain map (MPO) one is the picture."""
    if image.format == "MPO":
        return 1
    with suppress(Exception):  # a damaged animation has a first frame all the same
        return max(1, int(getattr(image, "n_frames", 1)))
    return 1


def _from_array(array: NDArray[Any], color: Literal["bgr", "rgb"], max_pixels: int) -> NDArray[np.uint8]:
    """An array as BGR uint8; grey is repeated on three channels, alpha laid over white."""
    shape = array.shape
    if not (array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))):
        advice = ""
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            advice = ": channels come last, `array.transpose(1, 2, 0)`"
        elif array.ndim == 4:
            advice = ": one picture at a time, or `analyze_many`"
        raise ImageError(f"expected an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {shape}{advice}")
    check_size(shape[1], shape[0], "the array", max_pixels)
    image = eight_bits(array)
    if image.ndim == 2 or shape[2] == 1:
        grey = image.reshape(shape[:2])
        return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
    if shape[2] == 4:
        alpha = image[:, :, 3:].astype(np.uint16)
        image = ((image[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image) if color == "bgr" else _swapped(image)


def _swapped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to BGR, in a new contiguous array."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), np.uint8)
