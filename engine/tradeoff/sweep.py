"""Measure what every dimension keeps, in one pass over the full vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.embeddings import METRICS
from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import NestedTopK, nested_topk
from engine.scoring.ranking import (
    Relevance,
    judged_recall_at,
    ndcg_at,
    overlap_with_full,
    recall_at,
    reciprocal_rank,
    top1_agreement,
)
from engine.seeds import check_seed
from engine.tradeoff.dims import check_dims, check_ks, default_dims
from engine.tradeoff.results import DatasetInfo, SweepResult
from engine.tradeoff.verdicts import MIN_QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress

# A retrieved document costs 16 bytes in the result and, while it is sought, as many for each of 2k candidates: 3 GB.
_MOST_RETRIEVED = 60_000_000
_SHARE_OF_SCORING = 0.95


class Rank(Protocol):
    """Who ranks the corpus for the queries at every dimension: `nested_topk`, or what gives the same answer."""

    def __call__(
        self,
        corpus: Vectors,
        queries: Vectors,
        dims: Sequence[int],
        k: int,
        *,
        metric: Metric,
        recipe: Recipe,
        exclude: npt.NDArray[np.int64] | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> NestedTopK:
        """Return the exact top k of every query at every one of `dims`."""
        ...


def sweep(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    ks: Sequence[int] = (1, 10, 100),
    *,
    metric: Metric | None = None,
    n_queries: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
    rank: Rank = nested_topk,
) -> SweepResult:
    """Rank the corpus for every query at every dimension of `dims` and compare with the full dimension and the qrels.

    The full dimension is added to `dims` where it is missing; without `dims`, `default_dims` are swept. `metric`
    overrides the set's own. `n_queries` sweeps a seeded sample of the queries. The result keeps the per-query values:
    read it with `summarize`, as often as k or the target moves. `rank` is who ranks, with the arguments of
    `nested_topk`: this process, or the workers of a cluster.

    Raises
    ------
    ParameterError
        When the set has no queries, or dims, ks, metric, `n_queries` or seed are out of range.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    plan = _plan(embedding_set, dims, ks, metric=metric, n_queries=n_queries, seed=seed)
    chosen = plan.chosen
    nested = rank(
        chosen.corpus,
        plan.queries,
        plan.dims,
        min(plan.ks[-1], chosen.n_docs),
        metric=plan.metric,
        recipe=chosen.recipe,
        exclude=chosen.query_corpus_rows,
        progress=lambda share, message: progress(_SHARE_OF_SCORING * share, message),
        cancelled=cancelled,
    )
    stop_if(cancelled)
    progress(_SHARE_OF_SCORING, "Comparing the rankings")
    if plan.metric == "l2":  # a zero query has distances like any other
        nested = replace(nested, zero_queries=np.zeros_like(nested.zero_queries))
    result = _measure(plan, nested, relevance=_relevance(chosen, nested), seed=seed)
    stop_if(cancelled)
    progress(1.0, "Done")
    return replace(result, elapsed_s=clock() - began)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """What is swept, checked: `given` is the set as it came, `chosen` holds the sampled queries."""

    given: EmbeddingSet
    chosen: EmbeddingSet
    queries: Vectors
    dims: tuple[int, ...]
    ks: tuple[int, ...]
    metric: Metric


def _plan(
    given: EmbeddingSet,
    dims: Sequence[int] | None,
    ks: Sequence[int],
    *,
    metric: Metric | None,
    n_queries: int | None,
    seed: int,
) -> _Plan:
    checked = default_dims(given.dim) if dims is None else check_dims(dims, given.dim)
    checked_ks = check_ks(ks)
    if metric is not None and metric not in METRICS:
        raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=metric)
    check_seed(seed)
    chosen = given if n_queries is None else given.with_query_sample(n_queries, seed=seed)
    if chosen.queries is None:
        raise ParameterError(
            "a sweep needs queries, and this set has none",
            hint="Give query vectors, or hold some of the corpus out with with_held_out_queries()",
        )
    plan = _Plan(
        given=given,
        chosen=chosen,
        queries=chosen.queries,
        dims=checked if checked[-1] == given.dim else (*checked, given.dim),
        ks=checked_ks,
        metric=given.metric if metric is None else metric,
    )
    check_size(chosen, n_dims=len(plan.dims), depth=plan.ks[-1])
    return plan


