"""How long a shortlist by short or coarse vectors must be before longer vectors rerank it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import usable_processors
from engine.scoring.pairs import best_of
from engine.tradeoff.bootstrap import MIN_RESAMPLES, Resampled, bootstrap_means
from engine.tradeoff.dims import check_dims
from engine.tradeoff.rows import at_least
from engine.tradeoff.size.footprint import StorageOption, check_dtypes, check_links, storage_bytes
from engine.tradeoff.size.reference import check_shortlist, exact_reference
from engine.tradeoff.summary import BYTES_PER_COMPONENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.scoring.codes import CodeType
    from engine.tradeoff.results import DatasetInfo, Interval
    from engine.tradeoff.size.reference import Reference

    Float32 = npt.NDArray[np.float32]

SHORTLISTS = (10, 20, 50, 100, 200, 500)
_SHARE_OF_REFERENCE = 0.4


@dataclass(frozen=True, kw_only=True)
class FunnelRow:
    """One funnel: a shortlist of `shortlist` documents by codes of `dtype` at `dim`, then a rerank.

    `shortlist_recall` is the share of the full-dimension top k within the shortlist: the ceiling of `recall`, the
    recall@k after the rerank. `fetched_bytes_per_query` of full vectors are read by the rerank: shortlist × 4 bytes ×
    components.
    """

    dtype: CodeType
    dim: int
    shortlist: int
    recall: Interval
    shortlist_recall: Interval
    ndcg: Interval | None
    memory_bytes_per_vector: float
    disk_bytes_per_vector: float
    fetched_bytes_per_query: int


@dataclass(frozen=True, eq=False, kw_only=True)
class FunnelResult:
    """Every funnel measured on the same queries; T = len(dtypes), D = len(dims), S = len(shortlists), q queries.

    `recall`, `shortlist_recall` and `ndcg` (None without judgements) are (T, D, S, q), NaN where a query has no value;
    `rows` are their means in the same order, the last index fastest. The rerank is by the first `rerank_dim` components
    of the full vectors. Where that is the full dimension, recall reaches its ceiling exactly; below it, the gap between
    the two is what the rerank itself loses. `full_ndcg` is that of the full dimension without a funnel.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dtypes: tuple[CodeType, ...]
    dims: tuple[int, ...]
    shortlists: tuple[int, ...]
    rerank_dim: int
    k: int
    seed: int
    n_resamples: int
    n_threads: int
    link_bytes_per_vector: float
    full_bytes_per_vector: int
    full_in_memory: bool
    query_ids: tuple[str, ...]
    rows: tuple[FunnelRow, ...]
    recall: Float32
    shortlist_recall: Float32
    ndcg: Float32 | None
    full_ndcg: Interval | None
    warnings: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True, eq=False, kw_only=True)
class _Measured:
    """Per-query values (T, D, S, q), `full_ndcg` (q,)."""

    recall: Float32
    shortlist_recall: Float32
    ndcg: Float32 | None
    full_ndcg: Float32 | None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Means:
    recall: Resampled
    shortlist_recall: Resampled
    ndcg: Resampled | None
    full_ndcg: Resampled | None


