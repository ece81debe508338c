"""Gather vectors that come one at a time, as text formats give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import FormatError, VectorError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings.readers.options import ReadOptions

_CHUNK_BYTES = 1 << 22
_NUMBERS = {int, float}


class RowBuffer:
    """Grows to a float32 array (n, d); each row is checked against the first and against the limit on memory."""

    def __init__(self, name: str, options: ReadOptions) -> None:
        self._name = name
        self._options = options
        self._dim = 0
        self._n = 0
        self._chunks: list[npt.NDArray[np.float32]] = []

    def add_numbers(self, values: Sequence[Any], where: str) -> None:
        """Append parsed JSON numbers; `where` names the line for messages."""
        if not _NUMBERS.issuperset(map(type, values)):
            wrong = next(value for value in values if type(value) not in _NUMBERS)
            raise FormatError.in_file(
                self._name, "a vector must hold numbers only", found=f"{_short(wrong)} in {where}"
            )
        try:
            with np.errstate(over="ignore"):  # becomes infinite, which is reported with its row later
                row = np.array(values, dtype=np.float32)
        except OverflowError:
            raise FormatError.in_file(
                self._name, "a number must fit into float32", found=f"a larger one in {where}"
            ) from None
        self.add(row, where)

    def add(self, row: npt.NDArray[np.float32], where: str) -> None:
        """Append one vector (d,)."""
        if not self._dim:
            if not row.size:
                raise VectorError(f"{self._name}: a vector must have at least one component", found=f"none in {where}")
            self._dim = row.size
        if row.size != self._dim:
            raise VectorError(
                f"{self._name}: every vector must have as many components as the first, {self._dim}",
                found=f"{row.size} in {where}",
            )
        per_chunk = max(1, _CHUNK_BYTES // (4 * self._dim))
        if self._n % per_chunk == 0:
            self._options.check_expansion(self._name, (self._n + 1) * self._dim * 4)
            self._chunks.append(np.empty((per_chunk, self._dim), dtype=np.float32))
        self._chunks[-1][self._n % per_chunk] = row
        self._n += 1

    def finish(self) -> npt.NDArray[np.float32]:
        """Return all rows as one array; the buffer is empty afterwards."""
        if not self._n:
            raise FormatError.in_file(self._name, "the file must hold at least one vector", found="none")
        rows = np.empty((self._n, self._dim), dtype=np.float32)
        filled = 0
        self._chunks.reverse()
        while self._chunks:  # popped, so that memory holds the rows about once
            chunk = self._chunks.pop()[: self._n - filled]
            rows[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return rows


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return printable(repr(value), longest=60)
