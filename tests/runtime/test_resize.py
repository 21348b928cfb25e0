from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mien.runtime.resize import fitted, scaled


@given(st.integers(1, 400), st.integers(1, 400))
def test_pictures_are_scaled_between_the_bounds_in_proportion(height: int, width: int) -> None:
    small = fitted(np.zeros((height, width, 3), np.uint8), 100, 200)
    assert max(small.shape[:2]) == min(max(height, width, 100), 200)
    scale = max(small.shape[:2]) / max(height, width)
    assert abs(min(small.shape[:2]) - min(height, width) * scale) <= 1


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 3))
def test_no_side_falls_below_a_pixel(height: int, width: int, scale: float) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    copy = scaled(image, scale)
    assert copy.shape[:2] == (max(1, round(height * scale)), max(1, round(width * scale)))
    assert scaled(image, 1.0) is image
