"""HNSW graphs of truncated vectors: building them, choosing how widely to search, and what their links weigh."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import usable_processors
from engine.scoring.ranking import TIE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric
    from engine.progress import Cancelled, Progress

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

CONNECTIVITY = 16
EXPANSION_ADD = 128
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Candidate list lengths that are tried, smallest first."""

_ROWS_BETWEEN_CHECKS = 2_000
_ROWS_TO_WEIGH = 2_000
# Renormalised vectors rank alike by product and by cosine, and a product is cheaper.
_KIND_OF_METRIC = {"cosine": "ip", "ip": "ip", "l2": "l2sq"}


def truncated(vectors: Float32, dim: int, metric: Metric) -> Float32:
    """Return the first `dim` components of `vectors` (n, d) as a contiguous copy, re-normalised for cosine.

    This is what a migrated store holds. Zero vectors stay zero.
    """
    copy = np.array(vectors[:, :dim], dtype=np.float32, order="C")
    if metric == "cosine":
        norms = np.sqrt(np.einsum("nd,nd->n", copy, copy))
        norms[norms == 0] = 1
        copy /= norms[:, None]
    return copy


class HnswIndex:
    """A graph over `vectors` (n, d) float32, searched approximately; `ef` is the length of its candidate list.

    Built by `n_threads` threads (default: the usable processors); only one thread builds the same graph every time.
    `build_s` is what that took. For cosine give re-normalised vectors (`truncated`). Python threads take turns on one
    index: usearch locks it. `search_many` runs its threads inside.

    Raises
    ------
    CancelledError
        When `cancelled` answers true during the build.
    """

    def __init__(
        self,
        vectors: Float32,
        *,
        metric: Metric,
        connectivity: int = CONNECTIVITY,
        expansion_add: int = EXPANSION_ADD,
        n_threads: int | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> None:
        from usearch.index import Index  # compiled, and only HNSW needs it

        self.n_docs, self.dim = vectors.shape
        self.connectivity, self.expansion_add = connectivity, expansion_add
        self.n_build_threads = n_threads or usable_processors()
        began = clock()
        self._index: Any = Index(
            ndim=self.dim,
            metric=_KIND_OF_METRIC[metric],
            dtype="f32",
            connectivity=connectivity,
            expansion_add=expansion_add,
            enable_key_lookups=False,  # keys are row numbers and are never looked up
        )
        for start in range(0, self.n_docs, _ROWS_BETWEEN_CHECKS):
            stop_if(cancelled)
            block = vectors[start : start + _ROWS_BETWEEN_CHECKS]
            keys = np.arange(start, start + len(block), dtype=np.uint64)
            self._index.add(keys, block, threads=self.n_build_threads)
            progress((start + len(block)) / self.n_docs, f"Linked {start + len(block):,} documents")
        self.build_s = (clock() - began) / 1e9

    @property
    def ef(self) -> int:
        """How many candidates a search keeps; k where that is larger."""
        return int(self._index.expansion_search)

    @ef.setter
    def ef(self, ef: int) -> None:
        self._index.expansion_search = ef

    @property
    def bytes_per_vector(self) -> float:
        """Measured size of the stored graph over its documents: components, links and keys."""
        return float(self._index.serialized_length / self.n_docs)

    def search(self, query: Float32, k: int) -> Int64:
        """Return the rows (at most k,) found for one `query` (d,), best first."""
        return np.asarray(self._index.search(query, k, threads=1).keys, dtype=np.int64)

    def search_many(self, queries: Float32, k: int, *, n_threads: int = 1) -> Int64:
        """Return the rows (q, k) found for `queries` (q, d), -1 where fewer were; each thread answers one at a time."""
        matches = self._index.search(np.atleast_2d(queries), k, threads=n_threads)
        found = np.atleast_2d(np.asarray(matches.keys).astype(np.int64))
        if len(queries) == 1:  # usearch cuts the only row to what was found
            return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)
        found[np.arange(k) >= np.asarray(matches.counts)[:, None]] = -1
        return found


@cache
def hnsw_bytes_per_vector(dim: int, *, connectivity: int = CONNECTIVITY) -> float:
    """Return the measured bytes a float32 vector of `dim` components takes in an HNSW graph: itself, links and key.

    usearch reserves all links of a node when it adds it, so the size does not depend on the data: 2,000 random vectors
    are linked, and the stored graph is weighed. `4 * dim` of it are the components.
    """
    if dim < 1:
        raise ParameterError("the number of dimensions must be at least 1", found=dim)
    # The links do not depend on dim either: short vectors weigh the same and are linked sooner.
    short = np.random.default_rng(0).standard_normal((_ROWS_TO_WEIGH, 4), dtype=np.float32)
    index = HnswIndex(short, metric="l2", connectivity=connectivity, expansion_add=1, n_threads=1)
    beside_components: float = index.bytes_per_vector - 4 * short.shape[1]
    return beside_components + 4 * dim


@dataclass(frozen=True, eq=False, kw_only=True)
class EfChoice:
    """The `ef` chosen and the mean `recall` of the exact answer it reached on the queries it was chosen on.

    `tried` maps each ef tried to its recall. `reached` is false where even the largest one missed the target.
    """

    ef: int
    recall: float
    reached: bool
    tried: dict[int, float]


def choose_ef(
    index: HnswIndex,
    measure: Callable[[], npt.NDArray[np.floating]],
    *,
    k: int,
    target: float,
    efs: Sequence[int] = EFS,
    cancelled: Cancelled = never_cancelled,
) -> EfChoice:
    """Set the `ef` of `index` to the smallest of `efs`, from k up, whose mean recall reaches `target`.

    `measure` searches `index` and returns the recall of each query (q,), NaN for none. An ef beyond the number of
    documents is never tried. Where none reaches the target the largest stays set.

    Raises
    ------
    ParameterError
        When `efs` is empty or below 1, k is below 1, or the target is not above 0 and at most 1.
    """
    if not len(efs) or min(efs) < 1:
        raise ParameterError("ef must be at least 1", found=list(efs))
    if k < 1:
        raise ParameterError("k must be at least 1", found=k)
    check_target_recall(target)
    longest = max(k, index.n_docs)
    tried: dict[int, float] = {}
    for ef in sorted({min(max(ef, k), longest) for ef in efs}):
        stop_if(cancelled)
        index.ef = ef
        values = measure()
        known = values[~np.isnan(values)]
        tried[ef] = float(known.mean()) if len(known) else float("nan")
        if tried[ef] >= target - TIE_TOLERANCE:
            return EfChoice(ef=ef, recall=tried[ef], reached=True, tried=tried)
    return EfChoice(ef=index.ef, recall=tried[index.ef], reached=False, tried=tried)


def check_target_recall(target: float) -> None:
    """Raise `ParameterError` unless `target` is a share above 0 and at most 1."""
    if not 0 < target <= 1:
        raise ParameterError("the target recall must be above 0 and at most 1", found=target)
