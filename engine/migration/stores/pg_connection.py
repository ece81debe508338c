"""One connection to PostgreSQL that opens itself when it is needed, and what its errors mean in a sentence."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg

from engine.errors import EngineError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import sql

    from engine.migration.stores.urls import StoreSecrets, StoreUrl

CONNECT_TIMEOUT_S = 10

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LATER = {
    "08": "the connection to PostgreSQL was lost",
    "57P01": "PostgreSQL is shutting down",
    "57P02": "PostgreSQL has crashed and restarts",
    "57P03": "PostgreSQL is starting up",
    "53300": "PostgreSQL has no connection left",
    "40001": "other work changed the same rows",
    "40P01": "other work locked the same rows",
    "55P03": "other work locks the table",
}
_NEVER = {
    "53100": ("the disk of the database is full", "Make room and resume"),
    "53200": ("the database server is out of memory", "Use smaller batches or give it more memory"),
    "25006": ("the database must be writable", "Connect to the primary server, as a user that may write"),
    "42501": ("the database user must have the right to do this", "Grant it, or connect as another user"),
    "57014": ("a statement must end within the time allowed", "Look at locks in the database or allow more time"),
    "42P01": ("the table must exist", None),
    "3F000": ("the schema of the table must exist", "Create the schema"),
    "42P07": ("the table to create must not exist yet", "Give the target another name"),
    "42704": (
        "the database must have the extension pgvector",
        "Run CREATE EXTENSION vector in it as a user that may",
    ),
}


class PostgresConnection:
    """A connection in autocommit mode that is opened at first use and again after it was lost."""

    def __init__(self, url: StoreUrl, *, secrets: StoreSecrets, timeout_s: float) -> None:
        self._url = url
        self._secrets = secrets
        self._timeout_ms = max(1, int(timeout_s * 1000))
        self._connection: psycopg.Connection[Any] | None = None
        self.lock = threading.RLock()

    @contextmanager
    def use(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend the connection to one thread; every error of the driver leaves as a StoreError."""
        with self.lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = None
                    self._connection = self._open()
                yield self._connection
            except psycopg.Error as error:
                raise self._translated(error) from error

    @contextmanager
    def without_time_limit(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend the connection as `use` does, for statements that may take hours."""
        with self.use() as connection:
            connection.execute("SET statement_timeout = 0")
            try:
                yield connection
            finally:
                if not connection.closed:
                    self._limit(connection)

    def another(self) -> PostgresConnection:
        """Return a connection of its own to the same database, for a statement that stays open."""
        return PostgresConnection(self._url, secrets=self._secrets, timeout_s=24 * 3600)

    def rows(self, query: LiteralString | sql.Composed, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one query and return its rows."""
        with self.use() as connection:
            return connection.execute(query, parameters).fetchall()

    def close(self) -> None:
        """Close the connection; it opens again when it is used."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(psycopg.Error):
                    connection.close()

    def _open(self) -> psycopg.Connection[Any]:
        url = self._url
        connection = psycopg.connect(
            host=url.option("host") or url.host or "",
            port=url.option("port") or url.port or "",
            user=url.user or "",
            dbname=url.database or "",
            password=self._secrets.password,
            sslmode=url.option("sslmode"),
            sslrootcert=url.option("sslrootcert"),
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="dimshift",
            client_encoding="utf8",
            autocommit=True,
            prepare_threshold=None,  # poolers between us and the server lose prepared statements
        )
        connection.execute("SET timezone = 'UTC'")  # what has no time zone is read as UTC
        self._limit(connection)
        return connection

    def _limit(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(self._timeout_ms),))

    def _translated(self, error: psycopg.Error) -> EngineError:
        connection = self._connection
        if connection is None:
            return _not_connected(error)
        if connection.closed and isinstance(error, psycopg.OperationalError):
            return _lost(error)
        return translated(error)


def translated(error: psycopg.Error) -> StoreError:
    """Return what an error of a statement means, in one sentence without the statement."""
    state = error.sqlstate or ""
    for prefix, rule in _LATER.items():
        if state.startswith(prefix):
            return StoreUnavailableError(rule, hint="Try again in a moment")
    found = first_line(error)
    if state in _NEVER:
        rule, hint = _NEVER[state]
        return StoreError(rule, found=found, hint=hint)
    return StoreError("PostgreSQL must be able to carry this out", found=found or type(error).__name__)


def first_line(error: BaseException) -> str:
    """Return the first line of the server's message: the others quote the statement and the row."""
    lines = str(error).splitlines()
    return lines[0].strip().rstrip(".") if lines else ""


def _lost(error: psycopg.Error) -> StoreError:
    return StoreUnavailableError(
        "the connection to PostgreSQL was lost", found=first_line(error), hint="Try again when the server runs"
    )


def _not_connected(error: psycopg.Error) -> StoreError:
    if isinstance(error, psycopg.ProgrammingError):
        return StoreError("the options of the connection must be PostgreSQL's", found=first_line(error))
    text = str(error)
    # libpq gives no code for a refused connection: a flag tells about passwords, the server's text about the rest.
    used_password = bool(getattr(error.pgconn, "used_password", False))
    fatal = re.search(r"FATAL:\s+(.+)", text)
    said = fatal[1].strip() if fatal else ""
    if "no password supplied" in text:
        return StoreError(
            "PostgreSQL asks for a password", hint="Set PGPASSWORD or DIMSHIFT_STORE_PASSWORD in the environment"
        )
    if used_password and fatal and not re.search(r"database|starting up|shutting down|too many|slots", said):
        return StoreError(
            "PostgreSQL refused user name or password", hint="Check the user in the URL and the password set for it"
        )
    if re.search(r"starting up|shutting down|recovery|too many|slots", said):
        return StoreUnavailableError("PostgreSQL takes no connections now", found=said, hint="Try again in a moment")
    if fatal:
        return StoreError("PostgreSQL refused the connection", found=said, hint="Check user and database in the URL")
    found = re.sub(r"^connection failed:\s*", "", text.splitlines()[0] if text else "").strip()
    return StoreUnavailableError(
        "PostgreSQL must be reachable", found=found, hint="Check host and port in the URL, and that the server runs"
    )
