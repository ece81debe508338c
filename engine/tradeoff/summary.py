"""Read a sweep against a criterion, from its per-query values alone: nothing is scored again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import Resampled, bootstrap_means
from engine.tradeoff.recommendation import recommend
from engine.tradeoff.results import QUANTITIES, Criterion, Point, Recommendation, SweepResult, SweepSummary
from engine.tradeoff.verdicts import further_queries, holm, p_missed, verdict_of

if TYPE_CHECKING:
    from engine.tradeoff.results import Interval

BYTES_PER_COMPONENT = 4
"""Vectors are stored as float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Estimates:
    """Bootstrapped means of every column of a sweep, of which any criterion can be judged.

    `recall`, `ndcg`, `retention` (nDCG over the full dimension's nDCG) and `judged_recall` have shape (K, D); `mrr`,
    `top1_agreement` and `rank_overlap` have (D,). All of them share their resamples.
    """

    result: SweepResult
    n_resamples: int
    recall: Resampled
    top1_agreement: Resampled
    rank_overlap: Resampled
    ndcg: Resampled | None
    retention: Resampled | None
    judged_recall: Resampled | None
    mrr: Resampled | None


def estimate(result: SweepResult, *, n_resamples: int = 10_000, seed: int | None = None) -> Estimates:
    """Bootstrap every column of `result` once; `seed` defaults to the sweep's own.

    Keep the estimates and `judge` them again when only k, the quantity or the target moves.
    """
    seed = result.seed if seed is None else seed
    against_full = (result.recall, result.top1_agreement, result.rank_overlap)
    judged = (result.ndcg, result.judged_recall, result.mrr)
    present = [values for values in judged if values is not None]
    recall, top1, overlap, *rest = bootstrap_means(*against_full, *present, seed=seed, n_resamples=n_resamples)
    columns = iter(rest)
    ndcg, judged_recall, mrr = (None if values is None else next(columns) for values in judged)
    return Estimates(
        result=result,
        n_resamples=n_resamples,
        recall=recall,
        top1_agreement=top1,
        rank_overlap=overlap,
        ndcg=ndcg,
        retention=None if ndcg is None else ndcg.over(ndcg.last()),
        judged_recall=judged_recall,
        mrr=mrr,
    )


def summarize(
    result: SweepResult, criterion: Criterion | None = None, *, n_resamples: int = 10_000, seed: int | None = None
) -> SweepSummary:
    """Return intervals, verdicts and the recommendation of `result` under `criterion` (default: `default_criterion`).

    Raises
    ------
    ParameterError
        When the criterion asks for a k that was not swept, for nDCG without judgements, or a target outside (0, 1].
    """
    criterion = default_criterion(result) if criterion is None else criterion
    check_criterion(result, criterion)
    return judge(estimate(result, n_resamples=n_resamples, seed=seed), criterion)


def judge(estimates: Estimates, criterion: Criterion) -> SweepSummary:
    """Return the summary of the estimated sweep under `criterion`; a few milliseconds.

    Raises
    ------
    ParameterError
        As `summarize` does.
    """
    result = estimates.result
    check_criterion(result, criterion)
    points = _points(estimates, criterion)
    if criterion.quantity == "recall" and result.retrieves_everything(criterion.k):
        return _nothing_to_judge(result, criterion, points)
    return SweepSummary(
        dataset=result.dataset,
        criterion=criterion,
        points=points,
        recommendation=recommend(
            points,
            criterion,
            n_values=int(_judged(estimates, criterion).n_values.max()),
            n_with_relevant=0 if estimates.ndcg is None else int(estimates.ndcg.n_values.max()),
        ),
    )


