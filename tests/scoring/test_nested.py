"""The nested sweep against a float64 reference that truncates, re-normalises and sorts every dimension by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from engine.errors import CancelledError, ParameterError, VectorError
from engine.scoring import nested_topk
from engine.scoring.blas import one_blas_thread

METRICS = ("cosine", "ip", "l2")


def reference_scores(corpus, queries, dim, metric):
    """Score every pair in float64 from the definition."""
    c, q = np.asarray(corpus, np.float64)[:, :dim], np.asarray(queries, np.float64)[:, :dim]
    if metric == "l2":
        return -((q[:, None, :] - c[None, :, :]) ** 2).sum(axis=2)
    if metric == "cosine":
        with np.errstate(invalid="ignore", divide="ignore"):
            c, q = c / np.linalg.norm(c, axis=1, keepdims=True), q / np.linalg.norm(q, axis=1, keepdims=True)
        return np.nan_to_num(q @ c.T, nan=-np.inf)
    return q @ c.T


def reference_order(scores, k):
    """Sort by score, lower row first among equals."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def vectors(n, d, *, seed):
    """Draw clustered vectors with a falling spectrum and unequal norms."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.3 * rng.uniform(0.2, 3, (n, 1))
    return rows.astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_equals_scoring_every_truncated_copy(metric):
    """Ids and scores at every dimension equal those of scoring truncated copies in float64, to 1e-5."""
    corpus, queries, dims = vectors(3000, 96, seed=1), vectors(40, 96, seed=2), (8, 16, 40, 96)
    found = nested_topk(corpus, queries, dims, 25, metric=metric)
    for i, dim in enumerate(dims):
        scores = reference_scores(corpus, queries, dim, metric)
        expected = reference_order(scores, 25)
        size = (np.abs(scores).max() if metric != "cosine" else 1.0) * 1e-5
        np.testing.assert_allclose(found.scores[i], np.take_along_axis(scores, expected, 1), atol=size)
        np.testing.assert_allclose(np.take_along_axis(scores, found.ids[i], 1), found.scores[i], atol=size)
        assert (found.ids[i] == expected).mean() > 0.999


@pytest.mark.parametrize("metric", METRICS)
def test_full_scores_belong_to_the_same_documents(metric):
    """Beside every document found at a dimension stands its score at the last dimension."""
    corpus, queries = vectors(2500, 64, seed=3), vectors(20, 64, seed=4)
    found = nested_topk(corpus, queries, (4, 32, 64), 12, metric=metric)
    scores = reference_scores(corpus, queries, 64, metric)
    for i in range(3):
        np.testing.assert_allclose(
            found.full_scores[i], np.take_along_axis(scores, found.ids[i], 1), atol=1e-5 * np.abs(scores).max()
        )
    np.testing.assert_array_equal(found.full_scores[2], found.scores[2])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 90),
    d=st.integers(1, 20),
    q=st.integers(1, 7),
    k=st.integers(1, 100),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_small_integers_agree_exactly_with_the_reference(n, d, q, k, metric, seed, data):
    """With integer components (exact in float32, full of ties) ids match for ip and l2, lower row first among ties."""
    rng = np.random.default_rng(seed)
    corpus = rng.integers(-2, 3, (n, d)).astype(np.float32)
    queries = rng.integers(-2, 3, (q, d)).astype(np.float32)
    dims = sorted(data.draw(st.sets(st.integers(1, d), min_size=1, max_size=4)))
    found = nested_topk(corpus, queries, dims, k, metric=metric)
    assert found.k == min(k, n)
    assert found.k_requested == k
    for i, dim in enumerate(dims):
        scores = reference_scores(corpus, queries, dim, metric)
        if metric == "cosine":
            found_scores = np.take_along_axis(scores, found.ids[i], 1)
            best = -np.sort(-scores, axis=1)[:, : found.k]
            np.testing.assert_allclose(found_scores, best, atol=1e-5)
        else:
            np.testing.assert_array_equal(found.ids[i], reference_order(scores, found.k))


def test_every_document_is_found_once_when_k_is_the_corpus():
    """With k of n or more, each query's ids at each dimension are a permutation of all rows."""
    corpus = vectors(1500, 16, seed=5)
    found = nested_topk(corpus, vectors(5, 16, seed=6), (2, 16), 5000)
    assert found.k == 1500
    assert (np.sort(found.ids, axis=2) == np.arange(1500)).all()


