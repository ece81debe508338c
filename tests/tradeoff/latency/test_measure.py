"""The latency measurement as a whole, on small sets and with a clock that ticks by itself."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet
from engine.errors import CancelledError, ParameterError
from engine.scoring import usable_processors
from engine.scoring.blas import blas_thread_count
from engine.tradeoff import sweep
from engine.tradeoff.latency.measure import measure_latency
from engine.tradeoff.latency.results import LATENCY_PATHS

QUICK = {"n_build_threads": 1, "throughput_seconds": 0.002}
MS = 1_000_000


def ticking(step_ms=1):
    """Return a clock that is `step_ms` later every time it is read, safe to read from threads."""
    ticks = itertools.count(step=step_ms * MS)
    return lambda: next(ticks)


@pytest.fixture(scope="module")
def small_set():
    """Return 500 documents of 16 components and 80 queries near some of them."""
    rng = np.random.default_rng(4)
    scale = 0.85 ** np.arange(16)
    corpus = (rng.standard_normal((500, 16)) * scale).astype(np.float32)
    queries = (corpus[:80] + 0.2 * rng.standard_normal((80, 16)) * scale).astype(np.float32)
    return EmbeddingSet(name="small", corpus=corpus, queries=queries)


@pytest.fixture(scope="module")
def measured(small_set):
    """Return one measurement of all paths at three dims, two threads."""
    return measure_latency(small_set, (4, 8, 16), n_threads=2, seed=3, clock=ticking(), **QUICK)


def test_every_path_is_measured_at_every_dim(measured):
    """There is a point for each path and dimension, with samples of every timed query and 1..n threads."""
    assert [(p.path, p.dim) for p in measured.points] == list(itertools.product(LATENCY_PATHS, (4, 8, 16)))
    assert (measured.n_timed_queries, measured.n_tuning_queries, measured.n_rows) == (64, 16, 500)
    assert measured.samples_ms.shape == (9, 64)
    threads = tuple(range(1, min(2, usable_processors()) + 1))
    for point in measured.points:
        expected = threads if point.path == "hnsw" else (1, 2)
        assert tuple(t.n_threads for t in point.throughput) == expected
        assert all(t.queries_per_s > 0 for t in point.throughput)
    assert measured.point("hnsw", 8) is measured.points[7]
    with pytest.raises(ParameterError, match="not measured; found hnsw at 5"):
        measured.point("hnsw", 5)


def test_percentiles_are_those_of_the_samples(measured):
    """On a clock that ticks a millisecond at every look each search takes one, and so do all percentiles."""
    np.testing.assert_array_equal(measured.samples_ms, 1)
    for point in measured.points:
        assert point.mean_ms == 1
        for percentile in (point.p50_ms, point.p95_ms, point.p99_ms):
            assert percentile.value == 1
            assert percentile.n == 64
        assert (point.p50_ms.low, point.p50_ms.high) == (1, 1)
        assert point.p99_ms.low is None
    assert "p99 has no two-sided limit below 368 samples; there are 64." in measured.warnings


def test_recall_of_the_scans_is_the_recall_of_the_sweep(small_set):
    """Without HNSW all queries are timed, and exact and prefix have the sweep's mean recall at every dimension."""
    swept = sweep(small_set, (4, 8, 16), ks=(10,))
    found = measure_latency(small_set, (4, 8, 16), paths=("prefix", "exact"), clock=ticking(), **QUICK)
    assert found.paths == ("exact", "prefix")
    assert (found.n_timed_queries, found.n_tuning_queries) == (80, 0)
    for i, dim in enumerate((4, 8, 16)):
        for path in ("exact", "prefix"):
            recall = found.point(path, dim).recall
            assert recall.mean == pytest.approx(float(swept.recall[0, i].mean()), abs=0.003)
            assert recall.low <= recall.mean <= recall.high
    assert found.point("prefix", 16).recall.mean == 1
    assert all(point.hnsw is None for point in found.points)


def test_hnsw_states_the_recall_it_was_chosen_for_and_reached(measured):
    """Each graph reached the target on the queries that chose ef; what it reached on the others is given beside it."""
    for dim in (4, 8, 16):
        point = measured.point("hnsw", dim)
        setting = point.hnsw
        assert setting.reached
        assert setting.tuning_recall == setting.tried[setting.ef] >= 0.95
        assert 0.85 < setting.recall_of_exact.mean <= 1
        assert point.recall.mean <= measured.point("exact", dim).recall.mean + 0.05
    full = measured.point("hnsw", 16)
    assert full.recall == full.hnsw.recall_of_exact


def test_the_frontier_holds_the_fastest_of_equal_recall(measured):
    """Where all take the same time the frontier is what has the best recall: the exact full dimension."""
    best = max(point.recall.mean for point in measured.points)
    chosen = [measured.points[i] for i in measured.frontier()]
    assert chosen
    assert all(point.recall.mean == best and point.dim == 16 for point in chosen)
    assert measured.times_faster(measured.points[0]) == 1


