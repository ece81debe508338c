"""What the panels beside the sweep measure: samples of queries and documents that keep it quick, and say so."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import EmbeddingSet
from engine.embeddings.paging import blocks
from engine.errors import ParameterError
from engine.scoring.memory import usable_memory_bytes
from engine.scoring.ranking import recall_at
from engine.seeds import check_seed
from engine.tradeoff.sweep import check_size

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import Metric, Vectors
    from engine.scoring import NestedTopK
    from engine.tradeoff.results import SweepResult

    Int64 = npt.NDArray[np.int64]

MAX_ROWS = 200_000
_SAMPLE_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True, eq=False, kw_only=True)
class MeasuredRows:
    """The corpus (n, d) and queries (q, d) that are measured, and the row (q,) each query may not retrieve.

    `sentences` say what was sampled.
    """

    corpus: Vectors
    queries: Vectors
    exclude: Int64 | None
    sentences: tuple[str, ...]

    def check_size(self, *, n_dims: int, k: int) -> None:
        """Raise `ParameterError` unless every query has a document to retrieve, and `k` at `n_dims` fit in memory."""
        rows = EmbeddingSet(name="rows", corpus=self.corpus, queries=self.queries, query_corpus_rows=self.exclude)
        check_size(rows, n_dims=n_dims, depth=k)


def measured_rows(embedding_set: EmbeddingSet, *, n_queries: int, max_rows: int, seed: int) -> MeasuredRows:
    """Draw seeded samples of at most `n_queries` queries and `max_rows` documents, each in its order.

    A sampled corpus is copied into memory in its own dtype, and takes at most 1 GiB, or an eighth of what this process
    may use where that is less: what is measured holds copies of it. A whole one is left where it is; one that takes
    more than a quarter of that memory is sampled as well.

    Raises
    ------
    ParameterError
        When the set has no queries, or a number is out of range.
    """
    check_seed(seed)
    if embedding_set.queries is None:
        raise ParameterError(
            "this measurement needs queries, and the set has none",
            hint="Give query vectors, or hold some of the corpus out with with_held_out_queries()",
        )
    at_least("the number of queries", n_queries, 1)
    at_least("the number of sampled rows", max_rows, 1)
    sentences: list[str] = []
    queries, exclude = embedding_set.queries, embedding_set.query_corpus_rows
    if n_queries < embedding_set.n_queries:
        drawn = draw_rows(embedding_set.n_queries, n_queries, seed=seed)
        queries, exclude = queries[drawn], None if exclude is None else exclude[drawn]
        sentences.append(f"A sample of {n_queries:,} of the {embedding_set.n_queries:,} queries was measured.")
    corpus = embedding_set.corpus
    usable = usable_memory_bytes()
    fits = max(1, min(_SAMPLE_BYTES, usable // 8) // (corpus.itemsize * embedding_set.dim))
    most = max_rows if embedding_set.n_docs <= max_rows and corpus.nbytes <= usable // 4 else min(max_rows, fits)
    if embedding_set.n_docs > most:
        drawn = draw_rows(embedding_set.n_docs, most, seed=seed)
        corpus, exclude = take_rows(corpus, drawn), rows_within(exclude, drawn)
        sentences.append(f"A sample of {len(drawn):,} of the {embedding_set.n_docs:,} documents was measured.")
    return MeasuredRows(corpus=corpus, queries=queries, exclude=exclude, sentences=tuple(sentences))


def draw_rows(n: int, size: int, *, seed: int) -> Int64:
    """Return `size` of the row numbers 0..n-1 (all, where there are no more), drawn without replacement, ascending."""
    rows = np.random.default_rng(seed).choice(n, size=min(size, n), replace=False)
    return np.sort(rows).astype(np.int64)


def take_rows(vectors: Vectors, rows: Int64) -> Vectors:
    """Copy the ascending `rows` of `vectors` (n, d); pages of a memory map are released behind the copy."""
    taken = np.empty((len(rows), vectors.shape[1]), vectors.dtype)
    step = max(1, _BLOCK_BYTES // (vectors.itemsize * vectors.shape[1]))
    for start, block in blocks(vectors, step):
        first, last = np.searchsorted(rows, (start, start + len(block)))
        taken[first:last] = block[rows[first:last] - start]
    return taken


def rows_within(exclude: Int64 | None, rows: Int64) -> Int64 | None:
    """Renumber the corpus rows of `exclude` (q,) to their places in the ascending `rows`; -1 where they are not there.

    >>> rows_within(np.array([5, 2, -1]), np.array([1, 5, 9])).tolist()
    [1, -1, -1]
    """
    if exclude is None:
        return None
    places = np.minimum(np.searchsorted(rows, exclude), len(rows) - 1)
    return np.where(rows[places] == exclude, places, -1).astype(np.int64)


def recall_below_full(nested: NestedTopK, k: int, *, metric: Metric) -> npt.NDArray[np.float32]:
    """Return the tie-aware recall@k (D - 1, q) of all dims of `nested` but the full one; NaN for zero queries."""
    if metric == "l2":  # a zero query has distances like any other
        nested = replace(nested, zero_queries=np.zeros_like(nested.zero_queries))
    return recall_at(nested, (k,))[0, :-1]


def swept_query_rows(embedding_set: EmbeddingSet, result: SweepResult) -> Int64:
    """Return the query rows of `embedding_set` that `result` swept, (q,), in the order of its columns.

    Raises
    ------
    ParameterError
        When the sweep is of another set.
    """
    if result.dataset.sha256 != embedding_set.sha256:
        raise ParameterError(
            "the sweep must be of this embedding set",
            found=f"a sweep of {result.dataset.name!r}",
            hint="Load the set that was swept, or sweep this one",
        )
    row_of = {embedding_set.query_id(row): row for row in range(embedding_set.n_queries)}
    return np.array([row_of[query_id] for query_id in result.query_ids], dtype=np.int64)


def at_least(what: str, value: int, lowest: int) -> int:
    """Return `value` as an integer; `ParameterError` when it is no whole number or below `lowest`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ParameterError(f"{what} must be a whole number", found=repr(value)) from None
    if isinstance(value, bool) or number < lowest:
        raise ParameterError(f"{what} must be at least {lowest:,}", found=value)
    return number
