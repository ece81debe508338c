"""Every metric in every segment, and what pooling does where the split is not the same everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import finite
from engine.experiment.evidence import at_least_nothing, estimate_of, evidence_of, read
from engine.experiment.judging import adjust, arm_value, verdict_of
from engine.experiment.proportions import compare_proportions
from engine.experiment.ratios import compare_ratios
from engine.experiment.results import Estimate, SegmentResult, Stratified
from engine.experiment.sentences import stratified_sentence
from engine.experiment.settings import metric_name
from engine.experiment.srm import MIN_EXPECTED, homogeneity
from engine.experiment.stages import MIN_STAGE_DIFFERENCE, averaged, by_stage
from engine.experiment.stratified import common_odds_ratio
from engine.experiment.user_sums import FIRST_METRIC, PER_METRIC, QUERIES, USERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.experiment.settings import AnalysisSettings, Metric
    from engine.experiment.stages import ArmRatios, Floats
    from engine.experiment.user_sums import Counts, UserSums


def segment_results(
    stages: Sequence[UserSums],
    names: Sequence[str],
    *,
    settings: AnalysisSettings,
    inflation: Mapping[Metric, Floats],
) -> tuple[SegmentResult, ...]:
    """Judge every metric in every segment; `names` are those of the sums' segments.

    Many segments are many chances to find harm by luck, so harmful is only what stays so after Holm's correction over
    the segments of the metric.
    """
    return tuple(
        one
        for place, metric in enumerate(stages[0].metrics)
        for one in _one_metric(stages, names, metric, place, settings, inflation[metric])
    )


def _one_metric(
    stages: Sequence[UserSums],
    names: Sequence[str],
    metric: Metric,
    place: int,
    settings: AnalysisSettings,
    inflation: Floats,
) -> list[SegmentResult]:
    results = []
    for row, name in enumerate(names):
        evidence = evidence_of(metric, np.stack([stage.segments[row] for stage in stages]), place, inflation)
        reading = read(evidence, settings)
        results.append(
            SegmentResult(
                segment=name,
                metric=metric,
                control=arm_value(evidence.control, float(evidence.ratios.control.value), reading.control),
                treatment=arm_value(evidence.treatment, float(evidence.ratios.treatment.value), reading.treatment),
                relative=reading.relative,
                harm_p=reading.harm_p,
                harm_holm_p=None,
                verdict=verdict_of(evidence, reading, settings),
            )
        )
    holm = adjust({str(row): one.harm_p for row, one in enumerate(results)})
    return [_corrected(one, holm.get(str(row)), settings) for row, one in enumerate(results)]


def _corrected(result: SegmentResult, holm_p: float | None, settings: AnalysisSettings) -> SegmentResult:
    is_luck = result.verdict == "harmful" and (holm_p is None or holm_p >= (1 - settings.confidence) / 2)
    return replace(result, harm_holm_p=holm_p, verdict="undecided" if is_luck else result.verdict)


def stratified_by_stage(
    stages: Sequence[UserSums], *, settings: AnalysisSettings, inflation: Mapping[Metric, Floats]
) -> tuple[Stratified, ...]:
    """Set the pooled totals of a ramp beside the comparison within its stages; nothing for a constant split."""
    if len(stages) < 2:
        return ()
    names = [f"days {stage.first_day} to {stage.first_day + len(stage.cumulative) - 1}" for stage in stages]
    sums = by_stage(stages)
    return tuple(
        _stratified(metric, "stage", names, sums, place, averaged(sums, place).inflated(inflation[metric]), settings)
        for place, metric in enumerate(stages[0].metrics)
    )


def stratified_by_segment(
    stages: Sequence[UserSums], names: Sequence[str], *, settings: AnalysisSettings
) -> tuple[Stratified, ...]:
    """Compare within segments where the arms share them unevenly; nothing where every segment has the same split."""
    sums = np.sum([stage.segments for stage in stages], axis=0)
    if len(stages) > 1 or not _is_uneven(sums[:, :, USERS], settings.srm_threshold):
        return ()
    return tuple(
        _stratified(metric, "segment", names, sums, place, averaged(sums, place), settings)
        for place, metric in enumerate(stages[0].metrics)
    )


def _is_uneven(users: Counts, threshold: float) -> bool:
    """Whether users (segments, arms) are split differently by segment: by more than chance, and more than a trifle."""
    users = users[users.sum(axis=1) > 0]
    if len(users) < 2 or not users.sum(axis=0).all():
        return False
    shares = users[:, 1] / users.sum(axis=1)
    whole = users[:, 1].sum() / users.sum()
    if np.abs(shares - whole).max() <= MIN_STAGE_DIFFERENCE:
        return False
    found = homogeneity(users)
    return found.p_value < threshold and found.least_expected >= MIN_EXPECTED


def _stratified(
    metric: Metric,
    by: str,
    names: Sequence[str],
    sums: Counts,
    place: int,
    ratios: ArmRatios,
    settings: AnalysisSettings,
) -> Stratified:
    events, queries = sums[..., FIRST_METRIC + PER_METRIC * place], sums[..., QUERIES]
    pooled = _pooled(events.sum(axis=0), queries.sum(axis=0), settings)
    counts = (events[:, 0], queries[:, 0], events[:, 1], queries[:, 1])
    within = compare_ratios(ratios.control, ratios.treatment, confidence=settings.confidence)
    result = Stratified(
        metric=metric,
        by=by,
        strata=tuple(names),
        pooled=pooled,
        stratified=Estimate(
            value=finite(within.relative_change),
            low=finite(at_least_nothing(within.relative_low)),
            high=finite(within.relative_high),
        ),
        odds_ratio=common_odds_ratio(*counts, confidence=settings.confidence),
        is_reversed=False,
        sentence="",
    )
    result = replace(result, is_reversed=_is_reversed(result))
    return replace(result, sentence=stratified_sentence(result, metric_name(metric)))


def _pooled(events: Counts, queries: Counts, settings: AnalysisSettings) -> Estimate:
    if not queries.all():
        return Estimate(value=None, low=None, high=None)
    found = compare_proportions(events[0], queries[0], events[1], queries[1], confidence=settings.confidence)
    return estimate_of(found.relative_change, found.relative)


def _is_reversed(result: Stratified) -> bool:
    """Whether the signs differ by more than chance: the pooled change lies outside the interval within strata."""
    pooled, within = result.pooled.value, result.stratified
    if pooled is None or within.value is None or within.low is None or within.high is None:
        return False
    return pooled * within.value < 0 and not within.low <= pooled <= within.high
