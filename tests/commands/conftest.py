"""The command line in a workspace with the standard flags, of its own for every test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def shell_workspace(flagged_workspace: Path, tmp_path: Path) -> Path:
    """Return the folder of a workspace that is made already, in ``workspace`` below `tmp_path`."""
    return Path(shutil.copytree(flagged_workspace, tmp_path / "workspace"))
