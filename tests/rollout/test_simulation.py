"""Many rollouts at once, by the rules that the live monitor judges one by one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.rollout.decision import ACTIONS
from engine.rollout.monitor import judge
from engine.rollout.schedule import Schedule
from engine.rollout.simulation import COMPLETED, PAUSED, UNFINISHED, Rollouts, simulate_rollouts
from engine.rollout.thresholds import Limit, Thresholds
from engine.rollout.traffic_days import RolloutFault, Traffic, TrafficDays

START = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SHORT = Schedule.parse("0:5, 2:30, 4:100")
LOUD = Thresholds(confidence=0.6, rollback_confidence=0.8, looks=7, min_users=100)
SMALL = Traffic(queries_a_day=60_000, users=20_000, error_rate=0.01, baseline_days=3)


def step_by_step(schedule, traffic, thresholds, rollout, n_days):
    """Run one rollout through the live monitor alone; return its action on every day it was running."""
    observed = list(traffic.baseline_observations(start=START, rollout=rollout))
    stage, since, actions = 0, START, []
    for day in range(n_days):
        observed += traffic.observations(day, schedule.share_percent(stage), start=START, rollout=rollout)
        now = START + (day + 1) * DAY
        report = judge(observed, thresholds=thresholds, now=now, since=since)
        actions.append(report.action)
        if report.action != "none":
            break
        if report.critical or not report.is_enough_data or now - since < DAY * schedule.length_days(stage):
            continue
        if stage == len(schedule.stages) - 1:
            break
        stage, since = stage + 1, now
    return actions


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({}, []),
        ({"breaches": 2, "rollback_breaches": 2}, [RolloutFault(kind="clicks", amount=-0.12, first_day=1)]),
        ({}, [RolloutFault(kind="latency", amount=1.5, first_day=2), RolloutFault(kind="errors", amount=0.002)]),
        ({"missing_after_hours": 20.0}, [RolloutFault(kind="missing data", first_day=3, last_day=3, arm="both")]),
        ({"pauses_when_missing": False}, [RolloutFault(kind="missing data", first_day=1, last_day=4, arm="control")]),
        ({"ctr": Limit(alert=0.03, severity="critical", roll_back=0.2), "latest_hours": 48.0}, []),
    ],
)
def test_a_thousand_at_once_are_judged_like_one_by_one(changed, faults):
    """On the same observations the vectorized rollouts and the live monitor take the same action, day by day."""
    schedule, thresholds, n_days = replace(SHORT, holdback_percent=2.0), replace(LOUD, **changed), 12
    traffic = TrafficDays(SMALL, percents=(5, 30, 98), faults=faults, n_rollouts=8, seed=11)
    together = Rollouts(schedule, traffic, thresholds)
    actions = [[] for _ in range(8)]
    for day in range(n_days):
        running = together.is_running.copy()
        together.step(day)
        for rollout in np.flatnonzero(running):
            actions[rollout].append(ACTIONS[together.actions[rollout]])
    expected = [step_by_step(schedule, traffic, thresholds, rollout, n_days) for rollout in range(8)]
    assert actions == expected


def test_without_a_control_both_compare_with_the_stored_baseline():
    """At 100 % without a holdback the vectorized rollouts and the live monitor use the same stored days."""
    traffic = TrafficDays(SMALL, percents=(100,), n_rollouts=24, seed=5)
    schedule = Schedule.parse("0:100")
    outcomes = simulate_rollouts(schedule, traffic, LOUD, max_days=10)
    ends = [len(step_by_step(schedule, traffic, LOUD, rollout, 10)) for rollout in range(24)]
    assert np.array_equal(np.nan_to_num(outcomes.end_day, nan=10), ends)


def test_a_rollout_without_a_fault_completes_when_its_schedule_says():
    """Plenty of traffic and no fault: every rollout completes with the first look of its last stage."""
    schedule = replace(SHORT, holdback_percent=5.0)
    traffic = TrafficDays(Traffic(), percents=(5, 30, 95), n_rollouts=100, seed=1)
    outcomes = simulate_rollouts(schedule, traffic, Thresholds(), max_days=30)
    assert (outcomes.end == COMPLETED).all()
    assert (outcomes.end_day == 5).all()
    assert (outcomes.percent == 95).all()


def test_a_fault_of_both_arms_stops_no_rollout_with_a_control():
    """An incident that strikes control and treatment alike is nobody's rollback."""
    fault = RolloutFault(kind="errors", amount=0.05, first_day=1, arm="both")
    traffic = TrafficDays(Traffic(), percents=(5, 30, 95), faults=[fault], n_rollouts=100, seed=1)
    outcomes = simulate_rollouts(replace(SHORT, holdback_percent=5.0), traffic, Thresholds(), max_days=30)
    assert (outcomes.end == COMPLETED).all()


def test_missing_data_pauses_and_too_little_traffic_never_finishes():
    """Silence pauses every rollout on its second day; where gates cannot open rollouts stay in their first stage."""
    silent = [RolloutFault(kind="missing data", first_day=1)]
    traffic = TrafficDays(Traffic(), percents=(5, 30, 100), faults=silent, n_rollouts=50)
    long = Schedule.parse("0:5, 7:30, 9:100")
    outcomes = simulate_rollouts(long, traffic, Thresholds(), max_days=30)
    assert (outcomes.end == PAUSED).all()
    assert (outcomes.end_day - outcomes.fault_day == 2).all()
    tiny = TrafficDays(Traffic(queries_a_day=500, users=400), percents=(5, 30, 100), n_rollouts=50)
    outcomes = simulate_rollouts(SHORT, tiny, Thresholds(), max_days=20)
    assert (outcomes.end == UNFINISHED).mean() > 0.9
    assert (outcomes.stage[outcomes.end == UNFINISHED] == 0).all()
