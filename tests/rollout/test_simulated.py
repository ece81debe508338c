"""Rollouts on simulated time: whole ramps in the workspace, and many in memory against what pre-flight promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError, RolloutError
from engine.rollout import (
    DEFAULT_SCHEDULE,
    Rollout,
    RolloutControl,
    Schedule,
    SimulatedRollouts,
    SimulationSettings,
    Thresholds,
    parse_fault,
    rehearse,
)
from engine.rollout.preflight import preflight
from engine.rollout.preflight_results import Scenario
from engine.rollout.traffic_days import RolloutFault, Traffic

FLAG = "use_reduced_dims"
START = datetime(2026, 3, 1, tzinfo=UTC)
ENDS = {"completed": 0, "paused": 1, "rolled back": 2, "running": 3}
QUICK = Schedule.parse("0:10,1:25,2:50,5:100")


@pytest.fixture
def simulated(control):
    """Return the rollouts on simulated time."""
    return SimulatedRollouts(control)


def begin(control, simulated, *faults, key="ramp", **options):
    """Start an automatic rollout on simulated time, with faults written as text."""
    control.create(key, flag_key=FLAG, actor="ann", is_simulated=True, is_automatic=True, **options)
    settings = SimulationSettings(faults=tuple(parse_fault(fault) for fault in faults))
    simulated.set(key, settings, actor="ann")
    return control.start(key, actor="ann")


def draft(schedule, thresholds) -> Rollout:
    """Return a rollout for memory alone."""
    return Rollout(
        key="rehearsal",
        flag_key=FLAG,
        treatment="on",
        control="off",
        hash_key=FLAG,
        schedule=schedule,
        thresholds=thresholds,
        created_at=START,
        changed_at=START,
        changed_by="ann",
    )


def test_a_rollout_of_35_days_without_a_fault_completes(control, simulated, flags, workspace):
    """Day by day on the simulated clock it goes through every stage and completes; everything says simulated."""
    first = begin(control, simulated)
    statuses = simulated.step("ramp", days=45, actor="ann")
    done = statuses[-1]
    assert (done.state, done.percent, done.incidents) == ("completed", 100, ())
    assert 35 < done.day <= 38
    shares = [one.percent for one in statuses]
    assert shares == sorted(shares)
    assert set(shares) == {5, 10, 25, 50, 75, 90, 100}
    assert (flags.flag(FLAG).percent, flags.flag(FLAG).driven_by) == (100, None)
    assert done.labels == ("simulated",)
    assert "(simulated)" in done.sentence
    assert all(one.is_simulated for one in control.observations("ramp"))
    assert "the real one" in first.warnings[0]
    assert control.replay("ramp").agrees
    assert workspace.check_audit().is_intact


def test_every_look_can_be_drawn(control, simulated):
    """One point a day, each of its own stage and share; the newest says what the monitor's report says."""
    begin(control, simulated, schedule=Schedule.parse("0:5,3:10,9:100"))
    status = simulated.step("ramp", days=5, actor="ann")[-1]
    points = control.series("ramp")
    assert [(point.stage_index, point.percent) for point in points] == [(0, 5)] * 3 + [(1, 10)] * 2
    assert [point.at for point in points] == sorted({point.at for point in points})
    assert points[-1].readings == status.report.readings
    assert all(reading.low < reading.change < reading.high for reading in points[0].readings)


def test_doubled_latency_from_day_10_stops_the_rollout_within_a_day(control, simulated, flags):
    """The look at the end of day 10 pauses or rolls back, at the share of that day, and says why."""
    begin(control, simulated, "latency:2@day10")
    stopped = simulated.step("ramp", days=35, actor="ann")[-1]
    assert stopped.state in {"paused", "rolled back"}
    assert stopped.now - stopped.rollout.started_at == timedelta(days=11)
    assert "p99 latency" in stopped.rollout.reason
    assert flags.flag(FLAG).percent == stopped.percent


def test_fewer_clicks_from_half_the_users_on_are_caught(control, simulated, flags):
    """CTR -20 % from 50 % on: rolled back at 50 %, the flag is cut, and an incident holds the evidence."""
    begin(control, simulated, "clicks:-20%@50%")
    stopped = simulated.step("ramp", days=35, actor="ann")[-1]
    assert (stopped.state, stopped.incidents[0].percent) == ("rolled back", 50)
    assert stopped.incidents[0].is_simulated
    assert "CTR" in stopped.rollout.reason
    assert flags.flag(FLAG).percent == 0


