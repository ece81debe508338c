"""The A/B test page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from engine.embeddings.samples import load_sample
from engine.experiment.analysis import analyze, analyze_counts
from engine.experiment.faults import Fault
from engine.experiment.presets import preset
from engine.experiment.storage import KIND, Origin, load_analysis, load_origin, save_analysis
from engine.experiment.traffic import simulate
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace
from pages.shell.ab import runs as ab_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.experiment.presets import Preset
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.workspace import Run
    from tests.pages.conftest import App

SCRIPT = "pages/validate/ab_test.py"
PAGE = Path(__file__).resolve().parents[2] / SCRIPT
SMALL = {"n_users": 4000, "queries_per_day": 4000, "n_days": 4}


def small(name: str, **changes: object) -> TrafficSettings:
    return replace(preset(name).settings, **{**SMALL, "faults": (), **changes})


def store(folder: Path, traffic: TrafficSettings) -> Run:
    """Simulate, analyse and store a small experiment before the app opens."""
    with Workspace.open(folder) as workspace:
        found = analyze(simulate(traffic), seed=traffic.seed)
        return save_analysis(workspace, found, Origin(traffic=traffic))


def stored_tests(folder: Path) -> tuple[Run, ...]:
    with Workspace.open(folder) as workspace:
        return workspace.runs(kind=KIND)


@pytest.fixture
def open_page(new_tab: Callable[[], App]) -> Callable[..., App]:
    """Return what opens the page alone in a tab of its own: the app's default page would begin with a sweep."""

    def open_tab(**query: str) -> App:
        tab = new_tab()
        tab.at = AppTest.from_file(str(PAGE), default_timeout=30)
        return tab.open(**query)

    return open_tab


@pytest.fixture
def app(open_page: Callable[..., App]) -> App:
    """Return the page, open on what the workspace holds."""
    return open_page()


@pytest.fixture
def stored(workspace_folder: Path) -> Run:
    """Store a small test of the example migration."""
    return store(workspace_folder, small("768 of 3072"))


@pytest.fixture
def on_sweep(workspace_folder: Path) -> Run:
    """Store a small sweep beside a test."""
    store(workspace_folder, small("768 of 3072"))
    with Workspace.open(workspace_folder) as workspace:
        return save_sweep(workspace, sweep(load_sample("digits-pca"), [16, 64], n_queries=100))


def is_idle(at: AppTest) -> bool:
    return not at.get("progress")


def ended(app: App) -> App:
    """Wait until the job has ended, and show what it left."""
    app.until(is_idle).at.run()
    return app


def form(app: App, kind: str = "Simulate") -> App:
    """Open the form."""
    app.at.session_state["new_test"] = True
    app.at.run()
    if kind != "Simulate":
        app.at.button_group(key="ab_kind").set_value(kind).run()
    assert not app.at.exception
    return app


def fill(app: App, **values: float) -> App:
    """Set number fields of the form whose keys begin with these words."""
    for name, value in values.items():
        field = next(one for one in app.at.number_input if str(one.key).startswith(f"ab_{name}_"))
        field.set_value(value)
    app.at.run()
    return app


def csv_log(n: int = 2000, *, latency: str = "latency_ms", control: str = "control") -> bytes:
    lines = [f"user_id,timestamp,variation_id,clicked,{latency}"]
    for row in range(n):
        user = row % 400
        arm = control if user % 2 else "small"
        lines.append(f"u{user},2026-01-{5 + row // 400:02d}T10:00:00Z,{arm},{int(row * 37 % 100 < 20)},{20 + row % 90}")
    return "\n".join(lines).encode()


def upload(app: App, name: str, content: bytes) -> App:
    """Upload a log into the form."""
    if not app.at.get("file_uploader"):
        form(app, "Analyze a log")
    app.at.file_uploader(key="ab_log_file").upload(name, content)
    app.at.run()
    assert not app.at.exception
    return app


def run_log(app: App) -> App:
    app.at.button(key="run_log").click().run()
    return ended(app)


def show(app: App, tab: str) -> App:
    """Open one of the tabs."""
    app.at.session_state["ab"] = tab
    app.at.run()
    assert not app.at.exception
    return app


