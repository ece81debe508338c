"""The sections of a report that a sweep and its panels fill: curves, latency, nesting, growth, cut-offs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import forecast as forecast_charts
from engine.charts import latency as latency_charts
from engine.charts import nesting as nesting_charts
from engine.charts import score_scale as score_charts
from engine.charts import sweep as sweep_charts
from engine.present.report.blocks import Chart, Column, Points, Table, Words, intervals, percentiles
from engine.present.report.sources import refusal
from engine.present.report.wording import interval_words, written
from engine.tradeoff.queries.score_scale import translate_cutoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.tradeoff.growth.forecast import Forecast
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.nesting.diagnosis import Diagnosis
    from engine.tradeoff.queries.score_scale import CutoffTranslation, ScoreScale
    from engine.tradeoff.results import Point, SweepSummary

_USUAL_CUTOFF = 0.75
_DIMS_DRAWN = 4


def curves(sources: Sources) -> tuple[Block, ...]:
    """Show what every dimension keeps: the judged curve, the other one, and a table of everything."""
    summary = sources.summary
    blocks: list[Block] = [
        Chart(
            title=_judged_name(summary),
            description=sweep_charts.describe(summary),
            draw=lambda colours: sweep_charts.target_chart(summary, colours=colours),
        )
    ]
    told = sweep_charts.describe_companion(summary)
    if told is not None:
        blocks.append(
            Chart(
                title="Ranking quality" if summary.criterion.quantity == "recall" else "Neighbours found",
                description=told,
                draw=lambda colours: _companion(summary, colours),
            )
        )
    return (*blocks, _dimensions(summary))


def latency(sources: Sources) -> tuple[Block, ...]:
    """Show how long one query takes at every dimension, and what recall that buys."""
    result: LatencyResult | None = sources.result("latency")
    if result is None:
        return refusal(sources, "latency")
    most = max((reached.n_threads for point in result.points for reached in point.throughput), default=0)
    blocks: list[Block] = [
        Words(text=_speed(result, sources.dim or result.dims[-1]), tone="lead"),
        Chart(
            title="Median time of one query",
            description=latency_charts.describe_latency(result, percentile="p50"),
            draw=lambda colours: latency_charts.latency_chart(result, percentile="p50", colours=colours),
        ),
        Chart(
            title="Recall against time",
            description=latency_charts.describe_recall_latency(result),
            draw=lambda colours: latency_charts.recall_latency_chart(result, colours=colours),
        ),
    ]
    if most:
        blocks.append(
            Chart(
                title=f"Throughput with {most} thread{'' if most == 1 else 's'}",
                description=latency_charts.describe_throughput(result, n_threads=most),
                draw=lambda colours: latency_charts.throughput_chart(result, n_threads=most, colours=colours),
            )
        )
    note = f"{result.n_timed_queries:,} queries were timed one by one against {result.n_rows:,} documents."
    return (*blocks, _configurations(result, note))


def nesting(sources: Sources) -> tuple[Block, ...]:
    """Say whether the first components are worth more than others, and whether a projection beats them."""
    result: Diagnosis | None = sources.result("nesting")
    if result is None:
        return refusal(sources, "nesting")
    return (
        Points(items=result.sentences),
        Chart(
            title=f"Recall@{result.k} of four choices of components",
            description=nesting_charts.describe_nesting(result),
            draw=lambda colours: nesting_charts.nesting_chart(result, colours=colours),
        ),
        Table(
            key="nesting",
            title="Gains at equal size",
            labels=result.dataset.labels,
            columns=(
                Column(name="dimensions", values=[one.dim for one in result.points], form="count"),
                intervals("prefix", (one.prefix for one in result.points)),
                intervals("random subsets", (one.random for one in result.points)),
                intervals("tail", (one.tail for one in result.points), is_shown=False),
                intervals("PCA", (one.projection for one in result.points)),
                intervals("prefix over random", (one.order_gain for one in result.points), form="signed"),
                intervals("PCA over prefix", (one.projection_gain for one in result.points), form="signed"),
            ),
        ),
    )


def growth(sources: Sources) -> tuple[Block, ...]:
    """Say whether recall holds as the corpus grows."""
    result: Forecast | None = sources.result("forecast")
    if result is None:
        return refusal(sources, "forecast")
    drawn = [one.dim for one in result.dims][-_DIMS_DRAWN:]
    shown = next((one for one in result.dims if one.dim == sources.dim), result.dims[-1])
    expected = (
        f"At {shown.dim:,} of {result.dataset.dim:,} dimensions recall@{result.k} is {shown.measured[-1].mean:.3f} "
        f"with {result.sizes[-1]:,} documents; with {result.target_size:,} the trend expects "
        f"{shown.at_target.mean:.3f} ({interval_words(shown.at_target)}). This is a forecast, not a measurement."
    )
    return (
        Words(text=expected, tone="lead"),
        Words(text=result.sentence),
        Chart(
            title=f"Recall@{result.k} against documents",
            description=forecast_charts.describe_forecast(result, dims=drawn),
            draw=lambda colours: forecast_charts.forecast_chart(result, dims=drawn, colours=colours),
        ),
        Table(
            key="growth",
            title="Measured and forecast",
            labels=result.dataset.labels,
            columns=(
                Column(name="dimensions", values=[one.dim for one in result.dims], form="count"),
                intervals(f"measured at {result.sizes[-1]:,}", (one.measured[-1] for one in result.dims)),
                intervals(f"forecast at {result.target_size:,}", (one.at_target for one in result.dims)),
                Column(
                    name="held-back sizes inside",
                    values=[sum(held.inside for held in one.held_back) for one in result.dims],
                    form="count",
                ),
                Column(name="held-back sizes", values=[len(one.held_back) for one in result.dims], form="count"),
            ),
        ),
    )


def cutoff(sources: Sources) -> tuple[Block, ...]:
    """Show how scores move with the dimension, and what a similarity cut-off becomes, at an example."""
    result: ScoreScale | None = sources.result("score-scale")
    if result is None:
        return refusal(sources, "score-scale")
    found = result.translation or translate_cutoff(result, _example_cutoff(result))
    which = "an example" if result.translation is None else "the production"
    return (
        Words(text=_cutoff_words(result, found, sources.dim), tone="lead"),
        Chart(
            title=f"Scores of the top {result.k} by dimension, with {which} cut-off",
            description=score_charts.describe_scores(result, found, depth="topk"),
            draw=lambda colours: score_charts.score_chart(result, found, depth="topk", colours=colours),
        ),
        Table(
            key="cutoff",
            title=f"What {which} cut-off of {found.cutoff:g} becomes",
            labels=result.dataset.labels,
            columns=(
                Column(name="dimensions", values=[at.dim for at in found.dims], form="count"),
                Column(
                    name="cut-off that accepts as many",
                    values=[at.cutoff for at in found.dims],
                    low=[at.low for at in found.dims],
                    high=[at.high for at in found.dims],
                    form="score",
                ),
                intervals("flipped with it", (at.flipped for at in found.dims), form="share"),
                intervals("flipped if kept as it was", (at.kept_flipped for at in found.dims), form="share"),
            ),
        ),
    )


def _judged_name(summary: SweepSummary) -> str:
    k = summary.criterion.k
    return f"Recall@{k}" if summary.criterion.quantity == "recall" else f"Share of nDCG@{k} kept"


def _companion(summary: SweepSummary, colours: Palette) -> go.Figure:
    figure = sweep_charts.companion_chart(summary, colours=colours)
    assert figure is not None  # noqa: S101  # there is one wherever it is described
    return figure


def _dimensions(summary: SweepSummary) -> Table:
    points, judged = summary.points, summary.criterion.k
    columns = [
        Column(name="dimensions", values=[point.dim for point in points], form="count"),
        Column(name="verdict", values=[point.verdict for point in points], form="verdict"),
    ]
    for k in points[-1].recall:
        columns.append(intervals(f"recall@{k}", (point.recall[k] for point in points), is_shown=k == judged))
        if points[-1].ndcg:
            columns += _judged_columns(points, k, is_shown=k == judged)
    columns += [
        intervals("top-1 agreement", (point.top1_agreement for point in points), is_shown=False),
        intervals("rank overlap", (point.rank_overlap for point in points), is_shown=False),
        Column(name="bytes a vector", values=[point.bytes_per_vector for point in points], form="count"),
        Column(name="Holm p", values=[point.holm_p for point in points], is_shown=False, form="number"),
    ]
    if any(point.further_queries is not None for point in points):
        needed = [point.further_queries for point in points]
        columns.append(Column(name="further queries to settle it", values=needed, form="count"))
    return Table(key="dimensions", title="Every dimension", columns=tuple(columns), labels=summary.dataset.labels)


def _judged_columns(points: Sequence[Point], k: int, *, is_shown: bool) -> list[Column]:
    return [
        intervals(f"nDCG@{k}", (point.ndcg[k] for point in points), is_shown=is_shown),
        intervals(f"nDCG@{k} kept", (point.retention[k] for point in points), form="share", is_shown=is_shown),
        intervals(f"judged recall@{k}", (point.judged_recall[k] for point in points), is_shown=False),
    ]


def _speed(result: LatencyResult, dim: int) -> str:
    told = []
    for path in result.paths:
        point = result.point(path, dim)
        median = written(point.p50_ms.value, "ms")
        told.append(f"{latency_charts.PATH_NAMES[path]} {median} ms (×{result.times_faster(point):.2g})")
    return (
        f"At {dim:,} of {result.dims[-1]:,} dimensions one query takes (median; in brackets how many times faster than "
        f"at {result.dims[-1]:,}): {', '.join(told)}."
    )


def _configurations(result: LatencyResult, note: str) -> Table:
    points, best = result.points, set(result.frontier())
    threads = sorted({reached.n_threads for point in points for reached in point.throughput})
    speeds = [{one.n_threads: one.queries_per_s for one in point.throughput} for point in points]
    return Table(
        key="latency",
        title="Every configuration",
        labels=result.dataset.labels,
        note=note,
        columns=(
            Column(name="served from", values=[latency_charts.PATH_NAMES[point.path] for point in points]),
            Column(name="dimensions", values=[point.dim for point in points], form="count"),
            percentiles("p50, ms", (point.p50_ms for point in points)),
            percentiles("p95, ms", (point.p95_ms for point in points)),
            percentiles("p99, ms", (point.p99_ms for point in points)),
            intervals(f"recall@{result.k}", (point.recall for point in points)),
            *(
                Column(
                    name=f"queries/s, {n} thread{'' if n == 1 else 's'}",
                    values=[one.get(n) for one in speeds],
                    form="count",
                    is_shown=False,
                )
                for n in threads
            ),
            Column(name="on the frontier", values=[place in best for place in range(len(points))], form="yes_no"),
            Column(name="bytes a vector", values=[round(point.bytes_per_vector) for point in points], form="count"),
            Column(name="build, s", values=[point.build_s for point in points], form="number", is_shown=False),
        ),
    )


def _example_cutoff(result: ScoreScale) -> float:
    """Return the usual cut-off where it cuts anything off at the full dimension, else the median score there."""
    spread = result.topk[-1].percentiles
    return _USUAL_CUTOFF if spread[5] < _USUAL_CUTOFF < spread[95] else round(spread[50], 2)


def _cutoff_words(result: ScoreScale, found: CutoffTranslation, dim: int | None) -> str:
    at = next((one for one in found.dims if one.dim == dim), found.dims[0])
    start = "A" if result.translation is not None else "An example, since no cut-off of yours is known: a"
    return (
        f"{start} cut-off of {found.cutoff:g} accepts {written(found.accepted.mean, 'share')} of the top {result.k} "
        f"at the full dimension. At {at.dim:,} dimensions the one that accepts as many is {at.cutoff:.3f} "
        f"({at.low:.3f} to {at.high:.3f}); it flips {written(at.flipped.mean, 'share')} of the results, the old one "
        f"would flip {written(at.kept_flipped.mean, 'share')}."
    )
