"""Create tables in PostgreSQL and write batches into them; a row that it cannot hold does not stop the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg import errors, sql

from engine.errors import StoreError
from engine.migration.stores import checks
from engine.migration.stores.payloads import all_for_jsonb
from engine.migration.stores.pg_binary import HEADER, TRAILER, RowFormat, encode
from engine.migration.stores.pg_connection import first_line
from engine.migration.stores.pg_table import Notes, identifier_of
from engine.migration.stores.protocol import Written

if TYPE_CHECKING:
    from engine.migration.ids import IdKind
    from engine.migration.stores.pg_connection import PostgresConnection
    from engine.migration.stores.pg_table import PgTable
    from engine.migration.stores.protocol import Batch, TableSpec
    from engine.migration.stores.urls import StoreUrl

# Texts sorted by their bytes: the index then serves scans and the canonical order alike.
_ID_TYPES: dict[IdKind, LiteralString] = {
    "int": "bigint",
    "uuid": "uuid",
    "text": 'text COLLATE "C"',
    "uint": 'text COLLATE "C"',
    "mixed": 'text COLLATE "C"',
}
_VECTOR_TYPES: dict[str, LiteralString] = {"float32": "vector", "float16": "halfvec"}
# What a single row can be guilty of: values out of range, constraints, an id too long for the index.
_ROW_FAULTS = (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded)


def create(connection: PostgresConnection, url: StoreUrl, spec: TableSpec) -> None:
    """Create the table with a comment that tells its ids, metric and mark, or nothing at all."""
    columns = [
        sql.SQL("{} {} PRIMARY KEY").format(_named(url, "id", "id"), sql.SQL(_ID_TYPES[spec.id_kind])),
        sql.SQL("{} {}({}) NOT NULL").format(
            _named(url, "vector", "embedding"), sql.SQL(_VECTOR_TYPES[spec.dtype]), sql.Literal(spec.dim)
        ),
    ]
    if spec.has_payload:
        columns.append(sql.SQL("{} jsonb").format(_named(url, "payload", "payload")))
    if spec.has_updated_at:
        columns.append(sql.SQL("{} timestamptz").format(_named(url, "updated_at", "updated_at")))
    table = identifier_of(url.table)
    notes = Notes(id_kind=spec.id_kind, metric=spec.metric, mark=spec.mark)
    with connection.use() as session, session.transaction():
        if not session.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone():
            _create_extension(session)
        session.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))
        session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(notes.comment())))


def upsert(
    connection: PostgresConnection, table: PgTable, batch: Batch, reasons: dict[int, str], *, is_new: bool
) -> Written:
    """Write the rows of `batch` but those that `reasons` names; rows at fault are found by halving the batch."""
    _check_columns(table, batch)
    rest = checks.without(batch, reasons)
    rejected = {batch.ids[row]: reason for row, reason in reasons.items()}
    with connection.use() as session:
        waiting = [rest] if len(rest) else []
        while waiting:
            piece = waiting.pop()
            try:
                _write(session, table, piece, is_new=is_new)
            except _ROW_FAULTS as error:
                if len(piece) == 1:
                    rejected[piece.ids[0]] = f"PostgreSQL refused it: {first_line(error)}"
                else:
                    half = len(piece) // 2
                    waiting += [piece.take(range(half, len(piece))), piece.take(range(half))]
    rows = {one: row for row, one in enumerate(batch.ids)}
    return Written(
        n_written=len(batch) - len(rejected),
        rejected=checks.rejected_rows(batch, {rows[one]: reason for one, reason in rejected.items()}),
    )


def _write(session: psycopg.Connection[Any], table: PgTable, batch: Batch, *, is_new: bool) -> None:
    if is_new and table.id.type in {"int8", "uuid", "text"}:
        try:
            with session.transaction():
                _copy(session, table, batch, into=table.identifier)
        except errors.UniqueViolation:
            pass  # some are there already: the other way replaces them
        else:
            return
    stage = sql.Identifier("pg_temp", f"dimshift_stage_{table.oid}")
    with session.transaction():
        session.execute(_stage_of(table))
        _copy(session, table, batch, into=stage)
        names = [sql.Identifier(name) for name in _columns(table, batch)]
        replaced = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in names if name != names[0])
        session.execute(
            sql.SQL("INSERT INTO {} ({names}) SELECT {names} FROM {} ON CONFLICT ({}) DO UPDATE SET {}").format(
                table.identifier, stage, names[0], replaced, names=sql.SQL(", ").join(names)
            )
        )


def _copy(session: psycopg.Connection[Any], table: PgTable, batch: Batch, *, into: sql.Identifier) -> None:
    row = _row_format(table, batch)
    data = encode(
        row,
        ids=[table.held(one) for one in batch.ids] if row.id_field == "text" else batch.ids,
        vectors=batch.vectors,
        updated_at=batch.updated_at,
        payloads=all_for_jsonb(batch.payloads) if batch.payloads is not None and row.is_jsonb else batch.payloads,
    )
    first, *others = _columns(table, batch)
    names = [*others, first] if row.id_field == "text" else [first, *others]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        into, sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with session.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER)
        copy.write(data)
        copy.write(TRAILER)


def _row_format(table: PgTable, batch: Batch) -> RowFormat:
    return RowFormat(
        id_field=table.id_field,
        dim=batch.dim,
        dtype=table.dtype,
        has_moment=batch.updated_at is not None and table.updated_at is not None,
        has_payload=batch.payloads is not None and table.payload is not None,
        is_jsonb=table.payload is not None and table.payload.type == "jsonb",
    )


def _columns(table: PgTable, batch: Batch) -> list[str]:
    names = [table.id.name, table.vector.name]
    if batch.updated_at is not None and table.updated_at is not None:
        names.append(table.updated_at.name)
    if batch.payloads is not None and table.payload is not None:
        names.append(table.payload.name)
    return names


def _stage_of(table: PgTable) -> sql.Composed:
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(table.id.name), sql.SQL(table.id_field)),
        sql.SQL("{} {}").format(sql.Identifier(table.vector.name), sql.SQL(_VECTOR_TYPES[table.dtype])),
    ]
    if table.updated_at is not None:
        columns.append(sql.SQL("{} timestamptz").format(sql.Identifier(table.updated_at.name)))
    if table.payload is not None:
        kind: LiteralString = "jsonb" if table.payload.type == "jsonb" else "json"
        columns.append(sql.SQL("{} {}").format(sql.Identifier(table.payload.name), sql.SQL(kind)))
    return sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS").format(
        sql.Identifier(f"dimshift_stage_{table.oid}"), sql.SQL(", ").join(columns)
    )


def _check_columns(table: PgTable, batch: Batch) -> None:
    if not table.ids_are_unique:
        raise StoreError(
            f"{table.name}: the id column must be unique for rows to be written by it",
            found=table.id.name,
            hint="Add a primary key or a unique index on it",
        )
    if batch.payloads is not None and table.payload is None and any(one is not None for one in batch.payloads):
        columns = ", ".join(column.name for column in table.others)
        raise StoreError(
            f"{table.name}: payloads must have one jsonb column to go to",
            found=f"the columns {columns}" if columns else "no such column",
            hint="Add a column payload jsonb, or name one in the URL as ?payload=column",
        )


def _create_extension(session: psycopg.Connection[Any]) -> None:
    try:
        session.execute("CREATE EXTENSION vector")
    except psycopg.Error as error:
        raise StoreError(
            "the database must have the extension pgvector",
            found=first_line(error),
            hint="Install pgvector on the server and run CREATE EXTENSION vector as a user that may",
        ) from error


def _named(url: StoreUrl, role: str, name: str) -> sql.Identifier:
    return sql.Identifier(url.option(role) or name)
