"""`dimshift rollout simulate`, `preflight` and `export`: try a rollout first, or hand it to another tool."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import terminal
from engine.commands import rollout_text
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.commands.rollout_options import (
    P99,
    TARGET_NOT_MET,
    Ctr,
    ErrorRate,
    Faults,
    Holdback,
    Key,
    QueriesADay,
    ScheduleText,
    ThresholdsFile,
    Users,
    open_control,
    schedule_of,
    thresholds_of,
    traffic_of,
)
from engine.errors import ParameterError, printable
from engine.outputs import write_output
from engine.seeds import check_seed

if TYPE_CHECKING:
    from engine.rollout import Rollout, RolloutControl, Schedule, SimulationSettings, Thresholds
    from engine.rollout.preflight_results import Preflight
    from engine.rollout.traffic_days import RolloutFault, Traffic

_NO_FAULT = "none"

OptionalKey = Annotated[
    str | None, typer.Argument(metavar="[KEY]", help="A rollout on simulated time; without, in memory alone.")
]
_START = datetime(2026, 1, 5, tzinfo=UTC)  # of rehearsals in memory, so that they are the same whenever they run


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the options say of the simulated traffic."""

    faults: list[str] | None
    queries_a_day: int | None
    users: int | None
    ctr: float | None
    error_rate: float | None
    p99_ms: float | None
    seed: int

    def settings(self, present: SimulationSettings | None = None) -> SimulationSettings:
        """Return the settings asked for; what is left out stays as it is `present`."""
        from engine.rollout import SimulationSettings, parse_fault

        base = present or SimulationSettings()
        traffic = traffic_of(
            queries_a_day=self.queries_a_day,
            users=self.users,
            ctr=self.ctr,
            error_rate=self.error_rate,
            p99_ms=self.p99_ms,
            present=base.traffic,
        )
        faults = base.faults
        if self.faults:
            faults = tuple(parse_fault(text) for text in self.faults if text != _NO_FAULT)
        return SimulationSettings(traffic=traffic, faults=faults, seed=self.seed or base.seed)


def simulate(
    key: OptionalKey = None,
    *,
    days: Annotated[float, typer.Option(help="How far to step the simulated clock.")] = 45,
    fault: Faults = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take the days from a log of `dimshift ab simulate --events`.")
    ] = None,
    schedule: ScheduleText = None,
    holdback: Holdback = None,
    thresholds: ThresholdsFile = None,
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
    """Run a rollout through simulated days; exit status 3 when it was paused or rolled back."""
    terminal.check_outputs(json_file)
    check_seed(seed)
    given = _Given(
        faults=fault, queries_a_day=queries_a_day, users=users, ctr=ctr, error_rate=error_rate, p99_ms=p99_ms, seed=seed
    )
    if key is not None:
        if not (schedule is None and holdback is None and thresholds is None):
            raise ParameterError("a rollout has a schedule and thresholds of its own", hint="Leave these options out")
        actor = actor_name(by)
        is_stopped = _simulate_kept(key, given, log, days=days, actor=actor, json_file=json_file, folder=workspace)
    elif log is not None:
        raise ParameterError("--log takes a rollout on simulated time through its days", found="no key of one")
    else:
        is_stopped = _simulate_in_memory(schedule, holdback, thresholds, given, days=days, json_file=json_file)
    if is_stopped:
        raise typer.Exit(TARGET_NOT_MET)