def test_the_same_seed_and_one_build_thread_measure_the_same(small_set, measured):
    """Everything but time is repeated by the seed: sampled queries, ef, recall and intervals."""
    again = measure_latency(small_set, (4, 8, 16), n_threads=2, seed=3, clock=ticking(), **QUICK)
    assert [p.recall for p in again.points] == [p.recall for p in measured.points]
    assert [p.hnsw and p.hnsw.tried for p in again.points] == [p.hnsw and p.hnsw.tried for p in measured.points]


def test_the_full_dimension_is_measured_too(small_set):
    """Given dims without the full one get it, as the baseline; the full dimension alone may be asked for."""
    found = measure_latency(small_set, (4,), paths=("exact",), n_queries=10, clock=ticking(), **QUICK)
    assert found.dims == (4, 16)
    assert found.point("exact", 16).recall.mean == 1
    assert found.n_timed_queries == 10
    assert "A sample of 10 of the 80 queries was measured." in found.warnings


def test_what_limits_the_numbers_is_said(small_set):
    """More threads than processors, sampled documents, a k beyond the corpus and few queries each get a sentence."""
    tiny = EmbeddingSet(name="tiny", corpus=small_set.corpus[:30], queries=small_set.queries[:10])
    n_threads = usable_processors() + 1
    found = measure_latency(tiny, (16,), k=40, n_threads=n_threads, max_rows=20, clock=ticking(), **QUICK)
    said = " ".join(found.warnings)
    assert f"{n_threads} threads on {usable_processors()} usable processors" in said
    assert "HNSW graphs are built over at most 20 documents, and all paths serve the same ones" in said
    assert "A query can retrieve 20 documents only: k = 40 is read as 20." in said
    assert "Too few queries, 8" in said
    assert (found.n_rows, found.k, found.k_requested) == (20, 20, 40)
    assert [t.n_threads for t in found.point("hnsw", 16).throughput][-1] <= usable_processors()
    assert [t.n_threads for t in found.point("exact", 16).throughput][-1] == n_threads


def test_blas_runs_on_one_thread_and_the_result_shows_it(measured):
    """What BLAS reported during the measurement is one thread, and the assumptions name the build threads."""
    assert measured.blas_threads in {1, None}
    assert (measured.blas_threads is None) == any("BLAS library does not tell" in w for w in measured.warnings)
    assert any("built by 1 thread;" in sentence for sentence in measured.assumptions)


def test_documents_are_sampled_to_fit_the_memory_limit(small_set):
    """With room for part of the copies a sample is measured on every path, and the limit is given as the reason."""
    bytes_per_row = 4 * 16 + (4 * 4 + 4) + (4 * 16 + 4)
    found = measure_latency(
        small_set, (4,), paths=("exact",), memory_limit_bytes=100 * bytes_per_row, clock=ticking(), **QUICK
    )
    assert found.n_rows == 100
    assert "more documents would not fit the limit" in " ".join(found.warnings)
    with pytest.raises(ParameterError, match="more documents than k must fit the memory limit; found room for 10"):
        measure_latency(small_set, (4,), paths=("exact",), memory_limit_bytes=10 * bytes_per_row)


def test_held_out_queries_are_scored_without_themselves():
    """Queries held out from the corpus never count their own document, also where the corpus is a sample."""
    rng = np.random.default_rng(8)
    held_out = EmbeddingSet(name="h", corpus=rng.standard_normal((200, 8)).astype(np.float32)).with_held_out_queries(40)
    found = measure_latency(held_out, (8,), max_rows=120, clock=ticking(), **QUICK)
    assert found.point("exact", 8).recall.mean == found.point("prefix", 8).recall.mean == 1
    assert found.point("hnsw", 8).recall.mean > 0.9
    assert any("held-out documents" in sentence for sentence in found.warnings)


def test_zero_queries_are_left_out_of_recall(small_set):
    """A zero query has no neighbours by cosine: it is timed, counted, and left out of the mean."""
    queries = np.array(small_set.queries)
    queries[5] = 0
    found = measure_latency(replace(small_set, queries=queries), (16,), paths=("exact",), clock=ticking(), **QUICK)
    assert found.point("exact", 16).recall.mean == 1
    assert "Queries that are zero vectors, left out of every recall: 1." in found.warnings


def test_a_recall_out_of_reach_is_reported():
    """When no ef tried reaches the target the point says so and a sentence names dimension, recall and ef."""
    rng = np.random.default_rng(6)
    hard = EmbeddingSet(name="h", corpus=rng.standard_normal((800, 16)), queries=rng.standard_normal((60, 16)))
    found = measure_latency(hard, (16,), paths=("hnsw",), target_recall=1.0, efs=(4,), clock=ticking(), **QUICK)
    setting = found.points[0].hnsw
    assert not setting.reached
    assert setting.ef == 10
    expected = f"HNSW at 16 dimensions did not reach 1 of the exact answer: {setting.tuning_recall:.3f}"
    assert any(sentence.startswith(expected) for sentence in found.warnings)


