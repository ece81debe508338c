"""Judge a rollout by its observations: pure, so that the same observations give the same answer wherever asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.rollout.comparison import compare
from engine.rollout.decision import ACTIONS, PAUSE, Runs, action_of, breaches_of, gates_open
from engine.rollout.monitor_results import Alert, MonitorReport
from engine.rollout.monitor_sentences import COOLING, beyond, measured, missing, pending, promise
from engine.rollout.observations import aware_moment
from engine.rollout.readings import lacking, readings_of, windows_used
from engine.rollout.thresholds import METRICS
from engine.rollout.windows import looks_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.rollout.comparison import Comparison
    from engine.rollout.monitor_results import Reading, Status, WindowUsed
    from engine.rollout.observations import Observation
    from engine.rollout.thresholds import Metric, Thresholds
    from engine.rollout.windows import Looks

_DATA = "data"
_GRAVITY = ("critical", "missing data", "warning", "not enough data")
_LOUDNESS: tuple[Status, ...] = ("not counted", "not enough data", "ok", "warning", "critical", "roll back")


def judge(
    observations: Iterable[Observation],
    *,
    thresholds: Thresholds,
    now: datetime,
    since: datetime,
    earlier: Sequence[Alert] = (),
    expects_data: bool = True,
) -> MonitorReport:
    """Judge the stage that began (or was resumed) at `since`, by everything observed until `now`.

    Each end of a window of the treatment is one look; looks before the newest are judged again from the same
    observations, so asking twice never counts as two breaches in a row. Every look sees two windows, the stage so far
    and its latest day (see `engine.rollout.windows`); either may breach. The action is ``roll_back`` when a rollback
    threshold is passed, ``pause`` on a critical alert or missing data, else ``none``: a warning is for people.

    `earlier` are alerts that have paused this rollout before: within the cool-down after it, an alert of the same
    metric stands but does not pause again. Without `expects_data` (a rollout that is not running) nothing is missing.

    Raises
    ------
    ParameterError
        When `now` or `since` has no time zone.
    """
    for moment, what in ((now, "now"), (since, "the moment since when to judge")):
        if moment.utcoffset() is None:
            raise ParameterError(f"{what} must have a time zone", found=moment.isoformat())
    observed = tuple(observations)
    looks = looks_at(observed, thresholds=thresholds, since=since, now=now)
    cooling = {name for name in (*METRICS, _DATA) if _is_cooling(name, thresholds, earlier, now)}
    lost = _missing(observed, thresholds, since=since, now=now, cooling=cooling) if expects_data else ()
    if len(looks):
        found = _judge_looks(looks, thresholds, now=now, cooling=cooling)
    else:
        lack = f"No window of this stage has been observed yet; it began at {since.isoformat(timespec='minutes')}."
        found = _Found(alerts=(_not_enough(_DATA, lack, now),))
    alerts = sorted((*found.alerts, *lost), key=lambda alert: (not alert.rolls_back, _GRAVITY.index(alert.severity)))
    gates = tuple(alert.sentence for alert in alerts if alert.severity in {"missing data", "not enough data"})
    pauses = thresholds.pauses_when_missing and any(not alert.is_cooling for alert in lost)
    action = ACTIONS[max(found.action, PAUSE if pauses else 0)]
    said = (*(alert.sentence for alert in alerts), *found.waiting, *found.fine(), *looks.notes)
    return MonitorReport(
        judged_at=now.isoformat(),
        since=since.isoformat(),
        action=action,
        is_enough_data=not gates,
        alerts=tuple(alerts),
        gates=gates,
        readings=found.readings,
        windows=found.windows,
        n_looks=len(looks),
        notes=looks.notes,
        sentences=(*said, promise(thresholds, len(looks))),
    )


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What the newest look shows; `action` is a place in `ACTIONS`, `waiting` speaks of breaches not yet alerts."""

    alerts: tuple[Alert, ...]
    action: int = 0
    readings: tuple[Reading, ...] = ()
    windows: tuple[WindowUsed, ...] = ()
    waiting: tuple[str, ...] = ()

    def fine(self) -> tuple[str, ...]:
        """Return the sentences of what was judged and raised no alert."""
        alerted = {alert.metric for alert in self.alerts if alert.severity != "not enough data"}
        return tuple(one.sentence for one in self.readings if one.metric not in alerted and one.window == "stage")


