"""The page Rollout."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ParameterError
from engine.flags import FlagStore
from engine.present.runbook import look_at
from engine.rollout import RolloutControl, RolloutState, Schedule, SimulatedRollouts, SimulationSettings, parse_fault
from engine.workspace import Workspace
from pages.shell.rollout import fields as rollout_fields
from pages.shell.rollout import preflight as rollout_preflight
from pages.shell.rollout.setup import REAL, REHEARSAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.rollout import RolloutStatus
    from tests.pages.conftest import App

SCRIPT = "pages/ship/rollout.py"
KEY = "rehearsal-1"


@pytest.fixture(autouse=True)
def _fewer_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate 100 rollouts where the page takes 1,000: enough to see that they are simulated."""
    monkeypatch.setattr(rollout_preflight, "_SIMULATIONS", 100)


@pytest.fixture
def control(workspace_folder: Path) -> Iterator[RolloutControl]:
    """Return the rollouts of the app's workspace, as another process sees them."""
    with Workspace.open(workspace_folder) as workspace:
        yield RolloutControl(workspace, FlagStore(workspace, refresh_s=0))


@pytest.fixture
def begun(control: RolloutControl) -> Callable[..., RolloutStatus]:
    """Return what starts a rollout on simulated time with these faults and takes it through some days."""

    def begin(*faults: str, days: int = 0, **options: Any) -> RolloutStatus:
        control.create(KEY, flag_key="use_reduced_dims", actor="anna", is_simulated=True, **options)
        simulated = SimulatedRollouts(control)
        simulated.set(KEY, SimulationSettings(faults=tuple(parse_fault(fault) for fault in faults)), actor="anna")
        status = control.start(KEY, actor="anna", reason="go")
        return simulated.step(KEY, actor="anna", days=days)[-1] if days else status

    return begin


def test_pre_flight_stands_before_the_start(app: App, control: RolloutControl) -> None:
    """A new plan says with intervals how often it stops for nothing and misses a fault, and whom that reaches."""
    app.show(SCRIPT)
    words = app.said()
    assert "No fault:** rolled back in" in words
    assert "missed, without any alert, in" in words
    assert "is only warned of in" in words
    assert "CTR 5 % lower" in words
    assert "p99 latency doubled" in words
    assert "users" in words
    assert "finished after" in words
    assert app.charts() == 1
    assert control.rollouts() == ()


@pytest.mark.parametrize("script", [SCRIPT, "pages/present/runbook.py"])
def test_an_unknown_rollout_in_the_address_is_said(app: App, control: RolloutControl, script: str) -> None:
    """One sentence names what is not there and what is shown instead, until another rollout is chosen."""
    control.create("first", flag_key="use_reduced_dims", actor="anna")
    control.create("second", flag_key="enable_new_index", actor="anna")
    app.show(script, rollout="*gone*")
    shown = app.at.selectbox(key="rollout").value
    sentence = f"No rollout of this workspace is named *gone*; {shown} is shown instead."
    assert sentence in app.said()
    app.at.run()
    assert sentence in app.stands().said()
    app.at.selectbox(key="rollout").set_value("first" if shown == "second" else "second").run()
    assert "is shown instead" not in app.stands().said()
    assert not app.at.warning


def test_an_unknown_rollout_is_said_where_there_is_none(app: App) -> None:
    """Without any rollout the same sentence promises nothing in its place."""
    app.show(SCRIPT, rollout="gone")
    assert "No rollout of this workspace is named gone." in app.said()


def test_two_settings_stand_beside_each_other(app: App, control: RolloutControl) -> None:
    """A kept setting is compared with another one by what clearly differs."""
    app.show(SCRIPT)
    app.press("keep_setting")
    app.at.number_input(key="ctr_new").set_value(20.0).run()
    assert "settings are compared over the same traffic" in app.said().lower()
    app.press("drop_setting")
    app.press("keep_setting")
    app.at.number_input(key="holdback_new").set_value(50.0).run()
    assert "a stage after the one that reaches the holdback would add nobody" in app.said().lower()
    app.at.number_input(key="holdback_new").set_value(5.0).run()
    assert "What clearly differs" in app.said()


