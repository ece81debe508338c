"""Timing with clocks that are turned by hand."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from engine.errors import CancelledError
from engine.tradeoff.latency.timing import Throughput, serve_batches, serve_from_threads, thread_counts, time_in_turns
from engine.tradeoff.percentiles import percentile

MS = 1_000_000


class HandClock:
    """A clock in nanoseconds that moves only when it is told to."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        """Return the time."""
        return self.now

    def spend(self, ms):
        """Let `ms` milliseconds pass."""
        self.now += round(ms * MS)


def test_a_sample_is_what_the_clock_says_of_that_search_and_query():
    """Searches that take query + 1 and 10·(query + 1) ms are measured so, whatever the order of their turns."""
    clock = HandClock()
    samples = time_in_turns(
        [lambda query: clock.spend(query + 1), lambda query: clock.spend(10 * (query + 1))],
        400,
        rng=np.random.default_rng(3),
        clock=clock,
        processor_clock=clock,
    ).samples_ms
    np.testing.assert_allclose(samples[0], np.arange(1, 401))
    np.testing.assert_allclose(samples[1], 10 * np.arange(1, 401))
    assert percentile(samples[0], 0.5).value == 200
    p99 = percentile(samples[1], 0.99)
    assert (p99.low, p99.value, p99.high) == (3920, 3960, 4000)


@pytest.mark.parametrize(("worked_ms", "waited"), [(8, 0.2), (10, 0.0), (11, 0.0)])
def test_time_without_a_processor_was_waited(worked_ms, waited):
    """Searches of 10 ms that had a processor for 8 of them waited a fifth; a clock that runs ahead is no waiting."""
    clock, processor = HandClock(), HandClock()

    def search(_query):
        clock.spend(10)
        processor.spend(worked_ms)

    turns = time_in_turns([search, search], 5, rng=np.random.default_rng(0), clock=clock, processor_clock=processor)
    assert turns.waited_share == pytest.approx(waited)


def test_searches_take_turns_in_an_order_shuffled_for_every_query():
    """Each query is asked of every search before the next query is; orders differ from query to query."""
    asked = []
    searches = [lambda query, i=i: asked.append((query, i)) for i in range(5)]
    time_in_turns(searches, 60, rng=np.random.default_rng(0), clock=HandClock(), processor_clock=HandClock())
    assert [query for query, _ in asked] == np.repeat(np.arange(60), 5).tolist()
    orders = [tuple(i for _, i in asked[start : start + 5]) for start in range(0, 300, 5)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(set(orders)) > 30
    firsts = np.bincount([order[0] for order in orders], minlength=5)
    assert (firsts > 0).all()


def test_the_same_seed_gives_the_same_turns():
    """Two runs with generators of one seed ask in the same order."""
    runs = []
    for _ in range(2):
        asked = []
        searches = [lambda query, i=i, asked=asked: asked.append((query, i)) for i in range(4)]
        time_in_turns(searches, 20, rng=np.random.default_rng(7), clock=HandClock(), processor_clock=HandClock())
        runs.append(asked)
    assert runs[0] == runs[1]


def test_timing_stops_when_cancelled():
    """Cancelled before the third query, two were timed and reported."""
    reported, asked = [], itertools.count()
    with pytest.raises(CancelledError):
        time_in_turns(
            [str],
            10,
            rng=np.random.default_rng(0),
            clock=HandClock(),
            processor_clock=HandClock(),
            progress=lambda share, message: reported.append((share, message)),
            cancelled=lambda: next(asked) >= 2,
        )
    assert reported == [(0.1, "Timed 1 of 10 queries"), (0.2, "Timed 2 of 10 queries")]


def test_one_thread_answers_until_the_time_is_up():
    """Calls of 4 queries and 30 ms for 100 ms: the fourth call is the last, 16 queries in 120 ms."""
    clock, asked = HandClock(), []

    def answer(first, count):
        asked.append((first, count))
        clock.spend(30)

    found = serve_from_threads(answer, 10, per_call=4, n_threads=1, seconds=0.1, clock=clock)
    assert asked == [(0, 4), (4, 4), (8, 4), (2, 4)]
    assert found == Throughput(n_threads=1, queries_per_s=16 / 0.12, n_queries=16, elapsed_s=0.12)


def test_threads_answer_at_the_same_time():
    """Three threads that wait for each other within a call all get through, and share out the queries."""
    together, asked = threading.Barrier(3), []
    ticks = itertools.count(step=40 * MS)

    def answer(first, count):
        together.wait(timeout=20)
        asked.append(first)

    found = serve_from_threads(answer, 50, n_threads=3, seconds=0.001, clock=lambda: next(ticks))
    assert sorted(asked) == [0, 1, 2]
    assert (found.n_threads, found.n_queries) == (3, 3)


def test_an_error_in_a_thread_is_raised():
    """What goes wrong in a serving thread reaches the caller."""

    def answer(first, count):
        raise RuntimeError("the store is gone")

    with pytest.raises(RuntimeError, match="the store is gone"):
        serve_from_threads(answer, 5, n_threads=2, seconds=0.001, clock=HandClock())


def test_serving_stops_when_cancelled():
    """Cancelled while they serve, threads stop after their call and the measurement is thrown away."""
    with pytest.raises(CancelledError):
        serve_from_threads(divmod, 5, n_threads=2, seconds=1e9, clock=HandClock(), cancelled=lambda: True)
    with pytest.raises(CancelledError):
        serve_batches(
            divmod,
            5,
            per_call=1,
            n_threads=2,
            seconds=1e9,
            clock=HandClock(),
            cancelled=lambda: True,
        )


def test_batches_give_every_thread_its_share():
    """A library with 2 threads is asked for 6 queries at a time until the time is up, and all of them count."""
    clock, asked = HandClock(), []

    def answer(first, count):
        asked.append((first, count))
        clock.spend(40)

    found = serve_batches(answer, 10, per_call=3, n_threads=2, seconds=0.1, clock=clock)
    assert asked == [(0, 6), (6, 6), (2, 6)]
    assert found == Throughput(n_threads=2, queries_per_s=18 / 0.12, n_queries=18, elapsed_s=0.12)


def test_a_clock_that_stands_still_divides_by_a_tick():
    """Queries faster than the clock's tick give a finite throughput."""
    assert Throughput.of(1, 5, 0).queries_per_s == 5e9


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (4, (1, 2, 3, 4)),
        (6, (1, 2, 3, 4, 6)),
        (8, (1, 2, 3, 4, 8)),
        (20, (1, 2, 3, 4, 8, 16, 20)),
    ],
)
def test_numbers_of_threads_to_measure(n, expected):
    """All up to four, then powers of two, and the number itself, each once."""
    assert thread_counts(n) == expected
