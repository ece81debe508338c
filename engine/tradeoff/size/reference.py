"""The exact full-dimension answer of a set, shortlists of every kind, and how any ranking compares with that answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import METRICS
from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled
from engine.scoring import NestedTopK, nested_topk
from engine.scoring.codes import code_blocks, codebook
from engine.scoring.pairs import Reranked, pair_scores, rerank
from engine.scoring.quantized import code_topk
from engine.scoring.ranking import TIE_TOLERANCE, Relevance, ndcg_at, recall_at
from engine.seeds import check_seed
from engine.tradeoff.dims import check_dims, default_dims
from engine.tradeoff.results import DatasetInfo
from engine.tradeoff.rows import at_least
from engine.tradeoff.sweep import check_size
from engine.tradeoff.verdicts import MIN_QUERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Vectors
    from engine.progress import Cancelled, Progress
    from engine.scoring.codes import CodeType

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """Per-query values of rankings: `recall` (..., q) against the full dimension, `ndcg` (..., q) or None.

    `full_ndcg` (q,) is that of the full dimension, None without judgements. NaN where a query has no value.
    """

    recall: Float32
    ndcg: Float32 | None
    full_ndcg: Float32 | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Reference:
    """The float32 answer at every one of `dims`, the full dimension last, to a depth of `depth` documents.

    `chosen` holds the queries that are measured (`queries`), `given` the set as it came. `k` and `depth` are what every
    query can retrieve at most.
    """

    given: EmbeddingSet
    chosen: EmbeddingSet
    queries: Vectors
    metric: Metric
    dims: tuple[int, ...]
    k: int
    depth: int
    seed: int
    nested: NestedTopK

    @property
    def dataset(self) -> DatasetInfo:
        """The facts of the whole set, with the number of queries measured."""
        return replace(DatasetInfo.of(self.given), n_queries=self.chosen.n_queries)

    @property
    def query_ids(self) -> tuple[str, ...]:
        """Ids of the queries measured."""
        return tuple(self.chosen.query_id(row) for row in range(self.chosen.n_queries))

    def shortlist(
        self, dtype: CodeType, dim: int, *, depth: int | None = None, cancelled: Cancelled = never_cancelled
    ) -> Int64:
        """Return the ids of the best `depth` documents (default: all of `depth`) by codes of `dtype` at `dim`."""
        depth = self.depth if depth is None else depth
        if dtype == "float32":
            return self.nested.ids[self.dims.index(dim), :, :depth]
        book = codebook(self.chosen.corpus, dim, dtype, metric=self.metric, recipe=self.chosen.recipe, seed=self.seed)
        blocks = code_blocks(self.chosen.corpus, book)
        exclude = self.chosen.query_corpus_rows
        return code_topk(blocks, self.queries, depth, exclude=exclude, cancelled=cancelled).ids

    def rerank(self, ids: Int64, *, dim: int | None = None) -> Reranked:
        """Return the k best of each shortlist `ids` (q, s) by the first `dim` components of the full vectors."""
        return rerank(
            ids, self.chosen.corpus, self.queries, self.k, metric=self.metric, recipe=self.chosen.recipe, dim=dim
        )

    def scores(self, ids: Int64, *, dim: int | None = None) -> Float32:
        """Return the scores of documents `ids` (q, s) by the first `dim` components (default: all), (q, s)."""
        return pair_scores(
            self.chosen.corpus, self.queries, ids, metric=self.metric, recipe=self.chosen.recipe, dim=dim
        )

    @cached_property
    def _truth(self) -> Reranked:
        # Scored again pair by pair: the scan's sums differ in the last bits, and ties are judged by those.
        return self.rerank(self.nested.ids[-1, :, : self.k])

    def shortlist_recall(self, full_scores: Float32) -> Float32:
        """Return the tie-aware share of the full-dimension top k within shortlists of these `scores` (q, s), (q,)."""
        kth = self._truth.scores[:, -1:].astype(np.float64)
        worst_hit = kth - TIE_TOLERANCE * np.maximum(1.0, np.abs(kth))
        found = np.minimum((full_scores >= worst_hit).sum(axis=1), self.k)
        share: Float32 = np.asarray(found / self.k, np.float32)
        share[self.nested.zero_queries] = np.nan
        return share

    def judge(self, ids: Int64) -> Judged:
        """Compare rankings `ids` (..., q, k) with the full-dimension top k and the relevance judgements."""
        shape = ids.shape[:-1]
        # A ranking stands where a dimension stands in a sweep, the full-dimension answer last.
        rankings = np.concatenate([ids.reshape(-1, *ids.shape[-2:]), self._truth.ids[None]])
        n_rankings, n_queries, k = rankings.shape
        side_by_side = rankings.transpose(1, 0, 2).reshape(n_queries, -1)
        scores = self.scores(side_by_side).reshape(n_queries, n_rankings, k).transpose(1, 0, 2)
        view = replace(self.nested, dims=tuple(range(n_rankings)), k=k, ids=rankings, scores=scores, full_scores=scores)
        recall = recall_at(view, (k,))[0, :-1].reshape(shape)
        if self.chosen.judgements is None:
            return Judged(recall=recall, ndcg=None, full_ndcg=None)
        ndcg = ndcg_at(Relevance.of(view, self.chosen.judgements, n_docs=self.chosen.n_docs), (k,))[0]
        return Judged(recall=recall, ndcg=ndcg[:-1].reshape(shape), full_ndcg=ndcg[-1])

    def warnings(self, *, k: int, depth: int) -> tuple[str, ...]:
        """Return what a reader must know of a measurement that asked for `k` and shortlists of `depth`."""
        chosen = self.chosen
        sentences: list[str] = []
        if chosen.n_queries < self.given.n_queries:
            sentences.append(f"A sample of {chosen.n_queries:,} of the {self.given.n_queries:,} queries was measured.")
        if chosen.n_queries < MIN_QUERIES:
            sentences.append(f"Few queries, {chosen.n_queries}: the intervals say little below {MIN_QUERIES}.")
        if chosen.query_corpus_rows is not None:
            sentences.append("The queries are held-out documents of the corpus, which may behave unlike real queries.")
        if self.k < k:
            sentences.append(f"A query can retrieve {self.k:,} documents only: k = {k:,} is read as {self.k:,}.")
        if self.depth < depth:
            sentences.append(
                f"A query can retrieve {self.depth:,} documents only: shortlists of more are read as {self.depth:,}."
            )
        return tuple(sentences)


def exact_reference(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None,
    *,
    k: int,
    depth: int,
    metric: Metric | None = None,
    n_queries: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Reference:
    """Rank the corpus exactly at every one of `dims` (default: `default_dims`) and at the full dimension.

    Raises
    ------
    ParameterError
        When the set has no queries, or a number is out of range.
    CancelledError
        When `cancelled` answers true.
    """
    checked = default_dims(embedding_set.dim) if dims is None else check_dims(dims, embedding_set.dim)
    checked = checked if checked[-1] == embedding_set.dim else (*checked, embedding_set.dim)
    at_least("k", k, 1)
    check_seed(seed)
    if metric is not None and metric not in METRICS:
        raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=metric)
    chosen = embedding_set if n_queries is None else embedding_set.with_query_sample(n_queries, seed=seed)
    if chosen.queries is None:
        raise ParameterError(
            "this measurement needs queries, and the set has none",
            hint="Give query vectors, or hold some of the corpus out with with_held_out_queries()",
        )
    check_size(chosen, n_dims=len(checked), depth=depth)
    used: Metric = embedding_set.metric if metric is None else metric
    nested = nested_topk(
        chosen.corpus,
        chosen.queries,
        checked,
        min(depth, chosen.n_docs),
        metric=used,
        recipe=chosen.recipe,
        exclude=chosen.query_corpus_rows,
        progress=progress,
        cancelled=cancelled,
    )
    if used == "l2":  # a zero query has distances like any other
        nested = replace(nested, zero_queries=np.zeros_like(nested.zero_queries))
    return Reference(
        given=embedding_set,
        chosen=chosen,
        queries=chosen.queries,
        metric=used,
        dims=checked,
        k=min(k, nested.k),
        depth=nested.k,
        seed=int(seed),
        nested=nested,
    )


def check_shortlist(shortlist: int, k: int) -> int:
    """Return `shortlist` once it is a whole number of at least `k`.

    Raises
    ------
    ParameterError
        When it is not.
    """
    at_least("a shortlist", shortlist, 1)
    if shortlist < k:
        raise ParameterError(
            f"a shortlist must hold at least the k = {k} documents that are kept of it",
            found=shortlist,
            hint="Shortlist k documents or more",
        )
    return int(shortlist)
