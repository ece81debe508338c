"""Take edits of the timeline over into the inputs: lengths and owners by step, stages into the schedule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.rollout.schedule import Schedule, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.present.plan.inputs import PlanInputs
    from engine.present.plan.results import Plan


@dataclass(frozen=True, kw_only=True)
class StepEdit:
    """What somebody wrote into the row of the step `key`; `days` None asks for the usual length again."""

    key: str
    days: float | None
    owner: str


def with_edits(plan: Plan, edits: Sequence[StepEdit]) -> PlanInputs:
    """Return the inputs of `plan` with the `edits` of its steps; rows that say what the plan says change nothing.

    Raises
    ------
    ParameterError
        When a step is unknown, or a length or an owner cannot be taken.
    """
    lengths, owners = dict(plan.inputs.lengths), dict(plan.inputs.owners)
    stages: dict[str, float] = {}
    for edit in edits:
        step = plan.step(edit.key)
        if step is None:
            raise ParameterError("an edit is of a step that the plan has", found=edit.key)
        _set_owner(owners, edit)
        if edit.days == step.days:
            continue
        if step.key.startswith("stage-"):
            if edit.days is None or not edit.days > 0:
                raise ParameterError(
                    f"the stage of {step.title} must last some time", found=edit.days, hint="Half a day is 0.5"
                )
            stages[step.key] = edit.days
        elif edit.days is None:
            lengths.pop(edit.key, None)
        else:
            lengths[edit.key] = edit.days
    schedule = plan.inputs.schedule if not stages else _stretched(plan.inputs.used_schedule, stages)
    return replace(plan.inputs, lengths=lengths, owners=owners, schedule=schedule)


def _set_owner(owners: dict[str, str], edit: StepEdit) -> None:
    if edit.owner:
        owners[edit.key] = edit.owner
    else:
        owners.pop(edit.key, None)


def _stretched(schedule: Schedule, lengths: dict[str, float]) -> Schedule:
    """Return the schedule whose stages last as long as `lengths` say, by the key of their step."""
    day, stages = 0.0, []
    for place, stage in enumerate(schedule.stages):
        stages.append(Stage(day=day, percent=stage.percent, name=stage.name))
        day += lengths.get(f"stage-{place + 1}", schedule.length_days(place))
    return Schedule(stages=tuple(stages), holdback_percent=schedule.holdback_percent)
