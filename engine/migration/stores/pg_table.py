"""What a table of PostgreSQL looks like: which column is the id, which the vector, and what else there is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from psycopg import sql

from engine.embeddings.embedding_set import METRICS, Metric
from engine.errors import AmbiguousColumnsError, StoreError
from engine.migration.ids import ID_KINDS, Id, IdKind, coded_text, escaped, from_coded_text, unescaped
from engine.migration.stores.failures import missing_table
from engine.migration.stores.protocol import IndexInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.migration.stores.pg_binary import IdField
    from engine.migration.stores.pg_connection import PostgresConnection
    from engine.migration.stores.protocol import Dtype
    from engine.migration.stores.urls import StoreUrl

_VECTORS: dict[str, Dtype] = {"vector": "float32", "halfvec": "float16"}
_IDS: dict[str, tuple[IdField, IdKind]] = {
    "int2": ("int8", "int"),
    "int4": ("int8", "int"),
    "int8": ("int8", "int"),
    "uuid": ("uuid", "uuid"),
    "text": ("text", "text"),
    "varchar": ("text", "text"),
}
_MOMENTS = ("timestamptz", "timestamp")
_MOMENT_NAMES = ("updated_at", "modified_at", "last_modified", "updated", "changed_at")
# Derived from other columns, or vectors that are not the ones to move.
_NO_PAYLOAD = ("vector", "halfvec", "sparsevec", "tsvector", "bit")
_OURS = "dimshift: "
_QUOTED_OR_PLAIN = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
_OPCLASSES: dict[str, Metric] = {"cosine": "cosine", "ip": "ip", "l2": "l2"}

_FIND = """
SELECT c.oid, n.nspname, c.relname, obj_description(c.oid, 'pg_class'), c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)"""
_COLUMNS = """
SELECT a.attname, t.typname, a.atttypmod, a.attnotnull,
       coalesce(co.collisdeterministic, true),
       CASE WHEN co.collname IN ('C', 'POSIX', 'ucs_basic', 'C.UTF-8', 'C.utf8', 'pg_c_utf8') THEN true
            WHEN co.collname = 'default'
            THEN d.datlocprovider::text = 'b' OR d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')
            ELSE co.collname IS NULL END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_collation co ON co.oid = a.attcollation
