"""The slides that a sweep and its panels fill: what is kept, speed, bytes, nesting, growth, cut-offs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.present.report import measured as told
from engine.present.report.storage import storage as told_storage
from engine.present.report.wording import interval_words, written
from engine.present.slides.slide import charts_of, slide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.present.report.blocks import Chart
    from engine.present.report.sources import Sources
    from engine.present.slides.slide import Slide
    from engine.tradeoff.growth.forecast import Forecast
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.nesting.diagnosis import Diagnosis
    from engine.tradeoff.percentiles import Percentile
    from engine.tradeoff.queries.score_scale import ScoreScale
    from engine.tradeoff.results import Point, Quantity
    from engine.tradeoff.size.footprint import FootprintResult
    from engine.tradeoff.size.funnel import FunnelResult, FunnelRow

_ENOUGH_TIMES_K = 10
"""The rerank that is told is of the smallest shortlist of so many times k, as in the report."""


def kept(sources: Sources) -> Iterable[Slide]:
    """Say how much of the neighbours and of ranking quality is kept, the one that the verdict judges first."""
    summary = sources.summary
    charts = charts_of(told.curves, sources)
    judged = summary.criterion.quantity
    quantities: tuple[Quantity, ...] = (judged, "ndcg" if judged == "recall" else "recall")
    point = next((point for point in summary.points if point.dim == sources.dim), None)
    if point is None:
        full = summary.points[-1].dim
        headline = f"Only all {full:,} dimensions were swept: there is nothing smaller to compare"
        yield slide("kept", "What it keeps", headline, chart=charts[0], labels=summary.dataset.labels)
        return
    for quantity, chart in zip(quantities, charts, strict=False):  # without judgements there is one chart
        yield _kept(sources, point, quantity, chart)


def latency(sources: Sources) -> Iterable[Slide]:
    """Say how much faster one query is."""
    result: LatencyResult | None = sources.result("latency")
    if result is None or sources.dim is None or sources.dim not in result.dims:
        return
    path = result.paths[0]
    point, full = result.point(path, sources.dim), result.point(path, result.dims[-1])
    times = result.times_faster(point)
    if not _differ(point.p50_ms, full.p50_ms):
        headline = f"One query is not clearly faster at {point.dim:,} than at {full.dim:,} dimensions"
    elif times >= 1:
        headline = f"One query is {times:.2g} times as fast at {point.dim:,} as at {full.dim:,} dimensions"
    else:
        headline = f"One query takes {1 / times:.2g} times as long at {point.dim:,} as at {full.dim:,} dimensions"
    yield slide(
        "latency",
        "Latency",
        headline,
        below=f"Median of an exact search, a truncated copy: {_milliseconds(point.p50_ms)} instead of "
        f"{_milliseconds(full.p50_ms)}, {result.n_rows:,} documents.",
        chart=charts_of(told.latency, sources)[0],
        labels=result.dataset.labels,
    )


def storage(sources: Sources) -> Iterable[Slide]:
    """Say how many bytes are saved, and what a rerank of a shortlist wins back."""
    footprint: FootprintResult | None = sources.result("footprint")
    funnel: FunnelResult | None = sources.result("funnel")
    point = next((point for point in sources.summary.points if point.dim == sources.dim), None)
    charts = charts_of(told_storage, sources)
    if point is None or not charts:
        return
    if footprint is not None:
        full = sources.summary.points[-1]
        yield slide(
            "bytes",
            "Bytes",
            f"{point.dim:,} dimensions take {written(1 - point.bytes_per_vector / full.bytes_per_vector, 'share')} "
            "fewer bytes a vector",
            below=f"{point.bytes_per_vector:,} instead of {full.bytes_per_vector:,} bytes as float32, one of "
            f"{len(footprint.rows):,} ways to store a vector that were measured.",
            chart=charts[0],
            labels=footprint.dataset.labels,
        )
    row = None if funnel is None else _rerank(funnel, point.dim)
    if funnel is not None and row is not None:
        before = point.recall.get(funnel.k)
        start = "" if before is None else f" from {written(before.mean, 'share')}"
        yield slide(
            "rerank",
            "Bytes",
            f"Reranking a shortlist of {row.shortlist:,} lifts recall@{funnel.k}{start} to "
            f"{written(row.recall.mean, 'share')}",
            below=f"At {row.dim:,} of {funnel.dims[-1]:,} dimensions, {interval_words(row.recall, 'share')}; it reads "
            f"{row.fetched_bytes_per_query / 1024:,.0f} KiB of full vectors a query.",
            chart=charts[-1],
            labels=funnel.dataset.labels,
        )


def nesting(sources: Sources) -> Iterable[Slide]:
    """Say whether the first components are worth more than others."""
    result: Diagnosis | None = sources.result("nesting")
    if result is None:
        return
    headline = {
        "ordered": "The embeddings nest: the first dimensions are worth more than others",
        "spread evenly": "The embeddings do not nest: the first dimensions are worth no more than others",
    }.get(result.order, "Whether the embeddings nest is not settled by these queries")
    yield slide(
        "nesting",
        "Does it nest?",
        headline,
        below=result.sentences[0],
        chart=charts_of(told.nesting, sources)[0],
        labels=result.dataset.labels,
    )


def growth(sources: Sources) -> Iterable[Slide]:
    """Say what recall is expected to be in a larger corpus."""
    result: Forecast | None = sources.result("forecast")
    if result is None:
        return
    shown = next((one for one in result.dims if one.dim == sources.dim), result.dims[-1])
    yield slide(
        "growth",
        "As the corpus grows",
        f"With {result.target_size:,} documents, {shown.dim:,} dimensions are expected to find "
        f"{written(shown.at_target.mean, 'share')} of the same top {result.k}",
        below=f"{interval_words(shown.at_target, 'share')}; measured with {result.sizes[-1]:,} documents: "
        f"{written(shown.measured[-1].mean, 'share')}. A forecast, not a measurement.",
        chart=charts_of(told.growth, sources)[0],
        labels=("forecast", *result.dataset.labels),
    )


def cutoff(sources: Sources) -> Iterable[Slide]:
    """Say what a similarity cut-off becomes; only where the production one is known."""
    result: ScoreScale | None = sources.result("score-scale")
    if result is None or result.translation is None:
        return
    found = result.translation
    at = next((one for one in found.dims if one.dim == sources.dim), found.dims[0])
    yield slide(
        "cutoff",
        "Score scale",
        f"The cut-off of {found.cutoff:g} becomes {at.cutoff:.3f} at {at.dim:,} dimensions",
        below=f"95 % interval {at.low:.3f} to {at.high:.3f}. It flips {written(at.flipped.mean, 'share')} of the "
        f"results; left as it is, it would flip {written(at.kept_flipped.mean, 'share')}.",
        chart=charts_of(told.cutoff, sources)[0],
        labels=result.dataset.labels,
    )


def _kept(sources: Sources, point: Point, quantity: Quantity, chart: Chart) -> Slide:
    summary, k = sources.summary, sources.summary.criterion.k
    full, is_judged = summary.points[-1].dim, quantity == summary.criterion.quantity
    found = point.recall[k] if quantity == "recall" else point.retention[k]
    amount = written(found.mean, "share")
    headline = (
        f"{point.dim:,} of {full:,} dimensions find {amount} of the same top {k}"
        if quantity == "recall"
        else f"{point.dim:,} of {full:,} dimensions keep {amount} of ranking quality"
    )
    name = f"Recall@{k}" if quantity == "recall" else f"nDCG@{k} kept"
    target = f"; the target is {written(summary.criterion.target, 'share')}" if is_judged else ""
    return slide(
        "kept" if is_judged else "also-kept",
        "What it keeps",
        headline,
        below=f"{name} {amount}, {interval_words(found, 'share')}, {summary.dataset.n_queries:,} queries{target}.",
        chart=chart,
        labels=summary.dataset.labels,
        verdict=point.verdict if is_judged else None,
    )


def _differ(one: Percentile, other: Percentile) -> bool:
    """Tell whether the intervals of two percentiles lie apart; without intervals nothing is claimed."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def _milliseconds(found: Percentile) -> str:
    value = f"{written(found.value, 'ms')} ms"
    if found.low is None or found.high is None:
        return f"{value} (no interval)"
    return f"{value} ({written(found.low, 'ms')} to {written(found.high, 'ms')})"


def _rerank(result: FunnelResult, dim: int) -> FunnelRow | None:
    rows = [row for row in result.rows if row.dim == dim and row.dtype == result.dtypes[0]]
    longest = rows[-1] if rows else None
    return next((row for row in rows if row.shortlist >= _ENOUGH_TIMES_K * result.k), longest)
