"""The serving paths: what each returns, stores and leaves out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.scoring import nested_topk
from engine.tradeoff.latency.serving import Workload, build_hnsw, build_scans

DIMS = (6, 20)


def workload(metric="cosine", *, held_out=False, k=5):
    """Return 400 documents and 30 queries, drawn from the documents where they are held out."""
    rng = np.random.default_rng(2)
    corpus = rng.standard_normal((400, 20)).astype(np.float32)
    rows = rng.choice(400, 30, replace=False)
    queries = corpus[rows] if held_out else rng.standard_normal((30, 20)).astype(np.float32)
    exclude = rows.astype(np.int64) if held_out else np.full(30, -1, np.int64)
    return Workload(corpus=corpus, queries=queries, exclude=exclude, metric=metric, k=k)


def build(load, path, dim):
    """Build one path at one dimension; a graph searches as widely as it can."""
    if path != "hnsw":
        return next(scan for scan in build_scans(load, DIMS, path) if scan.dim == dim)
    graph = build_hnsw(load, dim, n_build_threads=1, most_threads=2)
    graph.index.ef = 400
    return graph


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("path", ["exact", "prefix"])
def test_scans_return_the_exact_answer(path, metric, held_out):
    """Both scans find what the nested sweep finds at that dimension, and never a query's own document."""
    load = workload(metric, held_out=held_out)
    nested = nested_topk(load.corpus, load.queries, DIMS, 5, metric=metric, exclude=load.exclude)
    for i, dim in enumerate(DIMS):
        found = build(load, path, dim)
        assert (found.path, found.dim) == (path, dim)
        for query in range(30):
            np.testing.assert_array_equal(found.search(query), nested.ids[i, query])


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("held_out", [False, True])
def test_a_graph_searched_widely_returns_the_exact_answer(metric, held_out):
    """With every document a candidate HNSW finds the exact neighbours too, without the query's own document."""
    load = workload(metric, held_out=held_out)
    nested = nested_topk(load.corpus, load.queries, DIMS, 5, metric=metric, exclude=load.exclude)
    for i, dim in enumerate(DIMS):
        graph = build(load, "hnsw", dim)
        together = graph.search_many(np.arange(30))
        assert (together == nested.ids[i]).mean() > 0.99
        for query in range(30):
            np.testing.assert_array_equal(graph.search(query), together[query])
        assert not (together == load.exclude[:, None]).any()


def test_bytes_are_those_that_the_path_stores():
    """A copy stores its own components and a norm, a prefix the whole row and a norm, a graph its links as well."""
    load = workload()
    assert build(load, "exact", 6).bytes_per_vector == 6 * 4 + 4
    assert build(load, "prefix", 6).bytes_per_vector == 20 * 4 + 4
    assert build(load, "hnsw", 6).bytes_per_vector > 6 * 4 + 128
    assert build(workload("ip"), "exact", 6).bytes_per_vector == 6 * 4


@pytest.mark.parametrize("path", ["exact", "prefix", "hnsw"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_throughput_counts_what_was_answered(path, n_threads):
    """Queries are answered until the clock says so, more of them than there are, around the end of the list."""
    found = build(workload(held_out=True), path, 6)
    ticks = itertools.count(step=1_000_000)
    throughput = found.serve(
        np.arange(7),
        n_threads,
        per_call=3,
        seconds=0.012,
        clock=lambda: next(ticks),
        cancelled=lambda: False,
    )
    assert throughput.n_threads == n_threads
    assert throughput.n_queries > 7
    assert throughput.n_queries % 3 == 0
    assert throughput.queries_per_s == pytest.approx(throughput.n_queries / throughput.elapsed_s)


def test_a_graph_is_not_measured_on_threads_that_it_cannot_have():
    """Beyond the threads that usearch would start there is no throughput, instead of a wrong one."""
    graph = build(workload(), "hnsw", 6)
    assert graph.serve(np.arange(7), 3, per_call=1, seconds=0.001, clock=lambda: 0, cancelled=lambda: False) is None


@pytest.mark.parametrize("path", ["exact", "prefix"])
def test_build_time_is_read_off_the_clock(path):
    """The seconds to build are the clock's."""
    ticks = itertools.count(step=500_000_000)
    assert build_scans(workload(), DIMS, path, clock=lambda: next(ticks))[0].build_s == 0.5
