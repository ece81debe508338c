"""The runbook for the live state: which rollout, which evidence, which steps with which commands."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from engine import cli
from engine.errors import RolloutError
from engine.migration.cut_over import FLAG, cut_over
from engine.present.plan import PlanInputs, PlanStore, make_plan
from engine.present.runbook import RunbookStore, Step, run_preflight
from engine.rollout import Limit, Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.flags import FlagStore
    from engine.present.runbook import Runbook
    from engine.rollout import RolloutControl
    from engine.workspace import Workspace
    from tests.present.runbook.conftest import Clock


def step(runbook: Runbook, title: str) -> Step:
    return next(one for one in runbook.steps if one.title.startswith(title))


def test_an_empty_workspace_has_a_runbook_that_claims_nothing(look: Callable[..., Runbook]) -> None:
    """Every item is open, the thresholds are the defaults and said to be, and the kill is there to be typed."""
    found = look()
    assert [check.state for check in found.checks] == ["open"] * 7
    assert found.readiness == "0 of 7 items of the checklist are done; 7 open."
    assert (found.rollout, found.rollouts, found.migration, found.is_ready) == ("", (), "", False)
    assert "none is planned yet" in found.triggers_are
    assert step(found, "Stop the harm").commands == ("dimshift flags kill --confirm kill --reason 'WHY'",)
    assert step(found, "Roll the rollout back").state == "not needed"


def test_steps_and_triggers_are_those_of_the_rollout(
    control: RolloutControl, flags: FlagStore, look: Callable[..., Runbook]
) -> None:
    """Key, percentage, safe variant and thresholds stand in the steps, and change with the live state."""
    thresholds = Thresholds(p99=Limit(alert=0.25, severity="warning", roll_back=None), missing_after_hours=12)
    control.create("ramp", flag_key="use_reduced_dims", actor="anna", thresholds=thresholds, owner="Olga")
    draft = look()
    assert step(draft, "Roll the rollout back").state == "not needed"
    assert draft.triggers[0].sentence == "+25 % warns, which stops nothing: a person decides."
    assert "12 hours pauses" in draft.triggers[3].sentence
    control.start("ramp", actor="anna")
    running = look()
    assert (running.rollout, running.state, running.percent) == ("ramp", "running", 5.0)
    back = step(running, "Roll the rollout back")
    assert back.commands == ("dimshift rollout rollback ramp --confirm 'roll back' --reason 'WHY'",)
    assert "5 % of the users have on of use_reduced_dims now; after it everybody has off" in back.text
    assert "Tell Olga (rollout owner)" in step(running, "Tell people").text
    flags.kill(actor="carl", typed="kill", reason="p99 doubled")
    killed = look()
    assert killed.is_killed
    assert "by carl: p99 doubled" in killed.situation[0]
    assert step(killed, "Stop the harm").state == "done already"
    control.roll_back("ramp", actor="carl", reason="p99", typed="roll back")
    assert step(look(), "Roll the rollout back").state == "done already"


def test_commands_are_ones_that_the_command_line_knows(
    control: RolloutControl, flags: FlagStore, look: Callable[..., Runbook]
) -> None:
    """Every command of every step parses: its verb is there, and each of its options belongs to that verb."""
    control.create("a ramp; rm -rf $HOME `x` 'y'", flag_key="use_reduced_dims", actor="anna")
    control.start("a ramp; rm -rf $HOME `x` 'y'", actor="anna")
    cut_over(flags, expected_version=1, typed="cut over", actor="anna", reason="go")
    commands = [command for one in look().steps for command in one.commands]
    assert len(commands) >= 8
    known_verbs = get_command(cli.app)
    for command in commands:
        words = shlex.split(command)
        assert words.pop(0) == "dimshift"
        verb = known_verbs
        while hasattr(verb, "commands") and words and words[0] in verb.commands:
            verb = verb.commands[words.pop(0)]
        assert not hasattr(verb, "commands"), command
        known = {name for parameter in verb.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, command
        assert ";" not in words
    assert any("a ramp; rm -rf $HOME `x` 'y'" in shlex.split(command) for command in commands)


def test_the_rollout_it_is_about_is_the_active_one_or_the_one_named(
    control: RolloutControl, look: Callable[..., Runbook], clock: Clock
) -> None:
    """Running goes before drafts and ended ones, each can be asked for by name, and an unknown one is refused."""
    control.create("first", flag_key=FLAG, actor="anna")
    control.start("first", actor="anna")
    clock.pass_days(0.1)
    control.create("second", flag_key="use_reduced_dims", actor="anna")
    assert look().rollouts == ("first", "second")
    assert look(rollout="second").state == "draft"
    assert "Also: Rollout first is running" in "\n".join(look(rollout="second").situation)
    assert step(look(), "Send searches back").text.startswith(f"{FLAG} is the flag of this very rollout")
    assert "rollback first" in step(look(rollout="second"), "Send searches back").commands[0]
    with pytest.raises(RolloutError, match=r"no such rollout .* found third\. There is first, second\."):
        look(rollout="third")


def test_alerts_are_met_only_when_every_metric_is_watched(
    control: RolloutControl, look: Callable[..., Runbook]
) -> None:
    """Thresholds are read from the rollout: one without any for CTR, or none that rolls back, is not met."""
    assert look().check("alerts").state == "open"
    off = Limit(alert=None, severity="warning", roll_back=None)
    control.create("ramp", flag_key="use_reduced_dims", actor="anna", thresholds=Thresholds(ctr=off))
    found = look().check("alerts")
    assert (found.state, "no threshold for CTR" in found.reason) == ("not met", True)
    limits = {name: replace(getattr(Thresholds(), name), roll_back=None) for name in ("p99", "error_rate", "ctr")}
    version = control.status("ramp").version
    control.edit("ramp", expected_version=version, actor="anna", thresholds=Thresholds(**limits))
    assert "No threshold of rollout ramp rolls it back by itself." in look().check("alerts").reason
    control.edit("ramp", expected_version=version + 1, actor="anna", thresholds=Thresholds())
    assert look().check("alerts").state == "done"


def test_a_pre_flight_counts_for_the_settings_it_was_made_of(
    control: RolloutControl, flags: FlagStore, look: Callable[..., Runbook]
) -> None:
    """A pre-flight is kept with what it said; when the thresholds change afterwards it is stale."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    assert look().check("preflight").state == "open"
    note = run_preflight(flags, "ramp", actor="bob", n_simulations=20)
    found = look().check("preflight")
    assert (found.state, found.said_by) == ("done", "bob")
    assert "20 simulated rollouts" in found.reason
    assert note.sentences[0].startswith("no fault: ")
    version = control.status("ramp").version
    control.edit("ramp", expected_version=version, actor="anna", thresholds=Thresholds(breaches=2))
    assert look().check("preflight").state == "stale"
    control.create("other", flag_key=FLAG, actor="anna")
    assert look(rollout="other").check("preflight").state == "open"


