"""Run many rollouts at once through simulated days, by the very rules that the live monitor judges one by.

A day is one look. A rollout moves on to its next stage after the first look at which the stage has lasted as long as
the schedule says, its gates are open and no critical alert stands; it ends when it is complete, paused (a person has to
look at it then) or rolled back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.rollout.comparison import Counts, compare
from engine.rollout.decision import ROLL_BACK, Runs, action_of, breaches_of, gates_open
from engine.rollout.thresholds import METRICS
from engine.rollout.windows import choose_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.progress import Cancelled, Progress
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds
    from engine.rollout.traffic_days import TrafficDay, TrafficDays

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

ENDS = ("completed", "paused", "rolled back", "unfinished")
COMPLETED, PAUSED, ROLLED_BACK, UNFINISHED = range(4)

_HOURS_A_DAY = 24.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes:
    """How n simulated rollouts went, arrays (n).

    `end` is a place in `ENDS`. Days are counted from the start to the look at the end of a day, NaN where something
    did not happen: `end_day`, the first alert of any kind (`alert_day`; while a fault is at work, where there is one),
    and the start of the day on which the fault began (`fault_day`). `percent` is the share of users in treatment at the
    first alert, else at the end, `stage` the index of the last one.
    """

    end: npt.NDArray[np.int8]
    end_day: Floats
    alert_day: Floats
    fault_day: Floats
    percent: Floats
    stage: Ints


def simulate_rollouts(
    schedule: Schedule,
    traffic: TrafficDays,
    thresholds: Thresholds,
    *,
    max_days: int,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Outcomes:
    """Run every rollout of `traffic` by `schedule` and `thresholds` until it ends, `max_days` at most.

    Raises
    ------
    CancelledError
        When `cancelled` says so; it is asked between days.
    """
    rollouts = Rollouts(schedule, traffic, thresholds)
    for day in range(max_days):
        if not rollouts.is_running.any():
            break
        stop_if(cancelled)
        rollouts.step(day)
        share = 1 - rollouts.is_running.mean()
        progress(max(share, (day + 1) / max_days), f"Simulating day {day + 1:,} of {traffic.n_rollouts:,} rollouts")
    return rollouts.outcomes()


class Rollouts:
    """n rollouts in step; `step` takes all of them through one more day. `actions` (n) are those of the last look."""

    def __init__(self, schedule: Schedule, traffic: TrafficDays, thresholds: Thresholds) -> None:
        n = traffic.n_rollouts
        self._traffic = traffic
        self._thresholds = thresholds
        self._shares = np.array([schedule.share_percent(at) for at in range(len(schedule.stages))])
        self._lengths = np.array([schedule.length_days(at) for at in range(len(schedule.stages))])
        stored = traffic.baseline()
        self._baseline = _total([_Sums.of(day) for day in stored]).counts() if stored else None
        self._stage = np.zeros(n, np.int64)
        self._days_in_stage = np.zeros(n)
        self._hours_silent = np.zeros((2, n))
        self._control_seen = np.zeros(n, np.bool_)
        self._runs = Runs.none((n,))
        self._arms: tuple[_ArmWindows, _ArmWindows] = (_ArmWindows(n, thresholds), _ArmWindows(n, thresholds))
        self.is_running = np.ones(n, np.bool_)
        self.actions = np.zeros(n, np.int64)
        self._end = np.full(n, UNFINISHED, np.int8)
        self._end_day, self._alert_day, self._fault_day = (np.full(n, np.nan) for _ in range(3))
        self._percent = np.zeros(n)

    @property
    def percent(self) -> Floats:
        """The share of users in treatment of each rollout, (n)."""
        share: Floats = self._shares[self._stage]
        return share

    def step(self, day: int) -> None:
        """Take every rollout that still runs through `day`, judge it, and let it go on where it may."""
        today = self._traffic.day(day, self.percent)
        alerts, rollbacks, gates = self._look(today)
        silent = self._silent_too_long(today)
        actions = action_of(alerts, rollbacks, self._thresholds)
        if self._thresholds.pauses_when_missing:
            actions = np.maximum(actions, silent.astype(np.int64))
        self.actions = np.where(self.is_running, actions, 0)
        self._note(day, today, anything=alerts.any(axis=0) | rollbacks.any(axis=0) | silent)
        critical = self._is_critical(alerts, rollbacks)
        self._days_in_stage += 1
        self._go_on(day, may_advance=gates & ~silent & ~critical & (self.actions == 0))

    def outcomes(self) -> Outcomes:
        """Return how it went; rollouts that still run are unfinished."""
        percent = np.where(np.isnan(self._alert_day), self.percent, self._percent)
        return Outcomes(
            end=self._end,
            end_day=self._end_day,
            alert_day=self._alert_day,
            fault_day=self._fault_day,
            percent=percent,
            stage=self._stage,
        )

    def _look(self, today: TrafficDay) -> tuple[Bools, Bools, Bools]:
        control, treatment = self._arms
        control.add(today.control, today.control_is_missing)
        treatment.add(today.treatment, today.treatment_is_missing)
        reference, is_stored = choose_reference(control.counts(), self._stored(), self._thresholds)
        comparison = compare(reference, treatment.counts(), self._thresholds, is_stored=is_stored, with_bounds=False)
        seen = ~today.treatment_is_missing
        alert, rollback = breaches_of(comparison)
        after = self._runs.after(alert, rollback)
        self._runs = Runs(
            alert=np.where(seen, after.alert, self._runs.alert),
            rollback=np.where(seen, after.rollback, self._runs.rollback),
        )
        alerts, rollbacks = self._runs.raised(self._thresholds)
        return alerts, rollbacks, gates_open(comparison, self._thresholds)

    def _stored(self) -> Counts | None:
        if self._baseline is None:
            return None
        values = ((field.name, getattr(self._baseline, field.name)) for field in fields(Counts))
        return Counts(**{name: np.stack([value, value]) for name, value in values})

    def _silent_too_long(self, today: TrafficDay) -> Bools:
        arrived = np.stack(
            [
                ~today.control_is_missing & (today.control.n_queries > 0),
                ~today.treatment_is_missing & (today.treatment.n_queries > 0),
            ]
        )
        self._hours_silent = np.where(arrived, 0.0, self._hours_silent + _HOURS_A_DAY)
        self._control_seen |= arrived[0]
        late = self._hours_silent > self._thresholds.missing_after_hours
        silent: Bools = late[1] | (late[0] & self._control_seen)
        return silent

    def _is_critical(self, alerts: Bools, rollbacks: Bools) -> Bools:
        levels = np.array([self._thresholds.limit(metric).severity == "critical" for metric in METRICS])
        critical: Bools = ((alerts & levels[:, None]) | rollbacks).any(axis=0)
        return critical

    def _note(self, day: int, today: TrafficDay, *, anything: Bools) -> None:
        begins = self.is_running & today.has_fault & np.isnan(self._fault_day)
        self._fault_day = np.where(begins, float(day), self._fault_day)
        counts = anything & self.is_running & np.isnan(self._alert_day)
        if self._traffic.faults:
            counts &= ~np.isnan(self._fault_day)
        self._alert_day = np.where(counts, day + 1.0, self._alert_day)
        self._percent = np.where(counts, self.percent, self._percent)

    def _go_on(self, day: int, *, may_advance: Bools) -> None:
        due = self.is_running & may_advance & (self._days_in_stage >= self._lengths[self._stage] - 1e-9)
        is_last = self._stage == len(self._shares) - 1
        ends = np.select(
            [self.actions == ROLL_BACK, self.actions > 0, due & is_last],
            [ROLLED_BACK, PAUSED, COMPLETED],
            default=UNFINISHED,
        )
        stops = self.is_running & (ends != UNFINISHED)
        self._end = np.where(stops, ends, self._end).astype(np.int8)
        self._end_day = np.where(stops, day + 1.0, self._end_day)
        self.is_running &= ~stops
        moves = due & ~stops
        self._stage += moves
        self._days_in_stage = np.where(moves, 0.0, self._days_in_stage)
        self._hours_silent = np.where(moves, 0.0, self._hours_silent)
        self._control_seen &= ~moves
        self._runs = Runs(alert=np.where(moves, 0, self._runs.alert), rollback=np.where(moves, 0, self._runs.rollback))
        for arm in self._arms:
            arm.forget(moves)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sums:
    """Counts that add up, (n): logs of p99 are weighted by queries until they are asked for."""

    n_users: Floats
    n_queries: Floats
    n_clicks: Floats
    n_errors: Floats
    weighted_log_p99: Floats
    weighted_variance: Floats
    days: Floats

    @classmethod
    def of(cls, counts: Counts) -> _Sums:
        """Return the sums of one day."""
        n = counts.n_queries
        return cls(
            n_users=counts.n_users,
            n_queries=n,
            n_clicks=counts.n_clicks,
            n_errors=counts.n_errors,
            weighted_log_p99=np.where(n > 0, n * counts.log_p99, 0.0),
            weighted_variance=np.where(n > 0, (n * counts.log_p99_se) ** 2, 0.0),
            days=counts.days,
        )

    def times(self, keep: Bools) -> _Sums:
        """Return the sums where `keep` holds, and nothing elsewhere."""
        return _Sums(**{field.name: np.where(keep, getattr(self, field.name), 0.0) for field in fields(self)})

    def plus(self, other: _Sums) -> _Sums:
        """Return both together; users come back, so the greater number of them stands for both."""
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return _Sums(**{**sums, "n_users": np.maximum(self.n_users, other.n_users)})

    def counts(self) -> Counts:
        """Return them as counts to compare."""
        n = np.where(self.n_queries > 0, self.n_queries, np.nan)
        return Counts(
            n_users=self.n_users,
            n_queries=self.n_queries,
            n_clicks=self.n_clicks,
            n_click_queries=self.n_queries,
            n_errors=self.n_errors,
            n_error_queries=self.n_queries,
            log_p99=self.weighted_log_p99 / n,
            log_p99_se=np.sqrt(self.weighted_variance) / n,
            days=self.days,
        )


def _total(sums: Sequence[_Sums]) -> _Sums:
    total = sums[0]
    for one in sums[1:]:
        total = total.plus(one)
    return total


class _ArmWindows:
    """Both windows of one arm: everything since the stage began, and the latest days of it."""

    def __init__(self, n: int, thresholds: Thresholds) -> None:
        self._nothing = _Sums(**{field.name: np.zeros(n) for field in fields(_Sums)})
        self._stage = self._nothing
        self._latest: list[_Sums] = []
        self._n_latest = max(1, math.floor(thresholds.latest_hours / _HOURS_A_DAY))

    def add(self, today: Counts, is_missing: Bools) -> None:
        sums = _Sums.of(today).times(~is_missing)
        self._stage = self._stage.plus(sums)
        self._latest = [*self._latest, sums][-self._n_latest :]

    def forget(self, moves: Bools) -> None:
        """Begin anew in the rollouts that have moved on to another stage."""
        self._stage = self._stage.times(~moves)
        self._latest = [sums.times(~moves) for sums in self._latest]

    def counts(self) -> Counts:
        """Return the counts of both windows, (2, n)."""
        stage, latest = self._stage.counts(), _total(self._latest).counts()
        pairs = ((field.name, getattr(stage, field.name), getattr(latest, field.name)) for field in fields(Counts))
        return Counts(**{name: np.stack([one, other]) for name, one, other in pairs})
