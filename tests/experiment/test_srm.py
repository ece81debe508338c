"""The split check against published p-values, its gate, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency, norm

from engine.errors import ParameterError
from engine.experiment.checks import normal_tail
from engine.experiment.srm import check_srm, chi_square_tail, homogeneity


@pytest.mark.parametrize(
    ("counts", "shares", "p_value", "is_broken"),
    [
        ([1000, 1200], [1, 1], 0.000020079, True),
        ([135, 115], [1, 1], 0.205903211, False),
        ([310, 98], [0.75, 0.25], 0.647434186, False),
        ([500, 500, 600], [0.34, 0.33, 0.33], 0.000592638, True),
    ],
)
def test_published_p_values(counts, shares, p_value, is_broken):
    """The four splits of the design have the p-values written there, and p < .001 alone breaks the split."""
    found = check_srm(counts, shares)
    assert found.p_value == pytest.approx(p_value, abs=5e-10)
    assert found.is_broken is is_broken


def test_shares_are_relative():
    """Shares of 1:1, 50:50 and .5:.5 expect the same users."""
    assert check_srm([90, 110], [1, 1]) == check_srm([90, 110], [50, 50]) == check_srm([90, 110], [0.5, 0.5])


def test_sound_splits_are_seldom_called_broken():
    """Of 2,000 sound splits of 10,000 users at most 0.5 % are called broken."""
    draws = np.random.default_rng(3).binomial(10_000, 0.5, size=2_000)
    assert np.mean([check_srm([n, 10_000 - n], [1, 1]).is_broken for n in draws]) <= 0.005


def test_a_handful_of_users_breaks_nothing():
    """Four users on one side have p = .046 at best, and expected counts below 5 are never called broken."""
    found = check_srm([0, 9], [0.5, 0.5], threshold=0.05)
    assert (found.is_enough_data, found.is_broken) == (False, False)
    assert found.p_value < 0.05


def test_an_empty_arm_of_many_users_is_broken():
    """An arm without a single user of 10,000 is a broken split, not an error."""
    assert check_srm([10_000, 0], [0.5, 0.5]).is_broken


@pytest.mark.parametrize(
    ("counts", "shares", "message"),
    [
        ([1], [1], "two or more arms"),
        ([1, 2], [1], "one count and one share"),
        ([0, 0], [1, 1], "once a user was assigned"),
        ([-1, 5], [1, 1], "0 or more and finite; found -1"),
        ([float("nan"), 5], [1, 1], "finite; found nan"),
        ([5, 5], [1, 0], "share above 0; found 1, 0"),
    ],
)
def test_refuses_what_is_no_split(counts, shares, message):
    """Fewer than two arms, missing shares, no user, negative or NaN counts and empty shares each say which rule."""
    with pytest.raises(ParameterError, match=message):
        check_srm(counts, shares)


@pytest.mark.parametrize("threshold", [0, 1, float("nan")])
def test_refuses_thresholds_outside_of_probabilities(threshold):
    """A threshold is a probability between 0 and 1."""
    with pytest.raises(ParameterError, match="threshold"):
        check_srm([5, 5], [1, 1], threshold=threshold)


def test_tables_are_tested_as_scipy_does():
    """Statistic, p-value and smallest expected count are those of the chi-square test without correction."""
    rng = np.random.default_rng(6)
    for shape in ((2, 2), (5, 2), (2, 7), (4, 3)):
        table = rng.integers(1, 400, size=shape)
        found, expected = homogeneity(table), chi2_contingency(table, correction=False)
        assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
        assert found.least_expected == pytest.approx(expected.expected_freq.min())


def test_tails_are_those_of_the_distributions():
    """The normal and the chi-square tail agree with SciPy far out, at NaN and at infinity."""
    z = np.array([[-40.0, -1.96, 0.0], [3.0, 30.0, np.inf]])
    np.testing.assert_allclose(normal_tail(z), norm.sf(z), rtol=1e-12)
    assert np.isnan(normal_tail(np.nan))
    for degrees in (1, 2, 9):
        assert chi_square_tail(30.0, degrees) == pytest.approx(chi2.sf(30.0, degrees), rel=1e-12)
