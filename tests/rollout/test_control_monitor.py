"""The monitor and the kill switch on rollouts in the workspace: they pause, roll back, and are never overlooked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import ConflictError, ParameterError, RolloutError
from engine.rollout import Limit, Observation, Schedule, SimulatedRollouts, Thresholds
from engine.rollout import writer as writer_module

FLAG = "use_reduced_dims"
QUICK = Schedule.parse("0:5,1:50,2:100")


def test_a_critical_alert_pauses_in_the_transaction_that_brought_the_data(
    workspace, flags, running, clock, day_of, weights
):
    """P99 up by 70 % pauses at once: the share stays, the alert is the reason, and the flag is still driven."""
    clock.pass_days(1)
    status = running.observe("ramp", day_of(5, latency=1.7), actor="metrics").status
    assert (status.state, status.percent, status.rollout.cause) == ("paused", 5, "monitor")
    assert "p99 latency" in status.rollout.reason
    assert status.alerts[0].severity == "critical"
    assert weights()["on"] == 5000
    with pytest.raises(RolloutError, match="cannot resume while a critical alert stands"):
        running.resume("ramp", actor="ann")
    assert running.incidents() == ()


def test_good_data_after_the_pause_lets_the_rollout_resume(running, clock, day_of):
    """A day that is fine after the pause clears the alert; the stage then needs data of its own again."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5, latency=1.7), actor="metrics")
    clock.pass_days(1)
    fine = running.observe("ramp", day_of(5), actor="metrics").status
    assert (fine.state, fine.obstacles) == ("paused", ())
    resumed = running.resume("ramp", actor="ann", reason="cache was cold")
    assert resumed.state == "running"
    assert [one.kind for one in resumed.obstacles] == ["too little data"]


def test_resuming_with_an_override_is_not_undone_by_the_old_data(running, clock, day_of):
    """After an override the data from before the pause does not pause the rollout again; new bad data does."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5, latency=1.7), actor="metrics")
    running.resume("ramp", actor="ann", override="a deploy of somebody else")
    assert running.status("ramp").state == "running"
    clock.pass_days(1.5)
    assert running.observe("ramp", day_of(5, latency=1.7), actor="metrics").status.state == "paused"


def test_a_rollback_threshold_cuts_the_flag_and_opens_an_incident(workspace, flags, running, clock, day_of, weights):
    """P99 tripled: rolled back, everybody safe in the file, and an incident with the report as evidence."""
    clock.pass_days(1)
    status = running.observe("ramp", day_of(5, latency=3.0), actor="metrics").status
    assert (status.state, status.percent, status.rollout.cause) == ("rolled back", 0, "monitor")
    assert weights() == {"on": 0, "off": 100_000}
    assert (flags.flag(FLAG).default_variant, flags.flag(FLAG).driven_by) == ("off", None)
    (incident,) = running.incidents("ramp")
    assert incident.is_open
    assert incident.percent == 5
    assert any("p99 latency" in sentence for sentence in incident.sentences)
    assert incident.evidence["action"] == "roll_back"
    assert status.incidents == (incident,)
    assert running.replay("ramp").agrees


def test_an_incident_is_closed_once_with_a_note(running, clock, day_of):
    """Closing takes a note; closing again is a conflict, and an unknown incident is refused."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5, errors=3.0), actor="metrics")
    (incident,) = running.incidents()
    with pytest.raises(ParameterError, match="takes a note"):
        running.close_incident(incident.key, note="", actor="ann")
    running.close_incident(incident.key, note="the new index had no replicas", actor="ann")
    (closed,) = running.incidents()
    assert (closed.is_open, closed.closed_by, closed.note) == (False, "ann", "the new index had no replicas")
    with pytest.raises(ConflictError, match="closed already"):
        running.close_incident(incident.key, note="again", actor="bob")
    with pytest.raises(RolloutError, match="no such incident"):
        running.close_incident("nothing", note="x", actor="bob")


