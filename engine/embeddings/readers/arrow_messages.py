"""Read from the header of an Arrow IPC message how large it becomes, before Arrow inflates it.

The header is a flatbuffer: a table begins with the distance to its vtable, which gives the place of each field
(https://flatbuffers.dev/internals; the fields are those of format/Message.fbs of Arrow).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_MESSAGE_KIND, _MESSAGE_HEADER = 1, 2
_DICTIONARY_DATA = 1
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3
_STORED = -1  # a buffer of a compressed batch that did not shrink and so was left as it is


@dataclass(frozen=True, kw_only=True)
class BatchHeader:
    """A record batch (or a dictionary, which has no rows of its own) and the places of its buffers."""

    n_rows: int
    is_compressed: bool
    buffers: Sequence[tuple[int, int]]

    def inflated_bytes(self, body: Any) -> int:
        """Return the declared size of the compressed buffers in `body`; 0 when the batch is not compressed."""
        if not self.is_compressed:
            return 0
        total = 0
        for offset, length in self.buffers:
            if length >= 8:
                declared = int.from_bytes(body.slice(offset, 8).to_pybytes(), "little", signed=True)
                total += length if declared == _STORED else max(0, declared)
        return total


def batch_header(metadata: bytes) -> BatchHeader | None:
    """Return what the flatbuffer `metadata` says of a batch; None for a schema.

    Raises `struct.error` when the header points outside itself.
    """
    message = _Table(metadata, _unsigned(metadata, 0))
    kind = message.number(_MESSAGE_KIND, "<B")
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
        return None
    batch = message.table(_MESSAGE_HEADER)
    if batch is not None and kind == _DICTIONARY_BATCH:
        batch = batch.table(_DICTIONARY_DATA)
    if batch is None:
        return None
    return BatchHeader(
        n_rows=batch.number(_LENGTH, "<q") if kind == _RECORD_BATCH else 0,
        is_compressed=batch.place(_COMPRESSION) is not None,
        buffers=batch.pairs(_BUFFERS),
    )


class _Table:
    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position
        self._vtable = position - struct.unpack_from("<i", data, position)[0]
        if self._vtable < 0:
            raise struct.error("vtable outside of the header")

    def place(self, field: int) -> int | None:
        at = 4 + 2 * field
        if at >= struct.unpack_from("<H", self._data, self._vtable)[0]:
            return None
        offset = struct.unpack_from("<H", self._data, self._vtable + at)[0]
        return self._position + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        place = self.place(field)
        return 0 if place is None else int(struct.unpack_from(kind, self._data, place)[0])

    def table(self, field: int) -> _Table | None:
        place = self.place(field)
        return None if place is None else _Table(self._data, place + _unsigned(self._data, place))

    def pairs(self, field: int) -> list[tuple[int, int]]:
        place = self.place(field)
        if place is None:
            return []
        vector = place + _unsigned(self._data, place)
        count = _unsigned(self._data, vector)
        numbers = struct.unpack_from(f"<{2 * count}q", self._data, vector + 4)
        return list(zip(numbers[::2], numbers[1::2], strict=True))


def _unsigned(data: bytes, position: int) -> int:
    return int(struct.unpack_from("<I", data, position)[0])
