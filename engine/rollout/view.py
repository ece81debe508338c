"""A rollout as one transaction sees it: its record, its observations, the monitor's judgement and the kill switch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import RolloutError, printable
from engine.rollout.clock import simulated_now
from engine.rollout.gates import Gate
from engine.rollout.history import ROLLOUT_KIND
from engine.rollout.incidents import incidents
from engine.rollout.machine import LONGEST_REASON, RolloutState, Step, obstacles
from engine.rollout.monitor import judge
from engine.rollout.observations import Observation
from engine.rollout.status import status_of
from engine.rollout.storage import rollout_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.flags import FlagWriter
    from engine.rollout.gates import Action
    from engine.rollout.machine import Rollout
    from engine.rollout.monitor_results import MonitorReport
    from engine.rollout.status import RolloutStatus
    from engine.workspace import Ledger

_ONWARD: tuple[Action, ...] = ("advance", "complete")


@dataclass(frozen=True, kw_only=True)
class View:
    """A rollout, the version of its record, and everything that decides which steps it may take at `now`."""

    rollout: Rollout
    version: int
    now: datetime
    report: MonitorReport | None
    gate: Gate


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A rollout as it is kept, the version of its record, and the moment of its own clock."""

    rollout: Rollout
    version: int
    now: datetime


def kept_rollout(ledger: Ledger, key: str) -> Kept:
    """Read the rollout `key` without judging it. Raises RolloutError when there is none."""
    record = ledger.get(ROLLOUT_KIND, key)
    if record is None:
        raise no_such_rollout(ledger, key)
    rollout = rollout_of(record.body)
    now = simulated_now(ledger, key) if rollout.is_simulated else ledger.now
    return Kept(rollout=rollout, version=record.version, now=max(now, rollout.changed_at))


def view_of(ledger: Ledger, flags: FlagWriter, key: str) -> View:
    """Read the rollout `key` and judge it. Raises RolloutError when there is none."""
    kept = kept_rollout(ledger, key)
    rollout, now = kept.rollout, kept.now
    report = judged(rollout, observations_of(ledger, key), now=now) if rollout.is_active else None
    killed = flags.killed
    gate = Gate(
        critical=() if report is None else report.critical,
        missing=() if report is None else report.gates,
        killed="" if killed is None else _one_line(f"killed by {killed.actor}: {killed.reason or 'no reason given'}"),
    )
    return View(rollout=rollout, version=kept.version, now=now, report=report, gate=gate)


def observations_of(ledger: Ledger, key: str) -> tuple[Observation, ...]:
    """Return everything observed of the rollout `key`, in the order it came."""
    return tuple(Observation.from_json(entry.body) for entry in ledger.entries(observation_stream(key)))


def observation_stream(key: str) -> str:
    """Return the name of the series that holds the observations of the rollout `key`."""
    return f"observations:{key}"


def judged(rollout: Rollout, observed: Sequence[Observation], *, now: datetime) -> MonitorReport:
    """Return the monitor's judgement of an active rollout at `now`.

    Only what was observed since it last began to run counts: after a resume the trouble that paused it is not held
    against it again. While it is paused, what stood at the pause stands until something has been observed after it.
    """
    since = rollout.running_since or rollout.changed_at
    paused = rollout.paused_at
    if paused is not None and any(one.arm == "treatment" and paused <= one.started_at <= now for one in observed):
        since = paused
    return judge(
        observed,
        thresholds=rollout.thresholds,
        now=now,
        since=since,
        earlier=rollout.paused_by if paused is None else (),
        expects_data=paused is None,
    )


def due_step(view: View) -> Step | None:
    """Return the step that the rollout takes by itself at this moment, None when there is none.

    Rolled back by the monitor; paused by the kill switch, then by the monitor; advanced or completed when it is
    automatic and nothing stands against it.
    """
    rollout, report = view.rollout, view.report
    if report is None:
        return None
    running = rollout.state is RolloutState.RUNNING
    if report.action == "roll_back":
        return _by_itself(view, "roll back", "monitor", _why(report, rolls_back=True))
    if running and view.gate.killed:
        return _by_itself(view, "pause", "kill switch", f"The kill switch is on, {view.gate.killed}")
    if running and report.action == "pause":
        return _by_itself(view, "pause", "monitor", _why(report, rolls_back=False))
    if not running or not rollout.is_automatic:
        return None
    onward = _ONWARD[rollout.is_last_stage]
    if obstacles(rollout, onward, gate=view.gate, at=view.now):
        return None
    return _by_itself(view, onward, "schedule", "The day has come and nothing stands against it")


def view_status(ledger: Ledger, flags: FlagWriter, view: View) -> RolloutStatus:
    """Return `view` as people see it, with its incidents."""
    return status_of(
        view.rollout,
        version=view.version,
        now=view.now,
        gate=view.gate,
        report=view.report,
        incidents=incidents(ledger, rollout_key=view.rollout.key),
        warnings=_warnings(flags, view.rollout),
    )


def no_such_rollout(ledger: Ledger, key: str) -> RolloutError:
    """Return the error that names the rollouts there are."""
    known = [record.key for record in ledger.all(ROLLOUT_KIND)]
    hint = f"There is {', '.join(known[:5])}" if known else "Create one first"
    return RolloutError("no such rollout is in this workspace", found=key, hint=hint)


def _by_itself(view: View, action: Action, cause: Literal["schedule", "monitor", "kill switch"], why: str) -> Step:
    alerts = () if view.report is None or cause != "monitor" else view.report.alerts
    pausing = tuple(one for one in alerts if one.severity in {"critical", "missing data"} and not one.is_cooling)
    return Step(
        action=action,
        at=view.now,
        actor=cause,
        reason=_one_line(why),
        cause=cause,
        gate=view.gate,
        alerts=pausing if action == "pause" else (),
    )


def _why(report: MonitorReport, *, rolls_back: bool) -> str:
    alerts = [one for one in report.alerts if one.rolls_back] if rolls_back else report.alerts
    return alerts[0].sentence if alerts else report.sentences[0]


def _one_line(text: str) -> str:
    return printable(text, longest=LONGEST_REASON)


def _warnings(flags: FlagWriter, rollout: Rollout) -> tuple[str, ...]:
    if not rollout.is_active:
        return ()
    flag, found = flags.find(rollout.flag_key), []
    if flag is None or flag.split is None or flag.driven_by != rollout.key:
        found.append(f"Flag {rollout.flag_key} is no longer driven by this rollout: roll it back.")
    elif (flag.treatment, flag.split.shares[0].weight) != (rollout.treatment, rollout.weight):
        found.append(f"Flag {rollout.flag_key} does not have the percentage of this rollout: roll it back.")
    if rollout.is_simulated:
        found.append(f"Time is simulated, but flag {rollout.flag_key} is the real one: its clients see every step.")
    return tuple(found)
