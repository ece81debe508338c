"""The command line run in this process, in a workspace of its own for every test."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from engine import cli
from engine.flags import FlagStore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it wrote to stdout as JSON."""
        return json.loads(self.stdout)


@pytest.fixture(scope="session")
def _new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the standard flags, made once: a copy of it is quicker than another."""
    folder = tmp_path_factory.mktemp("template") / "workspace"
    with Workspace.open(folder) as opened:
        FlagStore(opened)
    return folder


@pytest.fixture(scope="session")
def _command() -> Any:
    """Return the whole command line; typer builds it anew for every call otherwise, which takes longest of all."""
    return get_command(cli.app)


@pytest.fixture
def shell(
    _command: Any,
    _new_workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """Return a function that runs dimshift as anna in `tmp_path`, with the workspace in ``workspace`` below it."""
    shutil.copytree(_new_workspace, tmp_path / "workspace")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", _command)
    monkeypatch.setenv("DIMSHIFT_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("getpass.getuser", lambda: "anna")

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["dimshift", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        return Done(int(stopped.value.code or 0), printed.out, printed.err)

    return run
