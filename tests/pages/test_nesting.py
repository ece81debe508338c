"""The page Nesting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import load_sample
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.panels import PANELS, PanelOptions, explore, panel_answers, panel_runs
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.pages.conftest import App

SCRIPT = "pages/explore/nesting.py"
NESTS, GROWS, SCALE = "Does it nest?", "Will it hold as the corpus grows?", "Score scale"


def answer(folder: Path, key: str) -> Any:
    with Workspace.open(folder) as workspace:
        return panel_answers(workspace, workspace.runs(kind="sweep", limit=1)[0])[key].result


def test_the_verdict_stands_in_words_above_its_chart(app: App, explored: Path) -> None:
    """Verdict and gain are said as the result says them; the table has every dim below the full one."""
    app.show(SCRIPT, nesting=NESTS)
    result = answer(explored, "nesting")
    assert all(sentence in app.said() for sentence in result.sentences)
    assert app.charts() == 1
    assert app.at.dataframe[0].value["dim"].tolist() == [32, 64]
    assert any("random subsets" in caption.value for caption in app.at.caption)


@pytest.mark.slow
def test_set_and_rotated_control_come_out_on_opposite_sides(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """The bundled set is called ordered, its rotation spread evenly, each on its own run of the page."""
    runs = {}
    with Workspace.open(workspace_folder) as workspace:
        for key in ("api-reference", "api-reference-rotated"):
            sample = load_sample(key)
            result = sweep(sample, (128, 256), (10,))
            runs[key] = save_sweep(workspace, result).id
            explore(workspace, sample, result, run_id=runs[key], keys=["nesting"])
    ordered = new_tab().show(SCRIPT, nesting=NESTS, run=runs["api-reference"]).said()
    control = new_tab().show(SCRIPT, nesting=NESTS, run=runs["api-reference-rotated"]).said()
    assert "Ordered" in ordered
    assert "Spread evenly" not in ordered
    assert "Spread evenly" in control
    assert "Ordered" not in control


def test_the_forecast_says_how_well_its_trend_did(app: App, explored: Path) -> None:
    """Forecast with interval, held-back test and chart are there; a dim can be left out of the chart."""
    app.show(SCRIPT, nesting=GROWS)
    result = answer(explored, "forecast")
    assert result.sentence in app.said()
    assert app.charts() == 1
    table = app.at.dataframe[0].value
    assert table["test"].str.contains(" of ").all()
    app.at.button_group(key="forecast_dims").set_value([]).run()
    assert not app.at.exception
    assert app.charts() == 0
    assert "Choose at least one dimension." in app.said()


def test_another_target_size_measures_this_panel_alone(app: App, explored: Path) -> None:
    """Asking for another size stores a new forecast for it; every other answer stays."""
    app.show(SCRIPT, nesting=GROWS)
    target = next(field for field in app.at.number_input if field.label == "Documents you expect")
    assert target.value == answer(explored, "forecast").target_size
    with Workspace.open(explored) as workspace:
        run = workspace.runs(kind="sweep", limit=1)[0]
        before = panel_runs(workspace, run)
    target.set_value(1_000_000).run()
    app.at.button(key="again_forecast").click().run()
    app.until(lambda at: "with **1,000,000** the trend" in app.said() and not at.get("progress"))
    assert answer(explored, "forecast").target_size == 1_000_000
    with Workspace.open(explored) as workspace:
        after = panel_runs(workspace, run)
    assert {key for key in after if after[key].id != before[key].id} == {"forecast"}


def test_too_small_a_set_is_refused_in_one_plain_sentence(app: App, workspace_folder: Path) -> None:
    """Below 2,000 documents the growth tab says so and why; nothing else of the page suffers."""
    digits = load_sample("digits-pca")
    with Workspace.open(workspace_folder) as workspace:
        result = sweep(digits, (16, 64), (10,), n_queries=50)
        run = save_sweep(workspace, result)
        explore(workspace, digits, result, run_id=run.id, keys=["forecast", "score-scale"])
    app.show(SCRIPT, nesting=GROWS)
    (refusal,) = [info.value.replace("\\", "") for info in app.at.info]
    assert refusal.startswith("A forecast needs at least 2,000 documents; found 1497.")
    assert "Traceback" not in refusal
    assert not app.at.error
    assert app.charts() == 0


def test_a_cut_off_is_translated_to_every_dimension(app: App, explored: Path) -> None:
    """The cut-off has a row a dim with its interval and flips; moving it accepts more or fewer."""
    app.show(SCRIPT, nesting=SCALE)
    table = app.at.dataframe[0].value
    assert table["dim"].tolist() == [32, 64, 256]
    assert table["flipped"].tolist()[-1] == 0
    assert app.charts() == 1
    first = table["own"].tolist()
    value = app.at.number_input(key="cutoff").value
    app.at.number_input(key="cutoff").set_value(value + 0.1).run()
    assert not app.at.exception
    assert app.at.dataframe[0].value["own"].tolist()[-1] < first[-1]
    app.at.button_group(key="score_depth").set_value("top 1").run()
    assert not app.at.exception


def test_the_cut_off_is_in_the_address(app: App, explored: Path) -> None:
    """An address with a cut-off shows the page with it."""
    app.show(SCRIPT, nesting=SCALE, cutoff="0.9")
    assert app.at.number_input(key="cutoff").value == pytest.approx(0.9)
    assert "0.9 accepts" in app.said()


def test_a_bundled_set_is_measured_by_itself_once(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """Two tabs on a bundled run of which nothing is stored watch one measuring; panels appear, each stored once."""
    with Workspace.open(workspace_folder) as workspace:
        run = save_sweep(workspace, sweep(load_sample("digits-pca"), (16, 64), (10,), n_queries=60))
    one, other = new_tab().show(SCRIPT, nesting=NESTS), new_tab().show(SCRIPT, nesting=NESTS)
    one.until(lambda _at: one.charts() == 1)
    one.until(lambda at: not at.get("progress"))
    other.until(lambda at: not at.get("progress"))
    assert other.charts() == 1
    with Workspace.open(workspace_folder) as workspace:
        stored = {panel.key: len(workspace.runs(kind=panel.key)) for panel in PANELS}
        assert set(panel_runs(workspace, run)) == set(stored)
    assert set(stored.values()) == {1}


def test_a_cancelled_measuring_keeps_what_it_has(app: App, workspace_folder: Path, phrases: Any) -> None:
    """Cancel stops between two steps and says that what was measured is kept; the rest can be measured later."""
    with Workspace.open(workspace_folder) as workspace:
        result = sweep(phrases, (32, 64, 256), (1, 10))
        run = save_sweep(workspace, result)
        workspace.save_dataset(phrases)
        explore(
            workspace, phrases, result, run_id=run.id, keys=["score-scale"], options=PanelOptions(target_size=10_000)
        )
    app.show(SCRIPT, nesting=SCALE)
    assert app.charts() == 1
    button = app.at.button(key="measure")
    assert button.label == "Measure what is missing"
    button.click().run()
    cancel = next((one for one in app.at.button if one.label == "Cancel"), None)
    if cancel is not None:
        cancel.click().run()
    deadline = time.monotonic() + 20
    while app.at.get("progress") and time.monotonic() < deadline:
        time.sleep(0.05)
        app.at.run()
    assert not app.at.exception
    assert any("what was measured until then is kept" in info.value.replace("\\", "") for info in app.at.info)
    assert app.charts() == 1
    assert app.at.button(key="measure").label == "Measure what is missing"
