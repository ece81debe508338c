"""Prometheus queries of the monitor's metrics for the exports: canary against stable, with placeholders for names.

Every query gives one number: treatment / control. Rates are counted over the monitor's latest window. Nobody's metric
names are known here, so they are placeholders to be replaced; each begins with REPLACE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.rollout.thresholds import METRIC_NAMES, METRICS, RISE_IS_BAD

if TYPE_CHECKING:
    from engine.rollout.thresholds import Metric, Thresholds

PLACEHOLDERS = (
    "Metric and label names that begin with REPLACE are placeholders: put your own in their place.",
    'REPLACE_track="canary" selects the treatment, REPLACE_track="stable" the control.',
)
REQUESTS_NOT_USERS = (
    "Weights split requests, not users: a user may see both sides. Where users must stay on one side, ramp the flag.",
)
POINTS_ONLY = (
    "These conditions compare point estimates of one window, without an interval: on little traffic they fire by",
    "chance. Dimshift's own monitor judges on intervals; keep it as the one that decides, and these as a safety net.",
)


@dataclass(frozen=True, kw_only=True)
class MetricCheck:
    """One metric for a controller: its `name`, a `query` that gives treatment / control, and the ratios to hold it to.

    Beyond `alert` people should look, beyond `roll_back` the rollout must stop; None where a threshold is off. The
    ratio is bad above them where `rise_is_bad`, below them otherwise. `pauses` tells whether the alert is critical.
    """

    metric: Metric
    name: str
    query: str
    alert: float | None
    roll_back: float | None
    rise_is_bad: bool
    pauses: bool


def metric_checks(thresholds: Thresholds, *, window: str) -> tuple[MetricCheck, ...]:
    """Return a check for every metric that has a threshold; `window` is a Prometheus duration such as 24h."""
    found = []
    for metric in METRICS:
        limit = thresholds.limit(metric)
        if limit.to_be_seen is None:
            continue
        direction = 1 if RISE_IS_BAD[metric] else -1
        found.append(
            MetricCheck(
                metric=metric,
                name=METRIC_NAMES[metric].lower().replace(" ", "-"),
                query=_query(metric, window, thresholds),
                alert=_ratio(limit.alert, direction),
                roll_back=_ratio(limit.roll_back, direction),
                rise_is_bad=RISE_IS_BAD[metric],
                pauses=limit.severity == "critical",
            )
        )
    return tuple(found)


def _ratio(threshold: float | None, direction: int) -> float | None:
    return None if threshold is None else round(1 + direction * threshold, 9)


def _query(metric: Metric, window: str, thresholds: Thresholds) -> str:
    if metric == "p99":
        return f"{_p99('canary', window)}\n/\n{_p99('stable', window)}"
    if metric == "ctr":
        return f"{_rate('clicks', 'canary', window)}\n/\n{_rate('clicks', 'stable', window)}"
    # A stable arm without any error must not divide by zero, and a handful of errors is no rate yet.
    several = f"({_total('errors', 'canary', window)} >= bool {thresholds.min_errors})"
    floor = f"clamp_min({_rate('errors', 'stable', window)}, 0.000001)"
    return f"{several}\n* {_rate('errors', 'canary', window)}\n/ {floor}"


def _p99(track: str, window: str) -> str:
    buckets = f'REPLACE_latency_seconds_bucket{{REPLACE_track="{track}"}}[{window}]'
    return f"histogram_quantile(0.99, sum by (le) (rate({buckets})))"


def _rate(what: str, track: str, window: str) -> str:
    return f"({_total(what, track, window)} / {_total('queries', track, window)})"


def _total(what: str, track: str, window: str) -> str:
    return f'sum(increase(REPLACE_{what}_total{{REPLACE_track="{track}"}}[{window}]))'
