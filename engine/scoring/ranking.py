"""Ranking metrics of a whole sweep at once: arrays in, per-query values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import Judgements
    from engine.scoring.nested import NestedTopK

TIE_TOLERANCE = 1e-6
"""Scores closer than this, relative to max(1, |score|), are ties: less than float32 sums can tell apart."""

RBO_PERSISTENCE = 0.9


def recall_at(nested: NestedTopK, ks: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the tie-aware recall@k against the full dimension, (len(ks), dims, queries), for every k of `ks`.

    A retrieved document is a hit when its full-dimension score is at least the k-th full-dimension score, less
    `TIE_TOLERANCE`; without ties that is the overlap of the two top k, divided by k. A k beyond `nested.k` is read as
    `nested.k`. NaN where there are no k neighbours to find again: for queries whose full vector is zero, and where the
    k-th document is a zero vector, which has no cosine.
    """
    values = np.empty((len(ks), *nested.ids.shape[:2]), dtype=np.float32)
    for row, k in enumerate(ks):
        depth = min(k, nested.k)
        kth = nested.full_scores[-1, :, depth - 1].astype(np.float64)
        worst_hit = kth - TIE_TOLERANCE * np.maximum(1.0, np.abs(kth))
        for dim, scores in enumerate(nested.full_scores):
            hits = (scores[:, :depth] >= worst_hit[:, None]).mean(axis=1)
            values[row, dim] = np.where(np.isfinite(kth), hits, np.nan)
    values[..., nested.zero_queries] = np.nan
    return values


def top1_agreement(nested: NestedTopK) -> npt.NDArray[np.float32]:
    """Return 1 where the first document is also first at the full dimension (or ties with it), else 0; (dims, queries).

    NaN for queries whose full vector is zero.
    """
    first: npt.NDArray[np.float32] = recall_at(nested, (1,))[0]
    return first


def overlap_with_full(nested: NestedTopK, *, p: float = RBO_PERSISTENCE) -> npt.NDArray[np.float32]:
    """Return the rank-biased overlap with the full-dimension ranking, (dims, queries); NaN for zero queries."""
    values = np.stack([rank_biased_overlap(ids, nested.ids[-1], p=p) for ids in nested.ids])
    values[:, nested.zero_queries] = np.nan
    return values


def rank_biased_overlap(
    ids: npt.NDArray[np.int64], reference: npt.NDArray[np.int64], *, p: float = RBO_PERSISTENCE
) -> npt.NDArray[np.float32]:
    """Return the extrapolated rank-biased overlap of each row of `ids` (q, k) with the row of `reference` (q, k).

    With X_d documents shared by the first d of both, and both known to depth k, the agreement at k is extrapolated to
    infinity: ``X_k/k · p^k + (1-p)/p · Σ_{d=1..k} X_d/d · p^d`` (RBO_EXT of equally long lists; Webber, Moffat & Zobel
    2010, "A similarity measure for indefinite rankings"). It is 1 for equal rankings and 0 for disjoint ones. Ids must
    not repeat within a row; ties count as ranked.
    """
    n_queries, k = ids.shape
    shared_from = np.bincount(_shared_depths(ids, reference), minlength=n_queries * k).reshape(n_queries, k)
    depths = np.arange(1, k + 1)
    agreement = np.cumsum(shared_from, axis=1) / depths
    weights = (1 - p) / p * p**depths
    overlap: npt.NDArray[np.float32] = (agreement[:, -1] * p**k + agreement @ weights).astype(np.float32)
    return overlap


