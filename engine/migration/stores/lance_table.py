"""A table of LanceDB with the roles of its columns: rows in, rows out, ids in order, and errors in a sentence."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.expr import col, lit
from lancedb.query import ColumnOrdering

from engine.embeddings.embedding_set import METRICS, Metric
from engine.errors import EngineError, StoreError, StoreUnavailableError
from engine.migration.ids import ID_KINDS, IdKind, coded_text, escaped, from_coded_text, unescaped
from engine.migration.stores.arrow_layout import ArrowLayout, layout_of
from engine.migration.stores.arrow_rows import (
    moment_array,
    moments_of,
    payloads_of,
    usual_dim,
    vector_array,
    vectors_of,
)
from engine.migration.stores.buckets import bucket_failure
from engine.migration.stores.failures import missing_table, of_disk
from engine.migration.stores.protocol import Batch, IndexInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import numpy.typing as npt

    from engine.migration.ids import Id
    from engine.migration.stores.protocol import TableSpec
    from engine.migration.stores.urls import StoreUrl

DISTANCES: dict[Metric, Literal["cosine", "dot", "l2"]] = {"cosine": "cosine", "ip": "dot", "l2": "l2"}

_PLACE_IN_SOURCE = re.compile(r",?\s*\S+\.rs:\d+:\d+")
_NOTES = "dimshift"
_ROWS_TO_GUESS_DIMS_BY = 1000
_ID_TYPES: dict[IdKind, Any] = {
    "int": pa.int64(),
    "uint": pa.uint64(),
    "uuid": pa.string(),
    "text": pa.string(),
    "mixed": pa.string(),
}


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What `schema_of` left in the metadata of the id column; nothing where Dimshift did not create the table."""

    id_kind: IdKind | None = None
    metric: Metric | None = None
    mark: str | None = None

    def metadata(self) -> dict[str, str]:
        """Return the metadata that `notes_of` reads."""
        return {_NOTES: json.dumps({"ids": self.id_kind, "metric": self.metric, "mark": self.mark})}


@dataclass(frozen=True, kw_only=True)
class LanceTable:
    """An open table; `dim` is what its type declares, or most of its first rows have."""

    table: Any
    layout: ArrowLayout
    notes: Notes
    dim: int | None
    id: str

    @property
    def id_kind(self) -> IdKind:
        """What the ids are."""
        return self.notes.id_kind or self.layout.id_kind

    def index(self) -> IndexInfo | None:
        """Return the vector index; None when there is none."""
        for one in self.table.list_indices():
            if list(one.columns) == [self.layout.vector]:
                stats = self.table.index_stats(one.name)
                known: dict[str, Metric] = {name: metric for metric, name in DISTANCES.items()}
                return IndexInfo(
                    name=one.name,
                    kind=str(one.index_type),
                    metric=known.get(str(stats.distance_type).lower()) if stats else None,
                    n_rows=int(stats.num_indexed_rows) if stats else None,
                )
        return None

    def has_id_index(self) -> bool:
        """Tell whether the ids are indexed."""
        return any(list(one.columns) == [self.id] for one in self.table.list_indices())

    def among(self, ids: Sequence[Id]) -> Any:
        """Return the condition that a row has one of `ids`."""
        if self.layout.id_kind == "uint":
            # As SQL: the numbers above 2⁶³ of expressions become floats, as the least ones of SQL do.
            return f"{self._sql_name()} IN ({', '.join(str(one) for one in ids)})" if ids else "false"
        return col(self.id).isin([self._held(one) for one in ids])

    def in_order(
        self, *, after: Id | None, batch_size: int, changed_since: datetime | None = None
    ) -> Iterator[tuple[tuple[Id, ...], npt.NDArray[np.uint64]]]:
        """Yield ids greater than `after` in canonical order with the addresses of their rows; the engine sorts."""
        query = self.table.search().select([self.id]).with_row_id(True)
        condition = self._behind(after, changed_since)
        if condition is not None:
            query = query.where(condition)
        query = query.order_by([ColumnOrdering(column_name=self.id)])
        waiting: list[Any] = []
        for piece in query.to_batches(batch_size=batch_size):
            waiting.append(piece.filter(piece.column(self.id).is_valid()))
            if sum(one.num_rows for one in waiting) >= batch_size:
                yield self._ids_and_addresses(waiting)
                waiting = []
        if any(one.num_rows for one in waiting):
            yield self._ids_and_addresses(waiting)

    def ids_of(self, column: Any) -> tuple[Id, ...]:
        """Return the ids in a column of the table."""
        values: list[Any] = column.to_pylist()
        match self.notes.id_kind:
            case "mixed":
                return tuple(from_coded_text(one) for one in values)
            case "uuid":
                return tuple(from_coded_text("u" + one) for one in values)
            case "text":
                return tuple(unescaped(one) for one in values)
            case _:
                return tuple(values)

    def batch_of(self, rows: Any, *, dim: int | None, with_payload: bool) -> Batch:
        """Return Arrow rows as a batch."""
        layout = self.layout
        vectors, broken = vectors_of(rows.column(layout.vector), self.dim or 1)
        return Batch(
            ids=self.ids_of(rows.column(self.id)),
            vectors=vectors if dim is None else np.ascontiguousarray(vectors[:, :dim]),
            payloads=payloads_of(rows, layout.payload, is_json=layout.is_json)
            if with_payload and layout.payload
            else None,
            updated_at=moments_of(rows.column(layout.updated_at)) if layout.updated_at else None,
            broken=broken,
        )

    def rows_of(self, batch: Batch) -> Any:
        """Return a batch as Arrow rows of this table. Raises StoreError where its payloads have no column to go to."""
        layout, schema = self.layout, self.table.schema
        columns: dict[str, Any] = {
            self.id: pa.array([self._held(one) for one in batch.ids], type=schema.field(self.id).type),
            layout.vector: vector_array(batch.vectors, layout.dtype),
        }
        if layout.updated_at is not None and batch.updated_at is not None:
            columns[layout.updated_at] = moment_array(batch.updated_at)
        if batch.payloads is not None and any(one is not None for one in batch.payloads):
            if not layout.is_json:
                raise StoreError(
                    f"{self.table.name}: payloads must have one text column, payload, to go to",
                    found=", ".join(layout.payload) or "no such column",
                    hint="Create the target anew, or name a text column in the URL as ?payload=column",
                )
            columns[layout.payload[0]] = pa.array([None if one is None else one.decode() for one in batch.payloads])
        for field in schema:
            if field.name not in columns:
                columns[field.name] = pa.nulls(len(batch), field.type)
        return pa.table(
            [columns[field.name].cast(field.type) for field in schema], names=[field.name for field in schema]
        )

    def _behind(self, after: Id | None, changed_since: datetime | None) -> Any:
        changed = None
        if changed_since is not None and self.layout.updated_at is not None:
            changed = col(self.layout.updated_at) >= lit(changed_since.astimezone(UTC))
        if after is None:
            return changed
        if self.layout.id_kind == "uint":
            return f"{self._sql_name()} > {after}" + (f" AND {changed.to_sql()}" if changed is not None else "")
        behind = col(self.id) > lit(self._held(after))
        return behind if changed is None else behind & changed

    def _sql_name(self) -> str:
        return "`" + self.id.replace("`", "``") + "`"

    def _held(self, one: Id) -> int | str:
        if self.notes.id_kind == "mixed":
            return coded_text(one)
        if isinstance(one, int):
            return one
        return escaped(one) if isinstance(one, str) and self.notes.id_kind is not None else str(one)

    def _ids_and_addresses(self, pieces: Sequence[Any]) -> tuple[tuple[Id, ...], npt.NDArray[np.uint64]]:
        rows = pa.Table.from_batches(pieces)
        return self.ids_of(rows.column(self.id)), rows.column("_rowid").to_numpy()


