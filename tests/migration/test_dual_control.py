"""Settings of dual search in the workspace: audited, locked against two editors, and seen by others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError
from engine.migration.dual_control import DualControl
from engine.migration.dual_settings import DualSettings
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def test_settings_start_as_the_defaults(workspace: Workspace) -> None:
    """Before anybody changed them the new store is only compared: shadow mode."""
    control = DualControl(workspace)
    assert (control().mode, control.stored().version) == ("shadow", 0)


def test_a_change_holds_at_once_and_is_audited(workspace: Workspace) -> None:
    """After a change the next call has the new settings, and the audit log says who, why, before and after."""
    control = DualControl(workspace)
    control.change(DualSettings(mode="merge", weight=0.25), expected_version=0, actor="ann", reason="first look")
    control.change(DualSettings(mode="merge", weight=0.75), expected_version=1, actor="bob", reason="looks good")
    assert control().weight == 0.75
    first, second = workspace.audit(kind="dual search")
    assert (first.actor, first.before, second.reason) == ("ann", None, "looks good")
    assert second.before["weight"] == 0.25
    assert second.after["weight"] == 0.75


def test_another_reader_follows(workspace: Workspace) -> None:
    """Another control of the same workspace sees a change after its refresh time and not before."""
    now = [0.0]
    writer, reader = DualControl(workspace), DualControl(workspace, refresh_s=1.0, clock=lambda: now[0])
    writer.change(DualSettings(mode="new only"), expected_version=0, actor="ann")
    now[0] = 0.9
    assert reader().mode == "shadow"
    now[0] = 1.0
    assert reader().mode == "new only"


def test_two_editors_conflict(workspace: Workspace) -> None:
    """The second of two people who started from the same version is told so, and nothing is lost."""
    control = DualControl(workspace)
    control.change(DualSettings(weight=0.1), expected_version=0, actor="ann")
    with pytest.raises(ConflictError, match="ann"):
        control.change(DualSettings(weight=0.9), expected_version=0, actor="bob")
    assert control.stored().settings.weight == 0.1


def test_a_workspace_that_is_away_keeps_the_last_settings(workspace: Workspace) -> None:
    """When the workspace cannot be read the settings stay what they were."""
    control = DualControl(workspace, refresh_s=0.0)
    control.change(DualSettings(mode="old only"), expected_version=0, actor="ann")
    workspace.close()
    (workspace.folder / "workspace.db").write_bytes(b"damaged" * 1000)
    assert control().mode == "old only"
