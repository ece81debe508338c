"""Ratios by user: the delta method against the bootstrap, the row-level test and its own algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.errors import ParameterError
from engine.experiment.proportions import compare_proportions
from engine.experiment.ratios import UserMoments, compare_ratios, design_effect, non_inferiority, ratio_of

FIELDS = ("n_users", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy")


def one_row_each(clicks, users):
    """Return the moments of users with one row each."""
    return UserMoments(n_users=users, sum_x=clicks, sum_y=users, sum_xx=clicks, sum_yy=users, sum_xy=clicks)


def people(rng, *shape, rate=0.12, spread=1.0):
    """Draw clicks and queries of users whose own rates differ: (clicks, queries) of `shape`."""
    queries = 1 + rng.geometric(0.2, size=shape)
    rates = np.clip(rate * rng.gamma(1 / spread, spread, size=shape), 0, 1)
    return rng.binomial(queries, rates), queries


users = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, n, elements=st.integers(0, 20)), hnp.arrays(np.int64, n, elements=st.integers(1, 20))
    )
)


def test_standard_error_is_that_of_resampled_users():
    """The delta method's standard error is the spread of the ratio over 4,000 resamples of users, within 5 %."""
    rng = np.random.default_rng(1)
    clicks, queries = people(rng, 400)
    drawn = rng.integers(0, 400, size=(4_000, 400))
    resampled = clicks[drawn].sum(axis=1) / queries[drawn].sum(axis=1)
    found = ratio_of(UserMoments.of(clicks, queries))
    assert found.value == clicks.sum() / queries.sum()
    assert found.se == pytest.approx(resampled.std(), rel=0.05)


def test_formula_of_deng_knoblich_lu():
    """Summed residuals give the formula of the paper: (co)variances of x and y over the squared mean of y."""
    clicks, queries = people(np.random.default_rng(2), 50)
    (var_x, cov), (_, var_y) = np.cov(clicks, queries)
    ratio, mean_y = clicks.sum() / queries.sum(), queries.mean()
    variance = (var_x - 2 * ratio * cov + ratio**2 * var_y) / (50 * mean_y**2)
    assert ratio_of(UserMoments.of(clicks, queries)).se == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_one_row_a_user_is_the_classic_comparison():
    """With one row a user the interval is Wald's and p = .41089 at a 5 % margin, as the design gives it."""
    control, treatment = one_row_each(1_200, 10_000), one_row_each(1_150, 10_000)
    classic = compare_proportions(1_200, 10_000, 1_150, 10_000)
    found = compare_ratios(control, treatment)
    assert (found.low, found.high) == pytest.approx((classic.wald.low, classic.wald.high), abs=1e-6)
    assert found.p_value == pytest.approx(classic.p_value, abs=1e-4)
    assert (found.relative_low, found.relative_high) == pytest.approx(
        (classic.relative.low, classic.relative.high), abs=5e-4
    )
    verdict = non_inferiority(control, treatment, margin=0.05)
    assert verdict.p_value == pytest.approx(0.41089, abs=6e-6)
    assert verdict.low == pytest.approx(-0.103, abs=0.003)


@settings(max_examples=60, deadline=None)
@given(arm=users, cut=st.integers(0, 30))
def test_moments_add(arm, cut):
    """The moments of two groups of users add up to those of all, wherever the cut."""
    x, y = arm
    together, apart = UserMoments.of(x, y), UserMoments.of(x[:cut], y[:cut]) + UserMoments.of(x[cut:], y[cut:])
    assert all(getattr(together, field) == getattr(apart, field) for field in FIELDS)


@settings(max_examples=60, deadline=None)
@given(control=users, treatment=users, margin=st.sampled_from([0.01, 0.05, 0.5]))
def test_intervals_hold_the_estimate_mirror_and_agree_with_p(control, treatment, margin):
    """Intervals hold the estimates, exchanging arms turns the sign, and p < .05 where 0 (or the margin) is left out."""
    c, t = UserMoments.of(*control), UserMoments.of(*treatment)
    found, swapped = compare_ratios(c, t), compare_ratios(t, c)
    if np.isnan(found.se):
        assert np.isnan(found.low)
        assert np.isnan(found.p_value)
        return
    assert found.low <= found.difference <= found.high
    assert (found.low, found.high) == pytest.approx((-swapped.high, -swapped.low))
    assert found.p_value == pytest.approx(swapped.p_value)
    if abs(found.p_value - 0.05) > 1e-9:
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    if not np.isnan(found.relative_low):
        assert found.relative_low - 1e-12 <= found.relative_change <= found.relative_high + 1e-12
        if abs(found.p_value - 0.05) > 1e-9:
            assert (found.p_value < 0.05) == (not found.relative_low <= 0 <= found.relative_high)
    for direction, limit in (("higher is better", -margin), ("lower is better", margin)):
        verdict = non_inferiority(c, t, margin=margin, direction=direction)
        assert verdict.p_value + verdict.p_harmful == pytest.approx(1)
        if np.isnan(verdict.low) or min(abs(verdict.p_value - 0.05), abs(verdict.p_harmful - 0.05)) < 1e-9:
            continue
        is_above, is_below = verdict.low > limit, verdict.high < limit
        is_safe, is_harmful = (is_above, is_below) if direction == "higher is better" else (is_below, is_above)
        assert ((verdict.p_value < 0.05), (verdict.p_harmful < 0.05)) == (is_safe, is_harmful)


