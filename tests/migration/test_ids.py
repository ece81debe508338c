"""Ids in one order and through every coding."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import VectorError
from engine.migration.ids import (
    as_id,
    as_uuid5,
    coded_text,
    escaped,
    fits,
    from_coded_text,
    from_order_key,
    kind_of,
    order_key,
    unescaped,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
AWKWARD = st.text(st.sampled_from(["\0", "\1", "\2", "a", "é", "\uffff", "\U0001f600"]))
IDS = st.one_of(
    st.integers(-(1 << 1015), 1 << 1015),
    st.integers(-300, 300),
    st.integers(-(1 << 64), 1 << 64),
    st.uuids(),
    TEXTS,
    AWKWARD,
)


def natural(one: object) -> tuple[int, object]:
    """Return a key by which Python itself sorts ids canonically."""
    if isinstance(one, int):
        return 0, one
    return (1, one.bytes) if isinstance(one, uuid.UUID) else (2, str(one).encode())


@given(IDS)
def test_every_coding_is_undone(one):
    """Order keys, coded texts and escapes lead back to the id; texts and numbers that look alike stay apart."""
    assert from_order_key(order_key(one)) == one
    assert from_coded_text(coded_text(one)) == one
    assert type(from_coded_text(coded_text(one))) is type(one)
    assert "\0" not in coded_text(one)
    if isinstance(one, str):
        assert unescaped(escaped(one)) == one


@given(st.lists(IDS, min_size=2))
def test_codings_keep_the_canonical_order(ids):
    """The bytes of order keys and of coded texts sort as numbers by value, UUIDs by bytes, texts by UTF-8."""
    expected = sorted(ids, key=natural)
    assert sorted(ids, key=order_key) == expected
    assert sorted(ids, key=lambda one: coded_text(one).encode()) == expected
    texts = [one for one in ids if isinstance(one, str)]
    assert sorted(texts, key=lambda one: escaped(one).encode()) == sorted(texts, key=str.encode)


@given(st.lists(IDS))
def test_the_kind_of_ids_holds_them_all(ids):
    """Every id fits the kind found, and a narrower kind is never passed over."""
    kind = kind_of(ids)
    assert all(fits(one, kind) for one in ids)
    narrower = {"int": (), "uint": ("int",), "uuid": (), "text": (), "mixed": ("int", "uint", "uuid", "text")}[kind]
    assert not any(all(fits(one, other) for one in ids) for other in narrower)


def test_stand_ins_are_the_same_every_time_and_differ():
    """A UUID that stands for an id never changes, or a second run of a migration would double every row."""
    assert as_uuid5("a") == uuid.UUID("29ee4353-1669-5069-9706-95ac2d3176ef")
    assert len({as_uuid5(one) for one in ("1", 1, "a", "A", uuid.UUID(int=1), str(uuid.UUID(int=1)))}) == 6


@pytest.mark.parametrize("value", [1.5, True, None, b"a", "\ud800", 1 << 1017, np.float32(1)])
def test_what_is_no_id_is_refused(value):
    """Floats, booleans, half surrogate pairs and endless numbers are not ids."""
    with pytest.raises(VectorError, match=r"an id|a text id|as id"):
        as_id(value)


def test_numbers_of_numpy_are_plain_numbers():
    """An id from an array is the int that it stands for."""
    assert as_id(np.uint64(1 << 63)) == 1 << 63
    assert type(as_id(np.int16(3))) is int


@pytest.mark.parametrize("text", ["", "y", "i", "izz", "i82", "u123", "i8201020304"])
def test_a_forged_coded_text_is_refused(text):
    """A cursor that was tampered with is one sentence."""
    with pytest.raises(VectorError, match="a coded id"):
        from_coded_text(text)
