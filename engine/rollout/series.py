"""What the monitor read at every look of a rollout, stage by stage: the lines of its charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.rollout.comparison import compare
from engine.rollout.readings import readings_of
from engine.rollout.windows import looks_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.rollout.history import HistoryEntry
    from engine.rollout.monitor_results import Reading
    from engine.rollout.observations import Observation
    from engine.rollout.thresholds import Thresholds

_BEGINS = frozenset({"start", "advance", "resume"})


@dataclass(frozen=True, kw_only=True)
class LookPoint:
    """One look at the end of a window, `at`, in stage `stage_index` at `percent` of the users.

    `readings` are those of `MonitorReport`: each metric since the stage began (or was resumed) and in its latest day,
    with baseline, interval and thresholds on the scale of its value.
    """

    at: datetime
    stage_index: int
    percent: float
    readings: tuple[Reading, ...]


def look_series(
    entries: Sequence[HistoryEntry], observed: Sequence[Observation], *, now: datetime
) -> tuple[LookPoint, ...]:
    """Return every look of a rollout in order of time; `entries` are its history.

    A stretch begins when a stage is entered or a paused rollout resumes, and lasts to the next such moment: within it
    the share of the users was the same, so that its windows may be pooled. It is judged by the thresholds of its time.
    """
    begins = [entry for entry in entries if entry.action in _BEGINS]
    ends = [*(entry.at for entry in begins[1:]), now]
    return tuple(
        point
        for entry, end in zip(begins, ends, strict=True)
        for point in _stretch(entry, observed, entry.rollout.thresholds, until=end)
    )


def _stretch(
    entry: HistoryEntry, observed: Sequence[Observation], thresholds: Thresholds, *, until: datetime
) -> tuple[LookPoint, ...]:
    looks = looks_at(observed, thresholds=thresholds, since=entry.at, now=until)
    if not len(looks):
        return ()
    comparison = compare(looks.reference, looks.treatment, thresholds, is_stored=looks.is_stored)
    return tuple(
        LookPoint(
            at=looks.ends[look],
            stage_index=entry.stage_index or 0,
            percent=looks.percent,
            readings=readings_of(comparison, looks, thresholds, look),
        )
        for look in range(len(looks))
    )
