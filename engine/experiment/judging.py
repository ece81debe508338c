"""What the numbers of one metric say about its margin, by user, and by query for those who are used to it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import finite, quantile_of
from engine.experiment.evidence import NOTHING, direction_of, estimate_of, read
from engine.experiment.power import further_users
from engine.experiment.proportions import compare_proportions, non_inferiority_ratio
from engine.experiment.results import ArmValue, ClassicTest, Estimate, MetricResult, judged_of
from engine.experiment.sequential import sequential_half_width
from engine.experiment.settings import MIN_USERS, is_loss_up, metric_name
from engine.experiment.wording import crowd_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.experiment.evidence import ArmCounts, Evidence, Reading
    from engine.experiment.proportions import Bounds
    from engine.experiment.results import LatencyResult
    from engine.experiment.settings import AnalysisSettings
    from engine.tradeoff.results import Verdict

OPTIMISTIC = 1.1
"""From this design effect on the classic read-out is called too optimistic."""


def judge_metric(evidence: Evidence, settings: AnalysisSettings) -> MetricResult:
    """Judge one metric against its margin, which leaves out what depends on other metrics (`adjusted`) and sentences.

    Safe when the one-sided test of non-inferiority passes at ``settings.alpha``; harmful when the two-sided interval of
    the relative change lies beyond the margin; otherwise undecided. "No significant difference" plays no part in it.
    """
    metric = evidence.metric
    reading = read(evidence, settings)
    users = evidence.control.n_users + evidence.treatment.n_users
    margin, design_effect = settings.margin(metric), evidence.design_effect
    verdict = verdict_of(evidence, reading, settings)
    fewest = min(evidence.control, evidence.treatment, key=lambda arm: arm.n_even_users)
    reason = crowd_text(fewest.n_users, fewest.n_even_users)
    return MetricResult(
        key=metric,
        name=metric_name(metric),
        worse="higher" if is_loss_up(metric) else "lower",
        control=arm_value(evidence.control, float(evidence.ratios.control.value), reading.control),
        treatment=arm_value(evidence.treatment, float(evidence.ratios.treatment.value), reading.treatment),
        difference=reading.difference,
        relative=reading.relative,
        margin=margin,
        bound=reading.bound,
        noninferiority_p=reading.safe_p,
        harm_p=reading.harm_p,
        harm_holm_p=None,
        change_p=reading.change_p,
        change_holm_p=None,
        is_real=False,
        anytime=_anytime(reading.relative, reading.relative_se, users, settings),
        anytime_difference=_anytime(reading.difference, reading.difference_se, users, settings),
        design_effect=design_effect,
        is_exact=evidence.is_exact,
        verdict=verdict,
        # Whoever sends too many of the queries does not send fewer because others come.
        further_users=None if reason or verdict != "undecided" else _further(evidence, reading, settings),
        further_days=None,
        is_judged=metric in settings.judged,
        sentence="",
        classic=classic_test(evidence, settings),
        reason=reason,
    )


def verdict_of(evidence: Evidence, reading: Reading, settings: AnalysisSettings) -> Verdict:
    """Return the verdict on one metric looked at alone."""
    if min(evidence.control.n_even_users, evidence.treatment.n_even_users) < MIN_USERS:
        return "undecided"
    if reading.harm_p is not None and reading.harm_p < (1 - settings.confidence) / 2:
        return "harmful"
    if reading.safe_p is not None and reading.safe_p <= settings.alpha:
        return "safe"
    return "undecided"


def adjusted(
    metrics: Sequence[MetricResult], latencies: Sequence[LatencyResult], settings: AnalysisSettings
) -> tuple[tuple[MetricResult, ...], tuple[LatencyResult, ...]]:
    """Return the results with Holm's adjustment over everything that the overall verdict counts."""
    judged = judged_of(metrics, latencies)
    harm = adjust({one.key: one.harm_p for one in judged})
    change = adjust({one.key: one.change_p for one in metrics if one.is_judged})
    return (
        tuple(
            replace(
                one,
                harm_holm_p=harm.get(one.key),
                change_holm_p=change.get(one.key),
                is_real=change.get(one.key, 1.0) < 1 - settings.confidence and _has_enough_users(one),
            )
            for one in metrics
        ),
        tuple(replace(one, harm_holm_p=harm.get(one.key)) for one in latencies),
    )


def overall(metrics: Sequence[MetricResult], latencies: Sequence[LatencyResult], settings: AnalysisSettings) -> Verdict:
    """Return the verdict over everything that is judged; expects `adjusted` results.

    Safe only when each one is safe. That takes no correction for their number: all tests have to pass, and the chance
    that all do while one loss is real is at most the level of that one test (intersection-union test; Berger 1982,
    "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24). Harmful as soon as one is harmful,
    which does take a correction: Holm's.
    """
    judged = judged_of(metrics, latencies)
    level = (1 - settings.confidence) / 2
    if any(one.verdict == "harmful" and one.harm_holm_p is not None and one.harm_holm_p < level for one in judged):
        return "harmful"
    return "safe" if judged and all(one.verdict == "safe" for one in judged) else "undecided"


