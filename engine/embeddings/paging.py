"""Walk over arrays larger than memory without keeping them resident."""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt


def blocks(array: npt.NDArray[Any], rows: int) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield `(first_row, block)` of at most `rows` rows each; pages of a memory map are released behind each block."""
    mapped = _memory_map(array)
    for start in range(0, array.shape[0], rows):
        yield start, array[start : start + rows]
        if mapped is not None:
            _release(mapped)


def _memory_map(array: npt.NDArray[Any]) -> mmap.mmap | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base  # the chain of views of a memory map ends at the mapping itself
    return base if isinstance(base, mmap.mmap) else None


def _release(mapped: mmap.mmap) -> None:
    # Dropping clean pages of a file mapping loses nothing: the next access reads them again. Where the platform has no
    # madvise (Windows) the pages stay until the system wants them.
    if hasattr(mapped, "madvise"):
        with contextlib.suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED)
