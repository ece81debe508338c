"""A workspace of its own for every test, and a way to run code in another process."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import text

from engine.workspace import Run, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Executable


class Clock:
    """A clock that moves on by a second whenever it is read."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 15, 30, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment and move on."""
        moment = self.moment
        self.moment += timedelta(seconds=1)
        return moment


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, database_url: str | None) -> None:
    monkeypatch.delenv("DIMSHIFT_WORKSPACE", raising=False)
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", database_url or "")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that starts at 2026-11-22 15:30:12 UTC."""
    return Clock()


@pytest.fixture
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, database_url: str | None
) -> Iterator[Workspace]:
    """Return an empty workspace below `tmp_path`."""
    folder = tmp_path / "workspace"
    if database_url is None:
        shutil.copytree(request.getfixturevalue("empty_workspace"), folder)
    with Workspace.open(folder, clock=clock) as opened:
        yield opened


@pytest.fixture
def save(workspace: Workspace) -> Callable[..., Run]:
    """Return a function that saves a small run; every part of it can be given."""

    def saved(**given: Any) -> Run:
        parts: dict[str, Any] = {
            "kind": "sweep",
            "dataset": {"name": "tiny", "sha256": "a" * 64},
            "parameters": {"dims": [2, 4], "k": 10},
            "seed": 7,
            "summary": {"recall": 0.5},
            "arrays": {"recall": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3)},
            "elapsed_s": 1.5,
        }
        return workspace.save_run(**{**parts, **given})

    return saved


@pytest.fixture
def tamper(workspace: Workspace) -> Callable[..., None]:
    """Return a function that changes the database as somebody who first switches its triggers off."""

    def tampered(*statements: str | Executable) -> None:
        with workspace.writing() as session:
            connection = session.connection()
            if connection.dialect.name == "sqlite":
                found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                off = [f"DROP TRIGGER {name}" for name in found.scalars().all()]
            else:
                off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in ("runs", "audit_events", "entries")]
            for statement in (*off, *statements):
                connection.execute(text(statement) if isinstance(statement, str) else statement)

    return tampered