def test_identical_documents_come_in_row_order():
    """Among documents with equal scores the lower rows are kept and come first, across tiles and blocks."""
    one = vectors(1, 32, seed=7)
    corpus = np.repeat(one, 5000, axis=0)
    found = nested_topk(corpus, one, (8, 32), 50)
    np.testing.assert_array_equal(found.ids[0, 0], np.arange(50))
    np.testing.assert_array_equal(found.ids[1, 0], np.arange(50))


def test_rising_scores_are_all_noticed():
    """A corpus in ascending order of score, where every document beats the ones before, ends with the last rows."""
    angles = np.linspace(1.5, 0.1, 4000)
    corpus = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = nested_topk(corpus, np.array([[1, 0]], np.float32), (2,), 7)
    np.testing.assert_array_equal(found.ids[0, 0], np.arange(3999, 3992, -1))


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8"])
def test_other_dtypes_score_as_their_float32_values(dtype):
    """A corpus of another dtype gives exactly what its values as float32 give."""
    corpus = (vectors(600, 24, seed=8) * 20).astype(dtype)
    queries = vectors(6, 24, seed=9)
    for metric in METRICS:
        found = nested_topk(corpus, queries, (8, 24), 10, metric=metric)
        expected = nested_topk(corpus.astype(np.float32), queries, (8, 24), 10, metric=metric)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_layer_norm_recipe_equals_normalising_the_full_vectors_first():
    """The layer_norm recipe is: mean 0 and variance 1 over the full vector, then the plain prefix."""
    corpus, queries = vectors(800, 48, seed=10) + 0.7, vectors(9, 48, seed=11) - 0.2

    def layer_norm(rows):
        rows = rows.astype(np.float64)
        return ((rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)).astype(np.float32)

    found = nested_topk(corpus, queries, (12, 48), 10, recipe="layer_norm")
    expected = nested_topk(layer_norm(corpus), layer_norm(queries), (12, 48), 10)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert (found.ids == expected.ids).mean() > 0.99
    assert (found.ids != nested_topk(corpus, queries, (12, 48), 10).ids).any()


@pytest.mark.parametrize("sizes", [(2048, 2048, 904), (1, 1023, 3976), (700,) * 7 + (100,)])
def test_an_iterator_of_blocks_equals_the_whole_array(sizes):
    """However the corpus is cut into blocks, ids are the same and scores agree to float32 rounding."""
    corpus, queries = vectors(5000, 40, seed=12), vectors(15, 40, seed=13)
    edges = np.cumsum((0, *sizes))
    parts = (corpus[start:stop] for start, stop in pairwise(edges))
    found, whole = nested_topk(parts, queries, (10, 40), 20), nested_topk(corpus, queries, (10, 40), 20)
    np.testing.assert_allclose(found.scores, whole.scores, atol=1e-6)
    assert (found.ids == whole.ids).mean() > 0.999


def test_a_memory_map_equals_the_array(tmp_path):
    """A memory-mapped corpus, and a slice of one, give the same result as the array in memory."""
    corpus, queries = vectors(4000, 32, seed=14), vectors(8, 32, seed=15)
    np.save(tmp_path / "corpus.npy", corpus)
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        nested_topk(mapped, queries, (8, 32), 10).ids, nested_topk(corpus, queries, (8, 32), 10).ids
    )
    np.testing.assert_array_equal(
        nested_topk(mapped[1000:], queries, (8, 32), 10).ids, nested_topk(corpus[1000:], queries, (8, 32), 10).ids
    )