def test_observations_sent_twice_do_no_harm(running, clock, day_of):
    """The same windows again are known, also in another file; with other numbers they are refused, and nothing changes.

    A file written every night holds the days before too, under a new name each time.
    """
    clock.pass_days(1)
    first = running.observe("ramp", day_of(5), actor="metrics")
    again = running.observe("ramp", day_of(5), actor="metrics")
    assert (first.n_new, first.n_known, again.n_new, again.n_known) == (2, 0, 0, 2)
    tonight = [replace(one, source="tonight.csv", start="2026-03-01T10:00:00+01:00") for one in day_of(5)]
    assert running.observe("ramp", (*tonight, *tonight), actor="metrics").n_known == 4
    with pytest.raises(ConflictError, match=r"other numbers; found treatment of .* p99_ms 600.0 against 120.0 before"):
        running.observe("ramp", day_of(5, latency=5.0), actor="metrics")
    assert len(running.observations("ramp")) == 2
    assert running.status("ramp").state == "running"


def test_a_window_that_ends_in_the_future_is_refused_with_all_that_came_with_it(running, clock, day_of):
    """One future window among good ones: nothing is appended."""
    clock.pass_days(2)
    good = day_of(5)
    clock.pass_days(1)
    future = day_of(5)
    clock.pass_days(-1)
    with pytest.raises(ParameterError, match="cannot end in the future"):
        running.observe("ramp", (*good, *future), actor="metrics")
    assert running.observations("ramp") == ()


def test_real_time_takes_no_simulated_data(running, clock, day_of):
    """Simulated observations cannot reach a rollout on real time."""
    clock.pass_days(1)
    simulated = tuple(Observation(**{**vars(one), "is_simulated": True}) for one in day_of(5))
    with pytest.raises(RolloutError, match="takes no simulated observations"):
        running.observe("ramp", simulated, actor="metrics")


def test_observations_of_another_share_are_questioned(running, clock, day_of):
    """A column that holds 0.05 for 5 % is judged, and its share is named beside the rollout's own."""
    clock.pass_days(1)
    wrong = running.observe("ramp", [replace(one, percent=0.05) for one in day_of(5)], actor="metrics").status
    assert "say that 0.05 % of the users are in the treatment, and the rollout that 5 % are" in wrong.warnings[0]
    clock.pass_days(1)
    right = running.observe("ramp", day_of(5), actor="metrics").status
    assert not any("newest observations" in one for one in right.warnings)


