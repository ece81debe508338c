"""The three serving paths, built over the same vectors and asked in the same way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from engine.progress import ignore_progress, never_cancelled
from engine.scoring import PrefixStore
from engine.tradeoff.latency.hnsw import HnswIndex, truncated
from engine.tradeoff.latency.timing import Throughput, serve_batches, serve_from_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.latency.results import LatencyPath

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Workload:
    """What every path serves: `corpus` (n, D) and `queries` (q, D) float32, and the row (q,) a query may not retrieve.

    `exclude` is -1 where a query may retrieve everything.
    """

    corpus: Float32
    queries: Float32
    exclude: Int64
    metric: Metric
    k: int


class ServingPath(Protocol):
    """A way to answer queries at one dimension; `build_s` seconds to build, `bytes_per_vector` to store."""

    path: LatencyPath
    dim: int
    build_s: float
    bytes_per_vector: float

    def search(self, query: int) -> Int64:
        """Return the rows (k,) found for query number `query`, alone."""

    def serve(
        self,
        queries: Int64,
        n_threads: int,
        *,
        per_call: int,
        seconds: float,
        clock: Callable[[], int],
        cancelled: Cancelled,
    ) -> Throughput | None:
        """Measure the throughput over query numbers `queries`, each thread `per_call` of them a call, one by one.

        None where so many threads cannot be had.
        """


class ScanPath:
    """An exact scan of a `PrefixStore`, over its full rows or over a truncated copy."""

    def __init__(
        self, store: PrefixStore, load: Workload, *, path: LatencyPath, dim: int, build_s: float, bytes_per_vector: int
    ) -> None:
        self.path, self.dim, self.build_s, self.bytes_per_vector = path, dim, build_s, float(bytes_per_vector)
        self._store, self._load = store, load

    def search(self, query: int) -> Int64:
        """Return the rows (k,) found for query number `query`."""
        load = self._load
        vector = load.queries[query, : self._store.full_dim]
        return self._store.search(vector, load.k, self.dim, exclude=load.exclude[query]).ids

    def serve(
        self,
        queries: Int64,
        n_threads: int,
        *,
        per_call: int,
        seconds: float,
        clock: Callable[[], int],
        cancelled: Cancelled = never_cancelled,
    ) -> Throughput:
        """Measure the throughput of `n_threads` Python threads; scans let each other run."""
        load, store = self._load, self._store
        rows = _around(queries, per_call)
        vectors = np.ascontiguousarray(load.queries[rows, : store.full_dim])
        exclude = load.exclude[rows]

        def answer(first: int, count: int) -> None:
            part = slice(first, first + count)
            store.search_each(vectors[part], load.k, self.dim, exclude=exclude[part])

        return serve_from_threads(
            answer,
            len(queries),
            per_call=per_call,
            n_threads=n_threads,
            seconds=seconds,
            clock=clock,
            cancelled=cancelled,
        )


def _around(queries: Int64, extra: int) -> Int64:
    """Return `queries` and `extra` more from the beginning on, so that a call may run past the end."""
    return np.resize(queries, len(queries) + extra)


class HnswPath:
    """An approximate search of an HNSW graph of truncated vectors."""

    path: LatencyPath = "hnsw"

    def __init__(self, index: HnswIndex, load: Workload, *, build_s: float, most_threads: int) -> None:
        self.index, self.dim, self.build_s = index, index.dim, build_s
        self.bytes_per_vector = index.bytes_per_vector
        self._load, self._most_threads = load, most_threads
        # A query that was held out finds itself first, so one more is asked for and itself is dropped.
        self._asked = load.k + int((load.exclude >= 0).any())

    def search(self, query: int) -> Int64:
        """Return the rows (at most k,) found for query number `query`."""
        load = self._load
        found = self.index.search(load.queries[query, : self.dim], self._asked)
        if self._asked > load.k:
            found = found[found != load.exclude[query]]
        return found[: load.k]

    def search_many(self, queries: Int64, *, n_threads: int = 1) -> Int64:
        """Return the rows (q, k) found for the query numbers `queries` (q,), -1 where fewer were."""
        load = self._load
        reduced = np.ascontiguousarray(load.queries[queries, : self.dim])
        found = self.index.search_many(reduced, self._asked, n_threads=n_threads)
        if self._asked > load.k:
            own = found == load.exclude[queries][:, None]
            order = np.argsort(own, axis=1, kind="stable")
            found = np.take_along_axis(np.where(own, -1, found), order, axis=1)
        return found[:, : load.k]

    def serve(
        self,
        queries: Int64,
        n_threads: int,
        *,
        per_call: int,
        seconds: float,
        clock: Callable[[], int],
        cancelled: Cancelled = never_cancelled,
    ) -> Throughput | None:
        """Measure the throughput of usearch's own threads: it lets Python threads take turns only."""
        if n_threads > self._most_threads:
            return None  # usearch would start fewer threads and not say so
        rows = _around(queries, per_call * n_threads)
        return serve_batches(
            lambda first, count: self.search_many(rows[first : first + count], n_threads=n_threads),
            len(queries),
            per_call=per_call,
            n_threads=n_threads,
            seconds=seconds,
            clock=clock,
            cancelled=cancelled,
        )


def build_scans(
    load: Workload, dims: Sequence[int], path: LatencyPath, *, clock: Callable[[], int] = time.perf_counter_ns
) -> list[ScanPath]:
    """Return the paths ``prefix`` (one store of the full rows for all `dims`) or ``exact`` (a copy for each)."""
    norm = 0 if load.metric == "ip" else 4
    if path == "prefix":
        began = clock()
        store = PrefixStore(load.corpus, metric=load.metric, dims=dims)
        build_s, row = (clock() - began) / 1e9, 4 * store.full_dim + norm
        return [ScanPath(store, load, path=path, dim=dim, build_s=build_s, bytes_per_vector=row) for dim in dims]
    scans: list[ScanPath] = []
    for dim in dims:
        began = clock()
        store = PrefixStore(truncated(load.corpus, dim, load.metric), metric=load.metric, dims=(dim,))
        build_s, row = (clock() - began) / 1e9, 4 * dim + norm
        scans.append(ScanPath(store, load, path=path, dim=dim, build_s=build_s, bytes_per_vector=row))
    return scans


def build_hnsw(
    load: Workload,
    dim: int,
    *,
    n_build_threads: int,
    most_threads: int,
    clock: Callable[[], int] = time.perf_counter_ns,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> HnswPath:
    """Return the path ``hnsw`` at `dim`, its ef not chosen yet; at most `most_threads` threads search it at once."""
    began = clock()
    index = HnswIndex(
        truncated(load.corpus, dim, load.metric),
        metric=load.metric,
        n_threads=n_build_threads,
        clock=clock,
        progress=progress,
        cancelled=cancelled,
    )
    return HnswPath(index, load, build_s=(clock() - began) / 1e9, most_threads=most_threads)