def check_size(chosen: EmbeddingSet, *, n_dims: int, depth: int) -> None:
    """Raise `ParameterError` unless the queries of `chosen` have documents to retrieve and `depth` of each fit."""
    retrievable = chosen.n_docs
    excluded = chosen.query_corpus_rows
    if excluded is not None and (excluded >= 0).any():
        retrievable -= 1
    if retrievable < 1:
        raise ParameterError(
            "a query needs at least one document to retrieve",
            found="a corpus of one, held out as the query",
            hint="Give a larger corpus, or queries of their own",
        )
    retrieved = n_dims * chosen.n_queries * min(depth, retrievable)
    if retrieved > _MOST_RETRIEVED:
        raise ParameterError(
            f"dims × queries × the largest k must be at most {_MOST_RETRIEVED:,}, to fit in memory",
            found=f"{n_dims} × {chosen.n_queries:,} × {min(depth, retrievable):,}",
            hint="Ask for a smaller k, or sample the queries",
        )


def _relevance(chosen: EmbeddingSet, nested: NestedTopK) -> Relevance | None:
    if chosen.judgements is None:
        return None
    return Relevance.of(nested, chosen.judgements, n_docs=chosen.n_docs)


def _measure(plan: _Plan, nested: NestedTopK, *, relevance: Relevance | None, seed: int) -> SweepResult:
    chosen = plan.chosen
    return SweepResult(
        # The digest stays that of the whole set, so that the run is found with it; the count is of what was swept.
        dataset=replace(DatasetInfo.of(plan.given), n_queries=chosen.n_queries),
        metric=plan.metric,
        recipe=chosen.recipe,
        dims=plan.dims,
        ks=plan.ks,
        seed=int(seed),
        query_ids=tuple(chosen.query_id(row) for row in range(chosen.n_queries)),
        query_segments=None if chosen.query_segments is None else tuple(map(str, chosen.query_segments)),
        recall=recall_at(nested, plan.ks),
        ndcg=None if relevance is None else ndcg_at(relevance, plan.ks),
        judged_recall=None if relevance is None else judged_recall_at(relevance, plan.ks),
        mrr=None if relevance is None else reciprocal_rank(relevance),
        top1_agreement=top1_agreement(nested),
        rank_overlap=overlap_with_full(nested),
        ids=nested.ids,
        scores=nested.scores,
        warnings=(*_data_warnings(plan, nested), *_judgement_warnings(chosen, relevance)),
        elapsed_s=0.0,
    )


def _data_warnings(plan: _Plan, nested: NestedTopK) -> list[str]:
    chosen = plan.chosen
    sentences: list[str] = []
    if chosen.n_queries < plan.given.n_queries:
        sentences.append(f"A sample of {chosen.n_queries:,} of the {plan.given.n_queries:,} queries was swept.")
    if chosen.n_queries < MIN_QUERIES:
        sentences.append(f"Too few queries, {chosen.n_queries}: nothing is called safe with fewer than {MIN_QUERIES}.")
    if chosen.query_corpus_rows is not None:
        sentences.append("The queries are held-out documents of the corpus, which may behave unlike real queries.")
    if nested.k < plan.ks[-1]:
        collapsed = ", ".join(f"{k:,}" for k in plan.ks if k > nested.k)
        sentences.append(f"A query can retrieve {nested.k:,} documents only: k = {collapsed} is read as {nested.k:,}.")
    if (zero_queries := int(nested.zero_queries.sum())) > 0:
        sentences.append(f"Queries that are zero vectors, left out of every mean: {zero_queries:,}.")
    if nested.zero_docs[-1] > 0:
        sentences.append(f"Documents that are zero vectors, ranked last: {nested.zero_docs[-1]:,}.")
    for dim, count in zip(nested.dims[:-1], nested.zero_docs[:-1], strict=True):
        if count > nested.zero_docs[-1]:
            sentences.append(f"Documents whose first {dim:,} components are zero, ranked last there: {count:,}.")
    return sentences


def _judgement_warnings(chosen: EmbeddingSet, relevance: Relevance | None) -> list[str]:
    judgements = chosen.judgements
    sentences: list[str] = []
    if judgements is None or relevance is None:
        return sentences
    if judgements.unknown_queries:
        sentences.append(f"Judgements of queries that are not in the set, left out: {judgements.unknown_queries:,}.")
    if judgements.unknown_docs:
        sentences.append(
            "Judgements of documents that are not in the corpus, which nothing can retrieve but which count in the "
            f"ideal ranking: {judgements.unknown_docs:,}."
        )
    without = int((relevance.n_relevant == 0).sum())
    if without:
        sentences.append(f"Queries without a relevant document, left out of nDCG, judged recall and MRR: {without:,}.")
    return sentences
