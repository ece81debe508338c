"""`dimshift flags`: see, change, kill and restore feature flags without a browser."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from engine import terminal
from engine.commands import flags_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.errors import FlagError, ParameterError, WorkspaceError
from engine.flags import Flag, FlagStore, file_text, read_flagd
from engine.outputs import write_output

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of a flag.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit log.")]
Owner = Annotated[str | None, typer.Option(help="Who answers for the flag.")]
Description = Annotated[str | None, typer.Option(help="What the flag does.")]

flags_app = typer.Typer(help="Feature flags: list, change, kill, restore.", no_args_is_help=True, rich_markup_mode=None)


@flags_app.command("list")
def list_flags(*, json_file: Json = None, workspace: WorkspaceFolder = None, seed: Seed = 0) -> None:  # noqa: ARG001 -- every verb takes them
    """List every flag, and say whether the kill switch is on."""
    terminal.check_outputs(json_file)
    snapshot = _store(workspace).snapshot()
    if json_file != "-":
        flags_text.print_flags(snapshot)
    flags = [flags_text.flag_answer(flag) for flag in snapshot.flags.values()]
    terminal.write_json(json_file, {"killed": flags_text.kill_answer(snapshot.killed), "flags": flags})


@flags_app.command()
def get(
    key: Key,
    *,
    user: Annotated[str | None, typer.Option(help="Also say what this user gets.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What rules may ask about; JSON or text.")
    ] = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Show one flag, and what a user gets of it."""
    terminal.check_outputs(json_file)
    store = _store(workspace)
    flag, killed = store.flag(key), store.is_killed
    attributes = dict(_assigned(text, "--attribute") for text in attribute or ())
    evaluation = store.evaluate(key, user, attributes=attributes)
    if json_file != "-":
        flags_text.print_kill(killed)
        flags_text.print_flag(flag, is_killed=killed is not None)
        flags_text.print_evaluation(evaluation, user)
    answer = {
        "killed": flags_text.kill_answer(killed),
        "flag": flags_text.flag_answer(flag),
        "user": user,
        "evaluation": {name: getattr(evaluation, name) for name in type(evaluation).__dataclass_fields__},
    }
    terminal.write_json(json_file, answer)


@flags_app.command("set")
def set_flag(
    key: Key,
    *,
    percent: Annotated[float | None, typer.Option(help="Share of the users in the growing variant, 0 to 100.")] = None,
    variant: Annotated[str | None, typer.Option(help="The variant that grows.")] = None,
    default: Annotated[str | None, typer.Option(help="Default variant; ends a percentage unless one is given.")] = None,
    safe: Annotated[str | None, typer.Option(help="Safe variant, for the kill switch.")] = None,
    value: Annotated[
        list[str] | None, typer.Option(metavar="VARIANT=JSON", help="Give a variant, present or new, a value.")
    ] = None,
    owner: Owner = None,
    description: Description = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Disabled, callers get their own default.")
    ] = None,
    expected_version: Annotated[int | None, typer.Option(help="Refuse when the flag has another version.")] = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Change a flag; what is not named stays as it is."""
    terminal.check_outputs(json_file)
    if variant is not None and percent is None:
        raise ParameterError("--variant names what grows, so it takes --percent", found=variant)
    store = _store(workspace)
    present = store.flag(key)
    flag = _edited(present, default=default, safe=safe, value=value, owner=owner, description=description)
    if enabled is not None:
        flag = replace(flag, is_enabled=enabled)
    if percent is not None:
        flag = flag.with_percent(percent, variant=variant)
    if flag == present:
        raise ParameterError("a change must name what changes", found="nothing new", hint="See flags set --help")
    version = present.version if expected_version is None else expected_version
    stored = store.set(flag, expected_version=version, actor=actor_name(by), reason=reason)
    _show(store, stored, json_file)
    if store.is_killed and stored.safe_value != present.safe_value:
        typer.echo("Note: the kill switch is on, so everybody has the new safe variant at once.", err=True)


@flags_app.command()
def create(
    key: Key,
    *,
    kind: Annotated[str, typer.Option(help="boolean, integer, float, string or object.")] = "boolean",
    value: Annotated[
        list[str] | None, typer.Option(metavar="VARIANT=JSON", help="A variant; on=true and off=false for a boolean.")
    ] = None,
    default: Annotated[str | None, typer.Option(help="Default variant; the safe one without.")] = None,
    safe: Annotated[str | None, typer.Option(help="Safe variant; off for a boolean.")] = None,
    owner: Owner = None,
    description: Description = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Create a flag."""
    terminal.check_outputs(json_file)
    variants = dict(_assigned(text, "--value") for text in value or ())
    if kind == "boolean" and not variants:
        variants, safe = {"on": True, "off": False}, safe or "off"
    if safe is None:
        raise ParameterError("a flag takes --safe: the variant that everybody gets when all is stopped")
    given: Any = kind
    flag = Flag(
        key=key,
        kind=given,
        variants=variants,
        default_variant=default or safe,
        safe_variant=safe,
        owner=owner or "",
        description=description or "",
    )
    store = _store(workspace)
    stored = store.set(flag, expected_version=0, actor=actor_name(by), reason=reason, action="create")
    _show(store, stored, json_file)


