"""The page Runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.flags import FlagStore
from engine.present.runbook import RunbookStore, look_at, preflighting
from engine.rollout import RolloutControl
from engine.workspace import Workspace
from pages.shell.runbook.checks import _LIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.present.runbook import Check, CheckKey
    from tests.pages.conftest import App

SCRIPT = "pages/present/runbook.py"


@pytest.fixture
def workspace(workspace_folder: Path) -> Iterator[Workspace]:
    """Return the app's workspace, as another process sees it."""
    with Workspace.open(workspace_folder) as opened:
        yield opened


@pytest.fixture
def control(workspace: Workspace) -> RolloutControl:
    """Return its rollouts."""
    return RolloutControl(workspace, FlagStore(workspace, refresh_s=0))


@pytest.fixture
def check(workspace: Workspace) -> Callable[[CheckKey], Check]:
    """Return what looks at one item as it stands in the workspace."""
    return lambda key: look_at(workspace).check(key)


def test_an_empty_workspace_has_a_runbook(app: App) -> None:
    """Nothing is claimed: every item is open, the defaults are named as such, the kill stands there to be typed."""
    app.show(SCRIPT)
    assert "0 of 7 items are done" in app.said()
    assert app.said().count("○ open]") == 7
    assert "none is planned yet" in app.said()
    assert "dimshift flags kill --confirm kill --reason 'WHY'" in [code.value for code in app.at.code]
    assert "Nobody is named yet" in app.said()


def test_an_item_is_ticked_and_taken_back(
    app: App, control: RolloutControl, check: Callable[[CheckKey], Check]
) -> None:
    """The dialog asks for a note, refuses a tick without, and keeps name, note and rollout; take back removes it."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna", owner="Olga *B*")
    app.show(SCRIPT)
    app.press("tick_on-call")
    app.submit("Tick")
    assert "A tick takes a note of 1 to 400 characters; found nothing" in app.said()
    app.at.text_input(key="tick_name").input("bob")
    app.at.text_input(key="tick_note").input("rang <b>them</b>")
    app.submit("Tick")
    found = check("on-call")
    assert (found.state, found.said_by) == ("done", "bob")
    assert found.tick is not None
    assert (found.tick.note, found.tick.about) == ("rang <b>them</b>", "ramp")
    assert "Ticked by bob" in app.said()
    assert "\\<b\\>" in "\n".join(app.words())
    app.press("untick_on-call")
    assert check("on-call").state == "open"


def test_somebody_who_was_slower_is_told(app: App, workspace: Workspace, control: RolloutControl) -> None:
    """A tick from a page that has not seen another person's is refused and names that person."""
    RunbookStore(workspace).tick("scripts", actor="bob", note="in staging")
    app.show(SCRIPT)
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    RunbookStore(workspace).tick("scripts", actor="carl", note="in staging, again")
    app.press("untick_scripts")
    assert "found tick by carl" in app.said()
    assert RunbookStore(workspace).kept().ticks["scripts"].by == "carl"


def test_what_can_be_measured_is_measured_in_the_background(
    app: App, control: RolloutControl, check: Callable[[CheckKey], Check], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pre-flight runs as a job with progress, is kept as evidence, and the item is done when it ends."""
    monkeypatch.setattr(preflighting, "SIMULATIONS", 20)
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    app.show(SCRIPT).press("run_preflight")
    app.until(lambda _: check("preflight").state == "done")
    app.until(lambda _: "1,000,000 queries a day of 200,000 users" in app.said())


def test_a_live_rehearsal_takes_the_typed_word_and_is_refused_while_a_rollout_runs(
    app: App, workspace: Workspace, control: RolloutControl
) -> None:
    """On the live flags the word is asked for; a running rollout refuses in one sentence, and nothing is killed."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    control.start("ramp", actor="anna")
    app.show(SCRIPT).press("rehearse")
    app.at.radio(key="rehearse_where").set_value(_LIVE).run()
    app.submit("Rehearse")
    assert 'takes the typed word "kill"' in app.said()
    app.at.text_input(key="rehearse_typed").input("kill")
    app.submit("Rehearse")
    app.until(lambda _: "while a rollout runs: it would pause; found rollout ramp at 5 %" in app.said())
    assert workspace.audit(kind="switch") == ()


def test_the_runbook_is_of_the_rollout_in_the_address(app: App, control: RolloutControl) -> None:
    """The steps are those of the rollout that the address names; days until stale are kept for everybody."""
    control.create("first", flag_key="enable_new_index", actor="anna")
    control.start("first", actor="anna")
    control.create("second", flag_key="use_reduced_dims", actor="anna")
    app.show(SCRIPT, rollout="second")
    assert "dimshift rollout status second" in [code.value for code in app.at.code]
    app.at.number_input(key="stale_days").set_value(7)
    app.submit("Save")
    assert look_at(control.workspace).days_until_stale == 7
