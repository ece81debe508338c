"""PostgreSQL's binary COPY format with pgvector's types, whole batches at a time.

A row is int16 fields, then for each field int32 bytes (-1: NULL) and the bytes; all big-endian. A ``vector`` is int16
dim, int16 0, float32 × dim; a ``halfvec`` the same with float16. Fields of one width stand first, so that a batch is
one NumPy record array, and only texts and payloads are joined row by row.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from engine.errors import StoreError
from engine.migration.stores.protocol import BrokenRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from engine.migration.ids import Id
    from engine.migration.stores.protocol import Dtype

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

IdField = Literal["int8", "uuid", "text"]
Buffer: TypeAlias = bytes | bytearray | memoryview

_NULL = b"\xff\xff\xff\xff"
_EPOCH = np.datetime64("2000-01-01T00:00:00", "us")
_LONG = struct.Struct(">i")
_SHORT_PAIR = struct.Struct(">ihh")
_MOMENT = struct.Struct(">q")
_NOT_A_TIME = -(1 << 63)  # NumPy's; also PostgreSQL's -infinity
_INFINITY = (1 << 63) - 1
_WIDTHS = {"int8": 8, "uuid": 16}


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """The fields of a row: id and vector always; moment and payload where the query has them.

    On the wire: id (int8 or uuid), vector, moment, payload, id (text): what varies in width comes last.
    """

    id_field: IdField
    dim: int
    dtype: Dtype
    has_moment: bool
    has_payload: bool
    is_jsonb: bool = False

    @property
    def n_fields(self) -> int:
        """Fields a row."""
        return 2 + self.has_moment + self.has_payload

    @property
    def components(self) -> np.dtype[Any]:
        """The type of a component as it is sent."""
        return np.dtype(">f2" if self.dtype == "float16" else ">f4")

    def record(self) -> np.dtype[Any]:
        """Return the record of the leading fields, all of one width, up to and including the vector."""
        fields: list[tuple[Any, ...]] = [("n_fields", ">i2")]
        if self.id_field != "text":
            fields += [("id_bytes", ">i4"), ("id", f"V{_WIDTHS[self.id_field]}")]
        fields += [("bytes", ">i4"), ("dim", ">i2"), ("zero", ">i2"), ("vector", self.components, (self.dim,))]
        return np.dtype(fields)


def encode(
    row: RowFormat,
    *,
    ids: Sequence[Any],
    vectors: npt.NDArray[np.float32],
    updated_at: npt.NDArray[np.datetime64] | None,
    payloads: Sequence[bytes | None] | None,
) -> bytes:
    """Return rows ready for ``COPY ... FROM STDIN (FORMAT BINARY)``, without header and trailer.

    `ids` are int, UUID or (already escaped) str as `row.id_field` says; values beyond float16 become infinite and are
    refused by pgvector.
    """
    n = len(ids)
    record = row.record()
    block = np.empty(n, dtype=record)
    block["n_fields"] = row.n_fields
    if row.id_field == "int8":
        block["id_bytes"] = 8
        block["id"] = np.array(ids, dtype=">i8").view("V8")
    elif row.id_field == "uuid":
        block["id_bytes"] = 16
        block["id"] = np.frombuffer(b"".join(one.bytes for one in ids), dtype="V16")
    block["bytes"] = 4 + row.components.itemsize * row.dim
    block["dim"] = row.dim
    block["zero"] = 0
    with np.errstate(over="ignore"):
        block["vector"] = vectors
    parts: list[list[bytes]] = []
    if row.has_moment:
        parts.append(_moment_fields(n, updated_at))
    if row.has_payload:
        parts.append(_sized(payloads if payloads is not None else [None] * n, b"\1" if row.is_jsonb else b""))
    if row.id_field == "text":
        parts.append(_sized([one.encode() for one in ids]))
    fixed = block.tobytes()
    if not parts:
        return fixed
    width = record.itemsize
    heads = [fixed[start : start + width] for start in range(0, n * width, width)]
    return b"".join(chain.from_iterable(zip(heads, *parts, strict=True)))


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedRows:
    """What `decode` read: ids as PostgreSQL has them, vectors with NaN in broken rows, moments and raw payloads."""

    ids: list[Id]
    vectors: npt.NDArray[np.float32]
    broken: tuple[BrokenRow, ...]
    updated_at: npt.NDArray[np.datetime64] | None
    payloads: list[bytes | None] | None


def decode(row: RowFormat, messages: Sequence[Buffer]) -> DecodedRows:
    """Read rows that ``COPY ... TO STDOUT (FORMAT BINARY)`` sent, a message a row.

    A row without a vector, or with another dim, is broken. Raises StoreError when the bytes are not such rows.
    """
    rows = _without_frame(messages)
    record = row.record()
    width = record.itemsize
    whole = b"".join(one[:width] if len(one) >= width else bytes(one).ljust(width, b"\0") for one in rows)
    block = np.frombuffer(whole, dtype=record)
    if not (block["n_fields"] == row.n_fields).all():
        raise _unexpected()
    expected = 4 + row.components.itemsize * row.dim
    # A vector of the same length in bytes has the same dim.
    regular = block["bytes"] == expected
    vectors = block["vector"].astype(np.float32)
    vectors[~regular] = np.nan
    ends = np.where(regular, width, width - expected + np.maximum(block["bytes"], 0)).tolist()
    try:
        broken = tuple(_broken(row, rows[place], place) for place in np.flatnonzero(~regular).tolist())
        moments, payloads, texts = _read_rest(row, rows, ends)
    except struct.error:
        raise _unexpected() from None
    return DecodedRows(
        ids=texts if row.id_field == "text" else _fixed_ids(row, block),
        vectors=vectors,
        broken=broken,
        updated_at=moments,
        payloads=payloads,
    )


def decode_ids(id_field: IdField, messages: Iterable[Buffer]) -> list[Id]:
    """Read rows of one id field each."""
    rows = _without_frame(list(messages))
    if id_field == "text":
        return [str(one[6:], "utf-8") for one in rows]
    width = 6 + _WIDTHS[id_field]
    joined = b"".join(rows)
    if len(joined) != width * len(rows):
        raise _unexpected()
    block = np.frombuffer(joined, dtype=[("head", "V6"), ("id", f"V{width - 6}")])
    return _ids_of(id_field, block["id"])


def _fixed_ids(row: RowFormat, block: npt.NDArray[Any]) -> list[Id]:
    return _ids_of(row.id_field, block["id"])


def _ids_of(id_field: IdField, column: npt.NDArray[Any]) -> list[Id]:
    packed = np.ascontiguousarray(column)
    if id_field == "int8":
        numbers: list[Id] = packed.view(">i8").tolist()
        return numbers
    data = packed.tobytes()
    return [uuid.UUID(bytes=data[start : start + 16]) for start in range(0, len(data), 16)]


def _without_frame(messages: Sequence[Buffer]) -> list[Buffer]:
    if not messages:
        return []
    first = bytes(messages[0])
    if not first.startswith(HEADER[:11]) or len(first) < 19:
        raise _unexpected()
    # The header may carry an extension, whose length it ends with; the first row follows in the same message.
    rows = [first[19 + _LONG.unpack_from(first, 15)[0] :], *messages[1:]]
    while rows and (not len(rows[-1]) or bytes(rows[-1][:2]) == TRAILER):
        rows.pop()
    return [one for one in rows if len(one)]


def _broken(row: RowFormat, message: Buffer, place: int) -> BrokenRow:
    start = 2 if row.id_field == "text" else 6 + _WIDTHS[row.id_field]
    if _LONG.unpack_from(message, start)[0] < 0:
        return BrokenRow(row=place, dim=None, reason="it has no vector")
    dim = _SHORT_PAIR.unpack_from(message, start)[1]
    return BrokenRow(row=place, dim=dim, reason=f"its vector has {dim:,} dims instead of {row.dim:,}")


def _read_rest(
    row: RowFormat, rows: Sequence[Buffer], ends: Sequence[int]
) -> tuple[npt.NDArray[np.datetime64] | None, list[bytes | None] | None, list[Id]]:
    if row.has_payload and not row.has_moment and row.id_field != "text":
        return None, _read_payloads(rows, ends), []
    moments: list[int] = []
    payloads: list[bytes | None] = []
    texts: list[Id] = []
    steps: list[Callable[[Buffer, int], int]] = []
    if row.has_moment:
        steps.append(lambda message, at: _read_moment(message, at, moments))
    if row.has_payload:
        steps.append(lambda message, at: _read_bytes(message, at, payloads))
    if row.id_field == "text":
        steps.append(lambda message, at: _read_text(message, at, texts))
    for message, end in zip(rows, ends, strict=True):
        at = end
        for step in steps:
            at = step(message, at)
        if at != len(message):
            raise _unexpected()
    when = None
    if row.has_moment:
        when = np.array(moments, dtype=np.int64).view("timedelta64[us]") + _EPOCH
    return when, payloads if row.has_payload else None, texts


def _read_payloads(rows: Sequence[Buffer], ends: Sequence[int]) -> list[bytes | None]:
    """Read the last field of rows where nothing else is left: the commonest case, without a call a field."""
    payloads: list[bytes | None] = []
    size_of = _LONG.unpack_from
    for message, end in zip(rows, ends, strict=True):
        size = size_of(message, end)[0]
        start = end + 4
        if start + max(size, 0) != len(message):
            raise _unexpected()
        payloads.append(None if size < 0 else bytes(message[start:]))
    return payloads


def _read_moment(message: Buffer, at: int, into: list[int]) -> int:
    if _LONG.unpack_from(message, at)[0] < 0:
        into.append(_NOT_A_TIME)
        return at + 4
    microseconds = _MOMENT.unpack_from(message, at + 4)[0]
    into.append(_NOT_A_TIME if microseconds == _INFINITY else microseconds)
    return at + 12


def _read_bytes(message: Buffer, at: int, into: list[bytes | None]) -> int:
    size = _LONG.unpack_from(message, at)[0]
    start = at + 4
    if size < 0:
        into.append(None)
        return start
    into.append(bytes(message[start : start + size]))
    return int(start + size)


def _read_text(message: Buffer, at: int, into: list[Id]) -> int:
    size = _LONG.unpack_from(message, at)[0]
    start = at + 4
    into.append(str(message[start : start + size], "utf-8"))
    return int(start + size)


def _moment_fields(n: int, updated_at: npt.NDArray[np.datetime64] | None) -> list[bytes]:
    if updated_at is None:
        return [_NULL] * n
    missing = np.isnat(updated_at)
    since = np.where(missing, _EPOCH, updated_at.astype("datetime64[us]")) - _EPOCH
    data = since.astype(np.int64).astype(">i8").tobytes()
    size = _LONG.pack(8)
    return [_NULL if missing[row] else size + data[8 * row : 8 * row + 8] for row in range(n)]


def _sized(values: Sequence[bytes | None], prefix: bytes = b"") -> list[bytes]:
    extra = len(prefix)
    pack = _LONG.pack
    return [_NULL if value is None else pack(len(value) + extra) + prefix + value for value in values]


def _unexpected() -> StoreError:
    return StoreError(
        "the server must send PostgreSQL's binary COPY format, a message a row", hint="Connect without a proxy"
    )
