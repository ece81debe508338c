"""`dimshift ab`: plan an experiment, simulate one, and read one from a log or from plain totals."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands import ab_text
from engine.commands.options import Json, Seed, WorkspaceFolder
from engine.errors import ParameterError
from engine.outputs import output
from engine.seeds import check_seed

if TYPE_CHECKING:
    from engine.experiment.events import Events
    from engine.experiment.planning import PowerPlan
    from engine.experiment.results import Analysis
    from engine.experiment.simulated_power import SimulatedPower
    from engine.experiment.storage import Origin
    from engine.workspace import Workspace

_TARGET_NOT_MET = 3

CtrMargin = Annotated[float | None, typer.Option("--margin-ctr", help="Relative loss of CTR allowed; 0.05.")]
ConversionMargin = Annotated[
    float | None, typer.Option("--margin-conversion", help="Relative loss of conversion allowed; 0.01.")
]
ErrorMargin = Annotated[
    float | None,
    typer.Option(
        "--margin-errors", help="Relative rise of the error rate allowed; 0.1, or 2 in 10,000 queries, without."
    ),
]
LatencyMargin = Annotated[
    float | None, typer.Option("--margin-latency", help="Relative rise of p99 latency allowed; 0.1.")
]
ExpectedSpeedup = Annotated[
    float, typer.Option(help="What p99 latency should gain; whether it does is said and changes no verdict.")
]
Alpha = Annotated[float, typer.Option(help="Level of the one-sided tests.")]
Judge = Annotated[
    str | None, typer.Option(metavar="LIST", help="What the verdict counts; ctr,conversion,error_rate,p99.")
]
Stages = Annotated[str | None, typer.Option(metavar="DAY:PERCENT,...", help="A planned ramp, as 0:5,3:10,7:25.")]
UsersPerDay = Annotated[float | None, typer.Option(help="New users a day, to count days with.")]

ab_app = typer.Typer(help="A/B tests: plan, simulate, analyse.", no_args_is_help=True, rich_markup_mode=None)


@ab_app.command()
def power(
    *,
    baseline: Annotated[float, typer.Option(help="The control's rate, as 0.12.")],
    margin: Annotated[float | None, typer.Option(help="Rule out a relative loss of this, as 0.05.")] = None,
    effect: Annotated[float | None, typer.Option(help="Find a relative change of this, as -0.05.")] = None,
    metric: Annotated[str, typer.Option(help="ctr, conversion, error_rate or no_results.")] = "ctr",
    true_change: Annotated[float, typer.Option(help="With a margin: the change thought to be there.")] = 0.0,
    alpha: Alpha = 0.05,
    wanted_power: Annotated[float, typer.Option("--power", help="Chance to succeed.")] = 0.8,
    percent: Annotated[float, typer.Option(help="Share of the users in the treatment, 0 to 100.")] = 50.0,
    queries_per_user: Annotated[float, typer.Option(help="Queries of one user.")] = 1.0,
    design_effect: Annotated[float, typer.Option(help="Of earlier traffic; `ab analyze` measures it.")] = 1.0,
    users_per_day: UsersPerDay = None,
    simulations: Annotated[
        int, typer.Option(min=0, help="Also simulate so many experiments of the planned size (CTR only).")
    ] = 0,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
    seed: Seed = 0,
) -> None:
    """Say how many users and days it takes to rule out a loss, or to find a change."""
    from engine.commands import ab_options
    from engine.experiment.planning import PlanSettings, plan_experiment

    terminal.check_outputs(json_file)
    check_seed(seed)
    settings = PlanSettings(
        baseline=baseline,
        margin=margin,
        effect=effect,
        metric=ab_options.metric_of(metric),
        true_change=true_change,
        alpha=alpha,
        power=wanted_power,
        treatment_share=ab_options.share_of(percent),
        queries_per_user=queries_per_user,
        design_effect=design_effect,
        users_per_day=users_per_day,
    )
    plan = plan_experiment(settings)
    simulated = _simulated(plan, simulations, seed) if simulations else None
    if json_file != "-":
        ab_text.print_plan(plan, simulated)
    if json_file is not None:
        from engine.workspace.plain import plain_json  # here, as its room takes longer to load than a plan to make

        answer: Any = plain_json(plan)
        terminal.write_json(json_file, {**answer, "simulated": plain_json(simulated)})


@ab_app.command()
def simulate(
    *,
    preset: Annotated[str | None, typer.Option(help="“identical arms”, “768 of 3072” or “broken at day 5”.")] = None,
    sweep: Annotated[str | None, typer.Option(metavar="RUN", help="Show the lists of this stored sweep.")] = None,
    dim: Annotated[int | None, typer.Option(help="Dimensions of the treatment, with --sweep.")] = None,
    users: Annotated[int | None, typer.Option(help="Users.")] = None,
    queries_per_day: Annotated[int | None, typer.Option(help="Queries a day.")] = None,
    days: Annotated[int | None, typer.Option(help="Days.")] = None,
    percent: Annotated[float | None, typer.Option(help="Share of the users in the treatment, 0 to 100.")] = None,
    control: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE,...", help="The control, as ctr=0.12,conversion=0.06,p99_ms=120.")
    ] = None,
    treatment: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE,...", help="The treatment; the same as the control without.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND:AMOUNT[:DAYS[:ARM]]", help="Break something, as latency:2:5 or errors:0.02:5-6."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the events, as .parquet or .csv.")
    ] = None,
    stages: Stages = None,
    margin_ctr: CtrMargin = None,
    margin_conversion: ConversionMargin = None,
    margin_errors: ErrorMargin = None,
    margin_latency: LatencyMargin = None,
    expected_speedup: ExpectedSpeedup = 2.0,
    alpha: Alpha = 0.05,
    judge: Judge = None,
    users_per_day: UsersPerDay = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Simulate an experiment and read it; status 3 unless it is safe."""
    from engine.commands import ab_options
    from engine.experiment import storage
    from engine.experiment.analysis import analyze as read
    from engine.experiment.settings import parse_stages
    from engine.experiment.traffic import simulate as make
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    form = ab_options.event_form(events)
    sizes = {"n_users": users, "queries_per_day": queries_per_day, "n_days": days, "percent": percent}
    traffic = ab_options.traffic_of(
        preset, control, treatment, fault, ramp=parse_stages(stages or ""), dim=dim, seed=seed, sizes=sizes
    )
    margins = ab_options.margins(margin_ctr, margin_conversion, margin_errors, margin_latency)
    levels = {"alpha": alpha, "expected_speedup": expected_speedup, "users_per_day": users_per_day}
    settings = ab_options.settings_of(margins, levels, judge=judge, stages=traffic.ramp)
    if dim is not None and sweep is None:
        raise ParameterError("--dim chooses lists of a stored sweep", found=dim, hint="Name the sweep with --sweep")
    store = Workspace.open(workspace)
    sources = None if sweep is None else storage.load_sources(store, sweep)
    lists: dict[str, Any] = (
        {}
        if sources is None
        else {"sweep": sources.sweep, "judgements": sources.judgements, "latency": sources.latency}
    )
    made = make(traffic, **lists, progress=terminal.show_progress)
    if events is not None:
        _write_events(made, events, form)
    origin = storage.Origin(
        traffic=traffic, sweep_run=sweep, latency_run=None if sources is None else sources.latency_run
    )
    _finish(store, read(made, settings, seed=traffic.seed, progress=terminal.show_progress), origin, json_file)


