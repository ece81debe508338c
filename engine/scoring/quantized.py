"""Exact top-k over codes: every code of the corpus is scored, as a production system without an index does.

int8 codes are multiplied as int8 on both sides (what Qdrant, Elasticsearch and usearch do) and summed exactly in int32;
binary codes are compared by Hamming distance on both sides (pgvector, Vespa, Elasticsearch). NumKong, the kernels below
usearch, does both with the instructions that the processor has for it. Float codes go through `nested_topk`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from engine.errors import ParameterError, VectorError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import selection
from engine.scoring.codes import Codes, encode_queries
from engine.scoring.nested import nested_topk, usable_processors
from engine.scoring.vector_ops import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from engine.embeddings import Vectors
    from engine.progress import Cancelled, Progress
    from engine.scoring.codes import Codebook, QueryCodes

    Array = npt.NDArray[Any]
    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_QUERIES_AT_ONCE = 128
_TILE_SCORES = 1 << 17  # products and scores of a tile are 1 MiB together and stay in the level-2 cache
_LARGEST_TILE = 1 << 15
_BLOCK_ROWS = 1 << 16  # between two looks at `cancelled`

_u = np.uint64
_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@dataclass(frozen=True, eq=False, kw_only=True)
class CodeTopK:
    """The k best documents of every query by their codes, best first, lower row first among equal scores.

    `ids` int64 and `scores` float32 are (q, k). Scores of int8 codes are those of the decoded vectors; of binary codes
    ``1 - 2 × Hamming distance / dim``, the cosine of the sign vectors. A score is -inf where a zero vector has no
    cosine. `k` is the smaller of `k_requested` and the number of documents that every query may retrieve.
    """

    ids: Int64
    scores: Float32
    k: int
    k_requested: int
    n_docs: int


def code_topk(
    codes: Codes | Iterable[Codes],
    queries: Vectors,
    k: int,
    *,
    exclude: Int64 | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> CodeTopK:
    """Return the exact top k of full query vectors (q, d) among `codes`, or among blocks of them (`code_blocks`).

    Queries are coded like the documents; against float codes they stay float32. `exclude` (q,) names a corpus row each
    query may not retrieve, -1 for none. `n_threads` defaults to the processors this process may use; threads share the
    queries, so a single query runs on one.

    Raises
    ------
    ParameterError
        For k < 1, or an `exclude` of another length.
    VectorError
        For queries that are not finite or of the wrong dimension, and where there are no codes.
    CancelledError
        When `cancelled` answers true.
    """
    if k < 1:
        raise ParameterError("k must be at least 1", found=k)
    parts = iter([codes]) if isinstance(codes, Codes) else iter(codes)
    first = next(parts, None)
    if first is None or not len(first.data):
        raise VectorError("the corpus must hold at least one vector", found="no codes")
    book, parts = first.book, chain([first], parts)
    _check_queries(queries, book)
    barred = np.full(len(queries), -1, np.int64) if exclude is None else np.asarray(exclude, np.int64)
    if barred.shape != (len(queries),):
        raise ParameterError("exclude must name one row a query", found=f"shape {barred.shape}")
    asked = encode_queries(queries, book)
    threads = n_threads or usable_processors()
    if book.dtype in {"float32", "float16"}:
        return _float_topk(parts, book, asked, k, barred, threads, progress=progress, cancelled=cancelled)
    scan = _Scan(book, asked, k, barred, threads)
    with ThreadPoolExecutor(threads) as pool:
        for block in _small_blocks(parts):
            stop_if(cancelled)
            scan.add(block, pool)
            progress(0.0, f"Scored {scan.n_docs:,} {book.dtype} codes")
    progress(1.0, f"Scored {scan.n_docs:,} {book.dtype} codes")
    return scan.result()


def _check_queries(queries: Vectors, book: Codebook) -> None:
    if queries.ndim != 2 or queries.shape[0] == 0 or queries.shape[1] < book.dim:
        raise VectorError(
            f"queries must be a 2-D array of at least one full vector, of {book.dim} components or more",
            found=f"shape {queries.shape}",
        )


def _float_topk(
    parts: Iterable[Codes],
    book: Codebook,
    asked: QueryCodes,
    k: int,
    barred: Int64,
    n_threads: int,
    *,
    progress: Progress,
    cancelled: Cancelled,
) -> CodeTopK:
    found = nested_topk(
        (part.data for part in parts),
        asked.data,
        (book.dim,),
        k,
        metric=book.metric,
        exclude=barred,
        n_threads=n_threads,
        progress=progress,
        cancelled=cancelled,
    )
    return CodeTopK(ids=found.ids[0], scores=found.scores[0], k=found.k, k_requested=k, n_docs=found.n_docs)


@dataclass(frozen=True, eq=False)
class _Block:
    """Codes of some corpus rows, and what is added to the products of each: `LOWEST` where it has no cosine."""

    data: Array
    shift: Float32


def _small_blocks(parts: Iterable[Codes]) -> Iterator[_Block]:
    first_row = 0
    for part in parts:
        n = len(part.data)
        shift = np.zeros(n, np.float32) if part.squares is None else -part.squares
        if part.book.metric == "cosine":
            # Blocks count their rows from the whole corpus, and so does a Codes of all of it.
            shift[part.zero_rows - first_row] = selection.LOWEST
        for start in range(0, n, _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            yield _Block(part.data[rows], shift[rows])
        first_row += n


class _Asked:
    """One tile of queries: packed for the kernel, with the candidates found so far."""

    def __init__(self, book: Codebook, queries: QueryCodes, rows: slice, exclude: Int64, k: int) -> None:
        import numkong  # compiled, and only codes need it

        data = np.ascontiguousarray(queries.data[rows])
        if book.dtype == "binary":
            self._products, packed = numkong.hammings_packed, numkong.hammings_pack(data)
            factors = np.full(len(data), -1, np.float32)
        else:
            self._products, packed = numkong.dots_packed, numkong.dots_pack(data, dtype="int8")
            factors = _ranking_factors(book, queries.steps[rows])
        self._packed, self._factors, self._exclude, self._k = packed, factors, exclude[rows], k
        shape = (len(data), selection.capacity(k))
        self.scores, self.ids = np.empty(shape, np.float32), np.empty(shape, np.int64)
        self._unused = np.empty(shape, np.float32)
        self._counts, self._thresholds = np.zeros(len(data), np.int64), np.full(len(data), -np.inf, np.float32)
        tile = max(1024, min(_LARGEST_TILE, _TILE_SCORES // len(data)))
        self._tile_rows = tile // GROUP * GROUP

    def score(self, block: _Block, first_row: int) -> None:
        """Add the candidates of `block`, whose first row is corpus row `first_row`."""
        size = min(self._tile_rows, -(-len(block.data) // GROUP) * GROUP)
        sums = np.zeros((len(self.scores), size), np.float32)
        scale = np.ones(size, np.float32)
        for start in range(0, len(block.data), size):
            tile = block.data[start : start + size]
            shift = np.full(size, -np.inf, np.float32)
            shift[: len(tile)] = block.shift[start : start + size]
            _turn(np.asarray(self._products(tile, self._packed)), self._factors, sums)
            selection.select(
                sums,
                first_row + start,
                scale,
                shift,
                self._exclude,
                self._k,
                self.scores,
                self.ids,
                self._unused,
                self._counts,
                self._thresholds,
            )

    def best(self, k: int) -> tuple[Int64, Float32]:
        """Return ids and ranking scores of the k best, in order."""
        selection.finish(k, self.scores, self.ids, self._unused, self._counts)
        # Stable, so that equal scores keep the row order of the buffer.
        order = np.argsort(-self.scores[:, :k], axis=1, kind="stable")
        return np.take_along_axis(self.ids[:, :k], order, axis=1), np.take_along_axis(self.scores[:, :k], order, axis=1)


class _Scan:
    def __init__(self, book: Codebook, queries: QueryCodes, k: int, exclude: Int64, n_threads: int) -> None:
        self.book, self.queries, self.k, self.exclude = book, queries, k, exclude
        self.n_docs = 0
        n = len(queries.data)
        rounds = -(-n // (_QUERIES_AT_ONCE * n_threads))
        edges = np.unique(np.linspace(0, n, rounds * n_threads + 1).round().astype(int))
        self.tiles = [slice(int(start), int(stop)) for start, stop in pairwise(edges)]
        self.asked = [_Asked(book, queries, tile, exclude, k) for tile in self.tiles]

    def add(self, block: _Block, pool: ThreadPoolExecutor) -> None:
        """Score `block`, the corpus rows that follow those seen before."""
        if len(self.asked) == 1:
            self.asked[0].score(block, self.n_docs)
        else:
            jobs = [pool.submit(asked.score, block, self.n_docs) for asked in self.asked]
            for job in jobs:
                job.result()
        self.n_docs += len(block.data)

    def result(self) -> CodeTopK:
        """Order the candidates and turn their ranking scores into scores."""
        barred = np.any((self.exclude >= 0) & (self.exclude < self.n_docs))
        k = max(1, min(self.k, self.n_docs - int(barred)))
        ids = np.empty((len(self.exclude), k), np.int64)
        scores = np.empty((len(self.exclude), k), np.float32)
        for tile, asked in zip(self.tiles, self.asked, strict=True):
            ids[tile], ranked = asked.best(k)
            scores[tile] = _final_scores(self.book, self.queries, tile, ranked)
        return CodeTopK(ids=ids, scores=scores, k=k, k_requested=self.k, n_docs=self.n_docs)


def _ranking_factors(book: Codebook, steps: Float32) -> Float32:
    """Return what the int8 product of each query is multiplied with before the constant of the document is added.

    For products 1: whole numbers rank without rounding, and equal ones tie. For l2 ``-|q - x|² + |q|² = 2·q·x - |x|²``.
    """
    if book.calibration is None or book.metric != "l2":
        return np.ones(len(steps), np.float32)
    return (2 * steps * np.float32(book.calibration.step)).astype(np.float32)


def _final_scores(book: Codebook, queries: QueryCodes, rows: slice, ranked: Float32) -> Float32:
    """Return the scores that the ranking scores (q, k) of the queries `rows` stand for."""
    lost = ranked == selection.LOWEST
    if book.metric == "cosine":
        lost |= queries.zero[rows, None]
    ranked = np.where(lost, np.float32(0), ranked)
    if book.calibration is None:
        scores = 1 + 2 * ranked / np.float32(book.dim)
    elif book.metric == "l2":
        decoded = queries.data[rows].astype(np.float32) * queries.steps[rows, None]
        scores = ranked - np.einsum("ij,ij->i", decoded, decoded)[:, None]
    else:
        sizes = queries.steps[rows] * np.float32(book.calibration.step)
        scores = ranked * sizes[:, None] + queries.offsets[rows, None]
    scores[lost] = -np.inf
    return np.asarray(scores, np.float32)


@_jit
def _turn(products: Array, factors: Array, sums: Array) -> None:
    """Write ``products.T * factors[:, None]`` into `sums` (q, at least rows); `products` are (rows, q)."""
    rows, queries = products.shape
    for first in range(0, queries, 32):
        for start in range(0, rows, 32):
            for i in range(first, min(first + 32, queries)):
                for j in range(start, min(start + 32, rows)):
                    sums[_u(i), _u(j)] = np.float32(products[_u(j), _u(i)]) * factors[_u(i)]
