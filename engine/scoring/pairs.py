"""Exact scores of chosen pairs of query and document, and the rerank of a shortlist by them.

A pair's score depends on that pair alone, to the last bit: it is computed by the same loop whatever else is scored with
it. So scores of several calls can be compared without a tolerance for the order of the sums.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from engine.errors import ParameterError, VectorError
from engine.scoring.nested import check_scoring, usable_processors
from engine.scoring.rows import as_float32

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors

    Array = npt.NDArray[Any]
    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_COPIED_BYTES = 1 << 25  # of gathered rows, a thread
_METRIC_NUMBERS = {"ip": 0, "l2": 1, "cosine": 2}

Scalar = Any  # numba works out the type of a number inside a kernel
_u = np.uint64
_ZERO = np.float32(0)
_LOST = np.float32(-np.inf)
_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_jit_summing = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})


@dataclass(frozen=True, eq=False, kw_only=True)
class Reranked:
    """The k best documents of every shortlist, (q, k): `ids` int64, `scores` float32, lower row first among equals."""

    ids: Int64
    scores: Float32


def rerank(
    shortlist_ids: Int64,
    corpus: Vectors,
    queries: Vectors,
    k: int,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    dim: int | None = None,
    n_threads: int | None = None,
) -> Reranked:
    """Return the `k` best documents of each shortlist (q, s) by the first `dim` components of the full vectors.

    `dim` defaults to all of them. Every row of `shortlist_ids` must name s different corpus rows.

    Raises
    ------
    ParameterError
        When the shortlist is smaller than k, or as `pair_scores` does.
    """
    if not 1 <= k <= shortlist_ids.shape[1]:
        raise ParameterError(
            "a shortlist must hold at least the k documents that are kept of it",
            found=f"a shortlist of {shortlist_ids.shape[1]} for k = {k}",
            hint="Shortlist k documents or more",
        )
    scores = pair_scores(corpus, queries, shortlist_ids, metric=metric, recipe=recipe, dim=dim, n_threads=n_threads)
    return best_of(shortlist_ids, scores, k)


def best_of(ids: Int64, scores: Float32, k: int) -> Reranked:
    """Return the `k` best of `ids` (q, s) by `scores` (q, s), best first, lower row first among equals."""
    # One integer holds score and row, so that one plain sort, which NumPy does with vector instructions, orders both:
    # ten times as fast as a sort by two keys. Rows fit 32 bits; more vectors do not fit a machine.
    keys = np.sort((~_ordered_bits(scores)).astype(np.int64) << 32 | ids, axis=1)[:, :k]
    ordered = ~(keys >> 32).astype(np.int32)
    return Reranked(ids=keys & 0xFFFFFFFF, scores=_swap_negative(ordered).view(np.float32))


def _ordered_bits(scores: Float32) -> npt.NDArray[np.int32]:
    """Return the bits of float32 `scores` as integers of the same order; -0 counts as 0."""
    return _swap_negative(np.asarray(scores + np.float32(0), np.float32).view(np.int32))


def _swap_negative(bits: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    # Negative floats ascend in magnitude as their bits do, so all bits but the sign are turned; twice gives them back.
    return np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)


def pair_scores(
    corpus: Vectors,
    queries: Vectors,
    ids: Int64,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    dim: int | None = None,
    n_threads: int | None = None,
) -> Float32:
    """Return the score of every query (q, d) with the corpus rows `ids` (q, s) names for it, float32 (q, s).

    Scores are cosine, inner product or negated squared distance over the first `dim` components (default: all). A zero
    vector has no cosine: -inf. `corpus` may be memory-mapped; only the rows named are read.

    Raises
    ------
    ParameterError
        For an unknown metric or recipe, or a `dim` outside 1..d.
    VectorError
        When an id is not a corpus row, or the shapes do not fit.
    """
    full = queries.shape[1]
    (checked,) = check_scoring((full if dim is None else dim,), full, metric=metric, recipe=recipe)
    if ids.shape[0] != queries.shape[0] or corpus.shape[1] != full:
        raise VectorError(
            "ids, queries and corpus must fit together",
            found=f"shapes {ids.shape}, {queries.shape} and {corpus.shape}",
        )
    if ids.size and (ids.min() < 0 or ids.max() >= corpus.shape[0]):
        raise VectorError(f"ids must be corpus rows, 0..{corpus.shape[0] - 1}", found=f"{ids.min()}..{ids.max()}")
    scores = np.empty(ids.shape, np.float32)
    job = _Job(corpus, as_float32(queries, recipe), ids, scores, metric, recipe, checked)
    threads = n_threads or usable_processors()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(job.score, job.slices(threads)))
    return scores


@dataclass(frozen=True, eq=False)
class _Job:
    corpus: Vectors
    queries: Float32
    ids: Int64
    scores: Float32
    metric: Metric
    recipe: Recipe
    dim: int

    @property
    def _in_place(self) -> bool:
        return self.recipe == "prefix" and self.corpus.dtype == np.float32 and self.corpus.flags.c_contiguous

    def slices(self, threads: int) -> list[slice]:
        """Return what each step scores: few enough queries that their documents fit the budget."""
        n, width = self.ids.shape
        most = max(1, _COPIED_BYTES // max(1, width * self.corpus.shape[1] * 4))
        steps = max(threads, -(-n // most))
        edges = np.unique(np.linspace(0, n, steps + 1).astype(int))
        return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]

    def score(self, queries: slice) -> None:
        rows, ids = np.asarray(self.corpus), self.ids[queries]
        if not self._in_place:
            named, places = np.unique(ids, return_inverse=True)
            rows, ids = as_float32(self.corpus[named], self.recipe), places.reshape(ids.shape)
        # One type of arrays, because numba compiles the kernel once for each.
        asked, rows, ids = _read_only(self.queries[queries]), _read_only(rows), np.ascontiguousarray(ids)
        _score_pairs(asked, rows, ids, self.dim, _METRIC_NUMBERS[self.metric], self.scores[queries])


def _read_only(array: Float32) -> Float32:
    view = array.view()
    view.flags.writeable = False
    return view


@_jit_summing
def _product(left: Array, right: Array, dim: int) -> Scalar:
    total = _ZERO
    for j in range(dim):
        total += left[_u(j)] * right[_u(j)]
    return total


@_jit_summing
def _squared_distance(left: Array, right: Array, dim: int) -> Scalar:
    total = _ZERO
    for j in range(dim):
        difference = left[_u(j)] - right[_u(j)]
        total += difference * difference
    return total


@_jit
def _score_pairs(queries: Array, rows: Array, ids: Array, dim: int, metric: int, scores: Array) -> None:
    for i in range(ids.shape[0]):
        query = queries[i]
        norm = np.sqrt(_product(query, query, dim))
        for j in range(ids.shape[1]):
            row = rows[ids[i, j]]
            if metric == 1:
                scores[i, j] = -_squared_distance(query, row, dim)
            elif metric == 0:
                scores[i, j] = _product(query, row, dim)
            else:
                both = norm * np.sqrt(_product(row, row, dim))
                scores[i, j] = _product(query, row, dim) / both if both > _ZERO else _LOST