def schema_of(spec: TableSpec, url: StoreUrl) -> Any:
    """Return the Arrow schema of the table to create; its id column says what the columns cannot."""
    notes = Notes(id_kind=spec.id_kind, metric=spec.metric, mark=spec.mark)
    key = pa.field(url.option("id") or "id", _ID_TYPES[spec.id_kind], nullable=False, metadata=notes.metadata())
    component = pa.float16() if spec.dtype == "float16" else pa.float32()
    fields = [key, pa.field(url.option("vector") or "vector", pa.list_(component, spec.dim))]
    if spec.has_payload:
        fields.append(pa.field(url.option("payload") or "payload", pa.string()))
    if spec.has_updated_at:
        fields.append(pa.field(url.option("updated_at") or "updated_at", pa.timestamp("us", tz="UTC")))
    return pa.schema(fields)


def connect(url: StoreUrl) -> Any:
    """Return the database in the folder or bucket of `url`; what others write is seen at the next read."""
    return lancedb.connect(str(url.bucket or url.path), read_consistency_interval=timedelta(0))


def tables_in(url: StoreUrl) -> list[str]:
    """Return the names of the tables; none, and no new folder, when there is no folder."""
    if url.path is not None and not url.path.is_dir():
        return []
    database = connect(url)
    names: list[str] = []
    answer = database.list_tables()
    names += answer.tables
    while answer.page_token:
        answer = database.list_tables(page_token=answer.page_token)
        names += answer.tables
    return names


def open_table(url: StoreUrl) -> LanceTable:
    """Open the table and tell its columns. Raises StoreError when there is none, or vectors cannot be read from it."""
    there = tables_in(url)
    if url.table not in there:
        raise missing_table("table", url.table, there=there)
    table = connect(url).open_table(url.table)
    layout = layout_of(table.schema, url, needs_id=True)
    key = layout.id or ""
    dim = layout.dim
    if dim is None:
        first = table.search().select([layout.vector]).limit(_ROWS_TO_GUESS_DIMS_BY).to_arrow()
        dim = usual_dim(first.column(layout.vector))
    return LanceTable(table=table, layout=layout, notes=_notes_of(table.schema.field(key)), dim=dim, id=key)


@contextmanager
def reported(url: StoreUrl) -> Iterator[None]:
    """Turn what Lance and Arrow raise into one sentence."""
    try:
        yield
    except EngineError:
        raise
    except (ValueError, RuntimeError, OSError, pa.ArrowException) as error:
        raise _sentence(error, url) from error


def _sentence(error: Exception, url: StoreUrl) -> StoreError:
    text = str(error)
    if "ommit conflict" in text or "concurrent" in text.lower():
        return StoreUnavailableError("others write to the table at the same time", hint="Try again in a moment")
    known = of_disk(error, where=str(url.path)) if url.bucket is None else bucket_failure(text, url.bucket)
    if known is not None:
        return known
    said = _PLACE_IN_SOURCE.sub("", text).strip(" ,.") or type(error).__name__
    return StoreError("LanceDB must be able to carry this out", found=said)


def _notes_of(field: Any) -> Notes:
    try:
        said = json.loads((field.metadata or {}).get(_NOTES.encode(), b"{}"))
    except ValueError:
        return Notes()
    kind, metric, mark = said.get("ids"), said.get("metric"), said.get("mark")
    return Notes(
        id_kind=cast("IdKind", kind) if kind in ID_KINDS else None,
        metric=cast("Metric", metric) if metric in METRICS else None,
        mark=mark if isinstance(mark, str) else None,
    )
