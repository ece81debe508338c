"""What the numbers of a latency measurement mean, and what limits them, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scoring import usable_processors
from engine.tradeoff.latency.hnsw import CONNECTIVITY, EXPANSION_ADD
from engine.tradeoff.verdicts import MIN_QUERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tradeoff.latency.plan import LatencyPlan
    from engine.tradeoff.latency.results import HnswSetting, LatencyPoint

_NOTABLE_WAIT = 0.1  # of the time; a machine without other work stays well below


def latency_assumptions(plan: LatencyPlan) -> tuple[str, ...]:
    """Return what was measured, and how."""
    options = plan.options
    seconds = f"{options.throughput_seconds:g}"
    sentences = [
        (
            "A latency is that of one query asked alone, from its vector to its row numbers, inside this process: no "
            "network, no database and no text encoding."
        ),
        (
            f"After a warm-up over every query each of {len(plan.timed):,} queries was timed once on each "
            "configuration; they took turns in an order shuffled for every query, so none keeps the caches to itself."
        ),
        "Each search runs on one thread; BLAS, where it is called, too.",
        (
            f"A throughput was measured over {seconds} s or one call a thread: every thread answers one query after "
            "the other in compiled code and never waits for work, so Python counts less than in the latencies."
        ),
    ]
    if "hnsw" in options.paths:
        sentences.append(
            f"HNSW is usearch, connectivity {CONNECTIVITY}, expansion {EXPANSION_ADD} when adding, float32, built by "
            f"{_threads(options.n_build_threads)}; ef was chosen on {len(plan.tuning):,} other queries. Its throughput "
            "is that of usearch's own threads."
        )
        if options.n_build_threads > 1:
            sentences.append("A graph built by several threads differs a little from build to build.")
    return tuple(sentences)


def latency_warnings(
    plan: LatencyPlan,
    points: Sequence[LatencyPoint],
    *,
    n_zero_queries: int,
    blas_threads: int | None,
    waited_share: float,
) -> tuple[str, ...]:
    """Return what a reader must know before trusting the numbers."""
    options, processors = plan.options, usable_processors()
    sentences = list(plan.sentences)
    if options.n_threads > processors:
        sentences.append(
            f"{_threads(options.n_threads)} on {processors:,} usable processors: beyond {processors:,} they wait for "
            "each other."
        )
        if "hnsw" in options.paths:
            sentences.append(f"The throughput of HNSW was measured on at most {_threads(processors)}.")
    if plan.load.k < options.k:
        sentences.append(
            f"A query can retrieve {plan.load.k:,} documents only: k = {options.k:,} is read as {plan.load.k:,}."
        )
    if len(plan.timed) < MIN_QUERIES:
        sentences.append(f"Too few queries, {len(plan.timed)}: latency and recall are rough below {MIN_QUERIES}.")
    if plan.given.query_corpus_rows is not None:
        sentences.append("The queries are held-out documents of the corpus, which may behave unlike real queries.")
    if n_zero_queries:
        sentences.append(f"Queries that are zero vectors, left out of every recall: {n_zero_queries:,}.")
    if waited_share > _NOTABLE_WAIT:
        sentences.append(
            f"The machine was busy: {100 * waited_share:.0f} % of the time of the searches was spent waiting for a "
            "processor that other work had. On a quiet machine they take less; measure again when it is."
        )
    if blas_threads is None:
        sentences.append("The BLAS library does not tell its number of threads, so it could not be fixed to one.")
    if points[0].p99_ms.reason:  # all points have the same number of samples
        sentences.append(f"{points[0].p99_ms.reason}.")
    sentences += [
        _missed(point.dim, point.hnsw, options.target_recall)
        for point in points
        if point.hnsw is not None and not point.hnsw.reached
    ]
    return tuple(sentences)


def _missed(dim: int, setting: HnswSetting, target: float) -> str:
    return (
        f"HNSW at {dim:,} dimensions did not reach {target:g} of the exact answer: {setting.tuning_recall:.3f} with "
        f"the largest ef tried, {setting.ef:,}."
    )


def _threads(n: int) -> str:
    return f"{n:,} thread{'' if n == 1 else 's'}"
