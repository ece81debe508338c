"""A workspace that holds everything, read only, and small ones of their own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from engine.present.report.sources import read_sources
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.present.report.sources import Sources


@pytest.fixture(scope="session")
def told(told_workspace: Path) -> Iterator[Workspace]:
    """Return the workspace in which everything has been measured and done; only read it."""
    with Workspace.open(told_workspace) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def told_run(told: Workspace) -> str:
    """Return the run of its sweep."""
    return told.runs(kind="sweep")[0].id


@pytest.fixture(scope="session")
def sources(told: Workspace, told_run: str) -> Sources:
    """Return everything that is told of it."""
    return read_sources(told, told_run)


@pytest.fixture
def workspace(empty_workspace: Path, tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(shutil.copytree(empty_workspace, tmp_path / "workspace")) as opened:
        yield opened
