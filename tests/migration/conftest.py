"""A real PostgreSQL, a workspace, and tables of their own for every test."""

from __future__ import annotations

import itertools
import shutil
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.migration import Batch, TableSpec, open_store
from engine.migration.stores.local_postgres import LocalPostgres, start_local_postgres
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    """Start PostgreSQL with pgvector once a worker."""
    # Not below pytest's own folder: as root the server runs as another user, whom pytest would lock out of there.
    with TemporaryDirectory(prefix="dimshift-pg-") as folder, start_local_postgres(Path(folder)) as server:
        yield server


@pytest.fixture
def workspace(empty_workspace: Path, tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(shutil.copytree(empty_workspace, tmp_path / "workspace")) as opened:
        yield opened


@pytest.fixture
def connect(postgres: LocalPostgres) -> Iterator[Callable[..., Any]]:
    """Return what opens a store by its URL, or a table of its own that is not there yet; all are closed at the end."""
    with ExitStack() as stack:
        yield lambda url=None: stack.enter_context(open_store(url or postgres.url(f"t{next(_numbers)}")))


def rows(n: int, dim: int, *, seed: int = 0, start: int = 0) -> Batch:
    """Return `n` rows with numbers as ids and a payload each."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    ids = tuple(range(start, start + n))
    return Batch(ids=ids, vectors=vectors, payloads=tuple(b'{"n":%d}' % one for one in ids))


@pytest.fixture
def make_rows() -> Callable[..., Batch]:
    """Return `rows`."""
    return rows


@pytest.fixture
def filled(connect: Callable[..., Any]) -> Callable[..., tuple[Any, Batch]]:
    """Return what makes a PostgreSQL table with rows in it: the open store and what it holds."""

    def fill(n: int = 500, dim: int = 16, *, batch: Batch | None = None, **spec: Any) -> tuple[Any, Batch]:
        held = rows(n, dim) if batch is None else batch
        store = connect()
        store.create(TableSpec(dim=held.dim, **spec))
        store.upsert(held)
        return store, held

    return fill
