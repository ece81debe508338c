"""`dimshift rollout`: ramp a flag, watch it, pause it and roll it back without a browser.

Exit status 3: the monitor or the kill switch paused the rollout or rolled it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engine import terminal
from engine.commands import rollout_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.commands.rollout_monitor import observe, watch
from engine.commands.rollout_options import (
    Automatic,
    ExpectedVersion,
    FlagKey,
    HashKey,
    Holdback,
    Key,
    Override,
    Reason,
    ScheduleText,
    Simulated,
    ThresholdsFile,
    Treatment,
    open_control,
    schedule_of,
    thresholds_of,
)
from engine.commands.rollout_trials import export, preflight, simulate
from engine.errors import EngineError, ParameterError, printable

if TYPE_CHECKING:
    from engine.rollout import RolloutStatus

OptionalFlag = Annotated[
    str | None, typer.Option("--flag", help="Make the rollout on this flag first, by the default schedule.")
]
rollout_app = typer.Typer(help="Ramp a flag, watch it, roll it back.", no_args_is_help=True, rich_markup_mode=None)
rollout_app.command()(simulate)
rollout_app.command()(preflight)
rollout_app.command()(export)
rollout_app.command()(observe)
rollout_app.command()(watch)


@rollout_app.command("list")
def list_rollouts(*, json_file: Json = None, workspace: WorkspaceFolder = None, seed: Seed = 0) -> None:  # noqa: ARG001 -- every verb takes them
    """List every rollout where it stands."""
    terminal.check_outputs(json_file)
    statuses = open_control(workspace).rollouts()
    if json_file != "-":
        rollout_text.print_list(statuses)
    terminal.write_json(json_file, [rollout_text.status_answer(status) for status in statuses])


@rollout_app.command()
def create(
    key: Key,
    *,
    flag: FlagKey,
    treatment: Treatment = None,
    schedule: ScheduleText = None,
    holdback: Holdback = None,
    thresholds: ThresholdsFile = None,
    hash_key: HashKey = None,
    automatic: Automatic = None,
    simulated: Simulated = False,
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Make a draft; nothing moves before it is started."""
    from engine.rollout import DEFAULT_SCHEDULE

    terminal.check_outputs(json_file)
    status = open_control(workspace).create(
        key,
        flag_key=flag,
        actor=actor_name(by),
        treatment=treatment,
        schedule=schedule_of(schedule, holdback) or DEFAULT_SCHEDULE,
        thresholds=thresholds_of(thresholds),
        hash_key=hash_key,
        owner=owner,
        description=description,
        is_simulated=simulated,
        is_automatic=bool(automatic),
        reason=reason,
    )
    _show(status, json_file)
    if json_file != "-":
        typer.echo(f"What it promises on your traffic: dimshift rollout preflight {printable(key)}")


