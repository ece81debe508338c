"""An npy file of vectors: a growing one that Dimshift writes, or any that it only maps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings.readers.numpy_files import NPY_MAGIC, read_npy_header
from engine.errors import FormatError
from engine.migration.stores.failures import disk_reported

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from engine.migration.stores.protocol import Dtype

HEADER_BYTES = 128  # of the files written here: room for any shape, so that the header changes in place


class NpyFile:
    """Rows of one npy file. `n_rows` is what its header says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_reported(str(path)), path.open("rb") as file:
            header = read_npy_header(path.name, file.read(1 << 16))
        if len(header.shape) != 2 or header.order != "C" or header.dtype.kind not in "fiu":
            raise FormatError.in_file(
                path.name,
                "vectors must be a 2-D array of numbers in C order",
                found=f"shape {header.shape} of {header.dtype.name}",
            )
        self.dtype = header.dtype
        self.n_rows, self.dim = header.shape
        self._offset = header.offset
        size = path.stat().st_size
        if size < self._offset + self.n_rows * self._row_bytes:
            raise FormatError.in_file(
                path.name,
                "an npy file must hold every value that its header promises",
                found=f"{size:,} bytes for shape {header.shape}",
                hint="The file is truncated; write it again",
            )

    @property
    def _row_bytes(self) -> int:
        return int(self.dim * self.dtype.itemsize)

    def read(self, rows: npt.NDArray[np.int64] | slice, *, dim: int | None = None) -> npt.NDArray[np.float32]:
        """Return rows as float32, cut to `dim` components."""
        with disk_reported(str(self.path)):
            size = self.path.stat().st_size
            n = (size - self._offset) // self._row_bytes
            mapped = np.memmap(self.path, self.dtype, mode="r", offset=self._offset, shape=(n, self.dim)) if n else None
        if mapped is None:
            return np.empty((0, dim or self.dim), dtype=np.float32)
        return np.array(mapped[rows, : dim or self.dim], dtype=np.float32)

    def write(self, rows: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32]) -> None:
        """Write vectors at row numbers; runs of rows at once, and past the end the file grows."""
        data = np.ascontiguousarray(vectors, dtype=self.dtype)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        with disk_reported(str(self.path)), self.path.open("r+b") as file:
            for run in np.split(np.arange(len(rows)), breaks):
                if len(run):
                    file.seek(self._offset + int(rows[run[0]]) * self._row_bytes)
                    file.write(data[run[0] : run[-1] + 1].tobytes())

    def resize(self, n_rows: int) -> None:
        """Let header and file say `n_rows`."""
        with disk_reported(str(self.path)), self.path.open("r+b") as file:
            file.truncate(self._offset + n_rows * self._row_bytes)
            file.write(_header(self.dtype, n_rows, self.dim))
            file.flush()
            os.fsync(file.fileno())
        self.n_rows = n_rows


def create_npy(path: Path, *, dim: int, dtype: Dtype) -> None:
    """Create an npy file without rows, which must not exist."""
    with disk_reported(str(path)), path.open("xb") as file:
        file.write(_header(np.dtype(dtype).newbyteorder("<"), 0, dim))


def _header(dtype: np.dtype[Any], n_rows: int, dim: int) -> bytes:
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': ({n_rows}, {dim}), }}"
    room = HEADER_BYTES - len(NPY_MAGIC) - 4
    return NPY_MAGIC + b"\x01\x00" + room.to_bytes(2, "little") + text.ljust(room - 1).encode("latin-1") + b"\n"
