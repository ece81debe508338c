"""Top-k over codes against decoding every code and sorting, exactly where scores are whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CancelledError, ParameterError, VectorError
from engine.scoring import nested_topk
from engine.scoring.codes import code_blocks, codebook, encode_queries, quantize
from engine.scoring.quantized import code_topk

METRICS = ("cosine", "ip", "l2")


def vectors(n, d, *, seed):
    """Draw vectors with a falling spectrum and unequal norms."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.3 * rng.uniform(0.5, 2, (n, 1))).astype(np.float32)


def decoded_scores(codes, queries):
    """Score every pair in float64 from the decoded codes and the decoded queries."""
    book, asked = codes.book, encode_queries(queries, codes.book)
    if book.dtype == "binary":
        bits = [np.unpackbits(data, axis=1, count=book.dim).astype(np.int64) for data in (asked.data, codes.data)]
        return 1 - 2 * np.abs(bits[0][:, None] - bits[1][None]).sum(axis=2) / book.dim
    rows = book.calibration.step * codes.data.astype(np.float64)
    decoded = asked.data * asked.steps[:, None].astype(np.float64)
    if book.metric == "l2":
        return -((decoded[:, None] - rows[None]) ** 2).sum(axis=2)
    return decoded @ rows.T + asked.offsets[:, None]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    d=st.integers(1, 130),
    q=st.integers(1, 9),
    k=st.integers(1, 40),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**31),
)
def test_int8_equals_sorting_the_exact_products(n, d, q, k, metric, seed):
    """int8 ids are those of the integer products sorted, lower row first among equals; scores are the decoded ones."""
    corpus, queries = vectors(n, d, seed=seed), vectors(q, d, seed=seed + 1)
    codes = quantize(corpus, d, "int8", metric=metric)
    found = code_topk(codes, queries, k)
    assert (found.k, found.k_requested, found.n_docs) == (min(k, n), k, n)
    expected = decoded_scores(codes, queries)
    best = -np.sort(-expected, axis=1)[:, : found.k]
    size = 1e-5 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(found.scores, best, atol=size)
    np.testing.assert_allclose(np.take_along_axis(expected, found.ids, 1), best, atol=size)
    if metric != "l2":
        products = encode_queries(queries, codes.book).data.astype(np.int64) @ codes.data.astype(np.int64).T
        np.testing.assert_array_equal(found.ids, np.argsort(-products, axis=1, kind="stable")[:, : found.k])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 300),
    d=st.integers(1, 200),
    q=st.integers(1, 9),
    k=st.integers(1, 40),
    metric=st.sampled_from(METRICS),
    seed=st.integers(0, 2**31),
)
def test_binary_equals_sorting_hamming_distances(n, d, q, k, metric, seed):
    """Binary ids are those of the Hamming distances sorted, lower row first among the many equal ones."""
    corpus, queries = vectors(n, d, seed=seed), vectors(q, d, seed=seed + 1)
    codes = quantize(corpus, d, "binary", metric=metric)
    found = code_topk(codes, queries, k)
    expected = decoded_scores(codes, queries)
    ids = np.argsort(-expected, axis=1, kind="stable")[:, : found.k]
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.scores, np.take_along_axis(expected, ids, 1), atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [16, 64])
def test_int8_comes_close_to_float32(metric, dim):
    """int8 scores differ from float32 ones by less than 1 % of the best, and nearly all neighbours are the same."""
    corpus, queries = vectors(4000, 64, seed=1), vectors(50, 64, seed=2)
    exact = nested_topk(corpus, queries, (dim,), 10, metric=metric)
    found = code_topk(quantize(corpus, dim, "int8", metric=metric), queries, 10)
    overlap = [len(set(a) & set(b)) / 10 for a, b in zip(found.ids, exact.ids[0], strict=True)]
    assert np.mean(overlap) > 0.93
    assert np.abs(found.scores - exact.scores[0]).mean() < 0.01 * np.abs(exact.scores).max()


def test_a_shifted_corpus_costs_int8_nothing():
    """A constant added to every vector leaves l2 neighbours nearly as they are: codes are centred."""
    corpus, queries = vectors(2000, 32, seed=3), vectors(40, 32, seed=4)
    plain = code_topk(quantize(corpus, 32, "int8", metric="l2"), queries, 10)
    moved = code_topk(quantize(corpus + 100, 32, "int8", metric="l2"), queries + 100, 10)
    assert (plain.ids == moved.ids).mean() > 0.95


