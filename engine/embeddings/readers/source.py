"""Where bytes come from: a file on disk or an upload held in memory, behind one small class."""

from __future__ import annotations

import io
import math
import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from engine.embeddings.paths import FileIdentity, check_identity, identity_below
from engine.embeddings.readers.options import MAX_LINE_BYTES
from engine.errors import FormatError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Vectors

_HEAD_BYTES = 1 << 16
_BOM = b"\xef\xbb\xbf"


def bare_name(raw: str | Path) -> str:
    """Return the last part of a file name that nobody has checked, fit for a message and never used as a path."""
    return printable(PurePosixPath(str(raw).replace("\\", "/")).name, longest=80) or "unnamed"


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The bytes of one file: `size` of them from `start`, in `path` or in `data`.

    `name` is what messages call it; `suffix` its lower-case extension with the dot. With an `identity`, `path` leads to
    that very file or is refused.
    """

    name: str
    suffix: str
    size: int
    path: Path | None = None
    data: memoryview | None = None
    start: int = 0
    is_part: bool = False
    identity: FileIdentity | None = None

    @classmethod
    def of_path(cls, path: Path, *, name: str | None = None, below: Path | None = None) -> Source:
        """Return the file at `path`; with `below`, `path` comes from `resolve_below` and no symlink gets in its way."""
        identity = None if below is None else identity_below(below, path)
        with path.open("rb") as file:
            check_identity(file.fileno(), identity, path)
            size = file.seek(0, io.SEEK_END)
        return cls(name=name or bare_name(path), suffix=path.suffix.lower(), size=size, path=path, identity=identity)

    @classmethod
    def of_bytes(cls, raw_name: str, data: bytes | memoryview, *, name: str | None = None) -> Source:
        """Return `data` that came under `raw_name`, which is only printed and asked for its extension."""
        view = memoryview(data).toreadonly().cast("B")
        bare = bare_name(raw_name)
        return cls(name=name or bare, suffix=PurePosixPath(bare).suffix.lower(), size=len(view), data=view)

    def part(self, name: str, suffix: str, *, start: int, size: int) -> Source:
        """Return `size` bytes from `start` as a source of their own; checks that they lie within this one."""
        if start < 0 or size < 0 or start + size > self.size:
            raise FormatError.in_file(name, "a part must lie within its file", found=f"bytes {start} to {start + size}")
        start += self.start
        return Source(
            name=name, suffix=suffix, size=size, path=self.path, data=self.data, start=start, is_part=True,
            identity=self.identity,
        )  # fmt: skip

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; fewer where the file ends."""
        size = max(0, min(size, self.size - offset))
        if self.data is not None:
            return bytes(self.data[self.start + offset : self.start + offset + size])
        with self._file() as file:
            file.seek(self.start + offset)
            return file.read(size)

    def open(self) -> BinaryIO:
        """Open the whole source for reading."""
        if self.data is not None:
            return io.BytesIO(self.data[self.start : self.start + self.size])
        if self.is_part:
            return io.BufferedReader(_Window(self._file(), self.start, self.size))
        return self._file()

    def content(self) -> Path | memoryview:
        """Return the path of the whole file, or the bytes, for libraries that open files themselves.

        A file that must stay the one that was checked comes as its bytes, memory-mapped.
        """
        if self.path is not None and not self.is_part:
            return self.path if self.identity is None or not self.size else self._mapped()
        if self.data is not None:
            return self.data[self.start : self.start + self.size]
        return memoryview(self.read_at(0, self.size))

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, from which a format is told."""
        return self.read_at(0, _HEAD_BYTES)

    def array(
        self, dtype: npt.DTypeLike, shape: tuple[int, ...], *, offset: int = 0, order: Literal["C", "F"] = "C"
    ) -> Vectors:
        """Return `shape` values of `dtype` from `offset`: memory-mapped from a path, a read-only view of an upload."""
        kind = np.dtype(dtype)
        promised = offset + math.prod(shape) * kind.itemsize
        if promised > self.size:
            raise FormatError.in_file(
                self.name,
                "the file must hold every value that its header promises",
                found=f"{self.size:,} bytes where {promised:,} are needed for shape {shape} of {kind.name}",
                hint="The file is truncated or its header is wrong; write or download it again",
            )
        if self.data is not None:
            flat: npt.NDArray[Any] = np.frombuffer(self.data, kind, math.prod(shape), self.start + offset)
            return flat.reshape(shape, order=order)
        with self._file() as file:
            return np.memmap(file, kind, mode="r", offset=self.start + offset, shape=shape, order=order)

    def lines(self) -> Iterator[str]:
        """Yield the lines of UTF-8 text with their ends; a byte order mark is dropped."""
        with self.open() as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                yield self._decoded(line.removeprefix(_BOM) if number == 1 else line, number)

    @cached_property
    def first_line(self) -> str:
        """The first line that is not blank, or an empty one."""
        return next((line for line in self.lines() if line.strip()), "")

    def _decoded(self, line: bytes, number: int) -> str:
        if len(line) > MAX_LINE_BYTES:
            raise FormatError.in_file(
                self.name, f"a line may hold at most {MAX_LINE_BYTES >> 20} MiB", found=f"more in line {number}"
            )
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError.in_file(
                self.name,
                "a text file must be UTF-8",
                found=f"other bytes in line {number}",
                hint="Save it as UTF-8",
            ) from None
        if "\0" in text:
            raise FormatError.in_file(self.name, "a text file must hold no NUL bytes", found=f"some in line {number}")
        return text

    def _mapped(self) -> memoryview:
        with self._file() as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _file(self) -> BinaryIO:
        if self.path is None:
            raise TypeError("a source has a path or data")
        file = self.path.open("rb")
        try:
            check_identity(file.fileno(), self.identity, self.path)
        except BaseException:
            file.close()
            raise
        return file


class _Window(io.RawIOBase):
    """Reads a stretch of a file as if it were a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._file.seek(start)
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()
