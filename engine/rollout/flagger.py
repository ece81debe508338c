"""Write a rollout for Flagger: a Canary with step weights, and a MetricTemplate for each metric.

Checked against Flagger's custom resource definitions (flagger.app/v1beta1): `interval` is whole minutes or seconds, so
a day is 1440m; `stepWeights` are whole percents; Flagger raises the weight at every interval and has no pause, so a
gate (the webhook `confirm-traffic-increase`) holds each stage until its day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.rollout.manifests import check_label, documents, whole_percents
from engine.rollout.prometheus_queries import PLACEHOLDERS, POINTS_ONLY, REQUESTS_NOT_USERS, MetricCheck, metric_checks

if TYPE_CHECKING:
    from engine.rollout.manifests import Manifest
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds

_API = "flagger.app/v1beta1"
_PROMETHEUS = "http://REPLACE-prometheus.example.com:9090"
_GATE = "http://REPLACE-gate.example.com/gate/check"
_INTERVAL = "60m"
_LONGEST_SUFFIX = len("-p99-latency")


def flagger_manifests(
    schedule: Schedule, thresholds: Thresholds, *, name: str, namespace: str = "default", port: int = 80
) -> str:
    """Return YAML of a Canary of the Deployment `name` and its MetricTemplates.

    Flagger holds a metric to one range and rolls back after `threshold` failed checks. So the rollback thresholds are
    the ranges, or the alert of a metric that has no other; what only pauses or warns stays with Dimshift's own monitor.

    Raises
    ------
    ParameterError
        When a name is no DNS label, a share is not a whole percent, or the port is out of range.
    """
    check_label(name, "the name of the deployment", longest=63 - _LONGEST_SUFFIX)
    check_label(namespace, "the namespace")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise ParameterError("a port is a whole number from 1 to 65,535", found=repr(port))
    shares = whole_percents(schedule, "Flagger")
    minutes = f"{max(1, round(60 * thresholds.latest_hours))}m"
    checks = metric_checks(thresholds, window=minutes)
    analysis: dict[str, Manifest] = {
        "interval": _INTERVAL,
        "threshold": thresholds.rollback_breaches,
        "stepWeights": list(shares),
        "metrics": [_metric(check, name, namespace, minutes) for check in checks],
        "webhooks": [{"name": "wait-for-the-day", "type": "confirm-traffic-increase", "url": _GATE}],
    }
    canary: dict[str, Manifest] = {
        "apiVersion": _API,
        "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": port},
            "analysis": analysis,
        },
    }
    templates = [_template(check, name, namespace) for check in checks]
    return documents([canary, *templates], comments=_comments(schedule, shares))


def _metric(check: MetricCheck, name: str, namespace: str, minutes: str) -> dict[str, Manifest]:
    limit = check.roll_back if check.roll_back is not None else check.alert
    return {
        "name": check.name,
        "templateRef": {"name": f"{name}-{check.name}", "namespace": namespace},
        "interval": minutes,
        "thresholdRange": {"max" if check.rise_is_bad else "min": limit if limit is not None else 1.0},
    }


def _template(check: MetricCheck, name: str, namespace: str) -> dict[str, Manifest]:
    return {
        "apiVersion": _API,
        "kind": "MetricTemplate",
        "metadata": {"name": f"{name}-{check.name}", "namespace": namespace},
        "spec": {"provider": {"type": "prometheus", "address": _PROMETHEUS}, "query": check.query},
    }


def _comments(schedule: Schedule, shares: tuple[int, ...]) -> list[str]:
    days = ", ".join(f"{share} % on day {stage.day:g}" for share, stage in zip(shares, schedule.stages, strict=True))
    said = [
        f"Step weights of the schedule {schedule}.",
        f"Flagger checks every {_INTERVAL} and would raise the weight each time; the gate must answer 200 only when",
        f"the next stage is due: {days}.",
        *REQUESTS_NOT_USERS,
        *PLACEHOLDERS,
        *POINTS_ONLY,
    ]
    if shares[-1] < 100:
        said.append(
            "Flagger promotes after the last weight and keeps no holdback: leave the gate shut at "
            f"{shares[-1]} % for as long as it shall last."
        )
    return said
