"""The states of a rollout: which steps are possible when, what they change, and how time counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import ParameterError, RolloutError, WorkspaceError
from engine.rollout.gates import Gate
from engine.rollout.machine import (
    Rollout,
    RolloutState,
    Step,
    allowed,
    apply,
    obstacles,
    planned,
    running_days,
    time_left,
)
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule
from engine.rollout.storage import rollout_json, rollout_of, step_json, step_of
from engine.rollout.thresholds import Thresholds

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ACTIONS = ("edit", "start", "advance", "pause", "resume", "roll back", "complete")


def draft(schedule: Schedule = DEFAULT_SCHEDULE) -> Rollout:
    """Return a rollout that has not started."""
    return Rollout(
        key="halve",
        flag_key="use_reduced_dims",
        treatment="on",
        control="off",
        hash_key="use_reduced_dims",
        schedule=schedule,
        thresholds=Thresholds(),
        created_at=START,
        changed_at=START,
        changed_by="ann",
    )


def step(action, day=0.0, **options) -> Step:
    """Return a step `day` days after the start, with a reason where one is needed."""
    reason = options.pop("reason", "because" if action in {"pause", "roll back"} else "")
    return Step(action=action, at=START + day * DAY, actor="ann", reason=reason, **options)


def after(*steps: Step, schedule: Schedule = DEFAULT_SCHEDULE) -> Rollout:
    """Return the rollout after `steps`."""
    rollout = draft(schedule)
    for one in steps:
        rollout = apply(rollout, one)
    return rollout


def in_state(state: RolloutState) -> Rollout:
    """Return a rollout of two stages in `state`, in its first stage where it is running or paused."""
    ways = {
        "draft": (),
        "running": (step("start"),),
        "paused": (step("start"), step("pause", 1)),
        "completed": (step("start"), step("advance", 2), step("complete", 3)),
        "rolled back": (step("start"), step("roll back", 1)),
    }
    return after(*ways[state], schedule=Schedule.parse("0:5,2:100"))


@pytest.mark.parametrize("state", list(RolloutState))
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_taken_or_refused_as_the_state_says(state, action):
    """Each of the 35 pairs of state and action works when listed as allowed, else it is refused with a hint."""
    listed = {
        "draft": {"edit", "start"},
        "running": {"advance", "pause", "roll back"},
        "paused": {"edit", "resume", "roll back"},
        "completed": {"roll back"},
        "rolled back": set(),
    }
    rollout = in_state(state)
    assert set(allowed(rollout)) == listed[state]
    if action in listed[state]:
        assert apply(rollout, step(action, 10)).changed_at == START + 10 * DAY
    else:
        with pytest.raises(RolloutError, match=r"; found .+\. .+\."):
            apply(rollout, step(action, 10))


def test_a_default_rollout_on_time_completes_on_day_35():
    """Advanced on its days it goes through 5, 10, 25, 50, 75, 90 and 100 % and completes."""
    rollout, percents = after(step("start")), []
    for stage in DEFAULT_SCHEDULE.stages[1:]:
        percents.append(rollout.percent)
        rollout = apply(rollout, step("advance", stage.day))
    done = apply(rollout, step("complete", 35))
    assert percents == [5, 10, 25, 50, 75, 90]
    assert (done.state, done.percent, done.weight) == (RolloutState.COMPLETED, 100, 100_000)
    assert running_days(done, START + 90 * DAY) == 35


def test_a_completed_rollout_that_is_rolled_back_ran_to_its_completion():
    """Rolled back a week after its end, its days are those until it completed, and the step has its own moment."""
    completed = in_state(RolloutState.COMPLETED)
    undone = apply(completed, step("roll back", 10))
    assert (undone.ended_at, undone.changed_at) == (START + 3 * DAY, START + 10 * DAY)
    assert running_days(undone, START + 50 * DAY) == 3


def test_the_last_stage_is_completed_and_not_advanced():
    """In the last stage advancing says to complete; before it, completing says how many stages are left."""
    last = after(step("start"), step("advance", 2), schedule=Schedule.parse("0:5,2:100"))
    with pytest.raises(RolloutError, match="no stage is left to advance to; found 100 %"):
        apply(last, step("advance", 5))
    with pytest.raises(RolloutError, match="completes in its last stage; found 6 to go"):
        apply(after(step("start")), step("complete", 40))


def test_advancing_waits_for_the_day():
    """An hour before its day the next stage is refused with the time that is left; on the hour it begins."""
    rollout = after(step("start"))
    with pytest.raises(RolloutError, match=r"before the day of the next stage has come; found 1\.0 hours to go"):
        apply(rollout, step("advance", 3 - 1 / 24))
    with pytest.raises(RolloutError, match=r"found 3\.0 days to go"):
        apply(rollout, step("advance", 0))
    assert apply(rollout, step("advance", 3)).percent == 10


def test_a_pause_moves_what_follows_by_its_length():
    """Two days paused: the day count stands still and the next stage is due two days later."""
    paused = after(step("start"), step("pause", 1))
    assert running_days(paused, START + 9 * DAY) == 1
    assert time_left(paused, START + 9 * DAY) == 2 * DAY
    resumed = apply(paused, step("resume", 3))
    assert running_days(resumed, START + 4 * DAY) == 2
    with pytest.raises(RolloutError, match="before the day"):
        apply(resumed, step("advance", 4.9))
    advanced = apply(resumed, step("advance", 5))
    assert advanced.percent == 10
    assert [round((moment - START) / DAY) for moment in planned(advanced, START + 5 * DAY)] == [0, 5, 9, 16, 23, 30, 37]


def test_a_stage_entered_late_still_lasts_its_full_time():
    """Somebody who advances on day 10 instead of 3 cannot advance again before day 14."""
    rollout = after(step("start"), step("advance", 10))
    with pytest.raises(RolloutError, match="before the day"):
        apply(rollout, step("advance", 13.9))
    assert apply(rollout, step("advance", 14)).percent == 25


def test_a_draft_is_planned_from_now_and_an_ended_rollout_no_further():
    """Planned moments of a draft follow the schedule; a rolled back rollout keeps the stages that it entered."""
    assert planned(draft(), START) == tuple(START + stage.day * DAY for stage in DEFAULT_SCHEDULE.stages)
    assert planned(in_state(RolloutState.ROLLED_BACK), START + 50 * DAY) == (START,)


@pytest.mark.parametrize(
    ("gate", "action", "sentence"),
    [
        (Gate(critical=("p99 latency doubled.", "errors")), "advance", "found p99 latency doubled and 1 more"),
        (Gate(missing=("1,000 of 5,000 queries",)), "advance", "enough data; found 1,000 of 5,000 queries"),
        (Gate(critical=("p99 latency doubled",)), "resume", "cannot resume while a critical alert stands"),
    ],
)
def test_what_stands_in_the_way_is_named_and_can_be_overridden(gate, action, sentence):
    """A critical alert or too little data refuses the step; a typed reason overrides it and is kept."""
    rollout = in_state(RolloutState.RUNNING if action == "advance" else RolloutState.PAUSED)
    with pytest.raises(RolloutError, match=sentence):
        apply(rollout, step(action, 5, gate=gate))
    taken = apply(rollout, step(action, 5, gate=gate, override="the graph is wrong, I looked"))
    assert taken.state is RolloutState.RUNNING
    assert taken.reason == "the graph is wrong, I looked"


def test_the_last_warning_that_stood_is_kept_to_the_end():
    """A later advance without a warning forgets it; a pause does not, nor an end at which no control is left."""
    warned = Gate(warnings=("CTR fell.",))
    first = after(step("start"), step("advance", 2, gate=warned), schedule=Schedule.parse("0:5,2:50,3:100"))
    assert first.passed_warnings == ("CTR fell.",)
    paused = apply(apply(first, step("pause", 2.5)), step("resume", 2.5))
    assert paused.passed_warnings == first.passed_warnings
    assert apply(paused, step("advance", 4)).passed_warnings == ()
    last = apply(apply(paused, step("advance", 4, gate=warned)), step("complete", 5))
    assert last.passed_warnings == ("CTR fell.",)
    assert rollout_of(json.loads(json.dumps(rollout_json(last)))) == last
    assert "passed_warnings" not in rollout_json(in_state(RolloutState.COMPLETED))


def test_the_day_can_be_overridden():
    """A typed reason advances before the day has come."""
    assert after(step("start"), step("advance", 1, override="asked by the owner")).percent == 10


@pytest.mark.parametrize("state", [RolloutState.DRAFT, RolloutState.RUNNING, RolloutState.PAUSED])
def test_nothing_goes_on_while_the_kill_switch_is_on(state):
    """Start, advance and resume are refused while everything is killed, whatever the override; rolling back is not."""
    rollout = in_state(state)
    onward = {"draft": "start", "running": "advance", "paused": "resume"}[state]
    gate = Gate(killed="killed by bob: outage")
    with pytest.raises(RolloutError, match="while the kill switch is on; found killed by bob: outage"):
        apply(rollout, step(onward, 5, gate=gate, override="please"))
    if state is not RolloutState.DRAFT:
        assert apply(rollout, step("roll back", 5, gate=gate)).percent == 0


def test_every_obstacle_is_told_at_once():
    """A page can show all four reasons together, the kill switch first."""
    gate = Gate(critical=("a",), missing=("b",), killed="c")
    found = obstacles(in_state(RolloutState.RUNNING), "advance", gate=gate, at=START)
    assert [one.kind for one in found] == ["kill switch", "critical alert", "too little data", "day"]
    assert [one.can_be_overridden for one in found] == [False, True, True, True]


@pytest.mark.parametrize("action", ["pause", "roll back"])
def test_pausing_and_rolling_back_take_a_reason(action):
    """Without a reason, or with one on two lines, nothing is done."""
    rollout = in_state(RolloutState.RUNNING)
    with pytest.raises(ParameterError, match="takes a reason"):
        apply(rollout, step(action, 1, reason=""))
    with pytest.raises(ParameterError, match="one printable line"):
        apply(rollout, step(action, 1, reason="two\nlines"))


def test_an_edit_changes_the_stages_ahead_only():
    """A paused rollout takes another future; its past, and the share of the present stage, stay."""
    paused = after(step("start"), step("advance", 3), step("pause", 4))
    ahead = Schedule.parse("0:5,3:10,5:60")
    edited = apply(paused, step("edit", 4, schedule=ahead, thresholds=Thresholds(breaches=3), is_automatic=True))
    assert (edited.schedule, edited.thresholds.breaches, edited.is_automatic) == (ahead, 3, True)
    assert (edited.state, edited.percent) == (RolloutState.PAUSED, 10)
    with pytest.raises(ParameterError, match="only stages that lie ahead can be edited"):
        apply(paused, step("edit", 4, schedule=Schedule.parse("0:5,3:11,7:25")))
    with pytest.raises(ParameterError, match="only stages that lie ahead"):
        apply(paused, step("edit", 4, schedule=Schedule.parse("0:5")))
    with pytest.raises(ParameterError, match="share of the present stage cannot be edited"):
        apply(paused, step("edit", 4, schedule=Schedule.parse("0:5,3:10", holdback_percent=92)))


def test_a_draft_takes_any_schedule():
    """Before the start every stage lies ahead."""
    edited = apply(draft(), step("edit", schedule=Schedule.parse("0:50,1:100")))
    assert apply(edited, step("start")).percent == 50


def test_a_clock_that_goes_back_does_not_take_time_away():
    """A step dated before the last one counts as of that moment: two machines' clocks differ."""
    paused = after(step("start", 1), step("pause", 0.5))
    assert paused.paused_at == START + DAY
    assert running_days(paused, START) == 0


