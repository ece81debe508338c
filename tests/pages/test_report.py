"""The page Report."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import synthetic
from engine.experiment.analysis import analyze_counts
from engine.experiment.storage import Origin, save_analysis
from engine.present.report.building import build_report
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.embeddings import EmbeddingSet
    from engine.workspace import Run
    from tests.pages.conftest import App

SCRIPT = "pages/present/report.py"
ALWAYS = ["Verdict", "What every dimension keeps", "Who loses", "Method", "Seeds, digests and machine"]
UNESCAPED = re.compile(r"(?<!\\)[<\[`$]")


@pytest.fixture
def swept(workspace_folder: Path) -> Run:
    """Give the app a workspace with one small sweep."""
    with Workspace.open(workspace_folder) as workspace:
        return save_sweep(workspace, sweep(small(), (4, 8, 16), (1, 10)))


def small(seed: int = 0) -> EmbeddingSet:
    """Return 300 documents of which 8 of 16 dimensions say nearly everything."""
    return synthetic(300, 16, n_queries=40, clusters=5, spectrum=4.0, seed=seed)


def sections(app: App) -> list[str]:
    """Return the titles of the sections in the preview."""
    folders = [one.label for one in app.at.expander if one.label.startswith("**")]
    return [label.split("**")[1].replace("\\", "") for label in folders]


def arrange(app: App) -> App:
    """Draw the page with the list of sections open, which AppTest itself forgets from one run to the next."""
    app.at.session_state["report_sections"] = True
    app.at.run()
    assert not app.at.exception
    return app


def files(app: App) -> list[bool]:
    """Return of each file to download whether it is offered."""
    return [not one.proto.disabled for one in app.at.get("download_button")]


def test_everything_that_has_data_is_previewed_and_offered(app: App, swept: Run) -> None:
    """Sections are those of the engine's report, what has no data is named, three files are there to download."""
    app.show(SCRIPT)
    assert sections(app) == ALWAYS
    words = app.said()
    assert "Keep 8 of 16 dimensions" in words
    assert "Left out, since nothing is stored for them: Beside other runs, Latency" in words
    assert "5 sections · 3 charts · 7 tables" in words
    assert files(app) == [True, True, True]
    assert [one.value for one in app.at.code] == [f"dimshift report {swept.id} --out report.html"]


def test_sections_are_left_out_moved_and_titled(app: App, swept: Run) -> None:
    """The preview follows at once, the shell's command says the same, and one button brings the usual back."""
    arrange(app.show(SCRIPT)).at.checkbox(key="report_in_curves").uncheck()
    arrange(app).at.button(key="report_up_losers").click()
    arrange(app).at.text_input(key="report_name_losers").set_value("Who is hurt, and how")
    arrange(app).at.text_input(key="report_title").set_value("For Tuesday").run()
    # Moved past the one that is left out, it comes after the verdict as before.
    assert sections(app) == ["Verdict", "Who is hurt, and how", "Method", "Seeds, digests and machine"]
    arrange(app).at.button(key="report_up_losers").click().run()
    assert sections(app)[0] == "Who is hurt, and how"
    assert "For Tuesday" in [one.value for one in app.at.header]
    assert app.at.code[0].value.endswith(
        "--title 'For Tuesday' --sections '\"losers=Who is hurt, and how\",verdict,method,provenance'"
    )
    arrange(app).at.button(key="report_usual").click()
    arrange(app)
    assert sections(app) == ALWAYS
    assert app.at.checkbox(key="report_in_curves").value
    assert app.at.text_input(key="report_name_losers").value == ""


def test_no_section_at_all_is_no_report(app: App, swept: Run) -> None:
    """With every box empty nothing is offered and the page says what to do."""
    arrange(app.show(SCRIPT))
    for key in ("verdict", "curves", "losers", "method", "provenance"):
        app.at.checkbox(key=f"report_in_{key}").uncheck()
    app.at.run()
    assert "Choose at least one section." in app.said()
    assert files(app) == []


def test_another_run_beside_it_has_a_section(app: App, swept: Run, workspace_folder: Path) -> None:
    """The address names the other run; one that is not there is a sentence, and the choice stays on the page."""
    with Workspace.open(workspace_folder) as workspace:
        other = save_sweep(workspace, sweep(small(1), (4, 8, 16), (1, 10)))
    app.show(SCRIPT, run=swept.id, beside=other.id)
    assert "Beside other runs" in sections(app)
    assert f"--compare {other.id}" in app.at.code[0].value
    app.at.text_input(key="beside").set_value("20200101-000000-00000000").run()
    assert not app.at.exception
    assert [one.value.replace("\\", "") for one in app.at.error] == [
        "No such run is in this workspace; found 20200101-000000-00000000. Choose one of the stored runs."
    ]
    app.at.multiselect(key="_chosen_beside").set_value([other.id]).run()
    assert "Beside other runs" in sections(app)


def test_an_unknown_run_is_one_sentence(app: App, swept: Run) -> None:
    """An id that nothing has gives no report and a button to the newest run."""
    app.show(SCRIPT, run="../../etc/passwd")
    assert "No such run is in this workspace" in app.said()
    assert files(app) == []
    next(one for one in app.at.button if one.label == "Open the newest run").click().run()
    assert sections(app) == ALWAYS


def test_what_is_done_meanwhile_comes_in(app: App, swept: Run, workspace_folder: Path) -> None:
    """An A/B test that is stored while the page is open is in the report when it is drawn next."""
    app.show(SCRIPT)
    with Workspace.open(workspace_folder) as workspace:
        found = replace(analyze_counts((120, 1000), (118, 1000)), experiment_id="the new one")
        save_analysis(workspace, found, Origin())
    app.at.run()
    assert "A/B tests" in sections(app)
    assert "A/B test the new one" in app.said()


def test_every_section_can_be_looked_into(
    new_tab: Callable[[], App], workspace_folder: Path, told_workspace: Path
) -> None:
    """Of a workspace that holds everything each chart and table is drawn, and no text of the data set is markup."""
    shutil.copytree(told_workspace, workspace_folder, dirs_exist_ok=True)
    with Workspace.open(workspace_folder) as workspace:
        report = build_report(workspace, workspace.runs(kind="sweep")[0].id)
    app = new_tab().show(SCRIPT)
    for section in report.sections:
        app.at.session_state[f"report_show_{section.key}"] = True
    app.at.run()
    assert not app.at.exception
    assert len(app.at.get("plotly_chart")) == len(report.charts)
    assert len(app.at.dataframe) + len(app.at.table) == len(report.tables)
    labels = [one.label for one in app.at.expander]
    marked = [words for words in (*app.words(), *labels) if UNESCAPED.search(words.replace("[synthetic]", ""))]
    allowed = (":gray-badge[", ":green-badge[", ":red-badge[", ":orange-badge[", ":yellow-badge[")
    assert [words for words in marked if not words.startswith(allowed)] == []
    assert "<script>window.hacked=1</script>" in app.said()
