"""The control plane: every step moves rollout, flag, audit log and flag file together or not at all."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from engine.errors import ConflictError, FlagError, ParameterError, RolloutError
from engine.flags import Flag, FlagStore
from engine.rollout import DEFAULT_SCHEDULE, RolloutControl, Schedule, Thresholds
from engine.workspace import Workspace

FLAG = "use_reduced_dims"
QUICK = Schedule.parse("0:5,1:50,2:100")


def test_a_rollout_goes_from_draft_to_completed(workspace, flags, control, clock, day_of, weights):
    """Each stage moves the flag's weights, in the database and in the file; completing frees the flag."""
    draft = control.create("ramp", flag_key=FLAG, schedule=QUICK, actor="ann", owner="search", description="768 dims")
    assert (draft.state, draft.percent, draft.next_action) == ("draft", 0, "start")
    assert flags.flag(FLAG).percent == 0
    seen = [control.start("ramp", actor="ann")]
    for percent in (5, 50):
        clock.pass_days(1)
        control.observe("ramp", day_of(percent), actor="metrics")
        seen.append(control.advance("ramp", actor="bob", expected_version=seen[-1].version))
        assert weights()["on"] == 1000 * seen[-1].percent
    assert [one.percent for one in seen] == [5, 50, 100]
    assert flags.flag(FLAG).driven_by == "ramp"
    done = control.complete("ramp", actor="bob", override="nothing to compare with at 100 %")
    assert (done.state, done.actions, done.next_action) == ("completed", ("roll back",), None)
    assert (flags.flag(FLAG).percent, flags.flag(FLAG).driven_by) == (100, None)
    assert control.replay("ramp").agrees
    assert workspace.check_audit().is_intact


def test_users_once_in_stay_in_and_the_last_in_are_the_first_out(flags, running, clock):
    """The users of each stage are among those of the next one, and rolling back leaves nobody in."""
    users = [f"user-{n}" for n in range(2000)]

    def inside():
        snapshot = flags.snapshot()
        return {user for user in users if snapshot.evaluate(FLAG, user).variant == "on"}

    groups = [inside()]
    for _ in range(2):
        running.advance("ramp", actor="ann", override="test of who is in")
        groups.append(inside())
    assert groups[0] < groups[1] < groups[2] == set(users)
    assert 0.03 < len(groups[0]) / len(users) < 0.07
    running.roll_back("ramp", actor="ann", reason="enough", typed="roll back")
    assert inside() == set()


def test_a_holdback_stays_in_control_through_the_last_stage(flags, control):
    """With 5 % held back the last stage gives 95 %, and the held back are those that would have come in last."""
    schedule = Schedule.parse("0:50,1:100", holdback_percent=5)
    control.create("ramp", flag_key=FLAG, schedule=schedule, actor="ann")
    control.start("ramp", actor="ann")
    last = control.advance("ramp", actor="ann", override="test")
    assert last.percent == 95
    split = flags.flag(FLAG).split
    assert [(share.variant, share.weight) for share in split.shares] == [("on", 95_000), ("off", 5_000)]


def test_advancing_is_refused_until_day_data_and_alerts_allow_it(running, clock, day_of):
    """The day, then too little data, then a critical alert refuse; what is refused changes nothing."""
    before = running.status("ramp")
    assert [one.kind for one in before.obstacles] == ["too little data", "day"]
    with pytest.raises(RolloutError, match="before the monitor has enough data"):
        running.advance("ramp", actor="ann")
    clock.pass_days(1)
    running.observe("ramp", day_of(5, n=1000), actor="metrics")
    with pytest.raises(RolloutError, match="enough data"):
        running.advance("ramp", actor="ann")
    assert running.status("ramp").percent == 5
    assert running.status("ramp").version == before.version


