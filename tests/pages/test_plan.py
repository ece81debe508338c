"""The page Plan."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from engine.embeddings.samples import synthetic
from engine.present.plan import PlanInputs, PlanStore, make_plan
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/present/plan.py"


@pytest.fixture
def store(workspace_folder: Path) -> Iterator[PlanStore]:
    """Return the plan of the app's workspace, as another process sees it."""
    with Workspace.open(workspace_folder) as workspace:
        yield PlanStore(workspace)


def number(app: App, label: str) -> Any:
    return next(field for field in app.at.number_input if field.label == label)


def kept(store: PlanStore) -> Any:
    found = store.load()
    assert found is not None
    return found


def test_an_empty_workspace_gets_the_example_as_a_proposal(app: App, store: PlanStore) -> None:
    """Without a sweep the page proposes the example, says that nothing is evidence, and saves it on demand."""
    app.show(SCRIPT)
    assert "Measure first: nothing here says whether 768 of 3,072 dims are enough" in app.said()
    assert "nobody has saved it yet" in app.said()
    assert len(app.at.get("plotly_chart")) == 1
    assert store.load() is None
    app.submit("Save this plan")
    assert kept(store).version == 1
    assert "Version 1, saved" in app.said()


def test_saved_inputs_move_the_plan_and_the_page_says_what(app: App, store: PlanStore) -> None:
    """Other dims are saved; what they moved stands under What moved, before and after."""
    store.save(make_plan(PlanInputs()), run_id=None, expected_version=0, actor="ben")
    app.show(SCRIPT, plan_tab="Inputs")
    number(app, "Dims to").set_value(512)
    app.submit("Save the inputs")
    found = kept(store)
    assert (found.version, found.plan.inputs.to_dims) == (2, 512)
    app.show(SCRIPT, plan_tab="What moved")
    moved = app.at.dataframe[0].value
    assert ("Dims to", "768", "512") in list(moved[["What", "Before", "After"]].itertuples(index=False, name=None))


def test_the_start_can_be_emptied(app: App, store: PlanStore) -> None:
    """A first day that was saved can be taken back: the dates stay open then."""
    store.save(make_plan(PlanInputs(start="2026-03-02")), run_id=None, expected_version=0, actor="ben")
    app.show(SCRIPT, plan_tab="Inputs")
    assert app.at.date_input[0].value == date(2026, 3, 2)
    app.at.date_input[0].set_value(None)
    app.submit("Save the inputs")
    assert kept(store).plan.inputs.start == ""
    assert kept(store).plan.ends_on is None


def test_bad_inputs_are_told_and_stay_typed(app: App, store: PlanStore) -> None:
    """Dims that are not fewer are refused in one sentence, nothing is saved, and what was typed is still there."""
    app.show(SCRIPT, plan_tab="Inputs")
    number(app, "Dims to").set_value(4096)
    app.submit("Save the inputs")
    assert "The dims to keep must be fewer than those there are; found 4,096 of 3,072" in app.said()
    assert number(app, "Dims to").value == 4096
    assert store.load() is None


def test_two_people_cannot_save_over_each_other(app: App, store: PlanStore) -> None:
    """Whoever saves over a version that somebody changed in between is told by whom, and can load that one."""
    store.save(make_plan(PlanInputs()), run_id=None, expected_version=0, actor="ben")
    app.show(SCRIPT, plan_tab="Inputs")
    store.save(make_plan(PlanInputs(n_docs=7)), run_id=None, expected_version=1, actor="ben")
    number(app, "Documents").set_value(9)
    app.submit("Save the inputs")
    assert "Somebody else changed plan plan in between: you started from version 1" in app.said()
    assert "save by ben" in app.said()
    assert kept(store).plan.inputs.n_docs == 7
    assert number(app, "Documents").value == 9
    app.submit("Load the newest")
    assert number(app, "Documents").value == 7
    number(app, "Documents").set_value(9)
    app.submit("Save the inputs")
    assert kept(store).plan.inputs.n_docs == 9


def test_stages_triggers_and_prices_are_saved(app: App, store: PlanStore) -> None:
    """The holdback, the looks of the monitor and a price that are written end up in the plan."""
    app.show(SCRIPT, plan_tab="Stages")
    number(app, "Holdback, percent").set_value(7.0)
    app.submit("Save the stages")
    assert kept(store).plan.inputs.used_schedule.holdback_percent == 7
    for tab, label, value, button in (
        ("Triggers", "Looks to allow for", 50, "Save the triggers"),
        ("Cost", "Memory, per GiB and month", 9.0, "Save the prices"),
    ):
        app.show(SCRIPT, plan_tab=tab)
        number(app, label).set_value(value)
        app.submit(button)
    inputs = kept(store).plan.inputs
    assert inputs.used_thresholds.looks == 50
    assert inputs.prices.memory_price_per_gib_month == 9


def test_a_test_that_takes_too_long_offers_a_margin_that_can_be_taken(app: App, store: PlanStore) -> None:
    """The wider margin that is offered is planned with one click."""
    slow = make_plan(PlanInputs(new_users_per_day=100))
    store.save(slow, run_id=None, expected_version=0, actor="ben")
    app.show(SCRIPT, plan_tab="A/B test")
    assert "takes too long on this traffic" in app.said()
    wider = slow.ab_test.alternatives[0].margin
    assert wider is not None
    app.submit(f"Plan with {100 * wider:.3g} %")
    assert not kept(store).plan.ab_test.is_too_long


def test_a_new_sweep_is_told_and_planned_with(app: App, store: PlanStore, workspace_folder: Path) -> None:
    """When measurements came after the saving the page says what they change, and plans again on demand."""
    store.save(make_plan(PlanInputs(from_dims=16, to_dims=2)), run_id=None, expected_version=0, actor="ben")
    with Workspace.open(workspace_folder) as workspace:
        made = synthetic(300, 16, n_queries=60, clusters=5, spectrum=4.0, seed=0)
        run = save_sweep(workspace, sweep(made, (2, 8, 16), (10,)))
    app.show(SCRIPT, plan_tab="Evidence")
    assert "What is known has changed since it was saved" in app.said()
    app.submit("Plan again")
    assert kept(store).plan.strategy.run_id == run.id
    assert "Stop: 2 dims are shown to lose too much" in app.said()
    assert "Nothing is to be done with these dims now." in app.said()


def test_every_tab_draws_and_names_with_markup_stay_text(app: App, store: PlanStore) -> None:
    """No tab fails on a plan with hostile owners, and nothing of them is markup on the page."""
    inputs = replace(PlanInputs(), owners={"prepare": "<b>x</b> [a](b) $y$", "copy": "עומר 🦊"}, start="2026-03-02")
    store.save(make_plan(inputs), run_id=None, expected_version=0, actor="ben", reason="<script>alert(1)</script>")
    app.show(SCRIPT)
    for tab in ("Steps", "Metrics", "Cost", "Evidence", "A/B test", "What moved"):
        app.show(SCRIPT, plan_tab=tab)
        assert "<script>" not in "".join(app.words())
    assert all(element.allow_html is False for element in app.at.markdown)
