"""Truncate and re-normalise against a naive reference, and rows that cannot move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.migration.stores.protocol import Batch, BrokenRow
from engine.migration.transform import Transform


def _batch(vectors: np.ndarray, **parts: object) -> Batch:
    return Batch(ids=tuple(range(len(vectors))), vectors=vectors.astype(np.float32), **parts)


def test_rows_are_the_normalised_prefix() -> None:
    """Every row is its first d components over their length, within 1e-7 of float64."""
    vectors = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    moved = Transform(dims=5, normalise=True)(_batch(vectors))
    cut = vectors[:, :5].astype(np.float64)
    assert np.allclose(moved.batch.vectors, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-7)
    assert moved.batch.vectors.dtype == np.float32
    assert not moved.held


def test_without_normalising_the_prefix_stays() -> None:
    """For an inner product the components are kept to the bit."""
    vectors = np.random.default_rng(0).standard_normal((50, 16)).astype(np.float32)
    assert np.array_equal(Transform(dims=5, normalise=False)(_batch(vectors)).batch.vectors, vectors[:, :5])


def test_rows_that_cannot_move_are_named() -> None:
    """A zero prefix, NaN, infinity, a row that the store could not read and a repeated id are held with the reason."""
    vectors = np.ones((7, 4), dtype=np.float32)
    vectors[1, :2] = 0
    vectors[2, 0] = np.nan
    vectors[3, 1] = np.inf
    vectors[4] = np.nan
    broken = (BrokenRow(row=4, dim=3, reason="it has 3 dims, not 4"),)
    batch = Batch(ids=("a", "b", "c", "d", "e", "f", "a"), vectors=vectors, broken=broken, payloads=(b"1",) * 7)
    moved = Transform(dims=2, normalise=True)(batch)
    assert moved.batch.ids == ("a", "f")
    assert moved.batch.payloads == (b"1", b"1")
    assert {row.id: row.reason for row in moved.held} == {
        "b": "its first 2 components are all zero",
        "c": "its vector holds NaN or infinite components",
        "d": "its vector holds NaN or infinite components",
        "e": "it has 3 dims, not 4",
        "a": "another row of the source has the same id",
    }


def test_a_zero_row_moves_where_nothing_is_normalised() -> None:
    """A zero vector has an inner product with everything, so it is no reason to hold it."""
    assert not Transform(dims=2, normalise=False)(_batch(np.zeros((3, 4)))).held


def test_an_overflowing_row_is_still_normalised() -> None:
    """Components whose squares overflow float32 are finite all the same."""
    moved = Transform(dims=2, normalise=True)(_batch(np.full((1, 2), 3e38)))
    assert np.allclose(moved.batch.vectors, np.sqrt(0.5))


def test_queries_are_cut_like_rows() -> None:
    """A query is asked of the target exactly as the same vector would be stored there."""
    vectors = np.random.default_rng(1).standard_normal((9, 8)).astype(np.float32)
    transform = Transform(dims=3, normalise=True)
    assert np.array_equal(transform.cut(vectors), transform(_batch(vectors)).batch.vectors)


@given(hnp.arrays(np.float32, (4, 6), elements=st.floats(-1e6, 1e6, width=32)))
def test_every_row_moves_or_is_held(vectors: np.ndarray) -> None:
    """No row is lost: each id is either in the batch, as a unit vector, or held."""
    moved = Transform(dims=3, normalise=True)(_batch(vectors))
    assert sorted([*moved.batch.ids, *(row.id for row in moved.held)]) == [0, 1, 2, 3]
    assert np.allclose(np.linalg.norm(moved.batch.vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(("dtype", "stored"), [("float32", np.float32), ("float16", np.float16)])
def test_the_bound_covers_what_the_type_explains_and_no_more(dtype: str, stored: type) -> None:
    """Rounding to the target's type stays within the bound; ten times the bound does not."""
    rows = Transform(dims=64, normalise=True)(_batch(np.random.default_rng(2).standard_normal((200, 64)))).batch.vectors
    bound = Transform(dims=64, normalise=True, dtype=dtype).bound(rows)
    off = np.abs(rows.astype(stored).astype(np.float64) - rows).max(axis=1)
    assert (off <= bound).all()
    assert (bound <= 1e-3).all()
    if dtype == "float16":
        assert off.max() > bound.max() / 10