def test_an_override_is_recorded_with_its_reason_and_the_evidence(workspace, running):
    """Who went on against what, and why, is in the audit log with the monitor's report of that moment."""
    running.advance("ramp", actor="ann", override="the owner asked for it")
    event = workspace.audit(kind="rollout", key="ramp")[-1]
    assert (event.actor, event.action, event.reason) == ("ann", "advance", "the owner asked for it")
    assert event.evidence["step"]["override"] == "the owner asked for it"
    assert event.evidence["step"]["gate"]["missing"]
    assert event.evidence["report"]["is_enough_data"] is False
    assert event.evidence["flag"]["weights"] == {"on": 50_000, "off": 50_000}
    entry = running.history("ramp")[-1]
    assert (entry.action, entry.override, entry.percent) == ("advance", "the owner asked for it", 50)


def test_rolling_back_takes_typed_words_and_a_reason(running):
    """Another word, or no reason, rolls nothing back."""
    with pytest.raises(RolloutError, match='typed words "roll back"'):
        running.roll_back("ramp", actor="ann", reason="slow", typed="yes")
    with pytest.raises(ParameterError, match="takes a reason"):
        running.roll_back("ramp", actor="ann", reason="", typed="roll back")
    assert running.status("ramp").state == "running"


def test_a_flag_has_one_rollout_at_a_time(flags, running):
    """A second rollout on the flag cannot start while the first runs or is paused; after a rollback it can."""
    running.create("other", flag_key=FLAG, schedule=QUICK, actor="bob")
    for _ in range(2):
        with pytest.raises(RolloutError, match=f"one rollout at a time; found rollout ramp on {FLAG}"):
            running.start("other", actor="bob")
        if running.status("ramp").state == "running":
            running.pause("ramp", actor="ann", reason="lunch")
    running.roll_back("ramp", actor="ann", reason="no", typed="roll back")
    assert running.start("other", actor="bob").percent == 5
    with pytest.raises(RolloutError, match="rolled back"):
        running.resume("ramp", actor="ann")


def test_a_completed_rollout_can_be_rolled_back_while_the_flag_is_free(flags, running, clock):
    """Trouble that shows after the end: everybody gets the safe variant; not while another rollout drives the flag."""
    for _ in range(2):
        running.advance("ramp", actor="ann", override="x")
    running.complete("ramp", actor="ann", override="x")
    flag = flags.flag(FLAG)
    flags.set(flag.with_percent(5), expected_version=flag.version, actor="bob")
    running.create("other", flag_key=FLAG, schedule=QUICK, actor="bob")
    running.start("other", actor="bob")
    with pytest.raises(RolloutError, match="another rollout drives the flag by now"):
        running.roll_back("ramp", actor="ann", reason="late", typed="roll back")
    running.roll_back("other", actor="bob", reason="x", typed="roll back")
    clock.pass_days(9)
    undone = running.roll_back("ramp", actor="ann", reason="late", typed="roll back")
    assert undone.sentence.startswith("Rollout ramp was rolled back after it had completed on day 0.0, everybody sees")
    assert flags.flag(FLAG).percent == 0


