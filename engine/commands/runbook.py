"""`dimshift runbook`: the rollback checklist and steps for the live state, ticked, rehearsed and written as Markdown.

Exit status 3: `--check` and an item is not done, or what was rehearsed or counted is not as it must be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands import runbook_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.commands.rollout_options import (
    P99,
    TARGET_NOT_MET,
    Ctr,
    ErrorRate,
    QueriesADay,
    Reason,
    Users,
    traffic_of,
)
from engine.errors import ParameterError
from engine.outputs import write_output

if TYPE_CHECKING:
    from engine.flags import FlagStore
    from engine.migration import VectorStore

CheckName = Annotated[str, typer.Argument(metavar="CHECK", help="An item, as backup or on-call; runbook lists them.")]
RolloutKey = Annotated[
    str | None, typer.Option("--rollout", metavar="KEY", help="The rollout that it is about; the active one without.")
]

runbook_app = typer.Typer(
    help="The rollback checklist and steps for the live state.", invoke_without_command=True, rich_markup_mode=None
)


@runbook_app.callback()
def show(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")] = None,
    rollout: RolloutKey = None,
    check: Annotated[bool, typer.Option("--check", help="Exit status 3 unless every item is done.")] = False,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Show the rollback checklist with evidence, what triggers a rollback, and its steps with commands to type."""
    verb = context.invoked_subcommand
    if verb is not None:
        if out is not None or rollout is not None or check or json_file is not None or workspace is not None:
            raise ParameterError(f"options of `runbook {verb}` stand behind the word {verb}")
        return
    from engine.present.runbook import look_at, render_markdown

    terminal.check_outputs(json_file)
    store = _flags(workspace)
    found = look_at(store.workspace, flags=store, rollout=rollout)
    if json_file != "-":
        runbook_text.print_runbook(found)
    if out is not None:
        write_output(out, render_markdown(found), rule="--out must name a file that can be written")
    terminal.write_json(json_file, runbook_text.runbook_answer(found))
    if check and not found.is_ready:
        raise typer.Exit(TARGET_NOT_MET)


@runbook_app.command()
def tick(
    check: CheckName,
    *,
    note: Annotated[str, typer.Option(help="What was done, and where it is written down.")] = "",
    rollout: RolloutKey = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Tick an item of the checklist, with a note; it is audited and goes stale."""
    from engine.present.runbook import RunbookStore, look_at
    from engine.present.runbook.checks import check_key

    terminal.check_outputs(json_file)
    key, store = check_key(check), _flags(workspace)
    about = look_at(store.workspace, flags=store, rollout=rollout).rollout
    RunbookStore(store.workspace).tick(key, actor=actor_name(by), note=note, about=about)
    _show_check(store, key, about, json_file)


@runbook_app.command()
def untick(
    check: CheckName,
    *,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Take the tick of an item back; what the system found stays."""
    from engine.present.runbook import RunbookStore
    from engine.present.runbook.checks import check_key

    terminal.check_outputs(json_file)
    key, store = check_key(check), _flags(workspace)
    RunbookStore(store.workspace).take_back(key, actor=actor_name(by), reason=reason)
    _show_check(store, key, None, json_file)


@runbook_app.command()
def rehearse(
    *,
    flag: Annotated[str | None, typer.Option(metavar="KEY", help="The flag to watch.")] = None,
    live: Annotated[bool, typer.Option("--live", help="On the live flags: users get safe variants meanwhile.")] = False,
    confirm: Annotated[str, typer.Option(help='Type the word "kill" for the live flags.')] = "",
    kills: Annotated[int | None, typer.Option(help="How many kills; 3 on a copy, 1 live.")] = None,
    limit: Annotated[float | None, typer.Option(help="Seconds that a client may take to follow; 5 without.")] = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Kill and restore, on a copy of the flags unless --live, and measure when a client in another process is safe."""
    from engine.present.runbook import LIMIT_S, rehearse_kill

    terminal.check_outputs(json_file)
    rehearsal = rehearse_kill(
        _flags(workspace),
        actor=actor_name(by),
        flag_key=flag,
        where="live" if live else "copy",
        typed=confirm,
        n_kills=kills,
        limit_s=LIMIT_S if limit is None else limit,
        progress=terminal.show_progress,
    )
    if json_file != "-":
        typer.echo(rehearsal.sentence)
    terminal.write_json(json_file, runbook_text.rehearsal_answer(rehearsal))
    if not rehearsal.is_met:
        raise typer.Exit(TARGET_NOT_MET)


@runbook_app.command()
def count(
    *,
    migration: Annotated[str | None, typer.Option(metavar="ID", help="Of this migration; the newest without.")] = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Count the source of a migration anew and read a few rows, to see that the full vectors are still there."""
    from engine.present.runbook import count_source

    terminal.check_outputs(json_file)
    store = _flags(workspace)
    found = count_source(store.workspace, actor=actor_name(by), open_source=_open_source, migration=migration)
    if json_file != "-":
        typer.echo(found.sentence)
    terminal.write_json(json_file, runbook_text.count_answer(found))
    if found.shortfall:
        raise typer.Exit(TARGET_NOT_MET)


@runbook_app.command()
def preflight(
    *,
    rollout: RolloutKey = None,
    queries_a_day: QueriesADay = None,
    users: Users = None,
    ctr: Ctr = None,
    error_rate: ErrorRate = None,
    p99_ms: P99 = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Simulate the rollout with its schedule and thresholds, and keep that as evidence."""
    from engine.present.runbook import look_at, run_preflight

    terminal.check_outputs(json_file)
    traffic = traffic_of(queries_a_day=queries_a_day, users=users, ctr=ctr, error_rate=error_rate, p99_ms=p99_ms)
    store = _flags(workspace)
    key = look_at(store.workspace, flags=store, rollout=rollout).rollout
    if not key:
        raise ParameterError("a pre-flight is of a rollout", found="none in this workspace", hint="Create one first")
    actor = actor_name(by)
    note = run_preflight(store, key, actor=actor, traffic=traffic, seed=seed, progress=terminal.show_progress)
    if json_file != "-":
        for sentence in note.sentences:
            typer.echo(sentence)
    _show_check(store, "preflight", key, json_file)


@runbook_app.command()
def stale(
    days: Annotated[int, typer.Argument(metavar="DAYS", help="1 to 365.")],
    *,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Say after how many days ticks and evidence are stale."""
    from engine.present.runbook import RunbookStore

    terminal.check_outputs(json_file)
    store = _flags(workspace)
    RunbookStore(store.workspace).set_days_until_stale(days, actor=actor_name(by), reason=reason)
    if json_file != "-":
        typer.echo(f"Ticks and evidence are stale after {days:,} days.")
    terminal.write_json(json_file, {"days_until_stale": days})


def _show_check(store: FlagStore, key: Any, about: str | None, json_file: str | None) -> None:
    from engine.present.runbook import look_at

    found = look_at(store.workspace, flags=store, rollout=about or None).check(key)
    if json_file != "-":
        runbook_text.print_check(found)
    terminal.write_json(json_file, runbook_text.check_answer(found))


def _open_source(url: str) -> VectorStore:
    from engine.migration import open_store

    return open_store(url, role="source")


def _flags(folder: Path | None) -> FlagStore:
    from engine.flags import FlagStore
    from engine.workspace import Workspace

    store = FlagStore(Workspace.open(folder))
    said = store.problem or ("" if store.opened is None else store.opened.sentence)
    if said:
        typer.echo(f"Note: {said}", err=True)
    return store
