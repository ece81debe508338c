"""Timing searches: one sample a query with the contenders taking turns, and throughput of threads that never rest."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.progress import ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.progress import Cancelled, Progress

NS_PER_MS = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """What `n_threads` threads answered together: `n_queries` in `elapsed_s` seconds."""

    n_threads: int
    queries_per_s: float
    n_queries: int
    elapsed_s: float

    @classmethod
    def of(cls, n_threads: int, n_queries: int, elapsed_ns: int) -> Throughput:
        """Divide the queries by the time; a clock too coarse to see any counts as one tick."""
        elapsed_s = max(elapsed_ns, 1) / NS_PER_S
        return cls(n_threads=n_threads, queries_per_s=n_queries / elapsed_s, n_queries=n_queries, elapsed_s=elapsed_s)


@dataclass(frozen=True, eq=False, kw_only=True)
class Turns:
    """The `samples_ms` (searches, queries) of searches that took turns, and the `waited_share` of their time.

    That is the share in which the thread that searched had no processor: other work of this machine had it.
    """

    samples_ms: npt.NDArray[np.float64]
    waited_share: float


def time_in_turns(
    searches: Sequence[Callable[[int], object]],
    n_queries: int,
    *,
    rng: np.random.Generator,
    clock: Callable[[], int],
    processor_clock: Callable[[], int],
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Turns:
    """Return the milliseconds that each search took for each query, called with its number.

    For every query all searches take their turn, in an order shuffled anew by `rng`: what slows the machine down for a
    while then slows all of them, and none runs on caches which its own last call has just filled. `clock` is in
    nanoseconds, and so is `processor_clock`, which runs only while this thread has a processor.
    """
    samples = np.empty((len(searches), n_queries))
    processor_ns = 0
    for query in range(n_queries):
        stop_if(cancelled)
        for i in rng.permutation(len(searches)).tolist():
            search = searches[i]
            had = processor_clock()
            began = clock()
            search(query)
            samples[i, query] = clock() - began
            processor_ns += processor_clock() - had
        progress((query + 1) / n_queries, f"Timed {query + 1:,} of {n_queries:,} queries")
    total_ns = samples.sum()
    waited = 0.0 if total_ns <= 0 else max(0.0, 1 - processor_ns / float(total_ns))
    return Turns(samples_ms=samples / NS_PER_MS, waited_share=waited)


def serve_from_threads(
    answer: Callable[[int, int], object],
    n_queries: int,
    *,
    per_call: int = 1,
    n_threads: int,
    seconds: float,
    clock: Callable[[], int],
    cancelled: Cancelled = never_cancelled,
) -> Throughput:
    """Measure the throughput of `n_threads` threads that each ask the next query as soon as the last is answered.

    ``answer(first, count)`` answers queries number `first` to ``first + count - 1`` one after the other; `first` is
    below `n_queries`, `count` is `per_call`. All threads begin together and stop asking after `seconds`; each calls at
    least once. The time ends with the last answer. Errors of `answer` are raised here.
    """
    began: list[int] = []
    together = threading.Barrier(n_threads, action=lambda: began.append(clock()))

    def ask(thread: int) -> int:
        together.wait()
        deadline = began[0] + seconds * NS_PER_S
        calls = 0
        while calls == 0 or (clock() < deadline and not cancelled()):
            answer((thread + calls * n_threads) * per_call % n_queries, per_call)
            calls += 1
        return calls * per_call

    with ThreadPoolExecutor(n_threads) as pool:
        answered = list(pool.map(ask, range(n_threads)))
        ended = clock()
    stop_if(cancelled)
    return Throughput.of(n_threads, sum(answered), ended - began[0])


def serve_batches(
    answer: Callable[[int, int], object],
    n_queries: int,
    *,
    per_call: int,
    n_threads: int,
    seconds: float,
    clock: Callable[[], int],
    cancelled: Cancelled = never_cancelled,
) -> Throughput:
    """Measure the throughput of a library that runs its `n_threads` threads itself.

    ``answer(first, count)`` answers as many queries as `serve_from_threads` asks for in one call of each thread.
    """
    batch = per_call * n_threads
    began = clock()
    answered = 0
    while answered == 0 or clock() - began < seconds * NS_PER_S:
        stop_if(cancelled)
        answer(answered % n_queries, batch)
        answered += batch
    return Throughput.of(n_threads, answered, clock() - began)


def thread_counts(n_threads: int) -> tuple[int, ...]:
    """Return the numbers of threads to measure: all up to 4, then doubling, and `n_threads`.

    >>> thread_counts(12)
    (1, 2, 3, 4, 8, 12)
    """
    doubling = [1 << exponent for exponent in range(3, n_threads.bit_length())]
    return tuple(sorted({*range(1, min(n_threads, 4) + 1), *doubling, n_threads}))
