"""Which row of a file holds which id, with payloads beside: an SQLite file, or a temporary one of a process.

It answers in canonical order of ids from disk, so that memory does not grow with the number of rows; and it makes the
rows of a file, which has no transactions, appear and disappear all at once.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StoreError, StoreUnavailableError
from engine.migration.ids import from_order_key, order_key
from engine.migration.stores.failures import of_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from engine.migration.ids import Id

_BUSY_S = 10.0
_IDS_A_QUERY = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS rows (row INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, payload BLOB, updated_at INTEGER);
CREATE TABLE IF NOT EXISTS free (row INTEGER PRIMARY KEY);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A row number, its id, payload and moment (microseconds since 1970)."""

    row: int
    id: Id
    payload: bytes | None
    updated_at: int | None


class RowTable:
    """Rows by number and by id; a `path` of None is a private file that vanishes with the process."""

    def __init__(self, path: Path | None) -> None:
        self._where = "a temporary file" if path is None else str(path)
        self._lock = threading.RLock()
        with self._reported():
            self._database = sqlite3.connect(
                "" if path is None else path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._database.executescript(_SCHEMA)

    def about(self, name: str) -> str | None:
        """Return what `set_about` kept."""
        with self._reported():
            found = self._database.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    def set_about(self, **values: str | None) -> None:
        """Keep texts about the file."""
        with self.changing():
            self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", list(values.items()))

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Make what happens inside happen all at once, or not at all."""
        with self._lock, self._reported():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def count(self) -> int:
        """Count the rows in use."""
        with self._reported():
            return int(self._database.execute("SELECT count(*) FROM rows").fetchone()[0])

    def end(self) -> int:
        """Return the first row number after all that were ever given out and not taken back."""
        with self._reported():
            query = "SELECT max(coalesce((SELECT max(row) FROM rows), -1), coalesce((SELECT max(row) FROM free), -1))"
            return int(self._database.execute(query).fetchone()[0]) + 1

    def free_rows(self, n: int) -> list[int]:
        """Return up to `n` row numbers that hold nothing."""
        with self._reported():
            found = self._database.execute("SELECT row FROM free ORDER BY row LIMIT ?", (n,)).fetchall()
        return [row for (row,) in found]

    def add(self, entries: Iterable[Entry]) -> None:
        """Add rows whose ids are not there; within `changing`. Raises StoreError when an id comes twice."""
        values = ((one.row, order_key(one.id), one.payload, one.updated_at) for one in entries)
        try:
            self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", values)
        except sqlite3.IntegrityError:
            raise StoreError(f"{self._where}: an id must stand for one row only") from None

    def use(self, rows: Sequence[int]) -> None:
        """Take rows off the free ones; within `changing`."""
        self._database.executemany("DELETE FROM free WHERE row = ?", ((row,) for row in rows))

    def release(self, rows: Sequence[int]) -> None:
        """Take rows out of use and count them as free; within `changing`."""
        pairs = [(row,) for row in rows]
        self._database.executemany("DELETE FROM rows WHERE row = ?", pairs)
        self._database.executemany("INSERT OR IGNORE INTO free VALUES (?)", pairs)

    def move(self, row: int, to: int) -> None:
        """Let what is at `row` be at the free row `to`, which leaves `row` unused; within `changing`."""
        self._database.execute("DELETE FROM free WHERE row = ?", (to,))
        self._database.execute("UPDATE rows SET row = ? WHERE row = ?", (to, row))

    def forget_free(self, end: int) -> None:
        """Forget free rows from `end` on; within `changing`."""
        self._database.execute("DELETE FROM free WHERE row >= ?", (end,))

    def find(self, ids: Sequence[Id]) -> dict[Id, Entry]:
        """Return the entries of those `ids` that are there."""
        found: dict[Id, Entry] = {}
        keys = [order_key(one) for one in ids]
        with self._reported():
            for start in range(0, len(keys), _IDS_A_QUERY):
                some = keys[start : start + _IDS_A_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT row, key, payload, updated_at FROM rows WHERE key IN ({marks})"  # noqa: S608  # marks only
                for entry in map(_entry, self._database.execute(query, some)):
                    found[entry.id] = entry
        return found

    def in_order(self, *, after: Id | None, limit: int, since: int | None = None) -> list[Entry]:
        """Return up to `limit` entries whose ids are greater than `after`, in canonical order."""
        least = b"" if after is None else order_key(after)
        changed = "" if since is None else "AND updated_at >= ?"
        query = f"SELECT row, key, payload, updated_at FROM rows WHERE key > ? {changed} ORDER BY key LIMIT ?"  # noqa: S608  # constants
        values = (least, limit) if since is None else (least, since, limit)
        with self._reported():
            return [_entry(one) for one in self._database.execute(query, values)]

    def keys_in_order(self, *, after: Id | None, limit: int) -> tuple[Id, ...]:
        """Return up to `limit` ids greater than `after`, in canonical order."""
        least = b"" if after is None else order_key(after)
        query = "SELECT key FROM rows WHERE key > ? ORDER BY key LIMIT ?"
        with self._reported():
            return tuple(from_order_key(key) for (key,) in self._database.execute(query, (least, limit)))

    def by_row(self, start: int, end: int) -> list[Entry]:
        """Return the entries of rows `start` to `end` (not included), by row number."""
        query = "SELECT row, key, payload, updated_at FROM rows WHERE row >= ? AND row < ? ORDER BY row"
        with self._reported():
            return [_entry(one) for one in self._database.execute(query, (start, end))]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            name = error.sqlite_errorname
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreUnavailableError(
                    "another process writes to the file", found=self._where, hint="Wait until it has finished"
                ) from error
            words = {"SQLITE_FULL": "disk full", "SQLITE_READONLY": "permission denied"}
            told = of_disk(OSError(words.get(name.partition("_DIRECTORY")[0], str(error))), where=self._where)
            raise told or StoreError("the file's rows must be readable", found=f"{self._where}: {error}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise StoreError("the file's rows must be readable", found=f"{self._where}: {error}") from error


def _entry(found: tuple[int, bytes, bytes | None, int | None]) -> Entry:
    return Entry(row=found[0], id=from_order_key(found[1]), payload=found[2], updated_at=found[3])
