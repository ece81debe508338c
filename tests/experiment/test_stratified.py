"""Mantel-Haenszel estimates, Simpson's paradox, and strata whose users come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import Table2x2

from engine.errors import ParameterError
from engine.experiment.ratios import UserMoments, compare_ratios, ratio_of
from engine.experiment.stratified import compare_strata, detect_simpson, standardise, standardise_rows

RAMP = ([20_000, 5_000], [990_000, 500_000], [230, 6_000], [10_000, 500_000])
arm = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_reference_ramp_reverses_its_sign():
    """A 99/1 day and a 50/50 day: pooled -27 %, Mantel-Haenszel odds ratio 1.198; every stratum gains 15 to 20 %."""
    found, simpson = compare_strata(*RAMP), detect_simpson(*RAMP)
    assert found.odds_ratio.value == pytest.approx(1.198, abs=5e-4)
    assert found.odds_ratio.low > 1
    assert 1.15 < found.risk_ratio.value < 1.2
    assert simpson.pooled == pytest.approx(-0.27, abs=0.005)
    assert simpson.stratified.value == pytest.approx(found.risk_ratio.value - 1)
    assert (simpson.split_varies, simpson.disagrees, simpson.is_reversed) == (True, True, True)


def test_a_steady_split_reverses_nothing():
    """At 50/50 on both days pooled and stratified agree, whatever the days' rates."""
    found = detect_simpson([20_000, 5_000], [500_000, 500_000], [21_000, 5_300], [500_000, 500_000])
    assert (found.split_varies, found.disagrees, found.is_reversed) == (False, False, False)
    assert found.pooled == pytest.approx(found.stratified.value, abs=1e-9)


def test_noise_around_zero_is_no_reversal():
    """Where the split varies but the pooled change lies within the stratified interval, nothing disagrees."""
    found = detect_simpson([1_000, 100], [10_000, 1_000], [99, 1_005], [1_000, 10_000])
    assert found.split_varies
    assert not found.disagrees


def test_one_stratum_is_the_plain_table():
    """A single stratum has the odds and risk ratios of its 2 × 2 table, with their usual intervals."""
    found = compare_strata([40], [500], [60], [450])
    table = Table2x2([[60, 390], [40, 460]])
    assert found.odds_ratio.value == pytest.approx(table.oddsratio)
    assert (found.odds_ratio.low, found.odds_ratio.high) == pytest.approx(table.oddsratio_confint(), rel=1e-6)
    assert found.risk_ratio.value == pytest.approx(table.riskratio)
    assert (found.risk_ratio.low, found.risk_ratio.high) == pytest.approx(table.riskratio_confint(), rel=1e-6)
    assert found.risk_difference.value == pytest.approx(60 / 450 - 40 / 500)


def test_textbook_case():
    """Mantel-Haenszel by hand over two strata: risk ratio Σ x1·n0/N / Σ x0·n1/N and difference Σ w·d / Σ w."""
    found = compare_strata([10, 20], [100, 50], [15, 5], [100, 10])
    top, bottom = 15 * 100 / 200 + 5 * 50 / 60, 10 * 100 / 200 + 20 * 10 / 60
    assert found.risk_ratio.value == pytest.approx(top / bottom)
    weights = np.array([100 * 100 / 200, 50 * 10 / 60])
    assert found.risk_difference.value == pytest.approx(weights @ [0.05, 0.1] / weights.sum())


@settings(max_examples=30, deadline=None)
@given(strata=st.lists(st.tuples(arm, arm), min_size=1, max_size=5))
def test_estimates_are_sound_for_any_counts(strata):
    """Intervals hold their estimates; exchanging the arms inverts ratios and turns differences; nothing warns."""
    x0, n0, x1, n1 = np.array([(*control, *treatment) for control, treatment in strata]).T
    found, swapped = compare_strata(x0, n0, x1, n1), compare_strata(x1, n1, x0, n0)
    for estimate in (found.odds_ratio, found.risk_ratio, found.risk_difference):
        if estimate.low is not None:
            assert estimate.low <= estimate.value <= estimate.high
    assert swapped.risk_difference.value == pytest.approx(-found.risk_difference.value, abs=1e-12)
    if found.risk_ratio.value and swapped.risk_ratio.value:
        assert swapped.risk_ratio.value == pytest.approx(1 / found.risk_ratio.value)
    detect_simpson(x0, n0, x1, n1)


def test_a_stratum_with_one_arm_is_left_out():
    """A day on which only one arm had traffic compares nothing, and is counted."""
    found = compare_strata([10, 5], [100, 100], [12, 0], [100, 0])
    assert (found.n_strata, found.n_left_out) == (1, 1)
    assert found.risk_difference.value == pytest.approx(0.02)


@pytest.mark.parametrize("successes", [0, 100])
def test_rates_of_zero_and_one_have_no_interval(successes):
    """Where every row agrees there is no width to state, no odds ratio and no test."""
    found = compare_strata([successes] * 2, [100] * 2, [successes] * 2, [100] * 2)
    assert (found.odds_ratio.value, found.p_value) == (None, None)
    assert (found.risk_difference.value, found.risk_difference.low) == (0, None)
    assert found.risk_ratio.low is None


