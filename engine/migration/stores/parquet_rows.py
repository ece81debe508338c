"""The rows of a Parquet file, read row group by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from engine.errors import FormatError
from engine.migration.ids import order_key
from engine.migration.stores import checks
from engine.migration.stores.arrow_layout import layout_of
from engine.migration.stores.arrow_rows import moments_of, payloads_of, usual_dim, vectors_of
from engine.migration.stores.id_sorting import in_canonical_order
from engine.migration.stores.protocol import Batch
from engine.migration.stores.row_table import Entry, RowTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt

    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.protocol import Dtype
    from engine.migration.stores.urls import StoreUrl

_ROWS_A_BLOCK = 4096
_ROWS_TO_GUESS_DIMS_BY = 1000


class ParquetRows:
    """A Parquet file; rows are told by a column of ids, or by their number where there is none."""

    def __init__(self, path: Path, url: StoreUrl) -> None:
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowException, OSError) as error:
            raise FormatError.in_file(path.name, "Parquet must be able to read the file", found=error) from error
        self._layout = layout_of(self._file.schema_arrow, url, needs_id=False)
        self._name = path.name
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._table: RowTable | None = None
        self.dim: int | None = self._layout.dim or self._usual_dim()
        self.dim_is_declared = self._layout.dim is not None
        self.dtype: Dtype = self._layout.dtype
        self.id_kind: IdKind = self._layout.id_kind
        self.has_payload = bool(self._layout.payload)
        self.has_updated_at = self._layout.updated_at is not None
        self.payload_columns = self._layout.payload
        self.left_out = self._layout.left_out

    def count(self) -> int:
        """Count the rows."""
        return int(self._starts[-1])

    def ids(self, *, after: Id | None, batch_size: int) -> Iterator[tuple[Id, ...]]:
        """Yield ids in canonical order; a column of them is sorted on disk."""
        if self._layout.id is not None:
            pages = (ids for _, ids in self._id_pages(batch_size))
            yield from in_canonical_order(pages, after=after, batch_size=batch_size)
            return
        least = b"" if after is None else order_key(after)
        for start in range(0, self.count(), batch_size):
            numbers = range(start, min(start + batch_size, self.count()))
            if kept := tuple(one for one in numbers if not least or order_key(one) > least):
                yield kept

    def fetch(self, ids: Sequence[Id], *, dim: int | None, with_payload: bool) -> Batch:
        """Return the rows that are there, from the row groups that hold them."""
        if self._layout.id is None:
            rows = sorted({one for one in ids if isinstance(one, int) and 0 <= one < self.count()})
        else:
            rows = sorted(entry.row for entry in self._places().find(ids).values())
        tables, first = [], []
        columns = self._layout.columns(with_payload=with_payload)
        wanted = np.array(rows, dtype=np.int64)
        for group in range(self._file.num_row_groups):
            start, end = int(self._starts[group]), int(self._starts[group + 1])
            mine = wanted[(wanted >= start) & (wanted < end)]
            if len(mine):
                tables.append(self._read_group(group, columns).take(mine - start))
                first += mine.tolist()
        if not tables:
            empty = np.empty((0, dim or self.dim or 1), dtype=np.float32)
            return Batch(ids=(), vectors=empty)
        return self._batch(pa.concat_tables(tables), first, dim=dim, with_payload=with_payload)

    def scan(
        self, *, after: str | None, batch_size: int, dim: int | None, with_payload: bool, since: datetime | None
    ) -> Iterator[Batch]:
        """Yield rows in the order of the file; the cursor is the number of the next row."""
        columns = self._layout.columns(with_payload=with_payload)
        begin = _row_of(self._name, after)
        row = 0
        least = None if since is None else np.datetime64(checks.microseconds(since), "us")
        groups = [group for group in range(self._file.num_row_groups) if int(self._starts[group + 1]) > begin]
        row = int(self._starts[groups[0]]) if groups else 0
        for piece in self._file.iter_batches(batch_size=batch_size, row_groups=groups, columns=columns):
            skip = min(max(0, begin - row), piece.num_rows)
            start, row = row + skip, row + piece.num_rows
            if skip == piece.num_rows:
                continue
            table = pa.Table.from_batches([piece.slice(skip)])
            batch = self._batch(table, range(start, row), dim=dim, with_payload=with_payload, cursor=f"row {row}")
            if least is not None and batch.updated_at is not None:
                kept = batch.take(batch.updated_at >= least)
                batch = Batch(
                    ids=kept.ids, vectors=kept.vectors, payloads=kept.payloads, updated_at=kept.updated_at,
                    broken=kept.broken, cursor=batch.cursor,
                )  # fmt: skip
            if len(batch):
                yield batch

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Yield row numbers and vectors of the rows whose vector can be used."""
        row = 0
        for piece in self._file.iter_batches(batch_size=_ROWS_A_BLOCK, columns=[self._layout.vector]):
            vectors, _ = vectors_of(piece.column(0), self.dim or 1)
            usable = np.isfinite(vectors).all(axis=1)
            yield np.arange(row, row + len(vectors))[usable], vectors[usable]
            row += len(vectors)

    def ids_at(self, rows: npt.NDArray[np.int64]) -> list[Id]:
        """Return the ids of row numbers."""
        if self._layout.id is None:
            return list(rows.tolist())
        places = self._places()
        return [places.by_row(row, row + 1)[0].id for row in rows.tolist()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        if self._table is not None:
            self._table.close()

    def _usual_dim(self) -> int | None:
        for piece in self._file.iter_batches(batch_size=_ROWS_TO_GUESS_DIMS_BY, columns=[self._layout.vector]):
            return usual_dim(piece.column(0))
        return None

    def _id_pages(self, batch_size: int) -> Iterator[tuple[int, tuple[Id, ...]]]:
        row = 0
        for piece in self._file.iter_batches(batch_size=batch_size, columns=[self._layout.id]):
            values = piece.column(0).to_pylist()
            if None in values:
                raise FormatError.in_file(
                    self._name, "every row must have an id", found=f"none in row {row + values.index(None):,}"
                )
            yield row, tuple(values)
            row += len(values)

    def _places(self) -> RowTable:
        """Return which row holds which id; made at first use."""
        if self._table is None:
            table = RowTable(None)
            for start, ids in self._id_pages(_ROWS_A_BLOCK):
                with table.changing():
                    table.add(
                        Entry(row=start + row, id=one, payload=None, updated_at=None) for row, one in enumerate(ids)
                    )
            self._table = table
        return self._table

    def _read_group(self, group: int, columns: list[str]) -> Any:
        return self._file.read_row_group(group, columns=columns)

    def _batch(
        self, table: Any, rows: Sequence[int], *, dim: int | None, with_payload: bool, cursor: str | None = None
    ) -> Batch:
        layout = self._layout
        vectors, broken = vectors_of(table.column(layout.vector), self.dim or 1)
        ids: tuple[Id, ...] = tuple(rows) if layout.id is None else tuple(table.column(layout.id).to_pylist())
        payloads = None
        if with_payload and layout.payload:
            payloads = payloads_of(table, layout.payload, is_json=layout.is_json)
        return Batch(
            ids=ids,
            vectors=vectors if dim is None else np.ascontiguousarray(vectors[:, :dim]),
            payloads=payloads,
            updated_at=None if layout.updated_at is None else moments_of(table.column(layout.updated_at)),
            broken=broken,
            cursor=cursor,
        )


def _row_of(name: str, cursor: str | None) -> int:
    if cursor is None:
        return 0
    number = cursor.removeprefix("row ")
    if not number.isascii() or not number.isdigit():
        raise FormatError.in_file(name, "a cursor into this file must name a row", found=cursor)
    return int(number)