def test_a_document_of_another_form_is_refused():
    """Stored rollouts and steps that miss a field or hold an unknown state say so in one sentence."""
    good, taken = rollout_json(draft()), step_json(step("start"))
    for document in ({}, {**good, "state": "flying"}, {**good, "entered_at": [3]}, {**good, "schedule": {}}):
        with pytest.raises(WorkspaceError, match="stored rollout"):
            rollout_of(document)
    for document in ({}, {**taken, "at": None}, {**taken, "gate": 3}):
        with pytest.raises(WorkspaceError, match="stored step"):
            step_of(document)


_GATES = st.builds(
    Gate,
    critical=st.sampled_from([(), (), ("latency",)]),
    missing=st.sampled_from([(), (), ("queries",)]),
    killed=st.sampled_from(["", "", "", "killed"]),
    warnings=st.sampled_from([(), ("clicks",)]),
)


class RolloutMachine(RuleBasedStateMachine):
    """Any order of steps beside a naive model that counts running hours one by one."""

    @initialize(text=st.sampled_from(["0:5,12h:10,1:100", "0:100", "0:1,6h:2,12h:50"]), held=st.sampled_from([0, 40]))
    def create(self, text, held):
        """Make a draft."""
        self.first = self.rollout = draft(Schedule.parse(text, holdback_percent=held))
        self.steps: list[Step] = []
        self.hour, self.running_h, self.stage_h = 0, 0, 0

    @rule(hours=st.integers(1, 30))
    def wait(self, hours):
        """Let time pass; the model counts it only while running."""
        self.hour += hours
        if self.rollout.state is RolloutState.RUNNING:
            self.running_h += hours
            self.stage_h += hours

    @rule(action=st.sampled_from(ACTIONS), gate=_GATES, override=st.sampled_from(["", "", "I looked"]))
    def act(self, action, gate, override):
        """Try any action; it succeeds exactly when the model says so."""
        before = self.rollout
        taken = step(action, self.hour / 24, gate=gate, override=override)
        if not self._possible(before, action, gate, override):
            with pytest.raises(RolloutError):
                apply(before, taken)
            return
        self.rollout = apply(before, taken)
        self.steps.append(taken)
        if action in {"start", "advance"}:
            self.stage_h = 0
        if action == "roll back":
            assert self.rollout.percent == 0
        else:
            assert self.rollout.percent >= before.percent

    def _possible(self, rollout, action, gate, override):
        if action not in allowed(rollout) or (gate.killed and action in {"start", "advance", "resume", "complete"}):
            return False
        if override or action in {"edit", "start", "pause", "roll back"}:
            return True
        if action == "resume":
            return not gate.critical
        length = 24 * rollout.schedule.length_days(rollout.stage_index)
        return not gate.critical and not gate.missing and self.stage_h >= round(length)

    @precondition(lambda self: self.steps)
    @invariant()
    def time_is_what_the_model_counted(self):
        """Check that the day of the rollout is the hours the model saw it running."""
        at = START + timedelta(hours=self.hour)
        assert running_days(self.rollout, at) * 24 == pytest.approx(self.running_h, abs=1e-6)

    @invariant()
    def steps_replay_to_the_same_rollout(self):
        """Check that recording and replaying every step, through JSON, gives the rollout to the last field."""
        replayed = self.first
        for one in self.steps:
            replayed = apply(replayed, step_of(json.loads(json.dumps(step_json(one)))))
        assert replayed == self.rollout
        assert rollout_of(json.loads(json.dumps(rollout_json(self.rollout)))) == self.rollout

    @invariant()
    def the_state_and_its_moments_agree(self):
        """Check that only a paused rollout has an open pause and only an ended one an end."""
        rollout = self.rollout
        assert (rollout.paused_at is not None) == (rollout.state is RolloutState.PAUSED)
        assert (rollout.ended_at is not None) == (rollout.state in {"completed", "rolled back"})
        assert rollout.weight == round(1000 * rollout.percent)


TestRolloutMachine = RolloutMachine.TestCase
TestRolloutMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
