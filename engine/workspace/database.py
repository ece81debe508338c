"""Connect to a workspace's database, bring its tables up to date, and say in one sentence what went wrong."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from engine.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

HEAD = "0003"
"""The newest migration; a test compares it with the files."""

VERSION_TABLE = "dimshift_version"
"""Not Alembic's usual name: a PostgreSQL database may hold another application's tables too."""

WRITES = "dimshift_writes"
"""Execution option of connections that are going to write."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_S = 30.0
_IDLE_S = 60.0
_patience_s: ContextVar[float] = ContextVar("patience_s", default=_BUSY_S)
_WAITS_S = "dimshift_waits_s"
_VERSION = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608  # a constant
_LOCKED = ("the workspace's database is locked by another process", "Wait until it has finished and try again")
_OTHERS = "Give Dimshift a database of its own, or restore this one from a backup"
_POSTGRESQL_RULES = {
    "55P03": _LOCKED,
    "53100": ("the disk of the database server is full", "Make room and try again"),
    "42501": (
        "the workspace's database must let Dimshift make its tables and write to them",
        "Make its user the owner of the database, or grant it the rights on its schema",
    ),
    "42P07": ("the workspace's database must hold no other application's tables of the same names", _OTHERS),
    "42P01": ("the workspace's database must have all of its tables", _OTHERS),
    "42703": ("the workspace's tables must have all of their columns", _OTHERS),
}
"""Rule and hint by PostgreSQL's SQLSTATE; https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_UNREACHABLE = (
    "the workspace's database must be reachable and healthy",
    "Check DIMSHIFT_DATABASE_URL and the database server",
)
# Of itself PostgreSQL waits for a lock until its holder ends, and never ends one that hangs or whose machine is gone:
# nobody could kill or roll back meanwhile.
_LIMITS = (
    "SELECT set_config('lock_timeout', '{}ms', true), set_config('idle_in_transaction_session_timeout', '{}ms', true)"
)
# Any fixed number serves, as long as nothing else in the database locks the same one.
_ADVISORY_LOCK = 0x64696D7368696674
# Alembic's `context` is one per process.
_migrating = threading.Lock()


def database_url(given: str | None, folder: Path) -> URL:
    """Return the URL of `given`, or of the SQLite file in `folder` when it is empty.

    Raises WorkspaceError for a URL that is not SQLite's or PostgreSQL's. The URL is never quoted: it may hold a
    password.
    """
    if not given:
        return make_url("sqlite://").set(database=str(folder / "workspace.db"))
    hint = "Write it as postgresql://user@host/database, or leave it out for SQLite in the workspace folder"
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise WorkspaceError("DIMSHIFT_DATABASE_URL must be a database URL", hint=hint) from None
    if url.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database not in {None, "", ":memory:"}:
        return url
    raise WorkspaceError(
        "DIMSHIFT_DATABASE_URL must name a PostgreSQL database or an SQLite file", found=url.drivername, hint=hint
    )


def connect(url: URL) -> tuple[Engine, str]:
    """Return an engine on `url`, its tables up to date, and the workspace's id.

    Safe when several processes connect to the same new database at once. Raises WorkspaceError when the database
    cannot be reached or written, is damaged, is another application's, or is a newer Dimshift's.
    """
    engine = _create(url)
    try:
        with translated():
            if engine.dialect.name == "sqlite":
                _switch_to_wal(engine)
            with engine.connect() as connection:
                revision = _revision(connection)
            if revision != HEAD:
                _upgrade(url)
            with engine.connect() as connection:
                workspace_id: str = connection.execute(text("SELECT id FROM workspace")).scalar_one()
    except BaseException:
        engine.dispose()
        raise
    return engine, workspace_id


def wait_for_locks(seconds: float) -> None:
    """Wait at most so long for what another process has locked, from now on in this thread; others wait longer.

    A page that somebody looks at shall say soon that the database is locked; a job shall rather wait than lose its run.
    """
    _patience_s.set(seconds)


@contextmanager
def translated() -> Iterator[None]:
    """Turn failures of the database itself into WorkspaceError; a broken constraint stays what it is."""
    try:
        yield
    except PoolTimeoutError as error:
        raise WorkspaceError(
            "the workspace's database is busy", hint="Wait until other work has finished and try again"
        ) from error
    except DBAPIError as error:
        # Exactly DatabaseError is how sqlite3 reports a damaged file.
        is_failure = (
            isinstance(error, OperationalError | InternalError | InterfaceError) or type(error) is DatabaseError
        )
        if is_failure or getattr(error.orig, "sqlstate", None) in _POSTGRESQL_RULES:
            raise _sentence(error) from error
        raise


def _sentence(error: DBAPIError) -> WorkspaceError:
    origin = error.orig
    if not isinstance(origin, sqlite3.Error):
        rule, hint = _POSTGRESQL_RULES.get(getattr(origin, "sqlstate", None) or "", _UNREACHABLE)
        # The lines after the first quote the statement, which is nothing that a user knows.
        return WorkspaceError(rule, found=str(origin).partition("\nLINE ")[0], hint=hint)
    code = getattr(origin, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return WorkspaceError(_LOCKED[0], hint=_LOCKED[1])
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return WorkspaceError(
            "the workspace's database must be intact",
            found=origin,
            hint="Restore the workspace folder from a backup, or open another one",
        )
    if code.startswith("SQLITE_FULL"):
        return WorkspaceError("the disk of the workspace is full", hint="Make room and try again")
    return WorkspaceError(
        "the workspace folder must be on a healthy disk and writable",
        found=origin,
        hint="Check its permissions, or open another folder",
    )


def _create(url: URL, *, foreign_keys: bool = True) -> Engine:
    if url.drivername != "sqlite":
        return _create_postgresql(url)
    engine = create_engine(url, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        # Python's sqlite3 would begin and commit on its own, around DDL too; the engine says BEGIN itself below.
        connection.isolation_level = None
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and then writes cannot wait for another writer: it takes the lock at once.
        writes = connection.get_execution_options().get(WRITES, False)
        waits_s = _patience_s.get()
        if connection.info.get(_WAITS_S, _BUSY_S) != waits_s:  # connections come from a pool
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {waits_s * 1000:.0f}")
            connection.info[_WAITS_S] = waits_s
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _create_postgresql(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except ImportError as error:
        raise WorkspaceError(
            "a PostgreSQL workspace needs the psycopg driver", hint="Run pip install 'psycopg[binary]'"
        ) from error

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql(_LIMITS.format(round(_patience_s.get() * 1000), round(_IDLE_S * 1000)))

    return engine


def _switch_to_wal(engine: Engine) -> None:
    """Let readers go on while one process writes; the file remembers it."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            with closing(engine.raw_connection()) as connection:
                cursor = connection.cursor()
                if cursor.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
                    return
                # Answers the mode that holds from now on: a file system without shared memory keeps the old one.
                cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            # SQLite does not wait for another process that is switching at the same moment.
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise OperationalError("PRAGMA journal_mode", None, error) from error
        except sqlite3.DatabaseError as error:
            raise DatabaseError("PRAGMA journal_mode", None, error) from error
        else:
            return
        time.sleep(0.01 + secrets.randbelow(20) / 1000)  # unequal waits keep two processes from colliding again


