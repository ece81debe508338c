"""The classic read-out of two proportions against the reference values of the design."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.experiment.proportions import Bounds, compare_proportions, non_inferiority_ratio, wilson

CLICKS = (1_200, 10_000, 1_150, 10_000)
arm = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_reference_values_of_the_classic_test():
    """1,200 against 1,150 clicks of 10,000: pooled z 1.0979403, p .2722306, unpooled standard error .00455384."""
    found = compare_proportions(*CLICKS)
    assert found.z == pytest.approx(-1.0979403, abs=5e-8)
    assert found.p_value == pytest.approx(0.2722306, abs=5e-8)
    assert found.se == pytest.approx(0.00455384, abs=5e-9)
    assert found.relative_change == pytest.approx(-1 / 24)


def test_reference_intervals_of_the_difference():
    """Wald, Newcombe and score intervals are the design's (score to 4e-6: statsmodels' issue 10269)."""
    found = compare_proportions(*CLICKS)
    assert (found.wald.low, found.wald.high) == pytest.approx((-0.013925, 0.003925), abs=6e-7)
    assert (found.newcombe.low, found.newcombe.high) == pytest.approx((-0.013929, 0.003928), abs=6e-7)
    assert (found.score.low, found.score.high) == pytest.approx((-0.013928, 0.003928), abs=4e-6)
    assert (found.relative.low, found.relative.high) == pytest.approx((0.88822 - 1, 1.03397 - 1), abs=6e-6)


def test_five_percent_margin_is_undecided():
    """With a 5 % margin p is .4109 and the one-sided lower bound about -10 %: neither safe nor harmful."""
    found = non_inferiority_ratio(*CLICKS, margin=0.05)
    assert found.p_value == pytest.approx(0.41089, abs=2e-5)
    assert found.p_harmful > 0.5
    assert found.low == pytest.approx(-0.103, abs=0.003)
    assert found.low < -0.05 < found.high


def test_a_smaller_error_rate_is_better():
    """With "lower is better" more is a loss: at a margin of 10 %, 50 errors after 100 are safe, 200 harmful."""
    safe = non_inferiority_ratio(100, 100_000, 50, 100_000, margin=0.1, direction="lower is better")
    harmful = non_inferiority_ratio(100, 100_000, 200, 100_000, margin=0.1, direction="lower is better")
    assert safe.limit == 1.1
    assert max(safe.p_value, harmful.p_harmful) < 0.001
    assert min(safe.p_harmful, harmful.p_value) > 0.999
    assert safe.high < 0.1 < harmful.low


@settings(max_examples=30, deadline=None)
@given(control=arm, treatment=arm, margin=st.sampled_from([0.01, 0.05, 0.5]), alpha=st.sampled_from([0.01, 0.05, 0.2]))
def test_p_values_and_bounds_agree(control, treatment, margin, alpha):
    """A loss of the margin is ruled out exactly where its one-sided bound is off the margin, both ways round."""
    for direction in ("higher is better", "lower is better"):
        found = non_inferiority_ratio(*control, *treatment, margin=margin, direction=direction, alpha=alpha)
        assert found.p_value + found.p_harmful == pytest.approx(1)
        if min(abs(found.p_value - alpha), abs(found.p_harmful - alpha)) < 1e-6:
            continue
        above = -math.inf if found.low is None else found.low + 1
        below = math.inf if found.high is None else found.high + 1
        is_safe = above > found.limit if direction == "higher is better" else below < found.limit
        is_harmful = below < found.limit if direction == "higher is better" else above > found.limit
        assert (found.p_value < alpha) == is_safe
        assert (found.p_harmful < alpha) == is_harmful


@settings(max_examples=30, deadline=None)
@given(control=arm, treatment=arm)
def test_every_interval_is_sound_for_any_counts(control, treatment):
    """No counts give NaN or a bound on the wrong side; exchanging the arms turns signs only."""
    found = compare_proportions(*control, *treatment)
    swapped = compare_proportions(*treatment, *control)
    for bounds, mirrored in (
        (found.wald, swapped.wald),
        (found.newcombe, swapped.newcombe),
        (found.score, swapped.score),
    ):
        assert bounds.low - 1e-12 <= found.difference <= bounds.high + 1e-12
        assert (bounds.low, bounds.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)
    assert (found.z, found.p_value) == pytest.approx((-swapped.z, swapped.p_value), abs=1e-12)
    assert 0 <= found.p_value <= 1
    assert (found.relative_change is None) == (control[0] == 0)


def test_ten_times_the_rows_narrow_every_interval():
    """At the same rates intervals shrink as rows grow."""
    few, many = compare_proportions(12, 100, 10, 100), compare_proportions(1_200, 10_000, 1_000, 10_000)
    for name in ("wald", "newcombe", "score", "relative"):
        narrow, wide = getattr(many, name), getattr(few, name)
        assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("successes", [0, 500])
def test_no_click_and_only_clicks_divide_by_nothing(successes):
    """Where all rows agree there is no test to make (p = 1), but the score interval still has a width."""
    found = compare_proportions(successes, 500, successes, 500)
    assert (found.z, found.p_value, found.se) == (0, 1, 0)
    assert found.score.low < 0 < found.score.high
    verdict = non_inferiority_ratio(successes, 500, successes, 500, margin=0.05)
    assert verdict.p_value == pytest.approx(0.5) if successes == 0 else verdict.p_value < 0.001


def test_nothing_bounds_a_ratio_without_successes():
    """Without a click in both arms, no relative change exists and neither of its bounds does."""
    found = compare_proportions(0, 100, 0, 100)
    assert found.relative_change is None
    assert found.relative == Bounds(low=None, high=None)


def test_wilson_stays_within_shares():
    """Wilson's interval of 0 of 10 is [0, .2775] and of 10 of 10 [.7225, 1]."""
    assert (wilson(0, 10).low, wilson(0, 10).high) == pytest.approx((0, 0.27753), abs=1e-5)
    assert (wilson(10, 10).low, wilson(10, 10).high) == pytest.approx((0.72247, 1), abs=1e-5)


@pytest.mark.parametrize("margin", [0, 1, -0.05, 5, float("nan")])
def test_refuses_margins_out_of_range(margin):
    """A margin is above 0 and below 1."""
    with pytest.raises(ParameterError, match="margin must be above 0 and below 1; found .*5 % is 0.05"):
        non_inferiority_ratio(*CLICKS, margin=margin)


@pytest.mark.parametrize("alpha", [0, 0.5, 5, -1, float("nan")])
def test_refuses_alphas_out_of_range(alpha):
    """An error rate is above 0 and below 0.5."""
    with pytest.raises(ParameterError, match=r"alpha must be above 0 and below 0\.5"):
        non_inferiority_ratio(*CLICKS, margin=0.05, alpha=alpha)


def test_refuses_an_unknown_direction():
    """A metric gets better up or down, nothing else."""
    with pytest.raises(ParameterError, match="'higher is better' or 'lower is better'; found sideways"):
        non_inferiority_ratio(*CLICKS, margin=0.05, direction="sideways")


@pytest.mark.parametrize("counts", [(1, 0), (2, 1), (-1, 5), (1, float("nan")), (1, float("inf"))])
def test_wilson_refuses_impossible_counts(counts):
    """More successes than rows, no row, and counts that are none are refused."""
    with pytest.raises(ParameterError, match="0 to n successes of n rows"):
        wilson(*counts)
