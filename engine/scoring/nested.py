"""Exact top-k at every prefix of the vectors, in one pass over the full ones.

Every score at dimension d follows from the running sum of products over the components before it, so a sweep over all
dimensions costs one full-dimension matrix product plus one selection a dimension, not the sum over the dimensions. The
corpus is walked in blocks, a block in tiles small enough for the cache: BLAS adds the next segment of components to the
tile, and selection looks at it before it leaves the cache.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import METRICS, RECIPES
from engine.embeddings.paging import blocks
from engine.errors import ParameterError, VectorError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import selection
from engine.scoring.blas import add_product, one_blas_thread
from engine.scoring.partial import PartialTopK
from engine.scoring.rows import as_float32, refuse_not_finite
from engine.scoring.terms import ranking_terms, restore_query_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

TILE_ROWS = 1024  # × 512 queries × 4 bytes = 2 MiB, the level-2 cache of a current core
"""How many corpus rows BLAS sees at once; the last bit of a score may depend on it, so rows are cut here only."""

_TILE_QUERIES = 512
_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True, eq=False, kw_only=True)
class NestedTopK:
    """The k best documents of every query at every dimension; D = len(dims), q queries.

    `ids` int64, `scores` and `full_scores` float32 are (D, q, k), best first, lower row first among equal scores.
    `full_scores` are the scores of the same documents at ``dims[-1]``. A score is -inf where a zero vector has no
    cosine. `k` is the smaller of `k_requested` and the number of documents that every query may retrieve. `zero_docs`
    counts, for each dimension, the documents whose prefix is zero; `zero_queries` (q,) marks queries that are zero at
    ``dims[-1]``.
    """

    dims: tuple[int, ...]
    k: int
    k_requested: int
    n_docs: int
    ids: Int64
    scores: Float32
    full_scores: Float32
    zero_docs: tuple[int, ...]
    zero_queries: npt.NDArray[np.bool_]


def nested_topk(
    corpus: Vectors | Iterable[Vectors],
    queries: Vectors,
    dims: Sequence[int],
    k: int,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    exclude: Int64 | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> NestedTopK:
    """Return the exact top k of `queries` (q, d) in `corpus` (n, d) at every one of `dims`.

    `corpus` is an array, a memory map (whose pages are released behind the scan), or an iterable of blocks of rows.
    Scores are cosine, inner product (ip) or negated squared distance (l2) of the first components, in float32; the
    error against float64 stays below 1e-5 of the vectors' norms. `exclude` (q,) names a corpus row each query may not
    retrieve, -1 for none. `n_threads` defaults to the processors this process may use.

    Raises
    ------
    ParameterError
        For dims that are not ascending within 1..d, k < 1, or an unknown metric or recipe.
    VectorError
        For rows with NaN or infinite components (with their row numbers), an empty corpus, or unequal dimensions.
    CancelledError
        When `cancelled` answers true.
    """
    partial = partial_topk(
        corpus,
        queries,
        dims,
        k,
        metric=metric,
        recipe=recipe,
        exclude=exclude,
        n_threads=n_threads,
        progress=progress,
        cancelled=cancelled,
    )
    return complete_topk(partial, queries, dims, k, metric=metric, recipe=recipe)


def partial_topk(
    corpus: Vectors | Iterable[Vectors],
    queries: Vectors,
    dims: Sequence[int],
    k: int,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    exclude: Int64 | None = None,
    first_row: int = 0,
    n_threads: int | None = None,
    cut_for_threads: int | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> PartialTopK:
    """Return the k best of a stretch of a corpus that begins at its row `first_row`; `nested_topk` is the rest of it.

    Where `first_row` and all blocks but the last are whole tiles of `TILE_ROWS`, and the queries are cut as for
    `cut_for_threads` (default: `n_threads`), every score is to the last bit the one of a scan of the whole corpus on
    that many threads. `exclude` and all row numbers are of the whole corpus. Raises as `nested_topk` does.
    """
    checked = _check(queries, dims, k, metric, recipe)
    queries = as_float32(queries, recipe)
    threads = n_threads or usable_processors()
    scan = _Scan(queries, checked, k, metric, exclude, threads, cut_for=cut_for_threads or threads, first_row=first_row)
    known_rows = corpus.shape[0] if isinstance(corpus, np.ndarray) else None
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        for block in _blocks_of(corpus, queries.shape[1]):
            stop_if(cancelled)
            scan.add(as_float32(block, recipe), pool)
            share = scan.n_docs / known_rows if known_rows else 0.0
            progress(share, f"Scored {scan.n_docs:,} documents")
        return scan.best(pool)


def complete_topk(
    partial: PartialTopK,
    queries: Vectors,
    dims: Sequence[int],
    k: int,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
) -> NestedTopK:
    """Return the result of which `partial`, of the whole corpus, is all but what concerns the queries alone.

    `k` is what was asked for. The arrays of `partial` are used up: they become those of the result.
    """
    squares = _query_squares(as_float32(queries, recipe), tuple(dims))
    restore_query_terms(partial.ranking, squares, metric)
    restore_query_terms(partial.full_ranking, np.broadcast_to(squares[-1], squares.shape), metric)
    return NestedTopK(
        dims=tuple(int(dim) for dim in dims),
        k=partial.k,
        k_requested=k,
        n_docs=partial.n_docs,
        ids=partial.ids,
        scores=partial.ranking,
        full_scores=partial.full_ranking,
        zero_docs=partial.zero_docs,
        zero_queries=np.asarray(squares[-1] == 0),
    )


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_scoring(dims: Sequence[int], full: int, *, k: int = 1, metric: str, recipe: str) -> tuple[int, ...]:
    """Return `dims` as integers once they ascend within 1..`full`, and metric, recipe and k are in range.

    Raises
    ------
    ParameterError
        When one of them is not.
    """
    if metric not in METRICS:
        raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=metric)
    if recipe not in RECIPES:
        raise ParameterError(f"the recipe is one of {', '.join(RECIPES)}", found=recipe)
    if k < 1:
        raise ParameterError("k must be at least 1", found=k)
    ascending = all(low < high for low, high in pairwise(dims))
    if not len(dims) or not ascending or dims[0] < 1 or dims[-1] > full:
        raise ParameterError(f"dims must ascend within 1..{full}, each once", found=list(dims))
    return tuple(int(dim) for dim in dims)


def _check(queries: Vectors, dims: Sequence[int], k: int, metric: str, recipe: str) -> tuple[int, ...]:
    if queries.ndim != 2 or queries.shape[0] == 0:
        raise VectorError("queries must be a 2-D array with at least one row", found=f"shape {queries.shape}")
    return check_scoring(dims, queries.shape[1], k=k, metric=metric, recipe=recipe)


def _query_squares(queries: Float32, dims: tuple[int, ...]) -> Float32:
    squares = np.zeros((len(dims), len(queries)), np.float32)
    _add_norms(queries, dims, squares)
    return squares


def _add_norms(rows: Float32, dims: tuple[int, ...], squares: Float32) -> None:
    for i, (start, stop) in enumerate(pairwise((0, *dims))):
        if i:
            squares[i] = squares[i - 1]
        selection.add_segment_norms(rows, start, stop, squares[i])


def _blocks_of(corpus: Vectors | Iterable[Vectors], dim: int) -> Iterator[Vectors]:
    # Whole tiles a block: where a row falls within its tile then does not depend on the block size.
    rows = max(1, _BLOCK_BYTES // (4 * dim) // TILE_ROWS) * TILE_ROWS
    for part in [corpus] if isinstance(corpus, np.ndarray) else corpus:
        if part.ndim != 2 or part.shape[1] != dim:
            raise VectorError(
                "corpus and queries must have the same number of dimensions",
                found=f"a corpus of shape {part.shape} and queries of {dim}",
            )
        for _, block in blocks(part, rows):
            yield block


class _Candidates:
    """What is kept for one tile of queries: a buffer, its fill and its threshold a dimension."""

    def __init__(self, n_dims: int, n_queries: int, k: int) -> None:
        shape = (n_dims, n_queries, selection.capacity(k))
        self.scores: Float32 = np.empty(shape, np.float32)
        self.ids: Int64 = np.empty(shape, np.int64)
        self.full: Float32 = np.empty(shape, np.float32)
        self.counts: Int64 = np.zeros(shape[:2], np.int64)
        self.thresholds: Float32 = np.full(shape[:2], -np.inf, np.float32)


class _Scan:
    """A sweep in progress: feed it blocks of the corpus, then take the result."""

    def __init__(
        self,
        queries: Float32,
        dims: tuple[int, ...],
        k: int,
        metric: Metric,
        exclude: Int64 | None,
        n_threads: int,
        *,
        cut_for: int,
        first_row: int,
    ) -> None:
        self.queries, self.dims, self.k, self.metric, self.n_threads = queries, dims, k, metric, n_threads
        self.first_row, self.n_docs = first_row, 0
        n = queries.shape[0]
        self.exclude: Int64 = np.full(n, -1, np.int64) if exclude is None else np.asarray(exclude, np.int64)
        if self.exclude.shape != (n,):
            raise ParameterError("exclude must name one row a query", found=f"shape {self.exclude.shape}")
        # As many query tiles as a multiple of the threads, so that none waits for the last one.
        rounds = -(-n // (_TILE_QUERIES * cut_for))
        edges = np.unique(np.linspace(0, n, rounds * cut_for + 1).round().astype(int))
        self.tiles = [slice(int(start), int(stop)) for start, stop in pairwise(edges)]
        self.kept = [_Candidates(len(dims), tile.stop - tile.start, k) for tile in self.tiles]
        self.zero_docs: Int64 = np.zeros(len(dims), np.int64)
        held_out = bool((self.exclude >= 0).all())
        refuse_not_finite(
            queries,
            "corpus" if held_out else "queries",
            _query_squares(queries, dims)[-1],
            row_numbers=self.exclude if held_out else None,
        )

    def add(self, block: Float32, pool: ThreadPoolExecutor) -> None:
        """Score `block`, the corpus rows that follow those seen before."""
        squares = self._norms(block, pool)
        refuse_not_finite(block, "corpus", squares[-1], first_row=self.first_row + self.n_docs)
        scale, shift = self._scale_and_shift(squares)
        jobs = [
            pool.submit(self._score, block, scale, shift, self.queries[tile], self.exclude[tile], kept)
            for tile, kept in zip(self.tiles, self.kept, strict=True)
        ]
        for job in jobs:
            job.result()
        self.n_docs += block.shape[0]

    def _norms(self, block: Float32, pool: ThreadPoolExecutor) -> Float32:
        squares = np.zeros((len(self.dims), block.shape[0]), np.float32)
        edges = np.linspace(0, block.shape[0], self.n_threads + 1).astype(int)
        rows = [slice(*ends) for ends in pairwise(edges)]
        list(pool.map(lambda part: _add_norms(block[part], self.dims, squares[:, part]), rows))
        return squares

    def _scale_and_shift(self, squares: Float32) -> tuple[Float32, Float32]:
        """Return the ranking terms padded to whole tiles, and count the zero vectors."""
        n = squares.shape[1]
        if self.metric == "cosine":
            self.zero_docs += n - (squares > 0).sum(axis=1)
        return ranking_terms(squares, self.metric, width=-(-n // TILE_ROWS) * TILE_ROWS)

    def _score(
        self,
        block: Float32,
        scale: Float32,
        shift: Float32,
        queries: Float32,
        exclude: Int64,
        kept: _Candidates,
    ) -> None:
        sums = np.zeros((queries.shape[0], TILE_ROWS), np.float32)
        for start in range(0, block.shape[0], TILE_ROWS):
            tile = block[start : start + TILE_ROWS]
            first_row = self.first_row + self.n_docs + start
            columns = slice(start, start + TILE_ROWS)
            for i, (low, high) in enumerate(pairwise((0, *self.dims))):
                add_product(queries, tile, low, high, sums, first=i == 0)
                selection.select(
                    sums,
                    first_row,
                    scale[i, columns],
                    shift[i, columns],
                    exclude,
                    self.k,
                    kept.scores[i],
                    kept.ids[i],
                    kept.full[i],
                    kept.counts[i],
                    kept.thresholds[i],
                )
            full_scale, full_shift = scale[-1, columns], shift[-1, columns]
            for ids, full, counts in zip(kept.ids, kept.full, kept.counts, strict=True):
                selection.fill_full(sums, first_row, full_scale, full_shift, ids, full, counts)

    def best(self, pool: ThreadPoolExecutor) -> PartialTopK:
        """Cut the candidates back to the top k and order them."""
        if self.n_docs == 0:
            raise VectorError("the corpus must hold at least one vector", found="none")
        barred = np.any((self.exclude >= self.first_row) & (self.exclude < self.first_row + self.n_docs))
        k = min(self.k, self.n_docs - int(barred))
        if k < 1:
            raise VectorError("every query needs a document it may retrieve", found="one, which is excluded")
        shape = (len(self.dims), self.queries.shape[0], k)
        ids, scores, full = np.empty(shape, np.int64), np.empty(shape, np.float32), np.empty(shape, np.float32)

        def order(tile: slice, kept: _Candidates) -> None:
            for i in range(len(self.dims)):
                selection.finish(k, kept.scores[i], kept.ids[i], kept.full[i], kept.counts[i])
                # Stable, so that equal scores keep the row order of the buffer.
                best_first = np.argsort(-kept.scores[i, :, :k], axis=1, kind="stable")
                for out, values in ((ids, kept.ids), (scores, kept.scores), (full, kept.full)):
                    out[i, tile] = np.take_along_axis(values[i, :, :k], best_first, axis=1)

        list(pool.map(order, self.tiles, self.kept))
        return PartialTopK(
            first_row=self.first_row,
            n_docs=self.n_docs,
            ids=ids,
            ranking=scores,
            full_ranking=full,
            zero_docs=tuple(int(count) for count in self.zero_docs),
        )
