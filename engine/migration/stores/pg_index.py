"""Build pgvector's HNSW index, watched from a second connection."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

import psycopg
from psycopg import sql

from engine.errors import CancelledError, StoreError

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Metric
    from engine.migration.stores.pg_connection import PostgresConnection
    from engine.migration.stores.pg_table import PgTable
    from engine.migration.stores.protocol import Dtype, IndexSpec
    from engine.progress import Cancelled, Progress

MOST_INDEXED_DIMS: dict[Dtype, int] = {"float32": 2000, "float16": 4000}
"""What an HNSW index of a ``vector`` and of a ``halfvec`` takes; pgvector's README."""

_MEMORY = "256MB"  # a graph that does not fit is built several times slower
_POLL_S = 0.5
_OPCLASSES: dict[tuple[Dtype, Metric], LiteralString] = {
    ("float32", "cosine"): "vector_cosine_ops",
    ("float32", "ip"): "vector_ip_ops",
    ("float32", "l2"): "vector_l2_ops",
    ("float16", "cosine"): "halfvec_cosine_ops",
    ("float16", "ip"): "halfvec_ip_ops",
    ("float16", "l2"): "halfvec_l2_ops",
}


def check_indexable(dtype: Dtype, dim: int | None) -> None:
    """Raise StoreError when no HNSW index of pgvector takes vectors of `dim` components."""
    most = MOST_INDEXED_DIMS[dtype]
    if dim is None or dim <= most:
        return
    hint = "Keep fewer dims"
    if dtype == "float32":
        hint = f"Store float16 (halfvec, up to {MOST_INDEXED_DIMS['float16']:,} dims), or keep fewer dims"
    raise StoreError(
        f"an HNSW index of pgvector takes at most {most:,} dims of {dtype}", found=f"{dim:,} dims", hint=hint
    )


def build(
    connection: PostgresConnection,
    table: PgTable,
    spec: IndexSpec,
    *,
    dim: int | None,
    progress: Progress,
    cancelled: Cancelled,
) -> None:
    """Build the index for the table's metric (cosine where nothing says), or leave nothing when it is cancelled."""
    check_indexable(table.dtype, dim)
    if table.vector.modifier is None:
        raise StoreError(
            f"{table.name}: the vector column must declare its dims to be indexed",
            found=table.vector.type,
            hint=f"Change its type to {table.vector.type}({dim or 'dims'})",
        )
    statement = sql.SQL("CREATE INDEX ON {} USING hnsw ({} {}) WITH (m = {}, ef_construction = {})").format(
        table.identifier,
        sql.Identifier(table.vector.name),
        sql.SQL(_OPCLASSES[table.dtype, table.notes.metric or "cosine"]),
        sql.Literal(spec.m),
        sql.Literal(spec.ef_construction),
    )
    watcher = connection.another()
    try:
        with connection.without_time_limit() as session:
            session.execute("SELECT set_config('maintenance_work_mem', %s, false)", (_MEMORY,))
            work = _Work(session, statement)
            while not work.wait(_POLL_S):
                if cancelled():
                    session.cancel_safe()
                    work.wait(None)
                    break
                progress(_share_done(watcher, table.oid), "Building the index")
            session.execute("RESET maintenance_work_mem")
            if isinstance(work.error, psycopg.errors.QueryCanceled):
                raise CancelledError
            if work.error is not None:
                raise work.error
    finally:
        watcher.close()


class _Work:
    """A statement that runs in a thread of its own."""

    def __init__(self, session: psycopg.Connection[tuple[object, ...]], statement: sql.Composed) -> None:
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(session, statement), daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, session: psycopg.Connection[tuple[object, ...]], statement: sql.Composed) -> None:
        try:
            session.execute(statement)
        except psycopg.Error as error:
            self.error = error


def _share_done(watcher: PostgresConnection, oid: int) -> float:
    with suppress(StoreError):  # how far it is does not matter enough to fail for
        rows = watcher.rows(
            "SELECT tuples_done, tuples_total FROM pg_stat_progress_create_index WHERE relid = %s", (oid,)
        )
        if rows and rows[0][1]:
            return min(1.0, float(rows[0][0]) / float(rows[0][1]))
    return 0.0
