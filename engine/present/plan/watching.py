"""What is watched, and what pauses or takes back the rollout: the monitor's own thresholds, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.settings import AnalysisSettings
from engine.experiment.wording import margin_text, milliseconds, percent
from engine.present.plan.results import PlanMetric, Trigger
from engine.present.plan.strategy import matches
from engine.present.plan.wording import judged_text, target_text
from engine.rollout.thresholds import METRIC_NAMES, METRICS, RISE_IS_BAD

if TYPE_CHECKING:
    from engine.present.plan.evidence import PlanEvidence
    from engine.present.plan.inputs import PlanInputs
    from engine.rollout.thresholds import Metric


def plan_metrics(inputs: PlanInputs, evidence: PlanEvidence) -> tuple[PlanMetric, ...]:
    """Return the metrics that decide: of the sweep, of the A/B test and of the rollout."""
    settings = AnalysisSettings()
    allowed_ctr = inputs.ctr * (1 - inputs.used_margin)
    return (
        _recall(inputs, evidence),
        PlanMetric(
            name="CTR",
            now=percent(inputs.ctr),
            expected="no change",
            allowed=f"a loss of {percent(inputs.used_margin)}: {percent(allowed_ctr)} or more",
            where="A/B test, monitor",
        ),
        PlanMetric(
            name="conversion",
            now="to be filled in",
            expected="no change",
            allowed=f"a loss of {margin_text(settings.conversion)}",
            where="A/B test",
        ),
        PlanMetric(
            name="error rate",
            now="to be filled in",
            expected="no change",
            allowed=f"an increase of {margin_text(settings.error_rate)}",
            where="A/B test, monitor",
        ),
        PlanMetric(
            name="p99 latency",
            now=milliseconds(inputs.p99_ms),
            expected=_expected_p99(inputs, evidence),
            allowed=f"an increase of {margin_text(settings.latency)}",
            where="A/B test, monitor",
        ),
    )


def plan_triggers(inputs: PlanInputs) -> tuple[Trigger, ...]:
    """Return what the monitor does at which value, warnings and rollbacks alike."""
    thresholds = inputs.used_thresholds
    found = []
    for metric in METRICS:
        limit = thresholds.limit(metric)
        if limit.alert is not None:
            action = "Pause the rollout and look" if limit.severity == "critical" else "Warn; nothing stops by itself"
            found.append(
                Trigger(
                    metric=METRIC_NAMES[metric],
                    severity=limit.severity,
                    limit=limit.alert,
                    condition=_condition(inputs, metric, limit.alert),
                    action=action,
                )
            )
        if limit.roll_back is not None:
            found.append(
                Trigger(
                    metric=METRIC_NAMES[metric],
                    severity="rollback",
                    limit=limit.roll_back,
                    condition=_condition(inputs, metric, limit.roll_back),
                    action="Roll back to 0 % by itself",
                )
            )
    return tuple(found)


def _condition(inputs: PlanInputs, metric: Metric, limit: float) -> str:
    way = "above" if RISE_IS_BAD[metric] else "below"
    name = (
        METRIC_NAMES[metric][:1].upper() + METRIC_NAMES[metric][1:] if metric == "error_rate" else METRIC_NAMES[metric]
    )
    value = {
        "p99": f", {milliseconds(inputs.p99_ms * (1 + limit))} at today's {milliseconds(inputs.p99_ms)}",
        "ctr": f", {percent(inputs.ctr * (1 - limit))} at today's {percent(inputs.ctr)}",
    }.get(metric, "")
    return f"{name} more than {percent(limit)} {way} the control's{value}, and its interval excludes “no change”"


def _recall(inputs: PlanInputs, evidence: PlanEvidence) -> PlanMetric:
    point = evidence.point(inputs.to_dims) if matches(inputs, evidence) else None
    if point is None or evidence.summary is None:
        return PlanMetric(
            name="recall", now="1 at the full dimension", expected="not measured", allowed="0.95 or more", where="sweep"
        )
    summary = evidence.summary
    is_recall = summary.criterion.quantity == "recall"
    return PlanMetric(
        name="recall" if is_recall else "nDCG",
        now="1 at the full dimension" if is_recall else "100 % at the full dimension",
        expected=judged_text(summary, summary.judged(point)),
        allowed=f"{target_text(summary)} or more",
        where="sweep, validation of the copy",
    )


def _expected_p99(inputs: PlanInputs, evidence: PlanEvidence) -> str:
    faster = evidence.times_faster("prefix", inputs.to_dims) if matches(inputs, evidence) else None
    if faster is None:
        return "not measured"
    return f"less: the scan alone is {faster:.2g} × as fast" if faster > 1 else "no gain: the scan is no faster"