def _shared_depths(ids: npt.NDArray[np.int64], reference: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each document in both rankings, ``row * k + the first depth (from 0) by which both hold it``."""
    n_queries, k = ids.shape
    stride = int(max(ids.max(), reference.max())) + 1
    rows = np.arange(n_queries, dtype=np.int64)[:, None]
    reference_keys = (rows * stride + reference).ravel()
    order = np.argsort(reference_keys)
    keys = (rows * stride + ids).ravel()
    found = np.minimum(np.searchsorted(reference_keys, keys, sorter=order), len(keys) - 1)
    places = order[found]
    both = reference_keys[places] == keys
    own_rank = np.arange(len(keys)) % k
    depths: npt.NDArray[np.int64] = (np.arange(len(keys)) // k * k + np.maximum(own_rank, places % k))[both]
    return depths


@dataclass(frozen=True, eq=False, kw_only=True)
class Relevance:
    """What the judgements say about a sweep's rankings; D dims, q queries, k documents.

    `grades` (D, q, k) are those of the retrieved documents, 0 where unjudged or negative. `ideal` (q, k) are the best
    grades of all judged documents, in the corpus or not, descending and padded with 0. `n_relevant` (q,) counts the
    documents with a positive grade; `measurable` (q,) is false where there is none, or the query's vector is zero.
    """

    grades: npt.NDArray[np.float32]
    ideal: npt.NDArray[np.float32]
    n_relevant: npt.NDArray[np.int64]
    measurable: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, nested: NestedTopK, judgements: Judgements, *, n_docs: int) -> Relevance:
        """Look up every retrieved document; of a document judged twice for a query, the later judgement counts."""
        query_rows, doc_rows, gains = _last_judgements(judgements, n_docs)
        n_queries = nested.ids.shape[1]
        n_relevant = np.bincount(query_rows[gains > 0], minlength=n_queries)
        in_corpus = doc_rows >= 0
        return cls(
            grades=_grades_of(nested.ids, (query_rows * n_docs + doc_rows)[in_corpus], gains[in_corpus], n_docs),
            ideal=_ideal_grades(query_rows, gains, n_queries, nested.k),
            n_relevant=n_relevant,
            measurable=(n_relevant > 0) & ~nested.zero_queries,
        )


def _last_judgements(
    judgements: Judgements, n_docs: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    queries, docs = judgements.query_rows.astype(np.int64), judgements.doc_rows.astype(np.int64)
    # Documents outside the corpus all have row -1, so nothing tells a repeated one from another: each gets its own key.
    keys = np.where(docs >= 0, queries * n_docs + docs, -1 - np.arange(len(docs)))
    _, last_from_end = np.unique(keys[::-1], return_index=True)
    kept = np.sort(len(keys) - 1 - last_from_end)
    gains = np.maximum(judgements.grades[kept], 0).astype(np.float32)
    return queries[kept], docs[kept], gains


def _grades_of(
    ids: npt.NDArray[np.int64], keys: npt.NDArray[np.int64], gains: npt.NDArray[np.float32], n_docs: int
) -> npt.NDArray[np.float32]:
    grades = np.zeros(ids.shape, dtype=np.float32)
    if len(keys) == 0:
        return grades
    order = np.argsort(keys)
    keys, gains = keys[order], gains[order]
    first_key = np.arange(ids.shape[1], dtype=np.int64)[:, None] * n_docs
    for dim, retrieved in enumerate(ids):
        wanted = first_key + retrieved
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        grades[dim] = np.where(keys[found] == wanted, gains[found], 0)
    return grades


def _ideal_grades(
    query_rows: npt.NDArray[np.int64], gains: npt.NDArray[np.float32], n_queries: int, k: int
) -> npt.NDArray[np.float32]:
    order = np.lexsort((-gains, query_rows))
    rows = query_rows[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    ideal = np.zeros((n_queries, k), dtype=np.float32)
    top = rank < k
    ideal[rows[top], rank[top]] = gains[order][top]
    return ideal


def ndcg_at(relevance: Relevance, ks: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return nDCG@k as trec_eval's ndcg_cut, (len(ks), dims, queries): linear gain, discount log2(rank + 1).

    The ideal ranking takes all judged documents, those missing from the corpus too. NaN where nothing is relevant.
    """
    depth = relevance.ideal.shape[1]
    discounts = 1 / np.log2(np.arange(2, depth + 2))
    values = np.empty((len(ks), *relevance.grades.shape[:2]), dtype=np.float32)
    for row, k in enumerate(ks):
        best = relevance.ideal[:, :k] @ discounts[:k]
        for dim, grades in enumerate(relevance.grades):
            values[row, dim] = _divide(grades[:, :k] @ discounts[:k], best, where=relevance.measurable)
    return values


def judged_recall_at(relevance: Relevance, ks: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the capped recall@k against the judgements, (len(ks), dims, queries).

    Relevant documents in the top k, divided by min(relevant documents, k): 1 can be reached also where more than k are
    relevant (BEIR's capped recall). NaN where nothing is relevant.
    """
    depth = relevance.ideal.shape[1]
    values = np.empty((len(ks), *relevance.grades.shape[:2]), dtype=np.float32)
    for row, k in enumerate(ks):
        reachable = np.minimum(relevance.n_relevant, min(k, depth))
        for dim, grades in enumerate(relevance.grades):
            hits = np.count_nonzero(grades[:, :k] > 0, axis=1)
            values[row, dim] = _divide(hits, reachable, where=relevance.measurable)
    return values


def reciprocal_rank(relevance: Relevance) -> npt.NDArray[np.float32]:
    """Return 1 / the rank of the first relevant document, (dims, queries); 0 when none was retrieved.

    NaN where nothing is relevant.
    """
    relevant = relevance.grades > 0
    values = np.where(relevant.any(axis=2), 1 / (relevant.argmax(axis=2) + 1), 0).astype(np.float32)
    values[:, ~relevance.measurable] = np.nan
    return values


def _divide(
    numerator: npt.NDArray[Any], denominator: npt.NDArray[Any], *, where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    undefined = np.full(len(numerator), np.nan)
    quotient: npt.NDArray[np.float64] = np.divide(numerator, denominator, out=undefined, where=where)
    return quotient
