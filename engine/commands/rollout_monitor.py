"""`dimshift rollout observe` and `watch`: bring data to the monitor, and let it look again and again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import terminal
from engine.commands import rollout_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.commands.rollout_options import TARGET_NOT_MET, Key, open_control, seconds_of
from engine.errors import ParameterError, WorkspaceError, printable

if TYPE_CHECKING:
    from engine.rollout import Observation, RolloutStatus
    from engine.rollout.observing import LatencyUnit

_SHORTEST_S, _LONGEST_S = 0.1, 86_400.0
_LONGEST_FOR_S = 366 * 86_400.0
_UNITS: dict[str, LatencyUnit] = {"ms": "ms", "s": "s", "us": "us"}

ObservationFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, Parquet, JSON or JSON lines; a row an arm and window.")
]
PerQuery = Annotated[bool, typer.Option("--per-query", help="FILE is a log of a row a query: count it day by day.")]
TimeZone = Annotated[str | None, typer.Option(help="Zone of moments that name none, as UTC or Europe/Oslo.")]
WindowHours = Annotated[float | None, typer.Option(help="Length of windows without an end.")]
Percent = Annotated[float | None, typer.Option(help="Share in treatment, where no column tells.")]
QueriesPerUser = Annotated[float | None, typer.Option(help="Activity, where no column counts users.")]
LatencyUnitName = Annotated[
    str | None, typer.Option("--latency-unit", help="ms, s or us, where the latency column's name does not end in it.")
]
ArmNames = Annotated[
    list[str] | None, typer.Option("--arm", metavar="NAME=ARM", help="Another name of an arm, as b=treatment.")
]
WatchedKey = Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only this rollout; else all that run.")]
Every = Annotated[str, typer.Option(metavar="TIME", help="How often to look, as 30s, 5m or 1h.")]
For = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="How long; without end otherwise. 0s looks once, for cron.")
]


def observe(
    key: Key,
    file: ObservationFile,
    *,
    per_query: PerQuery = False,
    time_zone: TimeZone = None,
    window_hours: WindowHours = None,
    percent: Percent = None,
    queries_per_user: QueriesPerUser = None,
    latency_unit: LatencyUnitName = None,
    arm: ArmNames = None,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Append what was observed; the monitor pauses or rolls back at once where it must (exit status 3)."""
    from engine.rollout.observed_days import read_query_log
    from engine.rollout.observing import ReadingOptions, read_observations

    terminal.check_outputs(json_file)
    if latency_unit is not None and latency_unit not in _UNITS:
        raise ParameterError("--latency-unit is ms, s or us", found=latency_unit)
    unit, arms = None if latency_unit is None else _UNITS[latency_unit], dict(_arm(text) for text in arm or ())
    control = open_control(workspace)
    present = control.status(key, settle=False)
    n_unfinished = 0
    if per_query:
        share = present.percent if percent is None else percent
        days = read_query_log(
            file, percent=share, arms=arms, latency_unit=unit, time_zone=time_zone, progress=terminal.show_progress
        )
        observed: tuple[Observation, ...] = tuple(one for one in days if one.ended_at <= present.now)
        n_unfinished = len(days) - len(observed)
    else:
        options = ReadingOptions(
            time_zone=time_zone,
            window_hours=window_hours,
            percent=percent,
            queries_per_user=queries_per_user,
            latency_unit=unit,
            arms=tuple(arms.items()),
        )
        observed = read_observations(file, options=options, now=present.now)
    done = control.observe(key, observed, actor=actor_name(by))
    if json_file != "-":
        typer.echo(f"{done.n_new:,} new observations, {done.n_known:,} known already.")
        if n_unfinished:
            typer.echo(f"{n_unfinished:,} of a day that is not over yet were left out; give the log again when it is.")
        rollout_text.print_status(done.status)
    counts = {"n_new": done.n_new, "n_known": done.n_known, "n_unfinished": n_unfinished}
    terminal.write_json(json_file, {**counts, "status": rollout_text.status_answer(done.status)})
    if done.status.is_stopped_by_itself:
        raise typer.Exit(TARGET_NOT_MET)


def watch(
    key: WatchedKey = None,
    *,
    every: Every = "60s",
    for_: For = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Look again and again, so that rollouts pause, roll back and advance without a browser; print what changes.

    Ends with status 3 when one was paused or rolled back by the monitor or the kill switch.
    """
    from engine.rollout.watching import RolloutWatch, watch_rollouts

    terminal.check_outputs(json_file)
    every_s = seconds_of(every, "--every", least=_SHORTEST_S, most=_LONGEST_S)
    for_s = None if for_ is None else seconds_of(for_, "--for", least=0.0, most=_LONGEST_FOR_S)
    watched = RolloutWatch(open_control(workspace), key)
    seen: list[RolloutStatus] = []
    try:
        for change in watch_rollouts(watched, every_s=every_s, for_s=for_s, failed=_failed):
            seen.append(change.status)
            if json_file != "-":
                rollout_text.print_change(change.status)
    except KeyboardInterrupt:
        typer.echo("Watches no more.", err=True)
    changes = [rollout_text.status_answer(status) for status in seen]
    terminal.write_json(json_file, {"stopped": list(watched.stopped), "changes": changes})
    if watched.stopped:
        raise typer.Exit(TARGET_NOT_MET)


def _failed(error: WorkspaceError) -> None:
    typer.echo(f"dimshift: {printable(error, longest=600)}", err=True)


def _arm(text: str) -> tuple[str, str]:
    name, separator, arm = text.partition("=")
    if not separator or not name or not arm:
        raise ParameterError("--arm is NAME=ARM", found=text, hint="As in --arm b=treatment")
    return name, arm
