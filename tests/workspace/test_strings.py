"""Strings in arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import WorkspaceError
from engine.workspace.artefacts import StreamedArray
from engine.workspace.strings import StoredStrings, string_arrays

_any_text = st.text(st.characters(), max_size=20)  # half surrogate pairs too: JSON can hold them


def _stored(values: list[str]) -> StoredStrings:
    arrays = string_arrays("x", values)
    utf8, offsets = arrays["x_utf8"], arrays["x_offsets"]
    assert isinstance(utf8, StreamedArray)
    assert isinstance(offsets, np.ndarray)
    content = np.frombuffer(b"".join(utf8.chunks()), np.uint8)
    assert content.shape == utf8.shape
    return StoredStrings(content, offsets)


@given(st.lists(_any_text), st.slices(12))
def test_strings_come_back(values: list[str], rows: slice) -> None:
    """Every string, of any script, empty or half a surrogate pair, is what it was, by row, slice and iteration."""
    stored = _stored(values)
    assert list(stored) == values
    assert len(stored) == len(values)
    assert stored[rows] == values[rows]
    assert [stored[row] for row in range(-len(values), len(values))] == values + values


def test_many_strings_are_written_in_pieces() -> None:
    """A list longer than one chunk loses nothing at the seams."""
    values = [f"text {i} ü" for i in range(10_001)]
    assert list(_stored(values)) == values


def test_rows_outside_are_index_errors() -> None:
    """A row beyond the end is an IndexError, as in any sequence."""
    stored = _stored(["a"])
    for row in (1, -2):
        with pytest.raises(IndexError):
            stored[row]


@pytest.mark.parametrize("offsets", [[], [0, 2], [0, 4], [1, 3], [0, 2, 1, 3], [[0, 3]]])
def test_offsets_that_mislead_are_refused(offsets: list[int]) -> None:
    """Offsets that do not lead through the bytes in order are refused before anything is decoded."""
    with pytest.raises(WorkspaceError, match="must cover their bytes in order"):
        StoredStrings(np.frombuffer(b"abc", np.uint8), np.array(offsets, np.int64))


def test_damaged_bytes_are_replaced_not_fatal() -> None:
    """Bytes that are no UTF-8 show as replacement characters instead of breaking a page."""
    assert list(StoredStrings(np.frombuffer(b"a\xffb", np.uint8), np.array([0, 3]))) == ["a\ufffdb"]
