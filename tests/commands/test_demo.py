"""`dimshift demo` as a shell sees it: exit status, streams, JSON, and what opens the dashboard."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from engine import cli, terminal
from engine.flags import FlagStore
from engine.present.demonstration import find_demonstration
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_built_one_is_told_and_left_alone(dimshift: Callable[..., Any], demonstration_workspace: Path) -> None:
    """Where the demonstration is there already, every stage is told, and where to go on; nothing is changed."""
    with Workspace.open(demonstration_workspace) as workspace:
        before = workspace.audit_head()
        done = dimshift("demo", "--workspace", demonstration_workspace)
        assert workspace.audit_head() == before
    assert (done.returncode, done.stderr) == (0, "")
    assert "holds its demonstration already; nothing was changed" in done.stdout
    assert "A rollout that is stopped: Rollout use_reduced_dims-1 (simulated) was rolled back" in done.stdout
    assert f"dimshift app --workspace {demonstration_workspace}" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) < 700


def test_json_names_every_stage_and_its_run(dimshift: Callable[..., Any], demonstration_workspace: Path) -> None:
    """JSON alone goes to stdout; its sweep is one that `dimshift runs` lists."""
    answer = dimshift("demo", "--workspace", demonstration_workspace, "--json", "-").json
    assert (answer["is_complete"], answer["n_new"], answer["workspace"]) == (True, 0, str(demonstration_workspace))
    assert [stage["key"] for stage in answer["stages"]][:2] == ["data", "sweeps"]
    listed = dimshift("runs", "--kind", "sweep", "--workspace", demonstration_workspace, "--json", "-").json
    assert answer["sweep_run"] == listed[0]["run_id"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the dashboard is a process of its own")
def test_open_starts_the_dashboard_on_it(
    dimshift: Callable[..., Any], demonstration_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --open this process becomes the dashboard, with the demonstration as its workspace."""
    started: list[dict[str, str]] = []

    def become(_program: str, _command: list[str], environment: dict[str, str]) -> None:
        started.append(environment)
        raise SystemExit(0)  # the real one never comes back

    monkeypatch.setattr(cli.os, "chdir", lambda _folder: None)
    monkeypatch.setattr(cli.os, "execve", become)
    dimshift("demo", "--workspace", demonstration_workspace, "--open")
    assert started[0]["DIMSHIFT_WORKSPACE"] == str(demonstration_workspace)


def test_it_is_refused_beside_work_of_ones_own(dimshift: Callable[..., Any], tmp_path: Path) -> None:
    """In a workspace with a changed flag it ends with one line on stderr that counts what is there, and status 1."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        store = FlagStore(workspace)
        flag = store.flag("use_reduced_dims")
        store.set(flag.with_percent(5), expected_version=flag.version, actor="ann")
        done = dimshift("demo", "--workspace", "workspace")
        assert find_demonstration(workspace) is None
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "dimshift: a demonstration is built where nobody keeps work of their own; found 1 changed flag. "
        "Name another folder with --workspace.\n"
    )


def test_it_has_a_folder_of_its_own(
    dimshift: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --workspace it is built in .dimshift-demo, never in the workspace that DIMSHIFT_WORKSPACE names.

    Ctrl-C on the way ends it with one line that says what is kept, and the record waits for the next call.
    """
    pressed: list[str] = []

    def press(_share: float, message: str) -> None:
        if not pressed:
            signal.raise_signal(signal.SIGINT)
        pressed.append(message)

    monkeypatch.setattr(terminal, "show_progress", press)
    done = dimshift("demo", "--seed", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "dimshift: the demonstration was stopped; found 0 finished stages, which are kept. "
        "Run the same command again to go on.\n"
    )
    with Workspace.open(tmp_path / ".dimshift-demo") as workspace:
        kept = find_demonstration(workspace)
        assert kept is not None
        assert (kept.seed, kept.stages, kept.is_complete) == (2, (), False)
    with Workspace.open(tmp_path / "workspace") as workspace:
        assert find_demonstration(workspace) is None


def test_an_output_that_cannot_be_written_is_refused_first(dimshift: Callable[..., Any], tmp_path: Path) -> None:
    """A --json file in a folder that is not there ends it before a workspace is made."""
    done = dimshift("demo", "--json", "nowhere/demo.json")
    assert done.returncode == 1
    assert "--json must name a file" in done.stderr
    assert not (tmp_path / ".dimshift-demo").exists()
