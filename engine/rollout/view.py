"""A rollout as one transaction sees it: its record, its observations, the monitor's judgement and the kill switch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from engine.errors import RolloutError, printable
from engine.rollout.clock import simulated_now
from engine.rollout.gates import Gate
from engine.rollout.history import ROLLOUT_KIND
from engine.rollout.incidents import incidents
from engine.rollout.machine import LONGEST_REASON, RolloutState, Step, obstacles
from engine.rollout.monitor import judge
from engine.rollout.observations import Observation, check_year
from engine.rollout.status import status_of
from engine.rollout.storage import rollout_of
from engine.rollout.windows import SAME_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.flags import FlagWriter, PastKill
    from engine.rollout.gates import Action
    from engine.rollout.machine import Rollout
    from engine.rollout.monitor_results import Alert, MonitorReport
    from engine.rollout.status import RolloutStatus
    from engine.workspace import Ledger

_ONWARD: tuple[Action, ...] = ("advance", "complete")
_CLOCKS_DIFFER_BY = timedelta(minutes=5)
_MOMENT = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, kw_only=True)
class View:
    """A rollout, the version of its record, and everything that decides which steps it may take at `now`.

    `unseen_kill` is what the kill switch did since the last step of a running rollout, whether it is still on or not.
    """

    rollout: Rollout
    version: int
    now: datetime
    report: MonitorReport | None
    gate: Gate
    unseen_kill: PastKill | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A rollout as it is kept, the version of its record, and the moment of its own clock."""

    rollout: Rollout
    version: int
    now: datetime


def kept_rollout(ledger: Ledger, key: str) -> Kept:
    """Read the rollout `key` without judging it.

    Raises RolloutError when there is none, ParameterError when the clock stands in a year without rollouts.
    """
    record = ledger.get(ROLLOUT_KIND, key)
    if record is None:
        raise no_such_rollout(ledger, key)
    rollout = rollout_of(record.body)
    now = simulated_now(ledger, key) if rollout.is_simulated else ledger.now
    check_year(now, "the clock")
    return Kept(rollout=rollout, version=record.version, now=max(now, rollout.changed_at))


def view_of(ledger: Ledger, flags: FlagWriter, key: str) -> View:
    """Read the rollout `key` and judge it. Raises RolloutError when there is none."""
    kept = kept_rollout(ledger, key)
    rollout, now = kept.rollout, kept.now
    report = judged(rollout, observations_of(ledger, key), now=now) if rollout.is_active else None
    killed = flags.killed
    return View(
        rollout=rollout,
        version=kept.version,
        now=now,
        report=report,
        gate=gate_of(report, killed="" if killed is None else _who_killed(killed.actor, killed.reason)),
        unseen_kill=_unseen_kill(ledger, flags, rollout),
    )


def gate_of(report: MonitorReport | None, *, killed: str = "") -> Gate:
    """Return what the monitor and the kill switch say about going on."""
    if report is None:
        return Gate(killed=killed)
    return Gate(critical=report.critical, missing=report.gates, killed=killed, warnings=report.warnings)


