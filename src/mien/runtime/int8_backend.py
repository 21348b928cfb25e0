"""How an int8 model runs on this CPU: the fastest backend whose results are right.

A quantised layer multiplies activations (0..255) by weights (-127..127) and sums the products. CPUs with VNNI sum in 32
bits. The older AVX2 and AVX512 instruction (vpmaddubsw) adds each pair of products in 16 bits and cuts off what does
not fit, which spoils results silently. Mien's own exports keep weights within -64..64, which always fit; for
other files onnxruntime offers two ways round that:

exact   "session.x64quantprecision": weights become 0..255, and products are summed by another instruction, in 32 bits.
        Bit for bit what VNNI gives. onnxruntime leaves layers alone whose weights stay within -64..64, which cannot
        overflow.
float   "session.disable_quant_qdq": weights become floats, no integer kernel runs.

Arm never cuts off: its kernels sum in 32 bits (dot product, i8mm), or add two products in 16 bits that hold both
(plain NEON). docs/int8.md has sources and figures.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Set
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Final, Literal, get_args

import cv2
import onnxruntime as ort

from mien.errors import ConfigError

Int8Path = Literal["fast", "exact", "float"]
Int8 = Literal["auto", "fast", "exact", "float"]

SESSION_ENTRIES: Final[Mapping[Int8Path, Mapping[str, str]]] = {
    "fast": {},
    "exact": {"session.x64quantprecision": "1"},
    "float": {"session.disable_quant_qdq": "1"},
}
"""What each path asks of onnxruntime: entries of its session's configuration. None of them touches a float model."""

# The flags that matter, by their names in Linux, with OpenCV's numbers for them (opencv2/core/cvdef.h), which its
# Python module does not name. OpenCV asks the CPU itself, on every system.
_OPENCV_FLAGS: Final = {"sse2": 3, "avx2": 11, "avx512f": 13, "avx512_vnni": 23, "neon": 100, "asimddp": 101}
_ERRORS_ONLY: Final = 3
_CPUINFO: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Chosen:
    """The way an int8 model runs, and why this one."""

    path: Int8Path
    why: str


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The flags of this CPU that decide, by their names in Linux.

    AVX-VNNI (laptops since 2021) is unknown to OpenCV and found on Linux only.
    """
    flags = {name for name, number in _OPENCV_FLAGS.items() if cv2.checkHardwareSupport(number)}
    if "sse2" in flags and "avx_vnni" in _flags_by_linux():
        flags.add("avx_vnni")
    return frozenset(flags)


def choose(flags: Set[str], int8: Int8 = "auto") -> Chosen:
    """The way for a CPU of these flags, or the one that is asked for. Raises ConfigError on an unknown name."""
    if int8 not in get_args(Int8):
        raise ConfigError(f"expected int8 to be one of {', '.join(get_args(Int8))}, got {int8!r}")
    if int8 != "auto":
        return Chosen(int8, "asked for")
    if "neon" in flags:
        return Chosen("fast", "on Arm, sums of 8-bit products do not overflow")
    # Where there is AVX512, onnxruntime prefers its kernels, and AVX-VNNI does not help them.
    vnni = "avx_vnni" if "avx512f" not in flags else "avx512_vnni"
    if vnni in flags:
        return Chosen("fast", f"{vnni} sums 8-bit products in 32 bits")
    return Chosen("exact", "without VNNI, sums of 8-bit products would overflow in 16 bits")


def session_options(threads: int | None, entries: Mapping[str, str]) -> ort.SessionOptions:
    """onnxruntime's options: its own messages only from errors on, N threads (None: one a core), these entries.

    Raises ConfigError on threads < 1.
    """
    if threads is not None and not isinstance(threads, Integral):
        raise ConfigError(f"threads must be a whole number or None, got {threads!r}")
    if threads is not None and threads < 1:
        raise ConfigError(f"expected at least 1 thread, got {threads}")
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return options


def _flags_by_linux() -> frozenset[str]:
    """The flags of the first CPU as Linux lists them; none elsewhere."""
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as lines:
            line = next((line for line in lines if line.startswith("flags")), "")
    except OSError:
        return frozenset()
    return frozenset(line.partition(":")[2].split())