CROSS JOIN (SELECT datcollate, datlocprovider FROM pg_database WHERE datname = current_database()) d
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_INDEXES = """
SELECT c.relname, am.amname, i.indisprimary, i.indisunique AND i.indpred IS NULL, i.indisvalid, o.opcname,
       array_to_string(c.reloptions, ','), i.indnkeyatts,
       (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0])
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam
JOIN pg_opclass o ON o.oid = i.indclass[0] WHERE i.indrelid = %s ORDER BY c.relname"""
_NEARBY = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND t.typname IN ('vector', 'halfvec') AND NOT a.attisdropped
GROUP BY 1 ORDER BY 1 LIMIT 8"""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table: `type` as PostgreSQL calls it inside, `modifier` the dims of a vector (None: any)."""

    name: str
    type: str
    modifier: int | None
    is_required: bool
    sorts_by_bytes: bool


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What a table's comment holds: its owner's `text`, and a line of ours, for columns do not tell ids and metric."""

    text: str = ""
    id_kind: IdKind | None = None
    metric: Metric | None = None
    mark: str | None = None

    @property
    def is_escaped(self) -> bool:
        """Whether texts in the id column are written without NUL and have to be read so."""
        return self.id_kind is not None

    def comment(self) -> str | None:
        """Return the comment that `notes_of` reads; None when there is nothing to say."""
        said = {"ids": self.id_kind, "metric": self.metric, "mark": self.mark}
        line = _OURS + json.dumps(said) if any(said.values()) else ""
        return "\n".join(part for part in (self.text, line) if part) or None


@dataclass(frozen=True, kw_only=True)
class PgTable:
    """A table with its roles: which column is what. `payload` is the one JSON column, or None when `others` are it."""

    oid: int
    schema: str
    name: str
    id: Column
    vector: Column
    payload: Column | None
    others: tuple[Column, ...]
    updated_at: Column | None
    left_out: tuple[str, ...]
    notes: Notes
    is_plain: bool
    ids_are_unique: bool
    index: IndexInfo | None

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def dtype(self) -> Dtype:
        """The type of a component."""
        return _VECTORS[self.vector.type]

    @property
    def id_field(self) -> IdField:
        """How ids are sent."""
        return _IDS[self.id.type][0]

    @property
    def id_kind(self) -> IdKind:
        """What the ids are."""
        return self.notes.id_kind or _IDS[self.id.type][1]

    @property
    def is_coded(self) -> bool:
        """Whether the id column holds ids of several kinds as coded texts."""
        return self.notes.id_kind in {"mixed", "uint"}

    @property
    def has_payload(self) -> bool:
        """Whether anything beside id, vector and moment is moved."""
        return self.payload is not None or bool(self.others)

    def held(self, one: Id) -> Id:
        """Return an id as its column holds it."""
        if self.is_coded:
            return coded_text(one)
        return escaped(one) if isinstance(one, str) and self.notes.is_escaped else one

    def originals(self, values: list[Id]) -> list[Id]:
        """Return the ids that `held` made `values` of."""
        if self.is_coded:
            return [from_coded_text(str(one)) for one in values]
        if self.id_field == "text" and self.notes.is_escaped:
            return [unescaped(str(one)) for one in values]
        return values


def identifier_of(table: str) -> sql.Identifier:
    """Return ``table`` or ``schema.table`` quoted as it stands; a dot within a name is kept in double quotes.

    Raises StoreError for anything with more parts: no text can be a table's name and run as a statement.
    """
    parts: list[str] = []
    place = 0
    while found := _QUOTED_OR_PLAIN.match(table, place):
        parts.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        place = found.end()
        if place == len(table) or table[place] != ".":
            break
        place += 1
    if place != len(table) or not 1 <= len(parts) <= 2:
        raise StoreError("the table must be named as table or schema.table", found=table)
    return sql.Identifier(*parts)


def find_table(connection: PostgresConnection, url: StoreUrl) -> PgTable | None:
    """Look the table up; None when there is none.

    Raises
    ------
    StoreError
        When vectors or ids cannot be read from it.
    AmbiguousColumnsError
        When several columns could be meant.
    """
    # to_regclass takes a name, so what is no name is simply not found.
    quoted = identifier_of(url.table).as_string(None)
    found = connection.rows(_FIND, (quoted,))
    if not found:
        return None
    oid, schema, name, comment, relkind = found[0]
    columns = [
        Column(
            name=row[0],
            type=row[1],
            modifier=row[2] if row[2] > 0 else None,
            is_required=row[3],
            # A collation that takes different texts for equal has an order of its own.
            sorts_by_bytes=bool(row[4] and row[5]),
        )
        for row in connection.rows(_COLUMNS, (oid,))
    ]
    return _assign(url, columns, connection.rows(_INDEXES, (oid,)), (oid, schema, name, comment, relkind))


def require_table(connection: PostgresConnection, url: StoreUrl) -> PgTable:
    """Return the table. Raises StoreError when there is none, listing some that hold vectors."""
    table = find_table(connection, url)
    if table is None:
        raise missing_table("table", url.table, there=[row[0] for row in connection.rows(_NEARBY)])
    return table


def notes_of(comment: str | None) -> Notes:
    """Return what a table's comment says; its last line may be ours."""
    text, _, last = (comment or "").rpartition("\n")
    if not last.startswith(_OURS):
        return Notes(text=comment or "")
    try:
        said = json.loads(last.removeprefix(_OURS))
    except ValueError:
        return Notes(text=comment or "")
    kind, metric, mark = said.get("ids"), said.get("metric"), said.get("mark")
    return Notes(
        text=text,
        id_kind=cast("IdKind", kind) if kind in ID_KINDS else None,
        metric=cast("Metric", metric) if metric in METRICS else None,
        mark=mark if isinstance(mark, str) else None,
    )