def _judge_looks(looks: Looks, thresholds: Thresholds, *, now: datetime, cooling: set[str]) -> _Found:
    comparison = compare(looks.reference, looks.treatment, thresholds, is_stored=looks.is_stored)
    windows, readings = windows_used(looks), readings_of(comparison, looks, thresholds)
    runs = _runs(comparison, len(looks))
    stand, due = runs.raised(thresholds)
    raised = [
        _alert(metric, [one for one in readings if one.metric == metric], runs, thresholds, now=now, cooling=cooling)
        for metric, stands, is_due in zip(METRICS, stand, due, strict=True)
        if stands or is_due
    ]
    lacks: list[Alert] = []
    if not gates_open(comparison, thresholds)[-1]:
        lacks = [_not_enough(name or _DATA, said, now) for name, said in lacking(comparison, windows[0], thresholds)]
    is_cooling = np.array([metric in cooling for metric in METRICS])
    return _Found(
        alerts=(*raised, *lacks),
        action=int(action_of(stand, due, thresholds, is_cooling=is_cooling)),
        readings=readings,
        windows=windows,
        waiting=pending(runs, thresholds),
    )


def _runs(comparison: Comparison, n_looks: int) -> Runs:
    """Return how many looks in a row, up to the newest, each metric has been in breach: arrays (3,)."""
    alert, rollback = breaches_of(comparison)
    runs = Runs.none(())
    for look in range(n_looks):
        runs = runs.after(alert[:, look], rollback[:, look])
    return runs


def _alert(
    metric: Metric,
    readings: Sequence[Reading],
    runs: Runs,
    thresholds: Thresholds,
    *,
    now: datetime,
    cooling: set[str],
) -> Alert:
    """Build the alert of one metric from the reading that speaks loudest: a rollback, then the latest window."""
    at, limit = METRICS.index(metric), thresholds.limit(metric)
    rolls_back = bool(runs.rollback[at] >= thresholds.rollback_breaches)
    loudest = max(readings, key=lambda one: (_LOUDNESS.index(one.status), one.window == "latest"))
    threshold = limit.roll_back if rolls_back else limit.alert
    is_cooling = metric in cooling and not rolls_back and limit.severity == "critical"
    sentence = f"{measured(metric, loudest)}, {beyond(metric, threshold or 0.0, rolls_back=rolls_back)}."
    return Alert(
        metric=metric,
        severity="critical" if rolls_back else limit.severity,
        raised_at=now.isoformat(),
        sentence=f"{sentence} {COOLING}" if is_cooling else sentence,
        rolls_back=rolls_back,
        window=loudest.window,
        reference=loudest.reference,
        value=loudest.value,
        baseline=loudest.baseline,
        change=loudest.change,
        low=loudest.low,
        high=loudest.high,
        threshold=threshold,
        consecutive=int((runs.rollback if rolls_back else runs.alert)[at]),
        is_cooling=is_cooling,
    )


def _not_enough(metric: str, sentence: str, now: datetime) -> Alert:
    return Alert(metric=metric, severity="not enough data", raised_at=now.isoformat(), sentence=sentence)


def _missing(
    observations: Sequence[Observation], thresholds: Thresholds, *, since: datetime, now: datetime, cooling: set[str]
) -> tuple[Alert, ...]:
    """Return an alert for each arm that has sent nothing for too long; a window without queries is nothing.

    The control counts only where one was seen since the stage began, or nothing else is there to compare with.
    """
    newest: dict[str, datetime] = {}
    for one in observations:
        if since < one.ended_at <= now and one.n_queries:
            newest[one.arm] = max(one.ended_at, newest.get(one.arm, one.ended_at))
    arms = ["treatment", "control"] if "control" in newest else ["treatment"]
    alerts = []
    for arm in arms:
        silent = now - newest.get(arm, since)
        if silent <= timedelta(hours=thresholds.missing_after_hours):
            continue
        said = missing(arm, newest.get(arm), silent / timedelta(hours=1), thresholds.missing_after_hours)
        alerts.append(
            Alert(
                metric=_DATA,
                severity="missing data",
                raised_at=now.isoformat(),
                sentence=f"{said} {COOLING}" if _DATA in cooling else said,
                is_cooling=_DATA in cooling,
            )
        )
    return tuple(alerts)


def _is_cooling(metric: str, thresholds: Thresholds, earlier: Sequence[Alert], now: datetime) -> bool:
    cool_down = timedelta(hours=thresholds.cool_down_hours)
    return any(
        alert.metric == metric and now - aware_moment(alert.raised_at, "the moment of an alert") < cool_down
        for alert in earlier
    )
