"""PostgreSQL with pgvector: binary COPY both ways, keyset scans, HNSW search."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psycopg
from pgvector import HalfVector, Vector
from pgvector.psycopg import register_vector
from psycopg import sql

from engine.errors import ParameterError
from engine.migration.ids import coded_text, fits, from_coded_text, order_key
from engine.migration.stores import checks, pg_index, pg_reading, pg_writing
from engine.migration.stores.failures import existing_table, no_moments
from engine.migration.stores.pg_connection import PostgresConnection
from engine.migration.stores.pg_table import identifier_of, require_table
from engine.migration.stores.protocol import Batch, IndexSpec, SearchAnswer, StoreInfo
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.ids import Id
    from engine.migration.stores.pg_table import PgTable
    from engine.migration.stores.protocol import IndexInfo, TableSpec, Written
    from engine.migration.stores.urls import StoreSecrets, StoreUrl

_OPERATORS: dict[Metric, sql.SQL] = {"cosine": sql.SQL("<=>"), "ip": sql.SQL("<#>"), "l2": sql.SQL("<->")}
_MOST_EF = 1000
_NOTHING = sql.SQL("")
_ROWS_TO_GUESS_DIMS_BY = 1000


class PgvectorStore:
    """A table with a ``vector`` or ``halfvec`` column.

    Scans go in the order of the id column, by its own collation, so that its index serves them; `ids` in canonical
    order. Every batch is a statement of its own: a scan that pauses for hours holds no snapshot and survives a restart
    of the server.
    """

    def __init__(self, url: StoreUrl, *, secrets: StoreSecrets, timeout_s: float) -> None:
        self._url = url
        self._connection = PostgresConnection(url, secrets=secrets, timeout_s=timeout_s)
        self._known: PgTable | None = None
        self._guessed_dim: int | None = None
        self._searching: psycopg.Connection[Any] | None = None

    @property
    def url(self) -> str:
        """The store's URL without its secrets."""
        return str(self._url)

    def describe(self) -> StoreInfo:
        """Look the table up, count its rows and guess the dims where the column does not declare them."""
        self._forget()
        table = self._table()
        n_rows, n_without_id = self._counted(table)
        n_bytes, writable, server, extension = self._connection.rows(
            "SELECT pg_total_relation_size(%s::oid), has_table_privilege(%s::oid, 'INSERT') "
            "AND NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off', "
            "current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector')",
            (table.oid, table.oid),
        )[0]
        payload = (table.payload,) if table.payload else table.others
        return StoreInfo(
            kind="pgvector",
            url=self.url,
            table=f"{table.schema}.{table.name}",
            server=f"PostgreSQL {str(server).partition(' ')[0]}, pgvector {extension}",
            dim=self._dim(table),
            dim_is_declared=table.vector.modifier is not None,
            dtype=table.dtype,
            metric=table.notes.metric or (table.index.metric if table.index else None),
            index=None if table.index is None else replace(table.index, n_rows=n_rows),
            id_kind=table.id_kind,
            ids_are_unique=table.ids_are_unique,
            n_rows=n_rows,
            n_without_id=n_without_id,
            n_bytes=n_bytes,
            has_payload=table.has_payload,
            has_updated_at=table.updated_at is not None,
            payload_columns=tuple(column.name for column in payload),
            left_out=table.left_out,
            writable=bool(writable) and table.is_plain,
            mark=table.notes.mark,
        )

    def exists(self) -> bool:
        """Tell whether there is a table, view or anything else of that name."""
        quoted = identifier_of(self._url.table).as_string(None)
        return bool(self._connection.rows("SELECT to_regclass(%s) IS NOT NULL", (quoted,))[0][0])

    def count(self) -> int:
        """Count the rows."""
        return self._counted(self._table())[0]

    def create(self, spec: TableSpec) -> None:
        """Create the table, and the extension where that is allowed."""
        self._forget()
        if self.exists():
            raise existing_table("table", self._url.table)
        pg_writing.create(self._connection, self._url, spec)

    def drop(self) -> None:
        """Remove the table."""
        self._forget()
        if self.exists():
            with self._connection.without_time_limit() as connection:
                connection.execute(sql.SQL("DROP TABLE {}").format(identifier_of(self._url.table)))

    def set_mark(self, mark: str | None) -> None:
        """Keep the mark in the last line of the table's comment."""
        self._forget()
        table = self._table()
        comment = replace(table.notes, mark=mark).comment()
        with self._connection.use() as connection:
            connection.execute(
                sql.SQL("COMMENT ON TABLE {} IS {}").format(table.identifier, sql.Literal(comment)),
            )
        self._forget()

    def ids(self, *, after: Id | None = None, batch_size: int = 65_536) -> Iterator[tuple[Id, ...]]:
        """Yield all ids in canonical order, from one statement on a connection of its own."""
        checks.check_batch_size(batch_size)
        table = self._table()
        if after is not None and not fits(after, table.id_kind):
            least = order_key(after)
            for batch in self.ids(batch_size=batch_size):
                if kept := tuple(one for one in batch if order_key(one) > least):
                    yield kept
            return
        own = self._connection.another()
        try:
            yield from pg_reading.ids_in_order(own, table, after=after, batch_size=batch_size)
        finally:
            own.close()

    def fetch(self, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True) -> Batch:
        """Return the rows that have one of `ids`, in the order asked."""
        table = self._table()
        wanted = [one for one in dict.fromkeys(ids) if fits(one, table.id_kind)]
        batch = self._read(table, where=pg_reading.among(table, wanted), dim=dim, with_payload=with_payload)
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
        """Yield all rows in the order of the id column; each batch is a statement of its own."""
        checks.check_batch_size(batch_size)
        table = self._table()
        conditions = [sql.SQL("{} IS NOT NULL").format(sql.Identifier(table.id.name))]
        if changed_since is not None:
            if table.updated_at is None:
                raise no_moments()
            checks.microseconds(changed_since)
            changed = sql.SQL("{} >= {}").format(sql.Identifier(table.updated_at.name), sql.Literal(changed_since))
            conditions.append(changed)
        # Without a unique index, rows of one id must not be parted by the end of a batch.
        limit = sql.SQL("LIMIT {}") if table.ids_are_unique else sql.SQL("FETCH FIRST {} ROWS WITH TIES")
        tail = sql.SQL("ORDER BY {} ").format(sql.Identifier(table.id.name)) + limit.format(sql.Literal(batch_size))
        last = None if after is None else from_coded_text(after)
        while True:
            behind = list(conditions)
            if last is not None:
                behind.append(sql.SQL("{} > {}").format(sql.Identifier(table.id.name), pg_reading.literal(table, last)))
            batch = self._read(
                table, where=sql.SQL(" AND ").join(behind), tail=tail, dim=dim, with_payload=with_payload
            )
            if not len(batch):
                return
            last = batch.ids[-1]
            yield replace(batch, cursor=coded_text(last))
            if len(batch) < batch_size:
                return

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Write rows by binary COPY: straight into the table when they are new, else by way of a temporary one."""
        table = self._table()
        reasons = checks.rejections(batch, dim=self._dim(table), dtype=table.dtype, id_kind=table.id_kind)
        return pg_writing.upsert(self._connection, table, batch, reasons, is_new=is_new)

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete the rows that have one of `ids`."""
        table = self._table()
        wanted = [one for one in ids if fits(one, table.id_kind)]
        query = sql.SQL("DELETE FROM {} WHERE {}").format(table.identifier, pg_reading.among(table, wanted))
        with self._connection.use() as connection:
            return connection.execute(query).rowcount

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None = None, exact: bool = False
    ) -> SearchAnswer:
        """Search through the index where there is one; its ``ef_search`` is `k` at least, or it would find fewer."""
        table = self._table()
        queries = checks.check_queries(queries, k, self._dim(table))
        metric: Metric = table.notes.metric or (table.index.metric if table.index else None) or "cosine"
        query = sql.SQL("SELECT {id}::{type}, {vector} {operator} %(query)b FROM {table} "
                        "ORDER BY {vector} {operator} %(query)b LIMIT {k}").format(
            id=sql.Identifier(table.id.name),
            type=pg_reading.SQL_TYPES[table.id_field],
            vector=sql.Identifier(table.vector.name),
            operator=_OPERATORS[metric],
            table=table.identifier,
            k=sql.Literal(k),
        )  # fmt: skip
        held = HalfVector if table.dtype == "float16" else Vector
        scores = np.full((len(queries), k), np.nan, dtype=np.float32)
        latency_ms = np.zeros(len(queries))
        found: list[tuple[Id, ...]] = []
        with self._connection.use() as connection:
            if self._searching is not connection:
                register_vector(connection)
                self._searching = connection
            with connection.transaction():
                _tune(connection, table.index, k=k, ef=ef, exact=exact)
                for place, one in enumerate(queries):
                    started = time.perf_counter()
                    rows = connection.execute(query, {"query": held(one)}).fetchall()
                    latency_ms[place] = 1000 * (time.perf_counter() - started)
                    rows = [row for row in rows if row[1] is not None]
                    found.append(tuple(table.originals([row[0] for row in rows])))
                    scores[place, : len(rows)] = [_score(metric, float(row[1])) for row in rows]
        return SearchAnswer(ids=tuple(found), scores=scores, latency_ms=latency_ms)

    def build_index(
        self,
        spec: IndexSpec | None = None,
        *,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> IndexInfo | None:
        """Build an HNSW index for the table's metric unless there is one, and let the planner know the table."""
        self._forget()
        table = self._table()
        if table.index is None:
            pg_index.build(
                self._connection, table, spec or IndexSpec(), dim=self._dim(table), progress=progress,
                cancelled=cancelled,
            )  # fmt: skip
        with self._connection.without_time_limit() as connection:
            connection.execute(sql.SQL("ANALYZE {}").format(table.identifier))
        self._forget()
        index = self._table().index
        return None if index is None else replace(index, n_rows=self.count())

    def now(self) -> datetime:
        """Return the server's clock."""
        moment: datetime = self._connection.rows("SELECT clock_timestamp()")[0][0]
        return moment

    def close(self) -> None:
        """Close the connection."""
        self._forget()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _table(self) -> PgTable:
        if self._known is None:
            self._known = require_table(self._connection, self._url)
        return self._known

    def _forget(self) -> None:
        self._known = self._guessed_dim = None

    def _counted(self, table: PgTable) -> tuple[int, int]:
        query = sql.SQL("SELECT count(*), count(*) FILTER (WHERE {} IS NULL) FROM {}")
        if table.id.is_required:
            query = sql.SQL("SELECT count(*), 0 FROM {1}")
        with self._connection.without_time_limit() as connection:
            row = connection.execute(query.format(sql.Identifier(table.id.name), table.identifier)).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _dim(self, table: PgTable) -> int | None:
        if table.vector.modifier is not None:
            return table.vector.modifier
        if self._guessed_dim is None:
            query = sql.SQL(
                "SELECT vector_dims(v), count(*) FROM (SELECT {v} AS v FROM {t} WHERE {v} IS NOT NULL LIMIT {n}) s "
                "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1"
            ).format(v=sql.Identifier(table.vector.name), t=table.identifier, n=sql.Literal(_ROWS_TO_GUESS_DIMS_BY))
            rows = self._connection.rows(query)
            self._guessed_dim = int(rows[0][0]) if rows else None
        return self._guessed_dim

    def _read(
        self,
        table: PgTable,
        *,
        where: sql.Composable,
        tail: sql.Composable = _NOTHING,
        dim: int | None,
        with_payload: bool,
    ) -> Batch:
        full = self._dim(table)
        checks.check_prefix(dim, full)
        return pg_reading.read(
            self._connection, table, where=where, tail=tail, full=full, dim=dim, with_payload=with_payload
        )


def _tune(connection: psycopg.Connection[Any], index: IndexInfo | None, *, k: int, ef: int | None, exact: bool) -> None:
    setting: tuple[str, int] | None = None
    if exact:
        connection.execute("SET LOCAL enable_indexscan = off")
    elif index is not None and index.kind == "hnsw":
        if max(k, ef or 0) > _MOST_EF:
            raise ParameterError("an HNSW index of pgvector keeps at most 1,000 candidates", found=max(k, ef or 0))
        setting = ("hnsw.ef_search", max(k, ef or 40))
    elif index is not None and ef is not None:
        with suppress(KeyError, ValueError):
            setting = ("ivfflat.probes", min(ef, int(dict(index.options)["lists"])))
    if setting is not None:
        connection.execute("SELECT set_config(%s, %s, true)", (setting[0], str(setting[1])))


def _score(metric: Metric, distance: float) -> float:
    if metric == "cosine":
        return 1.0 - distance
    return -distance if metric == "ip" else -(distance**2)