def classic_test(evidence: Evidence, settings: AnalysisSettings) -> ClassicTest:
    """Return the two-proportion z-test of the plain totals, every query counted as a user of its own."""
    control, treatment = evidence.control, evidence.treatment
    effect = evidence.design_effect
    is_too_optimistic = effect is not None and effect > OPTIMISTIC
    if not (control.n_queries and treatment.n_queries):
        parts = dict.fromkeys(("wald", "newcombe", "score", "ratio"), NOTHING)
        return ClassicTest(
            z=None, p_value=None, **parts, noninferiority_p=None, is_too_optimistic=is_too_optimistic, sentence=""
        )
    counts = (control.n_events, control.n_queries, treatment.n_events, treatment.n_queries)
    found = compare_proportions(*counts, confidence=settings.confidence)
    margin = settings.margin(evidence.metric).relative
    direction = direction_of(evidence.metric)
    tested = non_inferiority_ratio(*counts, margin=margin, direction=direction, alpha=settings.alpha)
    return ClassicTest(
        z=found.z,
        p_value=found.p_value,
        wald=estimate_of(found.difference, found.wald),
        newcombe=estimate_of(found.difference, found.newcombe),
        score=estimate_of(found.difference, found.score),
        ratio=estimate_of(found.relative_change, found.relative),
        noninferiority_p=tested.p_value if control.n_events else None,
        is_too_optimistic=is_too_optimistic,
        sentence="",
    )


def _further(evidence: Evidence, reading: Reading, settings: AnalysisSettings) -> int | None:
    """Return how many more users settle the verdict if estimate and spread stay.

    The easier of the margins that are kept, or the harder of those that are broken; at least `MIN_USERS` in each arm.
    """
    arms = (evidence.control.n_users, evidence.treatment.n_users)
    missing = 2 * max(0, MIN_USERS - min(arms))
    users = sum(arms)
    if not reading.has_events:
        return _further_without_events(reading, users, missing, settings)
    pairs = ((reading.margin_distance, reading.margin_z), (reading.floor_distance, reading.floor_z))
    known = [(distance, distance / z) for distance, z in pairs if distance is not None and z]
    kept = [further_users(distance, se, users, alpha=settings.alpha) for distance, se in known if distance < 0]
    if kept:
        return min((max(number, missing) for number in kept if number is not None), default=None)
    level = (1 - settings.confidence) / 2
    broken = [further_users(distance, se, users, alpha=level) for distance, se in known]
    numbers = [number for number in broken if number is not None]
    return max(*numbers, missing) if numbers and len(numbers) == len(broken) else None


def _has_enough_users(result: MetricResult) -> bool:
    return result.reason is None and min(result.control.n_users, result.treatment.n_users) >= MIN_USERS


def _further_without_events(reading: Reading, users: int, missing: int, settings: AnalysisSettings) -> int | None:
    # Without an event the bound falls as 1 / users (the rule of three), so z grows with the users themselves.
    if reading.floor_z is None or reading.floor_z >= 0:
        return None
    return max(missing, math.ceil(users * (quantile_of(1 - settings.alpha) / -reading.floor_z - 1)))


def _anytime(estimate: Estimate, se: float | None, users: int, settings: AnalysisSettings) -> Estimate:
    if estimate.value is None or se is None or not users:
        return Estimate(value=estimate.value, low=None, high=None)
    width = sequential_half_width(se, users, alpha=1 - settings.confidence, n_star=settings.sequential_n)
    return Estimate(
        value=estimate.value, low=max(-1.0, estimate.value - float(width)), high=estimate.value + float(width)
    )


def arm_value(counts: ArmCounts, value: float, bounds: Bounds) -> ArmValue:
    """Return an arm's value with its bounds and counts."""
    return ArmValue(
        value=finite(value),
        low=bounds.low,
        high=bounds.high,
        n_events=counts.n_events,
        n_queries=counts.n_queries,
        n_users=counts.n_users,
    )


def adjust(p_values: Mapping[str, float | None]) -> dict[str, float]:
    """Return Holm-adjusted p-values by key; keys without one are left out."""
    known = {key: p for key, p in p_values.items() if p is not None}
    if len(known) < 2:
        return known
    from engine.tradeoff.verdicts import holm  # here, as its room compiles kernels that plain totals need not wait for

    return dict(zip(known, holm(np.array(list(known.values()))).tolist(), strict=True))
