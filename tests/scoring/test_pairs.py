"""Scores of chosen pairs against their definition in float64, and the rerank of a shortlist by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError, VectorError
from engine.scoring import nested_topk
from engine.scoring.pairs import best_of, pair_scores, rerank

METRICS = ("cosine", "ip", "l2")


def vectors(n, d, *, seed):
    """Draw vectors with a falling spectrum and unequal norms."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.3 * rng.uniform(0.5, 2, (n, 1))).astype(np.float32)


def defined_scores(corpus, queries, ids, metric):
    """Score every pair in float64 from the definition."""
    docs, asked = np.asarray(corpus, np.float64)[ids], np.asarray(queries, np.float64)[:, None, :]
    if metric == "l2":
        return -((docs - asked) ** 2).sum(axis=2)
    products = (docs * asked).sum(axis=2)
    return products if metric == "ip" else products / np.linalg.norm(docs, axis=2) / np.linalg.norm(asked, axis=2)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 7, 48])
def test_scores_follow_the_definition(metric, dim):
    """Cosine, inner product and negated squared distance of the first components agree with float64 to 1e-5."""
    corpus, queries = vectors(200, 48, seed=1), vectors(9, 48, seed=2)
    ids = np.random.default_rng(3).integers(0, 200, (9, 30))
    expected = defined_scores(corpus[:, :dim], queries[:, :dim], ids, metric)
    found = pair_scores(corpus, queries, ids, metric=metric, dim=dim)
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8"])
def test_other_dtypes_and_layouts_score_as_their_float32_values(dtype):
    """Rows that must be gathered and converted first score bit for bit as a float32 corpus does."""
    corpus = (np.abs(vectors(120, 20, seed=4)) * 20).astype(dtype)
    queries, ids = vectors(5, 20, seed=5), np.random.default_rng(6).integers(0, 120, (5, 11))
    expected = pair_scores(corpus.astype(np.float32), queries, ids)
    np.testing.assert_array_equal(pair_scores(corpus, queries, ids), expected)
    np.testing.assert_array_equal(pair_scores(np.asfortranarray(corpus), queries, ids), expected)


def test_layer_norm_is_applied_to_full_vectors_before_the_prefix():
    """With the layer_norm recipe pairs score as the nested sweep scores them."""
    corpus, queries = vectors(300, 32, seed=7) + 0.5, vectors(4, 32, seed=8)
    nested = nested_topk(corpus, queries, (8, 32), 20, recipe="layer_norm")
    found = pair_scores(corpus, queries, nested.ids[0], recipe="layer_norm", dim=8)
    np.testing.assert_allclose(found, nested.scores[0], atol=1e-6)


def test_a_pair_scores_the_same_whatever_is_scored_with_it():
    """Scores do not depend on the other pairs, the number of queries or the threads, to the last bit."""
    corpus, queries = vectors(500, 100, seed=9), vectors(40, 100, seed=10)
    ids = np.random.default_rng(11).integers(0, 500, (40, 60))
    together = pair_scores(corpus, queries, ids, n_threads=3)
    for row in (0, 17, 39):
        alone = pair_scores(corpus, queries[row : row + 1], ids[row : row + 1, ::-1].copy(), n_threads=1)
        np.testing.assert_array_equal(alone[0, ::-1], together[row])


def test_only_the_rows_named_are_read_of_a_memory_map(tmp_path):
    """A memory-mapped corpus gives the scores of the array."""
    corpus, queries = vectors(300, 16, seed=12), vectors(3, 16, seed=13)
    np.save(tmp_path / "corpus.npy", corpus)
    ids = np.random.default_rng(14).integers(0, 300, (3, 9))
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    np.testing.assert_array_equal(pair_scores(mapped, queries, ids), pair_scores(corpus, queries, ids))


def test_zero_vectors_have_no_cosine():
    """A zero document or query scores -inf under cosine and 0 as a product."""
    corpus, queries = np.array([[0, 0], [3, 4]], np.float32), np.array([[1, 0], [0, 0]], np.float32)
    ids = np.array([[0, 1], [0, 1]])
    np.testing.assert_allclose(pair_scores(corpus, queries, ids), [[-np.inf, 0.6], [-np.inf, -np.inf]], rtol=1e-6)
    np.testing.assert_array_equal(pair_scores(corpus, queries, ids, metric="ip"), [[0, 3], [0, 0]])


@pytest.mark.parametrize("metric", METRICS)
def test_rerank_of_everything_is_the_exact_answer(metric):
    """A shortlist of the whole corpus, in any order, reranks to the exact top k."""
    corpus, queries = vectors(150, 24, seed=15), vectors(12, 24, seed=16)
    rng = np.random.default_rng(17)
    everything = np.stack([rng.permutation(150) for _ in range(12)])
    found = rerank(everything, corpus, queries, 10, metric=metric)
    exact = nested_topk(corpus, queries, (24,), 10, metric=metric)
    np.testing.assert_array_equal(found.ids, exact.ids[0])
    np.testing.assert_allclose(found.scores, exact.scores[0], atol=1e-4)


def test_equal_scores_put_the_lower_row_first():
    """Among equal scores the lower row wins, however the shortlist was ordered."""
    found = best_of(np.array([[9, 2, 5, 7]]), np.array([[1, 2, 2, 2]], np.float32), 3)
    assert found.ids.tolist() == [[2, 5, 7]]
    corpus = np.ones((6, 3), np.float32)
    again = rerank(np.array([[5, 0, 3, 1]]), corpus, np.ones((1, 3), np.float32), 2)
    assert again.ids.tolist() == [[0, 1]]


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_the_best_are_those_of_a_sort_by_score_and_row(n, k, seed):
    """Whatever the scores are, ties, zeros of both signs and infinities, the order is score first, then row."""
    rng = np.random.default_rng(seed)
    pool = np.array([0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, 3e38, -3e38, 1e-45, rng.standard_normal()], np.float32)
    scores, ids = rng.choice(pool, (3, n)), np.stack([rng.permutation(4 * n)[:n] for _ in range(3)])
    k = min(k, n)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    found = best_of(ids, scores, k)
    np.testing.assert_array_equal(found.ids, np.take_along_axis(ids, order, axis=1))
    np.testing.assert_array_equal(found.scores, np.take_along_axis(scores, order, axis=1))


def test_what_does_not_fit_is_refused():
    """A shortlist below k, ids outside the corpus, wrong shapes, dims and metrics are refused with the rule."""
    corpus, queries = np.ones((4, 3), np.float32), np.ones((2, 3), np.float32)
    ids = np.zeros((2, 2), np.int64)
    with pytest.raises(ParameterError, match="shortlist of 2 for k = 3"):
        rerank(ids, corpus, queries, 3)
    with pytest.raises(VectorError, match="corpus rows, 0..3; found 0..4"):
        pair_scores(corpus, queries, ids + np.array([[0], [4]]))
    with pytest.raises(VectorError, match="corpus rows.*-1"):
        pair_scores(corpus, queries, ids - 1)
    with pytest.raises(VectorError, match="fit together"):
        pair_scores(corpus, queries, ids[:1])
    with pytest.raises(VectorError, match="fit together"):
        pair_scores(corpus[:, :2], queries, ids)
    with pytest.raises(ParameterError, match="within 1..3"):
        pair_scores(corpus, queries, ids, dim=4)
    with pytest.raises(ParameterError, match="metric"):
        pair_scores(corpus, queries, ids, metric="dot")
