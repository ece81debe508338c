"""What pre-flight promises of a rollout before it starts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from engine.errors import CancelledError, ParameterError
from engine.rollout.preflight import CTR_DROP, DOUBLED_P99, NO_FAULT, Scenario, compare_preflights, preflight
from engine.rollout.preflight_results import Preflight, difference_of_shares, probability, spread
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule
from engine.rollout.thresholds import Limit, Thresholds
from engine.rollout.traffic_days import RolloutFault, Traffic

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


def test_stopped_warned_and_missed_are_told_apart(example):
    """At the defaults CTR -5 % is missed in 0 % and yet goes on: it is said plainly, with who is exposed in the end."""
    fewer, slow = (example.scenario(one.name) for one in (CTR_DROP, DOUBLED_P99))
    assert fewer.missed.value == 0
    assert fewer.warned_only.low > 0.9
    assert fewer.complete.value == pytest.approx(fewer.warned_only.value)
    assert (fewer.users_exposed.median, fewer.users_exposed_at_end.median) == (10_000, 200_000)
    for words in ("stopped in", "only warned of, which stops nothing, in 9", "missed, without any alert, in 0 %",
                  "200,000 users in the end, unless somebody acts on the warning"):  # fmt: skip
        assert words in fewer.sentence
    assert (slow.stopped.value, slow.warned_only.value, slow.missed.value) == (1, 0, 0)
    advised = " ".join(example.advice)
    assert "“CTR 5 % lower” is only warned of in 9" in advised
    assert "make that alert critical" in advised
    assert "p99" not in advised


def test_every_rollout_that_a_fault_reached_is_stopped_warned_or_missed():
    """The three shares add up to one whatever the fault, also where it strikes late, ends early or strikes nobody."""
    faults = [
        RolloutFault(kind="clicks", amount=-0.04),
        RolloutFault(kind="latency", amount=1.4, first_day=1, last_day=1),
        RolloutFault(kind="errors", amount=0.0001, from_percent=30),
        RolloutFault(kind="missing data", first_day=90),
    ]
    scenarios = [Scenario(name=str(at), faults=(fault,)) for at, fault in enumerate(faults)]
    traffic = Traffic(queries_a_day=60_000, users=20_000)
    *reached, never = preflight(SHORT, traffic, Thresholds(), scenarios=scenarios, n_simulations=200).scenarios
    for one in reached:
        assert one.stopped.n == one.warned_only.n == one.missed.n == one.has_fault.sum() > 0
        assert one.stopped.value + one.warned_only.value + one.missed.value == pytest.approx(1)
    assert never.missed.n == 0
    assert "missed" not in never.sentence


def test_a_holdback_is_advised_where_nobody_stays_in_control(example):
    """The schedule that ends at 100 % is advised to keep a holdback; one with a holdback is not."""
    assert "a holdback, of 5 % for instance" in example.advice[-1]
    assert preflight(SHORT, Traffic(), Thresholds(), scenarios=[NO_FAULT], n_simulations=20).advice == ()


def test_a_critical_alert_turns_what_was_warned_of_into_what_is_stopped():
    """What the advice says holds: with a critical CTR alert the same drop is stopped and not only warned of."""
    critical = Thresholds(ctr=Limit(alert=0.05, severity="critical", roll_back=0.1))
    found = preflight(SHORT, Traffic(), critical, scenarios=[CTR_DROP], n_simulations=100)
    assert found.scenarios[0].stopped.low > 0.9
    assert not any("only warned of" in words for words in found.advice)


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


def test_a_preflight_is_deterministic():
    """The same seed gives the same result, to the last rollout."""
    first, again = (preflight(SHORT, Traffic(), Thresholds(), n_simulations=100, seed=2) for _ in range(2))
    assert first.sentences == again.sentences
    assert np.array_equal(first.scenarios[1].exposed, again.scenarios[1].exposed)


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
