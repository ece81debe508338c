"""Charts of sweeps side by side: the curve of every run, and the difference of each to the first."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.results import Quantity
    from engine.tradeoff.run_comparison import RunComparison, RunCurve, RunDifference

_LEGEND_PX = 220
_LONGEST_NAME = 32


def comparison_chart(found: RunComparison, *, quantity: Quantity, colours: Palette) -> go.Figure:
    """Draw recall@k or nDCG@k of every run against dims, a curve with its interval for each."""
    figure = parts.new_figure(colours, height=420, labels=_labels(found), legend_px=_LEGEND_PX)
    curves = found.curves_of(quantity)
    for curve, style in zip(curves, _styles(len(found.runs), colours), strict=False):
        name = parts.escaped(found.run(curve.run_id).label, longest=_LONGEST_NAME)
        parts.add_band(
            figure,
            curve.dims,
            [value.low for value in curve.values],
            [value.high for value in curve.values],
            colour=style.colour,
            colours=colours,
            name=name,
            opacity=0.7,
        )
        figure.add_scatter(
            x=list(curve.dims),
            y=[value.mean for value in curve.values],
            mode="lines+markers",
            name=name,
            line={"color": style.colour, "width": 2.5, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9, "color": style.colour},
            hovertext=_curve_hovers(found, curve),
            hoverinfo="text",
        )
    parts.dims_axis(figure, sorted({dim for curve in curves for dim in curve.dims}))
    drawn = parts.bounds_of(value for curve in curves for value in curve.values)
    parts.score_axis(figure, drawn, title=_name(quantity, found.k), top=None if quantity == "ndcg" else 1.0)
    return figure


def difference_chart(found: RunComparison, *, quantity: Quantity, colours: Palette) -> go.Figure:
    """Draw each run less the first at every shared dim with its interval; above 0 it is higher than the first."""
    figure = parts.new_figure(colours, height=340, labels=_labels(found), legend_px=_LEGEND_PX)
    differences = found.differences_of(quantity)
    for one, style in list(zip(found.runs, _styles(len(found.runs), colours), strict=True))[1:]:
        shown = [each for each in differences if each.run_id == one.run_id]
        if not shown:
            continue
        figure.add_scatter(
            x=[each.dim for each in shown],
            y=[each.difference.mean for each in shown],
            mode="markers",
            name=parts.escaped(one.label, longest=_LONGEST_NAME),
            marker={"symbol": style.symbol, "size": 10, "color": style.colour},
            error_y=parts.whiskers([each.difference for each in shown], colour=style.colour),
            hovertext=[_difference_hover(one.label, each, found.k) for each in shown],
            hoverinfo="text",
            showlegend=True,
        )
    figure.add_hline(y=0, line={"color": colours.text, "width": 1.5, "dash": "dash"}, name="no difference")
    dims = sorted({each.dim for each in differences})
    if dims:
        parts.dims_axis(figure, dims)
    first = parts.escaped(found.runs[0].label, longest=_LONGEST_NAME)
    drawn = [bound for bound in parts.bounds_of(each.difference for each in differences) if isfinite(bound)]
    room = 0.1 * (max([*drawn, 0.0]) - min([*drawn, 0.0]) or 1.0)
    figure.update_yaxes(
        range=[min([*drawn, 0.0]) - room, max([*drawn, 0.0]) + room],
        title_text=f"{_name(quantity, found.k)}, less<br>{first}",
        tickformat=".2~f",
    )
    return figure


def describe_comparison(found: RunComparison, *, quantity: Quantity) -> str:
    """Say in words what the curves show."""
    told = "; ".join(
        f"{found.run(curve.run_id).label}: "
        + ", ".join(
            f"{dim} {parts.written_interval(value)}" for dim, value in zip(curve.dims, curve.values, strict=True)
        )
        for curve in found.curves_of(quantity)
    )
    return f"{_name(quantity, found.k)} against dimensions with 95 % intervals. {told}."


def describe_difference(found: RunComparison, *, quantity: Quantity) -> str:
    """Say in words what the differences show."""
    told = "; ".join(
        f"{found.run(one.run_id).label} at {one.dim}: {_change(one)}, {one.verdict}"
        for one in found.differences_of(quantity)
    )
    return f"{_name(quantity, found.k)} less that of {found.runs[0].label}, with 95 % intervals. {told or 'None'}."


def _styles(n: int, colours: Palette) -> tuple[parts.SeriesStyle, ...]:
    """Return as many styles: beyond four the colours come again, with open markers."""
    usual = parts.series_styles(colours)
    again = tuple(replace(style, symbol=f"{style.symbol}-open") for style in usual)
    return (*usual, *again)[:n]


def _labels(found: RunComparison) -> list[str]:
    return list(dict.fromkeys(label for run in found.runs for label in run.dataset.labels))


def _name(quantity: Quantity, k: int) -> str:
    return f"Recall@{k}" if quantity == "recall" else f"nDCG@{k}"


def _change(one: RunDifference) -> str:
    gap = one.difference
    return f"{parts.signed(gap.mean)} ({parts.signed(gap.low)} to {parts.signed(gap.high)})"


def _curve_hovers(found: RunComparison, curve: RunCurve) -> list[str]:
    name = parts.escaped(found.run(curve.run_id).label)
    return [
        f"<b>{name}, {dim:,} dimensions</b><br>{_name(curve.quantity, found.k)} {parts.written_interval(value)}"
        for dim, value in zip(curve.dims, curve.values, strict=True)
    ]


def _difference_hover(label: str, one: RunDifference, k: int) -> str:
    how = "paired over" if one.is_paired else "unpaired, over at least"
    return (
        f"<b>{parts.escaped(label)}, {one.dim:,} dimensions</b><br>{_name(one.quantity, k)} {_change(one)}"
        f"<br>{how} {one.n_queries:,} queries"
    )