def test_a_driven_flag_is_moved_and_removed_by_its_rollout_only(flags, running):
    """Setting the percentage by hand and removing the flag are refused with the name of the rollout."""
    flag = flags.flag(FLAG)
    with pytest.raises(FlagError, match="rollout ramp"):
        flags.set(flag.with_percent(80), expected_version=flag.version, actor="bob")
    with pytest.raises(FlagError, match="rollout ramp"):
        flags.remove(FLAG, expected_version=flag.version, actor="bob")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"flag_key": "use_reduced_dim"}, FlagError, "no such flag"),
        ({"treatment": "maybe"}, FlagError, "must be one of its variants"),
        ({"treatment": "off"}, RolloutError, "a variant that is not the safe one; found off"),
        ({"key": ""}, ParameterError, "the key of a rollout"),
        ({"key": "two\nlines"}, ParameterError, "the key of a rollout"),
        ({"key": "x" * 101}, ParameterError, "the key of a rollout"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_when_it_is_made(control, options, error, sentence):
    """Unknown flags and variants, the safe variant and broken keys leave nothing behind."""
    with pytest.raises(error, match=sentence):
        control.create(**{"key": "ramp", "flag_key": FLAG, "actor": "ann", **options})
    assert control.rollouts() == ()


def test_a_key_is_used_once(control):
    """A second rollout of one key is refused, whatever became of the first."""
    control.create("ramp", flag_key=FLAG, actor="ann")
    with pytest.raises(RolloutError, match="there already; found ramp"):
        control.create("ramp", flag_key="enable_new_index", actor="ann")


def test_integer_flags_ramp_a_named_variant(flags, control):
    """The integer flag gives 768 to the first 5 % and the full size to the others."""
    control.create("ramp", flag_key="reduced_dim_size", treatment="768", actor="ann")
    control.start("ramp", actor="ann")
    snapshot = flags.snapshot()
    values = [snapshot.evaluate("reduced_dim_size", f"user-{n}").value for n in range(1000)]
    assert set(values) == {768, 3072}
    assert 20 < values.count(768) < 90


@pytest.mark.parametrize("percent", [6, 100])
def test_a_start_that_would_take_the_treatment_from_users_is_refused(flags, control, percent):
    """A flag that is ahead of the first stage must be set back by a person first."""
    flag = flags.flag(FLAG)
    flags.set(flag.with_percent(percent), expected_version=flag.version, actor="ann")
    control.create("ramp", flag_key=FLAG, actor="ann")
    with pytest.raises(RolloutError, match=f"never takes the treatment from users who have it; found {percent} %"):
        control.start("ramp", actor="ann")
    assert flags.flag(FLAG).percent == percent


def test_a_start_on_rules_a_disabled_flag_or_another_hash_is_refused(flags, control):
    """What a rollout would overwrite or could not move is named before anything changes."""
    variants = {"on": True, "off": False}
    made = {"kind": "boolean", "variants": variants, "default_variant": "off", "safe_variant": "off"}
    rules = {"if": [{"==": [{"var": "country"}, "NO"]}, "on", "off"]}
    flags.set(Flag(key="ruled", rules=rules, **made), expected_version=0, actor="ann")
    flags.set(Flag(key="disabled", is_enabled=False, **made), expected_version=0, actor="ann")
    flags.set(Flag(key="everybody", **{**made, "default_variant": "on"}), expected_version=0, actor="ann")
    for key, sentence in (("ruled", "targeting rules"), ("disabled", "disabled flag"), ("everybody", "found 100 %")):
        control.create(key, flag_key=key, treatment="on", actor="ann")
        with pytest.raises(RolloutError, match=sentence):
            control.start(key, actor="ann")
    five = flags.flag(FLAG)
    flags.set(five.with_percent(5), expected_version=five.version, actor="ann")
    control.create("rehashed", flag_key=FLAG, hash_key="another", actor="ann")
    with pytest.raises(RolloutError, match="never takes the treatment"):
        control.start("rehashed", actor="ann")


def test_an_edit_is_optimistically_locked(running):
    """Two people edit a paused rollout: the second is told who changed what, and the first edit stays."""
    version = running.pause("ramp", actor="ann", reason="let me think").version
    longer = Schedule.parse("0:5,7:50,14:100")
    edited = running.edit("ramp", schedule=longer, expected_version=version, actor="ann")
    with pytest.raises(ConflictError, match=r"rollout ramp .* paused at 5 % by ann"):
        running.edit("ramp", thresholds=Thresholds(breaches=2), expected_version=version, actor="bob")
    again = running.edit("ramp", thresholds=Thresholds(breaches=2), expected_version=edited.version, actor="bob")
    assert (again.rollout.schedule, again.rollout.thresholds.breaches) == (longer, 2)
    assert running.replay("ramp").agrees


def test_a_running_rollout_is_not_edited(running):
    """Schedule and thresholds of a running rollout stay as they are."""
    version = running.status("ramp").version
    with pytest.raises(RolloutError, match="running cannot edit"):
        running.edit("ramp", schedule=DEFAULT_SCHEDULE, expected_version=version, actor="ann")


def test_a_draft_can_be_discarded_and_a_started_rollout_cannot(control, running):
    """What has moved users stays in the list for good."""
    control.create("draft", flag_key="enable_new_index", actor="ann")
    control.discard("draft", actor="ann")
    assert [one.rollout.key for one in control.rollouts()] == ["ramp"]
    with pytest.raises(RolloutError, match="only a draft can be discarded; found rollout ramp, running"):
        control.discard("ramp", actor="ann")


def test_an_unknown_rollout_names_those_there_are(running):
    """Every question about a rollout that is not there says which ones are."""
    for ask in (running.status, running.replay):
        with pytest.raises(RolloutError, match=r"no such rollout is in this workspace; found rump\. There is ramp"):
            ask("rump")


class _DiesBeforeTheFile(FlagStore):
    """A store whose process is gone before the flag file is written."""

    def publish(self):
        """Die."""
        raise KeyboardInterrupt


def test_a_crash_before_the_flag_file_is_mended_at_the_next_open(workspace, flags, running, weights):
    """The database has the new stage, the file still the old one; the next store that opens brings it up to date."""
    dying = RolloutControl(workspace, _DiesBeforeTheFile(workspace))
    with pytest.raises(KeyboardInterrupt):
        dying.advance("ramp", actor="ann", override="x")
    assert running.status("ramp").percent == 50
    assert weights()["on"] == 5000
    opened = FlagStore(workspace)
    assert opened.opened.is_written
    assert weights()["on"] == 50_000


def test_two_people_who_advance_at_once_advance_once(tmp_path, running, workspace):
    """Two processes' worth of connections press advance together: one wins, the other gets a conflict, six times."""
    stages = ",".join(f"{day}:{5 * day + 5}" for day in range(8))
    running.create("race", flag_key="enable_new_index", schedule=Schedule.parse(stages), actor="ann")
    version = running.start("race", actor="ann").version
    with Workspace.open(workspace.folder) as other:
        controls = (running, RolloutControl(other, FlagStore(other)))
        for turn in range(6):
            gate, outcomes = threading.Barrier(2), []

            def press(control, gate=gate, outcomes=outcomes, version=version):
                gate.wait()
                try:
                    outcomes.append(control.advance("race", actor="x", expected_version=version, override="now"))
                except ConflictError as error:
                    outcomes.append(error)

            threads = [threading.Thread(target=press, args=(control,)) for control in controls]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            won = [one for one in outcomes if not isinstance(one, ConflictError)]
            assert (len(outcomes), len(won)) == (2, 1)
            assert won[0].percent == 5 * (turn + 2)
            version = won[0].version


def test_pressing_advance_again_without_a_version_waits_for_the_next_day(running, clock, day_of):
    """Without a version the second press meets the day of the next stage: nothing is advanced twice."""
    clock.pass_days(1)
    running.observe("ramp", day_of(5), actor="metrics")
    assert running.advance("ramp", actor="ann").percent == 50
    with pytest.raises(RolloutError):
        running.advance("ramp", actor="bob")
    assert running.status("ramp").percent == 50


def test_a_change_past_the_engine_shows_in_the_replay(workspace, running):
    """A record written past the machine no longer follows from its steps: the replay and the chain both say so."""
    with workspace.recording() as ledger:
        record = ledger.get("rollout", "ramp")
        ledger.put(
            "rollout", "ramp", {**record.body, "owner": "mallory"}, expected_version=None, actor="x", action="set"
        )
    assert not running.replay("ramp").agrees


def test_statuses_tell_what_comes_next(running, clock):
    """Stage cards say what is done, now and ahead, and when the next stage begins."""
    status = running.status("ramp")
    assert [(stage.state, stage.share_percent) for stage in status.stages] == [
        ("now", 5),
        ("ahead", 50),
        ("ahead", 100),
    ]
    assert status.next_stage.share_percent == 50
    assert status.next_at == clock.moment + timedelta(days=1)
    assert status.actions == ("advance", "pause", "roll back")
    assert not status.can_go_on
    clock.pass_days(0.25)
    paused = running.pause("ramp", actor="ann", reason="lunch")
    clock.pass_days(10)
    late = running.status("ramp")
    assert late.next_at == clock.moment + timedelta(days=0.75)
    assert (late.day, late.sentence) == (0.25, "Rollout ramp is paused at 5 % on day 0.2: lunch.")
    assert paused.next_action == "resume"
