"""The A/B test of a plan: its size and length from the power calculation on the plan's own traffic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.experiment.planning import PlanSettings, plan_experiment
from engine.experiment.power import days_needed, non_inferiority_sample_size
from engine.experiment.wording import percent, plural
from engine.present.plan.results import AbAlternative, AbPlan
from engine.present.plan.wording import days_text

if TYPE_CHECKING:
    from engine.present.plan.inputs import PlanInputs

MOST_DAYS = 365
"""An A/B test of more than a year is none."""

_WIDEST = 0.5
_HALVINGS = 20
_WEEK = 7


def plan_ab_test(inputs: PlanInputs) -> AbPlan:
    """Return the A/B test: a non-inferiority test of the CTR with half of the users in each arm, by user.

    The queries of one user are alike: they are multiplied by 1 + (m - 1)·ρ for m queries a user, ρ being the
    correlation that the thresholds of the monitor assume (Kish 1965, "Survey Sampling", §5.4). It runs whole weeks,
    because the days of a week differ.

    Raises
    ------
    ParameterError
        When the margin leaves no rate to test for.
    """
    settings = _settings(inputs, inputs.used_margin)
    found = plan_experiment(settings)
    power_days = found.days if found.days is not None and found.days <= MOST_DAYS else None
    least = inputs.profile.least_ab_days
    usual = float(least if power_days is None else max(least, _WEEK * math.ceil(power_days / _WEEK)))
    days = inputs.lengths.get("ab-test", usual)
    is_too_long = power_days is None or power_days > inputs.longest_ab_days
    return AbPlan(
        margin=inputs.used_margin,
        power=inputs.used_power,
        n_queries=found.n_control + found.n_treatment,
        n_users=found.n_users,
        power_days=power_days,
        days=days,
        is_too_long=is_too_long,
        is_too_short=power_days is not None and days < power_days,
        alternatives=_alternatives(inputs) if is_too_long else (),
        sentences=found.sentences,
    )


def design_effect(inputs: PlanInputs) -> float:
    """Return by how much the queries of one user being alike multiplies every number."""
    return 1 + (inputs.queries_per_user - 1) * inputs.used_thresholds.user_correlation


def pace_text(inputs: PlanInputs) -> str:
    """Write the new users a day."""
    pace = inputs.used_new_users_per_day
    return f"{pace:,.0f}" if pace >= 10 else f"{pace:.2g}"


def _settings(inputs: PlanInputs, margin: float) -> PlanSettings:
    return PlanSettings(
        baseline=inputs.ctr,
        margin=margin,
        power=inputs.used_power,
        queries_per_user=inputs.queries_per_user,
        design_effect=design_effect(inputs),
        users_per_day=inputs.used_new_users_per_day,
    )


def _alternatives(inputs: PlanInputs) -> tuple[AbAlternative, ...]:
    found = []
    wider = _wider_margin(inputs)
    if wider is not None:
        days = _days(inputs, wider)
        found.append(
            AbAlternative(
                kind="wider margin",
                sentence=f"A margin of {percent(wider)} instead of {percent(inputs.used_margin)} ends within "
                f"{plural(inputs.longest_ab_days, 'day')}: it accepts a larger loss.",
                margin=wider,
                days=days,
            )
        )
    found.append(
        AbAlternative(
            kind="interleaving",
            sentence="Interleave both lists on one page first: every user compares both, so far fewer clicks tell "
            "which list is preferred. It says nothing of how much CTR is lost, of latency or of errors.",
            margin=None,
            days=None,
        )
    )
    return tuple(found)


def _wider_margin(inputs: PlanInputs) -> float | None:
    """Return the smallest margin in tenths of a percent with which the test ends in time, None below one half."""
    low, high = inputs.used_margin, _WIDEST
    if high <= low or not _is_in_time(inputs, high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_in_time(inputs, middle) else (middle, high)
    return min(_WIDEST, math.ceil(1000 * high - 1e-9) / 1000)


def _is_in_time(inputs: PlanInputs, margin: float) -> bool:
    days = _days(inputs, margin)
    return days is not None and days <= inputs.longest_ab_days


def _days(inputs: PlanInputs, margin: float) -> int | None:
    try:
        size = non_inferiority_sample_size(
            inputs.ctr,
            margin,
            power=inputs.used_power,
            design_effect=design_effect(inputs),
            rows_per_user=inputs.queries_per_user,
        )
    except ParameterError:
        return None
    users = size.users_control + size.users_treatment
    return days_needed(users, inputs.used_new_users_per_day, share=1.0)


def ab_basis(inputs: PlanInputs, ab: AbPlan) -> str:
    """Say where the length of the A/B test comes from."""
    needs = f"{plural(ab.n_users, 'user')} at {pace_text(inputs)} new users a day"
    if ab.power_days is None:
        return f"{needs}: more than a year, so interleaving stands here instead, for {days_text(ab.days)}"
    basis = f"Power: {needs} are {plural(ab.power_days, 'day')}"
    if "ab-test" in inputs.lengths:
        return f"{basis}; edited to {days_text(ab.days)}"
    return f"{basis}; whole weeks, at least {plural(inputs.profile.least_ab_days, 'day')}"
