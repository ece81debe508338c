"""Measure what one query costs at every dimension, on each way to serve the vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import nested_topk, usable_processors
from engine.scoring.blas import blas_thread_count, one_blas_thread
from engine.scoring.memory import usable_memory_bytes
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.latency.exact_answer import ExactAnswer
from engine.tradeoff.latency.hnsw import CONNECTIVITY, EFS, EXPANSION_ADD, EfChoice, choose_ef
from engine.tradeoff.latency.plan import LatencyPlan, check_options, plan_latency
from engine.tradeoff.latency.results import LATENCY_PATHS, HnswSetting, LatencyPoint, LatencyResult
from engine.tradeoff.latency.sentences import latency_assumptions, latency_warnings
from engine.tradeoff.latency.serving import HnswPath, build_hnsw, build_scans
from engine.tradeoff.latency.timing import thread_counts, time_in_turns
from engine.tradeoff.percentiles import percentile
from engine.tradeoff.results import DatasetInfo
from engine.tradeoff.rows import MAX_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric
    from engine.progress import Cancelled, Progress
    from engine.scoring import NestedTopK
    from engine.tradeoff.latency.serving import ServingPath
    from engine.tradeoff.latency.timing import Throughput, Turns
    from engine.tradeoff.results import Interval

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_MOST_MEMORY_BYTES = 4 << 30

_CALL_MS = 3.0  # of work a call of a serving thread: long beside what a call costs, short beside the measurement
_MOST_A_CALL = 64

# Where each stage ends, as a share of the work on the bundled set.
_SCORED, _BUILT, _WARM, _TIMED, _SERVED = 0.05, 0.4, 0.5, 0.75, 0.99


def measure_latency(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    k: int = 10,
    paths: Sequence[str] = LATENCY_PATHS,
    metric: Metric | None = None,
    n_queries: int = 500,
    n_threads: int = 1,
    n_build_threads: int | None = None,
    target_recall: float = 0.95,
    efs: Sequence[int] = EFS,
    throughput_seconds: float = 0.1,
    memory_limit_bytes: int | None = None,
    max_rows: int = MAX_ROWS,
    seed: int = 0,
    clock: Callable[[], int] = time.perf_counter_ns,
    processor_clock: Callable[[], int] = time.thread_time_ns,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> LatencyResult:
    """Time single queries on every one of `paths` at every one of `dims`, and the throughput of 1..`n_threads` threads.

    The full dimension is added to `dims` where it is missing; without `dims`, `default_dims` are measured. A sample of
    at most `n_queries` queries is used; with HNSW a fifth of them (at most 200) choose among `efs` for `target_recall`
    of the exact answer at the same dimension, and the others are timed (p99 has an interval from 368 timed queries on).
    All paths serve the same documents, so that their points compare: a sample of at most `max_rows` where HNSW is among
    them, and of what fits `memory_limit_bytes` (every truncated copy is held at once, since the configurations take
    turns): 4 GiB unless given, or half of what this process may use where that is less. `clock` and
    `processor_clock` are in nanoseconds; the second runs only while this thread has a processor, and where the two
    part, other work was in the way: a warning then.

    Raises
    ------
    ParameterError
        When the set has fewer than two queries, or an option is out of range.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    options = check_options(
        k=k,
        paths=paths,
        metric=metric,
        n_queries=n_queries,
        n_threads=n_threads,
        n_build_threads=n_build_threads,
        target_recall=target_recall,
        efs=efs,
        throughput_seconds=throughput_seconds,
        memory_limit_bytes=_default_memory() if memory_limit_bytes is None else memory_limit_bytes,
        max_rows=max_rows,
        seed=seed,
        clock=clock,
        processor_clock=processor_clock,
    )
    plan = plan_latency(embedding_set, dims, options)
    progress(0.0, "Scoring the exact answers")
    nested = _exact_answers(plan, _part(progress, 0.0, _SCORED), cancelled)
    measured = _measure(plan, nested, progress, cancelled)
    progress(_SERVED, "Summarizing")
    result = _result(plan, nested, measured, began)
    progress(1.0, "Done")
    return result


