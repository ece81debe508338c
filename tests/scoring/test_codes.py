"""Codes of every type against what decoding them must give back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CancelledError, ParameterError, VectorError
from engine.scoring.codes import CODE_TYPES, LIMIT, code_blocks, code_bytes, codebook, encode, encode_queries, quantize

METRICS = ("cosine", "ip", "l2")


def vectors(n, d, *, seed):
    """Draw vectors with unequal variances, norms and means."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, d + 1) ** -0.4
    return (rng.standard_normal((n, d)) * spread * rng.uniform(0.5, 2, (n, 1)) + 0.3 * spread).astype(np.float32)


def prefixes(rows, dim, metric):
    """Truncate, and re-normalise for cosine, in float64."""
    cut = np.asarray(rows, np.float64)[:, :dim]
    return cut / np.linalg.norm(cut, axis=1, keepdims=True) if metric == "cosine" else cut


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [5, 32])
def test_int8_codes_decode_to_within_half_a_step(metric, dim):
    """Every component that is not clipped decodes to within half a step, and at most one in ten thousand is clipped."""
    corpus = vectors(3000, 32, seed=1)
    codes = quantize(corpus, dim, "int8", metric=metric)
    calibration = codes.book.calibration
    decoded = calibration.centre + calibration.step * codes.data.astype(np.float64)
    error = np.abs(decoded - prefixes(corpus, dim, metric))
    clipped = np.abs(codes.data) == LIMIT
    assert error[~clipped].max() <= calibration.step * 0.5001
    assert codes.n_clipped <= 0.0001 * codes.data.size
    assert codes.n_clipped <= clipped.sum()
    assert calibration.n_rows == 3000


