"""What a latency measurement will do: its options checked, its rows and queries chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import METRICS
from engine.errors import ParameterError
from engine.scoring import usable_processors
from engine.scoring.rows import as_float32
from engine.seeds import check_seed
from engine.tradeoff.dims import check_dims, default_dims
from engine.tradeoff.latency.hnsw import check_target_recall, hnsw_bytes_per_vector
from engine.tradeoff.latency.results import LATENCY_PATHS
from engine.tradeoff.latency.serving import Workload
from engine.tradeoff.rows import at_least, measured_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric
    from engine.tradeoff.latency.results import LatencyPath

    Int64 = npt.NDArray[np.int64]

MOST_THREADS = 256

_MOST_TUNING_QUERIES = 200
_TUNING_SHARE = 5  # one query in five chooses ef


@dataclass(frozen=True, eq=False, kw_only=True)
class LatencyOptions:
    """What was asked for, in range; `clock` and `processor_clock` are in nanoseconds."""

    k: int
    paths: tuple[LatencyPath, ...]
    metric: Metric | None
    n_queries: int
    n_threads: int
    n_build_threads: int
    target_recall: float
    efs: tuple[int, ...]
    throughput_seconds: float
    memory_limit_bytes: int
    max_rows: int
    seed: int
    clock: Callable[[], int]
    processor_clock: Callable[[], int]


def check_options(
    *,
    k: int,
    paths: Sequence[str],
    metric: Metric | None,
    n_queries: int,
    n_threads: int,
    n_build_threads: int | None,
    target_recall: float,
    efs: Sequence[int],
    throughput_seconds: float,
    memory_limit_bytes: int,
    max_rows: int,
    seed: int,
    clock: Callable[[], int],
    processor_clock: Callable[[], int],
) -> LatencyOptions:
    """Return the options once all of them are in range; raises `ParameterError` otherwise."""
    if metric is not None and metric not in METRICS:
        raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=metric)
    check_target_recall(target_recall)
    if not len(efs):
        raise ParameterError("ef must be at least 1", found="none to try")
    if not 0 < throughput_seconds <= 60:
        raise ParameterError(
            "the seconds to measure throughput must be above 0 and at most 60", found=throughput_seconds
        )
    check_seed(seed)
    build_threads = usable_processors() if n_build_threads is None else n_build_threads
    return LatencyOptions(
        k=at_least("k", k, 1),
        paths=_check_paths(paths),
        metric=metric,
        n_queries=at_least("the number of queries", n_queries, 2),
        n_threads=_check_threads(n_threads, "the number of threads"),
        n_build_threads=_check_threads(build_threads, "the number of build threads"),
        target_recall=float(target_recall),
        efs=tuple(at_least("ef", ef, 1) for ef in efs),
        throughput_seconds=throughput_seconds,
        memory_limit_bytes=at_least("the memory limit", memory_limit_bytes, 1),
        max_rows=at_least("the number of sampled rows", max_rows, 1),
        seed=int(seed),
        clock=clock,
        processor_clock=processor_clock,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class LatencyPlan:
    """What is measured: the `load`, and which of its queries choose ef (`tuning`) and which are `timed`.

    `sentences` say what was sampled, and why.
    """

    given: EmbeddingSet
    options: LatencyOptions
    dims: tuple[int, ...]
    load: Workload
    tuning: Int64
    timed: Int64
    sentences: tuple[str, ...]


def plan_latency(given: EmbeddingSet, dims: Sequence[int] | None, options: LatencyOptions) -> LatencyPlan:
    """Choose the rows and the queries to measure.

    Raises
    ------
    ParameterError
        When the set has fewer than two queries, dims are out of range, or too few documents fit the memory limit.
    """
    checked = default_dims(given.dim) if dims is None else check_dims(dims, given.dim)
    checked = checked if checked[-1] == given.dim else (*checked, given.dim)
    if given.n_queries < 2:
        raise ParameterError(
            "latency needs at least two queries",
            found=given.n_queries,
            hint="Give query vectors, or hold some of the corpus out with with_held_out_queries()",
        )
    max_rows, reason = _most_rows(checked, options)
    rows = measured_rows(given, n_queries=options.n_queries, max_rows=max_rows, seed=options.seed)
    exclude = np.full(len(rows.queries), -1, np.int64) if rows.exclude is None else rows.exclude
    retrievable = len(rows.corpus) - int((exclude >= 0).any())
    if retrievable < 1:
        raise ParameterError("a query needs at least one document to retrieve", found="a corpus of one, held out")
    shuffled = np.random.default_rng(options.seed).permutation(len(rows.queries))
    n_tuning = max(1, min(len(shuffled) // _TUNING_SHARE, _MOST_TUNING_QUERIES)) if "hnsw" in options.paths else 0
    return LatencyPlan(
        given=given,
        options=options,
        dims=checked,
        load=Workload(
            corpus=as_float32(rows.corpus, given.recipe),
            queries=as_float32(rows.queries, given.recipe),
            exclude=exclude,
            metric=options.metric or given.metric,
            k=min(options.k, retrievable),
        ),
        tuning=shuffled[:n_tuning],
        timed=np.sort(shuffled[n_tuning:]),
        sentences=(*rows.sentences, reason) if len(rows.corpus) < given.n_docs else rows.sentences,
    )


def _check_paths(paths: Sequence[str]) -> tuple[LatencyPath, ...]:
    known = tuple(path for path in LATENCY_PATHS if path in paths)
    if not paths or len(known) != len(paths):
        raise ParameterError(
            f"the paths are some of {', '.join(LATENCY_PATHS)}, each once",
            found=", ".join(map(str, paths)) or "none",
        )
    return known


def _check_threads(n: int, what: str) -> int:
    if at_least(what, n, 1) > MOST_THREADS:
        raise ParameterError(f"{what} must be at most {MOST_THREADS}", found=n)
    return n


def _most_rows(dims: tuple[int, ...], options: LatencyOptions) -> tuple[int, str]:
    """Return how many documents are measured at most, and the sentence that says why."""
    fits = options.memory_limit_bytes // _bytes_per_row(dims, options.paths)
    if fits <= options.k:
        raise ParameterError(
            "more documents than k must fit the memory limit",
            found=f"room for {fits:,}",
            hint="Ask for fewer dims or paths, or raise the limit",
        )
    if "hnsw" in options.paths and options.max_rows < fits:
        return options.max_rows, (
            f"HNSW graphs are built over at most {options.max_rows:,} documents, and all paths serve the same ones, so "
            "that they compare."
        )
    return fits, (
        "Every configuration is held in memory at once, since they take turns: more documents would not fit the limit "
        f"of {options.memory_limit_bytes / (1 << 30):.1f} GiB."
    )


def _bytes_per_row(dims: tuple[int, ...], paths: tuple[LatencyPath, ...]) -> int:
    """Return the bytes that a document takes while it is measured: the full vector, and what each path adds."""
    of_path = {
        "exact": sum(4 * dim + 4 for dim in dims),
        "prefix": 4 * len(dims),
        "hnsw": int(sum(hnsw_bytes_per_vector(dim) for dim in dims)),
    }
    return 4 * dims[-1] + sum(of_path[path] for path in paths)