def preflight(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Of this rollout; else of the options.")] = None,
    *,
    schedule: ScheduleText = None,
    holdback: Holdback = None,
    thresholds: ThresholdsFile = None,
    against_schedule: Annotated[
        str | None, typer.Option(metavar="DAY:PERCENT,...", help="Compare with this schedule.")
    ] = None,
    against_holdback: Annotated[float | None, typer.Option(help="Compare with this holdback.")] = None,
    against_thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with these thresholds.")
    ] = None,
    fault: Faults = None,
    queries_a_day: QueriesADay = None,
    users: Users = None,
    ctr: Ctr = None,
    error_rate: ErrorRate = None,
    p99_ms: P99 = None,
    simulations: Annotated[int, typer.Option(help="How many rollouts to simulate a scenario.")] = 1000,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Say what a schedule and thresholds promise: false alarms, what is missed, who is exposed, days to finish.

    Of a rollout with the settings that it has, the runbook keeps it as evidence.
    """
    from engine.rollout import parse_fault
    from engine.rollout.preflight import compare_preflights

    terminal.check_outputs(json_file)
    faults = tuple(parse_fault(text) for text in fault or ())
    traffic = traffic_of(queries_a_day=queries_a_day, users=users, ctr=ctr, error_rate=error_rate, p99_ms=p99_ms)
    control = None if key is None else open_control(workspace)
    rollout = None if key is None or control is None else control.status(key, settle=False).rollout
    chosen, judged = _settings_of(rollout, schedule, holdback, thresholds)
    result = _preflight(chosen, judged, traffic, faults, n_simulations=simulations, seed=seed)
    answer = rollout_text.preflight_answer(result)
    answer["is_kept"] = _is_kept(control, key, result, by)
    if json_file != "-":
        rollout_text.print_preflight(result)
        if answer["is_kept"]:
            typer.echo(f"\nKept as evidence in the runbook of rollout {printable(key or '')}.")
    if any(one is not None for one in (against_schedule, against_holdback, against_thresholds)):
        other_schedule = schedule_of(against_schedule, against_holdback, present=chosen) or chosen
        other = _preflight(
            other_schedule,
            thresholds_of(against_thresholds) or judged,
            traffic,
            faults,
            n_simulations=simulations,
            seed=seed,
        )
        comparison = compare_preflights(result, other)
        answer["against"] = rollout_text.preflight_answer(other)
        answer["comparison"] = rollout_text.comparison_answer(comparison)
        if json_file != "-":
            rollout_text.print_comparison(comparison)
    terminal.write_json(json_file, answer)


def export(
    key: Key,
    *,
    format_: Annotated[str, typer.Option("--format", help="argo, flagger or flagd.")],
    name: Annotated[str | None, typer.Option(help="Name of the deployment; the key without.")] = None,
    namespace: Annotated[str, typer.Option(help="Kubernetes namespace.")] = "default",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; stdout without.")] = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it
) -> None:
    """Write a rollout as manifests of Argo Rollouts or Flagger, or its flag as a flagd file."""
    from engine.flags import FlagStore, file_text
    from engine.rollout.argo import argo_manifests
    from engine.rollout.flagger import flagger_manifests

    terminal.check_outputs(json_file)
    formats = ("argo", "flagger", "flagd")
    if format_ not in formats:
        raise ParameterError("--format is argo, flagger or flagd", found=format_)
    control = open_control(workspace)
    rollout = control.status(key, settle=False).rollout
    deployment = rollout.key if name is None else name
    if format_ == "argo":
        text = argo_manifests(rollout.schedule, rollout.thresholds, name=deployment, namespace=namespace)
    elif format_ == "flagger":
        text = flagger_manifests(rollout.schedule, rollout.thresholds, name=deployment, namespace=namespace)
    else:
        document = FlagStore(control.workspace).definitions()
        text = file_text({**document, "flags": {rollout.flag_key: document["flags"][rollout.flag_key]}})  # type: ignore[index,call-overload]  # a flagd file has flags by key
    if out is not None:
        write_output(out, text, rule="--out must name a file that can be written")
    elif json_file is None:
        sys.stdout.write(text)
    terminal.write_json(json_file, {"key": key, "format": format_, "text": text})


def _simulate_kept(
    key: str, given: _Given, log: Path | None, *, days: float, actor: str, json_file: str | None, folder: Path | None
) -> bool:
    from engine.rollout import RolloutState, SimulatedRollouts
    from engine.rollout.observed_days import read_query_log

    observed = () if log is None else read_query_log(log, percent=50, time_zone="UTC", progress=terminal.show_progress)
    control = open_control(folder)
    simulated = SimulatedRollouts(control)
    present = simulated.settings(key)
    if (settings := given.settings(present)) != present:
        simulated.set(key, settings, actor=actor)
    if control.status(key).state is RolloutState.DRAFT:
        control.start(key, actor=actor)
    if observed:
        statuses = simulated.follow(key, observed, actor=actor)
    else:
        statuses = simulated.step(key, days=days, actor=actor, progress=terminal.show_progress)
    if json_file != "-":
        rollout_text.print_status(statuses[-1])
    steps = [{"now": one.now.isoformat(), "state": one.state.value, "percent": one.percent} for one in statuses]
    answer = {"labels": ["simulated"], "steps": steps, "status": rollout_text.status_answer(statuses[-1])}
    terminal.write_json(json_file, answer)
    return statuses[-1].is_stopped_by_itself


def _simulate_in_memory(
    schedule: str | None,
    holdback: float | None,
    thresholds: Path | None,
    given: _Given,
    *,
    days: float,
    json_file: str | None,
) -> bool:
    from engine.rollout import DEFAULT_SCHEDULE, Rollout, RolloutState, Thresholds, rehearse

    if not 1 <= days <= 3650 or days != int(days):
        raise ParameterError("--days is a whole number from 1 to 3,650 without a rollout", found=f"{days:g}")
    chosen, settings = schedule_of(schedule, holdback) or DEFAULT_SCHEDULE, given.settings()
    draft = Rollout(
        key="rehearsal",
        flag_key="rehearsal",
        treatment="treatment",
        control="control",
        hash_key="rehearsal",
        schedule=chosen,
        thresholds=thresholds_of(thresholds) or Thresholds(),
        created_at=_START,
        changed_at=_START,
        changed_by="rehearsal",
        is_simulated=True,
    )
    rehearsal = rehearse(draft, settings.days(chosen), max_days=int(days))
    if json_file != "-":
        rollout_text.print_rehearsal(rehearsal)
    terminal.write_json(json_file, rollout_text.rehearsal_answer(rehearsal))
    return rehearsal.rollout.state in {RolloutState.PAUSED, RolloutState.ROLLED_BACK}


def _settings_of(
    rollout: Rollout | None, schedule: str | None, holdback: float | None, thresholds: Path | None
) -> tuple[Schedule, Thresholds]:
    from engine.rollout import DEFAULT_SCHEDULE, Thresholds

    present = DEFAULT_SCHEDULE if rollout is None else rollout.schedule
    judged = Thresholds() if rollout is None else rollout.thresholds
    return schedule_of(schedule, holdback, present=present) or present, thresholds_of(thresholds) or judged


def _is_kept(control: RolloutControl | None, key: str | None, result: Preflight, by: str | None) -> bool:
    """Have the runbook keep a pre-flight that is of the settings of a rollout."""
    from engine.present.runbook import note_preflight

    if control is None or key is None:
        return False
    return note_preflight(control, key, result, actor=actor_name(by)) is not None


def _preflight(
    schedule: Schedule,
    thresholds: Thresholds,
    traffic: Traffic,
    faults: tuple[RolloutFault, ...],
    *,
    n_simulations: int,
    seed: int,
) -> Preflight:
    from engine.rollout.preflight import SCENARIOS
    from engine.rollout.preflight import preflight as simulated
    from engine.rollout.preflight_results import Scenario

    own = (Scenario(name="the given faults", faults=faults),) if faults else ()
    return simulated(
        schedule,
        traffic,
        thresholds,
        scenarios=(*SCENARIOS, *own),
        n_simulations=n_simulations,
        seed=seed,
        progress=terminal.show_progress,
    )