def test_int8_under_l2_keeps_the_norms_of_the_decoded_vectors():
    """The squared norms stored beside l2 codes are those of step × code; other metrics store none."""
    corpus = vectors(400, 12, seed=2)
    codes = quantize(corpus, 12, "int8", metric="l2")
    expected = (codes.data.astype(np.float64) ** 2).sum(axis=1) * codes.book.calibration.step**2
    np.testing.assert_allclose(codes.squares, expected, rtol=1e-6)
    assert quantize(corpus, 12, "int8").squares is None


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), d=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_binary_codes_are_the_packed_signs(n, d, seed):
    """A binary code unpacks to one bit a component, set where it is above 0; zero is not above."""
    rows = np.random.default_rng(seed).integers(-1, 2, (n, d)).astype(np.float32)
    codes = quantize(rows, d, "binary", metric="ip")
    assert codes.data.shape == (n, -(-d // 8))
    np.testing.assert_array_equal(np.unpackbits(codes.data, axis=1, count=d), rows > 0)
    assert codes.zero_rows.tolist() == np.flatnonzero(~rows.any(axis=1)).tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_float_codes_are_the_rounded_prefixes(dtype):
    """Float codes are the re-normalised prefixes, rounded to their type."""
    corpus = vectors(100, 20, seed=3)
    codes = quantize(corpus, 8, dtype)
    assert codes.data.dtype == dtype
    np.testing.assert_allclose(codes.data, prefixes(corpus, 8, "cosine"), rtol=1e-3 if dtype == "float16" else 1e-6)


@pytest.mark.parametrize("dtype", CODE_TYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_bytes_a_vector_are_those_of_the_arrays(dtype, metric):
    """What is counted a vector is what the arrays of the codes hold."""
    codes = quantize(vectors(50, 21, seed=4), 13, dtype, metric=metric)
    held = codes.data.nbytes + (0 if codes.squares is None else codes.squares.nbytes)
    assert codes.book.bytes_per_vector * 50 == held
    assert code_bytes(dtype, 13, metric=metric) == codes.book.bytes_per_vector
    calibration = codes.book.calibration
    assert codes.book.shared_bytes == (0 if calibration is None else calibration.centre.nbytes + 4)


def test_blocks_of_codes_are_the_codes_of_the_whole(tmp_path, monkeypatch):
    """Codes made block by block, also of a memory map, are those made at once, zero rows by their corpus row."""
    corpus = vectors(5000, 16, seed=5)
    corpus[[3, 4321]] = 0
    np.save(tmp_path / "corpus.npy", corpus)
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    book = codebook(corpus, 16, "int8", seed=9)
    whole = encode(corpus, book)
    monkeypatch.setattr("engine.scoring.codes._BLOCK_BYTES", 16 * 4 * 700)
    blocks = list(code_blocks(mapped, codebook(mapped, 16, "int8", seed=9)))
    assert len(blocks) == 8
    np.testing.assert_array_equal(np.concatenate([block.data for block in blocks]), whole.data)
    assert np.concatenate([block.zero_rows for block in blocks]).tolist() == [3, 4321]
    together = quantize(mapped, 16, "int8", seed=9)
    np.testing.assert_array_equal(together.data, whole.data)
    assert together.n_clipped == whole.n_clipped


def test_the_calibration_depends_on_the_seed_alone():
    """The same seed calibrates alike; another draws another sample of a corpus beyond the sample size."""
    corpus = vectors(12_000, 8, seed=6)
    first, again, other = (codebook(corpus, 8, "int8", seed=seed).calibration for seed in (1, 1, 2))
    assert first.step == again.step
    np.testing.assert_array_equal(first.centre, again.centre)
    assert first.n_rows == 10_000
    assert (first.centre != other.centre).any()


def test_a_constant_corpus_can_be_calibrated():
    """Where no component varies there is no range: every code is 0 and decodes to the centre."""
    codes = quantize(np.full((10, 4), 7.0, np.float32), 4, "int8", metric="l2")
    assert not codes.data.any()
    np.testing.assert_array_equal(codes.book.calibration.centre, [7, 7, 7, 7])


@pytest.mark.parametrize("metric", METRICS)
def test_queries_decode_to_within_half_their_own_step(metric):
    """An int8 query, times its step, is the prefix (centred for l2) to within half a step and is never clipped."""
    corpus, queries = vectors(500, 24, seed=7), vectors(6, 24, seed=8) * 5
    book = codebook(corpus, 10, "int8", metric=metric)
    coded = encode_queries(queries, book)
    expected = prefixes(queries, 10, metric) - (book.calibration.centre if metric == "l2" else 0)
    error = np.abs(coded.data * coded.steps[:, None] - expected)
    assert (error <= 0.5001 * coded.steps[:, None]).all()
    assert (np.abs(coded.data).max(axis=1) == LIMIT).all()


def test_what_cannot_be_coded_is_refused():
    """Unknown types, dims out of range, rows that are not finite and components beyond float16 are refused."""
    corpus = vectors(30, 6, seed=10)
    with pytest.raises(ParameterError, match="float32, float16, int8, binary; found int4"):
        quantize(corpus, 6, "int4")
    with pytest.raises(ParameterError, match="within 1..6"):
        quantize(corpus, 7, "int8")
    with pytest.raises(VectorError, match="65,504"):
        quantize(corpus * 1e6, 6, "float16", metric="ip")
    quantize(corpus * 1e6, 6, "float16")
    corpus[20, 5] = np.nan
    for dtype in CODE_TYPES:
        with pytest.raises(VectorError, match="finite"):
            quantize(corpus, 3, dtype)
    with pytest.raises(VectorError, match="row 1020"):
        encode(corpus, codebook(corpus, 3, "binary"), first_row=1000)


def test_coding_reports_progress_and_can_be_cancelled():
    """Progress ends at 1; a cancel keeps nothing."""
    corpus, shares = vectors(100, 4, seed=11), []
    quantize(corpus, 4, "binary", progress=lambda share, _: shares.append(share))
    assert shares[-1] == 1
    with pytest.raises(CancelledError):
        quantize(corpus, 4, "binary", cancelled=lambda: True)
