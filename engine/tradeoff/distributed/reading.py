"""Read stretches of a corpus from its parts, in blocks that are whole tiles of the scan."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.readers.arrow_values import matrix_of, strings_of
from engine.embeddings.readers.naming import ID_NAMES, choose_named
from engine.embeddings.readers.options import ReadOptions
from engine.embeddings.readers.registry import damage_reported
from engine.errors import PathError, VectorError
from engine.scoring import TILE_ROWS
from engine.scoring.rows import as_float32
from engine.tradeoff.distributed.parts import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from engine.embeddings import Vectors
    from engine.tradeoff.distributed.parts import Part

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_BLOCK_BYTES = 1 << 26


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """Rows `start` to `stop` of a part."""

    part: Part
    start: int
    stop: int


def read_rows(parts: Sequence[Part], start: int, stop: int) -> Iterator[Vectors]:
    """Yield rows `start` to `stop` of the corpus that `parts` are, in blocks of at most 64 MiB (as float32).

    Every block but the last holds whole tiles of `TILE_ROWS`, however the rows are cut into parts. Blocks within a
    mapped part are views of it in its own dtype, all others float32.

    Raises
    ------
    PathError
        When this machine does not see the file that was described.
    FormatError, VectorError
        When a part does not hold what its header promised.
    """
    stretches = _stretches(parts, start, stop)
    rows = max(1, _BLOCK_BYTES // (4 * parts[0].dim) // TILE_ROWS) * TILE_ROWS
    if len(stretches) == 1 and stretches[0].part.kind == "mapped":
        one = stretches[0]
        array = map_part(one.part)
        for first in range(one.start, one.stop, rows):
            yield array[first : min(first + rows, one.stop)]
        return
    pieces = (piece for one in stretches for piece in _pieces(one, rows))
    yield from _in_blocks(pieces, rows, stop - start, parts[0].dim)


def take_rows(parts: Sequence[Part], rows: Int64) -> Float32:
    """Return the ascending `rows` of the corpus as float32; whole row groups of Parquet are read for them."""
    taken = np.empty((len(rows), parts[0].dim), np.float32)
    first_row = 0
    for part in parts:
        first, last = np.searchsorted(rows, (first_row, first_row + part.n_rows))
        if first < last:
            with damage_reported(part.name):
                taken[first:last] = as_float32(_take(part, rows[first:last] - first_row))
        first_row += part.n_rows
    return taken


def find_ids(part: Part, *, wanted: frozenset[str], column: str | None) -> dict[str, int] | None:
    """Return the rows of those of `wanted` that are ids of `part`; None where it has no ids but row numbers."""
    if part.kind != "parquet":
        return None
    import pyarrow.parquet as pq

    rows: dict[str, int] = {}
    with damage_reported(part.name), opened(part.url) as file:
        table = pq.ParquetFile(file)
        names = [name for name in table.schema_arrow.names if name != part.column]
        chosen = choose_named(part.name, names, ID_NAMES, chosen=column)
        if chosen is None:
            return None
        at = 0
        for batch in table.iter_batches(columns=[chosen]):
            ids = strings_of(part.name, chosen, batch.column(0))
            rows |= {one: at + row for row, one in enumerate(ids) if one is not None and one in wanted}
            at += batch.num_rows
    return rows


def map_part(part: Part) -> Vectors:
    """Return the array of a mapped part; raises `PathError` where the file is not the one that was described."""
    path = Path(part.url)
    size = path.stat().st_size if path.is_file() else None
    if size is None or size != part.n_bytes or size < part.mapped_bytes:
        raise PathError(
            f"{part.name}: every worker must see the file that is swept, under the same path",
            found="no such file on a worker"
            if size is None
            else f"{size:,} bytes there, {max(part.n_bytes, part.mapped_bytes):,} here",
            hint="Put it on a file system that all workers share, or give a folder or URL of parts",
        )
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    shape = (part.n_rows, part.dim)
    return np.ndarray(shape, np.dtype(part.dtype), buffer=mapped, offset=part.offset, strides=part.strides)


@contextmanager
def _read_from(part: Part) -> Iterator[None]:
    """Report damage by the part's name, but let failures of the storage through: they may pass."""
    failed: OSError | None = None
    with damage_reported(part.name):
        try:
            yield
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed


