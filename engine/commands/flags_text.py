"""What `dimshift flags` prints for people, and the JSON that it writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from engine.errors import printable
from engine.flags.history import change_sentence
from engine.flags.model import flag_json
from engine.flags.wording import serves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.flags import Evaluation, Flag, FlagSnapshot, ImportReport, KillState
    from engine.workspace import AuditEvent

_LONGEST = 400


def flag_answer(flag: Flag) -> dict[str, Any]:
    """Return a flag as JSON."""
    return {
        "key": flag.key,
        "version": flag.version,
        "updated_at": None if flag.updated_at is None else flag.updated_at.isoformat(),
        "percent": flag.percent,
        "treatment": flag.treatment,
        **flag_json(flag),
    }


def kill_answer(killed: KillState | None) -> dict[str, Any] | None:
    """Return the kill switch as JSON, null while it is off."""
    return None if killed is None else {"at": killed.at.isoformat(), "actor": killed.actor, "reason": killed.reason}


def event_answer(event: AuditEvent) -> dict[str, Any]:
    """Return an audit event as JSON."""
    return {**asdict(event), "at": event.at.isoformat(), "change": change_sentence(event)}


def print_kill(killed: KillState | None) -> None:
    """Say in one line that the kill switch is on; nothing while it is off."""
    if killed is not None:
        why = f": {printable(killed.reason, longest=_LONGEST)}" if killed.reason else ""
        typer.echo(
            f"KILL SWITCH ON since {killed.at:%Y-%m-%d %H:%M:%S} UTC by {printable(killed.actor)}{why}\n"
            "Every flag is at its safe variant until: dimshift flags restore --confirm restore --reason WHY"
        )


def print_flags(snapshot: FlagSnapshot) -> None:
    """Print a row a flag."""
    print_kill(snapshot.killed)
    width = max([len(printable(key)) for key in snapshot.flags] + [len("flag")])
    typer.echo(f"{'flag':{width}} {'kind':>8} {'default':>10} {'safe':>10} {'version':>7}  who gets what")
    for flag in snapshot.flags.values():
        default = printable(flag.default_variant or "-", longest=10)
        safe = printable(flag.safe_variant, longest=10)
        typer.echo(
            f"{printable(flag.key):{width}} {flag.kind:>8} {default:>10} {safe:>10} {flag.version:>7}  "
            f"{_who(flag, is_killed=snapshot.killed is not None)}"
        )


def print_flag(flag: Flag, *, is_killed: bool) -> None:
    """Print everything about one flag."""
    typer.echo(f"{printable(flag.key)}  {flag.kind}, version {flag.version}")
    for name, value in flag.variants.items():
        marks = [
            mark
            for mark, is_so in (
                ("default", name == flag.default_variant),
                ("safe", name == flag.safe_variant),
            )
            if is_so
        ]
        shown = printable(json.dumps(value), longest=_LONGEST)
        typer.echo(f"  {printable(name)} = {shown}{'  (' + ', '.join(marks) + ')' if marks else ''}")
    typer.echo(f"  {_who(flag, is_killed=is_killed)}")
    if is_killed:
        typer.echo(f"  after the restore: {_who(flag, is_killed=False)}")
    for label, text in (("owner", flag.owner), ("description", flag.description)):
        if text:
            typer.echo(f"  {label}: {printable(text, longest=_LONGEST)}")


def print_evaluation(evaluation: Evaluation, user_id: str | None) -> None:
    """Print what a user gets and why."""
    who = "without a user" if user_id is None else f"user {printable(user_id)}"
    if evaluation.variant is None:
        why = evaluation.error_message or evaluation.reason.lower()
        typer.echo(f"{who}: the caller's own default ({printable(why, longest=_LONGEST)})")
        return
    value = printable(json.dumps(evaluation.value), longest=_LONGEST)
    why = "the kill switch" if evaluation.is_killed else evaluation.reason.lower().replace("_", " ")
    typer.echo(f"{who}: {printable(evaluation.variant)} = {value} ({why})")


def print_import(report: ImportReport, *, is_dry_run: bool) -> None:
    """Print what an import did, or would do."""
    for label, keys in (("created", report.created), ("changed", report.changed), ("as it was", report.unchanged)):
        for key in keys:
            typer.echo(f"{'would be ' if is_dry_run and label != 'as it was' else ''}{label}: {printable(key)}")
    for note in report.notes:
        typer.echo(f"Note: {printable(note, longest=_LONGEST)}")


def print_events(events: Sequence[AuditEvent]) -> None:
    """Print an event a line, the newest first."""
    for event in events:
        change = change_sentence(event)
        said = "; ".join(part for part in (change, event.reason) if part)
        typer.echo(
            f"{event.seq:>6}  {event.at:%Y-%m-%d %H:%M:%S}  {printable(event.actor, longest=20):20} "
            f"{event.action:14} {printable(event.key, longest=40)}  {printable(said, longest=_LONGEST)}".rstrip()
        )


def _who(flag: Flag, *, is_killed: bool) -> str:
    driven = f", driven by rollout {flag.driven_by}" if flag.driven_by else ""
    return printable(serves(flag, is_killed=is_killed) + driven, longest=_LONGEST)
