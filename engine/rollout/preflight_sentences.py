"""What pre-flight promises, in words: what would be stopped, what only warned of, and what missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.rollout.monitor_sentences import percent
from engine.rollout.simulation import PAUSED, ROLLED_BACK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.rollout.preflight_results import Difference, Probability, ScenarioResult, Spread
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds
    from engine.rollout.traffic_days import Traffic

_WORTH_SAYING = 0.01


def scenario_sentence(result: ScenarioResult, *, stuck: str = "") -> str:
    """Return how the rollouts of one scenario went; `stuck` tells of those that did not finish."""
    said = _of_a_fault(result) if result.scenario.faults and result.missed.n else _of_no_fault(result)
    if result.days_to_finish.median is not None:
        said.append(f"finished after {_days(result.days_to_finish)}")
    if stuck:
        said.append(stuck)
    return f"{result.scenario.name}: {'; '.join(said)}."


def advice(results: Sequence[ScenarioResult], schedule: Schedule) -> tuple[str, ...]:
    """Return which faults nothing would stop and what to do about it, and why to keep a holdback."""
    found = [words for result in results if result.missed.n and (words := _unstopped(result))]
    return (*found, schedule.advice) if schedule.advice else tuple(found)


def assumptions(traffic: Traffic, thresholds: Thresholds, n: int) -> tuple[str, ...]:
    """Return what the promises of `n` simulated rollouts rest on."""
    return (
        f"Each chance is counted over {n:,} simulated rollouts and given with its 95 % interval.",
        (
            f"The thresholds themselves promise at most {percent(1 - thresholds.confidence)} false alerts and "
            f"{percent(1 - thresholds.rollback_confidence)} false rollbacks in {thresholds.looks:,} daily looks."
        ),
        (
            f"{traffic.queries_a_day:,} queries a day of {traffic.users:,} users, who come back; days differ by "
            f"{percent(traffic.day_spread)} and two queries of one user are alike by {traffic.user_correlation:g}."
        ),
        "A fault without a first day is there from the start; a rollout that pauses has ended, as a person looks then.",
    )


def difference_sentence(one: Difference) -> str:
    """Return what one quantity is under each of two settings."""
    first, second = one.first or 0.0, one.second or 0.0
    shown = (f"{first:,.1f}", f"{second:,.1f}")
    if one.quantity not in {"days to finish", "users exposed"}:
        shown = (percent(first), percent(second))
    return f"{one.scenario}, {one.quantity}: {shown[0]} with the first setting, {shown[1]} with the second."


def _of_no_fault(result: ScenarioResult) -> list[str]:
    return [
        f"rolled back in {_chance(result.roll_back)}",
        f"paused in {_chance(result.pause)}",
        f"any alert at all in {_chance(result.alert)}",
    ]


def _of_a_fault(result: ScenarioResult) -> list[str]:
    said = [
        f"stopped in {_chance(result.stopped)}{_how_stopped(result)}",
        f"only warned of, which stops nothing, in {_chance(result.warned_only)}",
        f"missed, without any alert, in {_chance(result.missed)}",
    ]
    if result.days_to_catch.median is not None:
        said.append(f"first alert after {_days(result.days_to_catch)}")
    said.append(f"{_users(result.users_exposed)} exposed by then")
    if result.warned_only.value >= _WORTH_SAYING:
        said.append(f"{_users(result.users_exposed_at_end)} in the end, unless somebody acts on the warning")
    return said


def _how_stopped(result: ScenarioResult) -> str:
    if not result.stopped.value:
        return ""
    ends = result.end[result.has_fault]
    paused, rolled_back = (percent(float((ends == end).mean())) for end in (PAUSED, ROLLED_BACK))
    return f", that is paused in {paused} and rolled back in {rolled_back}"


def _unstopped(result: ScenarioResult) -> str:
    name, found = result.scenario.name, []
    if result.warned_only.value >= _WORTH_SAYING:
        found.append(
            f"“{name}” is only warned of in {percent(result.warned_only.value)} of the rollouts and goes on unless "
            "somebody acts: make that alert critical, or lower the rollback threshold, to have it stopped"
        )
    if result.missed.value >= _WORTH_SAYING:
        found.append(
            f"“{name}” raises no alert at all in {percent(result.missed.value)}: longer stages, more traffic or lower "
            "thresholds would show more"
        )
    return f"{'; '.join(found)}." if found else ""


def _chance(share: Probability) -> str:
    return f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"


def _days(days: Spread) -> str:
    median = f"{days.median:,.0f} {'day' if days.median == 1 else 'days'}"
    return median if days.median == days.p95 else f"{median} ({days.p95:,.0f} in the worst twentieth)"


def _users(users: Spread) -> str:
    median = f"{users.median:,.0f} users"
    return median if users.median == users.p95 else f"{median} ({users.p95:,.0f} in the worst twentieth)"
