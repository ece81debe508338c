"""The plan of a workspace: one at a time, and nobody overwrites what they have not seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError, WorkspaceError
from engine.present.plan import PlanInputs, PlanStore, make_plan

if TYPE_CHECKING:
    from engine.workspace import Workspace

PLAN = make_plan(PlanInputs(owners={"copy": "<b>Ada</b>"}))


def test_a_plan_is_read_back_as_it_was(workspace: Workspace) -> None:
    """What was saved is what is loaded, with its version and its run."""
    store = PlanStore(workspace)
    assert store.load() is None
    saved = store.save(PLAN, run_id="20260101-120000-0123abcd", expected_version=0, actor="anna")
    assert store.load() == saved
    assert (saved.plan, saved.version, saved.run_id) == (PLAN, 1, "20260101-120000-0123abcd")


def test_the_second_of_two_savings_is_refused(workspace: Workspace) -> None:
    """Of two people who edit the same version the later is refused, told by whom, and nothing is changed."""
    store = PlanStore(workspace)
    store.save(PLAN, run_id=None, expected_version=0, actor="anna")
    other = make_plan(PlanInputs(to_dims=512))
    store.save(other, run_id=None, expected_version=1, actor="anna")
    with pytest.raises(ConflictError) as refused:
        store.save(PLAN, run_id=None, expected_version=1, actor="ben")
    assert "somebody else changed plan plan in between: you started from version 1" in str(refused.value)
    assert "save by anna" in str(refused.value)
    kept = store.load()
    assert kept is not None
    assert kept.plan == other


def test_revisions_say_what_moved(workspace: Workspace) -> None:
    """Each saving is listed with who, why and what moved, the newest first; the first moved nothing."""
    store = PlanStore(workspace)
    store.save(PLAN, run_id=None, expected_version=0, actor="anna")
    second = make_plan(replace(PLAN.inputs, to_dims=512))
    store.save(second, run_id=None, expected_version=1, actor="ben", reason="smaller")
    newest, first = store.revisions()
    assert (newest.actor, newest.reason) == ("ben", "smaller")
    assert ("Dims to", "768", "512") in [(one.what, one.before, one.after) for one in newest.changes]
    assert first.changes == ()


def test_a_removed_plan_can_be_saved_anew(workspace: Workspace) -> None:
    """A plan can be removed by whoever has seen it, and its history stays."""
    store = PlanStore(workspace)
    store.save(PLAN, run_id=None, expected_version=0, actor="anna")
    store.remove(expected_version=1, actor="anna")
    assert store.load() is None
    assert store.save(PLAN, run_id=None, expected_version=0, actor="ben").plan == PLAN
    assert len(store.revisions()) == 2


def test_a_plan_of_another_form_ends_in_one_sentence(workspace: Workspace) -> None:
    """A record that this version cannot read is told, not guessed; its revision says only that it changed."""
    store = PlanStore(workspace)
    store.save(PLAN, run_id=None, expected_version=0, actor="anna")
    with workspace.recording() as ledger:
        ledger.put(
            "plan", "plan", {"plan": {"class": "Other", "fields": {}}}, expected_version=1, actor="x", action="y"
        )
    with pytest.raises(WorkspaceError, match="of a form this version knows"):
        store.load()
    assert [one.changes for one in store.revisions()] == [(), ()]
