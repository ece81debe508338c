"""Rollouts on simulated time: traffic and faults day by day, in the workspace or, to try many, in memory alone."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import ParameterError, RolloutError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.rollout.machine import Rollout, RolloutState, Step, apply
from engine.rollout.traffic_days import RolloutFault, Traffic, TrafficDays
from engine.rollout.view import View, due_step, gate_of, judged
from engine.seeds import check_seed
from engine.workspace import plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from engine.progress import Cancelled, Progress
    from engine.rollout.control import RolloutControl
    from engine.rollout.monitor_results import MonitorReport
    from engine.rollout.observations import Observation
    from engine.rollout.schedule import Schedule
    from engine.rollout.status import RolloutStatus
    from engine.workspace import JsonValue

SIMULATION_KIND = "simulation"

MOST_DAYS = 366

_DAY = timedelta(days=1)
_FAULT = re.compile(r"(?P<kind>[a-z ]+?)(?::(?P<sign>[x×]?)(?P<amount>[-+0-9.e]+)(?P<share>%?))?(?:@(?P<where>.+))?")
_DAYS = re.compile(r"day *(\d+)(-(\d*))?")
_FAULT_FORM = "Write it as latency:2@day10, clicks:-8%@50%, errors:0.01@day12-13 or missing data@day9"


@dataclass(frozen=True, kw_only=True)
class SimulationSettings:
    """The traffic that a rollout on simulated time sees, what breaks in it, and the seed of its luck."""

    traffic: Traffic = field(default_factory=Traffic)
    faults: tuple[RolloutFault, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the settings as plain JSON."""
        document = plain_json(asdict(self))
        assert isinstance(document, dict)  # noqa: S101  # a dataclass always becomes one
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SimulationSettings:
        """Return the settings that `as_json` made `document` of. Raises ParameterError."""
        try:
            faults = tuple(RolloutFault(**fault) for fault in document["faults"])
            return cls(traffic=Traffic(**document["traffic"]), faults=faults, seed=document["seed"])
        except (KeyError, TypeError) as error:
            raise ParameterError("a simulation holds traffic, faults and a seed", found=document) from error

    def days(self, schedule: Schedule, *, n_rollouts: int = 1) -> TrafficDays:
        """Return the traffic of `n_rollouts` rollouts by `schedule`."""
        shares = [schedule.share_percent(index) for index in range(len(schedule.stages))]
        return TrafficDays(self.traffic, percents=shares, faults=self.faults, n_rollouts=n_rollouts, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """How a rollout in memory went: the rollout at its end, what was observed, and the monitor's last judgement.

    `percents` are the shares of users in treatment day by day, a look at the end of each; `alert_days` are the looks,
    counted from 1, at which an alert stood that is not for want of data.
    """

    rollout: Rollout
    percents: tuple[float, ...]
    alert_days: tuple[int, ...]
    observations: tuple[Observation, ...]
    report: MonitorReport

    @property
    def n_days(self) -> int:
        """How many days were simulated."""
        return len(self.percents)


class SimulatedRollouts:
    """Steps rollouts on simulated time through their days, with the traffic and faults that are set for them."""

    def __init__(self, control: RolloutControl) -> None:
        self._control = control

    def settings(self, key: str) -> SimulationSettings:
        """Return what is simulated for the rollout `key`; the example migration without a fault unless set."""
        with self._control.workspace.records() as ledger:
            record = ledger.get(SIMULATION_KIND, key)
        return SimulationSettings() if record is None else SimulationSettings.from_json(record.body)

    def set(self, key: str, settings: SimulationSettings, *, actor: str) -> None:
        """Set what the rollout `key` sees from its next day on. Raises RolloutError for one on real time."""
        self._check_simulated(self._control.status(key, settle=False))
        with self._control.workspace.recording() as ledger:
            body = settings.as_json()
            ledger.put(SIMULATION_KIND, key, body, expected_version=None, actor=actor, action="set simulation")

    def step(
        self,
        key: str,
        *,
        actor: str,
        days: float = 0,
        hours: float = 0,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> tuple[RolloutStatus, ...]:
        """Move the clock on and observe every whole day that ends on the way; return the status after each.

        It stops when the rollout has ended, or was paused on the way: somebody has to look. A draft only ages. Raises
        RolloutError for a rollout on real time, ParameterError unless the step is above 0 and at most `MOST_DAYS`.
        """
        if not 0 < days + hours / 24 <= MOST_DAYS:  # false for NaN as well
            raise ParameterError(
                f"a simulated clock steps forward, by at most {MOST_DAYS} days", found=f"{days + hours / 24:g} days"
            )
        step = timedelta(days=days, hours=hours)
        status = self._control.status(key)
        self._check_simulated(status)
        settings, began, target = self.settings(key), status.now, status.now + step
        source = settings.days(status.rollout.schedule)
        found: list[RolloutStatus] = []
        was_paused = status.state is RolloutState.PAUSED
        while status.now < target and (not found or _goes_on(status, was_paused=was_paused)):
            stop_if(cancelled)
            status = self._step_once(status, source, target, actor)
            found.append(status)
            progress((status.now - began) / step, f"Simulated day {status.day:,.1f} at {status.percent:g} %")
        progress(1.0, "Done")
        return tuple(found)

    def follow(self, key: str, observed: Sequence[Observation], *, actor: str) -> tuple[RolloutStatus, ...]:
        """Move the clock on window by window with what was observed at another time; return the status after each.

        The first window begins now, and each counts with the share that the rollout has then. It stops as `step` does.

        Raises
        ------
        RolloutError
            For a rollout on real time, or one that is a draft or has ended.
        """
        status = self._control.status(key)
        self._check_simulated(status)
        if not status.rollout.is_active:
            raise RolloutError("only a rollout that has started can follow observations", found=status.state.value)
        windows: dict[tuple[datetime, datetime], list[Observation]] = {}
        for one in observed:
            windows.setdefault((one.ended_at, one.started_at), []).append(one)
        moved_by = status.now - min((one.started_at for one in observed), default=status.now)
        found: list[RolloutStatus] = []
        was_paused = status.state is RolloutState.PAUSED
        for end, start in sorted(windows):
            if found and not _goes_on(status, was_paused=was_paused):
                break
            begins, ends = start + moved_by, end + moved_by
            moved = [
                replace(one, start=begins.isoformat(), end=ends.isoformat(), percent=status.percent, is_simulated=True)
                for one in windows[end, start]
            ]
            status = self._control.step_clock(key, actor=actor, step=ends - status.now, observed=moved)
            found.append(status)
        return tuple(found)

    def _step_once(self, status: RolloutStatus, source: TrafficDays, target: datetime, actor: str) -> RolloutStatus:
        start, key = status.rollout.started_at, status.rollout.key
        if start is None or status.rollout.ended_at is not None:
            return self._control.step_clock(key, actor=actor, step=target - status.now)
        day = (status.now - start) // _DAY
        until = min(target, start + (day + 1) * _DAY)
        observed = source.baseline_observations(start=start) if day == 0 else ()
        if until == start + (day + 1) * _DAY:
            percent = 0.0 if status.is_killed else status.percent
            observed += source.observations(day, percent, start=start)
        return self._control.step_clock(key, actor=actor, step=until - status.now, observed=observed)

    def _check_simulated(self, status: RolloutStatus) -> None:
        if not status.rollout.is_simulated:
            raise RolloutError(
                "only a rollout on simulated time can be stepped through its days",
                found=f"rollout {status.rollout.key}, on real time",
                hint="Create another one on simulated time",
            )


def rehearse(
    draft: Rollout, source: TrafficDays, *, max_days: int, rollout: int = 0, stops_when_paused: bool = True
) -> Rehearsal:
    """Run `draft` in memory through the days of `source`, as an automatic rollout; nothing is kept anywhere.

    `rollout` is the place of the rollout in `source`. It begins at the moment it was created and ends when it is
    completed, rolled back, paused (unless told to stay) or `max_days` old.

    Raises
    ------
    ParameterError
        When no day is asked for.
    """
    if max_days < 1:
        raise ParameterError("a rehearsal takes at least one day", found=max_days)
    start = draft.created_at
    running = apply(replace(draft, is_automatic=True), Step(action="start", at=start, actor="rehearsal"))
    observed = [*source.baseline_observations(start=start, rollout=rollout)]
    report = judged(running, observed, now=start)
    percents: list[float] = []
    alert_days: list[int] = []
    for day in range(max_days):
        observed += source.observations(day, running.percent, start=start, rollout=rollout)
        now = start + (day + 1) * _DAY
        percents.append(running.percent)
        report = judged(running, observed, now=now)
        if any(alert.severity != "not enough data" for alert in report.alerts):
            alert_days.append(day + 1)
        step = due_step(View(rollout=running, version=0, now=now, report=report, gate=gate_of(report)))
        running = running if step is None else apply(running, step)
        if not running.is_active or (stops_when_paused and running.state is RolloutState.PAUSED):
            break
    return Rehearsal(
        rollout=running,
        percents=tuple(percents),
        alert_days=tuple(alert_days),
        observations=tuple(observed),
        report=report,
    )


def parse_fault(text: str) -> RolloutFault:
    """Read ``KIND:AMOUNT@WHERE``: clauses of where, with commas between, are days, a percentage or an arm.

    Raises
    ------
    ParameterError
        When it has another form, or a part is out of range.

    >>> parse_fault("clicks:-8%@50%").from_percent, parse_fault("latency:x2@day10").first_day
    (50.0, 10)
    """
    match = _FAULT.fullmatch(text.strip().lower())
    if match is None:
        raise ParameterError("a fault is a kind, an amount and where it strikes", found=text, hint=_FAULT_FORM)
    parts: dict[str, Any] = {"kind": match["kind"].strip()}
    if match["amount"] is not None:
        parts["amount"] = _number(match["amount"], text) / (100 if match["share"] else 1)
    elif parts["kind"] != "missing data":
        raise ParameterError("a fault but missing data has an amount", found=text, hint=_FAULT_FORM)
    for clause in (match["where"] or "").split(","):
        parts |= _where(clause.strip(), text)
    return RolloutFault(**parts)


def _where(clause: str, text: str) -> dict[str, Any]:
    if not clause:
        return {}
    if clause in {"treatment", "control", "both"}:
        return {"arm": clause}
    if clause.endswith("%"):
        return {"from_percent": _number(clause[:-1], text)}
    days = _DAYS.fullmatch(clause)
    if days is None:
        raise ParameterError("a fault strikes on days, from a percentage on, or one arm", found=text, hint=_FAULT_FORM)
    return {"first_day": int(days[1]), "last_day": int(days[3]) if days[3] else None}


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise ParameterError("the amount of a fault is a number", found=text, hint=_FAULT_FORM) from None


def _goes_on(status: RolloutStatus, *, was_paused: bool) -> bool:
    return status.rollout.ended_at is None and (was_paused or status.state is not RolloutState.PAUSED)
