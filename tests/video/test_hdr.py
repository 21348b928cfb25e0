from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

import av

from mien.video.hdr import FULL, HLG, PQ, to_sdr
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

SIZE = 64, 48


def pq(nits: float) -> float:
    """The code (0..1) of a light in cd/m², written out from SMPTE ST 2084."""
    power = (nits / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375)


def sdr(nits: float) -> float:
    """The code (0..255) with which a display of BT.1886 whose white has 203 cd/m² shows this light."""
    return float(255 * (nits / 203) ** (1 / 2.4))


def film(path: Path, codes: list[tuple[float, float, float]], transfer: int, codec: str = "ffv1") -> Path:
    """A video of 10 bits in BT.2020, whose frames are even: red, green and blue of each, as codes 0..1."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, transfer, 1
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none:lossless=1"}
        for index, (red, green, blue) in enumerate(codes):
            luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
            values = 64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746
            frame = av.VideoFrame(*SIZE, "yuv420p10le")
            for plane, value in zip(frame.planes, values, strict=True):
                plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
            frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 9, 9, transfer, 1
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colors(path: Path) -> list[list[int]]:
    """The color in the middle of each frame: blue, green, red."""
    with VideoFile(path) as video:
        return [frame.image[24, 32].tolist() for frame in video]


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "ffv1"), ("a.mp4", "libx265")])
def test_gray_of_pq_has_the_light_that_it_stands_for(tmp_path: Path, name: str, codec: str) -> None:
    lights = [0, 1, 10, 26, 50, 90]  # up to faces in the usual light; what is brighter is compressed
    path = film(tmp_path / name, [(pq(nits),) * 3 for nits in lights], PQ, codec)
    for color, nits in zip(colors(path), lights, strict=True):
        assert color == pytest.approx([sdr(nits)] * 3, abs=1.5)


def test_highlights_keep_their_order_below_white(tmp_path: Path) -> None:
    lights = [90, 150, 203, 300, 500, 800, 1000, 4000]
    greens = [color[1] for color in colors(film(tmp_path / "a.mkv", [(pq(nits),) * 3 for nits in lights], PQ))]
    assert greens[:6] == sorted(set(greens[:6]))
    assert 215 < greens[2] < 240  # HDR's reference white is about nine tenths of SDR's
    assert greens[5] >= 253
    assert greens[6:] == [255, 255]


def test_hlg_has_the_light_of_its_reference_display(tmp_path: Path) -> None:
    codes = {0.0: 0.0, 0.1: 1000 * (0.01 / 3) ** 1.2, 0.3: 1000 * 0.03**1.2, 0.5: 1000 * (1 / 12) ** 1.2}
    path = film(tmp_path / "a.mkv", [(code,) * 3 for code in (*codes, 0.75, 1.0)], HLG)
    *dark, reference, white = colors(path)
    for color, nits in zip(dark, codes.values(), strict=True):
        assert color == pytest.approx([sdr(nits)] * 3, abs=1.5)
    assert reference == pytest.approx([230] * 3, abs=2)
    assert white == [255, 255, 255]


def test_colors_become_those_of_bt709(tmp_path: Path) -> None:
    """BT.709's own red, green, blue, and a face's color, in BT.2020 as ITU-R BT.2087 has them."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    wanted = [(80, 0, 0), (0, 80, 0), (0, 0, 80), (75, 45, 33)]
    codes = [tuple(pq(max(0.0, light)) for light in to_2020 @ np.array(lights)) for lights in wanted]
    for color, lights in zip(colors(film(tmp_path / "a.mkv", codes, PQ)), wanted, strict=True):  # type: ignore[arg-type]
        expected = [sdr(light) for light in reversed(lights)]
        assert color == pytest.approx(expected, abs=14 if 0 in lights else 3)  # ten bits are coarse beside a zero


def test_other_primaries_go_by_their_own() -> None:
    red = np.full((20, 3, 3), 0, np.uint16)
    red[..., 2] = round(FULL * pq(50))
    assert to_sdr(red, PQ, 1)[0, 0].tolist() == [0, 0, round(sdr(50))]
    as_p3, as_2020 = (int(to_sdr(red, PQ, primaries)[19, 2, 2]) for primaries in (12, 9))
    assert as_p3 == pytest.approx(sdr(50 * 1.2249), abs=1)
    assert as_2020 == pytest.approx(sdr(50 * 1.6605), abs=1)
    assert (to_sdr(red, PQ, 2) == to_sdr(red, PQ, 9)).all()


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv", "out.webm"])
def test_what_is_written_is_sdr_and_says_so(tmp_path: Path, transfer: int, name: str, target: str) -> None:
    source, out = film(tmp_path / "in.mkv", [(0.45, 0.4, 0.35)] * 4, transfer), tmp_path / target
    with VideoFile(source) as video, VideoWriter(out, video) as writer:
        for frame in video:
            writer.write(frame.image, frame.time_s)
        assert video.notes == [f"{source}: its HDR ({name}) is shown as SDR"]
        assert video.problems == []
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
    with VideoFile(out) as written:
        assert written.notes == []
    for before, after in zip(colors(source), colors(out), strict=True):
        assert after == pytest.approx(before, abs=4)
