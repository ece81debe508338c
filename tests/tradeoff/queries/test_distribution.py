"""Percentiles and histograms."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tradeoff.queries.distribution import PERCENTILES, common_edges, distribution_of


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=60))
def test_percentiles_are_values_and_bins_hold_all(values: list[float]) -> None:
    """Every percentile is the smallest value that so many percent do not exceed; common edges lose no value."""
    array = np.array(values, dtype=np.float32)
    described = distribution_of(array, common_edges(array, 7))
    ordered = sorted(array.tolist())
    for percent in PERCENTILES:
        share = percent / 100
        expected = next(value for place, value in enumerate(ordered, 1) if place / len(ordered) >= share - 1e-12)
        assert described.percentiles[percent] == expected
    assert described.counts.sum() == described.n == len(values)


def test_only_finite_values_count() -> None:
    """NaN and infinite values are left out; without any value mean and percentiles are NaN."""
    described = distribution_of(np.array([1.0, np.nan, -np.inf, 3.0]), np.array([0.0, 2.0, 4.0]))
    assert (described.n, described.mean, described.counts.tolist()) == (2, 2.0, [1, 1])
    nothing = distribution_of(np.array([np.nan]), common_edges(np.array([np.nan]), 2))
    assert nothing.n == 0
    assert np.isnan([nothing.mean, *nothing.percentiles.values()]).all()
