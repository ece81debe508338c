"""Bring ids into canonical order when a store cannot: sorted on disk, so that memory stays small."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from engine.migration.ids import from_order_key, order_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.migration.ids import Id


def in_canonical_order(
    batches: Iterable[Sequence[Id]], *, after: Id | None, batch_size: int
) -> Iterator[tuple[Id, ...]]:
    """Yield all ids of `batches` that are greater than `after` in canonical order; duplicates are kept.

    They pass through a private temporary file of SQLite, which it deletes by itself.
    """
    least = b"" if after is None else order_key(after)
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE ids (key BLOB NOT NULL)")
        for batch in batches:
            keys = ((key,) for key in map(order_key, batch) if key > least)
            database.execute("BEGIN")
            database.executemany("INSERT INTO ids VALUES (?)", keys)
            database.execute("COMMIT")
        rows = database.execute("SELECT key FROM ids ORDER BY key")
        while found := rows.fetchmany(batch_size):
            yield tuple(from_order_key(key) for (key,) in found)
