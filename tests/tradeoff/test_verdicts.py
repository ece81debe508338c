"""Verdicts, the queries that would settle them, and Holm's correction."""

from __future__ import annotations

from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tradeoff import Interval
from engine.tradeoff.verdicts import further_queries, holm, p_missed, verdict_of


def _interval(low: float, high: float, mean: float | None = None) -> Interval:
    return Interval(mean=(low + high) / 2 if mean is None else mean, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.95, 0.97, "safe"),
        (0.951, 0.99, "safe"),
        (0.949, 0.97, "undecided"),
        (0.93, 0.95, "undecided"),
        (0.93, 0.949, "harmful"),
        (1.0, 1.0, "safe"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low: float, high: float, expected: str) -> None:
    """Safe when the lower bound reaches 0.95, harmful when the upper bound is below it, undecided between."""
    assert verdict_of(_interval(low, high), 0.95, n_values=1_000) == expected


def test_fewer_than_thirty_queries_are_never_safe() -> None:
    """29 perfect queries are undecided and one more settles it; 29 bad ones are harmful all the same."""
    perfect = _interval(1.0, 1.0)
    assert verdict_of(perfect, 0.95, n_values=29) == "undecided"
    assert further_queries(perfect, 0.95, spread=0.0, n_values=29) == 1
    assert verdict_of(perfect, 0.95, n_values=30) == "safe"
    assert verdict_of(_interval(0.1, 0.2), 0.95, n_values=29) == "harmful"


def test_an_unmeasured_quantity_is_undecided() -> None:
    """NaN bounds are neither safe nor harmful, and no number of queries is promised."""
    nothing = _interval(float("nan"), float("nan"))
    assert verdict_of(nothing, 0.95, n_values=100) == "undecided"
    assert further_queries(nothing, 0.95, spread=float("nan"), n_values=100) is None


def test_a_float32_mean_meets_its_own_target() -> None:
    """A recall of float32 0.9 for every query meets a target of 0.9."""
    value = float(np.float32(0.9))
    assert value < 0.9
    assert verdict_of(_interval(value, value), 0.9, n_values=50) == "safe"
    assert p_missed(np.full(1_000, value), 0.9) == pytest.approx(1 / 1_001)


def test_further_queries_reach_the_half_width() -> None:
    """With spread 0.2 and a mean 0.01 above the target, (1.96 · 0.2 / 0.01)² = 1,537 queries are needed in all."""
    interval = _interval(0.945, 0.975, mean=0.96)
    assert further_queries(interval, 0.95, spread=0.2, n_values=600) == 1_537 - 600


@given(
    distance=st.floats(0.001, 0.2),
    spread=st.floats(0.01, 0.5),
    n_values=st.integers(2, 5_000),
    above=st.booleans(),
)
def test_the_promised_queries_settle_the_verdict(distance: float, spread: float, n_values: int, above: bool) -> None:
    """A normal interval over n plus the promised queries, same mean and spread, is decided."""
    mean = 0.7 + (distance if above else -distance)

    def over(n: int) -> Interval:
        half = NormalDist().inv_cdf(0.975) * spread / np.sqrt(n)
        return _interval(mean - half, mean + half, mean=mean)

    more = further_queries(over(n_values), 0.7, spread=spread, n_values=n_values)
    if verdict_of(over(n_values), 0.7, n_values=n_values) != "undecided":
        assert more is None
    else:
        assert more is not None
        assert more >= 1
        assert verdict_of(over(n_values + more), 0.7, n_values=n_values + more) != "undecided"


def test_a_mean_on_the_target_is_never_settled() -> None:
    """When the mean is the target itself no number of queries is named."""
    assert further_queries(_interval(0.94, 0.96), 0.95, spread=0.1, n_values=100) is None


def test_p_is_never_zero() -> None:
    """With no resample below the target p is 1 / (R + 1); missing resamples count as below."""
    assert p_missed(np.full(9_999, 1.0), 0.95) == pytest.approx(1e-4)
    assert p_missed(np.array([1.0, 0.9, np.nan]), 0.95) == pytest.approx(3 / 4)


def test_holm_by_hand() -> None:
    """The textbook example .01, .04, .03, .005 adjusts to .03, .06, .06, .02."""
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_bonferroni_test(p_values: list[float]) -> None:
    """An adjusted p-value is the largest Bonferroni p-value of any subset of hypotheses with it, ties and all."""
    subsets = [s for size in range(1, len(p_values) + 1) for s in combinations(range(len(p_values)), size)]
    expected = [
        min(1.0, max(len(s) * min(p_values[j] for j in s) for s in subsets if i in s)) for i in range(len(p_values))
    ]
    np.testing.assert_allclose(holm(np.array(p_values)), expected)


def test_holm_of_nothing() -> None:
    """Without p-values there is nothing to adjust."""
    assert len(holm(np.array([]))) == 0
