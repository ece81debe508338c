"""What `dimshift migrate` and `dimshift search` print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from engine.errors import printable
from engine.sizes import written_size

if TYPE_CHECKING:
    from engine.migration import MigrationPlan, MigrationReport
    from engine.migration.stores.protocol import SearchAnswer
    from engine.tradeoff.results import Interval

_SHOWN_QUERIES = 10


def as_json(result: MigrationPlan | MigrationReport) -> dict[str, Any]:
    """Return a plan or a report as plain JSON."""
    from engine.workspace import plain_json

    answer: Any = plain_json(result)
    return dict(answer)


def print_plan(plan: MigrationPlan) -> None:
    """Print what would be read, created and taken, and what stands in the way."""
    source = plan.source
    typer.echo(f"From  {printable(source.url)}")
    typer.echo(f"      {source.server}, {source.n_rows:,} rows × {source.dim} dims of {source.dtype}")
    typer.echo(f"To    {printable(plan.target_url)}")
    typer.echo(f"      {printable(plan.creates, longest=400)}")
    kind = "re-normalised" if plan.normalise else "not re-normalised"
    typer.echo(f"Keep  {plan.dims} dims of {plan.dtype}, {kind}; vectors {written_size(plan.source_bytes)} → "
               f"{written_size(plan.target_bytes)}; batches of {plan.batch_size:,} rows")  # fmt: skip
    if plan.seconds is not None:
        typer.echo(f"Time  about {plan.seconds:,.0f} s for the copy, judged by reading {plan.n_probed:,} rows")
    if plan.n_probed_held:
        typer.echo(f"      {plan.n_probed_held:,} of them cannot move and would be set aside")
    for warning in plan.warnings:
        typer.echo(f"note  {printable(warning, longest=400)}")
    for refusal in plan.refusals:
        typer.echo(f"NO    {printable(refusal, longest=400)}")


def print_report(report: MigrationReport) -> None:
    """Print the verdict first, then the checks, the search, catching up and the rows set aside."""
    validation = report.validation
    typer.echo(f"{validation.verdict.upper()}  {report.n_written:,} of {report.n_read:,} rows moved, "
               f"{report.rows_per_s:,.0f} rows/s")  # fmt: skip
    for check in validation.checks:
        typer.echo(f"  {'ok ' if check.passed else 'NO '} {check.name:9} {printable(check.sentence, longest=400)}")
    for row in validation.differing[:10]:
        by = "" if row.largest is None else f" by {row.largest:.2e}"
        typer.echo(f"      {printable(row.id)}: {row.what}{by}")
    if validation.search is not None:
        search = validation.search
        typer.echo(f"  recall@{search.k} of {search.n_queries} queries ({search.queries}): "
                   f"{_interval(search.index_recall)} of the target's exact answer, "
                   f"{_interval(search.neighbour_recall)} of the source's")  # fmt: skip
        if search.predicted is not None:
            typer.echo(f"  the sweep predicted {_interval(search.predicted)}")
    for one in report.passes:
        typer.echo(f"  caught up by {one.by}: {one.n_changed:,} changed, {one.n_missing:,} new, {one.n_deleted:,} gone")
    if report.equal_from is not None:
        typer.echo(f"  equal between {report.equal_from} and {report.equal_until}")
    if report.n_held:
        typer.echo(f"  {report.n_held:,} rows are in quarantine")
        for held in report.held[:10]:
            typer.echo(f"      {printable(held.id)}: {printable(held.reason)}")
    for warning in report.warnings:
        typer.echo(f"  note: {printable(warning, longest=400)}")


def print_answer(answer: SearchAnswer) -> None:
    """Print ids and scores of the first queries."""
    from engine.migration.ids import shown_id

    for query, (ids, scores) in enumerate(zip(answer.ids, answer.scores, strict=True)):
        if query == _SHOWN_QUERIES:
            typer.echo(f"… and {len(answer.ids) - query:,} more queries; --json FILE has them all")
            return
        found = "  ".join(f"{printable(shown_id(one))} {score:.4f}" for one, score in zip(ids, scores, strict=False))
        typer.echo(f"query {query}: {found or 'nothing found'}")


def answer_json(answer: SearchAnswer, *, url: str) -> dict[str, Any]:
    """Return a search answer as plain JSON; ids that are UUIDs become text."""
    queries = [
        {
            "results": [
                {"id": one if isinstance(one, int | str) else str(one), "score": float(score)}
                for one, score in zip(ids, scores, strict=False)
            ],
            "latency_ms": float(latency),
        }
        for ids, scores, latency in zip(answer.ids, answer.scores, answer.latency_ms, strict=True)
    ]
    return {"store": url, "queries": queries}


def _interval(one: Interval) -> str:
    return f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})"