@rollout_app.command()
def edit(
    key: Key,
    *,
    schedule: ScheduleText = None,
    holdback: Holdback = None,
    thresholds: ThresholdsFile = None,
    automatic: Automatic = None,
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Change a draft, or the stages ahead and the thresholds of a paused rollout."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    present = control.status(key)
    changed = schedule_of(schedule, holdback, present=present.rollout.schedule)
    judged = thresholds_of(thresholds)
    if changed is None and judged is None and automatic is None:
        raise ParameterError("an edit must name what changes", found="nothing", hint="See rollout edit --help")
    status = control.edit(
        key,
        expected_version=present.version if expected_version is None else expected_version,
        actor=actor_name(by),
        schedule=changed,
        thresholds=judged,
        is_automatic=automatic,
        reason=reason,
    )
    _show(status, json_file)


@rollout_app.command()
def start(
    key: Key,
    *,
    flag: OptionalFlag = None,
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Begin the first stage of a draft."""
    terminal.check_outputs(json_file)
    control, actor = open_control(workspace), actor_name(by)
    if flag is not None:
        control.create(key, flag_key=flag, actor=actor, reason=reason)
    try:
        begun = control.start(key, actor=actor, expected_version=expected_version, reason=reason)
    except EngineError:
        if flag is not None:  # the draft was only made for the start
            control.discard(key, actor=actor, reason="its start was refused")
        raise
    _show(begun, json_file)


@rollout_app.command()
def status(
    key: Key,
    *,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Say where a rollout stands; looking is enough to pause one that was killed or gets no data."""
    terminal.check_outputs(json_file)
    _show(open_control(workspace).status(key), json_file)


@rollout_app.command()
def advance(
    key: Key,
    *,
    override: Override = "",
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Begin the next stage, when its day has come and nothing stands against it."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    # Of two people who press at once one has seen an older version, so that nothing is advanced twice.
    version = control.status(key).version if expected_version is None else expected_version
    done = control.advance(key, actor=actor_name(by), expected_version=version, reason=reason, override=override)
    _show(done, json_file)


@rollout_app.command()
def pause(
    key: Key,
    *,
    reason: Reason = "",
    expected_version: ExpectedVersion = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Stop the ramp where it is; users who have the treatment keep it."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    _show(control.pause(key, actor=actor_name(by), reason=reason, expected_version=expected_version), json_file)


@rollout_app.command()
def resume(
    key: Key,
    *,
    override: Override = "",
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Let a paused rollout run on."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    done = control.resume(
        key, actor=actor_name(by), expected_version=expected_version, reason=reason, override=override
    )
    _show(done, json_file)


@rollout_app.command()
def rollback(
    key: Key,
    *,
    confirm: Annotated[str, typer.Option(help='Type the words "roll back".')] = "",
    reason: Reason = "",
    expected_version: ExpectedVersion = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Give everybody the safe variant and end the rollout."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    done = control.roll_back(key, actor=actor_name(by), reason=reason, typed=confirm, expected_version=expected_version)
    _show(done, json_file)


@rollout_app.command()
def complete(
    key: Key,
    *,
    override: Override = "",
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """End a rollout in its last stage; the flag keeps its percentage."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    done = control.complete(
        key, actor=actor_name(by), expected_version=expected_version, reason=reason, override=override
    )
    _show(done, json_file)


@rollout_app.command()
def discard(
    key: Key,
    *,
    expected_version: ExpectedVersion = None,
    reason: Reason = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Remove a draft."""
    terminal.check_outputs(json_file)
    open_control(workspace).discard(key, actor=actor_name(by), expected_version=expected_version, reason=reason)
    if json_file != "-":
        typer.echo(f"Discarded the draft {key}.")
    terminal.write_json(json_file, {"discarded": key})


@rollout_app.command()
def history(
    key: Key,
    *,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Replay every step from the audit log, and compare the end with what is kept."""
    terminal.check_outputs(json_file)
    replayed = open_control(workspace).replay(key)
    if json_file != "-":
        rollout_text.print_history(replayed.entries, agrees=replayed.agrees)
    steps = [rollout_text.history_answer(entry) for entry in replayed.entries]
    terminal.write_json(json_file, {"key": key, "agrees": replayed.agrees, "steps": steps})


@rollout_app.command()
def incidents(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only of this rollout.")] = None,
    *,
    close: Annotated[str | None, typer.Option(metavar="INCIDENT", help="Close this incident.")] = None,
    note: Annotated[str, typer.Option(help="What was found out.")] = "",
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """List the incidents that rollbacks opened, or close one with a note."""
    terminal.check_outputs(json_file)
    control = open_control(workspace)
    if close is not None:
        control.close_incident(close, note=note, actor=actor_name(by))
    found = control.incidents(key)
    if json_file != "-":
        rollout_text.print_incidents(found)
    terminal.write_json(json_file, [rollout_text.incident_answer(one) for one in found])


def _show(status: RolloutStatus, json_file: str | None) -> None:
    if json_file != "-":
        rollout_text.print_status(status)
    terminal.write_json(json_file, rollout_text.status_answer(status))