def test_a_draft_is_kept_edited_and_started(app: App, control: RolloutControl) -> None:
    """A draft changes nothing; its settings are saved from the version seen, and it is started or discarded.

    The pre-flight that stood on the page is evidence in the runbook, of the draft and again of the settings saved.
    """

    def evidence() -> str:
        return look_at(control.workspace).check("preflight").evidence.sentence

    app.show(SCRIPT)
    app.submit("Save as a draft")
    assert evidence().startswith("100 simulated rollouts a scenario")
    assert "Draft of 7 stages" in app.said()
    assert "It has not been started." in app.said()
    app.show(SCRIPT, rollout_tab="Settings")
    next(box for box in app.at.number_input if box.label == "Holdback, percent").set_value(5.0).run()
    control.edit(KEY, expected_version=1, actor="bob", is_automatic=True)
    app.press("save_rollout")
    assert "somebody else changed rollout" in app.said().lower()
    app.press("take_newest_rollout")
    before = evidence()
    next(box for box in app.at.number_input if box.label == "Holdback, percent").set_value(5.0).run()
    app.press("save_rollout")
    assert control.status(KEY).rollout.schedule.holdback_percent == 5.0
    assert evidence() != before
    assert evidence().startswith("100 simulated rollouts a scenario")
    app.submit("Start at 5 %")
    assert "Running at 5 %" in app.said()


def test_a_rehearsal_is_planned_started_and_stepped(app: App, control: RolloutControl) -> None:
    """Start makes the flag for rehearsals and begins; the clock is stepped to the next stage and the share advanced."""
    app.show(SCRIPT)
    app.at.text_input(key="setup_reason").set_value("A/B test safe")
    app.submit("Start at 5 %")
    assert "Running at 5 %" in app.said()
    assert "gray-badge[:material/science: simulated]" in app.said()
    assert control.status(KEY).rollout.flag_key == REHEARSAL
    assert app.at.button(key="onward").disabled
    app.press("step_stage")
    assert "no alert stands" in app.said()
    app.press("onward")
    assert "Running at 10 %" in app.said()
    status = control.status(KEY)
    assert (status.percent, status.day) == (10.0, 3.0)
    assert control.history(KEY)[1].reason == "A/B test safe"
    assert app.charts() == 4


def test_a_fault_is_seen_pauses_and_is_drawn(app: App, begun: Callable[..., RolloutStatus], control: Any) -> None:
    """Doubled latency from now pauses within a day: headline, alert and the refusal to go on say so."""
    begun()
    app.show(SCRIPT, rollout_tab="Data")
    app.press("fault_latency")
    assert "latency × 2" in app.said()
    app.press("step_day")
    words = app.said()
    assert "Paused at 5 %" in words or "Rolled back" in words
    assert control.status(KEY).state is not RolloutState.RUNNING
    assert "✕ " in words


def test_going_on_against_an_alert_takes_a_typed_reason(
    app: App, begun: Callable[..., RolloutStatus], control: RolloutControl
) -> None:
    """Before its day an advance is refused; with a reason it is taken, and the history keeps the reason."""
    begun(days=1)
    app.show(SCRIPT)
    assert app.at.button(key="onward").disabled
    app.submit("Advance to 10 % anyway")
    assert "takes a typed reason" in app.said()
    app.at.text_input(key="override_reason").set_value("a launch")
    app.submit("Advance to 10 % anyway")
    assert "Running at 10 %" in app.said()
    assert control.history(KEY)[-1].override == "a launch"