def test_a_row_given_with_a_new_axis_is_scored_like_its_copy():
    """`row[None]` has a stride of 0, which BLAS would refuse: as a query and as a corpus it scores like a copy."""
    corpus = vectors(500, 32, seed=24)
    found = nested_topk(corpus, corpus[7][None], (16, 32), 3)
    np.testing.assert_array_equal(found.ids, nested_topk(corpus, corpus[7][None].copy(), (16, 32), 3).ids)
    assert found.ids[1, 0, 0] == 7
    alone = nested_topk((row[None] for row in corpus[:3]), corpus[:2], (32,), 3)
    np.testing.assert_array_equal(alone.ids, nested_topk(corpus[:3], corpus[:2], (32,), 3).ids)


def test_a_query_that_may_retrieve_nothing_is_refused():
    """With one document and that one excluded there is no answer to give."""
    with pytest.raises(VectorError, match="needs a document"):
        nested_topk(np.ones((1, 4)), np.ones((1, 4)), (4,), 1, exclude=np.array([0]))


def test_a_bad_row_is_named_by_its_corpus_row_also_as_a_held_out_query():
    """Held-out queries are rows of the corpus, and an error names them as such."""
    corpus = vectors(50, 8, seed=25)
    corpus[41, 3] = np.nan
    with pytest.raises(VectorError, match="of the corpus.*row 41"):
        nested_topk(corpus, corpus[[2, 41]], (8,), 3, exclude=np.array([2, 41]))


@pytest.mark.parametrize("n_threads", [1, 2, 3, 5])
def test_the_thread_count_changes_nothing(n_threads):
    """Any number of threads, also more than queries, finds the same documents."""
    corpus, queries = vectors(3000, 32, seed=16), vectors(4, 32, seed=17)
    found = nested_topk(corpus, queries, (8, 32), 10, n_threads=n_threads)
    expected = nested_topk(corpus, queries, (8, 32), 10, n_threads=1)
    np.testing.assert_array_equal(found.ids, expected.ids)


def test_an_excluded_row_is_never_retrieved():
    """A query held out from the corpus finds its neighbours but not itself; -1 excludes nothing."""
    corpus = vectors(2000, 24, seed=18)
    rows = np.array([0, 77, 1999, 1024], np.int64)
    found = nested_topk(corpus, corpus[rows], (6, 24), 5, exclude=rows)
    assert (found.ids != rows[None, :, None]).all()
    free = nested_topk(corpus, corpus[rows], (6, 24), 6, exclude=np.full(4, -1))
    np.testing.assert_array_equal(free.ids[1, :, 0], rows)
    np.testing.assert_array_equal(found.ids[1], free.ids[1, :, 1:])


def test_k_shrinks_to_what_a_held_out_query_may_retrieve():
    """With one document excluded from three, k becomes two."""
    corpus = vectors(3, 4, seed=19)
    found = nested_topk(corpus, corpus[:1], (4,), 10, exclude=np.array([0]))
    assert found.k == 2
    assert set(found.ids[0, 0]) == {1, 2}


def test_zero_vectors_rank_last_and_are_counted():
    """A document that is zero at a dimension ranks last there, scores -inf, and is counted."""
    corpus = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    found = nested_topk(corpus, np.array([[1, 0, 1, 0]], np.float32), (2, 4), 4)
    np.testing.assert_array_equal(found.ids[0, 0], [3, 2, 0, 1])
    np.testing.assert_array_equal(found.scores[0, 0], [1, -1, -np.inf, -np.inf])
    np.testing.assert_array_equal(found.ids[1, 0], [1, 3, 2, 0])
    assert found.zero_docs == (2, 1)
    assert found.scores[1, 0, 3] == -np.inf