def test_refuses_what_compares_nothing():
    """No stratum with both arms, ragged strata and impossible counts are refused."""
    with pytest.raises(ParameterError, match="at least one stratum must hold both arms.*holdback"):
        compare_strata([1, 0], [10, 0], [0, 1], [0, 10])
    with pytest.raises(ParameterError, match="one count of each kind"):
        compare_strata([1, 2], [10, 10], [1], [10])
    with pytest.raises(ParameterError, match="control cannot have more successes than rows"):
        compare_strata([11], [10], [1], [10])
    with pytest.raises(ParameterError, match="confidence"):
        compare_strata([1], [10], [1], [10], confidence=1)


def test_standardised_ratio_is_the_mantel_haenszel_one():
    """With one row a user, the standardised arms have the Mantel-Haenszel risk ratio and difference."""

    def moments(x, n):
        return UserMoments(n_users=n, sum_x=x, sum_y=n, sum_xx=x, sum_yy=n, sum_xy=x)

    arms = standardise(moments(RAMP[0], RAMP[1]), moments(RAMP[2], RAMP[3]))
    found, expected = compare_ratios(arms.control, arms.treatment), compare_strata(*RAMP)
    assert found.relative_change + 1 == pytest.approx(expected.risk_ratio.value)
    assert found.difference == pytest.approx(expected.risk_difference.value)
    assert (found.low, found.high) == pytest.approx(
        (expected.risk_difference.low, expected.risk_difference.high), abs=1e-6
    )
    assert arms.weights.sum() == pytest.approx(1)


def rows_of(rng, n_users, n_days):
    """Draw rows of users who come back on most days and click at rates of their own: user, day, arm, click."""
    active = rng.random((n_users, n_days)) < 0.7
    user, day = (index.astype(np.int32) for index in np.nonzero(active))
    rate = np.clip(rng.gamma(1.0, 0.15, size=n_users), 0, 0.9)
    return user, day.astype(np.int16), user % 2 == 0, rng.random(len(user)) < rate[user]


def test_users_in_several_strata_are_not_counted_as_new_ones():
    """Over 300 simulated A/A weeks the rows version rejects about 5 %; strata taken as independent reject far more."""
    rng = np.random.default_rng(11)
    by_user, as_independent = [], []
    for _ in range(300):
        user, day, is_treatment, clicked = rows_of(rng, 400, 7)
        arms = standardise_rows(user, day, is_treatment, clicked, n_users=400, n_strata=7)
        by_user.append(float(compare_ratios(arms.control, arms.treatment).p_value))
        sides = [np.bincount(day[side], clicked[side], 7) for side in (~is_treatment, is_treatment)]
        sizes = [np.bincount(day[side], minlength=7).astype(float) for side in (~is_treatment, is_treatment)]
        control, treatment = (
            UserMoments(n_users=n, sum_x=x, sum_y=n, sum_xx=x, sum_yy=n, sum_xy=x)
            for x, n in zip(sides, sizes, strict=True)
        )
        apart = standardise(control, treatment)
        assert arms.control.value == pytest.approx(apart.control.value)
        as_independent.append(float(compare_ratios(apart.control, apart.treatment).p_value))
    assert np.mean(np.array(by_user) < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(np.array(as_independent) < 0.05) > 0.1


def test_one_stratum_of_rows_is_the_plain_ratio_by_user():
    """Rows of a single stratum give each arm the value and error of the delta method; negative ones are out."""
    user, _, is_treatment, clicked = rows_of(np.random.default_rng(12), 300, 5)
    stratum = np.where(np.arange(len(user)) % 10 == 0, -1, 0).astype(np.int16)
    arms = standardise_rows(user, stratum, is_treatment, clicked, n_users=300, n_strata=1)
    used = is_treatment & (stratum == 0)
    plain = ratio_of(
        UserMoments.of(np.bincount(user[used], clicked[used], 300), np.bincount(user[used], minlength=300))
    )
    assert arms.treatment.value == pytest.approx(float(plain.value))
    assert arms.treatment.se == pytest.approx(float(plain.se))
    assert arms.treatment.n_users == plain.n_users


def test_refuses_rows_that_do_not_fit():
    """Arrays of different lengths, users and strata out of range, and moments without strata are refused."""
    user, stratum, flag = np.zeros(4, np.int32), np.zeros(4, np.int16), np.array([True, False, True, False])
    with pytest.raises(ParameterError, match="one entry a row each"):
        standardise_rows(user[:3], stratum, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="users 0 to 0 and strata 0 to 0; found users 1 to 1"):
        standardise_rows(user + 1, stratum, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="strata up to 2"):
        standardise_rows(user, stratum + 2, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="at least one stratum must hold both arms"):
        standardise_rows(user, stratum, np.zeros(4, bool), flag, n_users=1, n_strata=1)
    single = UserMoments.of([1, 2], [3, 4])
    with pytest.raises(ParameterError, match="moments of the same strata"):
        standardise(single, single)