def test_a_series_is_compared_in_one_call():
    """Cumulative moments of every day compared at once give each day what its own call gives."""
    rng = np.random.default_rng(4)
    control, treatment = (UserMoments.of(*people(rng, 7, 40)) for _ in range(2))
    together = compare_ratios(control, treatment)
    for day in range(7):
        alone = compare_ratios(control[day], treatment[day])
        for field in ("difference", "se", "low", "high", "p_value", "relative_low", "relative_high", "relative_se"):
            assert getattr(together, field)[day] == getattr(alone, field)


def test_twenty_copies_of_every_user_narrow_the_interval():
    """At the same ratios and spread, twenty times the users give an interval √20 times narrower."""
    clicks, queries = people(np.random.default_rng(5), 100)
    few = ratio_of(UserMoments.of(clicks, queries))
    many = ratio_of(UserMoments.of(np.tile(clicks, 20), np.tile(queries, 20)))
    assert many.se == pytest.approx(few.se / np.sqrt(20), rel=0.01)


def test_users_who_differ_have_a_design_effect():
    """Rows of users with rates of their own count less than independent ones; without such differences they do not."""
    rng = np.random.default_rng(6)
    assert design_effect(UserMoments.of(*people(rng, 20_000))) > 1.5
    queries = 1 + rng.geometric(0.2, size=20_000)
    assert design_effect(UserMoments.of(rng.binomial(queries, 0.12), queries)) == pytest.approx(1, abs=0.05)


def test_fieller_interval_covers_the_true_ratio():
    """Over 2,000 experiments of 300 users an arm with no difference, the relative interval holds 0 in 95 % ± 1.5."""
    rng = np.random.default_rng(7)
    control, treatment = (UserMoments.of(*people(rng, 2_000, 300)) for _ in range(2))
    found = compare_ratios(control, treatment)
    assert np.mean((found.relative_low <= 0) & (found.relative_high >= 0)) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("x", "y"), [([0, 0, 0], [3, 1, 2]), ([3, 1, 2], [3, 1, 2]), ([1], [4])])
def test_no_spread_gives_no_interval(x, y):
    """No click, nothing but clicks, and a single user have a value but no standard error: no pretended certainty."""
    found = ratio_of(UserMoments.of(x, y))
    assert found.value == sum(x) / sum(y)
    assert np.isnan(found.se)
    comparison = compare_ratios(UserMoments.of(x, y), one_row_each(10, 100))
    assert np.isnan([comparison.low, comparison.high, comparison.p_value, comparison.relative_low]).all()
    assert np.isnan(non_inferiority(UserMoments.of(x, y), one_row_each(10, 100), margin=0.05).p_value)


def test_no_exposure_gives_no_ratio():
    """An arm without users has neither value nor standard error, and no warning is raised."""
    found = ratio_of(UserMoments.of([], []))
    assert np.isnan(found.value)
    assert np.isnan(found.se)


def test_users_without_rows_do_not_count():
    """A user who was not exposed adds nothing, not even to the number of users."""
    assert UserMoments.of([1, 0, 2], [4, 0, 5]).n_users == 2


def test_a_control_near_zero_bounds_no_relative_change():
    """Where control cannot be told from 0, the relative change has no honest interval."""
    found = compare_ratios(one_row_each(1, 1_000), one_row_each(20, 1_000))
    assert np.isnan(found.relative_low)
    assert found.low > 0


@pytest.mark.parametrize("wrong", [{"sum_x": float("nan")}, {"sum_yy": float("inf")}, {"n_users": -1}, {"sum_xx": -2}])
def test_refuses_moments_that_are_none(wrong):
    """NaN, infinite and negative moments are refused."""
    sums = dict.fromkeys(FIELDS, 1.0) | wrong
    with pytest.raises(ParameterError, match="moments of users must be finite|0 or more"):
        UserMoments(**sums)


def test_refuses_options_out_of_range():
    """Confidence, margin and alpha out of range are refused."""
    arm = one_row_each(10, 100)
    with pytest.raises(ParameterError, match="confidence"):
        compare_ratios(arm, arm, confidence=95)
    with pytest.raises(ParameterError, match="margin"):
        non_inferiority(arm, arm, margin=0)
    with pytest.raises(ParameterError, match="alpha"):
        non_inferiority(arm, arm, margin=0.05, alpha=0.5)