def kill_in_words(kill: PastKill) -> str:
    """Return who killed from when to when, without a full stop."""
    said = _who_killed(kill.actor, kill.reason)
    if kill.restored_at is None:
        return f"The kill switch went on at {kill.at:{_MOMENT}} UTC, {said}"
    return f"The kill switch was on from {kill.at:{_MOMENT}} to {kill.restored_at:{_MOMENT}} UTC, {said}"


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

    Rolled back by the monitor; paused by the kill switch, as of the moment of the kill, then by the monitor; advanced
    or completed when it is automatic and nothing stands against it.
    """
    rollout, report = view.rollout, view.report
    if report is None:
        return None
    running = rollout.state is RolloutState.RUNNING
    if report.action == "roll_back":
        return _by_itself(view, "roll back", "monitor", _why(report, rolls_back=True))
    if running and view.unseen_kill is not None:
        at = view.now if rollout.is_simulated else view.unseen_kill.at
        return _by_itself(view, "pause", "kill switch", kill_in_words(view.unseen_kill), at=at)
    if running and report.action == "pause":
        return _by_itself(view, "pause", "monitor", _why(report, rolls_back=False))
    if not running or not rollout.is_automatic:
        return None
    onward = _ONWARD[rollout.is_last_stage]
    if obstacles(rollout, onward, gate=view.gate, at=view.now):
        return None
    return _by_itself(view, onward, "schedule", _why_onward(report))


def view_status(ledger: Ledger, flags: FlagWriter, view: View) -> RolloutStatus:
    """Return `view` as people see it, with its incidents."""
    return status_of(
        view.rollout,
        version=view.version,
        now=view.now,
        gate=view.gate,
        report=view.report,
        incidents=incidents(ledger, rollout_key=view.rollout.key),
        warnings=_warnings(flags, view, clock=ledger.now),
    )


def no_such_rollout(ledger: Ledger, key: str) -> RolloutError:
    """Return the error that names the rollouts there are."""
    known = [record.key for record in ledger.all(ROLLOUT_KIND)]
    hint = f"There is {', '.join(known[:5])}" if known else "Create one first"
    return RolloutError("no such rollout is in this workspace", found=key, hint=hint)


def _unseen_kill(ledger: Ledger, flags: FlagWriter, rollout: Rollout) -> PastKill | None:
    if rollout.state is not RolloutState.RUNNING:
        return None
    # By number and not by time: clocks may jump, and that of a simulated rollout is another one anyway.
    last = ledger.last_change(ROLLOUT_KIND, rollout.key)
    return None if last is None else flags.first_kill(after=last.seq)


def _by_itself(
    view: View,
    action: Action,
    cause: Literal["schedule", "monitor", "kill switch"],
    why: str,
    *,
    at: datetime | None = None,
) -> Step:
    pausing = () if view.report is None or (action, cause) != ("pause", "monitor") else _pausing(view.report)
    return Step(
        action=action,
        at=view.now if at is None else at,
        actor=cause,
        reason=_one_line(why),
        cause=cause,
        gate=view.gate,
        alerts=pausing,
    )


def _pausing(report: MonitorReport) -> tuple[Alert, ...]:
    return tuple(one for one in report.alerts if one.severity in {"critical", "missing data"} and not one.is_cooling)


def _why(report: MonitorReport, *, rolls_back: bool) -> str:
    alerts = [one for one in report.alerts if one.rolls_back] if rolls_back else _pausing(report)
    return alerts[0].sentence if alerts else report.sentences[0]


def _why_onward(report: MonitorReport) -> str:
    if not report.warnings:
        return "The day has come and nothing stands against it"
    return "The day has come; what stands is a warning, which stops nothing"


def _who_killed(actor: str, reason: str) -> str:
    return _one_line(f"killed by {actor}: {reason or 'no reason given'}")


def _one_line(text: str) -> str:
    return printable(text, longest=LONGEST_REASON)


def _warnings(flags: FlagWriter, view: View, *, clock: datetime) -> tuple[str, ...]:
    rollout = view.rollout
    if rollout.state is RolloutState.COMPLETED:
        return tuple(
            f"A warning stood before it completed, which stops nothing: {one}" for one in rollout.passed_warnings
        )
    found = [] if view.report is None else _of_an_active_one(flags, rollout, view.report, clock=clock)
    if rollout.ended_at is None and not rollout.is_last_stage and rollout.schedule.advice:
        found.append(rollout.schedule.advice)
    return tuple(found)


def _of_an_active_one(flags: FlagWriter, rollout: Rollout, report: MonitorReport, *, clock: datetime) -> list[str]:
    flag, found = flags.find(rollout.flag_key), []
    if flag is None or flag.split is None or flag.driven_by != rollout.key:
        found.append(f"Flag {rollout.flag_key} is no longer driven by this rollout: roll it back.")
    elif (flag.treatment, flag.split.shares[0].weight) != (rollout.treatment, rollout.weight):
        found.append(f"Flag {rollout.flag_key} does not have the percentage of this rollout: roll it back.")
    if report.windows and abs(report.windows[0].percent - rollout.percent) > SAME_SHARE:
        found.append(
            f"The newest observations say that {report.windows[0].percent:g} % of the users are in the treatment, and "
            f"the rollout that {rollout.percent:g} % are: look whether they are of this rollout, and in percent."
        )
    if rollout.is_simulated:
        found.append(f"Time is simulated, but flag {rollout.flag_key} is the real one: its clients see every step.")
    elif rollout.changed_at - clock > _CLOCKS_DIFFER_BY:
        found.append(
            f"The clock stands at {clock:{_MOMENT}}, before the last step at {rollout.changed_at:{_MOMENT}} UTC: the "
            "rollout stands still and nothing is judged until then. Mend the clock, or roll back and start anew."
        )
    return found
