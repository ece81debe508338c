"""Where a migration stands, read off what a workspace holds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.flags import FlagStore
from engine.migration.cut_over import FLAG, cut_over
from engine.present.journey import look
from engine.present.journey.evidence import read_evidence
from engine.present.journey.results import Action, Step
from engine.present.journey.shipped import done_step
from engine.present.plan import PlanInputs, PlanStore, evidence_of, make_plan
from engine.present.runbook import look_at
from engine.rollout import SimulatedRollouts
from engine.tradeoff import Criterion, load_sweep, save_sweep, summarize, sweep
from engine.tradeoff.panels import explore, panel_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.embeddings import EmbeddingSet
    from engine.present.journey import Journey
    from engine.present.plan.results import Outcome
    from engine.rollout import Observation, RolloutControl
    from engine.workspace import Run, Workspace
    from tests.present.journey.conftest import Clock

STEPS = ("data", "sweep", "decision", "ab", "rollout", "move", "done")


def states(journey: Journey) -> dict[str, str]:
    return {step.key: step.state for step in journey.steps}


def test_an_empty_workspace_begins_with_data(empty: Workspace) -> None:
    """Nothing is made up: the data is next, everything else waits, and there is no figure."""
    journey = look(empty)
    assert states(journey) == dict(zip(STEPS, ("next", *["waiting"] * 6), strict=True))
    assert (journey.is_empty, journey.is_untried, journey.demonstration) == (True, True, "no")
    assert journey.next_action.page == "datasets"
    assert not journey.figures
    assert not journey.alerts
    assert journey.missing == journey.step("data").missing != ()


def test_figures_are_those_of_the_sweep(swept: Workspace, own_set: EmbeddingSet) -> None:
    """Recall, nDCG and bytes at the recommended dim are what a new bootstrap of the stored sweep gives, bounds too."""
    (run,) = swept.runs(kind="sweep")
    summary = summarize(load_sweep(swept, run.id), Criterion(k=10, target=0.5))
    point = next(one for one in summary.points if one.dim == summary.recommendation.dim)
    figures = {figure.key: figure for figure in look(swept).figures}
    assert figures["dim"].value == point.dim < own_set.dim
    for key, interval in (("recall", point.recall[10]), ("ndcg", point.retention[10])):
        assert (figures[key].value, figures[key].low, figures[key].high) == (interval.mean, interval.low, interval.high)
        assert figures[key].below.startswith("95\u00a0% interval ")
    assert figures["bytes"].value == 1 - point.dim / 16
    assert list(figures) == ["dim", "recall", "ndcg", "bytes"]


def test_after_a_sweep_the_test_is_next(swept: Workspace) -> None:
    """A safe recommendation decides; then an A/B test is next, and of one's own vectors it is offered at once."""
    journey = look(swept)
    assert states(journey) == dict(zip(STEPS, ("done",) * 3 + ("next",) + ("waiting",) * 3, strict=True))
    assert journey.next_action.page == "ab-test"
    assert not journey.is_example
    assert not journey.is_untried


@pytest.mark.parametrize(("target", "n_queries", "state"), [(1.0, 60, "stopped"), (0.5, 20, "next")])
def test_without_a_safe_dimension_nothing_is_decided(
    empty: Workspace, own_set: EmbeddingSet, target: float, n_queries: int, state: str
) -> None:
    """Where every smaller dim is harmful the decision has stopped, where queries are too few it is next."""
    result = sweep(own_set, (4, 16), (10,), n_queries=n_queries)
    save_sweep(empty, result, criterion=Criterion(k=10, target=target))
    journey = look(empty)
    assert states(journey)["decision"] == state
    assert journey.current.key == "decision"
    assert journey.missing
    assert "keep all 16" in journey.headline.lower()
    assert next(one for one in journey.figures if one.key == "dim").text == "none yet"


@pytest.mark.parametrize(
    ("outcome", "decision", "move"),
    [
        ("full migration", "done", "waiting"),
        ("query reduced", "done", "left out"),
        ("stop", "stopped", "waiting"),
        ("measure first", "next", "waiting"),
    ],
)
def test_a_kept_plan_decides(
    empty: Workspace, own_set: EmbeddingSet, outcome: Outcome, decision: str, move: str
) -> None:
    """Who keeps a plan has decided, also against the recommendation, unless it says stop or measure first."""
    save_sweep(empty, sweep(own_set, (4, 16), (10,)), criterion=Criterion(k=10, target=1.0))
    plan = make_plan(PlanInputs(from_dims=16, to_dims=4), evidence=evidence_of(empty))
    plan = replace(plan, strategy=replace(plan.strategy, outcome=outcome))
    PlanStore(empty).save(plan, run_id=None, expected_version=0, actor="ann")
    journey = look(empty)
    assert (states(journey)["decision"], states(journey)["move"]) == (decision, move)
    assert journey.step("decision").action.page == "plan"
    assert plan.strategy.headline in journey.step("decision").sentence


