"""The real engines, each behind a function that opens a table of its own."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from engine.migration.stores import VectorStore, open_store, parse_url
from tests.object_storage import BUCKET, running_s3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.object_storage import S3Server

ENGINES = (
    "pgvector",
    "lancedb",
    pytest.param("lancedb+s3", marks=pytest.mark.slow),
    "qdrant",
    "qdrant-client",
    "files",
)

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server with a bucket."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def as_allowed(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Be somebody who may do everything in the bucket."""
    s3.let_in(monkeypatch)
    return s3


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Name every engine in turn; ``qdrant-client`` is the adapter for servers on the client's own local mode."""
    return str(request.param)


@pytest.fixture
def new_store(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., VectorStore]]:
    """Return what opens a table of this engine: one that is not there yet, or by `name` one that may be."""
    with ExitStack() as stack:
        opened: Callable[[str], VectorStore]
        if engine == "qdrant-client":
            opened = _local_client(stack)
        else:
            opened = lambda name: open_store(_url(engine, name, tmp_path, request))  # noqa: E731  # reads as a table

        def make(name: str | None = None) -> VectorStore:
            return stack.enter_context(opened(name or f"t{next(_numbers)}"))

        yield make


def _url(engine: str, name: str, folder: Path, request: pytest.FixtureRequest) -> str:
    if engine == "pgvector":
        return str(request.getfixturevalue("postgres").url(f"c_{name}"))
    if engine == "files":
        return f"file://{folder}/{name}.npy"
    if engine == "lancedb+s3":
        request.getfixturevalue("as_allowed")
        return f"lancedb+s3://{BUCKET}/{folder.name}#{name}"
    return f"{engine}://{folder}#{name}"


def _local_client(stack: ExitStack) -> Callable[[str], Any]:
    from qdrant_client import QdrantClient

    from engine.migration.stores.qdrant import QdrantStore
    from engine.migration.stores.qdrant_server import ServerPoints
    from engine.migration.stores.urls import StoreSecrets

    client = QdrantClient(":memory:")
    stack.callback(client.close)

    def opened(name: str) -> QdrantStore:
        url = parse_url(f"qdrant://localhost#{name}")
        return QdrantStore(url, ServerPoints(url, secrets=StoreSecrets(), timeout_s=5, client=client))

    return opened