def _nothing_to_judge(result: SweepResult, criterion: Criterion, points: tuple[Point, ...]) -> SweepSummary:
    """Leave every smaller dim undecided: where the top k is the whole corpus, recall@k is 1 by definition."""
    undecided = tuple(replace(one, verdict="undecided", further_queries=None, holm_p=1.0) for one in points[:-1])
    reason = (
        f"A query's top {criterion.k:,} is every document it can retrieve, so recall@{criterion.k} says nothing about "
        "a dimension. Judge by a smaller k, or sweep a larger corpus."
    )
    return SweepSummary(
        dataset=result.dataset,
        criterion=criterion,
        points=(*undecided, points[-1]),
        recommendation=Recommendation(dim=None, verdict="undecided", reason=reason),
    )


def default_criterion(result: SweepResult) -> Criterion:
    """Return mean recall@10 >= 0.95, or the k nearest to 10 where 10 was not swept."""
    return Criterion(k=min(result.ks, key=lambda k: (abs(k - 10), k)))


def check_criterion(result: SweepResult, criterion: Criterion) -> None:
    """Raise `ParameterError` when `result` cannot be judged by `criterion`."""
    if criterion.quantity not in QUANTITIES:
        raise ParameterError(f"the quantity is one of {', '.join(QUANTITIES)}", found=criterion.quantity)
    if criterion.quantity == "ndcg" and not result.has_judgements:
        raise ParameterError(
            "nDCG needs relevance judgements, and this sweep has none",
            hint="Give qrels with the queries, or judge by recall",
        )
    if criterion.k not in result.ks:
        swept = ", ".join(str(k) for k in result.ks)
        raise ParameterError(
            f"k must be one of those swept: {swept}", found=criterion.k, hint="Sweep again with that k"
        )
    if not 0 < criterion.target <= 1:
        raise ParameterError(
            "the target must be above 0 and at most 1", found=criterion.target, hint="0.95 asks to keep 95 %"
        )


def _judged(estimates: Estimates, criterion: Criterion) -> Resampled:
    if criterion.quantity == "recall" or estimates.retention is None:
        return estimates.recall
    return estimates.retention


def _points(estimates: Estimates, criterion: Criterion) -> tuple[Point, ...]:
    result = estimates.result
    row = result.ks.index(criterion.k)
    judged = _judged(estimates, criterion)
    below_full = range(len(result.dims) - 1)
    p_values = np.array([p_missed(judged.resamples[row, column], criterion.target) for column in below_full])
    # The full dimension equals itself whatever the queries are: there is nothing to test, unless nothing was measured.
    holm_p = [*holm(p_values).tolist(), 1.0 if math.isnan(judged.means[row, -1]) else 0.0]
    return tuple(_point(estimates, criterion, column, holm_p=p) for column, p in enumerate(holm_p))


def _point(estimates: Estimates, criterion: Criterion, column: int, *, holm_p: float) -> Point:
    result = estimates.result
    row = result.ks.index(criterion.k)
    judged = _judged(estimates, criterion)
    interval, n_values = judged.interval(row, column), int(judged.n_values[row, column])
    spread = judged.spread(row, column)
    return Point(
        dim=result.dims[column],
        recall=_by_k(estimates.recall, result.ks, column),
        ndcg=_by_k(estimates.ndcg, result.ks, column),
        retention=_by_k(estimates.retention, result.ks, column),
        judged_recall=_by_k(estimates.judged_recall, result.ks, column),
        mrr=None if estimates.mrr is None else estimates.mrr.interval(column),
        top1_agreement=estimates.top1_agreement.interval(column),
        rank_overlap=estimates.rank_overlap.interval(column),
        bytes_per_vector=result.dims[column] * BYTES_PER_COMPONENT,
        verdict=verdict_of(interval, criterion.target, n_values=n_values),
        further_queries=further_queries(interval, criterion.target, spread=spread, n_values=n_values),
        holm_p=holm_p,
    )


def _by_k(resampled: Resampled | None, ks: tuple[int, ...], column: int) -> dict[int, Interval]:
    if resampled is None:
        return {}
    return {k: resampled.interval(row, column) for row, k in enumerate(ks)}
