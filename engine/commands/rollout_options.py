"""Options of `dimshift rollout`, and the settings that they stand for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import FormatError, ParameterError, PathError

if TYPE_CHECKING:
    from engine.rollout import RolloutControl, Schedule, Thresholds
    from engine.rollout.traffic_days import Traffic

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of a rollout.")]
FlagKey = Annotated[str, typer.Option("--flag", help="The flag that is ramped.")]
Treatment = Annotated[str | None, typer.Option(help="The variant that grows; the only unsafe one without.")]
ScheduleText = Annotated[
    str | None, typer.Option("--schedule", metavar="DAY:PERCENT,...", help="Such as 0:5,3:10,7:25; 12h is a day too.")
]
Holdback = Annotated[float | None, typer.Option(help="Percent of the users that stay in control through 100 %.")]
ThresholdsFile = Annotated[
    Path | None, typer.Option("--thresholds", metavar="FILE", help="JSON of thresholds; what it leaves out is default.")
]
HashKey = Annotated[str | None, typer.Option(help="What users are bucketed by; the flag's own without.")]
Automatic = Annotated[
    bool | None, typer.Option("--automatic/--by-hand", help="Advance by itself when the day has come and all is well.")
]
Simulated = Annotated[bool, typer.Option("--simulated", help="Run on a simulated clock, stepped by simulate.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit log.")]
Override = Annotated[str, typer.Option(metavar="REASON", help="Go on in spite of what refuses it; recorded.")]
ExpectedVersion = Annotated[int | None, typer.Option(help="Refuse when the rollout has another version.")]
Faults = Annotated[
    list[str] | None, typer.Option("--fault", metavar="FAULT", help="Such as latency:2@day10 or clicks:-8%@50%.")
]
QueriesADay = Annotated[int | None, typer.Option(help="Queries a day of the traffic.")]
Users = Annotated[int | None, typer.Option(help="Different users in all.")]
Ctr = Annotated[float | None, typer.Option(help="Share of queries with a click, as 0.12.")]
ErrorRate = Annotated[float | None, typer.Option(help="Share of queries that fail, as 0.001.")]
P99 = Annotated[float | None, typer.Option("--p99-ms", help="99th percentile of latency in ms.")]

TARGET_NOT_MET = 3

_LARGEST_THRESHOLDS = 1 << 20
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def schedule_of(text: str | None, holdback: float | None, *, present: Schedule | None = None) -> Schedule | None:
    """Return the schedule that the options ask for, based on the `present` one; None when they ask for nothing."""
    from engine.rollout import DEFAULT_SCHEDULE, Schedule  # here, so that every other verb starts quickly

    if text is None and holdback is None:
        return None
    base = present or DEFAULT_SCHEDULE
    held = base.holdback_percent if holdback is None else holdback
    if text is None:
        return Schedule(stages=base.stages, holdback_percent=held)
    return Schedule.parse(text, holdback_percent=held)


def thresholds_of(file: Path | None) -> Thresholds | None:
    """Read thresholds from a JSON file; None without one. Raises PathError, FormatError and ParameterError."""
    if file is None:
        return None
    from engine.rollout import Thresholds

    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_THRESHOLDS + 1)
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or error
        raise PathError("--thresholds must name a file that can be read", found=f"{file.name}: {found}") from error
    if len(data) > _LARGEST_THRESHOLDS:
        raise FormatError.in_file(file.name, f"thresholds take at most {_LARGEST_THRESHOLDS:,} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError.in_file(file.name, "thresholds are a JSON object", found=error) from error
    return Thresholds.from_json(document)


def seconds_of(text: str, option: str, *, least: float, most: float) -> float:
    """Return the seconds that an option such as 30s, 5m, 2h or 1d says. Raises ParameterError."""
    number, unit = text.strip()[:-1], text.strip()[-1:]
    try:
        seconds = float(number) * _SECONDS[unit]
    except (ValueError, KeyError):
        raise ParameterError(f"{option} is a time such as 30s, 5m, 2h or 1d", found=text or "nothing") from None
    if not least <= seconds <= most:  # false for NaN as well
        raise ParameterError(f"{option} is {least:g}s to {most / _SECONDS['d']:g}d", found=text)
    return seconds


def traffic_of(
    *,
    queries_a_day: int | None,
    users: int | None,
    ctr: float | None,
    error_rate: float | None,
    p99_ms: float | None,
    present: Traffic | None = None,
) -> Traffic:
    """Return the traffic that the options ask for; what they leave out is as `present`, else the example migration."""
    from engine.rollout.traffic_days import Traffic

    base = present or Traffic()
    return replace(
        base,
        queries_a_day=base.queries_a_day if queries_a_day is None else queries_a_day,
        users=base.users if users is None else users,
        ctr=base.ctr if ctr is None else ctr,
        error_rate=base.error_rate if error_rate is None else error_rate,
        p99_ms=base.p99_ms if p99_ms is None else p99_ms,
    )


def open_control(folder: Path | None) -> RolloutControl:
    """Open the rollouts of a workspace; say on stderr when the flag file had to be rebuilt."""
    from engine.flags import FlagStore
    from engine.rollout import RolloutControl
    from engine.workspace import Workspace

    workspace = Workspace.open(folder)
    store = FlagStore(workspace)
    said = store.problem or ("" if store.opened is None else store.opened.sentence)
    if said:
        typer.echo(f"Note: {said}", err=True)
    return RolloutControl(workspace, store)
