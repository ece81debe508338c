"""A workspace with the standard flags, a clock that tests move, a rollout, and a migration of a few rows."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.flags import FlagStore
from engine.migration import MigrationSettings, Migrator, open_store
from engine.present.runbook import Runbook, RunbookStore, look_at
from engine.rollout import RolloutControl
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.migration import MigrationReport


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.moment

    def pass_days(self, days: float) -> None:
        """Move on."""
        self.moment += timedelta(days=days)


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the workspace."""
    return Clock()


@pytest.fixture
def workspace(
    flagged_workspace: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """Return a workspace with nothing but the standard flags."""
    monkeypatch.delenv("DIMSHIFT_WORKSPACE", raising=False)
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)
    folder = Path(shutil.copytree(flagged_workspace, tmp_path / "workspace"))
    with Workspace.open(folder, clock=clock) as opened:
        yield opened


@pytest.fixture
def flags(workspace: Workspace) -> FlagStore:
    """Return its flags, which look for changes at every evaluation."""
    return FlagStore(workspace, refresh_s=0)


@pytest.fixture
def control(workspace: Workspace, flags: FlagStore) -> RolloutControl:
    """Return its rollouts."""
    return RolloutControl(workspace, flags)


@pytest.fixture
def store(workspace: Workspace) -> RunbookStore:
    """Return what it keeps of its runbook."""
    return RunbookStore(workspace)


@pytest.fixture
def look(workspace: Workspace, flags: FlagStore) -> Callable[..., Runbook]:
    """Return what looks at its runbook."""
    return lambda **options: look_at(workspace, flags=flags, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file of 60 vectors of 16 dims."""
    path = tmp_path / "vectors.npy"
    np.save(path, np.random.default_rng(0).standard_normal((60, 16), dtype=np.float32))
    return path


@pytest.fixture
def moved(workspace: Workspace, source: Path, tmp_path: Path) -> Callable[[], MigrationReport]:
    """Return what moves those vectors to a file of 8 dims."""

    def move() -> MigrationReport:
        target = f"file://{tmp_path}/reduced.npy"
        settings: Any = MigrationSettings(dims=8, validate_share=1.0)
        with open_store(f"file://{source}") as here, open_store(target) as there:
            return Migrator(here, there, settings, workspace=workspace, actor="anna").run()

    return move
