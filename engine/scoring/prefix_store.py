"""Full vectors held once and searched exactly at any prefix: "full stored, query reduced".

A prefix of a row is where the row is: a scan reads the first components of every row and skips the others, so that no
dimension needs a copy. Only the prefix norms are added. Which dimension is served is one attribute that points to an
immutable snapshot: a search reads it once, so a switch never shows half of the old and half of the new dimension.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.paging import blocks
from engine.errors import ParameterError, VectorError
from engine.scoring import selection
from engine.scoring.nested import check_scoring, nested_topk
from engine.scoring.rows import as_float32, refuse_not_finite
from engine.scoring.scan import TILE_ROWS, scan_each
from engine.scoring.terms import ranking_terms, restore_query_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_BLOCK_BYTES = 1 << 26
_LONGEST_HISTORY = 100


@dataclass(frozen=True, eq=False, kw_only=True)
class PrefixHits:
    """The best documents of a search at `dim`: `ids` int64 and `scores` float32, (k,) of one query or (q, k) of many.

    Best first, lower row first among equal scores; a score is -inf where a zero vector has no cosine.
    """

    dim: int
    ids: Int64
    scores: Float32


@dataclass(frozen=True, eq=False)
class _Prefix:
    """What scoring at one dimension needs beside the vectors; arrays (n,) padded to whole tiles."""

    dim: int
    scale: Float32
    shift: Float32


@dataclass(frozen=True)
class _Served:
    """What a search reads once: the dimension served, and those before it, oldest first."""

    dim: int
    history: tuple[int, ...] = ()


class PrefixStore:
    """Searches `corpus` (n, D) exactly at any of `dims`, for one query or many, from any number of threads.

    A float32 corpus with contiguous rows, also a memory map, is used where it lies and must not change; any other, and
    one with the recipe ``layer_norm``, is converted once. Beside it a float32 norm is held for each row and each of
    `dims`. The largest of `dims` is served until `set_dim` chooses another.

    Raises
    ------
    ParameterError
        For dims that are not ascending within 1..D, or an unknown metric or recipe.
    VectorError
        For an empty corpus, or rows with NaN or infinite components (with their row numbers).
    """

    def __init__(
        self, corpus: Vectors, *, metric: Metric = "cosine", recipe: Recipe = "prefix", dims: Sequence[int]
    ) -> None:
        if corpus.ndim != 2 or 0 in corpus.shape:
            raise VectorError("the corpus must be a 2-D array with at least one vector", found=f"shape {corpus.shape}")
        self.dims = check_scoring(dims, corpus.shape[1], metric=metric, recipe=recipe)
        self.metric: Metric = metric
        self.recipe: Recipe = recipe
        self._rows = _kept_rows(corpus, recipe)
        self._prefixes = self._measure_prefixes()
        self._served = _Served(self.dims[-1])
        self._switching = threading.Lock()

    @property
    def n_docs(self) -> int:
        """Number of corpus rows."""
        return int(self._rows.shape[0])

    @property
    def full_dim(self) -> int:
        """Number of components of the stored vectors."""
        return int(self._rows.shape[1])

    @property
    def vectors(self) -> Float32:
        """The stored vectors (n, D): a view of the corpus given, wherever it could be used as it is."""
        return self._rows

    @property
    def dim(self) -> int:
        """The dimension that searches use unless they name another."""
        return self._served.dim

    @property
    def history(self) -> tuple[int, ...]:
        """The dimensions served before the present one, oldest first (the last 100)."""
        return self._served.history

    def set_dim(self, dim: int) -> None:
        """Serve `dim` from now on; searches under way finish at the dimension they began with.

        Raises
        ------
        ParameterError
            When `dim` is none of `dims`.
        """
        self._prefix(dim)
        with self._switching:
            served = self._served
            if dim != served.dim:
                self._served = _Served(dim, (*served.history, served.dim)[-_LONGEST_HISTORY:])

    def roll_back(self) -> int:
        """Serve the dimension before the present one again, and return it.

        Raises
        ------
        ParameterError
            When there is none.
        """
        with self._switching:
            served = self._served
            if not served.history:
                raise ParameterError(
                    "a roll back needs an earlier dimension", found=f"only {served.dim} was ever served"
                )
            self._served = _Served(served.history[-1], served.history[:-1])
            return self._served.dim

    def search(
        self, queries: Vectors, k: int, dim: int | None = None, *, exclude: Int64 | int | None = None
    ) -> PrefixHits:
        """Return the exact top k of one query (D,) or of several (q, D), at `dim` or at the dimension served.

        Scores and their order are those of `nested_topk`. Queries come at the full dimension. k becomes the number of
        documents that every query may retrieve where it is larger; `exclude` names a row which a query (one each) may
        not retrieve, -1 for none. One query runs on the calling thread, several share the processors.

        Raises
        ------
        ParameterError
            When k is below 1, `dim` is none of `dims`, or `exclude` does not name one row a query.
        VectorError
            When a query is not of dimension D, or has NaN or infinite components.
        """
        prefix = self._prefix(self._served.dim if dim is None else dim)
        if queries.ndim == 1:
            ids, scores = self._scan(prefix, queries[None], k, exclude)
            return PrefixHits(dim=prefix.dim, ids=ids[0], scores=scores[0])
        checked, barred = self._checked(queries, k, exclude)
        found = nested_topk(self._rows, checked, (prefix.dim,), k, metric=self.metric, exclude=barred)
        return PrefixHits(dim=prefix.dim, ids=found.ids[0], scores=found.scores[0])

    def search_each(
        self, queries: Vectors, k: int, dim: int | None = None, *, exclude: Int64 | int | None = None
    ) -> PrefixHits:
        """Return what `search` does for several queries (q, D), one after the other on the calling thread.

        Python runs once for all of them, so this is how a thread of a server would work through its queue.
        """
        prefix = self._prefix(self._served.dim if dim is None else dim)
        ids, scores = self._scan(prefix, queries, k, exclude)
        return PrefixHits(dim=prefix.dim, ids=ids, scores=scores)

    def _scan(self, prefix: _Prefix, queries: Vectors, k: int, exclude: Int64 | int | None) -> tuple[Int64, Float32]:
        checked, barred = self._checked(queries, k, exclude)
        k = max(1, min(k, self.n_docs - int(((barred >= 0) & (barred < self.n_docs)).any())))
        ids, scores = np.empty((len(checked), k), np.int64), np.empty((len(checked), k), np.float32)
        room = selection.capacity(k)
        scan_each(self._rows, checked, prefix.dim, prefix.scale, prefix.shift, barred, room, ids, scores)
        restore_query_terms(scores, self._squares(checked, prefix.dim), self.metric)
        return ids, scores

    def _checked(self, queries: Vectors, k: int, exclude: Int64 | int | None) -> tuple[Float32, Int64]:
        if k < 1:
            raise ParameterError("k must be at least 1", found=k)
        if queries.ndim != 2 or queries.shape[0] == 0 or queries.shape[1] != self.full_dim:
            raise VectorError(
                "queries must be one vector or a 2-D array, at the full dimension of the corpus",
                found=f"shape {queries.shape} and a corpus of {self.full_dim}",
            )
        barred = np.full(len(queries), -1, np.int64) if exclude is None else np.array(exclude, np.int64, ndmin=1)
        if barred.shape != (len(queries),):
            raise ParameterError("exclude must name one row a query", found=f"shape {barred.shape}")
        checked = as_float32(queries, self.recipe)
        if not checked.flags.writeable:
            checked = checked.copy()  # numba would compile the scan once more for arrays that are read-only
        refuse_not_finite(checked, "queries", self._squares(checked, self.full_dim))
        return checked, barred

    def _squares(self, queries: Float32, dim: int) -> Float32:
        squares = np.zeros(len(queries), np.float32)
        selection.add_segment_norms(queries, 0, dim, squares)
        return squares

    def _prefix(self, dim: int) -> _Prefix:
        prefix = self._prefixes.get(dim)
        if prefix is None:
            raise ParameterError(
                "only the dimensions the store was built for can be searched",
                found=dim,
                hint=f"Choose one of {', '.join(map(str, self.dims))}",
            )
        return prefix

    def _measure_prefixes(self) -> dict[int, _Prefix]:
        squares = np.zeros((len(self.dims), self.n_docs), np.float32)
        for first, block in blocks(self._rows, max(1, _BLOCK_BYTES // (4 * self.full_dim))):
            rows = np.ascontiguousarray(block)
            for i, (start, stop) in enumerate(pairwise((0, *self.dims))):
                part = squares[i, first : first + len(rows)]
                if i:
                    part[:] = squares[i - 1, first : first + len(rows)]
                selection.add_segment_norms(rows, start, stop, part)
            whole = squares[-1, first : first + len(rows)].copy()
            selection.add_segment_norms(rows, self.dims[-1], self.full_dim, whole)
            refuse_not_finite(rows, "corpus", whole, first_row=first)
        width = -(-self.n_docs // TILE_ROWS) * TILE_ROWS
        prefixes: dict[int, _Prefix] = {}
        before: _Prefix | None = None
        for dim, of_dim in zip(self.dims, squares, strict=True):
            scale, shift = (terms[0] for terms in ranking_terms(of_dim[None], self.metric, width=width))
            # Most metrics need one of the two only; the other is the same at every dimension and is held once.
            if before is not None:
                scale, shift = _same_or_new(before.scale, scale), _same_or_new(before.shift, shift)
            before = prefixes[dim] = _Prefix(dim, scale, shift)
        return prefixes


def _kept_rows(corpus: Vectors, recipe: Recipe) -> Float32:
    """Return the corpus itself where its rows are float32 and contiguous, else float32 rows made from it."""
    row_bytes, item_bytes = corpus.strides
    contiguous_rows = item_bytes == 4 and row_bytes % 4 == 0 and row_bytes >= 4 * corpus.shape[1]
    if recipe == "prefix" and corpus.dtype == np.float32 and contiguous_rows:
        return np.asarray(corpus)
    return as_float32(corpus, recipe)


def _same_or_new(held: Float32, new: Float32) -> Float32:
    return held if np.array_equal(held, new) else new
