"""What `dimshift ab` prints for people: sentences first, then tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from engine.errors import printable
from engine.experiment.wording import milliseconds, percent, plural, precise, signed

if TYPE_CHECKING:
    from engine.experiment.planning import PowerPlan
    from engine.experiment.results import Analysis, Estimate, LatencyResult, MetricResult
    from engine.experiment.simulated_power import SimulatedPower

_LONGEST = 400


def print_analysis(analysis: Analysis, *, run_id: str | None) -> None:
    """Print the verdict and its reasons, the checks, a row a metric, and what limits the numbers."""
    labels = f"  [{', '.join(analysis.labels)}]" if analysis.labels else ""
    typer.echo(f"{printable(analysis.experiment_id)}: {_size(analysis)}{labels}\n")
    for sentence in analysis.sentences:
        typer.echo(printable(sentence, longest=_LONGEST))
    typer.echo("")
    for gate in analysis.gates:
        state = "FAILED" if not gate.is_passed else "passed" if gate.is_checked else "no data"
        typer.echo(f"{state:>7}  {printable(gate.sentence, longest=_LONGEST)}")
    if analysis.metrics or analysis.latencies:
        _print_tables(analysis)
    typer.echo("")
    if analysis.metrics:
        typer.echo(analysis.peeking.sentence)
        rates = [f"{row.n_looks}: {percent(row.false_positive_rate)}" for row in analysis.peeking.rows]
        typer.echo(f"False alarms by number of looks: {', '.join(rates)}.")
    for sentence in (*analysis.assumptions, *analysis.warnings):
        typer.echo(f"Note: {printable(sentence, longest=_LONGEST)}")
    if run_id is not None:
        typer.echo(f"Run {run_id}; see it with: dimshift")


def _size(analysis: Analysis) -> str:
    days = f" over {plural(analysis.n_days, 'day')}" if analysis.n_days > 1 else ""
    return f"{plural(analysis.n_queries, 'query')} of {plural(analysis.n_users, 'user')}{days}"


def _print_tables(analysis: Analysis) -> None:
    interval = f"{percent(analysis.settings.confidence)} interval"
    typer.echo(
        f"\n{'metric':>14} {'control':>9} {'treatment':>9} {'change':>8} {interval:>22} {'anytime-valid':>22}  verdict"
    )
    for metric in analysis.metrics:
        typer.echo(_metric_row(metric))
    for latency in analysis.latencies:
        typer.echo(_latency_row(latency))
    typer.echo("\nClassic read-out, every query counted as a user of its own:")
    for metric in analysis.metrics:
        typer.echo(f"{metric.name:>14}  {metric.classic.sentence}")


def _metric_row(metric: MetricResult) -> str:
    values = [_share(metric.control.value), _share(metric.treatment.value)]
    judged = "" if metric.is_judged else " (not counted)"
    return (
        f"{metric.name:>14} {values[0]:>9} {values[1]:>9} {_change(metric.relative.value):>8} "
        f"{_bounds(metric.relative):>22} {_bounds(metric.anytime):>22}  {metric.verdict}{judged}"
    )


def _latency_row(latency: LatencyResult) -> str:
    values = ["-" if one.value is None else milliseconds(one.value) for one in (latency.control, latency.treatment)]
    judged = "" if latency.is_judged else " (not counted)"
    return (
        f"{latency.key + ' latency':>14} {values[0]:>9} {values[1]:>9} {_change(latency.relative.value):>8} "
        f"{_bounds(latency.relative):>22} {'-':>22}  {latency.verdict}{judged}"
    )


def print_plan(plan: PowerPlan, simulated: SimulatedPower | None) -> None:
    """Print how many users it takes, the power with more or fewer, and what simulated traffic says."""
    for sentence in plan.sentences:
        typer.echo(sentence)
    if plan.n_control_arcsine is not None:
        typer.echo(f"By Cohen's h: {plan.n_control_arcsine:,} queries in the control.")
    typer.echo(f"\n{'users':>14} {'power':>8} {'detectable change':>18}")
    step = max(1, len(plan.curve_users) // 8)
    for users, power, change in list(zip(plan.curve_users, plan.curve_power, plan.curve_detectable, strict=True))[
        ::step
    ]:
        found = signed(float(change)) if change == change else "-"  # noqa: PLR0124 -- NaN: nothing is detectable
        typer.echo(f"{int(users):>14,} {percent(float(power)):>8} {found:>18}")
    if simulated is not None:
        typer.echo("")
        for sentence in simulated.change_sentences if plan.question == "superiority" else simulated.sentences:
            typer.echo(sentence)


def _share(value: float | None) -> str:
    return "-" if value is None else precise(value)


def _change(value: float | None) -> str:
    return "-" if value is None else signed(value)


def _bounds(estimate: Estimate) -> str:
    if estimate.low is None and estimate.high is None:
        return "-"
    return f"{_change(estimate.low)} to {_change(estimate.high)}"
