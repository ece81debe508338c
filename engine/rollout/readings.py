"""Readings of every metric at the newest look, and what is still lacking before they may be called enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import finite
from engine.rollout.decision import is_watched
from engine.rollout.monitor_results import Reading, WindowUsed
from engine.rollout.monitor_sentences import in_one_arm, measured, not_yet_seen, status_in_words, too_few
from engine.rollout.thresholds import METRICS, RISE_IS_BAD
from engine.rollout.windows import LATEST, STAGE

if TYPE_CHECKING:
    from engine.rollout.comparison import Comparison, MetricComparison
    from engine.rollout.monitor_results import Reference, Status, WindowName
    from engine.rollout.thresholds import Metric, Thresholds
    from engine.rollout.windows import Looks

WINDOWS: tuple[WindowName, ...] = ("stage", "latest")


def windows_used(looks: Looks, look: int = -1) -> tuple[WindowUsed, ...]:
    """Return the windows of one look: the stage so far, and the latest one where it is shorter."""
    rows = (STAGE,) if looks.starts[STAGE][look] == looks.starts[LATEST][look] else (STAGE, LATEST)
    return tuple(
        WindowUsed(
            name=WINDOWS[row],
            start=looks.starts[row][look].isoformat(),
            end=looks.ends[look].isoformat(),
            percent=looks.percent,
            reference=_reference(looks, row, look),
            treatment_users=int(looks.treatment.n_users[row, look]),
            treatment_queries=int(looks.treatment.n_queries[row, look]),
            reference_users=int(looks.reference.n_users[row, look]),
            reference_queries=int(looks.reference.n_queries[row, look]),
        )
        for row in rows
    )


def readings_of(comparison: Comparison, looks: Looks, thresholds: Thresholds, look: int = -1) -> tuple[Reading, ...]:
    """Return one reading for each metric that has a threshold and each window of one look."""
    return tuple(
        _reading(metric, window, comparison, thresholds, look)
        for metric in METRICS
        if is_watched(metric, thresholds)
        for window in windows_used(looks, look)
    )


def lacking(
    comparison: Comparison, window: WindowUsed, thresholds: Thresholds, look: int = -1
) -> tuple[tuple[Metric | None, str], ...]:
    """Return what keeps the gates shut at one look, each with the metric it is about; nothing when they are open.

    `window` is the stage so far.
    """
    found: list[tuple[Metric | None, str]] = []
    if window.reference == "none":
        found.append((None, "There is neither a control nor a stored baseline to compare the treatment with."))
    else:
        found += [(None, sentence) for sentence in too_few(window, thresholds)]
    watched = [metric for metric in METRICS if is_watched(metric, thresholds)]
    n_counted = 0
    for metric in watched:
        one, limit = comparison.of(metric), thresholds.limit(metric)
        values = np.isnan([one.value[STAGE, look], one.baseline[STAGE, look]])
        n_counted += not values.any()
        if values.all() or window.reference == "none":
            continue
        if values.any():
            found.append((metric, in_one_arm(metric, is_treatment=not values[0])))
        elif limit.is_gate and limit.to_be_seen is not None and not one.detectable[STAGE, look] <= limit.to_be_seen:
            found.append((metric, not_yet_seen(metric, limit.to_be_seen, finite(one.detectable[STAGE, look]))))
    if watched and not n_counted and not found:
        found.append((None, "No metric is counted in both arms, so nothing can be judged."))
    return tuple(found)


def _reference(looks: Looks, row: int, look: int) -> Reference:
    if looks.is_stored[row, look]:
        return "baseline"
    return "control" if looks.reference.n_queries[row, look] > 0 else "none"


def _reading(metric: Metric, window: WindowUsed, comparison: Comparison, thresholds: Thresholds, look: int) -> Reading:
    row, limit, one = WINDOWS.index(window.name), thresholds.limit(metric), comparison.of(metric)
    at = row, look
    enough = bool(comparison.is_enough(metric, limit)[at])
    worse = 1 if RISE_IS_BAD[metric] else -1
    baseline, low, high = finite(one.baseline[at]), finite(one.low[at]), finite(one.high[at])
    reading = Reading(
        metric=metric,
        window=window.name,
        reference=window.reference,
        status=_status(one, metric, thresholds, at, is_enough=enough),
        value=finite(one.value[at]),
        baseline=baseline,
        change=finite(one.change[at]),
        low=low,
        high=high,
        value_low=_scaled(baseline, low),
        value_high=_scaled(baseline, high),
        alert_at=_scaled(baseline, None if limit.alert is None else worse * limit.alert),
        roll_back_at=_scaled(baseline, None if limit.roll_back is None else worse * limit.roll_back),
        detectable=finite(one.detectable[at]),
        sentence="",
    )
    sentence = f"{measured(metric, reading)}: {status_in_words(reading.status)}."
    return Reading(**{**vars(reading), "sentence": sentence})


def _status(
    one: MetricComparison, metric: Metric, thresholds: Thresholds, at: tuple[int, int], *, is_enough: bool
) -> Status:
    if one.breaches_rollback[at]:
        return "roll back"
    if one.breaches_alert[at]:
        return thresholds.limit(metric).severity
    if np.isnan(one.value[at]) and np.isnan(one.baseline[at]):
        return "not counted"
    return "ok" if is_enough else "not enough data"


def _scaled(baseline: float | None, change: float | None) -> float | None:
    return None if baseline is None or change is None else baseline * (1 + change)