def _assign(url: StoreUrl, columns: list[Column], indexes: list[tuple[Any, ...]], table: tuple[Any, ...]) -> PgTable:
    oid, schema, name, comment, relkind = table
    primary = [row[8] for row in indexes if row[2] and row[7] == 1]
    vector = _vector_column(name, columns, url.option("vector"))
    id_column = _id_column(name, columns, url.option("id"), primary)
    moment = _moment_column(name, columns, url.option("updated_at"))
    taken = {vector.name, id_column.name, *([moment.name] if moment else [])}
    rest = [column for column in columns if column.name not in taken]
    payload, others = _payload_columns(name, rest, url.option("payload"))
    moved = {column.name for column in ([payload] if payload else others)}
    notes = notes_of(comment)
    return PgTable(
        oid=oid,
        schema=schema,
        name=name,
        id=id_column,
        vector=vector,
        payload=payload,
        others=others,
        updated_at=moment,
        left_out=tuple(column.name for column in rest if column.name not in moved),
        notes=notes,
        is_plain=relkind in {"r", "p"},
        ids_are_unique=any(row[3] and row[4] and row[7] == 1 and row[8] == id_column.name for row in indexes),
        index=_vector_index(indexes, vector.name),
    )


def _vector_column(table: str, columns: Sequence[Column], chosen: str | None) -> Column:
    vectors = [column for column in columns if column.type in _VECTORS]
    if chosen is not None:
        vectors = [_chosen(table, vectors, chosen, "vector or halfvec")]
    if not vectors:
        raise StoreError(
            f"{table}: one column must be a vector or halfvec",
            found=", ".join(f"{column.name} {column.type}" for column in columns) or "no columns",
        )
    if len(vectors) > 1:
        raise AmbiguousColumnsError(table, wanted="vectors", candidates=[column.name for column in vectors])
    return vectors[0]


def _id_column(table: str, columns: Sequence[Column], chosen: str | None, primary: Sequence[str]) -> Column:
    fit = [column for column in columns if column.type in _IDS]
    if chosen is not None:
        return _chosen(table, fit, chosen, "integer, uuid or text")
    named = [column for column in fit if column.name in primary] or [column for column in fit if column.name == "id"]
    if not named:
        raise StoreError(
            f"{table}: one column must be the id: a primary key of its own, or a column called id",
            found=", ".join(f"{column.name} {column.type}" for column in columns),
            hint="Name an integer, uuid or text column in the URL as ?id=column",
        )
    return named[0]


def _moment_column(table: str, columns: Sequence[Column], chosen: str | None) -> Column | None:
    moments = [column for column in columns if column.type in _MOMENTS]
    if chosen is not None:
        return _chosen(table, moments, chosen, "timestamp")
    by_name = {column.name: column for column in moments}
    return next((by_name[name] for name in _MOMENT_NAMES if name in by_name), None)


def _payload_columns(
    table: str, rest: Sequence[Column], chosen: str | None
) -> tuple[Column | None, tuple[Column, ...]]:
    documents = [column for column in rest if column.type in {"json", "jsonb"}]
    if chosen is not None:
        return _chosen(table, documents, chosen, "json or jsonb"), ()
    moved = tuple(column for column in rest if column.type not in _NO_PAYLOAD)
    if len(moved) == 1 and len(documents) == 1:
        return documents[0], ()
    return None, moved


def _chosen(table: str, fit: Sequence[Column], chosen: str, types: str) -> Column:
    found = next((column for column in fit if column.name == chosen), None)
    if found is None:
        names = ", ".join(column.name for column in fit)
        raise StoreError(
            f"{table}: the column chosen must exist and be {types}",
            found=chosen,
            hint=f"There are {names}" if names else None,
        )
    return found


def _vector_index(indexes: Sequence[tuple[Any, ...]], column: str) -> IndexInfo | None:
    for name, method, _, _, is_valid, opclass, options, _, first in indexes:
        if method in {"hnsw", "ivfflat"} and first == column and is_valid:
            pairs = tuple(
                (key, value)
                for key, _, value in (option.partition("=") for option in (options or "").split(","))
                if key
            )
            metric = next((known for word, known in _OPCLASSES.items() if f"_{word}_" in opclass), None)
            return IndexInfo(name=name, kind=method, metric=metric, options=pairs)
    return None
