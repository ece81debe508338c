"""Chart of the nesting diagnosis: the prefix against other choices of as many components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.nesting.diagnosis import Diagnosis, NestPoint
    from engine.tradeoff.results import Interval


def nesting_chart(result: Diagnosis, *, colours: Palette) -> go.Figure:
    """Draw recall@k of prefix, random subsets (mean, interval and range), PCA and tail against their size."""
    figure = parts.new_figure(colours, height=440, labels=result.dataset.labels, legend_px=170)
    prefix, projection, tail, random = parts.series_styles(colours)
    parts.add_band(
        figure,
        result.dims,
        [point.random_low for point in result.points],
        [point.random_high for point in result.points],
        colour=random.colour,
        colours=colours,
        name="random range",
        legend=f"range of {result.n_subsets} random subsets",
        opacity=2,
    )
    # The prefix last, so that it lies on top.
    for style, (name, values) in zip((random, tail, projection, prefix), _families(result), strict=True):
        figure.add_scatter(
            x=list(result.dims),
            y=[value.mean for value in values],
            mode="lines+markers",
            name=name,
            line={"color": style.colour, "width": 2.5 if style is prefix else 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9, "color": style.colour},
            error_y=parts.whiskers(values, colour=style.colour),
            hovertext=[_hover(point, result.k) for point in result.points],
            hoverinfo="text",
        )
    parts.dims_axis(figure, result.dims)
    bounds = parts.bounds_of(value for _, values in _families(result) for value in values)
    parts.score_axis(figure, bounds, title=f"Recall@{result.k}")
    return figure


def describe_nesting(result: Diagnosis) -> str:
    """Say in words what the nesting chart shows."""
    told = "; ".join(
        f"{name}: "
        + ", ".join(f"{dim} {parts.written_interval(value)}" for dim, value in zip(result.dims, values, strict=True))
        for name, values in _families(result)
    )
    return f"Recall@{result.k} of equally many components, with 95 % intervals. {told}. {' '.join(result.sentences)}"


def _families(result: Diagnosis) -> Sequence[tuple[str, Sequence[Interval]]]:
    points = result.points
    return (
        ("random subsets, mean", [point.random for point in points]),
        ("tail: the last components", [point.tail for point in points]),
        ("PCA of the corpus", [point.projection for point in points]),
        ("prefix", [point.prefix for point in points]),
    )


def _hover(point: NestPoint, k: int) -> str:
    lines = (
        f"<b>{point.dim:,} dimensions, recall@{k}</b>",
        f"prefix {parts.written_interval(point.prefix)}",
        f"random subsets {parts.written_interval(point.random)}",
        f"their range {parts.written(point.random_low)} to {parts.written(point.random_high)}",
        f"PCA {parts.written_interval(point.projection)}",
        f"tail {parts.written_interval(point.tail)}",
    )
    return "<br>".join(lines)
