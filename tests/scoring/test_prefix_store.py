"""The prefix store against the nested sweep, alone and while other threads switch its dimension."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError, VectorError
from engine.scoring import PrefixStore, nested_topk

METRICS = ("cosine", "ip", "l2")
DIMS = (4, 8, 24, 32)


def vectors(n, d=32, *, seed=0):
    """Draw rows with a falling spectrum and unequal norms."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.3 * rng.uniform(0.2, 3, (n, 1))
    return rows.astype(np.float32)


def assert_agrees(hits, ids, scores):
    """Check ids and scores (q, k); where ids differ their scores are ties of float32, which is rare."""
    atol = 1e-6 * max(1.0, float(np.abs(scores).max()))
    np.testing.assert_allclose(hits.scores, scores, atol=atol)
    assert (hits.ids != ids).mean() < 0.01


@pytest.mark.parametrize("metric", METRICS)
def test_finds_what_the_nested_sweep_finds(metric):
    """One query, several in turn and a batch all give the ids and the scores of the nested sweep, to float32 ties."""
    corpus, queries = vectors(3000, seed=1), vectors(30, seed=2)
    store = PrefixStore(corpus, metric=metric, dims=DIMS)
    expected = nested_topk(corpus, queries, DIMS, 12, metric=metric)
    for i, dim in enumerate(DIMS):
        each = store.search_each(queries, 12, dim)
        for hits in (each, store.search(queries, 12, dim)):
            assert hits.dim == dim
            assert_agrees(hits, expected.ids[i], expected.scores[i])
        alone = store.search(queries[3], 12, dim)
        np.testing.assert_array_equal(alone.ids, each.ids[3])
        np.testing.assert_array_equal(alone.scores, each.scores[3])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 90),
    d=st.integers(1, 13),
    k=st.integers(1, 100),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_small_integers_agree_exactly_with_the_nested_sweep(n, d, k, metric, seed, data):
    """Where sums are exact, and full of ties and zero vectors, ids and scores equal the sweep's to the last bit."""
    rng = np.random.default_rng(seed)
    corpus = rng.integers(-1, 2, (n, d)).astype(np.float32)
    queries = rng.integers(-1, 2, (3, d)).astype(np.float32)
    exclude = rng.integers(-1, n, 3) if n > 1 else None
    dims = sorted(data.draw(st.sets(st.integers(1, d), min_size=1, max_size=3)))
    expected = nested_topk(corpus, queries, dims, k, metric=metric, exclude=exclude)
    store = PrefixStore(corpus, metric=metric, dims=dims)
    for i, dim in enumerate(dims):
        hits = store.search_each(queries, k, dim, exclude=exclude)
        np.testing.assert_array_equal(hits.ids, expected.ids[i])
        np.testing.assert_array_equal(hits.scores, expected.scores[i])


def test_float32_rows_are_not_copied(tmp_path):
    """The store looks into the caller's array or memory map, also where that is a slice of longer rows."""
    corpus = vectors(200, seed=3)
    path = tmp_path / "vectors.npy"
    np.save(path, corpus)
    mapped = np.load(path, mmap_mode="r")
    expected = nested_topk(corpus, corpus[:5], (8, 32), 7)
    for given_rows in (corpus, mapped, np.hstack([corpus, corpus])[:, :32]):
        store = PrefixStore(given_rows, dims=(8, 32))
        assert np.shares_memory(store.vectors, given_rows)
        assert_agrees(store.search_each(corpus[:5], 7, 8), expected.ids[0], expected.scores[0])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_other_types_are_converted_once(dtype):
    """A corpus of another type is searched as its float32 values are."""
    corpus = (vectors(150, seed=4) * 20).astype(dtype)
    store = PrefixStore(corpus, dims=(8, 32))
    assert store.vectors.dtype == np.float32
    expected = nested_topk(corpus, corpus[:4], (8, 32), 5)
    assert_agrees(store.search_each(corpus[:4], 5, 8), expected.ids[0], expected.scores[0])


def test_layer_norm_comes_before_the_prefix():
    """With the recipe layer_norm corpus and queries are normalised at full length before they are cut."""
    corpus, queries = vectors(500, seed=5) + 1, vectors(6, seed=6) + 1
    store = PrefixStore(corpus, recipe="layer_norm", dims=(8, 32))
    expected = nested_topk(corpus, queries, (8, 32), 9, recipe="layer_norm")
    assert_agrees(store.search_each(queries, 9, 8), expected.ids[0], expected.scores[0])
    assert_agrees(store.search(queries, 9, 8), expected.ids[0], expected.scores[0])


def test_serves_the_largest_dim_until_told_otherwise():
    """A switch, a repeated switch and roll backs lead through the history as a stack, ending in an error."""
    store = PrefixStore(vectors(50), dims=DIMS)
    assert (store.dim, store.history) == (32, ())
    store.set_dim(8)
    store.set_dim(8)
    store.set_dim(24)
    assert (store.dim, store.history) == (24, (32, 8))
    assert store.search(vectors(1)[0], 3).dim == 24
    assert store.roll_back() == 8
    assert store.roll_back() == 32
    with pytest.raises(ParameterError, match="only 32 was ever served"):
        store.roll_back()
    assert store.dim == 32


