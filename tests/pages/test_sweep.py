"""The Sweep page."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from streamlit.elements.lib import policies

from engine.embeddings import EmbeddingSet
from engine.embeddings.samples import load_sample
from engine.errors import WorkspaceError
from engine.tradeoff import load_sweep, save_sweep, sweep
from engine.workspace import Workspace
from pages.shell import jobs, state
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.testing.v1 import AppTest

    from engine.workspace import Run
    from tests.pages.conftest import App


SCRIPT = "pages/explore/sweep.py"


def has_curve(at: AppTest) -> bool:
    return bool(at.get("plotly_chart"))


def verdicts(at: AppTest) -> dict[int, str]:
    table = at.dataframe[0].value
    return {int(dim): verdict.split()[-1] for dim, verdict in zip(table["dim"], table["verdict"], strict=True)}


@pytest.fixture(scope="module")
def digits() -> EmbeddingSet:
    return load_sample("digits-pca")


@pytest.fixture(scope="module")
def swept_folder(tmp_path_factory: pytest.TempPathFactory, digits: EmbeddingSet) -> Path:
    """Make a workspace with a sweep, of which every test takes a copy."""
    folder = tmp_path_factory.mktemp("swept") / "workspace"
    with Workspace.open(folder) as workspace:
        save_sweep(workspace, sweep(digits, [8, 16, 32, 64], n_queries=200))
    return folder


@pytest.fixture
def stored_run(workspace_folder: Path, swept_folder: Path) -> Run:
    """Store a sweep before the app opens."""
    (run,) = runs(Path(shutil.copytree(swept_folder, workspace_folder, dirs_exist_ok=True)))
    return run


def runs(folder: Path) -> tuple[Run, ...]:
    with Workspace.open(folder) as workspace:
        return workspace.runs(kind="sweep")


def test_first_launch_reaches_a_finished_curve(app: App, workspace_folder: Path) -> None:
    """An empty workspace sweeps the bundled set by itself, stores the run and shows its recommendation and curve."""
    app.open(SCRIPT).until(has_curve)
    with Workspace.open(workspace_folder) as workspace:
        (run,) = workspace.runs(kind="sweep")
        assert run.dataset["name"] == "API reference"
        assert load_sweep(workspace, run.id).has_judgements
    assert "256 dimensions" in app.at.title[0].value
    assert app.at.text_input(key="run").value == run.id
    assert len(app.at.get("plotly_chart")) == 2


def test_two_tabs_on_an_empty_workspace_sweep_once(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """Tabs that open together watch one first sweep; only one run is stored."""
    one, other = new_tab().open(SCRIPT), new_tab().open(SCRIPT)
    one.until(has_curve)
    other.until(has_curve)
    assert len(runs(workspace_folder)) == 1


def test_a_stored_run_opens_without_sweeping(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """A workspace with runs shows the newest at once, and its id goes into the address."""
    app.open(SCRIPT)
    assert has_curve(app.at)
    assert app.at.text_input(key="run").value == stored_run.id
    assert app.at.query_params["run"] == stored_run.id
    assert [run.id for run in runs(workspace_folder)] == [stored_run.id]


def test_an_empty_run_in_the_address_becomes_the_newest(app: App, stored_run: Run) -> None:
    """`?run=` with nothing after it opens the newest run, and the address names it."""
    app.open(SCRIPT, run="")
    assert has_curve(app.at)
    assert app.at.text_input(key="run").value == stored_run.id
    assert app.at.query_params["run"] == stored_run.id


def test_the_list_of_runs_has_one_source_of_its_choice(
    app: App,
    stored_run: Run,
    workspace_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A run further down the list is shown without Streamlit's warning of a default beside a session state."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(load_sample("digits-pixels"), [32, 64], n_queries=50))
    monkeypatch.setattr(policies, "_shown_default_value_warning", False)  # it is given once for a process
    logger = logging.getLogger(policies.__name__)
    logger.addHandler(caplog.handler)
    try:
        app.open(SCRIPT, run=stored_run.id)
    finally:
        logger.removeHandler(caplog.handler)
    assert app.at.selectbox(key="run_choice").value == stored_run.id
    assert not [words for words in caplog.messages if "default value" in words]


def test_a_damaged_database_is_one_sentence(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """A database that is damaged while the app is open gives one sentence on the page, no traceback."""
    app.open(SCRIPT)
    for file in workspace_folder.glob("workspace.db*"):
        file.write_bytes(b"no database" * 2000)
    app.at.run()
    assert not app.at.exception
    assert len(app.at.error) == 1
    assert "database" in app.at.error[0].value


def test_a_first_sweep_that_failed_is_tried_again_when_asked(
    new_tab: Callable[[], App], workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sentence stays, in every tab, until Try again is pressed; then it runs to its curve."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise WorkspaceError("the disk must have room")

    with monkeypatch.context() as broken:
        broken.setattr(sys.modules["pages.shell.sweep.sweeping"], "save_sweep", fail)
        one = new_tab().open(SCRIPT).until(lambda at: at.error)
        other = new_tab().open(SCRIPT)
        for app in (one, other):
            assert [error.value.replace("\\", "") for error in app.at.error] == ["The disk must have room"]
            assert not app.at.get("progress")
    one.at.button(key="first_sweep_again").click().run()
    one.until(has_curve)
    assert not one.at.error
    assert len(runs(workspace_folder)) == 1


def test_a_first_sweep_that_was_forgotten_is_one_sentence(app: App, workspace_folder: Path) -> None:
    """When the runner does not know the first sweep any more the page says so and offers another try."""
    with Workspace.open(workspace_folder):
        pass
    app.open(SCRIPT).until(lambda at: at.get("progress"))
    first = services().first_sweep
    with first.lock:
        assert first.job_id is not None
        services().jobs.wait(first.owner, services().jobs.cancel(first.owner, first.job_id).id)
        first.job_id = "forgotten"
    app.at.run()
    assert not app.at.exception
    assert len(app.at.error) == 1
    assert "No such job" in app.at.error[0].value
    app.at.button(key="first_sweep_again").click().run()
    app.until(has_curve)


def test_moving_the_target_reads_stored_values(
    app: App, stored_run: Run, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another target or k changes verdicts and the recommendation; nothing is scored and no run is added."""

    def trip(*_arguments: object, **_options: object) -> None:
        raise AssertionError("scored again")

    monkeypatch.setattr(sys.modules["engine.tradeoff.sweep"], "nested_topk", trip)
    app.open(SCRIPT)
    strict = verdicts(app.at)
    app.at.slider(key="target").set_value(0.5).run()
    assert not app.at.exception
    loose = verdicts(app.at)
    assert strict != loose
    assert list(strict.values()).count("safe") < list(loose.values()).count("safe")
    before = app.at.dataframe[0].value["recall"].tolist()
    app.at.button_group(key="k").set_value(1).run()
    assert app.at.dataframe[0].value["recall"].tolist() != before
    assert [run.id for run in runs(workspace_folder)] == [stored_run.id]


