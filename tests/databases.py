"""Databases on a PostgreSQL server that is started for the tests."""

from __future__ import annotations

import secrets
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import psycopg

    from engine.migration.stores.local_postgres import LocalPostgres


class Databases:
    """Databases on a PostgreSQL server that is started for the tests: empty ones, and workspaces without a record.

    A workspace is a copy of one whose tables were made once, with an id of its own.
    """

    def __init__(self, server: LocalPostgres, administrator: psycopg.Connection) -> None:
        self._host = quote(str(server.socket_folder), safe="")
        self._administrator = administrator
        # Nothing here has to outlive a crash of the machine, and much is made anew.
        for setting in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            administrator.execute(f"ALTER SYSTEM SET {setting} = off")
        administrator.execute("SELECT pg_reload_conf()")
        self._template = ""

    def empty(self, name: str = "") -> str:
        """Make a database without tables and return its URL."""
        return self._made(name or _new_name(), "template0")

    def new(self) -> str:
        """Make a workspace and return its URL."""
        import psycopg

        from engine.workspace import Workspace

        if not self._template:
            with TemporaryDirectory() as folder:
                Workspace.open(folder, database_url=self.empty("migrated")).close()
            self._template = "migrated"
        url = self._made(_new_name(), self._template)
        with psycopg.connect(url) as connection:
            connection.execute("UPDATE workspace SET id = %s", [secrets.token_hex(16)])
        return url

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        self._administrator.execute(f"DROP DATABASE {_name_in(url)} WITH (FORCE)")

    def shut(self, url: str) -> None:
        """End every connection to a database and let nobody in; `open` ends that."""
        name = _name_in(url)
        self._administrator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        self._administrator.execute(ended, [name])

    def open(self, url: str) -> None:
        """Let people in again."""
        self._administrator.execute(f"ALTER DATABASE {_name_in(url)} WITH ALLOW_CONNECTIONS true")

    def no_such(self) -> str:
        """Return the URL of a database that is not there."""
        return self._url("this_test_has_no_folder_and_so_no_workspace")

    def _made(self, name: str, template: str) -> str:
        self._administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._host}"


def _new_name() -> str:
    return f"test_{secrets.token_hex(6)}"


def _name_in(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]