def test_a_simulated_test_is_rehearsed_and_a_real_one_done(swept: Workspace, store_test: Callable[..., Run]) -> None:
    """A safe simulation never counts as done; a safe log does, and a simulation after it takes nothing back."""
    store_test(swept)
    rehearsed = look(swept)
    assert states(rehearsed)["ab"] == "rehearsed"
    assert rehearsed.current.key == "ab"
    assert any("real users" in one for one in rehearsed.missing)
    assert rehearsed.other_action is not None
    assert rehearsed.other_action.page == "rollout"
    assert [one.labels for one in rehearsed.figures if one.key == "ab"] == [("simulated",)]
    real = store_test(swept, is_real=True)
    store_test(swept, treatment_ctr=0.05)
    done = look(swept).step("ab")
    assert (done.state, done.labels, done.action.query) == ("done", (), {"run": real.id})
    assert states(look(swept))["rollout"] == "next"


def test_harmful_and_broken_tests_stop(swept: Workspace, store_test: Callable[..., Run]) -> None:
    """A treatment that loses clicks, and a split that is not the intended one, both wait for somebody to look."""
    store_test(swept, is_real=True, percent=20.0)
    broken = look(swept)
    assert states(broken)["ab"] == "stopped"
    assert "checks pass" in broken.missing[0]
    store_test(swept, is_real=True, treatment_ctr=0.05)
    harmful = look(swept)
    assert (states(harmful)["ab"], harmful.current.key) == ("stopped", "ab")
    figure = next(one for one in harmful.figures if one.key == "ab")
    assert figure.text.endswith("harmful")
    assert figure.low < figure.value < figure.high < 0


def test_a_test_of_another_sweep_does_not_count(swept: Workspace, store_test: Callable[..., Run]) -> None:
    """An A/B test that shows the lists of an earlier sweep proves nothing for this one, and the step says so."""
    store_test(swept, sweep_run="20260101-000000-00000000")
    step = look(swept).step("ab")
    assert step.state == "next"
    assert "of another sweep" in step.sentence


def test_latency_is_told_apart_only_where_intervals_are(swept: Workspace, own_set: EmbeddingSet) -> None:
    """The p99 of the recommended dim is called faster or slower exactly when the two intervals do not overlap."""
    (run,) = swept.runs(kind="sweep")
    explore(swept, own_set, load_sweep(swept, run.id), run_id=run.id, keys=["latency"])
    result = panel_answer(swept, swept.runs(kind="latency")[0]).result
    dim = run.summary["recommendation"]["dim"]
    then, now = (result.point(result.paths[0], one).p99_ms for one in (dim, 16))
    figure = next(one for one in look(swept).figures if one.key == "p99")
    assert figure.value == now.value / then.value
    bounds = (then.low, then.high, now.low, now.high)
    apart = None not in bounds and (then.high < now.low or then.low > now.high)
    assert figure.text.endswith(("faster", "slower")) == apart
    assert ("no interval" in figure.below) == (None in bounds)


def test_a_rollout_on_real_time_is_followed_to_its_end(
    swept: Workspace, begin_rollout: Callable[..., RolloutControl], observed_day: Callable[..., tuple[Observation, ...]]
) -> None:
    """Draft, running, paused and completed are waiting, under way, stopped and done; looking takes no step."""
    control = begin_rollout(swept)
    journey = look(swept)
    assert (states(journey)["rollout"], journey.current.key) == ("under way", "rollout")
    assert journey.next_action == Action(label="Watch the rollout", page="rollout", query={"rollout": "ramp"})
    assert next(one.text for one in journey.figures if one.key == "rollout") == "10\u00a0%"
    control.pause("ramp", actor="ann", reason="lunch")
    head = swept.audit_head()
    assert states(look(swept))["rollout"] == "stopped"
    control.resume("ramp", actor="ann", override="go on")
    control.advance("ramp", actor="ann", override="go on")
    control.complete("ramp", actor="ann", override="go on")
    assert states(look(swept))["rollout"] == "done"
    assert head < swept.audit_head() == control.workspace.audit_head()


