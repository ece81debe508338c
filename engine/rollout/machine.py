"""The states of a rollout and the steps between them; pure: no clock, no database, no flag.

::

    draft --start--> running --advance--> running ... --complete--> completed
                     running --pause--> paused --resume--> running
                     running | paused | completed --roll back--> rolled back

Time: a stage lasts as many days as the schedule gives it, counted from the moment it was really entered and only while
the rollout runs. So a pause, or somebody who presses the button late, moves everything that follows by as much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from engine.errors import ParameterError, RolloutError, printable
from engine.rollout.gates import OPEN, Action, Gate, Obstacle, obstacles_of

if TYPE_CHECKING:
    from engine.rollout.monitor_results import Alert
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds

Cause = Literal["person", "schedule", "monitor", "kill switch"]

LONGEST_REASON = 500
_DAY = timedelta(days=1)
_NONE = timedelta(0)


class RolloutState(StrEnum):
    """Where a rollout stands."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLED_BACK = "rolled back"
    COMPLETED = "completed"


ACTIVE = frozenset({RolloutState.RUNNING, RolloutState.PAUSED})
"""States in which a rollout drives its flag; a flag has at most one such rollout."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout: what it ramps, by which schedule, and where it stands.

    `treatment` and `control` are variants of the flag `flag_key`; control is the flag's safe variant. `hash_key` is
    what users are bucketed by, `entered_at` the moments at which the stages so far began, `paused` the time spent
    paused in all and `stage_paused` in this stage, finished pauses only. It has been running in this stage without a
    break since `running_since`. `paused_by` are alerts that paused it lately, for their cool-down. `reason`, `cause`
    and `changed_by` are of the last step, `ended_at` is when it stopped to run. `passed_warnings` are alerts that stood
    when it went on to this stage or its end, and stopped nothing.
    Moments are those of the rollout's own clock, simulated where `is_simulated`.
    """

    key: str
    flag_key: str
    treatment: str
    control: str
    hash_key: str
    schedule: Schedule
    thresholds: Thresholds
    created_at: datetime
    changed_at: datetime
    changed_by: str
    description: str = ""
    owner: str = ""
    is_simulated: bool = False
    is_automatic: bool = False
    state: RolloutState = RolloutState.DRAFT
    entered_at: tuple[datetime, ...] = ()
    paused: timedelta = _NONE
    stage_paused: timedelta = _NONE
    paused_at: datetime | None = None
    running_since: datetime | None = None
    paused_by: tuple[Alert, ...] = ()
    ended_at: datetime | None = None
    reason: str = ""
    cause: Cause = "person"
    passed_warnings: tuple[str, ...] = ()

    @property
    def stage_index(self) -> int | None:
        """The place of the stage that was entered last, None for a draft."""
        return len(self.entered_at) - 1 if self.entered_at else None

    @property
    def started_at(self) -> datetime | None:
        """When the first stage began."""
        return self.entered_at[0] if self.entered_at else None

    @property
    def is_last_stage(self) -> bool:
        """Whether no stage is left to advance to."""
        return len(self.entered_at) == len(self.schedule.stages)

    @property
    def is_active(self) -> bool:
        """Whether the rollout drives its flag."""
        return self.state in ACTIVE

    @property
    def percent(self) -> float:
        """The share of all users that see the treatment now."""
        if self.stage_index is None or self.state is RolloutState.ROLLED_BACK:
            return 0.0
        return self.schedule.share_percent(self.stage_index)

    @property
    def weight(self) -> int:
        """The flag's whole-number weight of the treatment now, out of 100,000."""
        if self.stage_index is None or self.state is RolloutState.ROLLED_BACK:
            return 0
        return self.schedule.weight(self.stage_index)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step as it is recorded: replaying the steps of the audit log gives the rollout.

    `override` is the typed reason to go on against the obstacles of `gate` and of the day. `alerts` are what made the
    monitor pause. `schedule`, `thresholds` and `is_automatic` are what an edit changes.
    """

    action: Action
    at: datetime
    actor: str
    reason: str = ""
    cause: Cause = "person"
    override: str = ""
    gate: Gate = OPEN
    alerts: tuple[Alert, ...] = ()
    schedule: Schedule | None = None
    thresholds: Thresholds | None = None
    is_automatic: bool | None = None


def allowed(rollout: Rollout) -> tuple[Action, ...]:
    """Return the actions that the state allows, before anything else is asked."""
    onward: Action = "complete" if rollout.is_last_stage else "advance"
    by_state: dict[RolloutState, tuple[Action, ...]] = {
        RolloutState.DRAFT: ("edit", "start"),
        RolloutState.RUNNING: (onward, "pause", "roll back"),
        RolloutState.PAUSED: ("edit", "resume", "roll back"),
        RolloutState.COMPLETED: ("roll back",),
        RolloutState.ROLLED_BACK: (),
    }
    return by_state[rollout.state]


def obstacles(rollout: Rollout, action: Action, *, gate: Gate, at: datetime) -> tuple[Obstacle, ...]:
    """Return everything that stands against `action` at the moment `at`, the gravest first."""
    return obstacles_of(action, gate, left=time_left(rollout, at))


def running_days(rollout: Rollout, at: datetime) -> float:
    """Return the day of the rollout at the moment `at`: days since its start without the time spent paused."""
    if rollout.started_at is None:
        return 0.0
    return _since(rollout, rollout.started_at, rollout.paused, at) / _DAY


def time_left(rollout: Rollout, at: datetime) -> timedelta:
    """Return how long the present stage has yet to run at the moment `at`; zero when it is over or is the last."""
    if rollout.stage_index is None or not rollout.is_active:
        return _NONE
    spent = _since(rollout, rollout.entered_at[-1], rollout.stage_paused, at)
    return max(_NONE, _length(rollout.schedule, rollout.stage_index) - spent)


def stage_ends_at(rollout: Rollout, at: datetime) -> datetime | None:
    """Return when the time of the present stage is over, in the past when somebody is late.

    A paused rollout is taken to resume at `at`. None for the last stage and for a rollout that does not drive its flag.
    """
    if rollout.stage_index is None or rollout.is_last_stage or not rollout.is_active:
        return None
    if rollout.paused_at is not None:
        return at + time_left(rollout, at)
    return rollout.entered_at[-1] + rollout.stage_paused + _length(rollout.schedule, rollout.stage_index)


def planned(rollout: Rollout, at: datetime) -> tuple[datetime, ...]:
    """Return when each stage began, or will begin when everybody is on time and a paused rollout resumes at `at`.

    A draft is taken to start at `at`; of a rollout that has ended only the stages that it entered are left.
    """
    moments = list(rollout.entered_at) or [at]
    if rollout.ended_at is not None:
        return tuple(moments)
    for index in range(len(moments), len(rollout.schedule.stages)):
        if index == len(rollout.entered_at):
            moments.append(at + time_left(rollout, at))
        else:
            moments.append(moments[-1] + _length(rollout.schedule, index - 1))
    return tuple(moments)


def apply(rollout: Rollout, step: Step) -> Rollout:
    """Return the rollout after `step`.

    A step that is dated before the last one counts as of that moment: clocks of two machines differ.

    Raises
    ------
    RolloutError
        When the state does not allow the action, or something stands against it that is not overridden.
    ParameterError
        When a reason is missing or too long, or an edit changes what has already happened.
    """
    if step.action not in allowed(rollout):
        raise _not_in_this_state(rollout, step.action)
    _check_reasons(step)
    at = max(step.at, rollout.changed_at)
    for obstacle in obstacles(rollout, step.action, gate=step.gate, at=at):
        if not (step.override and obstacle.can_be_overridden):
            raise obstacle.as_error()
    return replace(
        _changed(rollout, step, at),
        changed_at=at,
        changed_by=step.actor,
        reason=step.reason or step.override,
        cause=step.cause,
        passed_warnings=_passed_warnings(rollout, step),
    )


def _changed(rollout: Rollout, step: Step, at: datetime) -> Rollout:
    if step.action == "edit":
        return _edited(rollout, step)
    if step.action in {"start", "advance"}:
        entered = (*rollout.entered_at, at)
        return replace(rollout, state=RolloutState.RUNNING, entered_at=entered, stage_paused=_NONE, running_since=at)
    if step.action == "pause":
        paused_by = (*_cooling(rollout, at), *step.alerts)
        return replace(rollout, state=RolloutState.PAUSED, paused_at=at, paused_by=paused_by)
    awake = _awake(rollout, at)
    if step.action == "resume":
        return replace(awake, state=RolloutState.RUNNING, running_since=at)
    state = RolloutState.COMPLETED if step.action == "complete" else RolloutState.ROLLED_BACK
    # A completed rollout that is rolled back ran no longer than to its completion.
    return replace(awake, state=state, ended_at=rollout.ended_at or at)


def _passed_warnings(rollout: Rollout, step: Step) -> tuple[str, ...]:
    if step.action == "advance":
        return step.gate.warnings
    # At 100 % without a holdback a warning may go because its control has gone: the end names the last one that stood.
    return (step.action == "complete" and step.gate.warnings) or rollout.passed_warnings


def _cooling(rollout: Rollout, at: datetime) -> tuple[Alert, ...]:
    """Return the alerts whose cool-down is not over, so that the record does not grow with every pause."""
    earliest = at - timedelta(hours=rollout.thresholds.cool_down_hours)
    return tuple(alert for alert in rollout.paused_by if datetime.fromisoformat(alert.raised_at) > earliest)


def _awake(rollout: Rollout, at: datetime) -> Rollout:
    if rollout.paused_at is None:
        return rollout
    slept = at - rollout.paused_at
    return replace(rollout, paused_at=None, paused=rollout.paused + slept, stage_paused=rollout.stage_paused + slept)


def _edited(rollout: Rollout, step: Step) -> Rollout:
    schedule = step.schedule or rollout.schedule
    n_entered = len(rollout.entered_at)
    if schedule.stages[:n_entered] != rollout.schedule.stages[:n_entered]:
        raise ParameterError(
            "only stages that lie ahead can be edited",
            found=f"a change in the first {n_entered} of {len(rollout.schedule.stages)}",
            hint="Leave the stages that were entered as they are, or roll back and start anew",
        )
    if n_entered and schedule.share_percent(n_entered - 1) != rollout.percent:
        raise ParameterError(
            "the share of the present stage cannot be edited",
            found=f"a holdback of {schedule.holdback_percent:g} %, which changes {rollout.percent:g} %",
        )
    automatic = rollout.is_automatic if step.is_automatic is None else step.is_automatic
    return replace(rollout, schedule=schedule, thresholds=step.thresholds or rollout.thresholds, is_automatic=automatic)


def _length(schedule: Schedule, index: int) -> timedelta:
    # Schedules are whole hours: without rounding, 7/24 of a day would be a microsecond too long.
    return timedelta(hours=round(24 * schedule.length_days(index)))


def _since(rollout: Rollout, began: datetime, slept: timedelta, at: datetime) -> timedelta:
    """Return the running time from `began` to `at`, or to the end or the pause that came before it."""
    until = rollout.ended_at or rollout.paused_at or at
    return max(_NONE, until - began - slept)


def _check_reasons(step: Step) -> None:
    for text, what in ((step.reason, "the reason"), (step.override, "the reason of an override")):
        if text != printable(text, longest=LONGEST_REASON):
            raise ParameterError(f"{what} is one printable line of at most {LONGEST_REASON} characters", found=text)
    if step.action in {"pause", "roll back"} and not step.reason:
        raise ParameterError(f"to {step.action} takes a reason", found="none", hint="Say why in a few words")


def _not_in_this_state(rollout: Rollout, action: Action) -> RolloutError:
    possible = [one for one in allowed(rollout) if one != "edit"]
    if action == "advance" and rollout.is_last_stage and rollout.state is RolloutState.RUNNING:
        return RolloutError(
            "no stage is left to advance to",
            found=f"{rollout.percent:g} %, the last stage",
            hint="Complete the rollout",
        )
    if action == "complete" and rollout.state is RolloutState.RUNNING:
        left = len(rollout.schedule.stages) - len(rollout.entered_at)
        return RolloutError(
            "a rollout completes in its last stage", found=f"{left:,} to go", hint="Advance through them first"
        )
    what = "a draft" if rollout.state is RolloutState.DRAFT else str(rollout.state)
    return RolloutError(
        f"a rollout that is {what} cannot {action}",
        found=f"rollout {rollout.key}, {rollout.state}",
        hint=f"It can {' or '.join(possible)}" if possible else "Create another rollout on the flag",
    )