def test_missing_data_pauses_when_somebody_looks(running, clock, day_of):
    """Two days without a window pause the rollout, and not knowing is said, never taken for fine."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5), actor="metrics")
    clock.pass_days(2)
    assert running.status("ramp", settle=False).state == "running"
    looked = running.status("ramp")
    assert (looked.state, looked.rollout.cause) == ("paused", "monitor")
    assert "No data of the treatment" in looked.rollout.reason


def test_the_kill_switch_pauses_a_running_rollout_and_holds_it(workspace, flags, running, weights):
    """Killed: the next look pauses it with who killed and why; nothing goes on before the flags are restored."""
    flags.kill(actor="bob", typed="kill", reason="search is down")
    status = running.status("ramp")
    assert (status.state, status.rollout.cause, status.is_killed) == ("paused", "kill switch", True)
    assert "killed by bob: search is down" in status.rollout.reason
    with pytest.raises(RolloutError, match="while the kill switch is on"):
        running.resume("ramp", actor="ann", override="please")
    flags.restore(actor="bob", typed="restore", reason="search is up")
    assert running.resume("ramp", actor="ann").state == "running"
    assert weights()["on"] == 5000


def test_advancing_is_refused_while_everything_is_killed(flags, running):
    """Whoever presses advance before anybody has looked is refused as well, override or not."""
    flags.kill(actor="bob", typed="kill")
    with pytest.raises(RolloutError, match="cannot advance while the kill switch is on"):
        running.advance("ramp", actor="ann", override="please")


def test_an_automatic_rollout_advances_when_looked_at_on_its_day(control, clock, day_of):
    """With the data in and the day come, looking is enough; before the day it is not."""
    thresholds = Thresholds(ctr=Limit(alert=0.5, severity="warning", roll_back=None))
    control.create("ramp", flag_key=FLAG, schedule=QUICK, thresholds=thresholds, is_automatic=True, actor="ann")
    control.start("ramp", actor="ann")
    clock.pass_days(0.5)
    early = tuple(
        Observation(**{**vars(one), "start": (clock.moment - timedelta(hours=12)).isoformat()}) for one in day_of(5)
    )
    assert control.observe("ramp", early, actor="metrics").status.percent == 5
    clock.pass_days(0.5)
    status = control.status("ramp")
    assert (status.percent, status.rollout.cause) == (50, "schedule")


def test_a_failure_in_the_middle_leaves_nothing(monkeypatch, workspace, flags, running, clock, day_of):
    """When the incident cannot be written, neither the observations nor the rollback nor the cut of the flag stay."""

    def broken(*_arguments, **_options):
        raise RuntimeError("the disk is gone")

    clock.pass_days(1)
    head, file = workspace.audit_head(), flags.path.read_bytes()
    monkeypatch.setattr(writer_module, "open_incident", broken)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        running.observe("ramp", day_of(5, latency=3.0), actor="metrics")
    assert workspace.audit_head() == head
    assert flags.path.read_bytes() == file
    assert running.observations("ramp") == ()
    assert running.status("ramp").state == "running"
    monkeypatch.undo()
    assert running.observe("ramp", day_of(5, latency=3.0), actor="metrics").status.state == "rolled back"


def test_a_kill_that_nobody_saw_pauses_as_of_the_kill(flags, running, clock):
    """Killed and restored while nobody looked: the next look pauses the rollout, whose days stood still since then."""
    clock.pass_days(0.25)
    flags.kill(actor="bob", typed="kill", reason="search is down")
    clock.pass_days(1)
    flags.restore(actor="bob", typed="restore", reason="search is up")
    clock.pass_days(1)
    flags.kill(actor="bob", typed="kill", reason="again")
    flags.restore(actor="bob", typed="restore", reason="up again")
    status = running.status("ramp")
    assert (status.state, status.day, status.rollout.cause) == ("paused", 0.25, "kill switch")
    assert "on from 2026-03-01 15:00 to 2026-03-02 15:00 UTC, killed by bob: search is down" in status.rollout.reason
    assert running.resume("ramp", actor="ann").time_left == timedelta(days=0.75)
    assert running.status("ramp").state == "running"
    assert running.replay("ramp").agrees


@pytest.mark.parametrize("is_automatic", [False, True])
def test_nothing_goes_on_over_a_kill_that_nobody_saw(flags, control, clock, day_of, is_automatic):
    """Neither who knows the version nor an automatic rollout gets past it; observing pauses as looking does."""
    control.create("ramp", flag_key=FLAG, schedule=QUICK, is_automatic=is_automatic, actor="ann")
    version = control.start("ramp", actor="ann").version
    flags.kill(actor="bob", typed="kill")
    flags.restore(actor="bob", typed="restore", reason="fine")
    clock.pass_days(1)
    with pytest.raises(RolloutError, match="before it was paused for what the kill switch did.*Look at its status"):
        control.advance("ramp", actor="ann", expected_version=version, override="please")
    status = control.observe("ramp", day_of(5), actor="metrics").status
    assert (status.state, status.percent) == ("paused", 5)
    with pytest.raises(RolloutError, match="paused cannot advance"):
        control.advance("ramp", actor="ann", override="please")


def test_a_kill_before_the_start_or_the_resume_is_over(flags, control):
    """Only what the kill switch did since the last step counts: starting and resuming after it are not undone."""
    control.create("ramp", flag_key=FLAG, schedule=QUICK, actor="ann")
    for step in (control.start, control.resume):
        flags.kill(actor="bob", typed="kill")
        flags.restore(actor="bob", typed="restore", reason="fine")
        step("ramp", actor="ann")
        assert control.status("ramp").state == "running"
        control.pause("ramp", actor="ann", reason="next")


def test_simulated_time_pauses_at_its_own_moment(flags, control, clock):
    """The moment of a real kill says nothing about a simulated clock, which is paused where it stands."""
    control.create("ramp", flag_key=FLAG, schedule=QUICK, is_simulated=True, actor="ann")
    control.start("ramp", actor="ann")
    SimulatedRollouts(control).step("ramp", hours=6, actor="ann")
    clock.pass_days(30)
    flags.kill(actor="bob", typed="kill")
    flags.restore(actor="bob", typed="restore", reason="fine")
    status = control.status("ramp")
    assert (status.state, status.day, status.rollout.paused_at) == ("paused", 0.25, status.now)


def test_a_killed_percentage_is_not_shown_as_if_somebody_saw_it(flags, running):
    """The list that settles nothing and the status both say that nobody sees the treatment."""
    flags.kill(actor="bob", typed="kill")
    (listed,) = running.rollouts()
    assert (listed.state, listed.is_killed) == ("running", True)
    for status in (listed, running.status("ramp")):
        assert status.sentence.endswith("; the kill switch is on, so nobody sees the treatment now.")


def test_a_warning_stops_nothing_and_is_told_wherever_the_rollout_is(control, clock, day_of):
    """CTR -7 % goes on to the end; the status of every stage, every step and the end name the warning."""
    control.create("ramp", flag_key=FLAG, schedule=Schedule.parse("0:5,1:50,2:95"), actor="ann")
    control.start("ramp", actor="ann")
    for percent, go_on in ((5, control.advance), (50, control.advance), (95, control.complete)):
        clock.pass_days(1)
        status = control.observe("ramp", day_of(percent, clicks=0.93), actor="metrics").status
        assert [(alert.metric, alert.severity) for alert in status.alerts] == [("ctr", "warning")]
        assert status.sentence.endswith("; a warning stands, which stops nothing.")
        assert status.can_go_on
        done = go_on("ramp", actor="ann")
    assert done.sentence == "Rollout ramp completed at 95 % on day 3.0 although a warning stood, which stops nothing."
    (told,) = done.warnings
    assert told.startswith("A warning stood before it completed, which stops nothing: CTR")
    assert all(len(step.rollout.passed_warnings) == 1 for step in control.history("ramp")[2:])
    assert control.replay("ramp").agrees


def test_an_automatic_step_names_the_warning_that_it_passes(control, clock, day_of):
    """The audit log never says that nothing stood against a step when a warning did."""
    control.create("ramp", flag_key=FLAG, schedule=Schedule.parse("0:5,1:95"), is_automatic=True, actor="ann")
    control.start("ramp", actor="ann")
    clock.pass_days(1)
    status = control.observe("ramp", day_of(5, clicks=0.93), actor="metrics").status
    assert (status.percent, status.rollout.cause) == (95, "schedule")
    assert status.rollout.reason == "The day has come; what stands is a warning, which stops nothing"
    assert status.rollout.passed_warnings[0].startswith("CTR")


def test_a_clean_end_says_nothing_of_warnings(control, clock, day_of):
    """Without a warning nothing is said of one, and the record holds no word of it."""
    control.create("ramp", flag_key=FLAG, schedule=Schedule.parse("0:5"), is_automatic=True, actor="ann")
    control.start("ramp", actor="ann")
    clock.pass_days(1)
    done = control.observe("ramp", day_of(5), actor="metrics").status
    assert (done.sentence, done.warnings) == ("Rollout ramp completed at 5 % on day 1.0.", ())
    assert "passed_warnings" not in control.history("ramp")[-1].evidence["step"]
    assert control.history("ramp")[-1].reason == "The day has come and nothing stands against it"


def test_the_reason_of_a_pause_is_the_alert_that_paused(running, clock, day_of):
    """While an older alert cools down, missing data pauses, and the reason speaks of the data."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5, latency=1.7), actor="metrics")
    running.resume("ramp", actor="ann", override="known")
    clock.pass_days(1)
    cooling = running.observe("ramp", day_of(5, latency=1.7), actor="metrics").status
    assert (cooling.state, cooling.rollout.cause) == ("paused", "monitor")
    running.resume("ramp", actor="ann", override="known")
    clock.pass_days(1.6)
    assert "No data of the treatment" in running.status("ramp").rollout.reason


def test_a_clock_that_was_set_back_is_named(running, clock):
    """Before its last step nothing can be judged: the status says so, but for one that is a minute off."""
    clock.pass_days(400)
    assert running.status("ramp").state == "paused"
    clock.pass_days(-1 / 1440)
    assert not any("clock" in words for words in running.status("ramp").warnings)
    clock.pass_days(-400)
    assert any(
        "The clock stands at 2026-03-01 08:59, before the last" in words for words in running.status("ramp").warnings
    )
    assert running.roll_back("ramp", actor="ann", reason="anew", typed="roll back").state == "rolled back"


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_a_clock_in_an_impossible_year_is_one_sentence(running, clock, year):
    """Where adding a schedule to a moment would overflow, every question is refused with what the clock shows."""
    clock.moment = datetime(year, 12, 31, tzinfo=UTC)
    for ask in (running.rollouts, lambda: running.status("ramp"), lambda: running.start("ramp", actor="ann")):
        with pytest.raises(
            ParameterError, match=f"the clock must lie in the years 1970 to 2999; found {year:04}-12-31"
        ):
            ask()
