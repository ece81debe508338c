"""`dimshift rollout`: ramp a flag, watch it, pause it and roll it back without a browser.

Exit status 3: what was observed or simulated made the monitor pause the rollout or roll it back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import terminal
from engine.commands import rollout_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
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
from engine.commands.rollout_trials import TARGET_NOT_MET, export, preflight, simulate, stopped_by_itself
from engine.errors import ParameterError

if TYPE_CHECKING:
    from engine.rollout import RolloutStatus

OptionalFlag = Annotated[
    str | None, typer.Option("--flag", help="Make the rollout on this flag first, by the default schedule.")
]
ObservationFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, Parquet, JSON or JSON lines; a row an arm and window.")
]
TimeZone = Annotated[str | None, typer.Option(help="Zone of moments that name none, as UTC or Europe/Oslo.")]
WindowHours = Annotated[float | None, typer.Option(help="Length of windows without an end.")]
Percent = Annotated[float | None, typer.Option(help="Share in treatment, where no column tells.")]
QueriesPerUser = Annotated[float | None, typer.Option(help="Activity, where no column counts users.")]
LatencyUnit = Annotated[
    str | None, typer.Option(help="ms, s or us, where the name of the latency column does not end in it.")
]
ArmNames = Annotated[
    list[str] | None, typer.Option("--arm", metavar="NAME=ARM", help="Another name of an arm, as b=treatment.")
]

rollout_app = typer.Typer(help="Ramp a flag, watch it, roll it back.", no_args_is_help=True, rich_markup_mode=None)
rollout_app.command()(simulate)
rollout_app.command()(preflight)
rollout_app.command()(export)


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
    _show(control.start(key, actor=actor, expected_version=expected_version, reason=reason), json_file)


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
def observe(
    key: Key,
    file: ObservationFile,
    *,
    time_zone: TimeZone = None,
    window_hours: WindowHours = None,
    percent: Percent = None,
    queries_per_user: QueriesPerUser = None,
    latency_unit: LatencyUnit = None,
    arm: ArmNames = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Append what was observed; the monitor pauses or rolls back at once where it must (exit status 3)."""
    from engine.rollout.observing import ReadingOptions, read_observations

    terminal.check_outputs(json_file)
    units: dict[str, str] = {"ms": "ms", "s": "s", "us": "us"}
    if latency_unit is not None and latency_unit not in units:
        raise ParameterError("--latency-unit is ms, s or us", found=latency_unit)
    options = ReadingOptions(
        time_zone=time_zone,
        window_hours=window_hours,
        percent=percent,
        queries_per_user=queries_per_user,
        latency_unit=latency_unit,  # type: ignore[arg-type]  # checked above
        arms=tuple(_arm(text) for text in arm or ()),
    )
    control = open_control(workspace)
    observed = read_observations(file, options=options, now=control.status(key, settle=False).now)
    done = control.observe(key, observed, actor=actor_name(by))
    if json_file != "-":
        typer.echo(f"{done.n_new:,} new observations, {done.n_known:,} known already.")
        rollout_text.print_status(done.status)
    terminal.write_json(
        json_file, {"n_new": done.n_new, "n_known": done.n_known, "status": rollout_text.status_answer(done.status)}
    )
    if stopped_by_itself(done.status):
        raise typer.Exit(TARGET_NOT_MET)


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


def _arm(text: str) -> tuple[str, str]:
    name, separator, arm = text.partition("=")
    if not separator or not name or not arm:
        raise ParameterError("--arm is NAME=ARM", found=text, hint="As in --arm b=treatment")
    return name, arm
