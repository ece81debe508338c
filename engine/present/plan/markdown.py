"""A plan as Markdown: what a page shows, with every text harmless to whatever renders it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.wording import plural
from engine.present.plan.wording import date_text, days_text, gib_text, money_text, when_text
from engine.present.report.markdown import escaped
from engine.present.report.wording import harmless, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.present.plan.results import Plan

_UNNAMED = "to be named"


def render_markdown(plan: Plan) -> str:
    """Return `plan` as Markdown with tables as GitHub writes them."""
    inputs = plan.inputs
    title = f"Migration plan: {inputs.from_dims:,} to {inputs.to_dims:,} dims"
    parts = [
        f"# {_said(title)}",
        f"**{_said(plan.strategy.headline)}.** {_said(plan.strategy.reason)}",
        *(f"> {_said(one)}" for one in plan.warnings),
        *_facts(plan),
        *_strategy(plan),
        *_timeline(plan),
        *_watched(plan),
        *_costs(plan),
        "## Assumptions",
        _points(plan.assumptions),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(plan: Plan) -> Iterator[str]:
    inputs = plan.inputs
    given = (
        f"{inputs.n_docs:,} documents, {inputs.queries_per_day:,} queries a day, p99 {inputs.p99_ms:g} ms, "
        f"CTR {100 * inputs.ctr:.4g} %, appetite for risk: {inputs.risk}."
    )
    yield _points([given, _ending(plan)])


def _ending(plan: Plan) -> str:
    if not plan.steps:
        return "Nothing is to be done with these dims now."
    ends = plan.ends_on
    return f"{days_text(plan.days)} in all" + ("." if ends is None else f", until {date_text(ends)}.")


def _strategy(plan: Plan) -> Iterator[str]:
    yield "## Strategy"
    rows = (
        (leg.title, "yes" if leg.goes else "no", leg.reason, "yes" if leg.is_reversible else "no")
        for leg in plan.strategy.legs
    )
    yield _table(("Leg", "Go", "Why", "Reversible"), rows)
    if plan.strategy.evidence:
        yield "### What the data say"
        yield _points(plan.strategy.evidence)
    if plan.strategy.missing:
        yield "### Not measured"
        yield _points(plan.strategy.missing)


def _timeline(plan: Plan) -> Iterator[str]:
    yield "## Timeline"
    if plan.steps:
        rows = (
            (step.title, when_text(step, plan.inputs.start), days_text(step.days), step.owner or _UNNAMED, step.detail)
            for step in plan.steps
        )
        yield _table(("Step", "When", "Length", "Owner", "What"), rows)
    else:
        yield "No steps."
    if plan.step("ab-test") is None:
        return
    ab = plan.ab_test
    yield "### A/B test"
    found = f"{plural(ab.n_users, 'user')} in both arms together; {days_text(ab.days)} in the timeline."
    yield _points([*ab.sentences, found, *(one.sentence for one in ab.alternatives)])


def _watched(plan: Plan) -> Iterator[str]:
    yield "## Metrics"
    rows = ((one.name, one.now, one.expected, one.allowed, one.where) for one in plan.metrics)
    yield _table(("Metric", "Now", "Expected", "Allowed", "Read in"), rows)
    yield "## Triggers"
    triggers = ((one.severity, one.condition, one.action) for one in plan.triggers)
    yield _table(("Severity", "When", "Then"), triggers)


def _costs(plan: Plan) -> Iterator[str]:
    currency = plan.cost.assumptions.currency
    yield "## Storage and cost"
    rows = (
        (
            one.title,
            gib_text(one.memory_gib),
            gib_text(one.disk_gib),
            money_text(one.cost_per_month, currency),
            one.note,
        )
        for one in plan.storage
    )
    yield _table(("Phase", "Memory", "Disk", "A month", "Note"), rows)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row(names), _row(["---"] * len(names)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell if cell == '---' else _said(cell) for cell in cells)} |"


def _points(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_said(one)}" for one in sentences)


def _said(text: str) -> str:
    return escaped(sentence(harmless(text)))