def test_looking_takes_no_step(swept: Workspace, clock: Clock, begin_rollout: Callable[..., object]) -> None:
    """A rollout for which no data comes pauses when its page is opened, not when the overview is; that only tells."""
    begin_rollout(swept)
    clock.pass_days(5)
    head = swept.audit_head()
    journey = look(swept)
    assert swept.audit_head() == head
    assert states(journey)["rollout"] == "under way"
    assert [(one.kind, one.severity) for one in journey.alerts] == [("rollout", "critical")]
    assert journey.next_action == journey.alerts[0].action


def test_a_rollout_on_simulated_time_is_at_best_rehearsed(
    swept: Workspace, begin_rollout: Callable[..., RolloutControl]
) -> None:
    """Completed on simulated time it is rehearsed, and a real one is missing; a real one counts more, even stopped."""
    control = begin_rollout(swept, "rehearsal", is_simulated=True)
    SimulatedRollouts(control).step("rehearsal", days=4, actor="ann")
    step = look(swept).step("rollout")
    assert (step.state, step.labels) == ("rehearsed", ("simulated",))
    assert any("real time" in one for one in step.missing)
    control.roll_back("rehearsal", actor="ann", reason="seen enough", typed="roll back")
    begin_rollout(swept, "real").roll_back("real", actor="ann", reason="too slow", typed="roll back")
    begin_rollout(swept, "another", is_simulated=True)
    step = look(swept).step("rollout")
    assert (step.state, step.labels, step.action.query) == ("stopped", (), {"rollout": "real"})


def test_a_rollback_is_an_incident_that_comes_first(
    swept: Workspace,
    clock: Clock,
    begin_rollout: Callable[..., RolloutControl],
    observed_day: Callable[..., tuple[Observation, ...]],
) -> None:
    """When the monitor has rolled back, the open incident is the next action until it is closed."""
    control = begin_rollout(swept)
    clock.pass_days(1)
    control.observe("ramp", observed_day(ctr=0.06), actor="ann")
    journey = look(swept)
    assert [one.kind for one in journey.alerts] == ["incident"]
    assert journey.next_action.label == "Look at the incident"
    assert journey.current.key == "rollout"
    (incident,) = control.incidents()
    control.close_incident(incident.key, note="the model was swapped", actor="ann")
    closed = look(swept)
    assert not closed.alerts
    assert closed.step("rollout").state == "stopped"
    assert closed.next_action.label == "Look at the rollout"


def test_the_kill_switch_comes_before_everything(
    swept: Workspace, begin_rollout: Callable[..., RolloutControl]
) -> None:
    """While everything is switched to safe a running rollout has stopped, and the flags are the next action."""
    begin_rollout(swept)
    FlagStore(swept).kill(actor="ann", typed="kill", reason="p99 doubled")
    journey = look(swept)
    assert journey.alerts[0].kind == "kill switch"
    assert "p99 doubled" in journey.alerts[0].sentence
    assert journey.next_action.page == "flags"
    assert journey.other_action is None
    assert states(journey)["rollout"] == "stopped"


def test_a_move_is_done_outside_and_rehearsed_inside_the_workspace(
    swept: Workspace, move: Callable[..., None], tmp_path: Path
) -> None:
    """Stores in the workspace's folder, also where that stood before it was copied, are to try things with."""
    of_a_copy = tmp_path / "elsewhere" / "try-it-here"
    of_a_copy.mkdir(parents=True)
    for folder in (swept.folder, of_a_copy):
        move(swept, folder)
        inside = look(swept).step("move")
        assert (inside.state, inside.labels) == ("rehearsed", ("demonstration",))
    move(swept, tmp_path)
    outside = look(swept)
    assert (outside.step("move").state, outside.step("move").labels) == ("done", ())
    figure = next(one for one in outside.figures if one.key == "move")
    assert figure.value == 200
    assert figure.text.endswith("equal")
    assert outside.step("move").sentence == "200 of 200 rows moved to 8 dimensions; source and target agree."


