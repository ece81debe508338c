"""The section of a report on bytes: every way to store a vector, and a shortlist with a rerank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import footprint as storage_charts
from engine.charts import funnel as funnel_charts
from engine.present.report.blocks import Chart, Column, Heading, Table, Words, intervals
from engine.present.report.sources import refusal
from engine.present.report.wording import interval_words
from engine.tradeoff.latency.frontier import pareto
from engine.tradeoff.size.comparison import compare_equal_bytes

if TYPE_CHECKING:
    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.tradeoff.size.footprint import FootprintResult
    from engine.tradeoff.size.funnel import FunnelResult


def storage(sources: Sources) -> tuple[Block, ...]:
    """Show what every way to store vectors takes and keeps, and what a rerank of a shortlist wins back."""
    result: FootprintResult | None = sources.result("footprint")
    funnel: FunnelResult | None = sources.result("funnel")
    stored = refusal(sources, "footprint") if result is None else _options(result)
    return (*stored, *(refusal(sources, "funnel") if funnel is None else _funnel(funnel, sources.dim)))


def _options(result: FootprintResult) -> tuple[Block, ...]:
    frontier = pareto([(row.memory_bytes_per_vector, row.recall.mean) for row in result.rows])
    told = storage_charts.describe_storage(result, frontier=frontier, quantity="recall", counted="memory")
    rows = result.rows
    table = Table(
        key="storage",
        title="Every way to store a vector",
        labels=result.dataset.labels,
        note=f"A rerank orders the best {result.shortlist:,} documents again by the full float32 vectors.",
        columns=(
            Column(name="stored as", values=[row.option.dtype for row in rows]),
            Column(name="dimensions", values=[row.option.dim for row in rows], form="count"),
            Column(name="rerank", values=[row.option.rerank for row in rows], form="yes_no"),
            intervals(f"recall@{result.k}", (row.recall for row in rows)),
            *([intervals(f"nDCG@{result.k}", (row.ndcg for row in rows))] if result.ndcg is not None else []),
            Column(name="bytes in memory", values=[row.memory_bytes_per_vector for row in rows], form="count"),
            Column(name="bytes on disk", values=[row.disk_bytes_per_vector for row in rows], form="count"),
            Column(name="on the frontier", values=[place in frontier for place in range(len(rows))], form="yes_no"),
        ),
    )
    chart = Chart(
        title=f"Recall@{result.k} against bytes in memory",
        description=told,
        draw=lambda colours: storage_charts.storage_chart(
            result, frontier=frontier, quantity="recall", counted="memory", colours=colours
        ),
    )
    return (chart, table, *_equal_bytes(result))


def _equal_bytes(result: FootprintResult) -> tuple[Block, ...]:
    found = compare_equal_bytes(result)
    if not found:
        return ()
    winners = {"a": "the smaller numbers", "b": "fewer dimensions", "undecided": "undecided"}
    return (
        Table(
            key="equal_bytes",
            title="Smaller numbers or fewer dimensions, at equal bytes",
            labels=result.dataset.labels,
            columns=(
                Column(name="bytes in memory", values=[one.memory_bytes_a for one in found], form="count"),
                Column(name="smaller numbers", values=[storage_charts.option_name(one.a) for one in found]),
                Column(name="fewer dimensions", values=[storage_charts.option_name(one.b) for one in found]),
                intervals(f"difference in recall@{result.k}", (one.difference for one in found), form="signed"),
                Column(name="what keeps more", values=[winners[one.winner] for one in found]),
            ),
        ),
    )


def _funnel(result: FunnelResult, dim: int | None) -> tuple[Block, ...]:
    rows = result.rows
    return (
        Heading(text="Shortlist and rerank"),
        *([] if dim is None else [Words(text=_funnel_words(result, dim))]),
        Chart(
            title=f"Recall@{result.k} after the rerank, against the shortlist",
            description=funnel_charts.describe_funnel(result, quantity="recall"),
            draw=lambda colours: funnel_charts.funnel_chart(result, quantity="recall", colours=colours),
        ),
        Table(
            key="funnel",
            title="Every funnel",
            labels=result.dataset.labels,
            columns=(
                Column(name="shortlist by", values=[row.dtype for row in rows], is_shown=False),
                Column(name="dimensions", values=[row.dim for row in rows], form="count"),
                Column(name="shortlist", values=[row.shortlist for row in rows], form="count"),
                intervals(f"recall@{result.k}", (row.recall for row in rows)),
                *([intervals(f"nDCG@{result.k}", (row.ndcg for row in rows))] if result.ndcg is not None else []),
                Column(
                    name="bytes fetched a query", values=[row.fetched_bytes_per_query for row in rows], form="count"
                ),
                Column(name="bytes in memory", values=[row.memory_bytes_per_vector for row in rows], form="count"),
            ),
        ),
    )


def _funnel_words(result: FunnelResult, dim: int) -> str:
    rows = [row for row in result.rows if row.dim == dim and row.dtype == result.dtypes[0]]
    short, long = rows[0], next((row for row in rows if row.shortlist >= 10 * result.k), rows[-1])
    return (
        f"At {dim:,} of {result.dims[-1]:,} dimensions a rerank of {long.shortlist:,} documents lifts "
        f"recall@{result.k} from {short.recall.mean:.3f} to {long.recall.mean:.3f} ({interval_words(long.recall)}), "
        f"and reads {long.fetched_bytes_per_query / 1024:,.0f} KiB of full vectors a query."
    )
