"""The risk-coverage curve against its definition, counted row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError
from mien.evaluation.intervals import wilson
from mien.evaluation.selective import certain_part, risk_coverage
from mien.types import UNCERTAIN_BELOW, Box, Face


def predicted(rows: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities and truth of two classes whose predictions have this confidence, and are right or not."""
    confidence = np.array([row[0] for row in rows])
    return np.stack([confidence, 1 - confidence], 1), np.array([0 if right else 1 for _, right in rows])


def test_a_case_worked_out_by_hand() -> None:
    curve = risk_coverage(*predicted([(0.6, False), (0.9, True), (0.8, False), (0.7, True)]))
    assert curve.threshold.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


cases = st.lists(st.tuples(st.floats(0.51, 1).map(lambda x: round(x, 2)), st.booleans()), min_size=1, max_size=60)


@given(cases)
def test_aurc_is_the_mean_risk_over_the_thresholds_of_all_rows(rows: list[tuple[float, bool]]) -> None:
    risks = []
    for threshold, _ in rows:
        kept = [right for confidence, right in rows if confidence >= threshold]
        risks.append(1 - sum(kept) / len(kept))
    assert risk_coverage(*predicted(rows)).aurc == pytest.approx(np.mean(risks))


@given(cases, st.randoms(use_true_random=False))
def test_the_curve_ends_at_all_rows_in_any_order(rows: list[tuple[float, bool]], chance: object) -> None:
    curve = risk_coverage(*predicted(rows))
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - np.mean([right for _, right in rows]))
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.threshold) < 0).all()
    chance.shuffle(rows)  # type: ignore[attr-defined]
    assert risk_coverage(*predicted(rows)).risk.tolist() == curve.risk.tolist()


def test_a_confidence_that_tells_right_from_wrong_has_the_least_area() -> None:
    rows = [(0.95 - 0.01 * i, i < 20) for i in range(40)]
    best = risk_coverage(*predicted(rows)).aurc
    worst = risk_coverage(*predicted([(confidence, not right) for confidence, right in rows])).aurc
    even = risk_coverage(*predicted([(0.9, right) for _, right in rows])).aurc
    assert best < even < worst
    assert even == pytest.approx(0.5)


@given(cases, st.floats(0, 1))
def test_the_certain_part_is_what_faces_say_of_themselves(rows: list[tuple[float, bool]], threshold: float) -> None:
    probabilities, truth = predicted(rows)
    part = certain_part(probabilities, truth, threshold)
    faces = [Face(Box(0, 0, 1, 1), None, dict(zip("ab", row, strict=True)), None, threshold) for row in probabilities]
    kept = [right for face, (_, right) in zip(faces, rows, strict=True) if not face.uncertain]
    assert part.fraction == len(kept) / len(rows)
    if kept:
        assert part.accuracy == sum(kept) / len(kept)
        assert part.accuracy_ci95 == wilson(sum(kept), len(kept))
    else:
        assert part.accuracy is part.accuracy_ci95 is None


def test_the_threshold_is_the_default_of_faces_and_its_bound_is_certain() -> None:
    part = certain_part(*predicted([(UNCERTAIN_BELOW, True), (0.59, False)]))
    assert (part.threshold, part.fraction, part.accuracy) == (UNCERTAIN_BELOW, 0.5, 1.0)
    low, high = wilson(1, 1)
    assert part.to_dict() == {
        "threshold": UNCERTAIN_BELOW,
        "fraction": 0.5,
        "accuracy": 1.0,
        "accuracy_ci95": [low, high],
    }


def test_no_rows_and_no_threshold_are_refused() -> None:
    nothing = np.zeros((0, 3)), np.zeros(0, int)
    with pytest.raises(DataError, match="at least one"):
        risk_coverage(*nothing)
    with pytest.raises(DataError, match="at least one"):
        certain_part(*nothing)
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="threshold"):
            certain_part(*predicted([(0.9, True)]), threshold)
