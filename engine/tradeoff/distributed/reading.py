"""Read stretches of a corpus from its parts, in blocks that are whole tiles of the scan."""

from __future__ import annotations

import mmap
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings.readers.arrow_values import matrix_of, strings_of
from engine.embeddings.readers.naming import ID_NAMES, choose_named
from engine.embeddings.readers.options import ReadOptions
from engine.embeddings.readers.registry import damage_reported
from engine.errors import PathError, VectorError
from engine.scoring import TILE_ROWS
from engine.scoring.rows import as_float32
from engine.tradeoff.distributed.storage import driver_errors, opened, read_or_reported, read_range

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
            asked = partial(_take, part, rows[first:last] - first_row)
            taken[first:last] = as_float32(read_or_reported(part.name, asked))
        first_row += part.n_rows
    return taken


def find_ids(part: Part, *, wanted: frozenset[str], column: str | None) -> dict[str, int] | None:
    """Return the rows of those of `wanted` that are ids of `part`; None where it has no ids but row numbers."""
    return read_or_reported(part.name, partial(_ids_in, part, wanted, column)) if part.kind == "parquet" else None


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


def _ids_in(part: Part, wanted: frozenset[str], column: str | None) -> dict[str, int] | None:
    import pyarrow.parquet as pq

    rows: dict[str, int] = {}
    with opened(part.url) as file:
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


@contextmanager
def _read_from(part: Part) -> Iterator[None]:
    """Report damage by the part's name, but let failures of the storage through: they may pass."""
    failed: OSError | None = None
    with damage_reported(part.name):
        try:
            with driver_errors():
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
    data = read_range(part.url, part.offset + first * width, part.offset + last * width)
    return np.frombuffer(data, dtype, (last - first) * part.dim).reshape(last - first, part.dim)


def _parquet_pieces(one: _Stretch, rows: int) -> Iterator[Vectors]:
    """Yield the rows of the stretch; row groups outside of it are not read."""
    import pyarrow.parquet as pq

    part = one.part
    with _read_from(part), opened(part.url) as file:
        table = pq.ParquetFile(file)
        for group in _row_groups(table):
            if group.start < one.stop and group.stop > one.start:
                for found in _found_in(table, part, group, rows):
                    low, high = max(one.start - found.start, 0), min(one.stop - found.start, len(found.column))
                    if low < high:
                        yield found.vectors(part, low, high)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Rows `start` to `stop` of a Parquet file, which it holds together."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A stretch of the column of vectors, from row `start` of its part on."""

    start: int
    column: Any

    def vectors(self, part: Part, low: int, high: int) -> Vectors:
        """Return rows `low` to `high` of it."""
        wanted = self.column.slice(low, high - low)
        return _checked(part, matrix_of(part.name, wanted, ReadOptions(), first_row=self.start + low))


def _row_groups(table: Any) -> list[_Group]:
    stops = np.cumsum([table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]).tolist()
    starts = [0, *stops[:-1]]
    return [_Group(number=i, start=start, stop=stop) for i, (start, stop) in enumerate(zip(starts, stops, strict=True))]


def _found_in(table: Any, part: Part, group: _Group, rows: int) -> Iterator[_Found]:
    at = group.start
    # One group a call: of several, Arrow fetches all before it gives the first rows.
    for batch in table.iter_batches(rows, row_groups=[group.number], columns=[part.column]):
        yield _Found(start=at, column=batch.column(0))
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
    return _take_parquet(part, rows)


def _take_parquet(part: Part, rows: Int64) -> Vectors:
    import pyarrow.parquet as pq

    taken = []
    with opened(part.url) as file:
        table = pq.ParquetFile(file)
        for group in _row_groups(table):
            if np.any((rows >= group.start) & (rows < group.stop)):
                for found in _found_in(table, part, group, TILE_ROWS):
                    here = rows[(rows >= found.start) & (rows < found.start + len(found.column))] - found.start
                    if len(here):
                        taken.append(np.asarray(found.vectors(part, 0, len(found.column))[here]))
    return np.concatenate(taken)
