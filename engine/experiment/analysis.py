"""Read an experiment: gates first, then metrics by user, latency, days, segments, and one verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment import sentences
from engine.experiment.cumulative import by_day, days_until
from engine.experiment.evidence import evidence_of
from engine.experiment.gates import check_gates, split_of
from engine.experiment.judging import adjusted, judge_metric, overall
from engine.experiment.notes import assumptions_of, warnings_of
from engine.experiment.power import days_needed
from engine.experiment.results import Analysis, ArmRow, Peeking, PeekingRow, judged_of
from engine.experiment.segment_changes import segment_results, stratified_by_segment, stratified_by_stage
from engine.experiment.sequential import MAX_LOOKS, peeking_false_positive_rate
from engine.experiment.settings import AnalysisSettings
from engine.experiment.stages import by_stage, detected_stages, stage_days, stage_inflation
from engine.experiment.user_sums import (
    FIRST_METRIC,
    PER_METRIC,
    QUERIES,
    SQUARES,
    USERS,
    UserSums,
    analysed_segments,
    sum_by_user,
)
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.seeds import check_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.experiment.events import Events
    from engine.experiment.results import Daily, LatencyResult, MetricResult, SegmentResult, Stratified
    from engine.experiment.settings import Metric
    from engine.experiment.stages import Floats
    from engine.progress import Cancelled, Progress

ARMS = ("control", "treatment")
_LOOKS = (1, 5, 10, 35)
_TREND_DAYS = 7
_MOST_QUERIES = 10**15  # whole numbers above lose their last digits in float64


def analyze(
    events: Events,
    settings: AnalysisSettings | None = None,
    *,
    seed: int | None = None,
    digest: str | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Analysis:
    """Read `events` under `settings`, the defaults without.

    Users, not queries, are the unit of every interval and verdict; users who saw both arms are left out and counted.
    When a gate fails no metric is computed and the verdict is undecided. `seed` (of simulated events) and `digest` (of
    a log's bytes) are kept with the result. About 50 bytes a user and 16 bytes a query of memory beside the events.

    Raises
    ------
    ParameterError
        When the events hold no query.
    CancelledError
        When `cancelled` says so.
    """
    started = time.perf_counter()
    if not events.n_rows:
        raise ParameterError("an analysis needs at least one query", found="none", hint="Look at what was skipped")
    if seed is not None:
        check_seed(seed)
    chosen = settings or AnalysisSettings()
    segments = analysed_segments(events)
    spans = stage_days(chosen.stages, events.n_days)
    stages = []
    for place, (first, last) in enumerate(spans):

        def report(share: float, message: str, place: int = place) -> None:
            progress(0.6 * (place + share) / len(spans), message)

        stages.append(
            sum_by_user(events, first_day=first, last_day=last, segments=segments, progress=report, cancelled=cancelled)
        )
    case = _Case(
        name=events.experiment_id,
        arms=events.arms,
        shares=events.shares,
        dates=tuple(events.date_of(day) for day in range(events.n_days)),
        stages=stages,
        segments=tuple(events.segments[segment] for segment in segments),
        settings=chosen,
        events=events,
        seed=seed,
        digest=digest,
    )
    result = _read(case, progress=progress, cancelled=cancelled)
    progress(1.0, "analysed")
    return replace(result, elapsed_s=time.perf_counter() - started)


def analyze_counts(
    control: tuple[int, int],
    treatment: tuple[int, int],
    *,
    metric: Metric = "ctr",
    settings: AnalysisSettings | None = None,
    shares: tuple[float, float] | None = None,
) -> Analysis:
    """Read plain totals, (events, queries) of each arm, as if every query came from a user of its own.

    Without the intended `shares` of the arms the split is not checked.

    >>> analyze_counts((1_200, 10_000), (1_150, 10_000)).verdict
    'undecided'

    Raises
    ------
    ParameterError
        When there are more events than queries, a count is negative or beyond 10¹⁵, or `shares` do not sum to 1.
    """
    chosen = replace(settings or AnalysisSettings(), judged=(metric,), stages=())
    if shares is not None and not (min(shares) > 0 and abs(sum(shares) - 1) < 1e-6):
        raise ParameterError("the intended shares of both arms must be above 0 and sum to 1", found=shares)
    case = _Case(
        name="totals",
        arms=ARMS,
        shares=shares,
        dates=(),
        stages=[_totals(metric, control, treatment)],
        segments=(),
        settings=chosen,
        events=None,
        seed=None,
        digest=None,
    )
    return _read(case, progress=ignore_progress, cancelled=never_cancelled)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Case:
    """Everything that is read; `events` is None for plain totals, `dates` empty without days."""

    name: str
    arms: tuple[str, ...]
    shares: tuple[float, ...] | None
    dates: tuple[str, ...]
    stages: Sequence[UserSums]
    segments: tuple[str, ...]
    settings: AnalysisSettings
    events: Events | None
    seed: int | None
    digest: str | None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Findings:
    """What is only read when every gate passed."""

    metrics: tuple[MetricResult, ...] = ()
    latencies: tuple[LatencyResult, ...] = ()
    segments: tuple[SegmentResult, ...] = ()
    stratified: tuple[Stratified, ...] = ()


def _read(case: _Case, *, progress: Progress, cancelled: Cancelled) -> Analysis:
    settings, stages, events = case.settings, case.stages, case.events
    stop_if(cancelled)
    progress(0.6, "checking the split")
    gates = check_gates(stages, arms=case.arms, shares=case.shares, settings=settings, knows_users=events is not None)
    is_readable = all(gate.is_passed for gate in gates)
    inflation = _inflation(case) if is_readable else {}
    users_per_day = settings.users_per_day or (_users_per_day(stages) if case.dates else None)
    progress(0.65, "comparing the arms")
    daily = by_day(stages, dates=case.dates, settings=settings, inflation=inflation, with_metrics=is_readable)
    found = _findings(case, inflation, daily, cancelled=cancelled) if is_readable else _Findings()
    verdict = overall(found.metrics, found.latencies, settings)
    head = sentences.headline(verdict, found.metrics, found.latencies, settings)
    head = head if is_readable else sentences.broken(gates)
    new_users = np.concatenate([stage.new_users for stage in stages])
    seen = sum(stage.n_seen for stage in stages)
    return Analysis(
        experiment_id=case.name,
        verdict=verdict if is_readable else "undecided",
        headline=head,
        sentences=(head, *_details(case, found)),
        gates=gates,
        arms=_arm_rows(case, is_readable=is_readable),
        n_users=seen if events is None else events.n_users,
        n_queries=int(sum(stage.total[:, QUERIES].sum() for stage in stages)) if events is None else events.n_rows,
        n_days=len(case.dates) or 1,
        n_multi_exposed=sum(int(np.count_nonzero(stage.both_arms)) for stage in stages),
        users_per_day=users_per_day,
        metrics=found.metrics,
        latencies=found.latencies,
        daily=daily,
        segments=found.segments,
        stratified=found.stratified,
        detected_stages=()
        if settings.stages or not case.dates
        else detected_stages(new_users, threshold=settings.srm_threshold),
        peeking=_peeking(len(case.dates) or 1, settings),
        settings=settings,
        labels=() if events is None else events.labels,
        assumptions=assumptions_of(events, settings),
        warnings=warnings_of(events, stages, arms=case.arms, settings=settings),
        seed=case.seed,
        events_digest=case.digest,
        elapsed_s=0.0,
    )


def _findings(case: _Case, inflation: Mapping[Metric, Floats], daily: Daily, *, cancelled: Cancelled) -> _Findings:
    settings, stages = case.settings, case.stages
    sums = by_stage(stages)
    metrics = [
        judge_metric(evidence_of(metric, sums, place, inflation[metric]), settings)
        for place, metric in enumerate(stages[0].metrics)
    ]
    stop_if(cancelled)
    latencies = _latencies(case)
    stop_if(cancelled)
    metrics = [replace(one, further_days=_days(one, case, daily)) for one in metrics]
    latencies = tuple(replace(one, further_days=_days(one, case, daily)) for one in latencies)
    final_metrics, final_latencies = adjusted(metrics, latencies, settings)
    return _Findings(
        metrics=tuple(_worded(one, settings) for one in final_metrics),
        latencies=tuple(replace(one, sentence=sentences.latency_sentence(one, settings)) for one in final_latencies),
        segments=segment_results(stages, case.segments, settings=settings, inflation=inflation),
        stratified=(
            *stratified_by_stage(stages, settings=settings, inflation=inflation),
            *stratified_by_segment(stages, case.segments, settings=settings),
        ),
    )


def _latencies(case: _Case) -> tuple[LatencyResult, ...]:
    if case.events is None:
        return ()
    from engine.experiment.latency_changes import latency_results  # here, so that plain totals are read at once

    return latency_results(case.events, case.stages, settings=case.settings)


def _worded(result: MetricResult, settings: AnalysisSettings) -> MetricResult:
    classic = sentences.classic_sentence(
        result.classic,
        confidence=settings.confidence,
        design_effect=result.design_effect,
        is_real=result.is_real if result.is_judged else None,
    )
    return replace(
        result,
        sentence=sentences.metric_sentence(result, settings),
        classic=replace(result.classic, sentence=classic),
    )


def _details(case: _Case, found: _Findings) -> tuple[str, ...]:
    simulated = (sentences.SIMULATED,) if case.events is not None and case.events.is_simulated else ()
    judged = [one.sentence for one in judged_of(found.metrics, found.latencies)]
    reversed_ones = [one.sentence for one in found.stratified if one.is_reversed]
    return (*simulated, *judged, *reversed_ones)


def _inflation(case: _Case) -> dict[Metric, Floats]:
    metrics = case.stages[0].metrics
    if case.events is None:
        return {metric: np.ones(2) for metric in metrics}
    events = case.events
    return {metric: stage_inflation(events, case.stages, metric) for metric in metrics}


def _users_per_day(stages: Sequence[UserSums]) -> float | None:
    new = np.concatenate([stage.new_users for stage in stages]).sum(axis=1)[-_TREND_DAYS:]
    return float(new.mean()) if new.any() else None


def _days(result: MetricResult | LatencyResult, case: _Case, daily: Daily) -> int | None:
    """Return how many more days settle what is undecided: at the traffic that was stated, else at the observed one."""
    if result.further_users is None:
        return None
    if case.settings.users_per_day is not None:
        return days_needed(result.further_users, case.settings.users_per_day, share=1.0)
    if not case.dates:
        return None
    users = sum(int(stage.seen_users.sum()) for stage in case.stages)
    band = next((one for one in daily.metrics if one.key == result.key), None)
    return days_until(result.further_users / max(1, users), band, daily.n_queries.sum(axis=0))


def _peeking(n_days: int, settings: AnalysisSettings) -> Peeking:
    alpha, looks = 1 - settings.confidence, min(n_days, MAX_LOOKS)
    rows = tuple(
        PeekingRow(n_looks=number, false_positive_rate=peeking_false_positive_rate(number, alpha=alpha))
        for number in sorted({*_LOOKS, looks})
    )
    own = next(row for row in rows if row.n_looks == looks)
    return Peeking(
        n_looks=looks,
        false_positive_rate=own.false_positive_rate,
        rows=rows,
        sentence=sentences.peeking_sentence(own, settings.confidence),
    )


def _arm_rows(case: _Case, *, is_readable: bool) -> tuple[ArmRow, ...]:
    totals = by_stage(case.stages).sum(axis=0)
    seen = np.sum([stage.seen_users for stage in case.stages], axis=0)
    split, metrics = split_of(case.stages), case.stages[0].metrics
    planned = case.settings.stages
    rows = []
    for arm, name in enumerate(case.arms):
        events: dict[Metric, int | None] = {
            metric: int(totals[arm, FIRST_METRIC + PER_METRIC * place]) if is_readable else None
            for place, metric in enumerate(metrics)
        }
        rows.append(
            ArmRow(
                name=name,
                share=None if planned or case.shares is None else case.shares[arm],
                observed_share=None if split is None else split[arm],
                n_users=int(seen[arm]),
                n_queries=int(totals[arm, QUERIES]),
                n_clicks=events.get("ctr"),
                n_conversions=events.get("conversion"),
                n_errors=events.get("error_rate"),
                n_no_results=events.get("no_results"),
            )
        )
    return tuple(rows)


def _totals(metric: Metric, control: tuple[int, int], treatment: tuple[int, int]) -> UserSums:
    from engine.experiment.checks import check_counts

    sums = np.zeros((1, 2, FIRST_METRIC + PER_METRIC), np.int64)
    for arm, (name, counts) in enumerate(zip(ARMS, (control, treatment), strict=True)):
        n_events, n_queries = (
            int(check_counts(f"the {what} of {name}", one))
            for what, one in zip(("events", "queries"), counts, strict=True)
        )
        if n_queries > _MOST_QUERIES:
            raise ParameterError(f"{name} may have at most {_MOST_QUERIES:,} queries", found=f"{n_queries:,}")
        if n_events > n_queries:
            raise ParameterError(f"{name} cannot have more events than queries", found=f"{n_events:,} of {n_queries:,}")
        sums[0, arm, [USERS, QUERIES, SQUARES]] = n_queries
        sums[0, arm, FIRST_METRIC:] = n_events
    nobody = np.zeros(0, np.bool_)
    seen = sums[0, :, USERS]
    return UserSums(
        metrics=(metric,),
        first_day=0,
        cumulative=sums,
        daily=sums,
        seen_users=seen,
        both_arms=nobody,
        n_seen=int(seen.sum()),
        heaviest=np.zeros(2, np.int64),
        most_queries=np.minimum(seen, 1),
        segments=np.zeros((0, 2, sums.shape[-1]), np.int64),
    )
