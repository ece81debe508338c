"""The rows of an npy file with ids and payloads: of its own row table, of JSON lines beside it, or plain numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.embeddings.embedding_set import METRICS
from engine.errors import FormatError, StoreError
from engine.migration.ids import as_id, coded_text, from_coded_text, kind_of, order_key
from engine.migration.stores import checks
from engine.migration.stores.failures import disk_reported
from engine.migration.stores.npy_file import NpyFile, create_npy
from engine.migration.stores.payloads import dumped, parsed
from engine.migration.stores.protocol import Batch
from engine.migration.stores.row_table import Entry, RowTable
from engine.progress import Cancelled, Progress, stop_if

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.protocol import Dtype, TableSpec
    from engine.migration.stores.urls import StoreUrl

_ROWS_A_BLOCK = 4096
_ID_NAMES = ("_id", "id", "docid", "doc_id")
_NOT_A_TIME = -(1 << 63)


class NpyRows:
    """An npy file and its `RowTable`: a temporary one of a file that others wrote, none when ids are row numbers."""

    payload_columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    dim_is_declared = True

    def __init__(self, path: Path, url: StoreUrl) -> None:
        self._path = path
        self._file = NpyFile(path)
        self.dim: int | None = self._file.dim
        self.dtype: Dtype = "float16" if self._file.dtype.name == "float16" else "float32"
        self.is_own = is_own(path)
        self._table: RowTable | None = None
        self.id_kind: IdKind = "int"
        lines = path.with_suffix(".jsonl")
        if self.is_own:
            self._table = RowTable(_rows_of(path))
            self.id_kind = cast("IdKind", self._table.about("ids") or "mixed")
        elif lines.is_file():
            self._table, self.id_kind = _table_of_lines(lines, self._file.n_rows, id_name=url.option("id"))
        self.has_payload = self._table is not None and self._about("payload") != "no"
        self.has_updated_at = self._about("updated_at") == "yes"

    @property
    def metric(self) -> Metric | None:
        """The metric that the file was written for."""
        return next((one for one in METRICS if one == self._about("metric")), None)

    @property
    def mark(self) -> str | None:
        """The mark kept with the file."""
        return self._about("mark")

    def set_mark(self, mark: str | None) -> None:
        """Keep a mark."""
        self._written().set_about(mark=mark)

    def count(self) -> int:
        """Count the rows."""
        return self._file.n_rows if self._table is None else self._table.count()

    def ids(self, *, after: Id | None, batch_size: int) -> Iterator[tuple[Id, ...]]:
        """Yield ids in canonical order."""
        if self._table is None:
            least = b"" if after is None else order_key(after)
            for start in range(0, self._file.n_rows, batch_size):
                numbers = range(start, min(start + batch_size, self._file.n_rows))
                if kept := tuple(one for one in numbers if not least or order_key(one) > least):
                    yield kept
            return
        while ids := self._table.keys_in_order(after=after, limit=batch_size):
            yield ids
            after = ids[-1]

    def fetch(self, ids: Sequence[Id], *, dim: int | None, with_payload: bool) -> Batch:
        """Return the rows that are there."""
        if self._table is None:
            n = self._file.n_rows
            entries = [_bare(one) for one in ids if isinstance(one, int) and 0 <= one < n]
        else:
            entries = list(self._table.find(ids).values())
        return self._batch(entries, dim=dim, with_payload=with_payload)

    def scan(
        self, *, after: str | None, batch_size: int, dim: int | None, with_payload: bool, since: datetime | None
    ) -> Iterator[Batch]:
        """Yield rows in canonical order of their ids."""
        last = None if after is None else from_coded_text(after)
        least = None if since is None else checks.microseconds(since)
        while True:
            if self._table is None:
                start = last + 1 if isinstance(last, int) else 0
                entries = [_bare(row) for row in range(start, min(start + batch_size, self._file.n_rows))]
            else:
                entries = self._table.in_order(after=last, limit=batch_size, since=least)
            if not entries:
                return
            last = entries[-1].id
            yield self._batch(entries, dim=dim, with_payload=with_payload, cursor=coded_text(last))

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Yield row numbers and vectors of the rows in use."""
        end = self._file.n_rows if self._table is None else self._table.end()
        for start in range(0, end, _ROWS_A_BLOCK):
            stop = min(start + _ROWS_A_BLOCK, end)
            rows = np.arange(start, stop)
            if self._table is not None:
                rows = np.array([one.row for one in self._table.by_row(start, stop)], dtype=np.int64)
            if len(rows):
                yield rows, self._file.read(rows)

    def ids_at(self, rows: npt.NDArray[np.int64]) -> list[Id]:
        """Return the ids of row numbers."""
        if self._table is None:
            return list(rows.tolist())
        return [self._table.by_row(row, row + 1)[0].id for row in rows.tolist()]

    def write(self, batch: Batch) -> None:
        """Write rows: vectors first, into rows that nothing uses; then the row table switches to them at once."""
        table = self._written()
        before = table.find(batch.ids)
        free = table.free_rows(len(batch))
        end = table.end()
        rows = [*free, *range(end, end + len(batch) - len(free))]
        self._file.write(np.array(rows, dtype=np.int64), batch.vectors)
        moments: Sequence[int] = [_NOT_A_TIME] * len(batch)
        if batch.updated_at is not None and self.has_updated_at:
            moments = batch.updated_at.astype("datetime64[us]").astype(np.int64).tolist()
        payloads = batch.payloads or (None,) * len(batch)
        with table.changing():
            table.release([one.row for one in before.values()])
            table.use(rows)
            table.add(
                Entry(row=row, id=one, payload=payload, updated_at=None if moment == _NOT_A_TIME else moment)
                for row, one, payload, moment in zip(rows, batch.ids, payloads, moments, strict=True)
            )

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete rows."""
        table = self._written()
        found = table.find(ids)
        with table.changing():
            table.release([one.row for one in found.values()])
        return len(found)

    def finish(self, *, progress: Progress, cancelled: Cancelled) -> None:
        """Move the last rows into the gaps, cut the file, and write the JSON lines."""
        table = self._written()
        n = table.count()
        progress(0.0, "Making the file dense")
        for start in range(n, table.end(), _ROWS_A_BLOCK):
            stop_if(cancelled)
            moving = table.by_row(start, start + _ROWS_A_BLOCK)
            gaps = [row for row in table.free_rows(len(moving)) if row < n]
            rows = np.array([one.row for one in moving], dtype=np.int64)
            if len(rows):
                self._file.write(np.array(gaps, dtype=np.int64), self._file.read(rows))
            with table.changing():
                for one, to in zip(moving, gaps, strict=True):
                    table.move(one.row, to)
        with table.changing():
            table.forget_free(n)
        self._file.resize(n)
        progress(0.5, "Writing ids and payloads beside it")
        new = self._path.with_suffix(".jsonl.new")
        with disk_reported(str(new)), new.open("wb") as file:
            for start in range(0, n, _ROWS_A_BLOCK):
                stop_if(cancelled)
                file.writelines(_line(one) for one in table.by_row(start, start + _ROWS_A_BLOCK))
        with disk_reported(str(new)):
            new.replace(self._path.with_suffix(".jsonl"))
        progress(1.0, "The file is complete")

    def close(self) -> None:
        """Close the row table."""
        if self._table is not None:
            self._table.close()

    def _batch(
        self, entries: Sequence[Entry], *, dim: int | None, with_payload: bool, cursor: str | None = None
    ) -> Batch:
        moments = None
        if self.has_updated_at:
            values = [_NOT_A_TIME if one.updated_at is None else one.updated_at for one in entries]
            moments = np.array(values, dtype=np.int64).view("datetime64[us]")
        return Batch(
            ids=tuple(one.id for one in entries),
            vectors=self._file.read(np.array([one.row for one in entries], dtype=np.int64), dim=dim),
            payloads=tuple(one.payload for one in entries) if with_payload and self.has_payload else None,
            updated_at=moments,
            cursor=cursor,
        )

    def _about(self, name: str) -> str | None:
        return None if self._table is None else self._table.about(name)

    def _written(self) -> RowTable:
        if self._table is None:
            raise StoreError("only files that Dimshift wrote can be written to", found=self._path.name)
        return self._table


def create_rows(path: Path, spec: TableSpec) -> None:
    """Create the row table with what is known about the file, then the npy file itself."""
    # The row table of a file that is not there is what a crash left here.
    with disk_reported(str(path)):
        _rows_of(path).unlink(missing_ok=True)
    table = RowTable(_rows_of(path))
    table.set_about(
        ids=spec.id_kind,
        metric=spec.metric,
        mark=spec.mark,
        payload="yes" if spec.has_payload else "no",
        updated_at="yes" if spec.has_updated_at else "no",
    )
    table.close()
    create_npy(path, dim=spec.dim, dtype=spec.dtype)


def is_own(path: Path) -> bool:
    """Tell whether Dimshift wrote the npy file at `path`."""
    return _rows_of(path).is_file()


def files_beside(path: Path) -> tuple[Path, ...]:
    """Return the files that Dimshift writes beside an npy file."""
    return _rows_of(path), path.with_suffix(".jsonl")


def _rows_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.rows")


def _bare(row: int) -> Entry:
    return Entry(row=row, id=row, payload=None, updated_at=None)


def _line(entry: Entry) -> bytes:
    value = parsed(entry.payload)
    key = entry.id if isinstance(entry.id, int) else str(entry.id)
    if value is None:
        return dumped({"_id": key}) + b"\n"
    if isinstance(value, dict) and not {"_id", "payload"} & value.keys():
        return dumped({"_id": key, **value}) + b"\n"
    return dumped({"_id": key, "payload": value}) + b"\n"


def _table_of_lines(lines: Path, n_rows: int, *, id_name: str | None) -> tuple[RowTable, IdKind]:
    """Return a temporary table of the ids and payloads in JSON lines, a line a row."""
    table = RowTable(None)
    kinds: set[IdKind] = set()
    with disk_reported(lines.name), lines.open("rb") as file, table.changing():
        row = -1
        for row, line in enumerate(file):
            entry = _entry_of(lines.name, row, line, id_name)
            kinds.add(kind_of([entry.id]))
            table.add([entry])
    if row + 1 != n_rows:
        raise FormatError.in_file(
            lines.name,
            "the file beside the vectors must have a line a row",
            found=f"{row + 1:,} lines, {n_rows:,} rows",
        )
    return table, kinds.pop() if len(kinds) == 1 else "mixed"


def _entry_of(name: str, row: int, line: bytes, id_name: str | None) -> Entry:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise FormatError.in_file(name, "every line must be a JSON object", found=f"none in line {row + 1:,}") from None
    names = (id_name,) if id_name else _ID_NAMES
    key = next((one for one in names if isinstance(value, dict) and one in value), None)
    if key is None:
        raise FormatError.in_file(
            name, "every line must be an object with _id or id", found=f"none in line {row + 1:,}"
        )
    one = as_id(value.pop(key))
    return Entry(row=row, id=one, payload=dumped(value) if value else None, updated_at=None)
