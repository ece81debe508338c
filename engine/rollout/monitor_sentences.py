"""What a monitor says, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.rollout.thresholds import METRIC_NAMES, METRICS, RISE_IS_BAD

if TYPE_CHECKING:
    from datetime import datetime

    from engine.rollout.decision import Runs
    from engine.rollout.monitor_results import Reading, Status, WindowUsed
    from engine.rollout.thresholds import Metric, Thresholds

COOLING = "It has paused this rollout a short while ago, so it does not pause it again yet."

_NAMES = {metric: name if metric == "p99" else name[:1].upper() + name[1:] for metric, name in METRIC_NAMES.items()}
_WINDOWS = {"stage": "since the stage began", "latest": "in the latest window"}
_REFERENCES = {"control": "control", "baseline": "the stored baseline"}


def percent(share: float) -> str:
    """Return a share as people read it, with three digits: 0.0834 is "8.34 %"."""
    number = 100 * share
    digits = 0 if abs(number) >= 100 else 2 - math.floor(math.log10(abs(number))) if number else 0
    text = f"{number:,.{max(0, min(digits, 6))}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def change_in_words(change: float) -> str:
    """Return a relative change in words: -0.08 is "8 % lower"."""
    if math.isinf(change):
        return "without limit"
    return f"{percent(abs(change))} {'higher' if change >= 0 else 'lower'}"


def value_in_words(metric: Metric, value: float) -> str:
    """Return a value with its unit."""
    return f"{value:,.1f} ms" if metric == "p99" else percent(value)


def measured(metric: Metric, reading: Reading) -> str:
    """Return what a metric was in both arms and by how much it changed, without a full stop."""
    name, where = _NAMES[metric], _WINDOWS[reading.window]
    if reading.value is None or reading.baseline is None:
        return f"{name} {where} has not been counted in both arms"
    against = f"{value_in_words(metric, reading.baseline)} in {_REFERENCES.get(reading.reference, 'no reference')}"
    said = f"{name} {where} is {value_in_words(metric, reading.value)} against {against}"
    if reading.change is None:
        return said
    return f"{said}: {change_in_words(reading.change)} ({_interval(reading)})"


def status_in_words(status: Status) -> str:
    """Return what a status means at the end of a sentence."""
    return {"ok": "within its thresholds", "roll back": "beyond the rollback threshold"}.get(status, status)


def in_one_arm(metric: Metric, *, is_treatment: bool) -> str:
    """Return that only one arm counts a metric."""
    return f"{_NAMES[metric]} is counted in {'the treatment' if is_treatment else 'the reference'} only."


def beyond(metric: Metric, threshold: float, *, rolls_back: bool) -> str:
    """Return which threshold was passed."""
    direction = "+" if RISE_IS_BAD[metric] else "-"
    return f"beyond the {'rollback' if rolls_back else 'alert'} at {direction}{percent(threshold)}"


def not_yet_seen(metric: Metric, to_be_seen: float, detectable: float | None) -> str:
    """Return that a change of `to_be_seen` would not have stood out from none."""
    what = "rise" if RISE_IS_BAD[metric] else "fall"
    said = f"{_NAMES[metric]}: there is too little data to tell a {what} of {percent(to_be_seen)} from none"
    return f"{said}; the smallest that would stand out is {percent(detectable)}." if detectable else f"{said}."


def too_few(window: WindowUsed, thresholds: Thresholds) -> tuple[str, ...]:
    """Return for each arm that has too few users or queries what it has and needs."""
    arms = (
        ("treatment", window.treatment_users, window.treatment_queries),
        (_REFERENCES.get(window.reference, "control"), window.reference_users, window.reference_queries),
    )
    return tuple(
        f"Too few users or queries in {name}: {users:,} users and {queries:,} queries since the stage began; "
        f"at least {thresholds.min_users:,} and {thresholds.min_queries:,} are needed."
        for name, users, queries in arms
        if users < thresholds.min_users or queries < thresholds.min_queries
    )


def missing(arm: str, last: datetime | None, silent_hours: float, after_hours: float) -> str:
    """Return for how long an arm has sent no data."""
    newest = f"the newest ends {last.isoformat(timespec='minutes')}" if last else "none since the stage began"
    return f"No data of the {arm} for {silent_hours:,.1f} hours ({newest}); {after_hours:g} hours are allowed."


def pending(runs: Runs, thresholds: Thresholds) -> tuple[str, ...]:
    """Return which metrics are in breach, but not yet for as many looks in a row as an alert or a rollback takes."""
    alert, rollback = (runs.alert, thresholds.breaches), (runs.rollback, thresholds.rollback_breaches)
    return tuple(
        f"{_NAMES[metric]} breaches in {int(run[at]):,} of the {enough:,} looks in a row that {what} takes."
        for what, (run, enough) in (("an alert", alert), ("a rollback", rollback))
        for at, metric in enumerate(METRICS)
        if 0 < run[at] < enough
    )


def promise(thresholds: Thresholds, n_looks: int) -> str:
    """Return what the intervals allow for, and a warning when there were more looks than they count on."""
    said = (
        f"Intervals allow for {thresholds.looks:,} looks at {len(METRICS)} metrics in two windows: a rollout without "
        f"fault raises no alert at all with {percent(thresholds.confidence)}, and is not rolled back with "
        f"{percent(thresholds.rollback_confidence)}, or better."
    )
    if n_looks <= thresholds.looks:
        return said
    return f"{said} This stage alone has had {n_looks:,} looks, so the promise no longer holds: raise their number."


def _interval(reading: Reading) -> str:
    low = "no limit" if reading.low is None else change_in_words(reading.low)
    high = "no limit" if reading.high is None else change_in_words(reading.high)
    return f"interval {low} to {high}"