def _default_memory() -> int:
    # Half: the sample that the copies are made from, and what else the process holds, need room as well.
    return min(_MOST_MEMORY_BYTES, usable_memory_bytes() // 2)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Measured:
    """What was measured, in the order of `served`; `found` (configurations, timed queries, k) are rows, -1 for none."""

    served: tuple[ServingPath, ...]
    choices: dict[int, EfChoice]
    found: Int64
    turns: Turns
    throughput: tuple[tuple[Throughput, ...], ...]
    blas_threads: int | None


def _exact_answers(plan: LatencyPlan, progress: Progress, cancelled: Cancelled) -> NestedTopK:
    load = plan.load
    return nested_topk(
        load.corpus,
        load.queries,
        plan.dims,
        load.k,
        metric=load.metric,
        exclude=load.exclude,
        progress=progress,
        cancelled=cancelled,
    )


def _answer(plan: LatencyPlan, nested: NestedTopK, dim: int) -> ExactAnswer:
    return ExactAnswer.of(nested, dim, plan.load.corpus, plan.load.queries, plan.load.metric)


def _measure(plan: LatencyPlan, nested: NestedTopK, progress: Progress, cancelled: Cancelled) -> _Measured:
    """Build every configuration, warm each up over every query, then time them in turns and under load."""
    options = plan.options
    with one_blas_thread():
        served, choices = _build(plan, nested, _part(progress, _SCORED, _BUILT), cancelled)
        found = _warm_up(plan, served, _part(progress, _BUILT, _WARM), cancelled)
        timed = plan.timed.tolist()
        turns = time_in_turns(
            [_asking(path, timed) for path in served],
            len(timed),
            rng=np.random.default_rng(options.seed),
            clock=options.clock,
            processor_clock=options.processor_clock,
            progress=_part(progress, _WARM, _TIMED),
            cancelled=cancelled,
        )
        return _Measured(
            served=tuple(served),
            choices=choices,
            found=found,
            turns=turns,
            throughput=_throughput(
                plan, served, np.median(turns.samples_ms, axis=1), _part(progress, _TIMED, _SERVED), cancelled
            ),
            blas_threads=blas_thread_count(),
        )


def _warm_up(plan: LatencyPlan, served: Sequence[ServingPath], progress: Progress, cancelled: Cancelled) -> Int64:
    """Answer every timed query once on each configuration and return the rows found, -1 for none."""
    found = np.full((len(served), len(plan.timed), plan.load.k), -1, np.int64)
    for i, path in enumerate(served):
        progress(i / len(served), f"Warming up {path.path} at {path.dim:,} dimensions")
        for j, query in enumerate(plan.timed.tolist()):
            stop_if(cancelled)
            ids = path.search(query)
            found[i, j, : len(ids)] = ids
    return found


def _asking(path: ServingPath, queries: list[int]) -> Callable[[int], object]:
    return lambda i: path.search(queries[i])


def _part(progress: Progress, start: float, stop: float) -> Progress:
    return lambda share, message: progress(start + (stop - start) * share, message)


def _build(
    plan: LatencyPlan, nested: NestedTopK, progress: Progress, cancelled: Cancelled
) -> tuple[list[ServingPath], dict[int, EfChoice]]:
    options, load = plan.options, plan.load
    served: list[ServingPath] = []
    choices: dict[int, EfChoice] = {}
    for path in options.paths:
        if path != "hnsw":
            progress(0.0, f"Preparing the path {path}")
            stop_if(cancelled)
            served += build_scans(load, plan.dims, path, clock=options.clock)
            continue
        for i, dim in enumerate(plan.dims):
            progress(i / len(plan.dims), f"Linking {len(load.corpus):,} documents at {dim:,} dimensions")
            graph = build_hnsw(
                load,
                dim,
                n_build_threads=options.n_build_threads,
                most_threads=usable_processors(),
                clock=options.clock,
                progress=_part(progress, i / len(plan.dims), (i + 1) / len(plan.dims)),
                cancelled=cancelled,
            )
            choices[dim] = _tune(plan, graph, _answer(plan, nested, dim), cancelled)
            served.append(graph)
    return served, choices


def _tune(plan: LatencyPlan, graph: HnswPath, answer: ExactAnswer, cancelled: Cancelled) -> EfChoice:
    def measure() -> Float32:
        return answer.recall_of(graph.search_many(plan.tuning), plan.tuning)

    options = plan.options
    return choose_ef(
        graph.index, measure, k=plan.load.k, target=options.target_recall, efs=options.efs, cancelled=cancelled
    )


def _throughput(
    plan: LatencyPlan,
    served: Sequence[ServingPath],
    median_ms: npt.NDArray[np.float64],
    progress: Progress,
    cancelled: Cancelled,
) -> tuple[tuple[Throughput, ...], ...]:
    options = plan.options
    measured: list[tuple[Throughput, ...]] = []
    for i, path in enumerate(served):
        progress(i / len(served), f"Throughput of {path.path} at {path.dim:,} dimensions")
        per_call = int(np.clip(_CALL_MS / max(median_ms[i], 1e-6), 1, _MOST_A_CALL))
        at_each = [
            path.serve(
                plan.timed,
                n,
                per_call=per_call,
                seconds=options.throughput_seconds,
                clock=options.clock,
                cancelled=cancelled,
            )
            for n in thread_counts(options.n_threads)
        ]
        measured.append(tuple(throughput for throughput in at_each if throughput is not None))
    return tuple(measured)


def _result(plan: LatencyPlan, nested: NestedTopK, measured: _Measured, began: int) -> LatencyResult:
    options = plan.options
    points = _points(plan, nested, measured)
    return LatencyResult(
        dataset=DatasetInfo.of(plan.given),
        metric=plan.load.metric,
        recipe=plan.given.recipe,
        dims=plan.dims,
        paths=options.paths,
        k=plan.load.k,
        k_requested=options.k,
        seed=int(options.seed),
        n_rows=len(plan.load.corpus),
        n_timed_queries=len(plan.timed),
        n_tuning_queries=len(plan.tuning),
        target_recall=options.target_recall,
        n_threads=options.n_threads,
        n_build_threads=options.n_build_threads,
        blas_threads=measured.blas_threads,
        processors=usable_processors(),
        points=points,
        samples_ms=measured.turns.samples_ms.astype(np.float32),
        assumptions=latency_assumptions(plan),
        warnings=latency_warnings(
            plan,
            points,
            n_zero_queries=int((~_answer(plan, nested, plan.dims[-1]).measurable[plan.timed]).sum()),
            blas_threads=measured.blas_threads,
            waited_share=measured.turns.waited_share,
        ),
        elapsed_s=(options.clock() - began) / 1e9,
    )


def _points(plan: LatencyPlan, nested: NestedTopK, measured: _Measured) -> tuple[LatencyPoint, ...]:
    full = _answer(plan, nested, plan.dims[-1])
    recall = np.stack([full.recall_of(found, plan.timed) for found in measured.found])
    of_exact = np.stack(
        [
            _answer(plan, nested, path.dim).recall_of(found, plan.timed)
            for path, found in zip(measured.served, measured.found, strict=True)
        ]
    )
    against_full, against_exact = bootstrap_means(recall, of_exact, seed=plan.options.seed)
    points: list[LatencyPoint] = []
    for i, path in enumerate(measured.served):
        samples = measured.turns.samples_ms[i]
        choice = measured.choices.get(path.dim) if path.path == "hnsw" else None
        points.append(
            LatencyPoint(
                path=path.path,
                dim=path.dim,
                recall=against_full.interval(i),
                mean_ms=float(samples.mean()),
                p50_ms=percentile(samples, 0.50),
                p95_ms=percentile(samples, 0.95),
                p99_ms=percentile(samples, 0.99),
                throughput=measured.throughput[i],
                build_s=path.build_s,
                bytes_per_vector=path.bytes_per_vector,
                hnsw=None if choice is None else _setting(choice, against_exact.interval(i)),
            )
        )
    return tuple(points)


def _setting(choice: EfChoice, recall_of_exact: Interval) -> HnswSetting:
    return HnswSetting(
        ef=choice.ef,
        reached=choice.reached,
        tuning_recall=choice.recall,
        recall_of_exact=recall_of_exact,
        tried=choice.tried,
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
    )
