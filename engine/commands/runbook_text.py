"""What `dimshift runbook` prints for people, and the JSON that it writes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from engine.errors import printable

if TYPE_CHECKING:
    from engine.present.runbook import Check, KillRehearsal, Runbook, SourceCount

_MARKS = {"done": "[x]", "stale": "[~]", "not met": "[!]", "open": "[ ]"}


def print_runbook(runbook: Runbook) -> None:
    """Print where things stand, the checklist, the triggers and the steps."""
    labels = f" ({', '.join(runbook.labels)})" if runbook.labels else ""
    typer.echo(_line(f"Rollback runbook{f' for rollout {runbook.rollout}' if runbook.rollout else ''}{labels}"))
    for said in runbook.situation:
        typer.echo(_line(said))
    typer.echo(f"\n{runbook.readiness}")
    for check in runbook.checks:
        print_check(check)
    typer.echo(_line(f"\nTriggers. {runbook.triggers_are}"))
    for trigger in runbook.triggers:
        typer.echo(_line(f"  {trigger.name}: {trigger.sentence}"))
    typer.echo("\nSteps")
    for step in runbook.steps:
        state = "" if step.state == "to do" else f" ({step.state})"
        typer.echo(_line(f"{step.number}. {step.title}{state}. {step.text}"))
        for command in step.commands:
            typer.echo(f"     {_line(command)}")
    if runbook.on_call:
        typer.echo("\nWho to call")
        for one in runbook.on_call:
            typer.echo(_line(f"  {one.role}: {one.name}"))


def print_check(check: Check) -> None:
    """Print one item with its state, who says so and when, and why."""
    who = f" by {check.said_by}" if check.said_by else ""
    when = f" {check.said_at:%Y-%m-%d %H:%M} UTC" if check.said_at is not None else ""
    typer.echo(_line(f"  {_MARKS[check.state]} {check.key:<11} {check.state}{who}{when}: {check.reason}"))
    tick = check.tick
    if tick is not None and not check.is_by_tick:
        typer.echo(_line(f"                  ticked by {tick.by} {tick.at:%Y-%m-%d %H:%M} UTC: {tick.note}"))


def runbook_answer(runbook: Runbook) -> dict[str, Any]:
    """Return the runbook as JSON."""
    plain = ("workspace_id", "rollout", "state", "flag_key", "safe_variant", "percent", "is_killed", "is_ready")
    return {
        "made_at": runbook.made_at.isoformat(),
        **{name: getattr(runbook, name) for name in plain},
        "labels": list(runbook.labels),
        "readiness": runbook.readiness,
        "situation": list(runbook.situation),
        "days_until_stale": runbook.days_until_stale,
        "checks": [check_answer(check) for check in runbook.checks],
        "triggers_are": runbook.triggers_are,
        "triggers": [asdict(one) for one in runbook.triggers],
        "steps": [{**asdict(one), "commands": list(one.commands)} for one in runbook.steps],
        "on_call": [asdict(one) for one in runbook.on_call],
    }


def check_answer(check: Check) -> dict[str, Any]:
    """Return one item of the checklist as JSON."""
    tick, evidence = check.tick, check.evidence
    return {
        "key": check.key,
        "title": check.spec.title,
        "takes": check.spec.takes,
        "state": check.state,
        "reason": check.reason,
        "by": check.said_by or None,
        "at": None if check.said_at is None else check.said_at.isoformat(),
        "age_days": check.age_days,
        "evidence": {
            "finding": evidence.finding,
            "sentence": evidence.sentence,
            "at": None if evidence.at is None else evidence.at.isoformat(),
            "by": evidence.by or None,
        },
        "tick": None if tick is None else {**asdict(tick), "at": tick.at.isoformat()},
    }


def rehearsal_answer(rehearsal: KillRehearsal) -> dict[str, Any]:
    """Return a rehearsal as JSON."""
    return {
        **asdict(rehearsal),
        "is_met": rehearsal.is_met,
        "slowest_s": rehearsal.slowest_s,
        "sentence": rehearsal.sentence,
    }


def count_answer(count: SourceCount) -> dict[str, Any]:
    """Return a count of a source as JSON."""
    return {**asdict(count), "is_there": not count.shortfall, "sentence": count.sentence}


def _line(text: str) -> str:
    indent = text[: len(text) - len(text.lstrip())]
    return indent + printable(text, longest=2000)
