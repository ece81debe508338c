"""The binary COPY format against pgvector's own codec, byte by byte."""

from __future__ import annotations

import struct
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgvector import HalfVector, Vector

from engine.errors import StoreError
from engine.migration.stores.pg_binary import HEADER, TRAILER, RowFormat, decode, decode_ids, encode

DIM = 3
EPOCH = np.datetime64("2000-01-01", "us")
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def field(data: bytes | None) -> bytes:
    """Return a field as the format says: its length, then its bytes."""
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def naive_row(row: RowFormat, one: object, vector: bytes | None, moment: object, payload: bytes | None) -> bytes:
    """Return a row written field by field."""
    fields = [field(vector)]
    if row.has_moment:
        since = None if np.isnat(moment) else struct.pack(">q", int((moment - EPOCH).astype(np.int64)))
        fields.append(field(since))
    if row.has_payload:
        fields.append(field(None if payload is None else (b"\1" if row.is_jsonb else b"") + payload))
    if row.id_field == "int8":
        fields.insert(0, field(struct.pack(">q", one)))
    elif row.id_field == "uuid":
        fields.insert(0, field(one.bytes))
    else:
        fields.append(field(one.encode()))
    return struct.pack(">h", len(fields)) + b"".join(fields)


@st.composite
def batches(draw):
    """Draw a format and rows that fit it."""
    id_field = draw(st.sampled_from(["int8", "uuid", "text"]))
    row = RowFormat(
        id_field=id_field,
        dim=DIM,
        dtype=draw(st.sampled_from(["float32", "float16"])),
        has_moment=draw(st.booleans()),
        has_payload=draw(st.booleans()),
        is_jsonb=draw(st.booleans()),
    )
    n = draw(st.integers(0, 5))
    ids = {
        "int8": st.integers(-(1 << 63), (1 << 63) - 1),
        "uuid": st.uuids(),
        "text": st.text(st.characters(exclude_categories=["Cs"])),
    }[id_field]
    limit = st.floats(-60_000, 60_000, width=16) if row.dtype == "float16" else FLOATS
    vectors = draw(st.lists(st.lists(limit, min_size=DIM, max_size=DIM), min_size=n, max_size=n))
    moments = draw(st.lists(st.one_of(st.none(), st.integers(-(10**15), 10**15)), min_size=n, max_size=n))
    return (
        row,
        draw(st.lists(ids, min_size=n, max_size=n)),
        np.array(vectors, dtype=np.float32).reshape(n, DIM),
        np.array(["NaT" if one is None else EPOCH + one for one in moments], dtype="datetime64[us]"),
        draw(st.lists(st.one_of(st.none(), st.binary(max_size=20)), min_size=n, max_size=n)),
    )


@given(batches())
def test_rows_are_written_as_pgvector_writes_them(drawn):
    """Whole batches have the bytes that rows written one by one with pgvector's codec have."""
    row, ids, vectors, moments, payloads = drawn
    codec = HalfVector if row.dtype == "float16" else Vector
    expected = b"".join(
        naive_row(row, one, codec(vector).to_binary(), moment, payload)
        for one, vector, moment, payload in zip(ids, vectors, moments, payloads, strict=True)
    )
    assert encode(row, ids=ids, vectors=vectors, updated_at=moments, payloads=payloads) == expected


@given(batches(), st.data())
def test_rows_are_read_whatever_is_missing(drawn, data):
    """Ids, vectors, moments and payloads come back; rows without a vector or with other dims are broken and NaN."""
    row, ids, vectors, moments, payloads = drawn
    codec = HalfVector if row.dtype == "float16" else Vector
    dims = [data.draw(st.sampled_from([DIM, DIM, None, 1, 7])) for _ in ids]
    messages = [
        naive_row(row, one, None if dim is None else codec(np.resize(vector, dim)).to_binary(), moment, payload)
        for one, vector, moment, payload, dim in zip(ids, vectors, moments, payloads, dims, strict=True)
    ]
    framed = [HEADER + messages[0], *messages[1:], TRAILER] if messages else [HEADER + TRAILER]
    found = decode(row, framed)
    assert found.ids == ids
    assert [(one.row, one.dim) for one in found.broken] == [(n, dim) for n, dim in enumerate(dims) if dim != DIM]
    whole = [n for n, dim in enumerate(dims) if dim == DIM]
    rounded = vectors.astype(np.float16).astype(np.float32) if row.dtype == "float16" else vectors
    np.testing.assert_array_equal(found.vectors[whole], rounded[whole])
    assert np.isnan(np.delete(found.vectors, whole, axis=0)).all()
    if row.has_moment:
        np.testing.assert_array_equal(found.updated_at, moments)
    if row.has_payload:
        jsonb = b"\1" if row.is_jsonb else b""
        assert found.payloads == [None if one is None else jsonb + one for one in payloads]


@pytest.mark.parametrize(
    ("id_field", "ids", "data"),
    [
        ("int8", [-1, 1 << 40], struct.Struct(">q").pack),
        ("uuid", [uuid.UUID(int=5), uuid.UUID(int=1 << 100)], lambda one: one.bytes),
        ("text", ["", "ä"], str.encode),
    ],
)
def test_ids_alone_are_read(id_field, ids, data):
    """A query of ids alone is read without vectors."""
    messages = [struct.pack(">h", 1) + field(data(one)) for one in ids]
    assert decode_ids(id_field, [HEADER + messages[0], *messages[1:], TRAILER]) == ids


@pytest.mark.parametrize("cut", [1, 7, 15, 18, 25, 30, 60])
def test_bytes_that_are_no_rows_are_refused(cut):
    """A truncated or forged stream is one sentence, never a wrong vector."""
    row = RowFormat(id_field="int8", dim=DIM, dtype="float32", has_moment=True, has_payload=True)
    whole = HEADER + naive_row(row, 1, Vector([1, 2, 3]).to_binary(), EPOCH, b"{}")
    with pytest.raises(StoreError, match="binary COPY format"):
        decode(row, [whole[:cut]])
