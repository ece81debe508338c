"""Jobs that a stop of the app interrupted, on the pages."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import pytest

from engine.embeddings.samples import load_sample, synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import JobNote, JobRecords, Workspace
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/explore/sweep.py"


@pytest.fixture
def interrupt(workspace_folder: Path) -> Callable[[JobNote], None]:
    """Return what leaves a job behind in a workspace with one sweep, as a process does that is killed."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(load_sample("digits-pixels"), (16, 64), (10,), n_queries=50))

    def leave(note: JobNote) -> None:
        gone = Owner(host=platform.node(), pid=os.getpid(), token="0" * 16)  # of before this process began
        with Workspace.open(workspace_folder) as workspace:
            JobRecords(workspace, owner=gone).begin(note)

    return leave


def note(source: str, name: str) -> JobNote:
    """Return what the app keeps of a small sweep."""
    request: dict[str, Any] = {"source": source, "dims": [8, 64], "ks": [1, 10], "metric": None, "recipe": None}
    return JobNote(label=f"Sweep of {name}", purpose="sweep", request={**request, "n_queries": 60, "seed": 3})


def test_an_interrupted_sweep_is_started_again(
    app: App, interrupt: Callable[[JobNote], None], workspace_folder: Path
) -> None:
    """After a restart the sweep is named; one click runs it as it was asked for, and it is interrupted no more."""
    interrupt(note("sample:digits-pixels", "Digits"))
    app.open(SCRIPT)
    assert "was interrupted" in app.said()
    again = next(button for button in app.at.button if button.label == "Start again")
    again.click()
    app.at.run()

    def is_kept(_at: object) -> bool:
        with Workspace.open(workspace_folder) as workspace:
            return len(workspace.runs(kind="sweep")) == 2

    app.until(is_kept)
    with Workspace.open(workspace_folder) as workspace:
        newest = workspace.runs(kind="sweep")[0]
        assert (newest.seed, newest.parameters["dims"]) == (3, [8, 64])
        with workspace.records() as ledger:
            assert ledger.all("job") == ()
    app.until(lambda _at: "was interrupted" not in app.said())


def test_a_sweep_of_a_set_that_was_not_kept_says_so(app: App, interrupt: Callable[[JobNote], None]) -> None:
    """What only a tab had is not named and cannot be started again; it can be dismissed, and stays away."""
    found = synthetic(40, 8, n_queries=5, seed=1)
    interrupt(note(found.sha256, "a set that was not kept"))
    app.open(SCRIPT)
    assert "Its data set is not in the workspace, so load it again first" in app.said()
    labels = [button.label for button in app.at.button]
    assert "Start again" not in labels
    assert "Load the data set" in labels
    next(button for button in app.at.button if button.label == "Dismiss").click()
    app.at.run()
    assert "was interrupted" not in app.said()


def test_a_set_that_was_kept_after_all_can_be_swept_again(
    app: App, interrupt: Callable[[JobNote], None], workspace_folder: Path
) -> None:
    """A set that its tab kept while it was being swept is known by its digest, and named now."""
    found = synthetic(40, 8, n_queries=5, seed=1)
    interrupt(note(found.sha256, "a set that was not kept"))
    with Workspace.open(workspace_folder) as workspace:
        workspace.save_dataset(found)
    app.open(SCRIPT)
    assert "Start again" in [button.label for button in app.at.button]
    assert "a set that was not kept" not in app.said()


def test_the_way_to_load_a_set_again_leads_to_its_page(app: App, interrupt: Callable[[JobNote], None]) -> None:
    """The button leaves the Sweep page, whose address keeps the run, for Datasets, and the job is dealt with."""
    interrupt(note("f" * 64, "a set that was not kept"))
    app.open(SCRIPT)
    next(button for button in app.at.button if button.label == "Load the data set").click()
    app.at.run()
    assert not app.at.exception
    assert app.at.title[0].value == "Datasets"