def test_the_address_reopens_run_and_view(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """Run, criterion, k and target in the address are what the page shows, whatever ran since."""
    with Workspace.open(workspace_folder) as workspace:
        asked = save_sweep(workspace, sweep(load_sample("api-reference"), [64, 128, 256], (1, 10), n_queries=100))
        save_sweep(workspace, sweep(load_sample("digits-pixels"), [32, 64], n_queries=100))
    at = new_tab().open(SCRIPT, run=asked.id, criterion="nDCG", k="1", target="0.8").at
    assert not at.exception
    assert at.text_input(key="run").value == asked.id
    assert at.slider(key="target").value == 0.8
    assert at.button_group(key="k").value == 1
    assert at.button_group(key="criterion").value == "nDCG"
    assert "nDCG@1" in at.markdown[1].value.replace("\\", "")
    assert set(verdicts(at)) == {64, 128, 256}


@pytest.mark.parametrize("asked", ["20260101-000000-00000000", "../../etc/passwd", "<b>x</b>", "x" * 3000])
def test_an_unknown_run_is_one_sentence_and_an_offer(app: App, stored_run: Run, asked: str) -> None:
    """A run id that is not there gives one sentence, no traceback, and a way to the newest run."""
    app.open(SCRIPT, run=asked)
    assert not app.at.exception
    assert len(app.at.error) == 1
    assert "No such run" in app.at.error[0].value
    assert not has_curve(app.at)
    next(button for button in app.at.button if button.label == "Open the newest run").click().run()
    assert not app.at.error
    assert has_curve(app.at)
    assert app.at.text_input(key="run").value == stored_run.id


def test_another_run_is_chosen_from_the_list(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """The list of runs opens any of them, and the address follows."""
    with Workspace.open(workspace_folder) as workspace:
        newest = save_sweep(workspace, sweep(load_sample("digits-pixels"), [32, 64], n_queries=100))
    app.open(SCRIPT)
    assert app.at.text_input(key="run").value == newest.id
    app.at.selectbox(key="run_choice").set_value(stored_run.id).run()
    assert app.at.text_input(key="run").value == stored_run.id
    assert set(verdicts(app.at)) == {8, 16, 32, 64}


def test_a_new_sweep_runs_and_opens(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """The form sweeps the chosen set with the chosen dims, stores the run, opens it and folds itself."""
    app.open(SCRIPT)
    app.at.session_state["new_sweep"] = True
    app.at.run()
    app.at.selectbox(key="sweep_source").set_value("sample:digits-pixels").run()
    app.at.text_input(key="dims_sample:digits-pixels").set_value("64, 16").run()
    app.at.number_input(key="n_queries_sample:digits-pixels").set_value(50).run()
    app.at.button(key="run_sweep").click().run()
    app.until(lambda at: len(runs(workspace_folder)) == 2 and at.text_input(key="run").value != stored_run.id)
    newest = runs(workspace_folder)[0]
    assert app.at.text_input(key="run").value == newest.id
    assert newest.parameters["dims"] == [16, 64]
    assert newest.dataset["n_queries"] == 50
    assert app.at.session_state["new_sweep"] is False
    assert any("A sample of 50" in warning.value for warning in app.at.warning)


def test_the_k_that_was_typed_is_the_k_that_is_swept(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """The form offers its usual dims and k as text, and 2 means 2."""
    app.open(SCRIPT)
    app.at.session_state["new_sweep"] = True
    app.at.session_state["sweep_source"] = "sample:digits-pixels"
    app.at.run()
    assert app.at.text_input(key="dims_sample:digits-pixels").value == "2, 4, 8, 16, 32, 64"
    assert app.at.text_input(key="ks").value == "1, 10, 100"
    app.at.text_input(key="ks").set_value("5,2").run()
    app.at.button(key="run_sweep").click().run()
    app.until(lambda _at: len(runs(workspace_folder)) == 2)
    assert runs(workspace_folder)[0].parameters["ks"] == [2, 5]


def test_two_sweeps_at_once_are_both_kept(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """A second sweep does not take the place of the first: both are stored, and the last to finish is shown."""
    app.open(SCRIPT)
    for n_queries in (60, 70):
        app.at.session_state["new_sweep"] = True
        app.at.run()
        app.at.number_input(key=f"n_queries_{app.at.selectbox(key='sweep_source').value}").set_value(n_queries).run()
        app.at.button(key="run_sweep").click().run()
    app.until(lambda _at: len(runs(workspace_folder)) == 3).until(lambda at: not at.get("progress"))
    assert {run.dataset["n_queries"] for run in runs(workspace_folder)} == {200, 60, 70}
    assert app.at.text_input(key="run").value in {run.id for run in runs(workspace_folder)[:2]}


def test_a_click_is_not_lost_to_a_sweep_that_ends_meanwhile(
    app: App, stored_run: Run, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button that a page is drawn for is answered, although a sweep ends just after the page looked for its end."""

    def looked_too_early() -> None:
        while any(not services().jobs.job(state.owner(), one).is_finished for one in state.followed_jobs("sweep")):
            time.sleep(0.01)

    app.open(SCRIPT)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "take_swept", looked_too_early)
        for n_queries in (60, 70):
            app.at.session_state["new_sweep"] = True
            app.at.run()
            app.at.number_input(key=f"n_queries_{app.at.selectbox(key='sweep_source').value}").set_value(n_queries)
            app.at.button(key="run_sweep").click().run()
    app.until(lambda _at: len(runs(workspace_folder)) == 3)


def test_the_run_is_still_open_after_a_visit_elsewhere(app: App, stored_run: Run, workspace_folder: Path) -> None:
    """Going to another page and back shows the same run, although a newer one is there."""
    app.open(SCRIPT)
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(load_sample("digits-pixels"), [32, 64], n_queries=50))
    app.at.switch_page("pages/data/datasets.py").run()
    app.at.switch_page("pages/explore/sweep.py").run()
    assert not app.at.exception
    assert app.at.text_input(key="run").value == stored_run.id


IMPOSSIBLE = (
    ("dims", "0, 64", "between 1 and the full dimension 64; found 0"),
    ("dims", "-3 64", "between 1 and the full dimension 64; found -3"),
    ("dims", "65", "found 65"),
    ("dims", "many", "whole numbers; found 'many'"),
    ("dims", "1e3", "whole numbers; found '1e3'"),
    ("dims", "16, 16", "must not repeat"),
    ("dims", " , ", "must not be empty"),
    ("dims", "9" * 5000, "at most 9 digits"),
    ("ks", "0, 10", "k must be at least 1; found 0"),
    ("ks", "1, \u00b2", "must be whole numbers"),
    ("ks", "", "must not be empty"),
    ("ks", "1, " + "9" * 5000, "at most 9 digits"),
)


@pytest.mark.parametrize("field", ["dims", "ks"])
def test_impossible_dims_and_k_are_one_sentence(app: App, stored_run: Run, workspace_folder: Path, field: str) -> None:
    """Numbers out of range, words, thousands of digits, or none at all give one sentence; nothing is started."""
    app.open(SCRIPT)
    app.at.session_state["new_sweep"] = True
    app.at.session_state["sweep_source"] = "sample:digits-pixels"
    app.at.run()
    key = "dims_sample:digits-pixels" if field == "dims" else field
    for _, typed, said in (one for one in IMPOSSIBLE if one[0] == field):
        app.at.text_input(key=key).set_value(typed)
        app.press("run_sweep")
        assert len(app.at.error) == 1, typed[:20]
        assert said.lower() in app.at.error[0].value.replace("\\", "").lower()
    assert [run.id for run in runs(workspace_folder)] == [stored_run.id]


def test_sets_without_judgements_offer_recall_only(app: App, workspace_folder: Path) -> None:
    """Without relevance judgements there is no nDCG to judge by, no nDCG metric and no second chart."""
    vectors = np.random.default_rng(0).standard_normal((400, 16)).astype(np.float32)
    plain_set = EmbeddingSet(name="no qrels", corpus=vectors).with_held_out_queries(60)
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(plain_set))
    app.open(SCRIPT, criterion="nDCG")
    assert not app.at.exception
    assert app.at.button_group(key="criterion").options == ["recall"]
    assert len(app.at.get("plotly_chart")) == 1
    assert not any("nDCG" in metric.label for metric in app.at.metric)
    assert any("held-out queries" in caption.value.replace("\\", "") for caption in app.at.caption)


def test_a_name_with_markup_is_shown_letter_for_letter(app: App, workspace_folder: Path) -> None:
    """Markdown, LaTeX, icons and HTML in a data set's name reach the page escaped."""
    name = "<img src=x onerror=alert(1)> **b** $x^2$ :material/home: [l](http://a.b)"
    vectors = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(EmbeddingSet(name=name, corpus=vectors).with_held_out_queries(40)))
    app.open(SCRIPT)
    assert not app.at.exception
    (line,) = [caption.value for caption in app.at.caption if "documents" in caption.value]
    assert r"\<img src\=x" in line
    assert r"\*\*b\*\*" in line
    assert r"\$x\^2\$" in line
    assert "material/home:" not in line
    assert not any(element.allow_html for kind in ("markdown", "caption") for element in app.at.get(kind))
