"""Charts of a sweep: what is kept at every dimension, with its interval, its target and its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log10
from typing import TYPE_CHECKING

from engine.charts.parts import add_band, add_labels, bounds_of, dims_axis, new_figure, reference_line, score_axis
from engine.charts.theme import FONT, VERDICTS, Palette

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.results import Interval, Point, SweepSummary, Verdict

_HEIGHT_PX = 420
_COMPANION_HEIGHT_PX = 300


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """One quantity over the dims; a share of the full dimension is written in percent, a score as 0 to 1."""

    name: str
    is_share: bool
    points: tuple[Point, ...]
    intervals: tuple[Interval, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        return tuple(point.dim for point in self.points)

    def written(self, value: float) -> str:
        if not isfinite(value):
            return "not measured"
        return f"{100 * value:.1f} %" if self.is_share else f"{value:.3f}"

    def written_interval(self, interval: Interval) -> str:
        return f"{self.written(interval.low)} to {self.written(interval.high)}"


def target_chart(summary: SweepSummary, *, colours: Palette) -> go.Figure:
    """Draw what the criterion judges (recall@k or nDCG retention@k) with band, target line and verdict markers."""
    curve = _judged_curve(summary)
    figure = _frame(curve, colours=colours, height=_HEIGHT_PX, target=summary.criterion.target)
    _add_band(figure, curve, colours=colours)
    _add_target(figure, summary, colours=colours)
    for verdict in VERDICTS:
        _add_markers(figure, curve, verdict, colours=colours)
    _add_recommendation(figure, summary, colours=colours)
    add_labels(figure, summary.dataset.labels, colours=colours)
    return figure


def companion_chart(summary: SweepSummary, *, colours: Palette) -> go.Figure | None:
    """Draw the quantity that is not judged: nDCG@k beside a recall target, recall@k beside an nDCG target.

    None without relevance judgements.
    """
    curve = _companion_curve(summary)
    if curve is None:
        return None
    figure = _frame(curve, colours=colours, height=_COMPANION_HEIGHT_PX)
    _add_band(figure, curve, colours=colours)
    figure.add_scatter(
        x=curve.dims,
        y=[interval.mean for interval in curve.intervals],
        mode="markers",
        name=curve.name,
        marker={"size": 8, "color": colours.accent},
        hovertext=[_hover(curve, place) for place in range(len(curve.points))],
        hoverinfo="text",
        showlegend=False,
    )
    add_labels(figure, summary.dataset.labels, colours=colours)
    return figure


def describe(summary: SweepSummary) -> str:
    """Say in words what the target chart shows, for people who do not see it."""
    curve = _judged_curve(summary)
    points = "; ".join(
        f"{point.dim}: {curve.written(interval.mean)} ({curve.written_interval(interval)}), {point.verdict}"
        for point, interval in zip(curve.points, curve.intervals, strict=True)
    )
    return (
        f"{curve.name} against dimensions with 95 % intervals, target {_target(summary)}. {points}. "
        f"{summary.recommendation.reason}"
    )


def describe_companion(summary: SweepSummary) -> str | None:
    """Say in words what the companion chart shows; None where there is none."""
    curve = _companion_curve(summary)
    if curve is None:
        return None
    points = "; ".join(
        f"{dim}: {curve.written(interval.mean)} ({curve.written_interval(interval)})"
        for dim, interval in zip(curve.dims, curve.intervals, strict=True)
    )
    return f"{curve.name} against dimensions with 95 % intervals. {points}."


def _judged_curve(summary: SweepSummary) -> _Curve:
    criterion = summary.criterion
    is_share = criterion.quantity == "ndcg"
    return _Curve(
        name=f"nDCG@{criterion.k} kept" if is_share else f"Recall@{criterion.k}",
        is_share=is_share,
        points=summary.points,
        intervals=tuple(summary.judged(point) for point in summary.points),
    )


def _companion_curve(summary: SweepSummary) -> _Curve | None:
    k = summary.criterion.k
    by_recall = summary.criterion.quantity == "recall"
    values = [(point.ndcg if by_recall else point.recall).get(k) for point in summary.points]
    intervals = tuple(interval for interval in values if interval is not None)
    if len(intervals) < len(values):
        return None
    return _Curve(
        name=f"nDCG@{k}" if by_recall else f"Recall@{k}", is_share=False, points=summary.points, intervals=intervals
    )


def _target(summary: SweepSummary) -> str:
    target = summary.criterion.target
    return f"{100 * target:g} %" if summary.criterion.quantity == "ndcg" else f"{target:g}"


def _frame(curve: _Curve, *, colours: Palette, height: int, target: float | None = None) -> go.Figure:
    """Start a figure with its axes: log2 dims across, the quantity up, from zero unless that wastes the height."""
    figure = new_figure(colours, height=height)
    dims_axis(figure, curve.dims)
    drawn = bounds_of(curve.intervals)
    score_axis(figure, drawn if target is None else [*drawn, target], title=curve.name, is_share=curve.is_share)
    return figure


def _add_band(figure: go.Figure, curve: _Curve, *, colours: Palette) -> None:
    add_band(
        figure,
        curve.dims,
        [interval.low for interval in curve.intervals],
        [interval.high for interval in curve.intervals],
        colour=colours.accent,
        colours=colours,
        name="interval",
        legend="95 % interval",
    )
    figure.add_scatter(
        x=curve.dims,
        y=[interval.mean for interval in curve.intervals],
        mode="lines",
        name="mean",
        line={"color": colours.accent, "width": 2.5},
        hoverinfo="skip",
        showlegend=False,
    )


def _add_target(figure: go.Figure, summary: SweepSummary, *, colours: Palette) -> None:
    text = f"target {_target(summary)}"
    reference_line(figure, summary.criterion.target, text, name="target", colours=colours, above=False, size=13)


def _add_markers(figure: go.Figure, curve: _Curve, verdict: Verdict, *, colours: Palette) -> None:
    places = [place for place, point in enumerate(curve.points) if point.verdict == verdict]
    if not places:
        return
    style = VERDICTS[verdict]
    figure.add_scatter(
        x=[curve.dims[place] for place in places],
        y=[curve.intervals[place].mean for place in places],
        mode="markers",
        name=verdict,
        marker={
            "symbol": style.marker,
            "size": 12,
            "color": colours.verdict(verdict),
            "line": {"width": 1.5, "color": colours.background},
        },
        hovertext=[_hover(curve, place, f"{style.symbol} {verdict}: {style.meaning}") for place in places],
        hoverinfo="text",
    )


def _hover(curve: _Curve, place: int, *more: str) -> str:
    point, interval = curve.points[place], curve.intervals[place]
    lines = (
        f"<b>{point.dim:,} dimensions</b>",
        f"{curve.name} {curve.written(interval.mean)}",
        f"95 % interval {curve.written_interval(interval)}",
        f"{point.bytes_per_vector:,} bytes a vector",
        *more,
    )
    return "<br>".join(lines)


def _add_recommendation(figure: go.Figure, summary: SweepSummary, *, colours: Palette) -> None:
    point = next((point for point in summary.points if point.dim == summary.recommendation.dim), None)
    if point is None:
        return
    mean = summary.judged(point).mean
    figure.add_scatter(
        x=[point.dim],
        y=[mean],
        mode="markers",
        name="recommended",
        marker={"symbol": "circle-open", "size": 24, "color": colours.safe, "line": {"width": 2.5}},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_annotation(
        text=f"<b>keep {point.dim:,}</b>",
        x=log10(point.dim),  # annotations on a log axis are placed by the exponent
        y=mean,
        ax=0,
        ay=52,
        xanchor="right" if point is summary.points[-1] else "center",
        yanchor="top",
        arrowcolor=colours.safe,
        arrowwidth=1.5,
        arrowhead=0,
        standoff=14,
        font={"size": 14, "color": colours.text, "family": FONT},
    )
