"""Plain JSON out of whatever results are made of."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workspace import plain_json

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.booleans().map(np.bool_),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


def _is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in {str, int, bool} or (type(value) is float and math.isfinite(value))


@given(_values)
def test_everything_becomes_strict_json(value: object) -> None:
    """The result holds exact JSON types only, survives JSON unchanged, and converting it again changes nothing."""
    plain = plain_json(value)
    assert _is_plain(plain)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain_json(plain) == plain


def test_known_values() -> None:
    """NaN and infinities become None, arrays lists, keys strings, dataclasses objects, moments and paths text."""

    @dataclass(frozen=True)
    class Point:
        dim: int
        low: float

    assert plain_json([math.nan, -math.inf, np.float32("inf"), np.float64(0.5)]) == [None, None, None, 0.5]
    assert plain_json(np.array([[1.0, np.nan], [2.0, 3.0]])) == [[1.0, None], [2.0, 3.0]]
    assert plain_json({10: Point(64, math.nan), None: True}) == {"10": {"dim": 64, "low": None}, "None": True}
    assert plain_json(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00+00:00"
    assert plain_json(PurePosixPath("a/b")) == "a/b"
    assert plain_json(np.array(["a"])) == ["a"]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), Exception, 1j])
def test_anything_else_is_refused(value: object) -> None:
    """What has no JSON form is an error, not its repr."""
    with pytest.raises(TypeError):
        plain_json({"nested": [value]})
