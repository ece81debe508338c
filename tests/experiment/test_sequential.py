"""Confidence sequences, group-sequential bounds and the price of peeking against published values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from engine.errors import ParameterError
from engine.experiment.ratios import RatioEstimate, compare_ratios
from engine.experiment.sequential import (
    crossing_probabilities,
    group_sequential_bounds,
    peeking_false_positive_rate,
    rho,
    sequential_half_width,
)


def test_reference_tuning():
    """ρ at alpha .05 and N* = 5000 is .0398401."""
    assert rho(0.05, 5000) == pytest.approx(0.0398401, abs=5e-8)


def test_reference_width_at_the_tuned_number():
    """At N* users the interval is 1.55 times as wide as a fixed one, and at any other number wider than that."""
    n = np.array([500, 2_500, 5_000, 10_000, 100_000])
    times = sequential_half_width(1.0, n) / norm.ppf(0.975)
    assert times[2] == pytest.approx(1.55, abs=0.005)
    assert times.argmin() == 2


def test_reference_interval_of_growthbook():
    """1396/3000 against 2422/3461 has a relative lift of .50386 with the sequential interval [.40098, .60675]."""

    def estimate(clicks, users):
        rate = clicks / users
        se = np.sqrt(rate * (1 - rate) / users)
        return RatioEstimate(value=np.asarray(rate), se=np.asarray(se), n_users=np.asarray(users))

    found = compare_ratios(estimate(1_396, 3_000), estimate(2_422, 3_461))
    half_width = sequential_half_width(found.relative_se, found.n_users)
    assert found.relative_change == pytest.approx(0.50386, abs=6e-6)
    assert found.relative_change - half_width == pytest.approx(0.40098, abs=6e-6)
    assert found.relative_change + half_width == pytest.approx(0.60675, abs=6e-6)


def test_half_width_is_the_formula_of_the_paper():
    """For variance σ² the half-width is √(2(nρ² + 1) / (n²ρ²) · ln(√(nρ² + 1) / α)) · σ."""
    n, sigma, alpha, r = 1_234, 0.7, 0.01, rho(0.01, 800)
    expected = sigma * np.sqrt(2 * (n * r**2 + 1) / (n**2 * r**2) * np.log(np.sqrt(n * r**2 + 1) / alpha))
    assert sequential_half_width(sigma / np.sqrt(n), n, alpha=alpha, n_star=800) == pytest.approx(expected)


def test_nothing_is_known_before_the_first_user():
    """At no user the interval is infinite, without a warning."""
    assert sequential_half_width(1.0, 0) == np.inf


@pytest.mark.parametrize(("looks", "percent"), [(1, 5.0), (5, 14.1), (10, 19.2), (35, 29.3)])
def test_reference_price_of_peeking(looks, percent):
    """A/A at a nominal 5 %: 14.1 % at 5 looks, 19.2 % at 10, 29.3 % at 35, each to 0.15 points."""
    assert 100 * peeking_false_positive_rate(looks) == pytest.approx(percent, abs=0.15)


def test_published_price_of_peeking():
    """Armitage, McPherson & Rowe 1969 give .142 at 5 looks, .193 at 10, .248 at 20 and .320 at 50."""
    found = [round(peeking_false_positive_rate(looks), 3) for looks in (2, 3, 4, 5, 10, 20, 50)]
    assert found == [0.083, 0.107, 0.126, 0.142, 0.193, 0.248, 0.320]


def test_more_looks_find_more():
    """The rate grows with the looks and with alpha."""
    rates = [peeking_false_positive_rate(looks) for looks in (1, 2, 7, 35, 366)]
    assert rates == sorted(rates)
    assert peeking_false_positive_rate(7, alpha=0.01) < rates[2]


def test_reference_group_sequential_bounds():
    """Power family ρ = 2, 5 looks, .05 two-sided: 3.0902, 2.7141, 2.4727, 2.2798, 2.1140 (to one digit in the last)."""
    expected = (3.0902, 2.7141, 2.4727, 2.2798, 2.1140)
    assert group_sequential_bounds(5) == pytest.approx(expected, abs=1e-4)


def test_published_bounds_of_the_other_families():
    """Pocock's spending gives 2.438 … 2.386 (Jennison & Turnbull 2000); O'Brien-Fleming's starts far off."""
    pocock = group_sequential_bounds(5, family="pocock")
    assert [round(bound, 3) for bound in pocock] == [2.438, 2.427, 2.410, 2.397, 2.386]
    obrien = group_sequential_bounds(5, family="obrien-fleming")
    assert obrien[0] > 4.3
    assert 1.96 < obrien[-1] < 2.1


