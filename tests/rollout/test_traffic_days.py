"""Simulated traffic of rollouts, a day at a time, with faults."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import binom, norm

from engine.errors import ParameterError
from engine.rollout.traffic_days import RolloutFault, Traffic, TrafficDays, _drawn

START = datetime(2025, 3, 1, tzinfo=UTC)
STEADY = Traffic(queries_a_day=100_000, users=1_000_000, user_correlation=0.0, day_spread=0.0)


def traffic(of=STEADY, **options):
    """Return the days of 400 rollouts at 5, 50 or 100 %."""
    return TrafficDays(of, **{"percents": (5, 50, 100), "n_rollouts": 400, "seed": 3, **options})


@pytest.mark.parametrize(("n", "rate"), [(5, 0.12), (300, 0.12), (20, 0.6), (50_000, 0.001), (1_000_000, 0.12)])
def test_counts_are_quantiles_of_the_binomial(n, rate):
    """Counts from a normal noise equal the binomial quantiles, within one where Cornish and Fisher approximate them."""
    noise = np.random.default_rng(0).standard_normal(5000)
    expected = binom.ppf(norm.cdf(noise), n, rate)
    found = _drawn(np.full(5000, float(n)), np.full(5000, rate), noise)
    assert np.abs(found - expected).max() <= (1 if n * rate * (1 - rate) > 30 else 0)
    assert np.mean(found != expected) < 0.02


def test_a_day_has_the_rates_that_were_asked_for():
    """Averages of both arms are those of the traffic, and their spread that of binomial counts."""
    day = traffic().day(0, 50.0)
    for arm in (day.control, day.treatment):
        ctr = arm.n_clicks / arm.n_queries
        assert ctr.mean() == pytest.approx(0.12, rel=0.002)
        assert ctr.std() == pytest.approx((0.12 * 0.88 / 50_000) ** 0.5, rel=0.15)
        assert (arm.n_errors / arm.n_queries).mean() == pytest.approx(0.001, rel=0.03)
        assert np.exp(arm.log_p99).mean() == pytest.approx(120, rel=0.005)
        assert arm.log_p99.std() == pytest.approx(arm.log_p99_se[0], rel=0.15)
    assert (day.control.n_queries + day.treatment.n_queries == 100_000).all()


@pytest.mark.parametrize(
    ("fault", "ratios"),
    [
        (RolloutFault(kind="latency", amount=2.0), (1, 1, 2)),
        (RolloutFault(kind="clicks", amount=-0.08), (0.92, 1, 1)),
        (RolloutFault(kind="errors", amount=0.002), (1, 3, 1)),
    ],
)
def test_faults_strike_the_arm_and_the_days_that_they_name(fault, ratios):
    """A fault changes its own metric by its amount, in the treatment only, from its first day to its last."""
    lasting = RolloutFault(kind=fault.kind, amount=fault.amount, first_day=2, last_day=3, from_percent=50)
    source, quiet = traffic(faults=[lasting]), traffic()
    for day, percent, is_struck in (
        (1, 50.0, False),
        (2, 50.0, True),
        (3, 50.0, True),
        (4, 50.0, False),
        (2, 5.0, False),
    ):
        today, usual = source.day(day, percent), quiet.day(day, percent)
        assert today.has_fault.all() == is_struck
        assert np.array_equal(today.control.n_clicks, usual.control.n_clicks)
        pairs = (
            (today.treatment.n_clicks, usual.treatment.n_clicks),
            (today.treatment.n_errors, usual.treatment.n_errors),
        )
        found = [one.sum() / other.sum() for one, other in pairs]
        found.append(np.exp(today.treatment.log_p99 - usual.treatment.log_p99).mean())
        assert found == pytest.approx(list(ratios) if is_struck else [1, 1, 1], rel=0.02)


def test_faults_of_both_arms_strike_both_alike():
    """What breaks in both arms changes the rate of both."""
    day = traffic(faults=[RolloutFault(kind="errors", amount=0.01, arm="both")]).day(0, 50.0)
    assert (day.control.n_errors.sum() / day.treatment.n_errors.sum()) == pytest.approx(1, rel=0.02)


def test_missing_data_is_not_observed():
    """On days of missing data the arm sends no observation, the other one does."""
    source = traffic(faults=[RolloutFault(kind="missing data", first_day=1, last_day=1)])
    assert [one.arm for one in source.observations(0, 5.0, start=START)] == ["control", "treatment"]
    assert [one.arm for one in source.observations(1, 5.0, start=START)] == ["control"]


def test_the_same_seed_gives_the_same_days_in_any_order():
    """A day depends on the seed and its number alone, not on which were asked for before."""
    first, second = traffic(), traffic()
    first.day(0, 5.0)
    assert np.array_equal(first.day(7, 50.0).treatment.n_clicks, second.day(7, 50.0).treatment.n_clicks)
    assert not np.array_equal(first.day(7, 50.0).treatment.n_clicks, traffic(seed=4).day(7, 50.0).treatment.n_clicks)


def test_users_keep_their_inclination_as_the_rollout_grows():
    """The luck of the users in treatment stays from day to day, has its promised size, and thins out as more come."""
    of = Traffic(queries_a_day=10**9, users=10_000, user_correlation=0.05, day_spread=0.0)
    source = traffic(of)
    luck = [source.day(day, percent) for day, percent in ((0, 5.0), (1, 5.0), (2, 50.0))]
    early, again, later = (day.treatment.n_clicks / day.treatment.n_queries - 0.12 for day in luck)
    assert np.corrcoef(early, again)[0, 1] > 0.99
    assert early.std() == pytest.approx((0.05 * 0.12 * 0.88 * 2 / 500) ** 0.5, rel=0.1)
    assert later.std() == pytest.approx((0.05 * 0.12 * 0.88 * 2 / 5000) ** 0.5, rel=0.1)
    assert 0.1 < np.corrcoef(early, later)[0, 1] < 0.6


def test_observations_hold_the_same_numbers():
    """An observation of one rollout is its day's counts; too few queries for a p99 interval have none."""
    source = traffic()
    day = source.day(3, 5.0)
    control, treatment = source.observations(3, 5.0, start=START, rollout=17)
    assert (treatment.n_clicks, control.n_errors) == (day.treatment.n_clicks[17], day.control.n_errors[17])
    assert treatment.start == "2025-03-04T00:00:00+00:00"
    assert treatment.is_simulated
    assert np.log(treatment.p99_high_ms / treatment.p99_low_ms) == pytest.approx(
        3.92 * day.treatment.log_p99_se[17], rel=1e-3
    )
    few = traffic(Traffic(queries_a_day=2000)).observations(0, 5.0, start=START)[1]
    assert (few.n_queries, few.p99_low_ms) == (100, None)
    stored = source.baseline_observations(start=START)
    assert (len(stored), stored[0].start, stored[-1].end) == (7, "2025-02-22T00:00:00+00:00", START.isoformat())


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (Traffic, {"queries_a_day": 0}, "whole number"),
        (Traffic, {"users": 1.5}, "whole number"),
        (Traffic, {"ctr": 1.2}, "CTR"),
        (Traffic, {"p99_ms": float("nan")}, "p99 latency"),
        (Traffic, {"day_spread": -1.0}, "spread"),
        (RolloutFault, {"kind": "rain"}, "a fault is one of"),
        (RolloutFault, {"kind": "latency", "amount": 0.0}, "amount"),
        (RolloutFault, {"kind": "clicks", "amount": -2.0}, "amount"),
        (RolloutFault, {"kind": "errors", "first_day": -1}, "day 0 or later"),
        (RolloutFault, {"kind": "errors", "amount": 0.1, "first_day": 5, "last_day": 4}, "does not end before"),
        (RolloutFault, {"kind": "latency", "from_percent": 101}, "0 to 100 %"),
        (RolloutFault, {"kind": "latency", "arm": "left"}, "the arm of a fault"),
    ],
)
def test_what_cannot_be_simulated_is_refused(kind, values, words):
    """Traffic and faults out of range are refused in one sentence."""
    with pytest.raises(ParameterError, match=words):
        kind(**values)