def _stretches(parts: Sequence[Part], start: int, stop: int) -> list[_Stretch]:
    found, first_row = [], 0
    for part in parts:
        low, high = max(start - first_row, 0), min(stop - first_row, part.n_rows)
        if low < high:
            found.append(_Stretch(part=part, start=low, stop=high))
        first_row += part.n_rows
    return found


def _pieces(one: _Stretch, rows: int) -> Iterator[Vectors]:
    part = one.part
    if part.kind == "parquet":
        yield from _parquet_pieces(one, rows)
        return
    for first in range(one.start, one.stop, rows):
        last = min(first + rows, one.stop)
        with _read_from(part):
            piece = map_part(part)[first:last] if part.kind == "mapped" else _ranged(part, first, last)
        yield piece


def _ranged(part: Part, first: int, last: int) -> Vectors:
    dtype = np.dtype(part.dtype)
    width = part.dim * dtype.itemsize
    with opened(part.url) as file:
        file.seek(part.offset + first * width)
        data = file.read((last - first) * width)
    return np.frombuffer(data, dtype, (last - first) * part.dim).reshape(last - first, part.dim)


def _parquet_pieces(one: _Stretch, rows: int) -> Iterator[Vectors]:
    """Yield the rows of the stretch; row groups outside of it are not read."""
    import pyarrow.parquet as pq

    part, options = one.part, ReadOptions()
    with _read_from(part), opened(part.url) as file:
        table = pq.ParquetFile(file)
        ends = np.cumsum([table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)])
        groups = [group for group, end in enumerate(ends) if end > one.start]
        at = int(ends[groups[0] - 1]) if groups and groups[0] else 0
        for batch in table.iter_batches(rows, row_groups=groups, columns=[part.column]):
            if at >= one.stop:
                return
            low, high = max(one.start - at, 0), min(one.stop - at, batch.num_rows)
            if low < high:
                wanted = batch.column(0).slice(low, high - low)
                yield _checked(part, matrix_of(part.name, wanted, options, first_row=at + low))
            at += batch.num_rows


def _checked(part: Part, piece: Vectors) -> Vectors:
    if piece.shape[1] != part.dim:
        raise VectorError(
            f"{part.name}: every vector must have as many components as the first, {part.dim}", found=piece.shape[1]
        )
    return piece


def _in_blocks(pieces: Iterable[Vectors], rows: int, n_rows: int, dim: int) -> Iterator[Vectors]:
    block, filled = np.empty((min(rows, n_rows), dim), np.float32), 0
    for piece in pieces:
        ready, used = as_float32(piece), 0
        while used < len(ready) and n_rows:
            room = min(len(block) - filled, len(ready) - used)
            block[filled : filled + room] = ready[used : used + room]
            filled, used = filled + room, used + room
            if filled == len(block):
                yield block
                n_rows -= filled
                block, filled = np.empty((min(rows, n_rows), dim), np.float32), 0
    if n_rows or filled:
        raise VectorError("the parts must hold as many rows as their headers say", found=f"{n_rows - filled:,} missing")


def _take(part: Part, rows: Int64) -> Vectors:
    if part.kind == "mapped":
        return map_part(part)[rows]
    if part.kind == "npy":
        return np.concatenate([_ranged(part, int(row), int(row) + 1) for row in rows])
    whole = _Stretch(part=part, start=int(rows[0]), stop=int(rows[-1]) + 1)
    found, at = [], whole.start
    for piece in _parquet_pieces(whole, TILE_ROWS):
        here = rows[(rows >= at) & (rows < at + len(piece))] - at
        found.append(np.asarray(piece[here]))
        at += len(piece)
    return np.concatenate(found)
