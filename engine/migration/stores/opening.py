"""Open the store that a URL names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import PathError
from engine.migration.stores.failures import missing_extra
from engine.migration.stores.urls import StoreSecrets, StoreUrl, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.migration.stores.limits import StoreLimits
    from engine.migration.stores.protocol import StoreKind, VectorStore
    from engine.migration.stores.urls import Role


def open_store(
    url: str | StoreUrl,
    *,
    secrets: StoreSecrets | None = None,
    role: Role | None = None,
    data_root: Path | None = None,
    limits: StoreLimits | None = None,
    timeout_s: float = 300.0,
) -> VectorStore:
    """Return the store that `url` names; nothing is connected or read yet.

    `secrets` are taken from the environment for `role` when they are not given; a password within the URL goes first.
    With `data_root`, files and folders must lie below it; with `limits`, hosts and paths must be among
    theirs. `timeout_s` limits single reads, writes and searches; not counts and index builds.

    Raises
    ------
    ParameterError
        When the URL names no store.
    PathError
        When a path leaves `data_root`.
    AccessError
        When `limits` do not allow it.
    """
    parsed = url if isinstance(url, StoreUrl) else parse_url(url)
    secrets = secrets or StoreSecrets.from_environment(role)
    if parsed.password is not None:
        secrets = StoreSecrets(password=parsed.password, api_key=secrets.api_key)
    if limits is not None:
        limits.check(parsed)
    if parsed.path is not None and data_root is not None:
        _check_below(data_root, parsed.path)
    with _driver_of(parsed.kind):
        return _opened(parsed, secrets, timeout_s)


def _opened(url: StoreUrl, secrets: StoreSecrets, timeout_s: float) -> VectorStore:
    match url.kind:
        case "pgvector":
            from engine.migration.stores.pgvector import PgvectorStore

            return PgvectorStore(url, secrets=secrets, timeout_s=timeout_s)
        case "lancedb":
            from engine.migration.stores.lancedb import LanceStore

            return LanceStore(url)
        case "qdrant" if url.path is not None:
            from engine.migration.stores.qdrant_folder import QdrantFolder

            return QdrantFolder(url)
        case "qdrant":
            from engine.migration.stores.qdrant_server import QdrantServer

            return QdrantServer(url, secrets=secrets, timeout_s=timeout_s)
        case "files":
            from engine.migration.stores.files import FileStore

            return FileStore(url)


@contextmanager
def _driver_of(kind: StoreKind) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise missing_extra(kind) from None


def _check_below(data_root: Path, path: Path) -> None:
    if not path.resolve().is_relative_to(data_root.resolve()):
        raise PathError(
            "a store on disk must lie below the data root, symlinks followed",
            found=path,
            hint="Set DIMSHIFT_DATA_ROOT to a folder that holds it",
        )
