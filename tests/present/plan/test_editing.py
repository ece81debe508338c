"""Edits of the timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ParameterError
from engine.present.plan import PlanInputs, make_plan
from engine.present.plan.editing import StepEdit, with_edits

if TYPE_CHECKING:
    from engine.present.plan import Plan
    from tests.present.plan.conftest import MakeEvidence


@pytest.fixture
def plan(make_evidence: MakeEvidence) -> Plan:
    """Return a plan of the whole way."""
    return make_plan(PlanInputs(), evidence=make_evidence())


def rows(plan: Plan, **days: float | None) -> list[StepEdit]:
    """Return every row of the table with other days for some, whose hyphens are written as underscores."""
    changed = {key.replace("_", "-"): value for key, value in days.items()}
    return [StepEdit(key=step.key, days=changed.get(step.key, step.days), owner=step.owner) for step in plan.steps]


def test_rows_that_say_what_the_plan_says_change_nothing(plan: Plan) -> None:
    """Saving the table untouched gives the same inputs."""
    assert with_edits(plan, rows(plan)) == plan.inputs


def test_lengths_and_owners_are_kept_by_step(plan: Plan) -> None:
    """A length and an owner stay with their step, and emptied ones go back to the usual."""
    edits = [*rows(plan, prepare=10.0), StepEdit(key="copy", days=plan.steps[-6].days, owner="Ada")]
    inputs = with_edits(plan, edits)
    assert inputs.lengths == {"prepare": 10.0}
    assert inputs.owners == {"copy": "Ada"}
    longer = make_plan(inputs)
    assert longer.steps[1].days == 10
    back = with_edits(longer, [StepEdit(key="prepare", days=None, owner=""), StepEdit(key="copy", days=1, owner="")])
    assert (back.lengths, back.owners) == ({}, {})


def test_the_length_of_a_stage_becomes_the_schedule(plan: Plan, make_evidence: MakeEvidence) -> None:
    """A stage that is made longer moves the days of those behind it in the schedule of the rollout."""
    inputs = with_edits(plan, rows(plan, stage_2=6.5))
    assert str(inputs.used_schedule).startswith("0:5, 3:10, 228h:25, 396h:50")
    step = make_plan(inputs, evidence=make_evidence()).step("stage-2")
    assert step is not None
    assert step.days == 6.5
    assert inputs.used_schedule.holdback_percent == 2


@pytest.mark.parametrize("days", [None, 0.0, -1.0, float("nan")])
def test_a_stage_without_a_length_is_refused(plan: Plan, days: float | None) -> None:
    """A stage cannot last no time at all."""
    with pytest.raises(ParameterError, match="must last some time"):
        with_edits(plan, [StepEdit(key="stage-1", days=days, owner="")])


def test_a_step_that_is_not_there_is_refused(plan: Plan) -> None:
    """An edit of an unknown step is refused."""
    with pytest.raises(ParameterError, match="of a step that the plan has; found nope"):
        with_edits(plan, [StepEdit(key="nope", days=1.0, owner="")])
