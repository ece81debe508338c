"""Score statistics and intervals against statsmodels, published tables and the likelihood itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep, score_test_proportions_2indep

from engine.errors import ParameterError
from engine.experiment.score import (
    difference_score_bounds,
    difference_score_z,
    ratio_score_bounds,
    ratio_score_z,
)

arm = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def naive_difference_z(x0, n0, x1, n1, delta):
    """Return the score statistic with control's rate found by maximising the likelihood numerically."""

    def slope(p):
        return x0 / p - (n0 - x0) / (1 - p) + x1 / (p + delta) - (n1 - x1) / (1 - p - delta)

    p0 = brentq(slope, max(0, -delta) + 1e-13, min(1, 1 - delta) - 1e-13, xtol=1e-16)
    p1, total = p0 + delta, n0 + n1
    variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * total / (total - 1)
    return (x1 / n1 - x0 / n0 - delta) / np.sqrt(variance)


@pytest.mark.parametrize(
    "counts", [(1_200, 10_000, 1_150, 10_000), (3, 500, 9, 200), (40, 1_000_000, 55, 900_000), (480, 500, 190, 200)]
)
@pytest.mark.parametrize("delta", [-0.3, -0.006, -1e-5, 1e-5, 0.004, 0.5])
def test_difference_statistic_maximises_the_likelihood(counts, delta):
    """The closed form of the constrained rate is where the slope of the likelihood is 0."""
    assert difference_score_z(*counts, delta) == pytest.approx(naive_difference_z(*counts, delta), rel=1e-6)


def test_published_intervals_of_newcombe():
    """Newcombe 1998 lists Miettinen-Nurminen's [.0528, .3382] for 56/70 - 48/80 and [.1700, .8406] for 9/10 - 3/10."""
    assert np.round(difference_score_bounds(48, 80, 56, 70), 4) == pytest.approx([0.0528, 0.3382])
    assert np.round(difference_score_bounds(3, 10, 9, 10), 4) == pytest.approx([0.1700, 0.8406])


@pytest.mark.parametrize("counts", [(1_200, 10_000, 1_150, 10_000), (3, 500, 9, 200), (30, 100, 97, 100)])
def test_ratio_bounds_equal_statsmodels(counts):
    """The bounds of the ratio are those of Koopman's interval with Miettinen and Nurminen's variance."""
    x0, n0, x1, n1 = counts
    expected = confint_proportions_2indep(x1, n1, x0, n0, compare="ratio", method="score")
    assert ratio_score_bounds(*counts) == pytest.approx(expected, rel=1e-8)


def test_ratio_statistic_equals_statsmodels():
    """The statistic of a ratio of .95 is that of statsmodels, and arrays give one each."""
    expected = [
        score_test_proportions_2indep(1_150, 10_000, 1_200, 10_000, value=value, compare="ratio")[0]
        for value in (0.9, 0.95, 1.0)
    ]
    assert ratio_score_z(1_200, 10_000, 1_150, 10_000, [0.9, 0.95, 1.0]) == pytest.approx(expected, rel=1e-10)


@settings(max_examples=30, deadline=None)
@given(control=arm, treatment=arm, confidence=st.sampled_from([0.8, 0.95, 0.999]))
def test_intervals_hold_the_estimate_and_mirror(control, treatment, confidence):
    """Whatever the counts, the interval holds the estimate; exchanging arms mirrors it; more confidence widens it."""
    (x0, n0), (x1, n1) = control, treatment
    low, high = difference_score_bounds(x0, n0, x1, n1, confidence=confidence)
    assert -1 <= low <= x1 / n1 - x0 / n0 + 1e-12
    assert x1 / n1 - x0 / n0 - 1e-12 <= high <= 1
    mirrored = difference_score_bounds(x1, n1, x0, n0, confidence=confidence)
    assert mirrored == pytest.approx((-high, -low), abs=1e-9)
    ratio_low, ratio_high = ratio_score_bounds(x0, n0, x1, n1, confidence=confidence)
    assert ratio_low >= 0
    if x0:
        assert ratio_low - 1e-9 <= x1 / n1 / (x0 / n0) <= ratio_high * (1 + 1e-9)
    if x0 and x1:
        swapped = ratio_score_bounds(x1, n1, x0, n0, confidence=confidence)
        assert swapped == pytest.approx((1 / ratio_high, 1 / ratio_low), rel=1e-7)
        wider = ratio_score_bounds(x0, n0, x1, n1, confidence=0.9999)
        assert wider[0] <= ratio_low
        assert wider[1] >= ratio_high


@settings(max_examples=30, deadline=None)
@given(control=arm, treatment=arm)
def test_bounds_are_where_the_statistic_is_critical(control, treatment):
    """At each finite bound the statistic is ±1.96."""
    z = norm.ppf(0.975)
    counts = (*control, *treatment)
    low, high = ratio_score_bounds(*counts)
    if low > 0:
        assert ratio_score_z(*counts, low) == pytest.approx(z, abs=1e-6)
    if np.isfinite(high):
        assert ratio_score_z(*counts, high) == pytest.approx(-z, abs=1e-6)
    low, high = difference_score_bounds(*counts)
    if -0.999 < low < high < 0.999:
        assert difference_score_z(*counts, low) == pytest.approx(z, abs=1e-4)
        assert difference_score_z(*counts, high) == pytest.approx(-z, abs=1e-4)


def test_arrays_give_what_single_calls_give():
    """A call over arrays is the same as a call for each entry."""
    x0, x1 = np.array([0, 3, 50]), np.array([[0], [7]])
    low, high = ratio_score_bounds(x0, 50, x1, 60)
    for i in range(2):
        for j in range(3):
            assert (low[i, j], high[i, j]) == ratio_score_bounds(x0[j], 50, x1[i, 0], 60)


def test_no_success_bounds_no_ratio():
    """Without a success in either arm every ratio is possible, and the statistic is 0; one success bounds one side."""
    assert ratio_score_bounds(0, 100, 0, 100) == (0, np.inf)
    assert ratio_score_z(0, 100, 0, 100, 0.95) == 0
    low, high = ratio_score_bounds(0, 100, 20, 100)
    assert low > 1
    assert high == np.inf
    assert ratio_score_bounds(20, 100, 0, 100)[0] == 0


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ((0, 0, 1, 10), "control must have at least one row; the arm is empty"),
        ((1, 10, 0, 0), "treatment must have at least one row; the arm is empty"),
        ((11, 10, 1, 10), "control cannot have more successes than rows; found 11 of 10"),
        ((-1, 10, 1, 10), "successes of control must be 0 or more and finite; found -1"),
        ((1, 10, float("nan"), 10), "successes of treatment must be 0 or more and finite; found nan"),
        ((1, 10, 1, float("inf")), "size of treatment must be 0 or more and finite; found inf"),
    ],
)
def test_refuses_impossible_counts(counts, message):
    """Empty arms, more successes than rows, negative and non-finite counts each name the arm and the number."""
    for function in (ratio_score_bounds, difference_score_bounds):
        with pytest.raises(ParameterError, match=message):
            function(*counts)


@pytest.mark.parametrize("confidence", [0.5, 1, 95, float("nan")])
def test_refuses_confidences_out_of_range(confidence):
    """A confidence is above 0.5 and below 1."""
    with pytest.raises(ParameterError, match="confidence"):
        ratio_score_bounds(1, 10, 1, 10, confidence=confidence)
