"""Results of any shape survive being kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from engine.errors import WorkspaceError
from engine.workspace.codec import decode, encode


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A part of a result."""

    value: Any


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A result."""

    leaves: tuple[Leaf, ...]
    named: dict[Any, Any]


def same(left, right):
    """Compare with NaN equal to itself and arrays by value, dtype and shape."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and np.array_equal(left, right, equal_nan=True)
    if isinstance(left, Leaf):
        return same(left.value, right.value)
    if isinstance(left, tuple):
        return isinstance(right, tuple) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right or repr(left) == repr(right) == "nan"


NUMBERS = arrays(np.float32, array_shapes(max_dims=3, max_side=12), elements=st.floats(width=32))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NUMBERS,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.builds(lambda value: Leaf(value=value), inner),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4), st.dictionaries(st.text() | st.integers(), VALUES, max_size=4))
def test_what_was_kept_is_read_back(values, named):
    """Numbers (NaN and infinities too), texts, tuples, dicts, arrays and dataclasses come back as they were."""
    tree = Tree(leaves=tuple(Leaf(value=value) for value in values), named=named)
    document, files = encode(tree)
    read = decode(json.loads(json.dumps(document, allow_nan=False)), files, Tree, [Leaf])
    assert same(read.leaves, tree.leaves)
    assert same(read.named, tree.named)


def test_large_arrays_stay_out_of_the_document():
    """An array above the inline limit is a file of its own, and the document only names it."""
    document, files = encode(Leaf(value=np.arange(10_000)))
    assert list(files) == ["array0"]
    assert len(json.dumps(document)) < 200
    np.testing.assert_array_equal(decode(document, files, Leaf).value, np.arange(10_000))


@pytest.mark.parametrize("value", [{1, 2}, np.array([object()]), lambda: None, b"bytes"])
def test_what_cannot_be_kept_is_refused(value):
    """A field of a type that would not come back is a programming error."""
    with pytest.raises(TypeError, match="cannot keep"):
        encode(Leaf(value=value))


@pytest.mark.parametrize(
    "document",
    [
        {"class": "Tree", "fields": {}},
        {"class": "os.system", "fields": {"command": "true"}},
        {"class": "Leaf", "fields": {"value": {"array": "array7"}}},
        {"class": "Leaf", "fields": {"value": 1, "more": 2}},
        {"items": []},
        {},
    ],
)
def test_a_document_of_another_form_is_refused(document):
    """Unknown classes, missing or extra fields and missing arrays are one clear error."""
    with pytest.raises(WorkspaceError, match="stored result"):
        decode(document, {}, Leaf)
