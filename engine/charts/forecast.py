"""Chart of the forecast: recall at growing corpus sizes, its trend up to a target, and how that was tested."""

from __future__ import annotations

from math import log10
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.theme import FONT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.growth.forecast import DimForecast, Forecast, HeldBackSize


def forecast_chart(result: Forecast, *, dims: Sequence[int], colours: Palette) -> go.Figure:
    """Draw recall@k of `dims` against documents: measured with intervals, the trend to the target with its band.

    Open diamonds are what the smaller sizes alone predicted for the sizes held back; the measured value stands beside.
    """
    figure = parts.new_figure(colours, height=460, labels=result.dataset.labels, legend_px=150)
    shades = dict(zip((one.dim for one in result.dims), parts.ramp(colours, len(result.dims)), strict=True))
    shown = [one for one in result.dims if one.dim in dims]
    for one in shown:
        _add_dim(figure, result, one, shades[one.dim], colours=colours)
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="held back: predicted",
        marker={"symbol": "diamond-open", "size": 11, "color": colours.text},
        legendrank=2000,
    )
    _add_target(figure, result, colours=colours)
    sizes = [float(size) for size in (*result.sizes, result.target_size)]
    ticks = parts.log_ticks(sizes, steps=(1,))
    figure.update_xaxes(
        type="log",
        range=parts.log_range(sizes),
        tickvals=ticks,
        ticktext=[_amount(tick) for tick in ticks],
        title_text="Documents in the corpus (log scale)",
    )
    bounds = parts.bounds_of(value for one in shown for value in (*one.measured, *one.line))
    parts.score_axis(figure, bounds, title=f"Recall@{result.k}")
    return figure


def describe_forecast(result: Forecast, *, dims: Sequence[int]) -> str:
    """Say in words what the forecast chart shows."""
    told = "; ".join(
        f"{one.dim} dims: {parts.written_interval(one.measured[-1])} measured at {result.sizes[-1]:,} documents, "
        f"{parts.written_interval(one.at_target)} forecast at {result.target_size:,}"
        for one in result.dims
        if one.dim in dims
    )
    return f"Recall@{result.k} against the size of the corpus with 95 % intervals. {told}. {result.sentence}"


def _add_dim(figure: go.Figure, result: Forecast, one: DimForecast, shade: str, *, colours: Palette) -> None:
    low, high = [value.low for value in one.line], [value.high for value in one.line]
    parts.add_band(
        figure, result.line_sizes, low, high, colour=shade, colours=colours, name=f"{one.dim} trend interval"
    )
    figure.add_scatter(
        x=list(result.line_sizes),
        y=[value.mean for value in one.line],
        mode="lines",
        name=f"{one.dim} trend",
        line={"color": shade, "width": 2, "dash": "dash"},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=list(result.sizes),
        y=[value.mean for value in one.measured],
        mode="markers",
        name=f"{one.dim:,} dims",
        marker={"symbol": "circle", "size": 8, "color": shade},
        error_y=parts.whiskers(one.measured, colour=shade),
        hovertext=[
            f"<b>{one.dim:,} dimensions, {size:,} documents</b><br>measured {parts.written_interval(value)}"
            for size, value in zip(result.sizes, one.measured, strict=True)
        ],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=[held.size for held in one.held_back],
        y=[held.predicted.mean for held in one.held_back],
        mode="markers",
        name=f"{one.dim} held back",
        marker={"symbol": "diamond-open", "size": 12, "color": shade, "line": {"width": 2}},
        error_y=parts.whiskers([held.predicted for held in one.held_back], colour=shade, width=1),
        hovertext=[_held_hover(one, held) for held in one.held_back],
        hoverinfo="text",
        showlegend=False,
    )


def _add_target(figure: go.Figure, result: Forecast, *, colours: Palette) -> None:
    figure.add_vline(x=result.target_size, line={"color": colours.text, "width": 1.5, "dash": "dash"}, name="target")
    figure.add_annotation(
        text=f"your size: {result.target_size:,}",
        x=log10(result.target_size),  # annotations on a log axis are placed by the exponent
        y=1,
        yref="paper",
        xanchor="right",
        yanchor="top",
        xshift=-4,
        showarrow=False,
        font={"size": 12, "color": colours.text, "family": FONT},
    )


def _held_hover(one: DimForecast, held: HeldBackSize) -> str:
    lines = (
        f"<b>{one.dim:,} dimensions, {held.size:,} documents held back</b>",
        f"predicted {parts.written_interval(held.predicted)}",
        f"measured {parts.written_interval(held.measured)}",
        "inside the interval" if held.inside else "outside the interval",
    )
    return "<br>".join(lines)


def _amount(number: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
