"""Put the steps together: which comes next, what somebody must know, and what to do now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.present.journey.evidence import read_evidence
from engine.present.journey.measured import data_step, decision_headline, decision_step, sweep_step
from engine.present.journey.results import BEHIND, SIMULATED, Action, Alert, Journey, Step
from engine.present.journey.shipped import ab_step, done_step, move_step, rollout_step
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.flags import FlagStore
    from engine.present.journey.evidence import Evidence
    from engine.present.journey.results import Demonstrated
    from engine.rollout import RolloutStatus
    from engine.workspace import Workspace

_TOLD = frozenset({"critical", "missing data", "warning"})
_LOAD = Action(label="Load my vectors", page="datasets")
_REHEARSE = {
    "ab": Action(label="Simulate the A/B test", page="ab-test"),
    "rollout": Action(label="Rehearse the rollout", page="rollout"),
    "move": Action(label="Try the migration", page="migration"),
    "done": Action(label="Rehearse the cut-over", page="migration", query={"step": "Cut over"}),
}


def look(workspace: Workspace, *, flags: FlagStore | None = None) -> Journey:
    """Return where the migration of `workspace` stands, from what is stored alone; it takes a fraction of a second.

    A step counts as done when it is real: a simulated A/B test, a rollout on simulated time and a move between stores
    to try things with are rehearsed. With `flags`, those of the workspace, what the runbook still asks for counts as
    missing before a rollout. Nothing is changed, and no rollout takes a step because of this look.

    Raises
    ------
    WorkspaceError
        When the database cannot be read. What else cannot be read counts as absent and is among the alerts.
    """
    return journey_of(read_evidence(workspace, flags=flags))


def journey_of(found: Evidence) -> Journey:
    """Return the journey that the evidence shows."""
    measured = (data_step(found), sweep_step(found), decision_step(found))
    before = (*measured, ab_step(found), rollout_step(found), move_step(found))
    steps = _with_the_next((*before, done_step(found, before)))
    alerts = tuple(sorted(_alerts(found), key=_gravity))
    current = _current(steps, alerts)
    return Journey(
        headline=decision_headline(found),
        steps=steps,
        current=current,
        alerts=alerts,
        next_action=_next_action(found, current, alerts),
        other_action=_other_action(found, steps, current),
        is_empty=found.sweep is None and not found.datasets,
        is_example=found.is_example,
        is_untried=found.is_example and _is_untried(found),
        demonstration=_demonstrated(found),
    )


def _is_untried(found: Evidence) -> bool:
    is_real_test = found.experiment is not None and not found.experiment.is_simulated
    return not is_real_test and all(one is None for one in (found.rollout, found.move, found.plan, found.demonstration))


def _demonstrated(found: Evidence) -> Demonstrated:
    if found.demonstration is None:
        return "no"
    body: dict[str, Any] = found.demonstration.body
    if body.get("is_complete"):
        return "complete"
    builder = body.get("owner")
    # Of another machine nothing tells whether its process has ended; who asks to go on is told.
    return "under way" if builder is not None and Owner(**builder).is_gone() is not True else "unfinished"


def _with_the_next(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Mark the first step that is not behind as the next one, when nothing has begun it."""
    first = next((step for step in steps if step.state not in BEHIND), None)
    if first is None or first.state != "waiting":
        return steps
    return tuple(replace(step, state="next") if step is first else step for step in steps)


def _current(steps: tuple[Step, ...], alerts: tuple[Alert, ...]) -> Step:
    """Return the step to act on: what an alert is about, what stopped, what is under way, else the first not done."""
    about = {"incident": "rollout", "rollout": "rollout", "migration": "move"}
    grave = [about[one.kind] for one in alerts if one.severity == "critical" and one.kind in about]
    for step in steps:
        if grave and step.key == grave[0]:
            return step
    for state in ("stopped", "under way"):
        reached = [step for step in steps if step.state == state]
        if reached:
            return reached[-1]
    return next((step for step in steps if step.state not in BEHIND), steps[-1])


def _next_action(found: Evidence, current: Step, alerts: tuple[Alert, ...]) -> Action:
    grave = next((one for one in alerts if one.severity == "critical" and one.kind != "unreadable"), None)
    if grave is not None:
        return grave.action
    # Real users cannot test somebody else's vectors.
    is_real_next = current.state in {"rehearsed", "next", "waiting"} and current.key not in {
        "data",
        "sweep",
        "decision",
    }
    return _LOAD if found.is_example and is_real_next else current.action


def _other_action(found: Evidence, steps: tuple[Step, ...], current: Step) -> Action | None:
    """Return the way on for a rehearsal: the first step from A/B on that was not begun."""
    if found.sweep is None or current.state not in {"rehearsed", "next"} or found.killed is not None or found.incidents:
        return None
    begun = next((step for step in steps if step.key in _REHEARSE and step.state in {"next", "waiting"}), None)
    is_offered_already = begun is None or (begun is current and not found.is_example)
    return None if begun is None or is_offered_already else _REHEARSE[begun.key]


def _alerts(found: Evidence) -> Iterator[Alert]:
    if found.killed is not None:
        yield Alert(
            kind="kill switch",
            severity="critical",
            sentence=f"The kill switch is on: every flag is at its safe variant, by {found.killed.actor}"
            f"{': ' + found.killed.reason if found.killed.reason else ''}",
            action=Action(label="Look at the flags", page="flags"),
        )
    for one in found.incidents:
        yield Alert(
            kind="incident",
            severity="critical",
            sentence=f"Open incident of rollout {one.rollout_key}: {one.title}",
            action=Action(label="Look at the incident", page="rollout", query={"rollout": one.rollout_key}),
            labels=(SIMULATED,) if one.is_simulated else (),
        )
    for status in found.active:
        yield from _of_rollout(status)
    yield from _of_move(found)
    for problem in found.problems:
        yield Alert(
            kind="unreadable", severity="warning", sentence=problem, action=Action(label="Datasets", page="datasets")
        )


def _of_rollout(status: RolloutStatus) -> Iterator[Alert]:
    action = Action(label="Look at the rollout", page="rollout", query={"rollout": status.rollout.key})
    for one in status.alerts:
        if one.severity in _TOLD:
            yield Alert(
                kind="rollout",
                severity="warning" if one.severity == "warning" else "critical",
                sentence=f"Rollout {status.rollout.key}: {one.sentence}",
                action=action,
                labels=status.labels,
            )
    # What could be planned better is said where it is planned.
    for words in (one for one in status.warnings if one != status.rollout.schedule.advice):
        yield Alert(kind="rollout", severity="warning", sentence=words, action=action, labels=status.labels)


def _of_move(found: Evidence) -> Iterator[Alert]:
    move = found.move
    if move is None or move.report is None or move.report.validation.verdict == "equal":
        return
    yield Alert(
        kind="migration",
        severity="critical",
        sentence="Source and target store differ by the newest validation.",
        action=Action(label="See what differs", page="migration", query={"migration": move.job.id}),
        labels=("demonstration",) if move.is_example else (),
    )


def _gravity(alert: Alert) -> tuple[bool, bool, bool]:
    return (alert.severity != "critical", bool(alert.labels), alert.kind != "kill switch")
