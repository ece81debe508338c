"""What `dimshift rollout` prints for people, and the JSON that it writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from engine.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.rollout import HistoryEntry, Incident, Rehearsal, RolloutStatus, StageView
    from engine.rollout.preflight_results import Preflight, PreflightComparison

_LONGEST = 600
_MOMENT = "%Y-%m-%d %H:%M"


def status_answer(status: RolloutStatus) -> dict[str, Any]:
    """Return a status as JSON."""
    from engine.rollout.storage import rollout_json  # here, so that every other verb starts quickly

    return {
        "key": status.rollout.key,
        "version": status.version,
        "state": status.state.value,
        "percent": status.percent,
        "day": status.day,
        "now": status.now.isoformat(),
        "sentence": status.sentence,
        "stage": _stage_answer(status.stage),
        "next_stage": _stage_answer(status.next_stage),
        "next_action": status.next_action,
        "next_at": None if status.next_at is None else status.next_at.isoformat(),
        "can_go_on": status.can_go_on,
        "actions": list(status.actions),
        "obstacles": [{**_plain(one), "sentence": one.sentence} for one in status.obstacles],
        "alerts": [_plain(alert) for alert in status.alerts],
        "report": None if status.report is None else status.report.as_json(),
        "incidents": [incident_answer(incident) for incident in status.incidents],
        "stages": [_stage_answer(stage) for stage in status.stages],
        "is_killed": status.is_killed,
        "labels": list(status.labels),
        "warnings": list(status.warnings),
        "rollout": rollout_json(status.rollout),
    }


def incident_answer(incident: Incident) -> dict[str, Any]:
    """Return an incident as JSON."""
    return {**_plain(incident), "is_open": incident.is_open}


def history_answer(entry: HistoryEntry) -> dict[str, Any]:
    """Return one step of the history as JSON."""
    moments = {"at": entry.at.isoformat(), "recorded_at": entry.recorded_at.isoformat(), "state": entry.state.value}
    names = ("seq", "actor", "action", "cause", "reason", "override", "stage_index", "percent", "agrees", "evidence")
    return {name: getattr(entry, name) for name in names} | moments | {"sentences": list(entry.sentences)}


def rehearsal_answer(rehearsal: Rehearsal) -> dict[str, Any]:
    """Return a rehearsal as JSON."""
    return {
        "labels": ["simulated"],
        "state": rehearsal.rollout.state.value,
        "reason": rehearsal.rollout.reason,
        "n_days": rehearsal.n_days,
        "percents": list(rehearsal.percents),
        "alert_days": list(rehearsal.alert_days),
        "report": rehearsal.report.as_json(),
    }


def preflight_answer(result: Preflight) -> dict[str, Any]:
    """Return a pre-flight as JSON, without the arrays that hold every simulated rollout."""
    from engine.workspace import plain_json

    per_rollout = {"end", "is_alerted", "has_fault", "exposed", "end_day"}
    scenarios = [
        {name: plain_json(value) for name, value in vars(one).items() if name not in per_rollout}
        for one in result.scenarios
    ]
    return {
        "labels": ["simulated"],
        "schedule": result.schedule.as_json(),
        "thresholds": result.thresholds.as_json(),
        "traffic": _plain(result.traffic),
        "n_simulations": result.n_simulations,
        "max_days": result.max_days,
        "seed": result.seed,
        "scenarios": scenarios,
        "advice": list(result.advice),
        "assumptions": list(result.assumptions),
    }


def comparison_answer(comparison: PreflightComparison) -> dict[str, Any]:
    """Return what two settings differ by as JSON."""
    return _plain(comparison)


def print_status(status: RolloutStatus) -> None:
    """Print where a rollout stands, its stages, and everything that stands in the way."""
    _say(status.sentence)
    typer.echo(f"\n{'day':>7} {'percent':>8}  {'begins':16}  stage")
    for stage in status.stages:
        begins = "-" if stage.begins_at is None else stage.begins_at.strftime(_MOMENT)
        name = "" if stage.label == f"{stage.percent:g} %" else f"  {printable(stage.label, longest=80)}"
        typer.echo(f"{stage.day:>7g} {stage.share_percent:>6g} %  {begins:16}  {stage.state}{name}")
    typer.echo("")
    for line in (*_to_know(status), *(f"Cannot {status.next_action} now: {one.sentence}" for one in status.obstacles)):
        _say(line)


def print_change(status: RolloutStatus) -> None:
    """Print the moment, where the rollout stands, and what somebody must know."""
    _say(f"{datetime.now(UTC):{_MOMENT}}  {status.sentence}")
    for line in _to_know(status):
        _say(line, indent=4)


def print_list(statuses: Sequence[RolloutStatus]) -> None:
    """Print a line a rollout."""
    if not statuses:
        typer.echo("No rollout yet; make one with: dimshift rollout create KEY --flag FLAG")
    for status in statuses:
        _say(status.sentence)


def print_history(entries: Sequence[HistoryEntry], *, agrees: bool) -> None:
    """Print a step a line, and whether the log alone gives what is kept."""
    for entry in entries:
        why = f"  {printable(entry.reason, longest=_LONGEST)}" if entry.reason else ""
        typer.echo(
            f"{entry.seq:>6}  {entry.at.strftime(_MOMENT)}  {printable(entry.actor, longest=20):20} "
            f"{entry.action:9} {entry.state:11} {entry.percent:>6g} %{why}"
        )
        for warning in entry.rollout.passed_warnings if entry.action in {"advance", "complete"} else ():
            _say(f"A warning stood and stopped nothing: {warning}", indent=8)
    said = "gives the very state that is kept" if agrees else "does NOT give the state that is kept"
    typer.echo(f"\nReplayed {len(entries):,} steps: the audit log {said}.")


def print_incidents(incidents: Sequence[Incident]) -> None:
    """Print every incident with what was found out."""
    if not incidents:
        typer.echo("No incident.")
    for one in incidents:
        label = " (simulated)" if one.is_simulated else ""
        end = (
            "open" if one.is_open else f"closed by {printable(one.closed_by)}: {printable(one.note, longest=_LONGEST)}"
        )
        typer.echo(f"{one.opened_at.strftime(_MOMENT)}  {printable(one.title)}{label}, {end}")
        typer.echo(f"  {printable(one.key)}")
        if one.sentences:
            typer.echo(f"  {printable(one.sentences[0], longest=_LONGEST)}")


def print_rehearsal(rehearsal: Rehearsal) -> None:
    """Print how a rollout in memory went."""
    rollout = rehearsal.rollout
    _say(f"Simulated {rehearsal.n_days:,} days: {rollout.state} at {max(rehearsal.percents):g} %. {rollout.reason}")
    if rehearsal.alert_days:
        n_days, first = len(rehearsal.alert_days), rehearsal.alert_days[0]
        _say(f"An alert stood at the end of {n_days:,} of these days, first of day {first:,}.", indent=2)
    for sentence in rehearsal.report.sentences:
        _say(sentence, indent=2)


def print_preflight(result: Preflight) -> None:
    """Print what a schedule and thresholds promise."""
    typer.echo(f"{result.n_simulations:,} simulated rollouts a scenario of {result.schedule}\n")
    for sentence in result.sentences:
        _say(sentence)
    typer.echo("")
    for sentence in result.advice:
        _say(f"Mind: {sentence}")
    for sentence in result.assumptions:
        _say(f"Note: {sentence}")


def print_comparison(comparison: PreflightComparison) -> None:
    """Print where two settings clearly differ."""
    typer.echo("\nAgainst the second setting:")
    for sentence in comparison.sentences or ("No clear difference.",):
        _say(sentence)


def _to_know(status: RolloutStatus) -> tuple[str, ...]:
    """Return a line for each alert, open incident, warning, and window that was left out."""
    marks = {"warning": "Warning, which stops nothing"}
    return (
        *(f"{marks.get(one.severity, one.severity.capitalize())}: {one.sentence}" for one in status.alerts),
        *(f"Open incident {one.key}: {one.title}." for one in status.incidents if one.is_open),
        *(f"Note: {words}" for words in status.warnings),
        *(f"Note: {words}" for words in (() if status.report is None else status.report.notes)),
    )


def _say(text: str, *, indent: int = 0) -> None:
    typer.echo(" " * indent + printable(text, longest=_LONGEST))


def _stage_answer(stage: StageView | None) -> dict[str, Any] | None:
    return None if stage is None else _plain(stage)


def _plain(value: object) -> dict[str, Any]:
    from engine.workspace import plain_json

    document = plain_json(value)
    assert isinstance(document, dict)  # noqa: S101  # of a dataclass always
    return document