def test_rolling_back_takes_the_typed_words(
    app: App, begun: Callable[..., RolloutStatus], control: RolloutControl
) -> None:
    """Another word changes nothing and is refused in one sentence; the words end the rollout and empty the flag."""
    begun()
    app.show(SCRIPT)
    app.press("roll_back")
    app.at.text_input(key="roll_back_reason").set_value("too slow")
    app.at.text_input(key="roll_back_typed").set_value("yes")
    next(button for button in app.at.button if button.form_id == "roll_back_form").click().run()
    assert 'typed words "roll back"; found yes' in app.said()
    assert control.status(KEY).state is RolloutState.RUNNING
    app.at.text_input(key="roll_back_typed").set_value("roll back")
    next(button for button in app.at.button if button.form_id == "roll_back_form").click().run()
    app.at.run()
    assert "Rolled back: everybody sees off" in app.said()
    assert control.status(KEY).state is RolloutState.ROLLED_BACK


def test_pausing_keeps_the_reason_and_resuming_goes_on(
    app: App, begun: Callable[..., RolloutStatus], control: RolloutControl
) -> None:
    """A pause says who and why; a rollout that somebody else changed meanwhile is not overrun."""
    begun(days=1)
    app.show(SCRIPT)
    app.submit("Pause now")
    assert "to pause takes a reason" in app.said().lower()
    app.at.text_input(key="pause_reason").set_value("a holiday")
    app.submit("Pause now")
    assert ": a holiday" in app.said()
    control.resume(KEY, actor="bob")
    app.press("onward")
    assert "somebody else changed rollout" in app.said().lower()
    assert "by bob" in app.said()
    assert "Running at 5 %" in app.said()


def test_the_tabs_tell_stages_history_settings_and_exports(
    app: App, begun: Callable[..., RolloutStatus], control: RolloutControl
) -> None:
    """Stages have their checkpoint, the history replays, and the exports hold the schedule in hours."""
    begun(days=3)
    control.advance(KEY, actor="anna")
    app.show(SCRIPT, rollout_tab="Stages")
    assert "Passed" in app.said()
    assert app.said().count("Checkpoint") == 5
    app.show(SCRIPT, rollout_tab="History")
    assert "Replayed from the audit log" in app.said()
    assert app.at.dataframe[0].value["action"].tolist() == ["create", "start", "advance"]
    app.show(SCRIPT, rollout_tab="Settings")
    assert "0:5, 3:10" in app.said()
    app.show(SCRIPT, rollout_tab="Exports")
    exported = {code.language: code.value for code in app.at.code}
    assert "weight" in exported["yaml"].lower()
    assert any("96h" in code.value for code in app.at.code)
    assert json.loads(exported["json"])["flags"]["use_reduced_dims"]["targeting"]


def test_a_rollback_leaves_an_incident_to_close(app: App, begun: Callable[..., RolloutStatus], control: Any) -> None:
    """The incident shows the monitor's sentences, and is closed with a note."""
    begun("errors:0.05@day0", days=1)
    app.show(SCRIPT, rollout_tab="Incidents")
    (incident,) = control.incidents(KEY)
    assert incident.sentences[0] in app.said()
    app.at.text_input(key="incident_note_0").set_value("bad index")
    app.submit("Close the incident")
    assert "bad index" in app.said()
    assert not control.incidents(KEY)[0].is_open


def test_observations_are_uploaded_on_real_time(app: App, control: RolloutControl) -> None:
    """A CSV is read, previewed and appended once; a broken one is refused in one sentence that names the row."""
    now = datetime.now(UTC).replace(microsecond=0)
    control.create("real", flag_key="use_reduced_dims", actor="anna")
    control.start("real", actor="anna")
    app.show(SCRIPT, rollout_tab="Data")
    assert "simulated" not in app.said().lower()
    start, end = (now - timedelta(days=1)).isoformat(), now.isoformat()
    rows = [f"{start},{end},{arm},5,1000,{n},120,1,110" for arm, n in (("control", 95_000), ("treatment", 5000))]
    header = "start,end,arm,percent,n_users,n_queries,n_clicks,n_errors,p99_ms"
    broken = "\n".join([header, rows[0].replace("95000", "NaN")])
    app.at.file_uploader(key="observations").upload("broken.csv", broken.encode()).run()
    assert "row 1" in app.said()
    app.at.file_uploader(key="observations").upload("days.csv", "\n".join([header, *rows]).encode()).run()
    app.press("append")
    assert "2 observations were new, 0 were there already" in app.said()
    app.press("append")
    assert "0 observations were new, 2 were there already" in app.said()
    assert len(control.observations("real")) == 2