def test_a_busy_machine_is_reported(small_set):
    """Searches whose thread never had a processor are a warning with the share; those that always had are none."""
    options = {"paths": ("exact",), "n_queries": 20, **QUICK}
    busy = measure_latency(small_set, (16,), clock=ticking(), processor_clock=lambda: 0, **options)
    assert any(said.startswith("The machine was busy: 100 % of the time") for said in busy.warnings)
    quiet = measure_latency(small_set, (16,), clock=ticking(), processor_clock=ticking(), **options)
    assert not any("busy" in said for said in quiet.warnings)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_other_metrics_and_recipes_are_measured(small_set, metric):
    """Inner product, distance and the layer-norm recipe reach full recall at the full dimension."""
    other = replace(small_set, metric=metric, recipe="layer_norm")
    found = measure_latency(other, (8,), paths=("exact", "prefix"), n_queries=20, clock=ticking(), **QUICK)
    assert (found.metric, found.recipe) == (metric, "layer_norm")
    assert found.point("exact", 16).recall.mean == found.point("prefix", 16).recall.mean == 1
    assert found.point("exact", 8).recall == found.point("prefix", 8).recall


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be at least 1; found 0"),
        ({"paths": ()}, "the paths are some of exact, prefix, hnsw, each once; found none"),
        ({"paths": ("exact", "ivf")}, "the paths are some of.*found exact, ivf"),
        ({"paths": ("exact", "exact")}, "each once"),
        ({"n_threads": 0}, "the number of threads must be at least 1; found 0"),
        ({"n_threads": 257}, "the number of threads must be at most 256"),
        ({"n_build_threads": 0}, "the number of build threads must be at least 1"),
        ({"n_queries": 1}, "the number of queries must be at least 2; found 1"),
        ({"efs": ()}, "ef must be at least 1"),
        ({"efs": (8, 0)}, "ef must be at least 1"),
        ({"target_recall": 0}, "the target recall must be above 0 and at most 1"),
        ({"target_recall": 1.5}, "the target recall must be above 0 and at most 1"),
        ({"throughput_seconds": 0}, "the seconds to measure throughput"),
        ({"throughput_seconds": float("nan")}, "the seconds to measure throughput"),
        ({"max_rows": 0}, "the number of sampled rows must be at least 1"),
        ({"metric": "dot"}, "the metric is one of cosine, ip, l2; found dot"),
        ({"dims": (8, 4)}, "dims must ascend"),
        ({"dims": (17,)}, "dims must lie between 1 and the full dimension 16"),
        ({"seed": -1}, "the seed must be a whole number"),
    ],
)
def test_refuses_options_out_of_range(small_set, options, message):
    """Every option out of range is refused by rule and value, before anything is measured."""
    with pytest.raises(ParameterError, match=message):
        measure_latency(small_set, **options)


def test_refuses_a_set_with_fewer_than_two_queries(small_set):
    """One query cannot both choose ef and be timed, and none cannot be timed at all."""
    for queries, found in ((small_set.queries[:1], 1), (None, 0)):
        with pytest.raises(ParameterError, match=f"at least two queries; found {found}.*held"):
            measure_latency(replace(small_set, queries=queries))


def test_two_queries_are_enough(small_set):
    """With two queries one chooses ef and the other is timed."""
    found = measure_latency(replace(small_set, queries=small_set.queries[:2]), (16,), clock=ticking(), **QUICK)
    assert (found.n_timed_queries, found.n_tuning_queries) == (1, 1)
    assert found.points[0].p50_ms.low is None


def test_progress_ends_at_the_summary_and_never_falls(small_set):
    """Shares rise from 0 to nearly 1, with a sentence each; what is left is the summary."""
    reported = []
    measure_latency(
        small_set, (16,), n_queries=10, progress=lambda *report: reported.append(report), clock=ticking(), **QUICK
    )
    shares = [share for share, _ in reported]
    assert shares == sorted(shares)
    assert (shares[0], reported[-1]) == (0, (1.0, "Done"))


def test_stops_when_cancelled(small_set):
    """Cancelled at any stage, first to last, nothing is returned and BLAS has its threads back."""

    def run(cancelled):
        measure_latency(small_set, (8,), n_queries=30, cancelled=cancelled, clock=ticking(), **QUICK)

    threads, asked = blas_thread_count(), itertools.count()
    run(lambda: next(asked) < 0)
    last = next(asked) - 1
    for stage in np.linspace(0, last, 12).astype(int):
        asked = itertools.count()
        with pytest.raises(CancelledError):
            run(lambda asked=asked, stage=stage: next(asked) >= stage)
    assert blas_thread_count() == threads