def test_the_plan_says_who_is_on_call_and_what_traffic_comes(
    workspace: Workspace, control: RolloutControl, flags: FlagStore, look: Callable[..., Runbook]
) -> None:
    """Owners of the plan are whom to call, each once, and its traffic is what a pre-flight is simulated with."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    assert look().check("runbook").state == "open"
    steps = [step.key for step in make_plan(PlanInputs()).steps]
    owners = {steps[0]: "Olga", steps[1]: "Piet", steps[2]: "Olga"}
    plan = make_plan(PlanInputs(queries_per_day=60_000, queries_per_user=4.0, owners=owners))
    PlanStore(workspace).save(plan, run_id=None, expected_version=0, actor="anna")
    found = look()
    assert sorted(one.name for one in found.on_call) == ["Olga", "Piet"]
    assert found.check("runbook").state == "done"
    assert "Olga" in step(found, "Tell people").text
    assert "60,000 queries a day of 15,000 users" in run_preflight(flags, "ramp", actor="bob", n_simulations=5).traffic


def test_a_kill_that_nobody_measured_is_no_rehearsal(flags: FlagStore, look: Callable[..., Runbook]) -> None:
    """An audited kill and restore is told with its date, but without a measured propagation the item stays open."""
    flags.kill(actor="carl", typed="kill")
    flags.restore(actor="carl", typed="restore", reason="a drill")
    found = look().check("kill-switch")
    assert found.state == "open"
    assert "killed on 2026-11-22 by carl" in found.reason
    assert "has not been measured" in found.reason


def test_looking_changes_nothing(workspace: Workspace, control: RolloutControl, look: Callable[..., Runbook]) -> None:
    """A look writes no audit event, however the rollout stands."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    control.start("ramp", actor="anna")
    RunbookStore(workspace).tick("on-call", actor="bob", note="rang them", about="ramp")
    before = workspace.audit_head()
    assert look() == look()
    assert workspace.audit_head() == before