def test_a_move_whose_process_ended_has_stopped(swept: Workspace, move: Callable[..., None]) -> None:
    """A migration that its record calls running, by a process that is gone, waits for somebody who resumes it."""
    move(swept)
    found = read_evidence(swept).move
    with swept.recording() as ledger:
        record = ledger.get("migration", found.job.id)
        owner = {"host": __import__("platform").node(), "pid": 2**22 + 1, "token": "gone"}
        body = {**record.body, "state": "copying", "owner": owner}
        ledger.put("migration", found.job.id, body, expected_version=None, actor="ann", action="copying")
    step = look(swept).step("move")
    assert step.state == "stopped"
    assert "its process ended" in step.sentence


def test_the_end_is_reached_when_everything_is_real(
    swept: Workspace,
    store_test: Callable[..., Run],
    begin_rollout: Callable[..., RolloutControl],
    move: Callable[..., None],
) -> None:
    """With a real test, rollout and move and the flag at 100 % the migration is done; a kill takes that back."""
    store_test(swept, is_real=True)
    control = begin_rollout(swept)
    control.advance("ramp", actor="ann", override="go on")
    control.complete("ramp", actor="ann", override="go on")
    move(swept)
    before = look(swept)
    assert states(before)["done"] == "next"
    assert before.next_action.page == "migration"
    flags = FlagStore(swept, refresh_s=0)
    cut_over(flags, expected_version=flags.flag(FLAG).version, typed="cut over", actor="ann", reason="validated")
    over = look(swept)
    assert set(states(over).values()) == {"done"}
    assert over.next_action.page == "report"
    assert not over.missing
    flags.kill(actor="ann", typed="kill")
    assert states(look(swept))["done"] != "done"


@pytest.mark.parametrize("percent", [0.0, 50.0, 100.0])
def test_nothing_that_was_rehearsed_is_ever_done(swept: Workspace, percent: float) -> None:
    """Over all states of the steps that ship: done takes what is real alone, and every user where vectors move."""
    found = replace(read_evidence(swept), cut_over_percent=percent)
    shipping = ("done", "rehearsed", "under way", "stopped", "waiting")
    for combination in itertools.product(shipping, shipping, (*shipping, "left out")):
        steps = tuple(
            Step(key=key, title=key, state=state, sentence="", action=Action(label="", page=""))
            for key, state in zip(("ab", "rollout", "move"), combination, strict=True)
        )
        step = done_step(found, steps)
        is_over = percent == 100 or combination[2] == "left out"
        assert (step.state == "done") == (is_over and set(combination) <= {"done", "left out"})
        assert step.state != "rehearsed" or (is_over and "rehearsed" in combination)
        assert bool(step.missing) == (step.state != "done")


def test_the_runbook_is_missing_before_a_rollout(swept: Workspace) -> None:
    """Asked with the flags, what nobody has tried of the way back is missing before a rollout, in its own words."""
    flags = FlagStore(swept)
    missing = look(swept, flags=flags).step("rollout").missing
    readiness = look_at(swept, flags=flags).readiness
    assert readiness[1:] in missing[-1]
    assert len(look(swept).step("rollout").missing) == len(missing) - 1


@pytest.mark.parametrize("change", [{"labels": ("synthetic",)}, {"name": "API reference"}])
def test_vectors_that_are_nobodys_are_called_an_example(
    empty: Workspace, own_set: EmbeddingSet, change: dict[str, str | tuple[str, ...]]
) -> None:
    """A generated or bundled set is labelled, and what would need real users asks for one's own vectors instead."""
    save_sweep(empty, sweep(replace(own_set, **change), (4, 16), (10,)), criterion=Criterion(k=10, target=0.1))
    journey = look(empty)
    assert journey.is_untried
    assert journey.step("data").labels[0] == "example data"
    assert journey.next_action.page == "datasets"
    assert journey.other_action is not None
    assert journey.other_action.page == "ab-test"


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(
    swept: Workspace, clock: Clock, store_test: Callable[..., Run]
) -> None:
    """A stored test of another version is an alert, and the journey goes on without it."""
    run = store_test(swept, is_real=True)
    clock.pass_days(1)
    swept.save_run(
        kind="ab",
        dataset=run.dataset,
        parameters={"traffic": None, "sweep": None},
        seed=0,
        summary={**run.summary, "result": {"class": "Unknown", "fields": {}}},
        arrays={},
        elapsed_s=0.0,
    )
    journey = look(swept)
    assert [one.kind for one in journey.alerts] == ["unreadable"]
    assert states(journey)["ab"] == "done"
