"""The Mantel-Haenszel odds ratio, and strata whose users come back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import Table2x2

from engine.errors import ParameterError
from engine.experiment.ratios import UserMoments, compare_ratios, ratio_of
from engine.experiment.results import Estimate
from engine.experiment.stratified import common_odds_ratio, standardise_rows

RAMP = ([20_000, 5_000], [990_000, 500_000], [230, 6_000], [10_000, 500_000])
arm = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_reference_ramp_has_the_odds_ratio_of_the_design():
    """A 99/1 day and a 50/50 day, pooled -27 %: the Mantel-Haenszel odds ratio is 1.198, and its interval above 1."""
    found = common_odds_ratio(*RAMP)
    assert found.value == pytest.approx(1.198, abs=5e-4)
    assert found.low > 1


def test_one_stratum_is_the_plain_table():
    """A single stratum has the odds ratio of its 2 × 2 table, with its usual interval."""
    found = common_odds_ratio([40], [500], [60], [450])
    table = Table2x2([[60, 390], [40, 460]])
    assert (found.value, found.low, found.high) == pytest.approx((table.oddsratio, *table.oddsratio_confint()))


def test_textbook_case():
    """Mantel-Haenszel by hand over two strata: Σ x1·(n0 - x0)/N over Σ x0·(n1 - x1)/N."""
    found = common_odds_ratio([10, 20], [100, 50], [15, 5], [100, 10])
    top, bottom = 15 * 90 / 200 + 5 * 30 / 60, 10 * 85 / 200 + 20 * 5 / 60
    assert found.value == pytest.approx(top / bottom)


@settings(max_examples=30, deadline=None)
@given(strata=st.lists(st.tuples(arm, arm), min_size=1, max_size=5))
def test_estimates_are_sound_for_any_counts(strata):
    """The interval holds its estimate; exchanging the arms inverts the ratio; nothing warns."""
    x0, n0, x1, n1 = np.array([(*control, *treatment) for control, treatment in strata]).T
    found, swapped = common_odds_ratio(x0, n0, x1, n1), common_odds_ratio(x1, n1, x0, n0)
    if found.low is not None:
        assert found.low <= found.value <= found.high
    if found.value and swapped.value:
        assert swapped.value == pytest.approx(1 / found.value)


@pytest.mark.parametrize("successes", [0, 100])
def test_strata_that_compare_nothing_are_left_out(successes):
    """A day with one arm only, without any click or with nothing else changes nothing; such days alone give nothing."""
    day, one_arm = ([40], [500], [60], [450]), ([5], [100], [0], [0])
    same = ([successes], [100], [successes], [100])
    both = [[a[0], b[0], c[0]] for a, b, c in zip(day, one_arm, same, strict=True)]
    assert common_odds_ratio(*both) == common_odds_ratio(*day)
    for nothing in (one_arm, same):
        assert common_odds_ratio(*nothing) == Estimate(value=None, low=None, high=None)


def test_refuses_counts_that_cannot_be():
    """Ragged strata, more successes than rows and a confidence out of range are refused."""
    with pytest.raises(ParameterError, match="one count of each kind"):
        common_odds_ratio([1, 2], [10, 10], [1], [10])
    with pytest.raises(ParameterError, match="control cannot have more successes than rows"):
        common_odds_ratio([11], [10], [1], [10])
    with pytest.raises(ParameterError, match="confidence"):
        common_odds_ratio([1], [10], [1], [10], confidence=1)


def test_rows_of_users_of_their_own_have_the_mantel_haenszel_ratio():
    """With one row a user the quotient of the averages is Σ x1·n0/N over Σ x0·n1/N."""
    counts = ([30, 10], [300, 50], [5, 20], [20, 60])
    rows = [
        (day, is_treatment, click)
        for day, of_day in enumerate(zip(*counts, strict=True))
        for is_treatment, (x, n) in enumerate((of_day[:2], of_day[2:]))
        for click in [True] * x + [False] * (n - x)
    ]
    day, side, click = (np.array(column) for column in zip(*rows, strict=True))
    arms = standardise_rows(np.arange(len(rows)), day, side == 1, click, n_users=len(rows), n_strata=2)
    x0, n0, x1, n1 = map(np.array, counts)
    expected = (x1 * n0 / (n0 + n1)).sum() / (x0 * n1 / (n0 + n1)).sum()
    assert float(arms.treatment.value / arms.control.value) == pytest.approx(expected)


def rows_of(rng, n_users, n_days):
    """Draw rows of users who come back on most days and click at rates of their own: user, day, arm, click."""
    active = rng.random((n_users, n_days)) < 0.7
    user, day = (index.astype(np.int32) for index in np.nonzero(active))
    rate = np.clip(rng.gamma(1.0, 0.15, size=n_users), 0, 0.9)
    return user, day.astype(np.int16), user % 2 == 0, rng.random(len(user)) < rate[user]


def test_users_in_several_strata_are_not_counted_as_new_ones():
    """Over 300 simulated A/A weeks the rows version rejects 5 %; every day's users taken for new ones far more."""
    rng = np.random.default_rng(11)
    by_user, as_new = [], []
    for _ in range(300):
        user, day, is_treatment, clicked = rows_of(rng, 400, 7)
        for rejected, of_rows in ((by_user, user), (as_new, user * 7 + day)):
            arms = standardise_rows(of_rows, day, is_treatment, clicked, n_users=2800, n_strata=7)
            rejected.append(float(compare_ratios(arms.control, arms.treatment).p_value) < 0.05)
    assert np.mean(by_user) == pytest.approx(0.05, abs=0.03)
    assert np.mean(as_new) > 0.1


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
    """Arrays of different lengths, users and strata out of range, and strata of one arm are refused."""
    user, stratum, flag = np.zeros(4, np.int32), np.zeros(4, np.int16), np.array([True, False, True, False])
    with pytest.raises(ParameterError, match="one entry a row each"):
        standardise_rows(user[:3], stratum, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="users 0 to 0 and strata 0 to 0; found users 1 to 1"):
        standardise_rows(user + 1, stratum, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="strata up to 2"):
        standardise_rows(user, stratum + 2, flag, flag, n_users=1, n_strata=1)
    with pytest.raises(ParameterError, match="at least one stratum must hold both arms"):
        standardise_rows(user, stratum, np.zeros(4, bool), flag, n_users=1, n_strata=1)
