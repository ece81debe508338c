"""Try a rollout before it starts: how often it would stop for nothing, what it would miss, and whom that reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled
from engine.rollout.preflight_results import (
    Difference,
    Preflight,
    PreflightComparison,
    Scenario,
    ScenarioResult,
    difference_of_shares,
    probability,
    spread,
)
from engine.rollout.preflight_sentences import advice, assumptions, difference_sentence, scenario_sentence
from engine.rollout.simulation import COMPLETED, PAUSED, ROLLED_BACK, UNFINISHED, Outcomes, simulate_rollouts
from engine.rollout.traffic_days import MOST_SIMULATIONS, RolloutFault, Traffic, TrafficDays
from engine.seeds import check_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.progress import Cancelled, Progress
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds

NO_FAULT = Scenario(name="no fault")
CTR_DROP = Scenario(name="CTR 5 % lower", faults=(RolloutFault(kind="clicks", amount=-0.05),))
DOUBLED_P99 = Scenario(name="p99 latency doubled", faults=(RolloutFault(kind="latency", amount=2.0),))
SCENARIOS = (NO_FAULT, CTR_DROP, DOUBLED_P99)

_MOST_DAYS = 3650
_PATIENCE_DAYS = 60  # how much longer than planned a rollout may take before it counts as unfinished
_MOST_SCENARIOS = 20


def preflight(
    schedule: Schedule,
    traffic: Traffic,
    thresholds: Thresholds,
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    n_simulations: int = 1000,
    max_days: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Preflight:
    """Simulate `n_simulations` rollouts of each scenario by the monitor's own rules.

    Rollout i has the same luck in every scenario and under every setting with the same `seed` and traffic. `max_days`
    is how long a rollout may take at all, 60 days more than the schedule unless given.

    Raises
    ------
    ParameterError
        When a number is out of range or two scenarios have one name.
    CancelledError
        When `cancelled` says so.
    """
    check_seed(seed)
    names = [scenario.name for scenario in scenarios]
    if not 1 <= len(names) <= _MOST_SCENARIOS or len(set(names)) < len(names):
        rule = f"1 to {_MOST_SCENARIOS} scenarios of different names can be simulated"
        raise ParameterError(rule, found=", ".join(names) or "none")
    if not 1 <= n_simulations <= MOST_SIMULATIONS:
        rule = f"the number of simulated rollouts must be from 1 to {MOST_SIMULATIONS:,}"
        raise ParameterError(rule, found=n_simulations)
    longest = min(_MOST_DAYS, int(schedule.last_day) + _PATIENCE_DAYS) if max_days is None else max_days
    if not 1 <= longest <= _MOST_DAYS:
        raise ParameterError(f"the days to simulate must be from 1 to {_MOST_DAYS:,}", found=longest)
    shares = [schedule.share_percent(at) for at in range(len(schedule.stages))]
    results = []
    for at, scenario in enumerate(scenarios):
        days = TrafficDays(traffic, percents=shares, faults=scenario.faults, n_rollouts=n_simulations, seed=seed)
        outcomes = simulate_rollouts(
            schedule,
            days,
            thresholds,
            max_days=longest,
            progress=lambda done, said, at=at: progress((at + done) / len(names), said),  # type: ignore[misc]  # mypy cannot infer a default of a lambda
            cancelled=cancelled,
        )
        results.append(_result(scenario, outcomes, schedule, traffic, longest))
    return Preflight(
        schedule=schedule,
        traffic=traffic,
        thresholds=thresholds,
        scenarios=tuple(results),
        n_simulations=n_simulations,
        max_days=longest,
        seed=seed,
        sentences=tuple(result.sentence for result in results),
        advice=advice(results, schedule),
        assumptions=assumptions(traffic, thresholds, n_simulations),
    )


def compare_preflights(first: Preflight, second: Preflight) -> PreflightComparison:
    """Set two settings beside each other, scenario by scenario, over rollouts paired by their luck.

    Raises
    ------
    ParameterError
        When they were simulated with other seeds, numbers of rollouts or traffic, so that nothing pairs them.
    """
    for what, one, other in (
        ("seed", first.seed, second.seed),
        ("number of rollouts", first.n_simulations, second.n_simulations),
        ("traffic", first.traffic, second.traffic),
    ):
        if one != other:
            hint = "Simulate both anew with the same"
            raise ParameterError(f"settings are compared over the same {what}", found=f"{one} and {other}", hint=hint)
    found: list[Difference] = []
    for result in first.scenarios:
        other_result = second.scenario(result.scenario.name)
        if other_result is not None and other_result.scenario == result.scenario:
            found += _differences(result, other_result)
    sentences = tuple(difference_sentence(one) for one in found if one.is_clear)
    return PreflightComparison(differences=tuple(found), sentences=sentences)


def _result(
    scenario: Scenario, outcomes: Outcomes, schedule: Schedule, traffic: Traffic, max_days: int
) -> ScenarioResult:
    alerted, struck = ~np.isnan(outcomes.alert_day), ~np.isnan(outcomes.fault_day)
    exposed = (outcomes.percent / 100 * traffic.users).astype(np.float32)
    shares = np.array([schedule.share_percent(at) for at in range(len(schedule.stages))])
    completed, stopped = outcomes.end == COMPLETED, np.isin(outcomes.end, (PAUSED, ROLLED_BACK))
    result = ScenarioResult(
        scenario=scenario,
        alert=probability(alerted),
        pause=probability(outcomes.end == PAUSED),
        roll_back=probability(outcomes.end == ROLLED_BACK),
        complete=probability(completed),
        missed=probability(~alerted[struck]),
        stopped=probability(stopped[struck]),
        warned_only=probability((alerted & ~stopped)[struck]),
        days_to_finish=spread(np.where(completed, outcomes.end_day, np.nan)),
        days_to_catch=spread(np.where(struck & alerted, outcomes.alert_day - outcomes.fault_day, np.nan)),
        users_exposed=spread(np.where(struck, exposed, np.nan)),
        users_exposed_at_end=spread(np.where(struck, shares[outcomes.stage] / 100 * traffic.users, np.nan)),
        sentence="",
        end=outcomes.end,
        is_alerted=alerted,
        has_fault=struck,
        exposed=exposed,
        end_day=outcomes.end_day.astype(np.float32),
    )
    return replace(result, sentence=scenario_sentence(result, stuck=_stuck(schedule, outcomes, max_days)))


def _stuck(schedule: Schedule, outcomes: Outcomes, max_days: int) -> str:
    unfinished = outcomes.end == UNFINISHED
    if not unfinished.any():
        return ""
    stage = int(np.bincount(outcomes.stage[unfinished]).argmax())
    where = f"most of them at {schedule.share_percent(stage):g} %, where there is too little data to go on"
    return f"{int(unfinished.sum()):,} unfinished after {max_days:,} days, {where}"


def _differences(first: ScenarioResult, second: ScenarioResult) -> list[Difference]:
    name = first.scenario.name
    found = [
        _share_difference(name, "alert", first.is_alerted, second.is_alerted),
        _share_difference(name, "pause", first.end == PAUSED, second.end == PAUSED),
        _share_difference(name, "roll back", first.end == ROLLED_BACK, second.end == ROLLED_BACK),
        _share_difference(name, "complete", first.end == COMPLETED, second.end == COMPLETED),
        _mean_difference(name, "days to finish", first.end_day, second.end_day, both=_both_completed(first, second)),
    ]
    if first.scenario.faults:
        both = first.has_fault & second.has_fault
        found.append(_share_difference(name, "stopped", _is_stopped(first)[both], _is_stopped(second)[both]))
        found.append(_share_difference(name, "missed", ~first.is_alerted[both], ~second.is_alerted[both]))
        found.append(_mean_difference(name, "users exposed", first.exposed, second.exposed, both=both))
    return found


def _is_stopped(result: ScenarioResult) -> npt.NDArray[np.bool_]:
    stopped: npt.NDArray[np.bool_] = np.isin(result.end, (PAUSED, ROLLED_BACK))
    return stopped


def _both_completed(first: ScenarioResult, second: ScenarioResult) -> npt.NDArray[np.bool_]:
    both: npt.NDArray[np.bool_] = (first.end == COMPLETED) & (second.end == COMPLETED)
    return both


def _share_difference(
    scenario: str, quantity: str, first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]
) -> Difference:
    if not len(first):
        return _nothing(scenario, quantity)
    low, high = difference_of_shares(first, second)
    one, other = float(first.mean()), float(second.mean())
    return Difference(
        scenario=scenario, quantity=quantity, first=one, second=other, difference=other - one, low=low, high=high
    )


def _mean_difference(
    scenario: str,
    quantity: str,
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    *,
    both: npt.NDArray[np.bool_],
) -> Difference:
    """Compare means over the rollouts in which both settings have a value; 1.96 standard errors to each side."""
    if both.sum() < 2:
        return _nothing(scenario, quantity)
    change = (second[both] - first[both]).astype(np.float64)
    width = 1.959963984540054 * float(change.std(ddof=1)) / len(change) ** 0.5
    mean = float(change.mean())
    return Difference(
        scenario=scenario,
        quantity=quantity,
        first=float(first[both].mean(dtype=np.float64)),
        second=float(second[both].mean(dtype=np.float64)),
        difference=mean,
        low=mean - width,
        high=mean + width,
    )


def _nothing(scenario: str, quantity: str) -> Difference:
    return Difference(
        scenario=scenario, quantity=quantity, first=None, second=None, difference=None, low=None, high=None
    )