def test_the_first_visit_shows_a_finished_simulation(
    open_page: Callable[..., App], workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A workspace without tests simulates one, once for two tabs, and says that it is simulated."""
    fewer: Preset = replace(preset("768 of 3072"), settings=small("768 of 3072"))
    monkeypatch.setattr(ab_runs, "preset", lambda _name: fewer)
    one, other = open_page(), open_page()
    for app in (one, other):
        app.until(lambda at: at.header)
        assert "in simulation" in app.at.header[0].value
        assert "No real user stands behind these numbers" in app.said()
    (run,) = stored_tests(workspace_folder)
    assert run.id in str(one.at.query_params["run"])


def test_sentences_come_first_and_every_tab_has_its_charts(
    stored: Run, open_page: Callable[..., App], workspace_folder: Path
) -> None:
    """The address opens a read-out: the verdict, a sentence and a chip a metric, the classic test; charts by tab."""
    app = open_page(run=stored.id)
    with Workspace.open(workspace_folder) as workspace:
        found = load_analysis(workspace, stored.id)
    assert found.verdict in app.at.header[0].value.lower()
    shown = app.said()
    for one in (*found.metrics, *(each for each in found.latencies if each.is_judged)):
        told = one.sentence.partition(f"{one.verdict}. ")[2].partition("(")[0]
        assert f"{one.verdict}] **" in shown
        assert told in shown
    assert "which does not mean safe" in shown, "the classic read-out is always there, with its caveat"
    assert [len(frame.value) for frame in app.at.dataframe] == [len(found.metrics), 2]
    for tab, n_charts in (("Read-out", 1), ("By day", 4), ("Latency", 2), ("Segments", 0), ("Power", 1)):
        assert len(show(app, tab).at.get("plotly_chart")) == n_charts, tab
        assert not app.at.error


def test_plain_totals_open_in_every_tab(open_page: Callable[..., App], workspace_folder: Path) -> None:
    """1,200 of 10,000 against 1,150 of 10,000, stored from a shell, reads undecided and has no days and no events."""
    with Workspace.open(workspace_folder) as workspace:
        run = save_analysis(workspace, analyze_counts((1200, 10_000), (1150, 10_000)))
    app = open_page(run=run.id)
    assert "Undecided" in app.at.header[0].value
    assert "p = 0.27" in app.said()
    for tab, n_charts in (("Read-out", 1), ("By day", 0), ("Latency", 0), ("Segments", 0), ("Power", 1)):
        assert len(show(app, tab).at.get("plotly_chart")) == n_charts, tab
    assert len(app.at.get("download_button")) == 1


def test_a_failed_check_hides_every_metric(open_page: Callable[..., App], workspace_folder: Path) -> None:
    """With the split broken the page shows why, the counts and nothing else: no sentence, chart or test of a metric."""
    run = store(workspace_folder, small("identical arms", faults=(Fault(kind="lost users", amount=0.4),)))
    app = open_page(run=run.id)
    for tab, n_charts in (("Read-out", 0), ("By day", 1), ("Latency", 0), ("Segments", 0)):
        show(app, tab)
        assert "experiment is broken" in app.at.header[0].value
        assert "The split is broken" in app.at.error[0].value
        assert len(app.at.get("plotly_chart")) == n_charts
        assert "It fell by" not in app.said()
        assert "classic" not in app.said()


def test_a_simulation_is_stored_as_it_was_asked_for(stored: Run, app: App, workspace_folder: Path) -> None:
    """Impossible settings are one sentence; then numbers and faults of the form are what is simulated and shown."""
    form(app)
    for wrong, words, right in (
        ({"percent": 0.0}, "treatment arm would be empty", {"percent": 20.0}),
        ({"control_conversion": 50.0}, "at most the CTR", {"control_conversion": 6.0}),
    ):
        fill(app, **wrong)
        app.at.button(key="run_simulation").click().run()
        assert len(app.at.error) == 1
        assert words in app.at.error[0].value.replace("\\", "")
        fill(app, **right)
    assert [run.id for run in stored_tests(workspace_folder)] == [stored.id]
    fill(app, users=3000, queries=2000, days=3, seed=7, control_ctr=30.0)
    app.at.checkbox(key="ab_fault_clicks_768 of 3072").check().run()
    fill(app, fault_day=2, fault_end=1)
    app.at.button(key="run_simulation").click().run()
    assert "does not end before" in app.at.error[0].value
    fill(app, fault_end=2)
    app.at.button(key="run_simulation").click().run()
    ended(app)
    newest = stored_tests(workspace_folder)[0]
    usual = preset("768 of 3072").settings
    with Workspace.open(workspace_folder) as workspace:
        assert load_origin(workspace, newest.id).traffic == replace(
            usual,
            n_users=3000,
            queries_per_day=2000,
            n_days=3,
            percent=20.0,
            seed=7,
            control=replace(usual.control, ctr=0.3),
            faults=(Fault(kind="clicks", amount=-0.08, first_day=2, last_day=2),),
        )
        assert load_analysis(workspace, newest.id).n_queries == 6000
    assert "Injected fault" in app.said()
    assert newest.id in str(app.at.query_params["run"])


def test_a_ramp_is_read_stage_by_stage_once_it_is_declared(stored: Run, app: App, workspace_folder: Path) -> None:
    """A split that changes blocks the read-out until the planned stages are entered; nonsense is one sentence."""
    form(app)
    fill(app, users=8000, queries=4000, days=4)
    app.at.text_input(key="ab_ramp_768 of 3072").set_value("0: 5, 2: 50").run()
    app.at.button(key="run_simulation").click().run()
    ended(app)
    run = stored_tests(workspace_folder)[0]
    assert "broken" not in app.at.header[0].value
    assert "within them" in show(app, "Segments").said()
    for typed, words in (("", "The split is broken"), ("0: 5; 2", "a ramp is written as")):
        app.at.text_input(key=f"ab_ramp_{run.id}").set_value(typed).run()
        assert words.lower() in app.at.error[0].value.replace("\\", "").lower()


def test_a_sweep_grounds_simulation_and_interleaving(
    on_sweep: Run, open_page: Callable[..., App], workspace_folder: Path
) -> None:
    """Both arms show the sweep's lists, so the reduced arm's CTR is not asked; interleaving says what it cannot say.

    A sweep in the address gives the newest test instead, and the page says so.
    """
    app = open_page(run=on_sweep.id)
    assert "The run in the address is no A/B test; the newest test is shown instead." in app.said()
    assert not app.at.error
    assert app.at.header
    form(app)
    app.at.button_group(key="ab_source").set_value("A stored sweep").run()
    assert not any(str(field.key).startswith("ab_treatment_ctr") for field in app.at.number_input)
    app.at.selectbox(key=f"ab_treatment_dim_{on_sweep.id}").set_value(16).run()
    fill(app, users=500, queries=1000, days=2)
    app.at.button(key="run_simulation").click().run()
    ended(app)
    newest = stored_tests(workspace_folder)[0]
    with Workspace.open(workspace_folder) as workspace:
        origin = load_origin(workspace, newest.id)
        assert origin.sweep_run == on_sweep.id
        assert origin.traffic is not None
        assert (origin.traffic.control_dim, origin.traffic.treatment_dim) == (64, 16)
        assert load_analysis(workspace, newest.id).experiment_id == "16-of-64"
    app.at.session_state["interleaved_pages"] = 2000
    show(app, "Interleaving")
    assert "preferred" in app.said()
    assert "does not replace the A/B test" in app.at.info[0].value
    assert len(app.at.get("plotly_chart")) == 1


def test_thresholds_are_read_again_without_a_new_run(open_page: Callable[..., App], workspace_folder: Path) -> None:
    """Another margin changes the verdict on the same events, in a tab that never held them; the stored one stays."""
    faults = (Fault(kind="clicks", amount=-0.3),)
    run = store(workspace_folder, small("identical arms", faults=faults, n_users=20_000, queries_per_day=20_000))
    app = open_page(run=run.id)
    assert "Harmful" in app.at.header[0].value
    for name, value in (("margin_ctr", 0.0), ("alpha", 0.5), ("confidence", 0.0)):
        field = app.at.number_input(key=f"ab_{name}_{run.id}")
        usual = field.value
        field.set_value(value).run()
        assert len(app.at.error) == 1, "an impossible threshold is one sentence"
        assert "Harmful" in app.at.header[0].value
        app.at.number_input(key=f"ab_{name}_{run.id}").set_value(usual).run()
    for name in ("ctr", "conversion"):
        app.at.number_input(key=f"ab_margin_{name}_{run.id}").set_value(60.0)
    app.at.run()
    assert not app.at.error
    assert "Harmful" not in app.at.header[0].value
    assert "a loss of more than 60 % is ruled out" in app.said()
    assert "Read with your thresholds" in app.said()
    assert len(stored_tests(workspace_folder)) == 1
    app.at.button(key="ab_store").click().run()
    kept = stored_tests(workspace_folder)[0]
    with Workspace.open(workspace_folder) as workspace:
        assert load_analysis(workspace, kept.id).settings.ctr.relative == 0.6
        assert load_analysis(workspace, run.id).settings.ctr.relative == 0.05
    assert kept.id in str(app.at.query_params["run"])


def test_a_log_is_asked_about_and_stays_in_this_tab(
    stored: Run, open_page: Callable[..., App], workspace_folder: Path
) -> None:
    """Unit and control are asked for where names do not tell, in a form that stays open until the log is read.

    The read-out is stored, the events are only here.
    """
    app, name = upload(open_page(), "took.csv", csv_log(latency="took", control="blue")), "took.csv"
    assert app.at.selectbox(key=f"ab_log_variation_id_{name}").value == "variation_id"
    app.at.button(key="run_log").click().run()
    assert "the unit of the latency" in app.at.error[0].value
    app.at.button_group(key=f"ab_log_unit_{name}_took").set_value("s").run()
    run_log(app)
    assert "must be chosen among the variations" in app.at.error[0].value
    app.at.text_input(key=f"ab_log_control_{name}").set_value("blue").run()
    run_log(app)
    assert not app.at.error
    assert not app.at.get("file_uploader"), "the form folds once the log has been read"
    run = stored_tests(workspace_folder)[0]
    with Workspace.open(workspace_folder) as workspace:
        found = load_analysis(workspace, run.id)
    assert run.parameters["file"] == name
    assert [one.name for one in found.arms] == ["blue", "small"]
    assert next(one for one in found.latencies if one.key == "p50").control.value > 1000, "seconds became ms"
    assert "in simulation" not in app.at.header[0].value
    other = open_page(run=run.id)
    for tab, can in ((app, True), (other, False)):
        assert any("Events as CSV" in str(button.proto) for button in tab.at.get("download_button")) == can
        tab.at.number_input(key=f"ab_margin_ctr_{run.id}").set_value(90.0).run()
        assert bool(tab.at.error) != can
    assert "stay in the tab" in other.at.error[0].value


BAD_LOGS = {
    "<b>**x**</b>.csv": b"\x00\x01",
    "empty.csv": b"",
    "header.csv": b"user_id,timestamp,variation_id,clicked\n",
    "negative.csv": b"user_id,timestamp,variation_id,latency_ms\na,2026-01-05,control,-1\nb,2026-01-05,x,2\n",
}


def test_a_bad_log_is_one_sentence(stored: Run, app: App, workspace_folder: Path) -> None:
    """Each broken log gives exactly one error of one sentence, its name as plain text; nothing is stored."""
    for name, content in BAD_LOGS.items():
        upload(app, name, content)
        if not app.at.error:
            run_log(app)
        assert len(app.at.error) == 1, name
        for mark in ("Traceback", "\n", "<b>"):
            assert mark not in app.at.error[0].value
    assert [run.id for run in stored_tests(workspace_folder)] == [stored.id]


def test_a_path_stays_below_the_data_root(
    stored: Run, app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log below the root is read; one outside is refused with one sentence."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "log.csv").write_bytes(csv_log())
    (tmp_path / "secret.csv").write_bytes(csv_log())
    form(app, "Analyze a log")
    app.at.button_group(key="ab_log_place").set_value("Path").run()
    assert "DIMSHIFT_DATA_ROOT" in app.at.info[0].value
    monkeypatch.setenv("DIMSHIFT_DATA_ROOT", str(root))
    app.at.run()
    app.at.text_input(key="ab_log_path").set_value("../secret.csv").run()
    assert len(app.at.error) == 1
    app.at.text_input(key="ab_log_path").set_value("log.csv").run()
    run_log(app)
    assert not app.at.error
    assert "log.csv" in app.at.selectbox(key="ab_choice").options[0]


def test_tools_beside_the_read_out(stored: Run, open_page: Callable[..., App]) -> None:
    """Two keys are independent and one shared key is found out; the plan gives the reference number of queries.

    12 % and a margin of 5 % need 36,271 queries in each arm at 80 % power. An unknown run is one sentence.
    """
    app = show(open_page(run="20200101-000000-00000000"), "Assignment")
    assert "No such run" in app.at.error[0].value
    app.at.button[0].click().run()
    assert "Independent" in app.at.success[0].value
    app.at.text_input(key="key_b").set_value("rollout").run()
    assert "Not independent" in app.at.error[0].value
    assert app.at.dataframe[0].value["share"][0] == 100.0
    app = show(open_page(run=stored.id), "Power")
    for name, value in {"rate": 12.0, "size": 5.0, "queries": 1.0, "effect": 1.0, "users": 10_000.0}.items():
        next(one for one in app.at.number_input if str(one.key).startswith(f"plan_{name}_")).set_value(value)
    app.at.run()
    assert "36,271 queries in the control" in app.said()
    assert next(shown.value for shown in app.at.metric if shown.label == "Days") == "8"