@ab_app.command()
def analyze(
    log: Annotated[Path | None, typer.Argument(help="CSV or Parquet, a row a query; without, give totals.")] = None,
    *,
    control: Annotated[
        str | None, typer.Option(help="Name of the control in the log, or its totals as 1200/10000.")
    ] = None,
    treatment: Annotated[
        str | None, typer.Option(help="Name of the treatment in the log, or its totals as 1150/10000.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What totals count: ctr, conversion, error_rate, no_results.")] = "ctr",
    margin: Annotated[float | None, typer.Option(help="Relative loss allowed to the metric of totals, or CTR.")] = None,
    experiment: Annotated[str | None, typer.Option(metavar="ID", help="Which experiment of the log.")] = None,
    percent: Annotated[
        float | None, typer.Option(help="Intended share of users in the treatment, 0 to 100; 50 for a log.")
    ] = None,
    user_column: Annotated[str | None, typer.Option(help="Column of the user id.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Column of the timestamp.")] = None,
    variation_column: Annotated[str | None, typer.Option(help="Column of the variation.")] = None,
    experiment_column: Annotated[str | None, typer.Option(help="Column of the experiment id.")] = None,
    clicked_column: Annotated[str | None, typer.Option(help="Column of clicks.")] = None,
    converted_column: Annotated[str | None, typer.Option(help="Column of conversions.")] = None,
    error_column: Annotated[str | None, typer.Option(help="Column of errors.")] = None,
    latency_column: Annotated[str | None, typer.Option(help="Column of the latency.")] = None,
    latency_unit: Annotated[str | None, typer.Option(help="ms, s or us, where the column's name does not say.")] = None,
    results_column: Annotated[str | None, typer.Option(help="Column of the number of results.")] = None,
    segment_column: Annotated[str | None, typer.Option(help="Column of the segment.")] = None,
    stages: Stages = None,
    margin_ctr: CtrMargin = None,
    margin_conversion: ConversionMargin = None,
    margin_errors: ErrorMargin = None,
    margin_latency: LatencyMargin = None,
    expected_speedup: ExpectedSpeedup = 2.0,
    alpha: Alpha = 0.05,
    judge: Judge = None,
    users_per_day: UsersPerDay = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Read an experiment from a log, or from plain totals; status 3 unless it is safe."""
    from engine.commands import ab_options
    from engine.experiment import storage
    from engine.experiment.analysis import analyze as read
    from engine.experiment.analysis import analyze_counts
    from engine.experiment.log_columns import LogColumns
    from engine.experiment.settings import parse_stages
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    check_seed(seed)
    columns = LogColumns(
        user_id=user_column,
        timestamp=time_column,
        variation_id=variation_column,
        experiment_id=experiment_column,
        clicked=clicked_column,
        converted=converted_column,
        error=error_column,
        latency_ms=latency_column,
        results=results_column,
        segment=segment_column,
    )
    if log is None:
        ab_options.check_totals_alone(
            columns, stages=stages, judge=judge, experiment=experiment, latency_unit=latency_unit
        )
    given = ab_options.margins(margin_ctr, margin_conversion, margin_errors, margin_latency)
    if margin is not None:
        given[ab_options.metric_of(metric)] = margin
    ramp, share = parse_stages(stages or ""), None if percent is None else ab_options.share_of(percent)
    levels = {"alpha": alpha, "expected_speedup": expected_speedup, "users_per_day": users_per_day}
    settings = ab_options.settings_of(given, levels, judge=judge, stages=ramp)
    if log is None:
        totals = [ab_options.totals_of(control, "--control"), ab_options.totals_of(treatment, "--treatment")]
        shares = None if share is None else (1 - share, share)
        result = analyze_counts(*totals, metric=ab_options.metric_of(metric), settings=settings, shares=shares)
        _finish(Workspace.open(workspace), result, storage.Origin(), json_file)
        return
    from engine.experiment.logs import read_log

    store = Workspace.open(workspace)
    events = read_log(
        log,
        columns=columns,
        units=ab_options.units_of(latency_unit),
        experiment_id=experiment,
        control=control,
        treatment=treatment,
        treatment_share=0.5 if share is None else share,
        progress=terminal.show_progress,
    )
    result = read(events, settings, digest=_digest(log), progress=terminal.show_progress)
    _finish(store, result, storage.Origin(file=log.name), json_file)


def _finish(store: Workspace, result: Analysis, origin: Origin, json_file: str | None) -> None:
    from engine.experiment.storage import analysis_json, save_analysis

    run = save_analysis(store, result, origin)
    if json_file != "-":
        ab_text.print_analysis(result, run_id=run.id)
    terminal.write_json(json_file, analysis_json(result, run_id=run.id))
    if result.verdict != "safe":
        raise typer.Exit(_TARGET_NOT_MET)


def _simulated(plan: PowerPlan, n_simulations: int, seed: int) -> SimulatedPower:
    from engine.commands import ab_options
    from engine.experiment.simulated_power import simulated_power

    settings = ab_options.simulated_settings(plan)
    traffic = ab_options.planned_traffic(plan, seed=seed)
    return simulated_power(traffic, settings, n_simulations=n_simulations, seed=seed, progress=terminal.show_progress)


def _write_events(events: Events, file: Path, form: Any) -> None:
    from engine.experiment.event_files import write_events

    with output(file, rule="the events file must be writable") as opened:
        write_events(events, opened, form=form, progress=terminal.show_progress)


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
