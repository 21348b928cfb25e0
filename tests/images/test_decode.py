from __future__ import annotations

import base64
import io
import tracemalloc
import warnings
from pathlib import Path
from tempfile import SpooledTemporaryFile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image, ImageChops

from mien.errors import ConfigError, ImageError, ImageFormatError, ImageTooLargeError, one_line
from mien.images.decode import read_image, read_picture

RGB = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
"""A picture whose every value differs, 9 wide and 6 high."""


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PNG = encoded(Image.fromarray(RGB), "PNG")


def test_all_kinds_of_source_give_the_same_picture(tmp_path: Path) -> None:
    path = tmp_path / "ä picture.png"
    path.write_bytes(PNG)
    with path.open("rb") as file:
        pictures = [
            read_image(path),
            read_image(str(path)),
            read_image(PNG),
            read_image(bytearray(PNG)),
            read_image(memoryview(PNG)),
            read_image(file),
            read_image(io.BytesIO(PNG)),
            read_image(Image.fromarray(RGB)),
            read_image(RGB, color="rgb"),
            read_image(RGB[:, :, ::-1]),
        ]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.flags.c_contiguous
        np.testing.assert_array_equal(picture, RGB[:, :, ::-1])


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_lossless_formats_come_back_as_they_were(rgb: np.ndarray) -> None:
    for kind, options in (("PNG", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {}), ("WEBP", {"lossless": True})):
        data = encoded(Image.fromarray(rgb), kind, **options)
        np.testing.assert_array_equal(read_image(data), rgb[:, :, ::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("RGB", (40, 24), "white")
    upright.paste("red", (0, 0, 20, 12))  # left top
    upright.paste("blue", (20, 12, 40, 24))  # right bottom
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_image(encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert picture.shape == (24, 40, 3)
    assert np.abs(picture.astype(int) - np.asarray(upright)[:, :, ::-1]).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_jpeg_is_upright_and_tells_its_whole_size(orientation: int) -> None:
    image = Image.fromarray(np.zeros((90, 205, 3), np.uint8))
    image.paste((255, 255, 255), (0, 0, 100, 40))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = encoded(image, "JPEG", exif=exif, quality=95)
    whole, reduced = read_picture(file), read_picture(file, reduce_to=50)
    assert (whole.height, whole.width) == whole.image.shape[:2] == ((90, 205) if orientation < 5 else (205, 90))
    assert (reduced.width, reduced.height) == (whole.width, whole.height)
    assert max(reduced.image.shape) == 52  # a quarter of 205, rounded up
    small = cv2.resize(whole.image, reduced.image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - reduced.image).mean() < 3


@pytest.mark.parametrize(("sides", "kept"), [((205, 90), (103, 45)), ((199, 90), (199, 90)), ((30, 801), (4, 101))])
def test_the_longer_side_keeps_what_was_asked_for(sides: tuple[int, int], kept: tuple[int, int]) -> None:
    picture = read_picture(encoded(Image.new("RGB", sides), "JPEG"), reduce_to=100)
    assert picture.image.shape[1::-1] == kept
    assert (picture.width, picture.height) == sides


def test_other_formats_are_read_in_full() -> None:
    assert read_picture(encoded(Image.new("RGB", (400, 90)), "PNG"), reduce_to=50).image.shape == (90, 400, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_spoil_the_picture() -> None:
    data = encoded(Image.new("RGB", (20, 10), "red"), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert read_image(data).shape == (10, 20, 3)


def test_grey_is_repeated_and_black_and_white_stretched() -> None:
    grey = RGB[:, :, 0]
    for picture in (read_image(encoded(Image.fromarray(grey), "PNG")), read_image(grey), read_image(grey[:, :, None])):
        np.testing.assert_array_equal(picture, np.repeat(grey[:, :, None], 3, axis=2))
    bits = np.eye(5, dtype=bool)
    for picture in (read_image(encoded(Image.fromarray(bits), "PNG")), read_image(bits)):
        np.testing.assert_array_equal(picture[:, :, 1], bits * np.uint8(255))


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    deep = np.array([[0, 128, 129, 257, 30000], [32768, 65278, 65407, 65408, 65535]], np.uint16)
    wanted = np.rint(deep / 257).astype(np.uint8)
    picture = Image.fromarray(deep)
    for source in (
        encoded(picture, "PNG"),
        encoded(picture, "TIFF"),
        encoded(picture, "PPM"),
        deep,
        deep.astype(">u2"),
    ):
        np.testing.assert_array_equal(read_image(source)[:, :, 0], wanted)


def test_transparency_lies_over_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 128, 255
    wanted = np.array([[255, 127, 0]])
    for source in (encoded(Image.fromarray(rgba), "PNG"), encoded(Image.fromarray(rgba), "WEBP", lossless=True), rgba):
        np.testing.assert_array_equal(read_image(source)[:, :, 0], wanted)
    grey_alpha = Image.fromarray(rgba[:, :, 2:])
    assert grey_alpha.mode == "LA"
    np.testing.assert_array_equal(read_image(encoded(grey_alpha, "PNG"))[:, :, 0], wanted)


def test_palettes_with_and_without_transparency() -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for x in range(3):
        picture.putpixel((x, 0), x)
    np.testing.assert_array_equal(read_image(encoded(picture, "PNG"))[0], [[0, 0, 255], [0, 255, 0], [255, 0, 0]])
    for kind in ("PNG", "GIF"):
        data = encoded(picture, kind, transparency=1)
        np.testing.assert_array_equal(read_image(data)[0], [[0, 0, 255], [255, 255, 255], [255, 0, 0]])


def test_cmyk_and_adobes_inverted_cmyk() -> None:
    rgb = Image.new("RGB", (16, 16), (250, 60, 20))
    cmyk = rgb.convert("CMYK")
    plain = encoded(cmyk, "TIFF")
    adobe = encoded(cmyk, "JPEG", quality=95)  # Pillow writes what Photoshop writes: inverted, with Adobe's marker
    assert b"Adobe" in adobe
    for data in (plain, adobe):
        assert np.abs(read_image(data).astype(int) - (20, 60, 250)).max() < 8


def test_an_animation_gives_its_first_frame() -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_image(data)[0, 0], [0, 0, 255])


@pytest.mark.parametrize(
    ("form", "frames"), [("GIF", 3), ("WEBP", 3), ("PNG", 3), ("TIFF", 3), ("JPEG", 1), ("MPO", 1)]
)
def test_the_frames_of_a_file_are_counted(form: str, frames: int) -> None:
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    options = {} if form == "JPEG" else {"save_all": True, "append_images": pictures[1:]}
    picture = read_picture(encoded(pictures[0], form, **options))
    assert picture.frames == frames
    assert picture.image[0, 0, 2] > 250


def test_a_pil_image_is_left_as_it_is() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(Image.new("RGB", (30, 10), "red"), "JPEG", exif=exif)))
    before = image.copy()
    assert read_image(image).shape == (30, 10, 3)
    assert image.size == (30, 10)
    assert ImageChops.difference(image, before).getbbox() is None


def test_floats_within_0_and_1_are_scaled() -> None:
    np.testing.assert_array_equal(read_image(np.array([[0.0, 0.5, 1.0]]))[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3,), np.uint8), r"\(H, W\).*got \(3,\)"),
        (np.zeros((3, 3, 2), np.uint8), r"got \(3, 3, 2\)"),
        (np.zeros((2, 3, 3, 3), np.uint8), r"got \(2, 3, 3, 3\): one picture at a time"),
        (np.zeros((3, 8, 9), np.uint8), r"got \(3, 8, 9\): channels come last"),
        (np.zeros((0, 3, 3), np.uint8), "no pixels"),
        (np.zeros((3, 3), np.complex64), "got complex64"),
        (np.full((3, 3), 255.0), r"within 0\.\.1, got 255\.\.255: divide them by 255"),
        (np.full((3, 3), np.nan), "within 0..1"),
        (np.array([["a"]]), "got <U1"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(array)


def test_wrong_sources_and_options() -> None:
    with pytest.raises(ConfigError, match="'bgr' or 'rgb'"):
        read_image(RGB, color="grey")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="got int"):
        read_image(5)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match=r"got Tensor: `numpy\.asarray`"):
        read_image(type("Tensor", (), {"__array__": None})())
    with pytest.raises(ImageError, match="'rb'"):
        read_image(io.StringIO("text"))  # type: ignore[arg-type]


