"""HNSW graphs: recall against exact search, the choice of ef, and the weight of the links."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError
from engine.scoring import nested_topk
from engine.tradeoff.latency.hnsw import HnswIndex, choose_ef, hnsw_bytes_per_vector, truncated


def vectors(n, d=24, *, seed=0):
    """Draw float32 rows of unequal norms around a few centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((12, d))
    rows = centres[rng.integers(0, 12, n)] + 0.7 * rng.standard_normal((n, d))
    return (rows * rng.uniform(0.5, 2, (n, 1))).astype(np.float32)


def share_found(found, exact):
    """Return the share of each row of `exact` that is in the same row of `found`, by sets."""
    return np.array([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), exact.tolist(), strict=True)])


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_a_wide_search_finds_the_exact_neighbours(metric):
    """With ef far above k nearly every exact neighbour at that dimension is found, best first, by one query or many."""
    corpus, queries = vectors(1500), vectors(60, seed=1)
    exact = nested_topk(corpus, queries, (12,), 10, metric=metric)
    index = HnswIndex(truncated(corpus, 12, metric), metric=metric, n_threads=1)
    index.ef = 300
    found = index.search_many(np.ascontiguousarray(queries[:, :12]), 10)
    assert share_found(found, exact.ids[0]).mean() > 0.99
    assert (found[:, 0] == exact.ids[0, :, 0]).mean() > 0.95
    for row in range(5):
        np.testing.assert_array_equal(index.search(queries[row, :12], 10), found[row])


def test_threads_find_the_same():
    """Two threads inside the index return what one returns."""
    corpus, queries = vectors(800), vectors(50, seed=1)
    index = HnswIndex(corpus, metric="l2", n_threads=1)
    np.testing.assert_array_equal(
        index.search_many(queries, 5, n_threads=2), index.search_many(queries, 5, n_threads=1)
    )


def test_one_thread_builds_the_same_graph_every_time():
    """Two graphs built by one thread return the same, also where that is wrong."""
    corpus, queries = vectors(800), vectors(50, seed=1)
    found = []
    for _ in range(2):
        index = HnswIndex(corpus, metric="l2", expansion_add=4, connectivity=3, n_threads=1)
        index.ef = 5
        found.append(index.search_many(queries, 5))
    np.testing.assert_array_equal(*found)
    assert share_found(found[0], nested_topk(corpus, queries, (24,), 5, metric="l2").ids[0]).mean() < 0.999


def test_fewer_documents_than_k_leave_places_empty():
    """A graph of three documents answers k = 5 with three rows, padded with -1 where several queries are asked."""
    corpus = vectors(3)
    index = HnswIndex(corpus, metric="l2", n_threads=1)
    assert sorted(index.search(corpus[0], 5).tolist()) == [0, 1, 2]
    for n in (1, 2):
        found = index.search_many(corpus[:n], 5)
        assert found.shape == (n, 5)
        assert (found[:, 3:] == -1).all()
        assert (np.sort(found[:, :3], axis=1) == [0, 1, 2]).all()


def test_truncated_copies_are_normalised_for_cosine_only():
    """A truncated copy is a contiguous prefix; for cosine of norm one, a zero row staying zero; else as it was."""
    rows = vectors(20)
    rows[3, :8] = 0
    for metric in ("ip", "l2"):
        np.testing.assert_array_equal(truncated(rows, 8, metric), rows[:, :8])
    copy = truncated(rows, 8, "cosine")
    norms = np.linalg.norm(copy, axis=1)
    assert norms[3] == 0
    np.testing.assert_allclose(np.delete(norms, 3), 1, rtol=1e-6)
    assert copy.flags.c_contiguous
    assert not np.shares_memory(copy, rows)


