"""Latency percentiles of both arms, clustered by user, and what their change says about the margin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.clustered_percentiles import (
    SHARES,
    clustered_percentiles,
    compare_percentiles,
    one_sided_bound,
    percentile_non_inferiority,
)
from engine.experiment.power import further_users
from engine.experiment.results import Estimate, LatencyResult
from engine.experiment.settings import MIN_USERS
from engine.experiment.user_sums import QUERIES
from engine.experiment.wording import crowd_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.clustered_percentiles import ClusteredPercentile, PercentileNonInferiority
    from engine.experiment.events import Events
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.user_sums import UserSums
    from engine.tradeoff.results import Verdict


def latency_results(
    events: Events, stages: Sequence[UserSums], *, settings: AnalysisSettings
) -> tuple[LatencyResult, ...]:
    """Judge p50, p95 and p99; nothing where the events hold no latency. Sentences are added later.

    Percentiles cannot be averaged over the stages of a ramp, and pooling would compare different days: in a ramp the
    stage where the smaller arm has the most queries is read. Memory: 16 bytes a row of that stage.
    """
    if events.latency_ms is None or not stages:
        return ()
    stage = busiest(stages)
    with ThreadPoolExecutor(len(events.arms)) as pool:
        control, treatment = pool.map(lambda arm: _percentiles(events, stage, arm, settings), range(len(events.arms)))
    return tuple(_judged(*pair, settings) for pair in zip(control, treatment, strict=True))


def busiest(stages: Sequence[UserSums]) -> UserSums:
    """Return the stage where the smaller arm has the most queries."""
    return max(stages, key=lambda stage: int(stage.total[:, QUERIES].min()))


def _percentiles(
    events: Events, stage: UserSums, arm: int, settings: AnalysisSettings
) -> tuple[ClusteredPercentile, ...]:
    from engine.experiment.sum_kernels import take_arm

    starts = events.day_starts()
    rows = slice(int(starts[stage.first_day]), int(starts[stage.first_day + len(stage.cumulative)]))
    room = int(stage.total[arm, QUERIES]) + 1
    users, values = np.empty(room, np.int32), np.empty(room, np.float32)
    latency = np.asarray(events.latency_ms)[rows]
    n = take_arm(events.user[rows], events.arm[rows], latency, arm, stage.both_arms, users, values)
    return clustered_percentiles(
        values[:n], users[:n], n_users=events.n_users, shares=SHARES, confidence=settings.confidence
    )


def _judged(control: ClusteredPercentile, treatment: ClusteredPercentile, settings: AnalysisSettings) -> LatencyResult:
    change = compare_percentiles(control, treatment)
    tested = percentile_non_inferiority(change, margin=settings.latency.relative)
    key = f"p{100 * control.share:g}"
    speedup = None
    if control.value is not None and treatment.value is not None and treatment.value > 0:
        speedup = control.value / treatment.value
    fewest = min(control, treatment, key=lambda arm: arm.n_even_users)
    verdict = _verdict(tested, fewest.n_even_users, settings)
    reason = change.reason or crowd_text(fewest.n_users, fewest.n_even_users)
    return LatencyResult(
        key=key,
        share=control.share,
        control=Estimate(value=control.value, low=control.low, high=control.high),
        treatment=Estimate(value=treatment.value, low=treatment.low, high=treatment.high),
        n_control=control.n,
        n_treatment=treatment.n,
        relative=Estimate(value=change.relative_change, low=change.low, high=change.high),
        speedup=speedup,
        margin=settings.latency,
        bound=one_sided_bound(change, alpha=settings.alpha),
        noninferiority_p=tested.p_value,
        harm_p=tested.p_harmful,
        harm_holm_p=None,
        verdict=verdict,
        is_judged=key in settings.judged,
        reason=reason,
        sentence="",
        further_users=None if reason or verdict != "undecided" else _further(tested, control, treatment, settings),
    )


def _further(
    tested: PercentileNonInferiority,
    control: ClusteredPercentile,
    treatment: ClusteredPercentile,
    settings: AnalysisSettings,
) -> int | None:
    if tested.distance is None or tested.se is None:
        return None
    level = settings.alpha if tested.distance < 0 else (1 - settings.confidence) / 2
    found = further_users(tested.distance, tested.se, control.n_users + treatment.n_users, alpha=level)
    missing = 2 * max(0, MIN_USERS - min(control.n_users, treatment.n_users))
    return None if found is None else max(found, missing)


def _verdict(tested: PercentileNonInferiority, n_users: float, settings: AnalysisSettings) -> Verdict:
    if tested.p_value is None or tested.p_harmful is None or n_users < MIN_USERS:
        return "undecided"
    if tested.p_harmful < (1 - settings.confidence) / 2:
        return "harmful"
    return "safe" if tested.p_value <= settings.alpha else "undecided"
