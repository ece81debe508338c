"""The command line in a workspace with the standard flags, of its own for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.flags import FlagStore
from engine.workspace import Workspace


@pytest.fixture(scope="session")
def _new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the standard flags, made once: a copy of it is quicker than another."""
    folder = tmp_path_factory.mktemp("template") / "workspace"
    with Workspace.open(folder) as opened:
        FlagStore(opened)
    return folder


@pytest.fixture
def shell_workspace(_new_workspace: Path, tmp_path: Path) -> Path:
    """Return the folder of a workspace that is made already, in ``workspace`` below `tmp_path`."""
    return Path(shutil.copytree(_new_workspace, tmp_path / "workspace"))
