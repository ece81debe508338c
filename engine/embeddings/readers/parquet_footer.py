"""Read from the footer of a Parquet file how large its columns become, before Arrow inflates them.

Arrow could tell as well, but PyArrow ends the whole process on some damaged statistics when it is asked for the facts
of a column chunk. The footer is Thrift's compact protocol; the field numbers are those of parquet.thrift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings.readers.source import Source

PARQUET_MAGIC = b"PAR1"

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_FILE_ROWS, _FILE_GROUPS = 3, 4
_GROUP_CHUNKS = 1
_CHUNK_FACTS = 3
_FACTS_PATH, _FACTS_VALUES, _FACTS_BYTES = 3, 5, 6
_DEEPEST = 32


@dataclass(frozen=True, kw_only=True)
class ChunkFacts:
    """What the footer declares of one column in one row group."""

    column: str
    n_values: int
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class ParquetFooter:
    """What the footer declares: rows, and the chunks of all columns, each under its top-level name."""

    n_rows: int
    chunks: Sequence[ChunkFacts]


def read_footer(source: Source) -> ParquetFooter:
    """Return what the footer of `source` declares; raises `FormatError` when it is cut off or damaged."""
    end = source.read_at(source.size - 8, 8) if source.size >= 12 else b""
    if end[4:] != PARQUET_MAGIC:
        raise FormatError.in_file(
            source.name,
            "a Parquet file must begin and end with PAR1",
            found=f"{source.size:,} bytes without the end",
            hint="The file is truncated; write or download it again",
        )
    size = int.from_bytes(end[:4], "little")
    if size > source.size - 12:
        raise FormatError.in_file(source.name, "a Parquet footer must lie within the file", found=f"{size:,} bytes")
    try:
        facts = _Thrift(source.read_at(source.size - 8 - size, size)).struct()
        groups = facts.get(_FILE_GROUPS, [])
        chunks = [_chunk(chunk) for group in groups for chunk in group.get(_GROUP_CHUNKS, [])]
        return ParquetFooter(n_rows=_count(facts[_FILE_ROWS]), chunks=chunks)
    except (LookupError, ValueError, TypeError, AttributeError):  # the numbers of the footer stand for something else
        raise FormatError.in_file(
            source.name,
            "a Parquet footer must list rows and columns",
            found="another structure",
            hint="The file is damaged; write or download it again",
        ) from None


def _chunk(chunk: dict[int, Any]) -> ChunkFacts:
    facts = chunk[_CHUNK_FACTS]
    return ChunkFacts(
        column=facts[_FACTS_PATH][0].decode("utf-8"),
        n_values=_count(facts[_FACTS_VALUES]),
        n_bytes=_count(facts[_FACTS_BYTES]),
    )


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a count is a whole number")
    return value


class _Thrift:
    """Decodes the compact protocol into dicts by field number, lists, ints and bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            kind, step = head & 0x0F, head >> 4
            number = number + step if step else self._zigzag()
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE, _BYTE):  # within lists a truth value takes a byte
            return self._byte()
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _DOUBLE:
            return self._take(8)
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _STRUCT:
            return self.struct(depth + 1)
        raise ValueError("a type that Parquet does not use")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:  # lists of lists of lists nest without any struct between
            raise ValueError("nested too deep")
        head = self._byte()
        size = head >> 4 if head >> 4 != 15 else self._varint()
        if size > len(self._data) - self._at:  # every element takes a byte at least
            raise ValueError("a list longer than the footer")
        return [self._value(head & 0x0F, depth + 1) for _ in range(size)]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("the footer ends too early")
        self._at += size
        return taken

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number that does not end")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
