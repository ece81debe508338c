"""Ticks and evidence in the workspace: who, when, a note, taken back, audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError, ParameterError
from engine.present.runbook import RUNBOOK_KIND, KillRehearsal, PreflightNote, RunbookStore, SourceCount

if TYPE_CHECKING:
    from engine.workspace import Workspace
    from tests.present.runbook.conftest import Clock


def test_a_tick_has_who_when_and_why_and_is_audited(workspace: Workspace, store: RunbookStore, clock: Clock) -> None:
    """A tick is kept with name, moment, note and rollout; taking it back leaves both in an intact audit log."""
    store.tick("on-call", actor="bob", note="rang them", about="ramp")
    found = store.kept().ticks["on-call"]
    assert (found.by, found.at, found.note, found.about) == ("bob", clock.moment, "rang them", "ramp")
    store.take_back("on-call", actor="carl", reason="the rota changed", expected_version=found.version)
    assert store.kept().ticks == {}
    events = workspace.audit(kind=RUNBOOK_KIND)
    assert [(event.actor, event.action, event.reason) for event in events] == [
        ("bob", "tick", "rang them"),
        ("carl", "take back", "the rota changed"),
    ]
    assert workspace.check_audit().is_intact


def test_a_tick_needs_a_note_and_an_item(workspace: Workspace, store: RunbookStore) -> None:
    """No note, a blank or a very long one, and an unknown item are refused, and nothing is kept."""
    for note in ("", "  \n ", "x" * 401):
        with pytest.raises(ParameterError, match="a tick takes a note of 1 to 400 characters"):
            store.tick("on-call", actor="bob", note=note)
    with pytest.raises(ParameterError, match="an item of the checklist"):
        store.tick("lunch", actor="bob", note="eaten")
    with pytest.raises(ParameterError, match="only what a person ticked can be taken back; found backup"):
        store.take_back("backup", actor="bob")
    assert store.kept().ticks == {}
    assert workspace.audit(kind=RUNBOOK_KIND) == ()


def test_of_two_people_who_tick_at_once_the_second_is_told(store: RunbookStore) -> None:
    """A tick that started from another state is refused and names who was faster; a new one replaces the old."""
    store.tick("scripts", actor="bob", note="in staging", expected_version=0)
    with pytest.raises(ConflictError, match="changed scripts .* found tick by bob"):
        store.tick("scripts", actor="carl", note="me too", expected_version=0)
    seen = store.kept().ticks["scripts"].version
    assert store.tick("scripts", actor="carl", note="again", expected_version=seen).by == "carl"
    with pytest.raises(ConflictError):
        store.take_back("scripts", actor="bob", expected_version=seen)


def test_evidence_comes_back_as_it_was_kept(store: RunbookStore, clock: Clock) -> None:
    """A rehearsal, a count, pre-flights by rollout and the days until stale are read back with who and when."""
    rehearsal = KillRehearsal(
        where="copy", flag_key="ä`", safe_variant="off", variant="on", user_id="user-0", client="c", n_flags=3,
        safe_s=(0.5, None), back_s=(0.25,), limit_s=5.0, restored=True,
    )  # fmt: skip
    count = SourceCount(migration="m", source="file:///a.npy", n_rows=60, dim=16, n_probed=60, n_whole=60)
    note = PreflightNote(rollout="r" * 200, sha256="0", n_simulations=10, seed=0, traffic="t", sentences=("a", "b"))
    store.keep_rehearsal(rehearsal, actor="anna")
    clock.pass_days(1)
    store.keep_count(count, actor="bob")
    store.keep_preflight(note, actor="carl")
    store.set_days_until_stale(7, actor="anna")
    kept = store.kept()
    assert kept.rehearsal is not None
    assert kept.count is not None
    assert (kept.rehearsal.result, kept.rehearsal.by) == (rehearsal, "anna")
    assert (kept.count.result, kept.count.by, kept.count.at) == (count, "bob", clock.moment)
    assert kept.preflights["r" * 200].result == note
    assert kept.days_until_stale == 7
    for days in (0, 366, True):
        with pytest.raises(ParameterError, match="evidence is stale after 1 to 365 days"):
            store.set_days_until_stale(days, actor="anna")
