"""Walk over arrays larger than memory without keeping them resident."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


def blocks(array: npt.NDArray[Any], rows: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield `(first_row, block)` of at most `rows` rows each; pages of a memory map are released behind each block.

    Raises FormatError before a block when the mapped file has been shortened meanwhile: what is mapped beyond the end
    of a file ends the process that reads it.
    """
    mapped = _memory_map(array)
    for start in range(0, array.shape[0], rows):
        if mapped is not None:
            _check_length(mapped)
        yield start, array[start : start + rows]
        if mapped is not None:
            _release(mapped.mapping)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Mapped:
    """The mapping that an array lies in: `size` bytes of the file called `name` must stay there."""

    mapping: mmap.mmap
    name: str
    size: int


def _memory_map(array: npt.NDArray[Any]) -> _Mapped | None:
    base: Any = array
    file, began = "the mapped file", 0
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap):
            file, began = str(base.filename or file), base.offset - base.offset % mmap.ALLOCATIONGRANULARITY
        base = base.base  # the chain of views of a memory map ends at the mapping itself
    if not isinstance(base, mmap.mmap):
        return None
    return _Mapped(mapping=base, name=PurePath(file).name, size=began + len(base))


def _check_length(mapped: _Mapped) -> None:
    size = mapped.mapping.size()  # of the file that was opened, whatever stands at its path by now
    if size < mapped.size:
        raise FormatError.in_file(
            mapped.name,
            "a file must not be shortened while it is read",
            found=f"{size:,} bytes where {mapped.size:,} were mapped",
            hint="Write a new file beside it and put that in its place",
        )


def _release(mapped: mmap.mmap) -> None:
    # Dropping clean pages of a file mapping loses nothing: the next access reads them again. Where the platform has no
    # madvise (Windows) the pages stay until the system wants them.
    if hasattr(mapped, "madvise"):
        with contextlib.suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)
