"""The sections of a report that say what is to come: the migration plan, and the rollback runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import plan as charts
from engine.present.plan.gantt import gantt_bars
from engine.present.plan.wording import date_text, days_text, gib_text, money_text, when_text
from engine.present.report.blocks import Chart, Column, Heading, Points, Table, Words
from engine.present.report.wording import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.present.plan import KeptPlan, Plan
    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.present.runbook import Runbook

_UNNAMED = "to be named"
_STEPS_SHOWN = 30


def plan(sources: Sources) -> tuple[Block, ...]:
    """Tell the plan of the workspace: strategy with its reason, timeline, metrics, triggers, storage and cost."""
    kept = sources.plan
    return () if kept is None else tuple(_plan(kept, sources.run.id))


def runbook(sources: Sources) -> tuple[Block, ...]:
    """Tell the rollback runbook as it stands: how ready everybody is, what triggers it, and its steps."""
    found = sources.runbook
    return () if found is None else tuple(_runbook(found))


def _plan(kept: KeptPlan, run_id: str) -> Iterable[Block]:
    found = kept.plan
    inputs, strategy = found.inputs, found.strategy
    yield Heading(text=strategy.headline, labels=strategy.labels)
    yield Words(text=strategy.reason, tone="lead")
    for warning in found.warnings:
        yield Words(text=warning, tone="warning")
    if strategy.run_id not in {None, run_id}:
        yield Words(text=f"This plan rests on another sweep, run {strategy.run_id}.", tone="warning")
    ends = "" if found.ends_on is None else f", until {date_text(found.ends_on)}"
    yield Words(
        text=f"From {inputs.from_dims:,} to {inputs.to_dims:,} dimensions, {inputs.n_docs:,} documents, "
        f"{inputs.queries_per_day:,} queries a day; {days_text(found.days)} in all{ends}. Appetite for risk: "
        f"{inputs.risk}. Kept {moment(kept.updated_at)}, version {kept.version:,}.",
        tone="note",
    )
    if found.steps:
        bars = gantt_bars(found)
        yield Chart(
            title="Timeline",
            description=charts.describe_gantt(bars, start=inputs.start),
            draw=lambda colours: charts.gantt_chart(bars, start=inputs.start, colours=colours, labels=strategy.labels),
        )
        yield _steps(found)
    if strategy.evidence or strategy.missing:
        yield Points(items=(*strategy.evidence, *(f"Not measured: {one}" for one in strategy.missing)))
    yield _legs(found)
    yield from _watched(found)
    yield _storage(found)


def _steps(found: Plan) -> Table:
    steps = found.steps
    return Table(
        key="plan_steps",
        title="Steps of the plan",
        labels=found.strategy.labels,
        most_shown=_STEPS_SHOWN,
        columns=(
            Column(name="step", values=[one.title for one in steps]),
            Column(name="when", values=[when_text(one, found.inputs.start) for one in steps]),
            Column(name="length", values=[days_text(one.days) for one in steps]),
            Column(name="owner", values=[one.owner or _UNNAMED for one in steps], form="data"),
            Column(name="what", values=[one.detail for one in steps], form="words"),
            Column(name="from day", values=[one.start_day for one in steps], form="count", is_shown=False),
            Column(name="days", values=[one.days for one in steps], form="count", is_shown=False),
            Column(name="where the length is from", values=[one.basis for one in steps], is_shown=False),
        ),
    )


def _legs(found: Plan) -> Table:
    legs = found.strategy.legs
    return Table(
        key="plan_legs",
        title="How far the plan goes",
        labels=found.strategy.labels,
        columns=(
            Column(name="leg", values=[one.title for one in legs]),
            Column(name="goes", values=[one.goes for one in legs], form="yes_no"),
            Column(name="why", values=[one.reason for one in legs], form="words"),
            Column(name="reversible", values=[one.is_reversible for one in legs], form="yes_no"),
        ),
    )


def _watched(found: Plan) -> Iterable[Table]:
    metrics, triggers = found.metrics, found.triggers
    yield Table(
        key="plan_metrics",
        title="What is watched",
        columns=(
            Column(name="metric", values=[one.name for one in metrics]),
            Column(name="now", values=[one.now for one in metrics]),
            Column(name="expected", values=[one.expected for one in metrics], form="words"),
            Column(name="allowed", values=[one.allowed for one in metrics], form="words"),
            Column(name="read in", values=[one.where for one in metrics]),
        ),
    )
    yield Table(
        key="plan_triggers",
        title="What triggers an alert or a rollback",
        columns=(
            Column(name="severity", values=[one.severity for one in triggers]),
            Column(name="when", values=[one.condition for one in triggers], form="words"),
            Column(name="then", values=[one.action for one in triggers], form="words"),
        ),
    )


def _storage(found: Plan) -> Table:
    phases, currency = found.storage, found.cost.assumptions.currency
    return Table(
        key="plan_storage",
        title="Storage and cost, all replicas together",
        columns=(
            Column(name="phase", values=[one.title for one in phases]),
            Column(name="memory", values=[gib_text(one.memory_gib) for one in phases]),
            Column(name="disk", values=[gib_text(one.disk_gib) for one in phases]),
            Column(name="cost a month", values=[money_text(one.cost_per_month, currency) for one in phases]),
            Column(name="note", values=[one.note for one in phases], form="words"),
            Column(name="memory, GiB", values=[one.memory_gib for one in phases], form="number", is_shown=False),
            Column(name="disk, GiB", values=[one.disk_gib for one in phases], form="number", is_shown=False),
        ),
    )


def _runbook(found: Runbook) -> Iterable[Block]:
    about = f"Rollback of {found.rollout}" if found.rollout else "Rollback"
    yield Heading(text=about, labels=found.labels)
    yield Words(text=found.readiness, tone="lead" if found.is_ready else "warning")
    yield Points(items=found.situation)
    yield _checks(found)
    yield Table(
        key="runbook_triggers",
        title="Triggers",
        labels=found.labels,
        note=found.triggers_are,
        columns=(
            Column(name="trigger", values=[one.name for one in found.triggers]),
            Column(name="what it does", values=[one.sentence for one in found.triggers], form="words"),
        ),
    )
    steps = found.steps
    yield Table(
        key="runbook_steps",
        title="Steps of a rollback",
        labels=found.labels,
        note=f"As things stood {moment(found.made_at)}; the Runbook page fills them from the state of the moment.",
        columns=(
            Column(name="no.", values=[one.number for one in steps], form="count"),
            Column(name="step", values=[one.title for one in steps]),
            Column(name="what to do", values=[one.text for one in steps], form="words"),
            Column(name="commands", values=["; ".join(one.commands) for one in steps], form="words"),
            Column(name="state", values=[one.state for one in steps]),
        ),
    )
    if found.on_call:
        yield Table(
            key="runbook_people",
            title="Who to call",
            columns=(
                Column(name="for", values=[one.role for one in found.on_call], form="data"),
                Column(name="name", values=[one.name for one in found.on_call], form="data"),
            ),
        )


def _checks(found: Runbook) -> Table:
    checks = found.checks
    return Table(
        key="runbook_checks",
        title="Checklist",
        labels=found.labels,
        note=f"Evidence and ticks are stale after {found.days_until_stale:,} days.",
        columns=(
            Column(name="item", values=[one.spec.title for one in checks]),
            Column(name="state", values=[one.state for one in checks]),
            Column(name="who", values=[one.said_by or None for one in checks], form="data"),
            Column(name="when", values=[None if one.said_at is None else moment(one.said_at) for one in checks]),
            Column(name="why", values=[one.reason for one in checks], form="words"),
        ),
    )