def test_data_uris_are_read() -> None:
    text = base64.b64encode(PNG).decode()
    for uri in (f"data:image/png;base64,{text}", f"data:image/png;base64,{text[:40]}\n{text[40:]}"):
        np.testing.assert_array_equal(read_image(uri), read_image(PNG))
    for uri, words in (("data:image/png;base64,***", "not base64"), ("data:image/png,abc", "expected `data:image")):
        with pytest.raises(ImageError, match=words) as caught:
            read_image(uri)
        assert len(str(caught.value)) < 200
    with pytest.raises(ImageError) as caught:
        read_image("data:image/png;base64," + base64.b64encode(b"no picture" * 10_000).decode())
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("url", ["http://example.org/a.jpg", "HTTPS://example.org/a.jpg"])
def test_addresses_are_not_fetched(url: str) -> None:
    with pytest.raises(ImageError, match=rf"{url}: addresses are not fetched: download it first"):
        read_image(url)


def test_file_objects_are_read_from_their_beginning() -> None:
    seen = io.BytesIO(PNG)
    Image.open(seen).load()
    np.testing.assert_array_equal(read_image(seen), read_image(PNG))
    with SpooledTemporaryFile() as written:
        written.write(PNG)
        np.testing.assert_array_equal(read_image(written), read_image(PNG))  # type: ignore[arg-type]

    class Pipe(io.RawIOBase):
        """It cannot seek."""

        def read(self, size: int = -1) -> bytes:
            return PNG

    np.testing.assert_array_equal(read_image(Pipe()), read_image(PNG))  # type: ignore[arg-type]