def sweep_funnel(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    k: int = 10,
    shortlists: Sequence[int] = SHORTLISTS,
    dtypes: Sequence[CodeType] = ("float32",),
    rerank_dim: int | None = None,
    metric: Metric | None = None,
    link_bytes_per_vector: float = 0.0,
    full_in_memory: bool = False,
    n_queries: int | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> FunnelResult:
    """Measure recall@k and nDCG@k of a rerank of every shortlist, of each of `dtypes` and `dims`.

    The shortlist of a type and dim is exact over its codes. The rerank is by the float32 full vectors, or by their
    first `rerank_dim` components. A shortlist beyond what a query can retrieve is read as that.

    Raises
    ------
    ParameterError
        When a shortlist is below k, shortlists do not ascend, the set has no queries, or a number is out of range.
    CancelledError
        When `cancelled` answers true.
    """
    began = clock()
    sizes = _check_shortlists(shortlists, k)
    check_links(link_bytes_per_vector)
    chosen_types = check_dtypes(dtypes)
    at_least("the number of resamples", n_resamples, MIN_RESAMPLES)
    again = embedding_set.dim if rerank_dim is None else check_dims((rerank_dim,), embedding_set.dim)[0]
    reference = exact_reference(
        embedding_set,
        dims,
        k=k,
        depth=sizes[-1],
        metric=metric,
        n_queries=n_queries,
        seed=seed,
        progress=lambda share, message: progress(_SHARE_OF_REFERENCE * share, message),
        cancelled=cancelled,
    )
    sizes = tuple(min(size, reference.depth) for size in sizes)
    measured = _measure(reference, chosen_types, sizes, again, progress=progress, cancelled=cancelled)
    stop_if(cancelled)
    means = _means(measured, seed=reference.seed, n_resamples=n_resamples)
    unread = _result(reference, measured, dtypes=chosen_types, shortlists=sizes, rerank_dim=again)
    result = replace(
        unread,
        n_resamples=n_resamples,
        link_bytes_per_vector=float(link_bytes_per_vector),
        full_in_memory=full_in_memory,
        full_ndcg=None if means.full_ndcg is None else means.full_ndcg.interval(),
        warnings=reference.warnings(k=k, depth=max(shortlists)),
    )
    progress(1.0, "Done")
    return replace(result, rows=_rows(result, means), elapsed_s=clock() - began)


def _check_shortlists(shortlists: Sequence[int], k: int) -> tuple[int, ...]:
    sizes = tuple(check_shortlist(size, k) for size in shortlists)
    if not sizes or any(low >= high for low, high in pairwise(sizes)):
        raise ParameterError(
            "shortlists must ascend, each once", found=", ".join(map(str, sizes)) or "none", hint="Give 10,50,100"
        )
    return sizes


def _measure(
    reference: Reference,
    dtypes: tuple[CodeType, ...],
    sizes: tuple[int, ...],
    rerank_dim: int,
    *,
    progress: Progress,
    cancelled: Cancelled,
) -> _Measured:
    kinds = [(dtype, dim) for dtype in dtypes for dim in reference.dims]
    ids = np.empty((len(kinds), len(sizes), reference.chosen.n_queries, reference.k), np.int64)
    ceiling = np.empty(ids.shape[:-1], np.float32)
    for row, (dtype, dim) in enumerate(kinds):
        stop_if(cancelled)
        share = _SHARE_OF_REFERENCE + (1 - _SHARE_OF_REFERENCE) * row / len(kinds)
        progress(share, f"Reranking shortlists of {dtype} at {dim:,} dims")
        longest = reference.shortlist(dtype, dim, cancelled=cancelled)
        full = reference.scores(longest)
        scores = full if rerank_dim == reference.dims[-1] else reference.scores(longest, dim=rerank_dim)
        for column, size in enumerate(sizes):
            ids[row, column] = best_of(longest[:, :size], scores[:, :size], reference.k).ids
            ceiling[row, column] = reference.shortlist_recall(full[:, :size])
    judged = reference.judge(ids)
    shape = (len(dtypes), len(reference.dims), len(sizes), -1)
    return _Measured(
        recall=judged.recall.reshape(shape),
        shortlist_recall=ceiling.reshape(shape),
        ndcg=None if judged.ndcg is None else judged.ndcg.reshape(shape),
        full_ndcg=judged.full_ndcg,
    )


def _result(
    reference: Reference,
    measured: _Measured,
    *,
    dtypes: tuple[CodeType, ...],
    shortlists: tuple[int, ...],
    rerank_dim: int,
) -> FunnelResult:
    """Return the result without its rows and what is read of the means."""
    return FunnelResult(
        dataset=reference.dataset,
        metric=reference.metric,
        recipe=reference.chosen.recipe,
        dtypes=dtypes,
        dims=reference.dims,
        shortlists=shortlists,
        rerank_dim=rerank_dim,
        k=reference.k,
        seed=reference.seed,
        n_resamples=0,
        n_threads=usable_processors(),
        link_bytes_per_vector=0.0,
        full_bytes_per_vector=BYTES_PER_COMPONENT * reference.dims[-1],
        full_in_memory=False,
        query_ids=reference.query_ids,
        rows=(),
        recall=measured.recall,
        shortlist_recall=measured.shortlist_recall,
        ndcg=measured.ndcg,
        full_ndcg=None,
        warnings=(),
        elapsed_s=0.0,
    )


def _means(measured: _Measured, *, seed: int, n_resamples: int) -> _Means:
    judged = () if measured.ndcg is None or measured.full_ndcg is None else (measured.ndcg, measured.full_ndcg)
    recall, ceiling, *rest = bootstrap_means(
        measured.recall, measured.shortlist_recall, *judged, seed=seed, n_resamples=n_resamples
    )
    ndcg, full_ndcg = rest or (None, None)
    return _Means(recall=recall, shortlist_recall=ceiling, ndcg=ndcg, full_ndcg=full_ndcg)


def _rows(result: FunnelResult, means: _Means) -> tuple[FunnelRow, ...]:
    rows: list[FunnelRow] = []
    for t, d, s in np.ndindex(len(result.dtypes), len(result.dims), len(result.shortlists)):
        option = StorageOption(dtype=result.dtypes[t], dim=result.dims[d], rerank=True)
        size = storage_bytes(
            option,
            full_dim=result.dataset.dim,
            metric=result.metric,
            link_bytes_per_vector=result.link_bytes_per_vector,
            full_in_memory=result.full_in_memory,
        )
        rows.append(
            FunnelRow(
                dtype=option.dtype,
                dim=option.dim,
                shortlist=result.shortlists[s],
                recall=means.recall.interval(t, d, s),
                shortlist_recall=means.shortlist_recall.interval(t, d, s),
                ndcg=None if means.ndcg is None else means.ndcg.interval(t, d, s),
                memory_bytes_per_vector=size.memory,
                disk_bytes_per_vector=size.disk,
                fetched_bytes_per_query=result.shortlists[s] * BYTES_PER_COMPONENT * result.rerank_dim,
            )
        )
    return tuple(rows)
