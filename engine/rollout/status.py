"""What the page and the shell show of a rollout: where it stands, what comes next and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from engine.rollout.machine import (
    ACTIVE,
    RolloutState,
    allowed,
    obstacles,
    planned,
    running_days,
    stage_ends_at,
    time_left,
)

if TYPE_CHECKING:
    from datetime import datetime

    from engine.rollout.gates import Action, Gate, Obstacle
    from engine.rollout.incidents import Incident
    from engine.rollout.machine import Rollout
    from engine.rollout.monitor_results import Alert, MonitorReport

StageState = Literal["done", "now", "ahead", "not reached"]

_ONWARD: tuple[Action, ...] = ("start", "resume", "advance", "complete")


@dataclass(frozen=True, kw_only=True)
class StageView:
    """One stage as a card shows it: `percent` as planned, `share_percent` with the holdback taken off.

    `begins_at` is when it began, or will when everybody is on time; None for a stage of an ended rollout that was not
    reached.
    """

    index: int
    label: str
    day: float
    percent: float
    share_percent: float
    state: StageState
    begins_at: datetime | None
    length_days: float


@dataclass(frozen=True, kw_only=True)
class RolloutStatus:
    """Where a rollout stands at the moment `now` of its own clock.

    `day` counts days of running. `actions` are what the state allows; `next_action` is the one that goes on (start,
    resume, advance or complete), due at `next_at`, and `obstacles` say why it would be refused now. `report` is the
    monitor's judgement, None for a rollout that does not drive its flag. `is_killed` tells that the kill switch is on,
    so that nobody sees the treatment whatever `percent` says. `version` is what an edit has to name.
    """

    rollout: Rollout
    version: int
    now: datetime
    day: float
    percent: float
    stages: tuple[StageView, ...]
    actions: tuple[Action, ...]
    next_action: Action | None
    next_at: datetime | None
    time_left: timedelta
    obstacles: tuple[Obstacle, ...]
    report: MonitorReport | None
    incidents: tuple[Incident, ...]
    is_killed: bool
    killed_reason: str
    labels: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def state(self) -> RolloutState:
        """The state of the rollout."""
        return self.rollout.state

    @property
    def stage(self) -> StageView | None:
        """The stage that the rollout is in, or was in when it ended; None for a draft."""
        index = self.rollout.stage_index
        return None if index is None else self.stages[index]

    @property
    def next_stage(self) -> StageView | None:
        """The stage that advancing, or starting, would enter."""
        index = len(self.rollout.entered_at)
        ended = self.rollout.ended_at is not None
        return None if ended or index >= len(self.stages) else self.stages[index]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerts that stand, gravest first."""
        return () if self.report is None else self.report.alerts

    @property
    def can_go_on(self) -> bool:
        """Whether the next action would be taken without an override."""
        return self.next_action is not None and not self.obstacles

    @property
    def is_stopped_by_itself(self) -> bool:
        """Whether the monitor or the kill switch paused it or rolled it back, and nobody has resumed it."""
        is_stopped = self.state in {RolloutState.PAUSED, RolloutState.ROLLED_BACK}
        return is_stopped and self.rollout.cause in {"monitor", "kill switch"}

    @property
    def sentence(self) -> str:
        """The status in one sentence."""
        return _sentence(self)


def status_of(
    rollout: Rollout,
    *,
    version: int,
    now: datetime,
    gate: Gate,
    report: MonitorReport | None,
    incidents: tuple[Incident, ...] = (),
    warnings: tuple[str, ...] = (),
) -> RolloutStatus:
    """Put together what is known of `rollout` at the moment `now` of its own clock."""
    actions = allowed(rollout)
    onward = next((action for action in actions if action in _ONWARD), None)
    moments = planned(rollout, now)
    return RolloutStatus(
        rollout=rollout,
        version=version,
        now=now,
        day=running_days(rollout, now),
        percent=rollout.percent,
        stages=_stages(rollout, moments),
        actions=actions,
        next_action=onward,
        next_at=stage_ends_at(rollout, now),
        time_left=time_left(rollout, now),
        obstacles=() if onward is None else obstacles(rollout, onward, gate=gate, at=now),
        report=report,
        incidents=incidents,
        is_killed=bool(gate.killed),
        killed_reason=gate.killed,
        labels=("simulated",) if rollout.is_simulated else (),
        warnings=warnings,
    )


def _stages(rollout: Rollout, moments: tuple[datetime, ...]) -> tuple[StageView, ...]:
    return tuple(
        StageView(
            index=index,
            label=stage.label,
            day=stage.day,
            percent=stage.percent,
            share_percent=rollout.schedule.share_percent(index),
            state=_stage_state(rollout, index),
            begins_at=moments[index] if index < len(moments) else None,
            length_days=rollout.schedule.length_days(index),
        )
        for index, stage in enumerate(rollout.schedule.stages)
    )


def _stage_state(rollout: Rollout, index: int) -> StageState:
    n_entered = len(rollout.entered_at)
    if index < n_entered - 1 or (index < n_entered and rollout.state not in ACTIVE):
        return "done"
    if index == n_entered - 1:
        return "now"
    return "ahead" if rollout.ended_at is None else "not reached"


def _sentence(status: RolloutStatus) -> str:
    rollout, labels = status.rollout, "".join(f" ({label})" for label in status.labels)
    name = f"Rollout {rollout.key}{labels}"
    if rollout.state is RolloutState.DRAFT:
        n_stages, days = len(status.stages), rollout.schedule.last_day
        stages = f"{n_stages:,} stage{'' if n_stages == 1 else 's'}"
        return f"{name} is a draft of {stages} over {days:g} day{'' if days == 1 else 's'}."
    where = f"at {status.percent:g} % on day {status.day:,.1f}"
    if rollout.state is RolloutState.RUNNING:
        return f"{name} is running {where}; {_what_next(status)}{_aside(status)}."
    if rollout.state is RolloutState.PAUSED:
        return f"{name} is paused {where}: {rollout.reason.rstrip('.')}{_aside(status)}."
    if rollout.state is RolloutState.COMPLETED:
        n_passed = len(rollout.passed_warnings)
        although = f" although {_warnings_in_words(n_passed, stood=True)}" if n_passed else ""
        return f"{name} completed {where}{although}{_aside(status)}."
    reason = rollout.reason.rstrip(".")
    after = "after it had completed " if rollout.ended_at != rollout.changed_at else ""
    return f"{name} was rolled back {after}on day {status.day:,.1f}, everybody sees {rollout.control}: {reason}."


def _what_next(status: RolloutStatus) -> str:
    stage = status.next_stage
    what = "it can complete" if stage is None else f"{stage.share_percent:g} % is next"
    if stage is not None and status.time_left > timedelta(0):
        what += f", in {status.time_left / timedelta(days=1):,.1f} days"
    others = [one for one in status.obstacles if one.kind not in {"day", "kill switch"}]
    return f"{what}, but {others[0].rule}" if others else what


def _aside(status: RolloutStatus) -> str:
    """Return what the percentage hides: that nobody sees it, and alerts that stop nothing."""
    found = "; the kill switch is on, so nobody sees the treatment now" if status.is_killed else ""
    n_warnings = 0 if status.report is None else len(status.report.warnings)
    return f"{found}; {_warnings_in_words(n_warnings)}" if n_warnings else found


def _warnings_in_words(n: int, *, stood: bool = False) -> str:
    verb = "stood" if stood else "stands" if n == 1 else "stand"
    return f"a warning {verb}, which stops nothing" if n == 1 else f"{n:,} warnings {verb}, which stop nothing"
