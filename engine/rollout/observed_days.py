"""Observations of an experiment's events, day by day: what the monitor sees of simulated or logged traffic."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment.log_columns import LogUnits
from engine.experiment.logs import read_log
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.rollout.observations import Arm, Observation
from engine.rollout.observing import zone_of
from engine.tradeoff.percentiles import percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path

    import numpy.typing as npt

    from engine.experiment.events import Events
    from engine.progress import Cancelled, Progress
    from engine.rollout.observing import LatencyUnit

_ARMS: tuple[Arm, Arm] = ("control", "treatment")


def observed_days(
    events: Events,
    *,
    percent: float | Sequence[float] | None = None,
    time_zone: str | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> tuple[Observation, ...]:
    """Return one observation for each day and arm of `events` that has rows, in order of time, control first.

    `percent` is the share of users in treatment, one for all days or one a day; the intended share unless given.
    `time_zone` is needed where the events' days have none. Latencies that are missing (NaN) are left out of the p99,
    whose interval counts queries as independent: the monitor widens it by the users' design effect.

    Raises
    ------
    ParameterError
        When the zone of the days is not known, or there is not one percentage a day.
    CancelledError
        When `cancelled` says so; it is asked between days.
    """
    zone = _zone(events, time_zone)
    shares = _shares(events, percent)
    starts = events.day_starts()
    seen = np.zeros(events.n_users, np.bool_)
    found = []
    for day in range(events.n_days):
        stop_if(cancelled)
        rows = slice(int(starts[day]), int(starts[day + 1]))
        for at, arm in enumerate(_ARMS):
            mine = np.flatnonzero(events.arm[rows] == at) + rows.start
            if len(mine):
                found.append(_observation(events, mine, seen, arm, _window(events, day, zone), shares[day]))
        progress((day + 1) / events.n_days, f"Counting day {day + 1:,} of {events.n_days:,}")
    return tuple(found)


def read_query_log(
    source: Path,
    *,
    percent: float,
    arms: Mapping[str, str] | None = None,
    latency_unit: LatencyUnit | None = None,
    time_zone: str | None = None,
    progress: Progress = ignore_progress,
) -> tuple[Observation, ...]:
    """Count a log of a row a query, as `dimshift ab simulate --events` writes it, day by day.

    `percent` is the share of users in treatment on those days, `arms` maps names of arms in the log to control and
    treatment. Raises as `engine.experiment.logs.read_log` and `observed_days` do.
    """
    names = {arm: name for name, arm in (arms or {}).items()}
    events = read_log(
        source,
        units=LogUnits(latency=latency_unit),
        control=names.get("control"),
        treatment=names.get("treatment"),
        treatment_share=percent / 100,
        progress=progress,
    )
    return observed_days(events, percent=percent, time_zone=time_zone)


def _observation(
    events: Events,
    rows: npt.NDArray[np.int64],
    seen: npt.NDArray[np.bool_],
    arm: Arm,
    window: tuple[datetime, datetime],
    percent: float,
) -> Observation:
    users = events.user[rows]
    seen[users] = True
    n_users = int(np.count_nonzero(seen))
    seen[users] = False
    p99 = low = high = None
    if events.latency_ms is not None:
        latency = events.latency_ms[rows]
        latency = latency[~np.isnan(latency)]
        if len(latency):
            measured = percentile(latency, 0.99)
            p99, low, high = measured.value, measured.low, measured.high
    return Observation(
        start=window[0].isoformat(),
        end=window[1].isoformat(),
        arm=arm,
        percent=percent,
        n_users=n_users,
        n_queries=len(rows),
        n_clicks=None if events.clicked is None else int(events.clicked[rows].sum()),
        n_errors=None if events.error is None else int(events.error[rows].sum()),
        p99_ms=p99,
        p99_low_ms=low,
        p99_high_ms=high,
        source=f"experiment {events.experiment_id}"[:200],
        is_simulated=events.is_simulated,
    )


def _window(events: Events, day: int, zone: tzinfo) -> tuple[datetime, datetime]:
    first = date.fromisoformat(events.date_of(day))
    return datetime.combine(first, time(), zone), datetime.combine(first + timedelta(days=1), time(), zone)


def _zone(events: Events, time_zone: str | None) -> tzinfo:
    try:
        return zone_of(time_zone or events.time_zone)
    except ParameterError as error:
        raise ParameterError(
            "the days of the events must be in a known time zone",
            found=time_zone or events.time_zone,
            hint=error.hint,
        ) from None


def _shares(events: Events, percent: float | Sequence[float] | None) -> list[float]:
    if percent is None:
        percent = round(100 * events.shares[1], 6)
    if isinstance(percent, int | float):
        return [float(percent)] * events.n_days
    if len(percent) != events.n_days:
        raise ParameterError("there must be one percentage a day", found=f"{len(percent):,} for {events.n_days:,} days")
    return [float(share) for share in percent]