def test_the_clock_is_shared_and_each_rollout_has_its_own(control, simulated, workspace, flags):
    """Another control sees the stepped clock; stepping one rollout leaves another's clock and real time alone."""
    begin(control, simulated)
    control.create("other", flag_key="enable_new_index", actor="ann", is_simulated=True)
    before = control.status("other").now
    status = simulated.step("ramp", hours=30, actor="ann")[-1]
    elsewhere = RolloutControl(workspace, flags).status("ramp")
    assert elsewhere.now == status.now == before + timedelta(hours=30)
    assert control.status("other").now == before
    assert len([one for one in control.observations("ramp") if one.arm == "treatment"]) == 1


def test_hours_add_up_to_the_same_days_as_one_long_step(control, simulated):
    """Two days in steps of 7, 17 and 24 hours observe the same windows as two days at once."""
    begin(control, simulated, schedule=Schedule.parse("0:5,9:100"))
    for hours in (7, 17, 24):
        simulated.step("ramp", hours=hours, actor="ann")
    in_steps = control.observations("ramp")
    control.roll_back("ramp", actor="ann", reason="again", typed="roll back")
    begin(control, simulated, key="again", schedule=Schedule.parse("0:5,9:100"))
    simulated.step("again", days=2, actor="ann")
    assert control.observations("again") == in_steps


def test_a_step_stops_where_somebody_has_to_look(control, simulated):
    """Stepping 20 days stops at the pause; the next step goes on from there, still paused, without a new stage."""
    begin(control, simulated, "latency:1.8@day1-2", schedule=Schedule.parse("0:5,9:100"))
    paused = simulated.step("ramp", days=20, actor="ann")[-1]
    assert (paused.state, paused.now - paused.rollout.started_at) == ("paused", timedelta(days=2))
    later = simulated.step("ramp", days=3, actor="ann")
    assert ([one.state for one in later], later[-1].percent) == (["paused"] * 3, 5)
    assert later[-1].obstacles == ()
    assert control.resume("ramp", actor="ann", reason="a cold cache").state == "running"


def test_everybody_is_in_control_while_everything_is_killed(control, simulated, flags):
    """A day under the kill switch has no treatment to observe, and the rollout is paused."""
    begin(control, simulated, schedule=Schedule.parse("0:5,9:100"))
    flags.kill(actor="bob", typed="kill")
    assert simulated.step("ramp", days=2, actor="ann")[-1].state == "paused"
    assert {one.arm for one in control.observations("ramp")} == {"control", "baseline"}


def test_real_time_cannot_be_stepped(control, simulated):
    """A rollout on real time has no clock to step and no traffic to set."""
    control.create("real", flag_key=FLAG, actor="ann")
    for ask in (
        lambda: simulated.step("real", days=1, actor="ann"),
        lambda: simulated.set("real", SimulationSettings(), actor="ann"),
        lambda: control.step_clock("real", timedelta(days=1), actor="ann"),
    ):
        with pytest.raises(RolloutError, match="on simulated time"):
            ask()


@pytest.mark.parametrize("days", [0, -1, 367, float("nan")])
def test_a_clock_steps_forward_by_a_year_at_most(control, simulated, days):
    """Standing still, going back and endless steps are refused."""
    begin(control, simulated)
    with pytest.raises(ParameterError, match="steps forward"):
        simulated.step("ramp", days=days, actor="ann")


