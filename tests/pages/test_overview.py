"""The Overview page."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet
from engine.errors import WorkspaceError
from engine.flags import FlagStore
from engine.migration.job import Owner
from engine.rollout import RolloutControl, Schedule, SimulatedRollouts, SimulationSettings, parse_fault
from engine.tradeoff import Criterion, save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

    from tests.pages.conftest import App

HOSTILE = "<img src=x onerror=alert(1)> **b** $x^2$ :material/home:"
STEPS = ("Data", "Sweep", "Decision", "A/B test", "Rollout", "Move", "Done")


@pytest.fixture
def swept(workspace_folder: Path) -> Path:
    """Store a sweep of somebody's own vectors before the app opens."""
    vectors = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    result = sweep(EmbeddingSet(name=HOSTILE, corpus=vectors).with_held_out_queries(60), (8, 16), (10,))
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, result, criterion=Criterion(k=10, target=0.1))
    return workspace_folder


def button(at: AppTest, key: str) -> str | None:
    return next((one.label for one in at.button if one.key == key), None)


def path_line(at: AppTest) -> str:
    return next(one.value for one in at.markdown if "→" in one.value).replace("\\", "")


def test_an_empty_workspace_sweeps_by_itself_and_offers_the_whole_path(app: App, workspace_folder: Path) -> None:
    """The landing page starts the first sweep, says so, and shows what it found; a demonstration is one click away."""
    app.open()
    assert app.at.title[0].value == "From full vectors to fewer dimensions"
    assert app.at.get("progress")
    assert button(app.at, "build_demonstration") == "Build the demonstration"
    assert button(app.at, "next_action") is None
    app.until(lambda at: not at.get("progress"))
    with Workspace.open(workspace_folder) as workspace:
        (run,) = workspace.runs()
    assert run.dataset["name"] == "API reference"
    assert app.at.title[0].value == "Keep all 256 dimensions"
    assert "example data" in app.said()
    assert button(app.at, "build_demonstration")
    assert button(app.at, "load_my_vectors")


def test_a_first_sweep_that_failed_is_one_sentence(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, with a way to try again."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise WorkspaceError("the disk must have room")

    monkeypatch.setattr(sys.modules["pages.shell.sweep.sweeping"], "save_sweep", fail)
    app.open().until(lambda at: at.error)
    assert [one.value for one in app.at.error] == ["The disk must have room"]
    assert button(app.at, "first_sweep_again")


def test_after_a_sweep_the_figures_stand_with_their_intervals(app: App, swept: Path) -> None:
    """Decision, figures, the path and the next action are there, nothing is swept again, and names stay text."""
    app.open()
    assert not app.at.exception
    assert app.at.title[0].value == "Keep 8 of 16 dimensions"
    assert [one.label.replace("\\", "") for one in app.at.metric] == ["Recommended", "Recall@10", "Bytes saved"]
    assert app.at.metric[0].value == "8"
    assert "95 % interval" in app.said()
    line = path_line(app.at)
    assert [line.index(f" {step}]") for step in STEPS] == sorted(line.index(f" {step}]") for step in STEPS)
    assert button(app.at, "next_action") == "Set up the A/B test"
    assert button(app.at, "build_demonstration") is None
    assert HOSTILE.replace(":material", ":\u2060material") in "\n".join(app.words()).replace("\\", "")
    assert r"\<img src\=x" in "".join(one.value for one in app.at.markdown)
    assert not any(element.allow_html for kind in ("markdown", "caption") for element in app.at.get(kind))
    with Workspace.open(swept) as workspace:
        assert len(workspace.runs()) == 1


def test_a_step_leads_to_its_page(app: App, swept: Path) -> None:
    """The button of a step opens its page, on the very run that the step is about."""
    app.open()
    app.at.button(key="go_sweep").click().run()
    assert not app.at.exception
    assert app.at.get("plotly_chart")
    with Workspace.open(swept) as workspace:
        assert app.at.query_params["run"] == workspace.runs()[0].id


def test_an_incident_and_the_kill_switch_come_first(app: App, swept: Path) -> None:
    """A rollout that the monitor rolled back is an alert with its label; then a kill becomes the next action."""
    with Workspace.open(swept) as workspace:
        flags = FlagStore(workspace)
        control = RolloutControl(workspace, flags)
        control.create(
            "ramp", flag_key="use_reduced_dims", actor="ann", is_simulated=True, schedule=Schedule.parse("0:50,2:100")
        )
        simulated = SimulatedRollouts(control)
        simulated.set("ramp", SimulationSettings(faults=(parse_fault("clicks:-40%@day0"),)), actor="ann")
        control.start("ramp", actor="ann")
        simulated.step("ramp", days=2, actor="ann")
        app.open()
        (alert,) = app.at.error
        assert "Open incident of rollout ramp" in alert.value
        assert "(simulated)" in alert.value.replace("\\", "")
        assert button(app.at, "next_action") == "Look at the incident"
        assert ":red-badge[:material/error: Rollout]" in path_line(app.at)
        flags.kill(actor="ann", typed="kill", reason="p99 doubled")
    app.until(lambda at: any("kill switch is on" in one.value for one in at.error))
    assert button(app.at, "next_action") == "Look at the flags"
    assert sum("kill switch" in one.value for one in app.at.error) == 1


def test_a_demonstration_is_private_to_its_tab(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """Only the tab that asked for it sees that it is built, can cancel it, and reads why it was refused."""
    generated = EmbeddingSet(name="made up", corpus=np.eye(40, dtype=np.float32), labels=("synthetic",))
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(generated.with_held_out_queries(30), (8, 40), (10,)))
        one, other = new_tab().open(), new_tab().open()
        with workspace.recording():  # for so long the demonstration cannot begin
            one.at.button(key="build_demonstration").click().run()
            other.at.run()
            assert [len(tab.at.get("progress")) for tab in (one, other)] == [1, 0]
            assert button(one.at, "build_demonstration") is None
            assert button(other.at, "build_demonstration") is not None
        one.until(lambda at: at.error)
        other.at.run()
    assert "where nobody keeps work of their own" in one.at.error[0].value
    assert not other.at.error


def test_a_demonstration_of_another_process_is_waited_for(app: App, workspace_folder: Path) -> None:
    """While somebody else builds it the page says so, and neither offers to build it nor sweeps beside it."""
    with Workspace.open(workspace_folder) as workspace, workspace.recording() as ledger:
        body = {"is_complete": False, "owner": asdict(Owner.this_process())}
        ledger.put("demonstration", "demonstration", body, expected_version=0, actor="ann", action="begin")
    app.open()
    assert [one.value.split(";")[0] for one in app.at.info] == ["The demonstration is being built"]
    assert button(app.at, "build_demonstration") is None
    assert not app.at.get("progress")