@flags_app.command()
def remove(
    key: Key,
    *,
    expected_version: Annotated[int | None, typer.Option(help="Refuse when the flag has another version.")] = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Remove a flag; one that a rollout drives stays."""
    terminal.check_outputs(json_file)
    store = _store(workspace)
    version = store.flag(key).version if expected_version is None else expected_version
    store.remove(key, expected_version=version, actor=actor_name(by), reason=reason)
    if json_file != "-":
        typer.echo(f"Removed {key}; clients that still ask for it get their own default.")
    terminal.write_json(json_file, {"removed": key})


@flags_app.command()
def kill(
    *,
    confirm: Annotated[str, typer.Option(help='Type the word "kill".')] = "",
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Switch every flag to its safe variant at once."""
    terminal.check_outputs(json_file)
    store = _store(workspace)
    killed = store.kill(actor=actor_name(by), typed=confirm, reason=reason)
    if json_file != "-":
        flags_text.print_kill(killed)
    terminal.write_json(json_file, {"killed": flags_text.kill_answer(killed)})


@flags_app.command()
def restore(
    *,
    confirm: Annotated[str, typer.Option(help='Type the word "restore".')] = "",
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Switch the kill switch off: every flag means again what it says."""
    terminal.check_outputs(json_file)
    store = _store(workspace)
    edits = store.edits_since_kill()
    store.restore(actor=actor_name(by), typed=confirm, reason=reason)
    if json_file != "-":
        if edits:
            typer.echo("Changed while the kill switch was on, and in force now:")
            flags_text.print_events(edits)
        flags_text.print_flags(store.snapshot())
    answer = {"killed": None, "edited_while_killed": [flags_text.event_answer(event) for event in edits]}
    terminal.write_json(json_file, answer)


@flags_app.command()
def export(
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; stdout without.")] = None,
    definitions: Annotated[
        bool, typer.Option("--definitions", help="What the flags say, even while the kill switch is on.")
    ] = False,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Write a flagd file: what clients get now, or the whole definitions."""
    terminal.check_outputs(json_file)
    store = _store(workspace)
    document = store.definitions() if definitions else store.live_document()
    if out is not None:
        write_output(out, file_text(document), rule="--out must name a file that can be written")
    elif json_file is None:
        sys.stdout.write(file_text(document))
    if not definitions and store.is_killed:
        typer.echo("Note: the kill switch is on, so this file holds safe variants and no rules.", err=True)
    terminal.write_json(json_file, document)


@flags_app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A flagd file in JSON.")],
    *,
    safe: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VARIANT", help="The safe variant of a flag in the file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Take the flags of a flagd file in, all or none; flags that are not in it stay."""
    terminal.check_outputs(json_file)
    imported = read_flagd(file, safe_variants=dict(_named(text, "--safe") for text in safe or ()))
    report = _store(workspace).import_flags(imported, actor=actor_name(by), reason=reason, dry_run=dry_run)
    if json_file != "-":
        flags_text.print_import(report, is_dry_run=dry_run)
    names = ("created", "changed", "unchanged", "notes")
    terminal.write_json(json_file, {"dry_run": dry_run} | {name: list(getattr(report, name)) for name in names})


@flags_app.command()
def audit(
    *,
    key: Annotated[str | None, typer.Option(help="Only this flag; kill for the kill switch.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many events, the newest first.")] = 100,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Show who changed what, when and why."""
    terminal.check_outputs(json_file)
    events = _store(workspace).history(key=key, after=after, limit=limit)
    if json_file != "-":
        flags_text.print_events(events)
    terminal.write_json(json_file, [flags_text.event_answer(event) for event in events])


@flags_app.command()
def check(*, json_file: Json = None, workspace: WorkspaceFolder = None, seed: Seed = 0) -> None:  # noqa: ARG001 -- every verb takes them
    """Check the whole audit log, and rebuild the flag file where it is not as it must be."""
    terminal.check_outputs(json_file)
    store = _store(workspace, tells=False)
    checked = store.check()
    rebuilt = [report.sentence for report in (store.opened, checked.file) if report is not None and report.sentence]
    if json_file != "-":
        typer.echo(f"{checked.n_flags:,} flags; {checked.audit.n_events:,} audit events: {checked.audit.reason}")
        for sentence in rebuilt:
            typer.echo(f"Note: {sentence}")
    answer = {
        "n_flags": checked.n_flags,
        "n_events": checked.audit.n_events,
        "is_intact": checked.audit.is_intact,
        "first_broken": checked.audit.first_broken,
        "reason": checked.audit.reason,
        "file": str(checked.file.path),
        "file_agrees": checked.file_agrees,
        "rebuilt": rebuilt,
    }
    terminal.write_json(json_file, answer)
    if not checked.audit.is_intact:
        raise WorkspaceError(
            "the audit log must be as it was written",
            found=checked.audit.reason,
            hint="Keep a copy of the workspace and find out who changed its database",
        )
    if not checked.file_agrees:
        raise FlagError("the flag file must name an event of the audit log", hint="Find out who changed the database")


def _store(folder: Path | None, *, tells: bool = True) -> FlagStore:
    from engine.workspace import Workspace  # here, so that every other verb starts without a database driver

    store = FlagStore(Workspace.open(folder))
    said = store.problem or ("" if store.opened is None else store.opened.sentence)
    if said and tells:
        typer.echo(f"Note: {said}", err=True)
    return store


def _show(store: FlagStore, flag: Flag, json_file: str | None) -> None:
    killed = store.is_killed
    if json_file != "-":
        flags_text.print_kill(killed)
        flags_text.print_flag(flag, is_killed=killed is not None)
    terminal.write_json(json_file, {"killed": flags_text.kill_answer(killed), "flag": flags_text.flag_answer(flag)})


def _edited(
    flag: Flag,
    *,
    default: str | None,
    safe: str | None,
    value: list[str] | None,
    owner: str | None,
    description: str | None,
) -> Flag:
    given: dict[str, Any] = {"safe_variant": safe, "owner": owner, "description": description}
    changes = {name: change for name, change in given.items() if change is not None}
    if value:
        changes["variants"] = {**flag.variants, **dict(_assigned(text, "--value") for text in value)}
    if default is not None:
        changes |= {"default_variant": default, "split": None, "rules": None}
    return replace(flag, **changes)


def _named(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ParameterError(f"{option} takes a name, = and a value", found=text)
    return name, value


def _assigned(text: str, option: str) -> tuple[str, Any]:
    name, value = _named(text, option)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
