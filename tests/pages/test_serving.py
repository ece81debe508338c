"""The page Speed and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.embeddings import EmbeddingSet, inspect_health
from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.panels import PANELS, panel_answers, panel_runs
from engine.tradeoff.size.options import kept_estimates
from engine.workspace import Workspace
from pages.shell.state import HeldSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.workspace import Run
    from tests.pages.conftest import App

SCRIPT = "pages/explore/serving.py"
TABS = ("Latency", "Bytes", "Shortlist and rerank", "Cost")


def newest(folder: Path) -> Run:
    with Workspace.open(folder) as workspace:
        return workspace.runs(kind="sweep", limit=1)[0]


def small_set(*, n_queries: int = 40) -> EmbeddingSet:
    return synthetic(300, 16, n_queries=n_queries, seed=3)


@pytest.mark.parametrize(("tab", "n_charts"), list(zip(TABS, (3, 1, 1, 1), strict=True)))
def test_every_tab_shows_its_panel(app: App, explored: Path, tab: str, n_charts: int) -> None:
    """Each tab draws its charts and table from what is stored; only the one in front is drawn."""
    app.show(SCRIPT, serving=tab)
    assert app.charts() == n_charts
    assert len(app.at.dataframe) == 1
    assert not app.at.error
    assert app.at.text_input(key="run").value == newest(explored).id


def test_latency_shows_its_threads_and_every_configuration(app: App, explored: Path) -> None:
    """Percentile, threads and assumptions are on the page; HNSW rows have their ef and the recall it reached."""
    app.show(SCRIPT, serving="Latency", percentile="p99")
    assert app.at.button_group(key="percentile").value == "p99"
    assert "one thread each (BLAS: 1)" in app.said()
    table = app.at.dataframe[0].value
    assert len(table) == 9
    hnsw = table[table["path"] == "HNSW"]
    assert hnsw["ef"].notna().all()
    assert hnsw["of exact"].str.contains("–").all()
    assert table["frontier"].any()
    assert any(expander.label == "Assumptions" for expander in app.at.expander)


def test_more_threads_than_processors_are_warned_of(app: App, explored: Path) -> None:
    """Asking for a throughput with more threads than the machine has says what will come of it."""
    app.show(SCRIPT, serving="Latency")
    assert not app.at.warning
    app.at.number_input(key="latency_threads").set_value(64).run()
    assert "64 threads" in app.at.warning[0].value


def test_bytes_say_whether_smaller_numbers_beat_fewer(app: App, explored: Path) -> None:
    """At equal bytes each smaller type is compared with float32 in words, with the interval; nDCG can be asked for."""
    app.show(SCRIPT, serving="Bytes")
    words = app.said()
    assert "float32 of fewer dimensions" in words
    assert "int8 of 256 dims keeps" in words
    assert "points more recall@10 than float32 of 64 dims" in words
    app.at.button_group(key="storage_quality").set_value("nDCG").run()
    assert not app.at.exception
    assert "nDCG@10" in app.said()
    before = app.at.dataframe[0].value["frontier"].tolist()
    app.at.button_group(key="storage_bytes").set_value("on disk").run()
    assert app.at.dataframe[0].value["frontier"].tolist() != before


def test_the_funnel_tells_what_a_rerank_wins_back(app: App, explored: Path) -> None:
    """Every dim and shortlist is a row whose recall is at most its ceiling."""
    app.show(SCRIPT, serving="Shortlist and rerank")
    assert "a rerank of 100 documents lifts recall@10" in app.said()
    table = app.at.dataframe[0].value
    assert (table["recall"] <= table["ceiling"]).all()
    app.at.button_group(key="funnel_quality").set_value("nDCG").run()
    assert not app.at.exception


def test_cost_follows_its_assumptions(app: App, explored: Path) -> None:
    """Twice the documents cost about twice the memory; the assumptions stand beside the result."""
    app.show(SCRIPT, serving="Cost")
    before = app.at.dataframe[0].value
    app.at.number_input(key="cost_n_docs").set_value(10_000_000).run()
    after = app.at.dataframe[0].value
    assert after["now"][0] == pytest.approx(2 * before["now"][0])
    assert after["less"][0] == pytest.approx(after["now"][0] - after["then"][0])
    assert "Prices are assumptions" in app.said()
    app.at.button_group(key="cost_index").set_value("exact").run()
    assert app.at.dataframe[0].value["now"][0] < after["now"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory_price_per_gib_month", 0.0), ("n_docs", 0), ("utilisation", 1.5), ("queries_per_day", -1.0)],
)
def test_impossible_assumptions_are_one_sentence(app: App, explored: Path, field: str, value: float) -> None:
    """A cost of zero or below, no documents or a utilisation above one give one sentence and no estimate."""
    app.show(SCRIPT, serving="Cost")
    app.at.number_input(key=f"cost_{field}").set_value(value).run()
    assert not app.at.exception
    assert len(app.at.error) == 1
    assert app.charts() == 0


def test_an_estimate_is_kept_with_its_assumptions(app: App, explored: Path) -> None:
    """Keep this estimate stores one run of kind cost for this sweep, and lists it."""
    app.show(SCRIPT, serving="Cost")
    app.at.number_input(key="cost_replicas").set_value(3).run()
    app.at.button(key="keep_cost").click().run()
    with Workspace.open(explored) as workspace:
        (kept,) = kept_estimates(workspace, newest(explored))
    assert kept.estimate.assumptions.replicas == 3
    assert app.at.dataframe[1].value["replicas"].tolist() == [3]


def test_cost_needs_no_other_panel(app: App, workspace_folder: Path) -> None:
    """Before anything is measured the cost of float32 at each dim can be estimated, on assumed latencies."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(small_set(), (8, 16), (10,)))
    app.show(SCRIPT, serving="Cost")
    assert app.charts() == 1
    assert "is assumed, not measured" in app.said()