def test_a_zero_query_is_marked_and_has_no_cosine():
    """A query of zeros is marked; its cosine scores are -inf, its inner products 0."""
    corpus, queries = vectors(10, 4, seed=20), np.zeros((1, 4), np.float32)
    found = nested_topk(corpus, queries, (4,), 3)
    assert found.zero_queries.tolist() == [True]
    assert (found.scores == -np.inf).all()
    assert (nested_topk(corpus, queries, (4,), 3, metric="ip").scores == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_refused_by_number(value):
    """A NaN or infinite component stops the scan with the row's number in the whole corpus."""
    corpus = vectors(70_000, 256, seed=21)
    corpus[[3, 69_999], 100] = value
    with pytest.raises(VectorError, match=r"row 3\b"):
        nested_topk(corpus, corpus[10:12], (256,), 5)
    corpus[3] = 1
    with pytest.raises(VectorError, match="corpus must be a finite.*row 69999"):
        nested_topk(corpus, corpus[10:12], (256,), 5)
    with pytest.raises(VectorError, match="queries must be a finite.*row 1"):
        nested_topk(corpus[10:20], corpus[69_998:], (64, 256), 5)


@pytest.mark.parametrize("metric", METRICS)
def test_huge_components_are_refused_rather_than_overflowing(metric):
    """Vectors whose norms do not fit float32 are refused by row, also when float64 held them."""
    corpus = np.ones((5, 8), np.float64)
    corpus[2] = 1e19
    with pytest.raises(VectorError, match="squared norm.*row 2"):
        nested_topk(corpus, np.ones((1, 8)), (8,), 2, metric=metric)
    corpus[2] = 1e300
    with pytest.raises(VectorError, match="finite float32.*row 2"):
        nested_topk(corpus, np.ones((1, 8)), (8,), 2, metric=metric)


@pytest.mark.parametrize(
    ("dims", "k", "message"),
    [
        ((), 1, "dims must ascend"),
        ((0, 4), 1, "dims must ascend"),
        ((4, 2), 1, "dims must ascend"),
        ((4, 4), 1, "dims must ascend"),
        ((9,), 1, "within 1..8"),
        ((8,), 0, "k must be at least 1"),
    ],
)
def test_parameters_out_of_range_are_refused(dims, k, message):
    """Dims that do not ascend within 1..d and a k below 1 are refused with the rule."""
    with pytest.raises(ParameterError, match=message):
        nested_topk(np.ones((4, 8), np.float32), np.ones((1, 8), np.float32), dims, k)


def test_unequal_dimensions_and_an_empty_corpus_are_refused():
    """A block of another width, and no block at all, are refused."""
    queries = np.ones((1, 8), np.float32)
    with pytest.raises(VectorError, match="same number of dimensions"):
        nested_topk(np.ones((4, 6), np.float32), queries, (4,), 1)
    with pytest.raises(VectorError, match="at least one vector"):
        nested_topk(iter([]), queries, (4,), 1)


def test_progress_rises_to_one_and_cancel_stops_between_blocks():
    """Progress ends at 1; a cancel raises and later blocks are not read."""
    corpus, queries = vectors(70_000, 300, seed=22), vectors(2, 300, seed=23)
    shares = []
    nested_topk(corpus, queries, (300,), 1, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert len(shares) > 1
    assert shares[-1] == 1
    read = []

    def parts():
        for start in range(0, 50_000, 10_000):
            read.append(start)
            yield corpus[start : start + 10_000]

    with pytest.raises(CancelledError):
        nested_topk(parts(), queries, (300,), 1, cancelled=lambda: len(read) > 2)
    assert read == [0, 10_000, 20_000]


def test_blas_threads_are_restored_after_overlapping_scans():
    """Two scans that overlap in time leave BLAS with the threads it had before the first."""
    before = [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()]
    first, second = one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    assert {pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()} == {1}
    first.__exit__(None, None, None)
    assert {pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()} == {1}
    second.__exit__(None, None, None)
    assert [pool["num_threads"] for pool in ThreadpoolController().select(user_api="blas").info()] == before