def test_the_smallest_ef_that_reaches_the_target_is_chosen():
    """The ef rises until the mean recall reaches the target; the recalls tried on the way are kept."""
    corpus, queries = vectors(1500), vectors(60, seed=1)
    exact = nested_topk(corpus, queries, (24,), 5, metric="l2").ids[0]
    index = HnswIndex(corpus, metric="l2", connectivity=4, n_threads=1)
    efs = (2, 8, 16, 32, 64, 128, 256)
    choice = choose_ef(index, lambda: share_found(index.search_many(queries, 5), exact), k=5, target=0.95, efs=efs)
    assert choice.reached
    assert index.ef == choice.ef
    assert list(choice.tried) == [5, *efs[1 : efs.index(choice.ef) + 1]]  # an ef of 2 cannot hold 5 results
    assert choice.recall == choice.tried[choice.ef] >= 0.95
    assert all(recall < 0.95 for ef, recall in choice.tried.items() if ef < choice.ef)


def test_a_target_out_of_reach_is_said_to_be_missed():
    """Where even the largest ef misses the target it stays set, and the choice says that it was not reached."""
    index = HnswIndex(vectors(100), metric="l2", n_threads=1)
    choice = choose_ef(index, lambda: np.array([0.5, np.nan, 0.7]), k=5, target=0.9, efs=(10, 20, 5000))
    assert not choice.reached
    assert (choice.ef, index.ef) == (100, 100)  # there are no more than 100 candidates
    assert choice.recall == pytest.approx(0.6)
    assert list(choice.tried) == [10, 20, 100]


def test_queries_without_a_recall_reach_nothing():
    """When no query has a recall the choice is unreached and its recall unknown, without a warning."""
    index = HnswIndex(vectors(20), metric="l2", n_threads=1)
    choice = choose_ef(index, lambda: np.array([np.nan]), k=5, target=0.9, efs=(10,))
    assert not choice.reached
    assert np.isnan(choice.recall)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"efs": ()}, "ef must be at least 1"),
        ({"efs": (0, 4)}, "ef must be at least 1"),
        ({"k": 0}, "k must be at least 1"),
        ({"target": 0.0}, "above 0 and at most 1"),
        ({"target": 1.01}, "above 0 and at most 1"),
        ({"target": float("nan")}, "above 0 and at most 1"),
    ],
)
def test_refuses_a_choice_out_of_range(options, message):
    """No ef, an ef or k below 1, and a target outside (0, 1] are refused before anything is searched."""
    index = HnswIndex(vectors(20), metric="l2", n_threads=1)
    with pytest.raises(ParameterError, match=message):
        choose_ef(index, lambda: pytest.fail("searched"), **{"k": 5, "target": 0.9, "efs": (10,), **options})


@pytest.mark.parametrize("dim", [8, 24])
def test_the_weight_of_a_graph_is_what_it_takes_to_store(dim):
    """The estimate for a dimension is the size of a stored graph of other data, to 2 %; links are at least 2·M·4."""
    index = HnswIndex(np.ascontiguousarray(vectors(1200)[:, :dim]), metric="l2", n_threads=1)
    assert hnsw_bytes_per_vector(dim) == pytest.approx(index.bytes_per_vector, rel=0.02)
    assert hnsw_bytes_per_vector(dim) > 4 * dim + 2 * 16 * 4


def test_more_links_weigh_more():
    """Doubling the connectivity adds about 2 · 16 links of 4 bytes to every vector, and dims cost 4 bytes each."""
    added = hnsw_bytes_per_vector(64, connectivity=32) - hnsw_bytes_per_vector(64, connectivity=16)
    assert 110 < added < 150
    assert hnsw_bytes_per_vector(65) - hnsw_bytes_per_vector(64) == pytest.approx(4)
    with pytest.raises(ParameterError, match="at least 1"):
        hnsw_bytes_per_vector(0)


def test_a_build_can_be_cancelled_between_blocks():
    """Cancelled after the first block of documents the build stops, having reported its progress."""
    asked, reported = itertools.count(), []
    with pytest.raises(CancelledError):
        HnswIndex(
            vectors(5000, 4),
            metric="l2",
            n_threads=1,
            progress=lambda share, message: reported.append((share, message)),
            cancelled=lambda: next(asked) >= 1,
        )
    assert reported == [(0.4, "Linked 2,000 documents")]


def test_build_time_is_read_off_the_clock():
    """The build takes what the clock says, in seconds."""
    ticks = itertools.count(step=250_000_000)
    assert HnswIndex(vectors(20), metric="l2", n_threads=1, clock=lambda: next(ticks)).build_s == 0.25
