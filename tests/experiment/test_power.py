"""Sample sizes and power against the design's values, against statsmodels and against simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from engine.errors import ParameterError
from engine.experiment.power import (
    days_needed,
    further_users,
    minimum_detectable_change,
    non_inferiority_power,
    non_inferiority_sample_size,
    power_at,
    sample_size,
)
from engine.experiment.ratios import UserMoments, compare_ratios, design_effect, non_inferiority


def test_reference_sample_sizes():
    """12 % to 11.4 %: 45,042 an arm (Cohen's h), 45,045 (unpooled); 60,298 at 90 %; 36,271 for non-inferiority."""
    assert sample_size(0.12, -0.05, method="arcsine").n_control == 45_042
    assert sample_size(0.12, -0.05).n_control == 45_045
    assert sample_size(0.12, -0.05, method="arcsine", power=0.9).n_control == 60_298
    assert non_inferiority_sample_size(0.12, 0.05).n_control == 36_271


@pytest.mark.parametrize("allocation", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("change", [-0.2, -0.05, 0.1])
def test_sample_size_reaches_its_power(allocation, change):
    """The power at the sample size is what was asked for, at any allocation."""
    found = sample_size(0.12, change, power=0.85, allocation=allocation)
    assert float(power_at(found.n_control, 0.12, change, allocation=allocation)) == pytest.approx(0.85, abs=1e-4)
    assert found.n_treatment == pytest.approx(found.n_control * allocation, abs=3)
    limit = non_inferiority_sample_size(0.12, 0.3, relative_change=change, power=0.85, allocation=allocation)
    reached = non_inferiority_power(limit.n_control, 0.12, 0.3, relative_change=change, allocation=allocation)
    assert float(reached) == pytest.approx(0.85, abs=2e-3)


def test_unequal_arms_agree_with_statsmodels():
    """Cohen's h with a treatment of a quarter of control is statsmodels' ratio of .25."""
    effect = abs(2 * np.arcsin(np.sqrt(0.114)) - 2 * np.arcsin(np.sqrt(0.12)))
    expected = NormalIndPower().solve_power(effect, alpha=0.05, power=0.8, ratio=0.25)
    assert sample_size(0.12, -0.05, method="arcsine", allocation=0.25).n_control == pytest.approx(expected, abs=1)


def test_power_is_that_of_simulated_experiments():
    """4,000 simulated tests of 12 % against 11.4 % at 20,000 an arm find the loss as often as the formula says."""
    rng = np.random.default_rng(1)
    control, treatment = (rng.binomial(20_000, rate, size=4_000).astype(float) for rate in (0.12, 0.114))
    arms = [
        UserMoments(n_users=20_000, sum_x=x, sum_y=20_000, sum_xx=x, sum_yy=20_000, sum_xy=x)
        for x in (control, treatment)
    ]
    found = np.mean(compare_ratios(*arms).p_value < 0.05)
    assert found == pytest.approx(float(power_at(20_000, 0.12, -0.05)), abs=0.025)
    rules_out = np.mean(non_inferiority(*arms, margin=0.1).p_value < 0.05)
    expected = non_inferiority_power(20_000, 0.12, 0.1, relative_change=-0.05, contrast="ratio")
    assert rules_out == pytest.approx(float(expected), abs=0.025)


def test_design_effect_carries_over_to_users_with_many_rows():
    """Planned with the design effect of clustered users, 2,000 simulated tests have the power of the formula."""
    rng = np.random.default_rng(2)
    effect_rows = []

    def arm(change):
        queries = rng.integers(1, 10, size=(2_000, 400))
        rates = rng.choice([0.04, 0.1, 0.4], size=(2_000, 400)) * (1 + change)
        effect_rows.append(queries.sum(axis=1).mean())
        return UserMoments.of(rng.binomial(queries, rates), queries)

    control, treatment = arm(0), arm(-0.2)
    effect = float(np.mean(design_effect(control)))
    expected = power_at(effect_rows[0], 0.18, -0.2, design_effect=effect)
    found = np.mean(compare_ratios(control, treatment).p_value < 0.05)
    assert effect > 1.5
    assert found == pytest.approx(float(expected), abs=0.05)


def test_rows_and_users_of_a_plan():
    """A design effect of 2 doubles the rows; ten rows a user need a tenth of the users."""
    plain, clustered = sample_size(0.12, -0.05), sample_size(0.12, -0.05, design_effect=2.0, rows_per_user=10.0)
    assert clustered.n_control == pytest.approx(2 * plain.n_control, abs=2)
    assert clustered.users_control == -(-clustered.n_control // 10)
    assert plain.users_treatment == plain.n_treatment


def test_power_curve_rises_with_rows_and_with_the_change():
    """An array of rows gives a rising curve, an array of changes too; no change has power alpha."""
    curve = power_at(np.array([100, 1_000, 10_000, 100_000]), 0.12, -0.05)
    assert (np.diff(curve) > 0).all()
    assert (np.diff(power_at(10_000, 0.12, np.array([0.01, 0.05, 0.1]))) > 0).all()
    assert float(power_at(10_000, 0.12, 0.0)) == pytest.approx(0.05)
    assert (np.diff(non_inferiority_power(np.array([100, 1_000, 10_000]), 0.12, 0.05)) > 0).all()


def test_a_true_loss_of_the_margin_is_ruled_out_at_the_error_rate_only():
    """Where the truth is the margin itself, the power is alpha, whatever the rows."""
    for direction, change in (("higher is better", -0.05), ("lower is better", 0.05)):
        found = non_inferiority_power(
            np.array([100, 1e6]), 0.12, 0.05, relative_change=change, direction=direction, alpha=0.03
        )
        assert found == pytest.approx(0.03)


@pytest.mark.parametrize("change", ["decrease", "increase"])
def test_minimum_detectable_change_is_found_with_its_power(change):
    """The change returned has the power asked for, and the sign asked for."""
    found = minimum_detectable_change(45_045, 0.12, change=change, allocation=0.5, design_effect=1.5)
    assert (found < 0) == (change == "decrease")
    assert float(power_at(45_045, 0.12, found, allocation=0.5, design_effect=1.5)) == pytest.approx(0.8)


def test_reference_detectable_change():
    """45,045 an arm see a loss of 5 % at 12 %."""
    assert minimum_detectable_change(45_045, 0.12) == pytest.approx(-0.05, abs=1e-6)


def test_too_few_rows_detect_nothing():
    """Ten rows at 1 % do not even see the loss of every click."""
    assert np.isnan(minimum_detectable_change(10, 0.01))


def test_days_follow_new_users():
    """Days are counted over users seen for the first time; after the series its last week's mean goes on."""
    assert days_needed(45_045, 10_000) == 10
    assert days_needed(45_000, 10_000) == 9
    assert days_needed(100, [150, 50, 0]) == 2
    assert days_needed(100, [150] + [10] * 7) == 6
    assert days_needed(150, [150] + [10] * 7) == 8 + 8
    assert days_needed(90, [100], share=0.1) == 9
    assert days_needed(0, 10) == 0
    assert days_needed(100, [20, 0, 0, 0, 0, 0, 0, 0]) is None


def test_further_users_settle_the_question():
    """With the further users and the same difference and spread, the bound just leaves the limit."""
    distance, se, n = 0.001, 0.00444, 20_000
    further = further_users(distance, se, n)
    for extra, is_settled in ((further, True), (further - 2, False)):
        assert (1.6448536 * se * np.sqrt(n / (n + extra)) <= distance) == is_settled
    assert further == further_users(-distance, se, n)


@pytest.mark.parametrize(
    ("distance", "se", "n"),
    [(0.0, 0.1, 100), (float("nan"), 0.1, 100), (0.1, float("nan"), 100), (0.1, 0.0, 100), (1e-9, 0.1, 100)],
)
def test_nothing_settles_an_estimate_on_the_limit(distance, se, n):
    """On the limit, without a spread, or for more users than there are people, the answer is None."""
    assert further_users(distance, se, n) is None


def test_a_settled_question_needs_nobody():
    """Where the distance is told from 0 already, no further user is asked for."""
    assert further_users(0.5, 0.1, 100) == 0


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0.001, 0.5),
    change=st.floats(-0.9, -0.001),
    power=st.floats(0.2, 0.99),
    allocation=st.floats(0.1, 10),
)
def test_plans_are_monotone(rate, change, power, allocation):
    """Half the change needs more rows, more power does too, and both arms get at least one."""
    found = sample_size(rate, change, power=power, allocation=allocation)
    assert min(found.n_control, found.n_treatment) >= 1
    assert sample_size(rate, change / 2, power=power, allocation=allocation).n_control >= found.n_control
    assert sample_size(rate, change, power=0.995, allocation=allocation).n_control >= found.n_control


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size(0, -0.05), "rate of control must be above 0 and below 1; found 0"),
        (lambda: sample_size(12, -0.05), "rate of control"),
        (lambda: sample_size(0.12, -1), "changed rate must be above 0 and below 1"),
        (lambda: sample_size(0.12, 0), "a change of 0"),
        (lambda: sample_size(0.12, -0.05, alpha=0.5), "alpha"),
        (lambda: sample_size(0.12, -0.05, power=1), "power must be above 0 and below 1"),
        (lambda: sample_size(0.12, -0.05, method="exact"), "'unpooled' or 'arcsine'"),
        (lambda: sample_size(0.12, -0.05, allocation=0), "allocation"),
        (lambda: sample_size(0.12, -0.05, design_effect=0), "design effect"),
        (lambda: sample_size(0.12, -0.05, rows_per_user=0.5), "rows a user"),
        (lambda: non_inferiority_sample_size(0.12, 0), "margin must be above 0"),
        (lambda: non_inferiority_sample_size(0.12, 0.05, relative_change=-0.05), "can never be ruled out"),
        (lambda: non_inferiority_sample_size(0.12, 0.05, contrast="odds"), "'difference' or 'ratio'"),
        (lambda: non_inferiority_power(0, 0.12, 0.05), "rows of control must be at least 1"),
        (lambda: minimum_detectable_change(100, 0.12, change="sideways"), "'decrease' or an 'increase'"),
        (lambda: minimum_detectable_change(100, 0.12, power=0.04), "power must be above alpha"),
        (lambda: days_needed(10, -1), "new users of a day must be 0 or more"),
        (lambda: days_needed(10, []), "at least one day must be known"),
        (lambda: days_needed(10, 5, share=0), "share of an arm"),
        (lambda: further_users(0.1, 0.1, 10, alpha=0), "alpha"),
    ],
)
def test_refuses_what_cannot_be_planned(call, message):
    """Each parameter out of range says which rule it breaks."""
    with pytest.raises(ParameterError, match=message):
        call()
