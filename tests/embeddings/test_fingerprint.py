"""Digests and the walk over arrays that they share with the sweep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from engine.embeddings import fingerprint
from engine.embeddings.paging import blocks


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1, 1, width=32)), st.data())
def test_one_changed_component_changes_the_digest(array, data):
    """Changing any single component changes the digest; a copy keeps it."""
    assert fingerprint(array) == fingerprint(array.copy())
    place = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    changed = array.copy()
    changed[place] += 3
    assert fingerprint(changed) != fingerprint(array)


def test_digest_tells_dtype_shape_and_boundaries_apart():
    """The same bytes as another dtype, shape or split into parts have another digest."""
    array = np.zeros((2, 6), np.float32)
    different = [
        (array,),
        (array.reshape(3, 4),),
        (array.view(np.int32),),
        (array[:1], array[1:]),
        (None,),
        ("none",),
        (["ab", "c"],),
        (["a", "bc"],),
        (["a", "b", "c"],),
        ("a", "b", "c"),
    ]
    assert len({fingerprint(*parts) for parts in different}) == len(different)


def test_digest_of_a_memory_map_and_of_a_strided_view_equal_the_copys(tmp_path):
    """Where an array lives and how it is strided does not enter the digest."""
    array = np.arange(60, dtype=np.float32).reshape(10, 6)
    np.save(tmp_path / "a.npy", array)
    assert fingerprint(np.load(tmp_path / "a.npy", mmap_mode="r")) == fingerprint(array)
    assert fingerprint(array[:, ::2]) == fingerprint(array[:, ::2].copy())


def test_what_has_no_digest_is_refused():
    """A part that is neither array, text, list of texts nor None is a programming error."""
    with pytest.raises(TypeError, match="dict"):
        fingerprint({})


@given(st.integers(1, 50), st.integers(1, 60))
def test_blocks_cover_every_row_once_in_order(n, rows):
    """Blocks come in order with their first row, and together are the array."""
    array = np.arange(n * 2).reshape(n, 2)
    walked = list(blocks(array, rows))
    np.testing.assert_array_equal(np.concatenate([block for _, block in walked]), array)
    assert [start for start, _ in walked] == list(range(0, n, rows))
