"""What a plan starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.errors import ParameterError
from engine.present.plan import RISK_PROFILES, PlanInputs
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule
from engine.rollout.thresholds import METRICS, Thresholds


def test_defaults_are_the_example_migration() -> None:
    """A plan starts from 5 M documents, 3,072 to 768, 1 M queries a day, p99 120 ms and a CTR of 12 %."""
    given = PlanInputs()
    assert (given.n_docs, given.from_dims, given.to_dims) == (5_000_000, 3072, 768)
    assert (given.queries_per_day, given.p99_ms, given.ctr) == (1_000_000, 120.0, 0.12)


def test_a_balanced_plan_takes_schedule_margin_and_thresholds_as_they_stand() -> None:
    """Balanced leaves the default days and thresholds alone, and holds 2 % of the users back."""
    given = PlanInputs()
    assert [(one.day, one.percent) for one in given.used_schedule.stages] == [
        (one.day, one.percent) for one in DEFAULT_SCHEDULE.stages
    ]
    assert given.used_schedule.holdback_percent == 2
    assert given.used_thresholds == Thresholds(looks=35)
    assert given.used_margin == 0.05


def test_more_caution_is_slower_surer_and_tighter() -> None:
    """From bold to cautious the schedule lengthens, power and holdback grow, margin and thresholds shrink."""
    bold, balanced, cautious = (PlanInputs(risk=name) for name in ("bold", "balanced", "cautious"))
    for less, more in ((bold, balanced), (balanced, cautious)):
        assert less.used_schedule.last_day < more.used_schedule.last_day
        assert less.used_power < more.used_power
        assert less.used_schedule.holdback_percent < more.used_schedule.holdback_percent
        assert less.used_margin > more.used_margin
        assert less.profile.keep_full_days < more.profile.keep_full_days
        for metric in METRICS:
            wide, tight = less.used_thresholds.limit(metric), more.used_thresholds.limit(metric)
            assert wide.alert is not None
            assert tight.alert is not None
            assert wide.alert > tight.alert


def test_what_people_edit_wins_over_the_appetite() -> None:
    """A schedule, a holdback, thresholds, a margin and a power that were written stay when the appetite changes."""
    schedule = Schedule.parse("0:10, 5:50, 9:100")
    edited = PlanInputs(
        risk="cautious", schedule=schedule, holdback_percent=1, thresholds=Thresholds(), margin=0.01, power=0.95
    )
    assert edited.used_schedule == replace(schedule, holdback_percent=1)
    assert edited.used_thresholds == Thresholds()
    assert (edited.used_margin, edited.used_power) == (0.01, 0.95)


def test_each_appetite_says_everything_that_it_changes() -> None:
    """The sentence of a profile names its days, holdback, margin, power and how long full vectors are kept."""
    said = RISK_PROFILES["cautious"].sentence
    for figure in ("52.5 days", "5 %", "2.5 %", "90 %", "14 days", "half the usual", "90 days"):
        assert figure in said


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"to_dims": 3072}, "the dims to keep must be fewer than those there are; found 3,072 of 3,072"),
        ({"to_dims": 4096}, "must be fewer than those there are"),
        ({"to_dims": 0}, "the dims to keep must be a whole number from 1"),
        ({"to_dims": 7.5}, "the dims to keep must be a whole number"),
        ({"from_dims": 10**6}, "the dims there are must be a whole number from 2 to 65,536"),
        ({"n_docs": -1}, "the number of documents must be a whole number from 1"),
        ({"n_docs": True}, "the number of documents must be a whole number"),
        ({"n_docs": 10**13}, "the number of documents"),
        ({"queries_per_day": 0}, "the queries a day must be a whole number from 1"),
        ({"ctr": float("nan")}, "the CTR must be a number above 0 and below 1; found nan. 12 % is 0.12"),
        ({"ctr": 12.0}, "the CTR must be a number above 0 and below 1"),
        ({"p99_ms": float("inf")}, "p99 in ms must be a number above 0"),
        ({"p99_ms": -3.0}, "p99 in ms must be a number above 0"),
        ({"risk": "reckless"}, "the appetite for risk is one of cautious, balanced, bold"),
        ({"start": "2026-02-30"}, "the start is a date from 2000 to 2200"),
        ({"start": "9999-12-31"}, "the start is a date from 2000 to 2200"),
        ({"margin": 0.0}, "the margin must be a number above 0"),
        ({"margin": 0.9}, "the margin must be a number above 0 and at most 0.5"),
        ({"power": 1.0}, "the power must be a number at least 0.5 and at most 0.99"),
        ({"longest_ab_days": 0}, "the longest A/B test in days"),
        ({"new_users_per_day": -1.0}, "the new users a day must be a number above 0"),
        ({"copy_rows_per_s": 0.001}, "the copy must end within ten years"),
        ({"holdback_percent": 100.0}, "the holdback is 0 to under 100 %"),
        ({"lengths": {"copy": float("nan")}}, "the days of copy must be a number"),
        ({"lengths": {"copy": -1.0}}, "the days of copy must be a number at least 0"),
        ({"lengths": {"<script>": 1.0}}, "a step is named by lower-case letters"),
        ({"owners": {"copy": "x" * 81}}, "an owner is one line of at most 80 printable characters"),
        ({"owners": {"copy": "Ada\nLovelace"}}, "an owner is one line"),
        ({"owners": {"copy": "\ud800"}}, "an owner is one line"),
        ({"owners": {f"step-{n}": "Ada" for n in range(301)}}, "owners are given by step, for 300 steps at most"),
    ],
)
def test_bad_inputs_are_refused_in_one_sentence(changed: dict[str, Any], rule: str) -> None:
    """What is out of range is refused with the rule and what was found."""
    with pytest.raises(ParameterError) as refused:
        PlanInputs(**changed)
    assert rule in str(refused.value)
    assert "\n" not in str(refused.value)
