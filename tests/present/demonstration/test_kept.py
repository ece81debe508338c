"""What is kept of a demonstration, and that one process builds it at a time."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError, WorkspaceError
from engine.present.demonstration import DEMONSTRATION_KIND, Outcome, StageDone, find_demonstration
from engine.present.demonstration.kept import claim, keep_stage, release
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DATA = StageDone(key="data", title="Data", outcome=Outcome(sentence="Kept.", run_id=None), seconds=1.5)
_SWEEPS = StageDone(key="sweeps", title="Sweeps", outcome=Outcome(sentence="Swept.", run_id="r"), seconds=0.5)


class _Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """Return a clock to set."""
    return _Clock()


@pytest.fixture
def workspace(tmp_path: Path, clock: _Clock) -> Iterator[Workspace]:
    """Return an empty workspace with that clock."""
    with Workspace.open(tmp_path / "workspace", clock=clock) as opened:
        yield opened


def _owned_by(workspace: Workspace, *, host: str, pid: int) -> None:
    """Make it look as if another process had claimed the demonstration."""
    owner = {"host": host, "pid": pid, "token": "of-another-process"}
    with workspace.recording() as ledger:
        record = ledger.get(DEMONSTRATION_KIND, DEMONSTRATION_KIND)
        assert record is not None
        body = {**record.body, "owner": owner}
        ledger.put(DEMONSTRATION_KIND, record.key, body, expected_version=None, actor="test", action="go on")


def test_stages_come_back_as_they_were_kept(workspace: Workspace) -> None:
    """What is kept stage by stage is read back without loss, and the claim counts the new ones."""
    claimed = claim(workspace, seed=4, panels=["nesting"], others=())
    claimed = keep_stage(workspace, claimed, _DATA, is_last=False)
    claimed = keep_stage(workspace, claimed, _SWEEPS, is_last=True)
    found = find_demonstration(workspace)
    assert found is not None
    assert found == replace(claimed.demonstration, n_new=0)
    assert (found.seed, found.panels, found.is_complete, found.sweep_run) == (4, ("nesting",), True, "r")
    assert found.seconds == 2.0
    assert claimed.demonstration.n_new == 2


def test_nothing_is_begun_beside_the_work_of_others(workspace: Workspace) -> None:
    """Where people keep work of their own a claim is refused in one sentence that counts it, and leaves no trace."""
    with pytest.raises(WorkspaceError, match="found 2 runs, 1 plan. Name another folder with --workspace"):
        claim(workspace, seed=0, panels=None, others=("2 runs", "1 plan"))
    assert find_demonstration(workspace) is None
    assert workspace.audit_head() == 0


def test_a_second_builder_waits_for_the_first(workspace: Workspace) -> None:
    """While one process works on it another claim is refused; after its release the next one goes on."""
    claimed = keep_stage(workspace, claim(workspace, seed=0, panels=None, others=()), _DATA, is_last=False)
    with pytest.raises(WorkspaceError, match="being built already"):
        claim(workspace, seed=0, panels=None, others=())
    release(workspace, claimed)
    taken = claim(workspace, seed=9, panels=(), others=("1 run",))
    assert (taken.demonstration.stages, taken.demonstration.seed) == ((_DATA,), 0)
    with pytest.raises(ConflictError):
        keep_stage(workspace, claimed, _SWEEPS, is_last=False)


def test_what_a_dead_process_left_is_taken_over(workspace: Workspace) -> None:
    """The claim of a process that has ended counts no more, that of one that lives does."""
    claim(workspace, seed=0, panels=None, others=())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = platform.node()
    _owned_by(workspace, host=here, pid=os.getppid())
    with pytest.raises(WorkspaceError, match="being built already"):
        claim(workspace, seed=0, panels=None, others=())
    _owned_by(workspace, host=here, pid=ended.pid)
    assert claim(workspace, seed=0, panels=None, others=()).demonstration.stages == ()


def test_another_machine_counts_as_dead_after_a_silence(workspace: Workspace, clock: _Clock) -> None:
    """Whether a process of another machine lives shows only by what it writes: after ten silent minutes it is gone."""
    claim(workspace, seed=0, panels=None, others=())
    _owned_by(workspace, host="another-machine", pid=1)
    clock.now += timedelta(minutes=9)
    with pytest.raises(WorkspaceError, match="being built already"):
        claim(workspace, seed=0, panels=None, others=())
    clock.now += timedelta(minutes=2)
    claim(workspace, seed=0, panels=None, others=())


def test_one_of_another_version_is_refused(workspace: Workspace) -> None:
    """A record of a form that this version does not know is named, not guessed at."""
    with workspace.recording() as ledger:
        body = {"seed": 0, "stages": [{"name": "data"}], "owner": None, "panels": None}
        key = DEMONSTRATION_KIND
        ledger.put(key, key, body, expected_version=0, actor="test", action="begin")
    with pytest.raises(WorkspaceError, match="of a form this version knows"):
        find_demonstration(workspace)