def _revision(connection: Connection) -> str | None:
    """Return the migration the database is at, None for a new one."""
    inspector = inspect(connection)
    if inspector.has_table(VERSION_TABLE):
        revision = connection.execute(_VERSION).scalar()
        return None if revision is None else str(revision)
    tables = inspector.get_table_names()
    if tables and connection.dialect.name == "sqlite":
        raise WorkspaceError(
            "the database must be a Dimshift workspace",
            found=f"tables {', '.join(tables[:5])}",
            hint="Open another folder",
        )
    return None


def _upgrade(url: URL) -> None:
    # Copying a table, SQLite's way to alter one, must not fire foreign keys; they cannot be switched in a transaction.
    engine = _create(url, foreign_keys=False)
    try:
        with _migrating, engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            revision = _revision(connection)  # another process may have been faster
            if revision == HEAD:
                return
            if revision is not None and not list(_MIGRATIONS.glob(f"versions/{revision}_*.py")):
                raise WorkspaceError(
                    "the workspace was written by a newer Dimshift than this one",
                    found=f"revision {revision}, newest known {HEAD}",
                    hint="Upgrade Dimshift, or open another folder",
                )
            _run_migrations(connection)
    finally:
        engine.dispose()


def _run_migrations(connection: Connection) -> None:
    from alembic import command  # slow to import, and only needed here
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))  # ini files interpolate %
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
