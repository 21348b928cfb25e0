"""Fixtures that several rooms of the tests use."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

# Where several processes run tests, each of their libraries' threads would be one too many: before any is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(name, "1")

import pytest
from hypothesis import settings

from mien.runtime.weights import YUNET, vendored_yunet

from .brightness import save_brightness_model

# A run in the background, or under nohup, ignores these signals, and so would all that tests start and end by them.
for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, name), usual)

# A busy machine is no failure: examples of property tests have no time limit. `.ci/run` tries the same ones each time,
# so that a change is judged by what it changes; on a developer's machine each run looks for new ones.
settings.register_profile("mien", settings.default, deadline=None)
settings.register_profile("same", settings.default, deadline=None, derandomize=True)
settings.load_profile(os.environ.get("MIEN_EXAMPLES", "mien"))

# The package holds YuNet where the build could make it. Tests pass with and without.
_SHARED = Path(__file__).parents[2] / "shared" / "data" / "detectors" / YUNET.name
YUNET_FILE = vendored_yunet() if vendored_yunet().is_file() else _SHARED
needs_yunet = pytest.mark.skipif(
    not YUNET_FILE.is_file(), reason="YuNet is neither in the package (make vendor) nor in ../shared/data"
)


@pytest.fixture(scope="session")
def brightness_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`save_brightness_model`'s file."""
    pytest.importorskip("onnx")
    return save_brightness_model(tmp_path_factory.mktemp("models") / "brightness.onnx")


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a video below tmp_path and returns its path. Frame k is grey 4 * k, its left top red."""
    av = pytest.importorskip("av")
    import numpy as np

    def make(
        name: str,
        frames: int = 30,
        *,
        size: tuple[int, int] = (64, 48),
        rate: int = 30,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        sound: str | None = None,
        times_ms: Sequence[int] | None = None,
        turned: int = 0,
        mirrored: bool = False,
        noise: bool = False,
        aspect: Fraction | None = None,
    ) -> Path:
        path = tmp_path / name
        tick = Fraction(1, 1000) if times_ms else Fraction(1, rate)
        with av.open(str(path), "w") as container:
            video = container.add_stream(codec, rate=rate)
            video.width, video.height, video.pix_fmt = *size, pixels
            video.codec_context.time_base = tick
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
            if codec == "libx264":
                video.options = {"g": "10", "bf": "2"}
            if turned or mirrored:
                video.set_display_rotation(turned, hflip=mirrored)
            audio = container.add_stream(sound, rate=48_000) if sound else None
            random = np.random.default_rng(0)
            for index in range(frames):
                image = np.full((size[1], size[0], 3), (4 * index) % 256, np.uint8)
                image[: size[1] // 2, : size[0] // 2] = 255, 0, 0
                if noise:
                    image = random.integers(0, 256, image.shape, np.uint8)
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = times_ms[index] if times_ms else index, tick
                container.mux(video.encode(frame))
                if audio is not None:
                    count = 48_000 // rate
                    tone = (random.standard_normal((1, count)) * 3000).astype(np.int16)
                    samples = av.AudioFrame.from_ndarray(tone, "s16", "mono")
                    samples.sample_rate, samples.pts, samples.time_base = 48_000, index * count, Fraction(1, 48_000)
                    container.mux(audio.encode(samples))
            for stream in (video, audio):
                if stream is not None:
                    container.mux(stream.encode(None))
        return path

    return make