@pytest.mark.parametrize("metric", METRICS)
def test_float_codes_rank_as_the_sweep_does(metric):
    """float32 codes give the sweep's ids at that dimension; float16 codes nearly all of them."""
    corpus, queries = vectors(1500, 40, seed=5), vectors(30, 40, seed=6)
    exact = nested_topk(corpus, queries, (24,), 10, metric=metric)
    found = code_topk(quantize(corpus, 24, "float32", metric=metric), queries, 10)
    assert (found.ids == exact.ids[0]).mean() > 0.99
    np.testing.assert_allclose(found.scores, exact.scores[0], atol=1e-5 * max(1, np.abs(exact.scores).max()))
    half = code_topk(quantize(corpus, 24, "float16", metric=metric), queries, 10)
    assert (half.ids == exact.ids[0]).mean() > 0.95


@pytest.mark.parametrize("dtype", ["int8", "binary", "float16"])
def test_blocks_threads_and_tiles_change_nothing(dtype, monkeypatch):
    """Codes in blocks, any number of threads, and one query at a time find what one scan of all finds."""
    corpus, queries = vectors(6000, 24, seed=7), vectors(300, 24, seed=8)
    corpus[[5, 4000]] = 0
    codes = quantize(corpus, 24, dtype)
    whole = code_topk(codes, queries, 12, n_threads=1)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(code_topk(codes, queries, 12, n_threads=n_threads).ids, whole.ids)
    monkeypatch.setattr("engine.scoring.codes._BLOCK_BYTES", 4 * 24 * 1700)
    parts = code_topk(code_blocks(corpus, codes.book), queries, 12)
    np.testing.assert_array_equal(parts.ids, whole.ids)
    assert parts.n_docs == 6000
    monkeypatch.setattr("engine.scoring.quantized._BLOCK_ROWS", 1000)
    for row in (0, 299):
        alone = code_topk(codes, queries[row : row + 1], 12)
        np.testing.assert_array_equal(alone.ids[0], whole.ids[row])
        np.testing.assert_array_equal(alone.scores[0], whole.scores[row])


@pytest.mark.parametrize("dtype", ["int8", "binary", "float32"])
def test_an_excluded_row_is_never_retrieved(dtype):
    """A held-out query does not find itself, and k shrinks to what it may retrieve."""
    corpus = vectors(50, 16, seed=9)
    rows = np.array([0, 31, -1])
    codes = quantize(corpus, 16, dtype)
    found = code_topk(codes, corpus[[0, 31, 7]], 60, exclude=rows)
    assert found.k == 49
    assert (found.ids[:2] != rows[:2, None]).all()
    assert found.ids[2, 0] == 7


@pytest.mark.parametrize("dtype", ["int8", "binary", "float16", "float32"])
def test_zero_vectors_rank_last_under_cosine(dtype):
    """A zero document has no cosine and ranks last with -inf; so does everything for a zero query."""
    corpus = np.array([[0, 0, 0], [-1, -2, -1], [1, 2, 1], [0, 0, 0], [1, 0, 0]], np.float32)
    queries = np.array([[1, 2, 1], [0, 0, 0]], np.float32)
    found = code_topk(quantize(corpus, 3, dtype), queries, 5)
    assert found.ids[0, 0] == 2
    assert found.ids[0, 3:].tolist() == [0, 3]
    assert np.isneginf(found.scores[0]).tolist() == [False, False, False, True, True]
    assert np.isneginf(found.scores[1]).all()


def test_what_does_not_fit_is_refused():
    """A k below 1, no codes, short queries, queries that are not finite and a wrong exclude are refused."""
    corpus = vectors(20, 8, seed=10)
    codes = quantize(corpus, 8, "int8")
    with pytest.raises(ParameterError, match="k must be at least 1"):
        code_topk(codes, corpus[:2], 0)
    with pytest.raises(VectorError, match="at least one vector"):
        code_topk([], corpus[:2], 1)
    with pytest.raises(VectorError, match="8 components"):
        code_topk(codes, corpus[:2, :5], 1)
    with pytest.raises(VectorError, match="queries must be a finite.*row 1"):
        code_topk(codes, np.array([[1.0] * 8, [np.inf] * 8], np.float32), 1)
    with pytest.raises(ParameterError, match="one row a query"):
        code_topk(codes, corpus[:2], 1, exclude=np.array([1]))


def test_scoring_reports_progress_and_can_be_cancelled():
    """Progress ends at 1; a cancel stops before the next block."""
    corpus, read, shares = vectors(400, 8, seed=11), [], []
    book = codebook(corpus, 8, "binary")

    def parts():
        for block in code_blocks(corpus, book):
            read.append(len(block.data))
            yield block

    code_topk(parts(), corpus[:3], 2, progress=lambda share, _: shares.append(share))
    assert (sum(read), shares[-1]) == (400, 1)
    with pytest.raises(CancelledError):
        code_topk(parts(), corpus[:3], 2, cancelled=lambda: True)
