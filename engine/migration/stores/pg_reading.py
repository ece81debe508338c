"""Read rows and ids out of PostgreSQL by binary COPY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import numpy as np
from psycopg import sql

from engine.errors import ParameterError
from engine.migration.ids import fits
from engine.migration.stores.payloads import all_from_jsonb
from engine.migration.stores.pg_binary import HEADER, RowFormat, decode, decode_ids
from engine.migration.stores.protocol import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.migration.ids import Id
    from engine.migration.stores.pg_binary import IdField
    from engine.migration.stores.pg_connection import PostgresConnection
    from engine.migration.stores.pg_table import PgTable

SQL_TYPES: dict[IdField, sql.SQL] = {"int8": sql.SQL("int8"), "uuid": sql.SQL("uuid"), "text": sql.SQL("text")}

_COLUMNS_AN_OBJECT = 50  # a function takes at most 100 arguments
_COPY: LiteralString = "COPY (SELECT {} FROM {} WHERE {} {}) TO STDOUT (FORMAT BINARY)"


def literal(table: PgTable, one: Id) -> sql.Composed:
    """Return an id for comparison with the id column. Raises ParameterError when it cannot be one of the table's."""
    if not fits(one, table.id_kind):
        raise ParameterError(f"a cursor of this store holds an id of the kind {table.id_kind}")
    # Not ::, which binds more tightly than the sign of the least number.
    return sql.SQL("CAST({} AS {})").format(sql.Literal(table.held(one)), SQL_TYPES[table.id_field])


def among(table: PgTable, ids: Sequence[Id]) -> sql.Composed:
    """Return the condition that a row has one of `ids`."""
    return sql.SQL("{} = ANY({}::{}[])").format(
        sql.Identifier(table.id.name), sql.Literal([table.held(one) for one in ids]), SQL_TYPES[table.id_field]
    )


def ids_in_order(
    connection: PostgresConnection, table: PgTable, *, after: Id | None, batch_size: int
) -> Iterator[tuple[Id, ...]]:
    """Yield all ids greater than `after` in canonical order, from one statement that occupies `connection`."""
    name = sql.Identifier(table.id.name)
    column: sql.Composable = name
    if table.id_field == "text" and not table.id.sorts_by_bytes:
        column = sql.SQL('{} COLLATE "C"').format(name)
    where: sql.Composable = sql.SQL("{} IS NOT NULL").format(name)
    if after is not None:
        where = sql.SQL("{} > {}").format(column, literal(table, after))
    query = sql.SQL(_COPY).format(
        sql.SQL("{}::{}").format(name, SQL_TYPES[table.id_field]),
        table.identifier,
        where,
        sql.SQL("ORDER BY {}").format(column),
    )
    messages: list[Any] = []
    with connection.use() as session, session.cursor() as cursor, cursor.copy(query) as copy:
        for message in copy:
            messages.append(message)
            if len(messages) > batch_size:
                yield tuple(table.originals(decode_ids(table.id_field, messages)))
                messages = [HEADER]
        if ids := tuple(table.originals(decode_ids(table.id_field, messages))):
            yield ids


def read(
    connection: PostgresConnection,
    table: PgTable,
    *,
    where: sql.Composable,
    tail: sql.Composable,
    full: int | None,
    dim: int | None,
    with_payload: bool,
) -> Batch:
    """Return the rows of `table` for which `where` holds; `full` is the dim they should have, `dim` what to keep."""
    # The server cuts vectors only where all have one dim, for a cut one no longer shows how long it was.
    is_cut = dim is not None and dim != full and table.vector.modifier is not None
    row = RowFormat(
        id_field=table.id_field,
        dim=(dim if is_cut and dim else full) or 1,
        dtype=table.dtype,
        has_moment=table.updated_at is not None,
        has_payload=with_payload and table.has_payload,
    )
    columns = sql.SQL(", ").join(_selected(table, row, is_cut=is_cut))
    query = sql.SQL(_COPY).format(columns, table.identifier, where, tail)
    with connection.use() as session, session.cursor() as cursor, cursor.copy(query) as copy:
        rows = decode(row, [*copy])
    return Batch(
        ids=tuple(table.originals(rows.ids)),
        vectors=rows.vectors if dim is None or is_cut else np.ascontiguousarray(rows.vectors[:, :dim]),
        payloads=None if rows.payloads is None else tuple(all_from_jsonb(rows.payloads)),
        updated_at=rows.updated_at,
        broken=rows.broken,
    )


def _selected(table: PgTable, row: RowFormat, *, is_cut: bool) -> list[sql.Composable]:
    identifier = sql.SQL("{}::{}").format(sql.Identifier(table.id.name), SQL_TYPES[row.id_field])
    vector: sql.Composable = sql.Identifier(table.vector.name)
    if is_cut:
        vector = sql.SQL("subvector({}, 1, {})").format(vector, sql.Literal(row.dim))
    selected = [vector]
    if table.updated_at is not None:
        selected.append(sql.SQL("{}::timestamptz").format(sql.Identifier(table.updated_at.name)))
    if row.has_payload:
        selected.append(sql.SQL("({})::text").format(_payload(table)))
    return [*selected, identifier] if row.id_field == "text" else [identifier, *selected]


def _payload(table: PgTable) -> sql.Composable:
    if table.payload is not None:
        return sql.Identifier(table.payload.name)
    pairs = [sql.SQL("{}, {}").format(sql.Literal(one.name), sql.Identifier(one.name)) for one in table.others]
    objects = [
        sql.SQL("jsonb_build_object({})").format(sql.SQL(", ").join(pairs[start : start + _COLUMNS_AN_OBJECT]))
        for start in range(0, len(pairs), _COLUMNS_AN_OBJECT)
    ]
    return sql.SQL(" || ").join(objects)