def test_a_kill_pauses_the_rollout_and_says_so(app: App, begun: Callable[..., RolloutStatus], control: Any) -> None:
    """While the kill switch is on the page says that nobody sees the treatment, and going on is refused."""
    begun(days=1)
    with control.workspace.recording() as ledger:
        FlagStore(control.workspace).in_ledger(ledger).kill(actor="bob", reason="errors")
    app.show(SCRIPT).until(lambda _at: "Nobody sees the treatment" in app.said())
    assert "Paused at 5 %" in app.said()
    assert app.at.button(key="onward").disabled
    assert not [button for button in app.at.button if button.key == "kill_rollout"]


def test_real_time_warns_of_nothing_and_simulated_time_of_a_real_flag(app: App, control: RolloutControl) -> None:
    """Simulated time on a flag that clients read is warned of; on the rehearsal's own and on real time it is not."""
    app.show(SCRIPT)
    assert "is the real one" not in app.said()
    flag = next(box for box in app.at.selectbox if box.label == "Flag to ramp")
    flag.set_value("use_reduced_dims").run()
    assert "is the real one" in app.said()
    app.at.button_group(key="setup_clock").set_value(REAL).run()
    assert "is the real one" not in app.said()
    assert REHEARSAL not in next(box for box in app.at.selectbox if box.label == "Flag to ramp").options


def test_a_table_becomes_a_schedule() -> None:
    """Rows that are empty do not count, names are kept, and new rows may come as NaN."""
    rows = [
        {"day": 0, "percent": 5, "name": " canary "},
        {"day": None, "percent": None, "name": None},
        {"day": 3.5, "percent": 100.0, "name": float("nan")},
        {"day": float("nan"), "percent": float("nan")},
    ]
    found = rollout_fields.schedule_of(rows, holdback_percent=10)
    assert found == Schedule.parse("0:5:canary, 84h:100", holdback_percent=10)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"day": 0, "percent": None}], "no percentage in row 1"),
        ([{"day": 0, "percent": 5}, {"day": 3, "percent": 5}], "must rise"),
        ([{"day": 0, "percent": 5}, {"day": 3, "percent": 101}], "at most 100"),
        ([{"day": 0, "percent": 5}, {"day": 0, "percent": 10}], "days of the stages must rise"),
        ([], "1 to 100 stages"),
    ],
)
def test_a_table_that_is_no_schedule_is_refused(rows: list[dict[str, Any]], words: str) -> None:
    """Percentages that repeat or exceed 100, days that repeat and half rows are refused with the rule."""
    with pytest.raises(ParameterError, match=words):
        rollout_fields.schedule_of(rows, holdback_percent=0)


def test_a_threshold_is_refused_with_the_name_of_its_metric() -> None:
    """A rollback below its alert names the metric; an empty cell switches a threshold off."""
    with pytest.raises(ParameterError, match="CTR: a rollback threshold cannot lie below"):
        rollout_fields.limit_of({"alert": 5, "roll_back": 1, "severity": "warning", "is_gate": True}, "CTR")
    limit = rollout_fields.limit_of({"alert": float("nan"), "roll_back": 10, "severity": "critical"}, "CTR")
    assert (limit.alert, limit.roll_back, limit.is_gate) == (None, 0.1, False)
