"""The sections of a report that say what to do and what it costs: the verdict, who loses, and money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import cost as cost_charts
from engine.charts import losses as loss_charts
from engine.present.report.blocks import Card, Cards, Chart, Column, Points, Statement, Table, Words
from engine.present.report.wording import interval_words, moment, written
from engine.tradeoff.queries.losses import changes_of_query
from engine.tradeoff.size.cost import CostAssumptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet
    from engine.present.report.blocks import Block
    from engine.present.report.sources import Moved, Sources
    from engine.tradeoff.queries.losses import Losses, QueryChanges
    from engine.tradeoff.results import Point, SweepSummary
    from engine.tradeoff.size.cost import CostEstimate
    from engine.tradeoff.size.options import KeptEstimate

_QUERIES_OPENED = 3
_WORST_SHOWN = 10

_ASSUMED = {
    "n_docs": "documents",
    "queries_per_day": "queries a day",
    "replicas": "replicas",
    "memory_price_per_gib_month": "memory, per GiB and month",
    "disk_price_per_gib_month": "disk, per GiB and month",
    "vcpu_price_per_hour": "vCPU, per hour",
    "utilisation": "share of the processors that queries may keep busy",
    "query_ms": "time of a query where none was measured, ms",
    "build_rows_per_s": "rows indexed a second where not measured",
}
_PARTS = {
    "memory, {} a month": "memory_cost_per_month",
    "disk, {} a month": "disk_cost_per_month",
    "processors, {} a month": "vcpu_cost_per_month",
    "together, {} a month": "cost_per_month",
    "memory, GiB": "memory_gib",
    "disk, GiB": "disk_gib",
    "vCPUs": "vcpus",
    "one query, ms": "query_ms",
    "build, hours": "build_hours",
}


def verdict(sources: Sources) -> tuple[Block, ...]:
    """Say what to keep and why, in numbers with intervals, and where everything else stands."""
    summary = sources.summary
    standing = tuple(_standing(sources))
    statement = Statement(
        verdict=summary.recommendation.verdict,
        title=recommended(summary),
        reason=summary.recommendation.reason,
        labels=summary.dataset.labels,
    )
    return (statement, Cards(items=tuple(_cards(sources))), *([Points(items=standing)] if standing else []))


def recommended(summary: SweepSummary) -> str:
    """Return the recommendation as a headline."""
    full, said = summary.points[-1].dim, summary.recommendation
    if said.dim is not None:
        return f"Keep {said.dim:,} of {full:,} dimensions"
    if said.verdict == "harmful":
        return f"Keep all {full:,} dimensions: every smaller number is harmful"
    return f"Keep all {full:,} dimensions for now: no smaller number is shown to be safe"


def losers(sources: Sources) -> tuple[Block, ...]:
    """Show how single queries change, the worst of them with the documents they lose, and groups of queries."""
    found = sources.losses
    if found is None or not found.n_queries:
        return ()
    labels = sources.summary.dataset.labels
    quantity = f"recall@{found.k}" if found.quantity == "recall" else f"nDCG@{found.k}"
    said = (
        f"From {found.full_dim:,} to {found.dim:,} dimensions {written(found.harmed.mean, 'share')} of "
        f"{found.n_queries:,} queries get worse in {quantity} ({interval_words(found.harmed, 'share')}) and "
        f"{written(found.improved.mean, 'share')} better ({interval_words(found.improved, 'share')}). The mean change "
        f"is {written(found.mean.mean, 'signed')} ({interval_words(found.mean, 'signed')}); one query in twenty "
        f"changes by {written(found.p5, 'signed')} or worse."
    )
    chart = Chart(
        title=f"Change of {quantity}, query by query",
        description=loss_charts.describe_changes(found),
        draw=lambda colours: loss_charts.change_chart(found, colours=colours, labels=labels),
    )
    worst = _worst(sources, found, quantity) if found.worst else ()
    return (Words(text=said, tone="lead"), chart, *_groups(sources), *worst)


def cost(sources: Sources) -> tuple[Block, ...]:
    """Say what a month costs now and then, under the assumptions that were kept with the newest estimate."""
    kept = sources.estimate
    if kept is None:
        return ()
    estimate, dim = kept.estimate, kept.estimate.then.serving.dim
    other = (
        f"This estimate is for {dim:,} dimensions, and the verdict is about {sources.dim or sources.sweep.dims[-1]:,}."
    )
    return (
        Words(text=_saving(estimate), tone="lead"),
        *([] if dim == sources.dim else [Words(text=other, tone="warning")]),
        Chart(
            title="Cost a month, now and then",
            description=cost_charts.describe_cost(estimate),
            draw=lambda colours: cost_charts.cost_chart(estimate, colours=colours),
        ),
        _costs(estimate, kept),
        _assumed(estimate),
        *(Words(text=note, tone="note") for note in estimate.notes),
        *_earlier(sources.estimates),
    )


def _cards(sources: Sources) -> list[Card]:
    summary, full = sources.summary, sources.summary.points[-1]
    point, k = _spotlight(sources.summary), sources.summary.criterion.k
    is_recommended = summary.recommendation.dim is not None
    at = "" if is_recommended else f" at {point.dim:,}"
    saved = 1 - point.bytes_per_vector / full.bytes_per_vector
    cards = [
        Card(name="Recommended", value=f"{point.dim:,}" if is_recommended else "none", below=f"of {full.dim:,}"),
        Card(
            name=f"Bytes saved{at}",
            value=written(saved, "share"),
            below=f"{point.bytes_per_vector:,} of {full.bytes_per_vector:,} a vector",
        ),
        Card(
            name=f"Recall@{k}{at}",
            value=written(point.recall[k].mean, "score"),
            below=interval_words(point.recall[k]),
        ),
    ]
    if point.retention:
        kept = point.retention[k]
        cards.append(
            Card(name=f"nDCG@{k} kept{at}", value=written(kept.mean, "share"), below=interval_words(kept, "share"))
        )
    return [*cards, *_faster(sources, point, at), *_saved(sources)]


def _faster(sources: Sources, point: Point, at: str) -> list[Card]:
    answer = sources.answers.get("latency")
    if answer is None or answer.result is None or point.dim == sources.sweep.dims[-1]:
        return []
    measured = answer.result.point(answer.result.paths[0], point.dim)
    full = answer.result.point(answer.result.paths[0], answer.result.dims[-1])
    times = f"{written(measured.p50_ms.value, 'ms')} instead of {written(full.p50_ms.value, 'ms')} ms, median"
    return [Card(name=f"Exact search, speed{at}", value=f"×{answer.result.times_faster(measured):.2g}", below=times)]


def _saved(sources: Sources) -> list[Card]:
    kept = sources.estimate
    if kept is None or kept.estimate.then.serving.dim != sources.summary.recommendation.dim:
        return []
    estimate = kept.estimate
    return [
        Card(
            name="Saved a month" if estimate.saving_per_month >= 0 else "More a month",
            value=f"{abs(estimate.saving_per_month):,.0f} {estimate.assumptions.currency}",
            below=f"{written(abs(estimate.saving_share), 'share')}: {estimate.then.serving.label} instead of "
            f"{estimate.now.serving.label}, at assumed prices",
        )
    ]


def _spotlight(summary: SweepSummary) -> Point:
    chosen = summary.recommendation.dim
    if chosen is not None:
        return next(point for point in summary.points if point.dim == chosen)
    return summary.points[max(0, len(summary.points) - 2)]


def _standing(sources: Sources) -> list[str]:
    """Say in a sentence each where the A/B tests, rollouts and migrations stand."""
    said = [
        f"A/B test {one.analysis.experiment_id}{_aside(one.analysis.labels)}: {one.analysis.headline}"
        for one in sources.experiments
    ]
    said += [one.status.sentence for one in sources.ramps]
    return [*said, *(migrated(one) for one in sources.migrations)]


def migrated(one: Moved) -> str:
    """Say in a sentence how a migration ended."""
    report, validation = one.report, one.report.validation
    held = f", {report.n_held:,} set aside" if report.n_held else ""
    return (
        f"Migration of {report.source.table or report.source.url} to {report.dims:,} dimensions: {validation.verdict}; "
        f"{report.n_written:,} of {report.n_read:,} rows moved{held}."
    )


def _aside(labels: Sequence[str]) -> str:
    return f" ({', '.join(labels)})" if labels else ""


def _groups(sources: Sources) -> tuple[Block, ...]:
    found = sources.segments
    if found is None or not found.segments:
        return ()
    labels = sources.summary.dataset.labels
    by = "the set's own groups" if found.segment_source == "labels" else "clusters of query vectors (k-means)"
    return (
        Chart(
            title=f"Mean change by {by}",
            description=loss_charts.describe_segments(found),
            draw=lambda colours: loss_charts.segments_chart(found, colours=colours, labels=labels),
        ),
        Table(
            key="segments",
            title="Groups of queries",
            labels=labels,
            note="A group of fewer than 30 queries has no interval and is never called worse.",
            columns=(
                Column(name="group", values=[one.name for one in found.segments], form="data"),
                Column(name="queries", values=[one.n_queries for one in found.segments], form="count"),
                Column(
                    name="mean change",
                    values=[one.mean for one in found.segments],
                    low=[None if one.change is None else one.change.low for one in found.segments],
                    high=[None if one.change is None else one.change.high for one in found.segments],
                    form="signed",
                ),
                Column(
                    name="clearly worse than the others",
                    values=[one.clearly_worse for one in found.segments],
                    form="yes_no",
                ),
            ),
        ),
    )


def _worst(sources: Sources, found: Losses, quantity: str) -> tuple[Block, ...]:
    chosen, worst = sources.chosen, found.worst
    texts = None if chosen is None else chosen.query_texts
    columns = [Column(name="query", values=[one.query_id for one in worst], form="data")]
    if texts is not None:
        columns.append(Column(name="text", values=[texts[one.query_row] for one in worst], form="data"))
    columns += [
        Column(name=f"{quantity} at {found.full_dim:,}", values=[one.at_full for one in worst], form="score"),
        Column(name=f"at {found.dim:,}", values=[one.at_dim for one in worst], form="score"),
        Column(name="change", values=[one.change for one in worst], form="signed"),
    ]
    labels = sources.summary.dataset.labels
    return (
        Table(
            key="worst_queries",
            title="Worst queries",
            columns=tuple(columns),
            labels=labels,
            most_shown=_WORST_SHOWN,
        ),
        *_lost_documents(sources, found),
    )


def _lost_documents(sources: Sources, found: Losses) -> tuple[Block, ...]:
    """List what the worst queries find at the full dimension and no longer at the smaller one."""
    opened = [
        changes_of_query(sources.sweep, one.query_row, found.dim, k=found.k) for one in found.worst[:_QUERIES_OPENED]
    ]
    rows = [(changes, one) for changes in opened for one in changes.lost]
    if not rows:
        return ()
    chosen = sources.chosen
    columns = [
        Column(name="query", values=[changes.query_id for changes, _ in rows], form="data"),
        Column(name="lost document", values=[_document(chosen, one.doc_row) for _, one in rows], form="data"),
    ]
    if chosen is not None and chosen.corpus_texts is not None:
        texts = chosen.corpus_texts
        columns.append(Column(name="text", values=[texts[one.doc_row] for _, one in rows], form="data"))
    columns += [
        Column(name=f"rank at {found.full_dim:,}", values=[one.rank for _, one in rows], form="count"),
        Column(name=f"rank at {found.dim:,}", values=[one.other_rank for _, one in rows], form="count"),
    ]
    return (
        Table(
            key="lost_documents",
            title=f"What the worst {len(opened)} queries lose from their top {found.k}",
            labels=sources.summary.dataset.labels,
            note=_beyond(opened),
            columns=tuple(columns),
        ),
    )


def _beyond(opened: Sequence[QueryChanges]) -> str:
    return f"Without a rank: beyond the first {opened[0].depth:,}, which is as far as the sweep kept them."


def _document(chosen: EmbeddingSet | None, row: int) -> str:
    return f"row {row:,}" if chosen is None else chosen.doc_id(row)


def _saving(estimate: CostEstimate) -> str:
    saved, currency = estimate.saving_per_month, estimate.assumptions.currency
    word = "saves" if saved >= 0 else "costs"
    more = "" if saved >= 0 else " more"
    return (
        f"Serving {estimate.then.serving.label} instead of {estimate.now.serving.label} {word} "
        f"{abs(saved):,.0f} {currency} a month{more}, {written(abs(estimate.saving_share), 'share')} of "
        f"{estimate.now.cost_per_month:,.0f}, for {estimate.assumptions.n_docs:,} documents and "
        f"{estimate.assumptions.queries_per_day:,.0f} queries a day."
    )


def _costs(estimate: CostEstimate, kept: KeptEstimate) -> Table:
    names = [name.format(estimate.assumptions.currency) for name in _PARTS]
    now, then = ([getattr(side, field) for field in _PARTS.values()] for side in (estimate.now, estimate.then))
    return Table(
        key="cost",
        title="Cost, all replicas together",
        note=f"Estimate kept {moment(kept.created_at)}, run {kept.run_id}.",
        columns=(
            Column(name="of", values=names, form="data"),
            Column(name="now", values=now, form="number"),
            Column(name="then", values=then, form="number"),
            Column(name="saving", values=[one - other for one, other in zip(now, then, strict=True)], form="number"),
        ),
    )


def _assumed(estimate: CostEstimate) -> Table:
    given, usual = estimate.assumptions, CostAssumptions()
    return Table(
        key="cost_assumptions",
        title="Assumptions of the estimate",
        note=f"Prices are in {given.currency}.",
        columns=(
            Column(name="what", values=list(_ASSUMED.values())),
            Column(name="assumed", values=[getattr(given, name) for name in _ASSUMED], form="count"),
            Column(
                name="left as the app proposes it",
                values=[getattr(given, name) == getattr(usual, name) for name in _ASSUMED],
                form="yes_no",
            ),
        ),
    )


def _earlier(estimates: Sequence[KeptEstimate]) -> tuple[Block, ...]:
    if len(estimates) == 1:
        return ()
    found = [one.estimate for one in estimates]
    return (
        Table(
            key="cost_estimates",
            title="Every estimate that was kept",
            columns=(
                Column(name="kept", values=[moment(one.created_at) for one in estimates]),
                Column(name="now", values=[one.now.serving.label for one in found], form="data"),
                Column(name="then", values=[one.then.serving.label for one in found], form="data"),
                Column(name="documents", values=[one.assumptions.n_docs for one in found], form="count"),
                Column(name="saving a month", values=[one.saving_per_month for one in found], form="number"),
                Column(name="currency", values=[one.assumptions.currency for one in found], form="data"),
            ),
        ),
    )
