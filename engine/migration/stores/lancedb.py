"""LanceDB: a folder, on disk or in object storage, with tables of Arrow columns, no server."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import BTree, HnswFlat

from engine.errors import StoreError
from engine.migration.ids import coded_text, fits, from_coded_text, order_key
from engine.migration.stores import checks
from engine.migration.stores.failures import existing_table, no_moments
from engine.migration.stores.lance_table import DISTANCES, connect, open_table, reported, schema_of, tables_in
from engine.migration.stores.protocol import Batch, IndexSpec, SearchAnswer, StoreInfo, Written
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled, stop_if
from engine.scoring.memory import usable_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.ids import Id
    from engine.migration.stores.lance_table import LanceTable
    from engine.migration.stores.protocol import IndexInfo, TableSpec
    from engine.migration.stores.urls import StoreUrl

_ROWS_A_FETCH = 4096
_LEAST_ROWS_A_GRAPH, _MOST_ROWS_A_GRAPH = 10_000, 1 << 20
_QUERIES_AT_ONCE = 64
_LEAST_EF = 64
_AT_ONCE = timedelta(milliseconds=1)
_WRITES_UNTIL_COMPACTION = 256  # every write is a file and a version; thousands of them slow down each further one


class LanceStore:
    """A table of a LanceDB folder, on disk or in a bucket.

    Lance promises no order of rows. A scan pins the table's version, lets the engine sort ids with row addresses (on
    disk where they are many), and takes the rows in that order, which is the canonical one: it never sees half of a
    write, and what is written meanwhile is for a later scan. UUIDs are kept as texts; texts are escaped as in
    PostgreSQL, so that ids look the same everywhere.
    """

    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._opened: LanceTable | None = None
        self._writes = 0

    @property
    def url(self) -> str:
        """The store's URL."""
        return str(self._url)

    def describe(self) -> StoreInfo:
        """Look the table up."""
        self.close()
        with self._reported():
            opened = self._open()
            index = opened.index()
            layout = opened.layout
            return StoreInfo(
                kind="lancedb",
                url=self.url,
                table=self._url.table,
                server=f"LanceDB {lancedb.__version__}",
                dim=opened.dim,
                dim_is_declared=layout.dim is not None,
                dtype=layout.dtype,
                metric=opened.notes.metric or (index.metric if index else None),
                index=index,
                id_kind=opened.id_kind,
                ids_are_unique=opened.notes.id_kind is not None,
                n_rows=opened.table.count_rows(),
                n_without_id=self._n_without_id(opened),
                n_bytes=opened.table.stats()["total_bytes"],
                has_payload=bool(layout.payload),
                has_updated_at=layout.updated_at is not None,
                payload_columns=layout.payload,
                left_out=layout.left_out,
                writable=os.access(self._url.path, os.W_OK) if self._url.path is not None else None,
                mark=opened.notes.mark,
            )

    def exists(self) -> bool:
        """Tell whether the folder has the table."""
        with self._reported():
            return self._url.table in tables_in(self._url)

    def count(self) -> int:
        """Count the rows."""
        with self._reported():
            return int(self._open().table.count_rows())

    def create(self, spec: TableSpec) -> None:
        """Create the table, and the folder when it is new."""
        self.close()
        if self.exists():
            raise existing_table("table", self._url.table)
        with self._reported():
            if self._url.path is not None:
                self._url.path.mkdir(parents=True, exist_ok=True)
            connect(self._url).create_table(self._url.table, schema=schema_of(spec, self._url))

    def drop(self) -> None:
        """Remove the table."""
        self.close()
        if self.exists():
            with self._reported():
                connect(self._url).drop_table(self._url.table)

    def set_mark(self, mark: str | None) -> None:
        """Keep the mark in the metadata of the id column."""
        with self._reported():
            opened = self._open()
            metadata = replace(opened.notes, mark=mark).metadata()
            opened.table.update_field_metadata({"path": opened.id, "metadata": metadata})
        self.close()

    def ids(self, *, after: Id | None = None, batch_size: int = 65_536) -> Iterator[tuple[Id, ...]]:
        """Yield all ids in canonical order."""
        checks.check_batch_size(batch_size)
        least = b"" if after is None else order_key(after)
        with self._reported():
            opened = self._open()
            native = after if after is not None and fits(after, opened.id_kind) else None
            for ids, _ in opened.in_order(after=native, batch_size=batch_size):
                kept = ids if after is native else tuple(one for one in ids if order_key(one) > least)
                if kept:
                    yield kept

    def fetch(self, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True) -> Batch:
        """Return the rows that have one of `ids`, in the order asked."""
        with self._reported():
            opened = self._open()
            checks.check_prefix(dim, opened.dim)
            wanted = [one for one in dict.fromkeys(ids) if fits(one, opened.id_kind)]
            columns = opened.layout.columns(with_payload=with_payload)
            pieces = [
                opened.table.search()
                .where(opened.among(wanted[start : start + _ROWS_A_FETCH]))
                .select(columns)
                .to_arrow()
                for start in range(0, len(wanted), _ROWS_A_FETCH)
            ] or [opened.table.search().select(columns).limit(0).to_arrow()]
            batch = opened.batch_of(pa.concat_tables(pieces), dim=dim, with_payload=with_payload)
        return checks.in_asked_order(batch, wanted)

    def scan(
        self,
        *,
        after: str | None = None,
        batch_size: int = 2048,
        dim: int | None = None,
        with_payload: bool = True,
        changed_since: datetime | None = None,
    ) -> Iterator[Batch]:
        """Yield all rows of the table's present version in canonical order of their ids."""
        checks.check_batch_size(batch_size)
        last = None if after is None else from_coded_text(after)
        with self._reported():
            opened = open_table(self._url)
            checks.check_prefix(dim, opened.dim)
            if changed_since is not None and opened.layout.updated_at is None:
                raise no_moments()
            if changed_since is not None:
                checks.microseconds(changed_since)
            opened.table.checkout(opened.table.version)
            columns = opened.layout.columns(with_payload=with_payload)
            for _, addresses in opened.in_order(after=last, batch_size=batch_size, changed_since=changed_since):
                rows = opened.table.take_row_ids(addresses.tolist()).select(columns).with_row_id().to_arrow()
                found = rows.column("_rowid").to_numpy()
                # What is taken comes in an order of its own.
                order = np.argsort(found)
                rows = rows.take(order[np.searchsorted(found[order], addresses)])
                batch = opened.batch_of(rows, dim=dim, with_payload=with_payload)
                yield replace(batch, cursor=coded_text(batch.ids[-1]))

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Append rows that are new; merge others by their id."""
        with self._reported():
            opened = self._open()
            reasons = checks.rejections(batch, dim=opened.dim, dtype=opened.layout.dtype, id_kind=opened.id_kind)
            rest = checks.without(batch, reasons)
            if len(rest) and is_new:
                opened.table.add(opened.rows_of(rest))
            elif len(rest):
                merge = opened.table.merge_insert(opened.id)
                rows = opened.rows_of(self._completed(rest, opened))
                merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)
            self._writes += 1
            if self._writes % _WRITES_UNTIL_COMPACTION == 0:
                opened.table.optimize()
        return Written(n_written=len(rest), rejected=checks.rejected_rows(batch, reasons))

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete the rows that have one of `ids`."""
        with self._reported():
            opened = self._open()
            wanted = [one for one in dict.fromkeys(ids) if fits(one, opened.id_kind)]
            before = opened.table.count_rows()
            for start in range(0, len(wanted), _ROWS_A_FETCH):
                opened.table.delete(opened.among(wanted[start : start + _ROWS_A_FETCH]))
            return int(before - opened.table.count_rows())

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None = None, exact: bool = False
    ) -> SearchAnswer:
        """Search through the index where there is one; many queries go in groups that share one pass."""
        with self._reported():
            opened = self._open()
            queries = checks.check_queries(queries, k, opened.dim)
            index = opened.index()
            metric: Metric = opened.notes.metric or (index.metric if index else None) or "cosine"
            ef = None if exact or index is None else max(k, ef or _LEAST_EF)
            scores = np.full((len(queries), k), np.nan, dtype=np.float32)
            latency_ms = np.zeros(len(queries))
            found: list[tuple[Id, ...]] = []
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                group = queries[start : start + _QUERIES_AT_ONCE]
                started = time.perf_counter()
                found += _search_group(opened, group, k, metric=metric, ef=ef, scores=scores[start:])
                took = 1000 * (time.perf_counter() - started)
                latency_ms[start : start + len(group)] = took / len(group)
        return SearchAnswer(ids=tuple(found), scores=scores, latency_ms=latency_ms)

    def build_index(
        self,
        spec: IndexSpec | None = None,
        *,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> IndexInfo | None:
        """Compact the table, index the ids, and build HNSW over unquantized vectors unless there is an index."""
        spec = spec or IndexSpec()
        progress(0.0, "Compacting the table")
        with self._reported():
            opened = self._open()
            # Nobody else reads a table that says it is half done: its old versions may go at once.
            opened.table.optimize(cleanup_older_than=_AT_ONCE if opened.notes.mark else None)
            stop_if(cancelled)
            if opened.notes.id_kind is not None and not opened.has_id_index():
                opened.table.create_index(opened.id, config=BTree())
            stop_if(cancelled)
            progress(0.1, "Building the index")
            if opened.index() is None and opened.table.count_rows():
                distance = DISTANCES[opened.notes.metric or "cosine"]
                config = HnswFlat(
                    distance_type=distance,
                    m=spec.m,
                    ef_construction=spec.ef_construction,
                    target_partition_size=_rows_a_graph(opened.dim or 1, spec.m),
                )
                opened.table.create_index(opened.layout.vector, config=config)
            progress(1.0, "The index is built")
            return opened.index()

    def now(self) -> datetime:
        """Return this machine's clock."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Let go of the table."""
        self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> LanceTable:
        if self._opened is None:
            self._opened = open_table(self._url)
        return self._opened

    def _reported(self) -> AbstractContextManager[None]:
        return reported(self._url)

    def _n_without_id(self, opened: LanceTable) -> int:
        if not opened.table.schema.field(opened.id).nullable:
            return 0
        column = opened.table.search().select([opened.id]).to_batches()
        return sum(int(piece.column(opened.id).null_count) for piece in column)

    def _completed(self, batch: Batch, opened: LanceTable) -> Batch:
        """Return `batch` with the payloads that its rows have already, where it brings none itself."""
        layout = opened.layout
        if (batch.payloads is not None or not layout.payload) and (
            batch.updated_at is not None or not layout.updated_at
        ):
            return batch
        if layout.payload and not layout.is_json:
            raise StoreError(f"{self._url.table}: rows of a table with several payload columns cannot be replaced")
        return checks.completed(batch, self.fetch(batch.ids))


def _rows_a_graph(dim: int, m: int) -> int:
    """Return how many rows share a graph: as many as LanceDB puts into one, or what the memory allows to be built."""
    bytes_a_row = 4 * dim + 16 * m  # the vector, and twice m links of 8 bytes
    return max(_LEAST_ROWS_A_GRAPH, min(_MOST_ROWS_A_GRAPH, usable_memory_bytes() // (8 * bytes_a_row)))


def _search_group(
    opened: LanceTable,
    group: npt.NDArray[np.float32],
    k: int,
    *,
    metric: Metric,
    ef: int | None,
    scores: npt.NDArray[np.float32],
) -> list[tuple[Id, ...]]:
    """Return the ids of each query of `group` and fill in its `scores`; an `ef` of None compares every row."""
    query = opened.table.search(
        group if len(group) > 1 else group[0], vector_column_name=opened.layout.vector, query_type="vector"
    )
    query = query.distance_type(DISTANCES[metric]).select([opened.id, "_distance"]).limit(k)
    rows = (query.bypass_vector_index() if ef is None else query.ef(ef)).to_arrow()
    of_query = rows.column("query_index").to_numpy() if len(group) > 1 else np.zeros(rows.num_rows, np.int64)
    ids, distances = opened.ids_of(rows.column(opened.id)), rows.column("_distance").to_numpy()
    found: list[tuple[Id, ...]] = []
    for place in range(len(group)):
        mine = np.flatnonzero(of_query == place)
        mine = mine[np.argsort(distances[mine], kind="stable")]
        found.append(tuple(ids[row] for row in mine))
        scores[place, : len(mine)] = -distances[mine] if metric == "l2" else 1.0 - distances[mine]
    return found
