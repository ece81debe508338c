"""The rule of the nest verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tradeoff import Interval
from engine.tradeoff.nesting.verdict import order_of, widened_by_subsets


def _gain(low: float, high: float) -> Interval:
    return Interval(mean=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("half", "overall", "order"),
    [
        (_gain(0.04, 0.12), _gain(0.03, 0.06), "ordered"),
        (_gain(-0.02, 0.03), _gain(0.02, 0.06), "ordered"),
        (_gain(0.02, 0.06), _gain(-0.01, 0.03), "ordered"),
        (_gain(-0.02, 0.03), _gain(-0.01, 0.02), "spread evenly"),
        (_gain(0.001, 0.008), _gain(0.0, 0.009), "spread evenly"),
        (_gain(-0.3, -0.1), _gain(-0.2, -0.1), "spread evenly"),
        (_gain(-0.05, 0.09), _gain(-0.02, 0.04), "undecided"),
        (_gain(float("nan"), float("nan")), _gain(float("nan"), float("nan")), "undecided"),
    ],
)
def test_the_rule_reads_bounds_not_means(half: Interval, overall: Interval, order: str) -> None:
    """Ordered needs a clear lower bound somewhere, spread evenly needs both upper bounds small, else undecided."""
    assert order_of(half, overall) == order


@settings(deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0, 0.1), st.floats(0, 0.1), st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_drawing_subsets_only_widens(mean: float, below: float, above: float, subsets: list[float]) -> None:
    """The interval keeps its mean and never narrows; equal subsets leave it as it is."""
    gain = Interval(mean=mean, low=mean - below, high=mean + above)
    wider = widened_by_subsets(gain, np.array(subsets))
    assert wider.mean == mean
    assert wider.low <= gain.low + 1e-12
    assert wider.high >= gain.high - 1e-12
    same = widened_by_subsets(gain, np.full(len(subsets), 0.25))
    assert (same.low, same.high) == pytest.approx((gain.low, gain.high))


def test_a_prefix_that_is_one_more_random_subset_is_rarely_called_better() -> None:
    """With the prefix drawn like the subsets, the lower bound exceeds 0 in about 2.5 % of 4,000 cases."""
    rng = np.random.default_rng(0)
    wrong = 0
    for draws in rng.normal(0.5, 0.03, size=(4_000, 6)):
        mean = draws[0] - draws[1:].mean()
        wrong += widened_by_subsets(Interval(mean=mean, low=mean, high=mean), draws[1:]).low > 0
    assert 0.015 < wrong / 4_000 < 0.035