@pytest.mark.parametrize("family", ["power", "obrien-fleming", "pocock"])
@pytest.mark.parametrize("looks", [1, 2, 12])
def test_bounds_spend_exactly_alpha(family, looks):
    """Walking through the bounds, the chance to cross any of them is alpha; a single look is the fixed test."""
    bounds = group_sequential_bounds(looks, alpha=0.05, family=family)
    assert crossing_probabilities(bounds, np.arange(1, looks + 1)).sum() == pytest.approx(0.05, abs=1e-9)
    if looks == 1:
        assert bounds[0] == pytest.approx(norm.ppf(0.975))


def test_unequal_looks_agree_with_simulation():
    """The first crossings of paths with unequal information are those of 200,000 simulated ones, within 0.3 points."""
    information, bounds = np.array([1.0, 1.5, 4.0, 9.0]), np.array([2.5, 2.2, 2.1, 2.0])
    steps = np.random.default_rng(2).standard_normal((200_000, 4)) * np.sqrt(np.diff(information, prepend=0))
    outside = np.abs(steps.cumsum(axis=1)) > bounds * np.sqrt(information)
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), -1)
    simulated = [np.mean(first == look) for look in range(4)]
    assert crossing_probabilities(bounds, information) == pytest.approx(simulated, abs=0.003)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, -0.1, float("nan")])
def test_refuses_alphas_out_of_range(alpha):
    """Every function of an error rate wants one above 0 and below 0.5."""
    for call in (
        lambda: rho(alpha),
        lambda: sequential_half_width(1.0, 10, alpha=alpha),
        lambda: peeking_false_positive_rate(5, alpha=alpha),
        lambda: group_sequential_bounds(5, alpha=alpha),
    ):
        with pytest.raises(ParameterError, match="alpha must be above 0"):
            call()


@pytest.mark.parametrize("looks", [0, -1, 367, 2.5, float("nan")])
def test_refuses_numbers_of_looks_out_of_range(looks):
    """Looks are a whole number from 1 to 366."""
    with pytest.raises(ParameterError, match="number of looks must be a whole one from 1 to 366"):
        peeking_false_positive_rate(looks)


def test_refuses_looks_that_do_not_fit():
    """Bounds must be one a look and positive, information must grow, counts be counts, families known."""
    with pytest.raises(ParameterError, match="every look needs one bound"):
        crossing_probabilities([2.0], [1, 2])
    with pytest.raises(ParameterError, match="every look needs one bound above 0"):
        crossing_probabilities([2.0, 0.0], [1, 2])
    with pytest.raises(ParameterError, match="must grow from look to look"):
        crossing_probabilities([2.0, 2.0], [2, 2])
    with pytest.raises(ParameterError, match="number of users must be 0 or more"):
        sequential_half_width(1.0, -5)
    with pytest.raises(ParameterError, match="tuned for must be at least 1"):
        rho(0.05, 0)
    with pytest.raises(ParameterError, match="spending family must be"):
        group_sequential_bounds(3, family="haybittle")
    with pytest.raises(ParameterError, match="exponent of the power family"):
        group_sequential_bounds(3, exponent=0)
