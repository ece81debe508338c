"""Write a rollout for Argo Rollouts: a Rollout with canary steps and an AnalysisTemplate with its thresholds.

Checked against the Rollout specification and the analysis pages of Argo Rollouts (argoproj.io/v1alpha1): steps
`setWeight` (whole percents) and `pause` whose duration has the units s, m and h only; an analysis whose measurement
meets neither condition is inconclusive and pauses the rollout; metrics in `dryRun` are measured without effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.rollout.manifests import check_label, documents, whole_percents
from engine.rollout.prometheus_queries import PLACEHOLDERS, POINTS_ONLY, REQUESTS_NOT_USERS, MetricCheck, metric_checks

if TYPE_CHECKING:
    from engine.rollout.manifests import Manifest
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds

_API = "argoproj.io/v1alpha1"
_PROMETHEUS = "http://REPLACE-prometheus.example.com:9090"
_LONGEST_SUFFIX = len("-analysis")


def argo_manifests(schedule: Schedule, thresholds: Thresholds, *, name: str, namespace: str = "default") -> str:
    """Return YAML of a Rollout called `name` and its AnalysisTemplate.

    The workload is the Deployment `name`, its services `name`-canary and `name`-stable. Between a critical alert and
    the rollback threshold the analysis is inconclusive, so that Argo pauses; beyond the latter it fails, so that Argo
    aborts; alerts that only warn are measured as dry runs. After its last step Argo gives everybody the canary, so a
    holdback ends in a pause without end.

    Raises
    ------
    ParameterError
        When a name is no DNS label, or a share is not a whole percent.
    """
    check_label(name, "the name of the rollout", longest=63 - _LONGEST_SUFFIX)
    check_label(namespace, "the namespace")
    shares = whole_percents(schedule, "Argo Rollouts")
    hours = f"{max(1, round(thresholds.latest_hours))}h"
    checks = metric_checks(thresholds, window=hours)
    meta: dict[str, Manifest] = {"namespace": namespace}
    rollout: dict[str, Manifest] = {
        "apiVersion": _API,
        "kind": "Rollout",
        "metadata": {"name": name, **meta},
        "spec": {
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "strategy": {
                "canary": {
                    "canaryService": f"{name}-canary",
                    "stableService": f"{name}-stable",
                    "analysis": {"templates": [{"templateName": f"{name}-analysis"}]},
                    "steps": _steps(schedule, shares),
                }
            },
        },
    }
    template: dict[str, Manifest] = {
        "apiVersion": _API,
        "kind": "AnalysisTemplate",
        "metadata": {"name": f"{name}-analysis", **meta},
        "spec": _analysis(checks, thresholds, hours),
    }
    return documents([rollout, template], comments=_comments(schedule))


def _steps(schedule: Schedule, shares: tuple[int, ...]) -> list[Manifest]:
    steps: list[Manifest] = []
    for at, share in enumerate(shares):
        steps.append({"setWeight": share})
        hours = round(24 * schedule.length_days(at))
        if hours:
            steps.append({"pause": {"duration": f"{hours}h"}})
    if shares[-1] < 100:
        steps.append({"pause": {}})
    return steps


def _analysis(checks: tuple[MetricCheck, ...], thresholds: Thresholds, hours: str) -> dict[str, Manifest]:
    metrics: list[Manifest] = []
    dry: list[Manifest] = []
    for check in checks:
        if check.roll_back is not None or check.pauses:
            metrics.append(_metric(check, thresholds, hours))
        if check.alert is not None and not check.pauses:
            name = f"{check.name}-warning"
            metrics.append(
                {
                    "name": name,
                    "initialDelay": hours,
                    "interval": hours,
                    "successCondition": _condition(check, check.alert, is_bad=False),
                    "provider": _provider(check),
                }
            )
            dry.append({"metricName": name})
    return {"metrics": metrics, "dryRun": dry} if dry else {"metrics": metrics}


def _metric(check: MetricCheck, thresholds: Thresholds, hours: str) -> dict[str, Manifest]:
    """Return a metric that fails beyond the rollback threshold and succeeds within the alert, if that pauses."""
    metric: dict[str, Manifest] = {"name": check.name, "initialDelay": hours, "interval": hours}
    fine = check.alert if check.pauses and check.alert is not None else check.roll_back
    if fine is not None:
        metric["successCondition"] = _condition(check, fine, is_bad=False)
    # Without a rollback threshold nothing fails: outside the alert a measurement is inconclusive, which pauses.
    metric["failureCondition"] = "false" if check.roll_back is None else _condition(check, check.roll_back, is_bad=True)
    metric["failureLimit"] = thresholds.rollback_breaches - 1
    metric["inconclusiveLimit"] = thresholds.breaches - 1
    metric["provider"] = _provider(check)
    return metric


def _condition(check: MetricCheck, ratio: float, *, is_bad: bool) -> str:
    """Return an expression over the query's result; an empty or undefined one is neither good nor bad."""
    above = check.rise_is_bad == is_bad
    operator = (">" if above else "<") if is_bad else (">=" if above else "<=")
    return f"len(result) > 0 && !isNaN(result[0]) && result[0] {operator} {ratio:.9g}"


def _provider(check: MetricCheck) -> dict[str, Manifest]:
    return {"prometheus": {"address": _PROMETHEUS, "query": check.query}}


def _comments(schedule: Schedule) -> list[str]:
    said = [
        f"Canary steps of the schedule {schedule}.",
        "Durations are in hours: Argo Rollouts knows s, m and h, and no days.",
        *REQUESTS_NOT_USERS,
        "Set spec.replicas to that of your Deployment: without it Argo Rollouts runs one pod.",
        "The steps begin with the next change of the pod template; a Rollout that is new goes to 100 % at once.",
        "Without trafficRouting, which only you can fill in, Argo approaches weights by numbers of pods.",
        *PLACEHOLDERS,
        *POINTS_ONLY,
    ]
    if schedule.holdback_percent:
        said.append(
            f"The last pause has no end: it keeps the holdback of {schedule.holdback_percent:g} %, as Argo would "
            "otherwise give everybody the canary. Promote by hand to end it."
        )
    return said