def test_a_set_that_is_not_at_hand_is_explained(app: App, workspace_folder: Path) -> None:
    """Without the data set the page says in one sentence how to measure, and offers no button that could not work."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(small_set(), (8, 16), (10,)))
    app.show(SCRIPT, serving="Latency")
    assert "not at hand" in app.at.info[0].value
    assert "Not measured yet." in app.said()
    assert not any("Measure" in button.label for button in app.at.button)


def test_stored_answers_stay_visible_without_the_set(app: App, explored: Path) -> None:
    """When the data set is gone, what was measured is still shown; only measuring again is not offered."""
    with Workspace.open(explored) as workspace:
        workspace.delete_dataset(newest(explored).dataset["sha256"])
    app.show(SCRIPT, serving="Latency")
    assert app.charts() == 3
    assert not any("again" in button.label for button in app.at.button)


def test_an_answer_of_another_version_can_be_measured_again(app: App, explored: Path) -> None:
    """A stored answer that this version cannot read gives one sentence, and measuring it again is offered."""
    run = newest(explored)
    with Workspace.open(explored) as workspace:
        workspace.save_run(
            kind="latency",
            dataset=run.dataset,
            parameters={"sweep": run.id},
            seed=0,
            summary={"result": {"class": "FromTheFuture", "fields": {}}},
            arrays={},
            elapsed_s=0,
        )
    app.show(SCRIPT, serving="Latency")
    assert len(app.at.error) == 1
    assert "this version knows" in app.at.error[0].value
    assert app.at.button(key="measure").label == "Measure what is missing"


def test_a_set_that_only_this_tab_holds_can_be_measured(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """An uploaded set is measured in the tab that holds it; another tab sees the run without a way to measure it."""
    small = small_set()
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(small, (8, 16), (10,)))
    mine, other = new_tab(), new_tab()
    mine.at.session_state["_held"] = HeldSet(embedding_set=small, health=inspect_health(small), place="tab")
    assert any(button.key == "measure" for button in mine.show(SCRIPT, serving="Latency").at.button)
    assert not any(button.key == "measure" for button in other.show(SCRIPT, serving="Latency").at.button)


def test_everything_is_measured_on_demand(app: App, workspace_folder: Path) -> None:
    """One button measures every panel; each is stored as a run, and a refused one shows its sentence."""
    small = small_set()
    with Workspace.open(workspace_folder) as workspace:
        run = save_sweep(workspace, sweep(small, (8, 16), (10,)))
        workspace.save_dataset(small)
    app.show(SCRIPT, serving="Latency")
    assert app.charts() == 0
    app.at.button(key="measure").click().run()
    app.until(lambda at: app.charts() == 3 and not at.get("progress"))
    with Workspace.open(workspace_folder) as workspace:
        answers = panel_answers(workspace, run)
    assert set(answers) == {panel.key for panel in PANELS}
    assert "2,000" in (answers["forecast"].refused or "")
    assert not any(button.key == "measure" for button in app.at.button)


def test_one_panel_is_measured_again(app: App, explored: Path) -> None:
    """Measure again stores a new answer of this panel and leaves the others alone."""
    app.show(SCRIPT, serving="Bytes")
    with Workspace.open(explored) as workspace:
        before = panel_runs(workspace, newest(explored))
    app.at.button(key="again_footprint").click().run()
    app.until(lambda at: not at.get("progress"))
    with Workspace.open(explored) as workspace:
        after = panel_runs(workspace, newest(explored))
    assert {key for key in after if after[key].id != before[key].id} == {"footprint"}
    assert app.charts() == 1


def test_a_name_with_markup_is_shown_letter_for_letter(app: App, workspace_folder: Path) -> None:
    """Markdown and HTML in a data set's name and labels reach the page escaped."""
    vectors = small_set().corpus
    named = EmbeddingSet(name="<b>x</b> **y** $z$", corpus=vectors).with_held_out_queries(40)
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(named, (8, 16), (10,)))
    app.show(SCRIPT, serving="Cost")
    (line,) = [caption.value for caption in app.at.caption if "queries" in caption.value]
    assert r"\<b\>x\<\/b\>" in line
    assert r"\*\*y\*\*" in line


def test_an_unknown_run_is_one_sentence(new_tab: Callable[[], App], explored: Path) -> None:
    """A run id that is not there gives one sentence and a way to the newest run, on this page too."""
    app = new_tab().show(SCRIPT, serving="Bytes", run="20200101-000000-00000000")
    assert len(app.at.error) == 1
    next(button for button in app.at.button if button.label == "Open the newest run").click().run()
    assert not app.at.error
    assert app.at.text_input(key="run").value == newest(explored).id
