"""Long lists of strings in two arrays, so that a million texts are mapped instead of loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from engine.errors import WorkspaceError
from engine.workspace.artefacts import StreamedArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_ROWS_A_CHUNK = 4096


class StoredStrings(Sequence[str]):
    """Strings decoded one at a time: string i is the UTF-8 of bytes ``offsets[i]`` to ``offsets[i + 1]`` of `utf8`.

    Raises WorkspaceError when the offsets do not lead through `utf8` in order.
    """

    def __init__(self, utf8: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> None:
        ordered = offsets.ndim == 1 and len(offsets) > 0 and bool((offsets[:-1] <= offsets[1:]).all())
        if not ordered or int(offsets[0]) != 0 or int(offsets[-1]) != len(utf8):
            raise WorkspaceError("the offsets of stored strings must cover their bytes in order")
        self._bytes = utf8.data
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        """Return one string, or a list of them."""
        if isinstance(row, slice):
            return [self._decode(i) for i in range(*row.indices(len(self)))]
        return self._decode(range(len(self))[row])

    def __iter__(self) -> Iterator[str]:
        return (self._decode(i) for i in range(len(self)))

    def _decode(self, row: int) -> str:
        piece = self._bytes[int(self._offsets[row]) : int(self._offsets[row + 1])]
        try:
            return str(piece, "utf-8", "surrogatepass")
        except UnicodeDecodeError:  # only sizes were checked when the file was opened
            return str(piece, "utf-8", "replace")


def string_arrays(name: str, values: Sequence[str]) -> dict[str, npt.NDArray[Any] | StreamedArray]:
    """Return the two arrays that hold `values`, encoded while they are written."""
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.fromiter((len(_encode(value)) for value in values), np.int64, count=len(values)), out=offsets[1:])

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(values), _ROWS_A_CHUNK):
            yield b"".join(_encode(value) for value in values[start : start + _ROWS_A_CHUNK])

    utf8 = StreamedArray(dtype=np.dtype(np.uint8), shape=(int(offsets[-1]),), chunks=chunks)
    return {f"{name}_utf8": utf8, f"{name}_offsets": offsets}


def stored_strings(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> StoredStrings | None:
    """Return the strings called `name`, None when there are none."""
    if f"{name}_utf8" not in arrays:
        return None
    return StoredStrings(arrays[f"{name}_utf8"], arrays[f"{name}_offsets"])


def _encode(value: str) -> bytes:
    # Half a surrogate pair is no character, yet a JSON file may hold one: it must come back as it was.
    return str(value).encode("utf-8", "surrogatepass")