def test_an_unknown_dim_changes_nothing():
    """A dimension the store was not built for is refused with those it was built for, and the old one stays."""
    store = PrefixStore(vectors(50), dims=DIMS)
    with pytest.raises(ParameterError, match="found 16. Choose one of 4, 8, 24, 32"):
        store.set_dim(16)
    with pytest.raises(ParameterError, match="found 16"):
        store.search(vectors(1)[0], 3, 16)
    assert (store.dim, store.history) == (32, ())


def test_every_search_is_whole_while_the_dim_switches():
    """Searches of many threads, while others switch and roll back, are each exact at the dimension they report."""
    corpus, queries = vectors(2000, seed=7), vectors(8, seed=8)
    store = PrefixStore(corpus, dims=DIMS)
    expected = {dim: store.search_each(queries, 5, dim) for dim in DIMS}
    stop, seen, wrong = threading.Event(), set(), []

    def hammer(thread):
        for i in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            query = (thread + i) % len(queries)
            hits = store.search(queries[query], 5)
            seen.add(hits.dim)
            same = np.array_equal(hits.ids, expected[hits.dim].ids[query])
            if not (same and np.array_equal(hits.scores, expected[hits.dim].scores[query])):
                wrong.append((hits.dim, query))

    def switch(seed):
        rng = np.random.default_rng(seed)
        for turn in range(20_000):
            if turn > 150 and seen == set(DIMS):
                return
            store.set_dim(int(rng.choice(DIMS)))
            if rng.random() < 0.3 and len(store.history) > 5:
                store.roll_back()
            store.search(queries[0], 5)

    with ThreadPoolExecutor(6) as pool:
        searching = [pool.submit(hammer, thread) for thread in range(4)]
        switching = [pool.submit(switch, seed) for seed in range(2)]
        try:
            for job in switching:
                job.result()
        finally:
            stop.set()
        for job in searching:
            job.result()
    assert not wrong
    assert seen == set(DIMS)


@pytest.mark.parametrize(
    ("corpus", "kwargs", "error", "message"),
    [
        (np.zeros((0, 4), np.float32), {"dims": (4,)}, VectorError, "at least one vector"),
        (np.zeros(4, np.float32), {"dims": (4,)}, VectorError, "2-D"),
        (np.ones((3, 4), np.float32), {"dims": (4, 2)}, ParameterError, "must ascend"),
        (np.ones((3, 4), np.float32), {"dims": (5,)}, ParameterError, "within 1..4"),
        (np.ones((3, 4), np.float32), {"dims": (4,), "metric": "dot"}, ParameterError, "the metric is one of"),
        (np.ones((3, 4), np.float32), {"dims": (4,), "recipe": "whiten"}, ParameterError, "the recipe is one of"),
    ],
)
def test_refuses_what_cannot_be_stored(corpus, kwargs, error, message):
    """An empty corpus, dims out of order or range, and unknown metrics and recipes are refused by rule."""
    with pytest.raises(error, match=message):
        PrefixStore(corpus, **kwargs)


def test_refuses_rows_that_are_not_finite():
    """A NaN is refused with its row, in the corpus even beyond the largest of the dims, in a query at every dim."""
    corpus = vectors(40)
    corpus[[17, 20], -1] = np.nan
    with pytest.raises(VectorError, match="corpus.*found row 17, 20"):
        PrefixStore(corpus, dims=(4,))
    store = PrefixStore(vectors(40), dims=DIMS)
    query = vectors(1)
    query[0, -1] = np.inf
    for search in (store.search, store.search_each):
        with pytest.raises(VectorError, match="queries.*found row 0"):
            search(query, 3, 4)


def test_refuses_searches_that_do_not_fit():
    """A k below 1, queries of another dimension, none at all, and too few excluded rows are refused by rule."""
    store = PrefixStore(vectors(40), dims=DIMS)
    query = vectors(2)
    with pytest.raises(ParameterError, match="k must be at least 1; found 0"):
        store.search(query, 0)
    with pytest.raises(VectorError, match="full dimension"):
        store.search(query[:, :8], 3, 8)
    with pytest.raises(VectorError, match="full dimension"):
        store.search(query[:0], 3)
    with pytest.raises(ParameterError, match="one row a query"):
        store.search(query, 3, exclude=np.array([1]))


def test_k_beyond_the_corpus_returns_what_there_is():
    """With k beyond the corpus every document comes once; an excluded row leaves one fewer."""
    corpus = vectors(40)
    store = PrefixStore(corpus, dims=DIMS)
    assert sorted(store.search(corpus[0], 100).ids) == list(range(40))
    assert sorted(store.search(corpus[0], 100, exclude=0).ids) == list(range(1, 40))


def test_searching_leaves_the_corpus_alone():
    """A read-only corpus and read-only queries are searched, and stay as they were."""
    corpus, queries = vectors(60), vectors(3, seed=9)
    before = corpus.copy()
    corpus.setflags(write=False)
    queries.setflags(write=False)
    store = PrefixStore(corpus, dims=DIMS)
    store.search_each(queries, 4, 8, exclude=np.array([1, -1, 2]))
    store.search(queries, 4, 8)
    np.testing.assert_array_equal(corpus, before)