def test_a_file_that_is_read_asynchronously_is_named_so() -> None:
    class Upload:
        filename = "me.png"

        async def read(self) -> bytes:
            return PNG

    with pytest.raises(ImageError, match=r"me\.png: it is read asynchronously: give its bytes, `await file\.read\(\)`"):
        read_image(Upload())  # type: ignore[arg-type]


def test_floats_may_overshoot_a_little() -> None:
    values = np.array([[-1e-7, 0.5, 1 + 1e-7]], np.float32)
    np.testing.assert_array_equal(read_image(values)[0, :, 0], [0, 128, 255])
    with pytest.raises(ImageError, match=r"got 0\.\.1\.0015"):
        read_image(np.array([[0.0, 1.0015]]))


def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path: Path) -> None:
    jpeg = encoded(Image.effect_noise((64, 64), 50), "JPEG")
    cases = {
        "empty.jpg": (b"", "is empty"),
        "text.jpg": (b"this is no picture at all, is it?", "not a picture"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "header.png": (PNG[:20], "truncated"),
        "svg.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        "missing.jpg": (None, "no such file"),
        "nul\0.jpg": (None, "cannot be read|no such file"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ImageError, match=words) as caught:
            read_image(path)
        assert str(caught.value).startswith(one_line(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_picture_or_an_image_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"]))
    content = bytearray(encoded(Image.fromarray(RGB), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = read_image(bytes(content), max_pixels=10_000_000)
        except ImageError:
            return
    assert picture.ndim == 3
    assert picture.dtype == np.uint8


def test_one_pixel_is_a_picture() -> None:
    assert read_image(encoded(Image.new("RGB", (1, 1)), "PNG")).shape == (1, 1, 3)


@pytest.mark.parametrize("side", [10_001, 20_000])
def test_too_many_pixels_are_refused_before_they_are_decoded(side: int) -> None:
    data = encoded(Image.new("1", (side, side)), "PNG")
    tracemalloc.start()
    with pytest.raises(ImageError, match=f"{side:,} x {side:,} = {side * side:,} pixels, the limit is 100,000,000"):
        read_image(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(("width", "height"), [(1, 65_536), (65_536, 1), (1, 50_000_000)])
def test_too_long_a_side_is_refused_however_few_the_pixels(width: int, height: int) -> None:
    image = Image.new("1", (width, height))
    for source in (encoded(image, "PNG"), image, np.zeros((height, width), np.uint8)):
        with pytest.raises(ImageTooLargeError, match="the limit of a side is 65,535"):
            read_image(source)


def test_the_longest_sides_are_read() -> None:
    assert read_image(encoded(Image.new("1", (1, 65_535)), "PNG")).shape == (65_535, 1, 3)


def test_the_limit_can_be_set_and_holds_for_arrays() -> None:
    assert read_image(PNG, max_pixels=54).shape == (6, 9, 3)
    for source in (PNG, RGB, Image.fromarray(RGB)):
        with pytest.raises(ImageError, match="the limit is 53"):
            read_image(source, max_pixels=53)


def test_only_the_formats_that_were_named_are_decoded() -> None:
    assert read_image(PNG, formats=("Jpeg", "Png")).shape == (6, 9, 3)
    with pytest.raises(ImageFormatError, match="known are JPEG, WEBP"):
        read_image(PNG, formats=("Jpeg", "WebP"))


def test_what_is_too_large_has_an_error_of_its_own() -> None:
    with pytest.raises(ImageTooLargeError, match="the limit is 53"):
        read_image(PNG, max_pixels=53)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("length", [60, 200_000])
def test_bare_base64_is_no_path_and_the_way_told(form: str, length: int) -> None:
    text = base64.b64encode(encoded(Image.fromarray(RGB), form) * 4000).decode()[:length]
    with pytest.raises(ImageError, match=rf"got a text of {length:,} characters; .*`data:image/jpeg;base64,`") as error:
        read_image(text)
    assert text[:20] not in str(error.value)


@pytest.mark.parametrize(
    "text", ["data:image/jpeg,abc", "data:text/plain;base64,aGk=", "DATA:,x", "data:image/png;base64,?"]
)
def test_other_data_uris_are_refused(text: str) -> None:
    with pytest.raises(ImageError, match="the data URI"):
        read_image(text)


def test_messages_are_short_whatever_the_name() -> None:
    for name in ("x" * 4000, "x " * 2000, "\n" * 4000):
        with pytest.raises(ImageError) as error:
            read_image(name)
        assert len(str(error.value)) < 8200
        assert "\n" not in str(error.value)