def test_settings_of_a_simulation_survive_being_kept(control, simulated):
    """Traffic, faults and seed come back as they were set."""
    begin(control, simulated)
    settings = SimulationSettings(
        traffic=Traffic(queries_a_day=5000, users=800), faults=(parse_fault("errors:0.01@day2-3,both"),), seed=7
    )
    simulated.set("ramp", settings, actor="ann")
    assert simulated.settings("ramp") == settings
    with pytest.raises(ParameterError, match="a simulation holds"):
        SimulationSettings.from_json({"traffic": {}, "faults": 3})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency:x2@day10", RolloutFault(kind="latency", amount=2, first_day=10)),
        ("clicks:-8%@50%", RolloutFault(kind="clicks", amount=-0.08, from_percent=50)),
        ("errors:0.01@day12-13,both", RolloutFault(kind="errors", amount=0.01, first_day=12, last_day=13, arm="both")),
        ("missing data@day9-,control", RolloutFault(kind="missing data", first_day=9, arm="control")),
        ("latency:2", RolloutFault(kind="latency", amount=2)),
    ],
)
def test_faults_are_written_on_one_line(text, fault):
    """Kind, amount, days, percentage and arm are read from one word, as a shell passes them."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text", ["", "latency", "latency:0", "fire:2", "latency:2@noon", "latency:e@day1", "x:1@day3-2"]
)
def test_a_broken_fault_is_refused(text):
    """Unknown kinds, missing or impossible amounts and places are a ParameterError."""
    with pytest.raises(ParameterError):
        parse_fault(text)


@given(text=st.text(alphabet="latencyclickserrors:@%day -.0123x,", max_size=25))
def test_any_text_is_a_fault_or_refused(text):
    """Parsing a fault raises nothing but ParameterError."""
    try:
        found = parse_fault(text)
    except ParameterError:
        found = None
    assert found is None or isinstance(found, RolloutFault)


@pytest.mark.parametrize(
    ("fault", "queries", "n"),
    [
        ("", 100_000, 1),
        ("latency:1.6@day4", 100_000, 3),
        ("clicks:-8%@25%", 60_000, 3),
        ("errors:0.01@day4-5", 100_000, 2),
        ("missing data@day3", 100_000, 1),
    ],
)
def test_the_live_rules_do_exactly_what_preflight_simulated(fault, queries, n):
    """Rollout by rollout, state machine and live monitor end as pre-flight said: same end, same day, same alert."""
    schedule = Schedule.parse("0:5,3:10,7:25,10:50,13:100")
    traffic = Traffic(queries_a_day=queries, users=queries // 3)
    faults = (parse_fault(fault),) if fault else ()
    promised = preflight(
        schedule, traffic, Thresholds(), scenarios=[Scenario(name="it", faults=faults)], n_simulations=20, seed=5
    )
    result = promised.scenarios[0]
    source = SimulationSettings(traffic=traffic, faults=faults, seed=5).days(schedule, n_rollouts=20)
    for at in range(n):
        lived = rehearse(draft(schedule, Thresholds()), source, max_days=promised.max_days, rollout=at)
        assert ENDS[lived.rollout.state] == result.end[at]
        assert lived.n_days == result.end_day[at]
        assert bool(lived.alert_days) == result.is_alerted[at]


def _caught(schedule, thresholds, traffic, *, n, seed):
    """Return the share that pre-flight promises to catch of CTR -8 % at 50 %, the share caught, and 1 σ of the two."""
    faults = (parse_fault("clicks:-8%@50%"),)
    scenarios = [Scenario(name="fewer clicks", faults=faults)]
    result = preflight(schedule, traffic, thresholds, scenarios=scenarios, n_simulations=1000, seed=seed).scenarios[0]
    source = SimulationSettings(traffic=traffic, faults=faults, seed=seed + 1).days(schedule, n_rollouts=n)
    lived = [rehearse(draft(schedule, thresholds), source, max_days=95, rollout=at) for at in range(n)]
    reached = [one for one in lived if max(one.percents) >= 50]
    caught = sum(any(one.percents[day - 1] >= 50 for day in one.alert_days) for one in reached) / len(reached)
    promised = 1 - result.missed.value
    return promised, caught, (promised * (1 - promised) * (1 / len(reached) + 1 / result.missed.n)) ** 0.5


def _ungated() -> Thresholds:
    """Return thresholds that let a small rollout go on, so that catching is a matter of chance."""
    base = Thresholds()
    return replace(base, ctr=replace(base.ctr, is_gate=False), p99=replace(base.p99, is_gate=False))


def test_fewer_clicks_are_caught_as_often_as_preflight_promised():
    """CTR -8 % at 50 % of a small site: 25 live rollouts catch it as often as 1,000 simulated ones, one in two."""
    promised, caught, error = _caught(QUICK, _ungated(), Traffic(queries_a_day=20_000, users=10_000), n=25, seed=11)
    assert 0.4 < promised < 0.6
    assert abs(caught - promised) < 3 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "thresholds", "queries", "n"),
    [(QUICK, _ungated(), 20_000, 300), (DEFAULT_SCHEDULE, Thresholds(), 30_000, 60)],
)
def test_fewer_clicks_are_caught_as_often_as_preflight_promised_in_many_rollouts(schedule, thresholds, queries, n):
    """The same with hundreds of rollouts, and with the default schedule and thresholds."""
    traffic = Traffic(queries_a_day=queries, users=queries // 2)
    promised, caught, error = _caught(schedule, thresholds, traffic, n=n, seed=21)
    assert abs(caught - promised) < max(3 * error, 0.02)


def test_a_rehearsal_keeps_nothing_and_takes_at_least_a_day(control):
    """Nothing of a rehearsal reaches the workspace; no day at all is refused."""
    source = SimulationSettings().days(QUICK)
    assert rehearse(draft(QUICK, Thresholds()), source, max_days=2).n_days == 2
    assert control.rollouts() == ()
    with pytest.raises(ParameterError, match="at least one day"):
        rehearse(draft(QUICK, Thresholds()), source, max_days=0)
