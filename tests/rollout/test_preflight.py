"""What pre-flight promises of a rollout before it starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from engine.errors import CancelledError, ParameterError
from engine.rollout.preflight import CTR_DROP, DOUBLED_P99, NO_FAULT, Scenario, compare_preflights, preflight
from engine.rollout.preflight_results import PREFLIGHT_PARTS, Preflight, difference_of_shares, probability, spread
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule
from engine.rollout.thresholds import Limit, Thresholds
from engine.rollout.traffic_days import RolloutFault, Traffic
from engine.workspace.codec import decode, encode

SHORT = Schedule.parse("0:5, 2:30, 4:100", holdback_percent=5.0)


@pytest.fixture(scope="module")
def example() -> Preflight:
    """Return the pre-flight of the example migration by the default schedule and thresholds."""
    return preflight(DEFAULT_SCHEDULE, Traffic(), Thresholds(), n_simulations=400, seed=2)


def test_the_example_keeps_what_its_thresholds_promise(example):
    """Without a fault at most 5 % of the rollouts raise an alert and 1 % roll back, within Monte Carlo error."""
    fine = example.scenario(NO_FAULT.name)
    assert fine.alert.low <= 0.05
    assert fine.roll_back.low <= 0.01
    assert fine.complete.value > 0.95
    assert fine.days_to_finish.median >= DEFAULT_SCHEDULE.last_day
    assert math.isnan(fine.missed.value)


def test_a_doubled_p99_is_caught_within_a_day(example):
    """No rollout misses a doubled p99, and by the first look only the first stage has seen it."""
    slow = example.scenario(DOUBLED_P99.name)
    assert (slow.missed.value, slow.days_to_catch.p95, slow.users_exposed.p95) == (0.0, 1.0, 10_000.0)
    assert slow.pause.value + slow.roll_back.value == 1.0


def test_the_chance_to_miss_a_drop_of_ctr_falls_with_traffic(example):
    """A 5 % drop is caught with a million queries a day and mostly missed with ten thousand."""
    small = preflight(
        SHORT, Traffic(queries_a_day=10_000, users=4000), Thresholds(), scenarios=[CTR_DROP], n_simulations=200
    )
    assert example.scenario(CTR_DROP.name).missed.high < 0.02
    assert small.scenarios[0].missed.low > 0.3
    assert "too little data to go on" in small.sentences[0]


def test_the_promise_holds_for_other_luck():
    """CTR 8 % lower from 50 % on: what one seed promises, another keeps within both their intervals."""
    scenario = Scenario(
        name="CTR 8 % lower at 50 %", faults=(RolloutFault(kind="clicks", amount=-0.08, from_percent=50),)
    )
    traffic = Traffic(queries_a_day=30_000, users=10_000)
    schedule = Schedule.parse("0:5, 2:50, 4:100", holdback_percent=5.0)
    promised, kept = (
        preflight(
            schedule, traffic, Thresholds(min_users=100), scenarios=[scenario], n_simulations=400, seed=seed
        ).scenarios[0]
        for seed in (1, 2)
    )
    assert 0.02 < promised.missed.value < 0.98
    assert promised.missed.low <= kept.missed.high
    assert kept.missed.low <= promised.missed.high


def test_two_settings_are_compared_over_the_same_luck():
    """A stricter alert stops more; pairs make the difference sure, and equal settings differ by nothing."""
    strict = Thresholds(ctr=Limit(alert=0.02, severity="critical", roll_back=0.1))
    first, second = (
        preflight(SHORT, Traffic(), thresholds, n_simulations=300, seed=4) for thresholds in (Thresholds(), strict)
    )
    found = {(one.scenario, one.quantity): one for one in compare_preflights(first, second).differences}
    paused = found[CTR_DROP.name, "pause"]
    assert paused.low > 0.5
    assert paused.difference == pytest.approx(paused.second - paused.first)
    assert any("CTR 5 % lower, pause" in sentence for sentence in compare_preflights(first, second).sentences)
    same = compare_preflights(first, first)
    assert all(one.difference in {0.0, None} for one in same.differences)
    assert same.sentences == ()


def test_unlike_simulations_are_not_compared():
    """Another seed, number of rollouts or traffic pairs nothing and is refused."""
    options = {"scenarios": [NO_FAULT], "n_simulations": 20}
    first = preflight(SHORT, Traffic(), Thresholds(), **options)
    others = (
        preflight(SHORT, Traffic(), Thresholds(), **options, seed=1),
        preflight(SHORT, Traffic(), Thresholds(), scenarios=[NO_FAULT], n_simulations=21),
        preflight(SHORT, Traffic(ctr=0.1), Thresholds(), **options),
    )
    for other in others:
        with pytest.raises(ParameterError, match="compared over the same"):
            compare_preflights(first, other)


def test_a_preflight_is_deterministic_and_survives_a_run(example):
    """The same seed gives the same result, and storage gives it back whole."""
    again = preflight(DEFAULT_SCHEDULE, Traffic(), Thresholds(), n_simulations=400, seed=2)
    assert again.sentences == example.sentences
    stored = decode(*encode(example), Preflight, PREFLIGHT_PARTS)
    assert (stored.schedule, stored.thresholds, stored.traffic) == (
        example.schedule,
        example.thresholds,
        example.traffic,
    )
    assert np.array_equal(stored.scenarios[1].exposed, example.scenarios[1].exposed)


def test_progress_rises_to_the_end_and_cancelling_stops():
    """Progress never falls and ends at 1; a cancelled pre-flight keeps nothing."""
    shares: list[float] = []
    preflight(SHORT, Traffic(), Thresholds(), n_simulations=20, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    with pytest.raises(CancelledError):
        preflight(SHORT, Traffic(), Thresholds(), n_simulations=20, cancelled=lambda: len(shares) > 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_simulations": 0}, "from 1 to"),
        ({"n_simulations": 10**9}, "from 1 to"),
        ({"max_days": 0}, "days to simulate"),
        ({"seed": -1}, "seed"),
        ({"scenarios": []}, "different names"),
        ({"scenarios": [NO_FAULT, NO_FAULT]}, "different names"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options, words):
    """Numbers out of range and unnamed scenarios are refused in one sentence."""
    with pytest.raises(ParameterError, match=words):
        preflight(SHORT, Traffic(), Thresholds(), **options)


@pytest.mark.parametrize(("hits", "n"), [(0, 1000), (3, 1000), (1000, 1000), (500, 1000)])
def test_chances_have_wilson_intervals(hits, n):
    """The interval of a chance is statsmodels' Wilson interval, with an exact 0 or 1 at the end."""
    found = probability(np.arange(n) < hits)
    low, high = proportion_confint(hits, n, method="wilson")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_a_spread_counts_only_what_happened():
    """Median and 95th percentile leave out rollouts in which something did not happen; none leaves None."""
    found = spread(np.array([1.0, np.nan, 3.0, 2.0]))
    assert (found.median, found.n) == (2.0, 3)
    assert spread(np.array([np.nan])).median is None


def test_paired_differences_cover_the_truth():
    """The interval of a difference of paired shares holds the true one in about 95 % of samples."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        luck = rng.random(80)
        low, high = difference_of_shares(luck < 0.1, luck < 0.2)
        covered += low <= 0.1 <= high
    assert 0.92 < covered / 400 <= 0.99
