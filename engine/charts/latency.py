"""Charts of a latency measurement: milliseconds and queries a second by dimension, and recall against milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.latency.results import LatencyPath, LatencyPoint, LatencyResult
    from engine.tradeoff.percentiles import Percentile

PercentileName = Literal["p50", "p95", "p99"]
PERCENTILE_NAMES: tuple[PercentileName, ...] = get_args(PercentileName)
PATH_NAMES: Mapping[LatencyPath, str] = {
    "exact": "migrated copy",
    "prefix": "full stored, query reduced",
    "hnsw": "HNSW",
}
_LEGEND_PX = 150


def latency_chart(result: LatencyResult, *, percentile: PercentileName, colours: Palette) -> go.Figure:
    """Draw one percentile of single-query latency against dims, a curve with its interval for every serving path."""
    figure = parts.new_figure(colours, height=400, labels=result.dataset.labels, legend_px=_LEGEND_PX)
    drawn: list[float] = []
    for path, style in zip(result.paths, parts.series_styles(colours), strict=False):
        points = _points(result, path)
        values = [_percentile(point, percentile) for point in points]
        dims = [point.dim for point in points]
        bounded = [(dim, value) for dim, value in zip(dims, values, strict=True) if value.low is not None]
        low, high = ([getattr(value, side) for _, value in bounded] for side in ("low", "high"))
        parts.add_band(
            figure,
            [dim for dim, _ in bounded],
            low,
            high,
            colour=style.colour,
            colours=colours,
            name=f"{path} interval",
        )
        figure.add_scatter(
            x=dims,
            y=[value.value for value in values],
            mode="lines+markers",
            name=PATH_NAMES[path],
            line={"color": style.colour, "width": 2.5, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9, "color": style.colour},
            hovertext=[_hover(point) for point in points],
            hoverinfo="text",
        )
        drawn += [value.value for value in values] + low + high
    parts.dims_axis(figure, result.dims)
    figure.update_yaxes(**_milliseconds(drawn, f"{percentile} of one query (ms, log scale)"))
    return figure


def recall_latency_chart(result: LatencyResult, *, colours: Palette) -> go.Figure:
    """Draw every configuration by median latency and recall, joined where no other beats it on both."""
    figure = parts.new_figure(colours, height=440, labels=result.dataset.labels, legend_px=_LEGEND_PX)
    best = [result.points[place] for place in result.frontier()]
    figure.add_scatter(
        x=[point.p50_ms.value for point in best],
        y=[point.recall.mean for point in best],
        mode="lines",
        name="Pareto frontier",
        line={"color": colours.text, "width": 1.5, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        legendrank=2000,
    )
    for path, style in zip(result.paths, parts.series_styles(colours), strict=False):
        points = _points(result, path)
        figure.add_scatter(
            x=[point.p50_ms.value for point in points],
            y=[point.recall.mean for point in points],
            mode="markers+text",
            name=PATH_NAMES[path],
            marker={"symbol": style.symbol, "size": 10, "color": style.colour},
            error_x=_time_whiskers([point.p50_ms for point in points], style.colour),
            error_y=parts.whiskers([point.recall for point in points], colour=style.colour, width=1),
            text=[f"{point.dim:,}" if point in best else "" for point in points],
            textposition="top left",
            textfont={"size": 12, "color": colours.text},
            hovertext=[_hover(point) for point in points],
            hoverinfo="text",
        )
    medians = [point.p50_ms.value for point in result.points]
    figure.update_xaxes(**_milliseconds(medians, "p50 of one query (ms, log scale)"))
    parts.score_axis(
        figure, parts.bounds_of(point.recall for point in result.points), title=f"Recall@{result.k}", top=1.03
    )
    return figure


def throughput_chart(result: LatencyResult, *, n_threads: int, colours: Palette) -> go.Figure:
    """Draw the queries a second that `n_threads` threads answered, against dims, a curve for every serving path."""
    figure = parts.new_figure(colours, height=340, labels=result.dataset.labels, legend_px=_LEGEND_PX)
    drawn: list[float] = []
    for path, style in zip(result.paths, parts.series_styles(colours), strict=False):
        measured = [
            (point.dim, reached)
            for point in _points(result, path)
            for reached in point.throughput
            if reached.n_threads == n_threads
        ]
        figure.add_scatter(
            x=[dim for dim, _ in measured],
            y=[reached.queries_per_s for _, reached in measured],
            mode="lines+markers",
            name=PATH_NAMES[path],
            line={"color": style.colour, "width": 2.5, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 9, "color": style.colour},
            hovertext=[
                f"<b>{PATH_NAMES[path]}, {dim:,} dimensions</b><br>{reached.queries_per_s:,.0f} queries a second"
                f"<br>{reached.n_queries:,} queries in {reached.elapsed_s:.2f} s"
                for dim, reached in measured
            ],
            hoverinfo="text",
        )
        drawn += [reached.queries_per_s for _, reached in measured]
    parts.dims_axis(figure, result.dims)
    ticks = parts.log_ticks(drawn)
    figure.update_yaxes(
        type="log",
        range=parts.log_range(drawn),
        tickvals=ticks,
        ticktext=[f"{tick:,.0f}" for tick in ticks],
        title_text="Queries a second (log scale)",
    )
    return figure


def describe_latency(result: LatencyResult, *, percentile: PercentileName) -> str:
    """Say in words what the latency chart shows."""
    told = "; ".join(
        f"{PATH_NAMES[path]}: "
        + ", ".join(f"{point.dim} {_written(_percentile(point, percentile))}" for point in _points(result, path))
        for path in result.paths
    )
    return f"{percentile} latency of one query in milliseconds against dimensions with 95 % intervals. {told}."


def describe_recall_latency(result: LatencyResult) -> str:
    """Say in words which configurations are on the frontier of recall against latency."""
    told = "; ".join(
        f"{PATH_NAMES[point.path]} at {point.dim}: {point.p50_ms.value:.3g} ms, "
        f"recall {parts.written_interval(point.recall)}"
        for point in (result.points[place] for place in result.frontier())
    )
    return (
        f"Recall@{result.k} against median latency of {len(result.points)} configurations. "
        f"On the Pareto frontier, fastest first: {told}."
    )


def describe_throughput(result: LatencyResult, *, n_threads: int) -> str:
    """Say in words what the throughput chart shows."""
    told = "; ".join(
        f"{PATH_NAMES[path]}: "
        + ", ".join(
            f"{point.dim} {reached.queries_per_s:,.0f}"
            for point in _points(result, path)
            for reached in point.throughput
            if reached.n_threads == n_threads
        )
        for path in result.paths
    )
    return f"Queries a second with {n_threads} thread{'' if n_threads == 1 else 's'} against dimensions. {told}."


def _points(result: LatencyResult, path: LatencyPath) -> list[LatencyPoint]:
    return [point for point in result.points if point.path == path]


def _percentile(point: LatencyPoint, name: PercentileName) -> Percentile:
    return {"p50": point.p50_ms, "p95": point.p95_ms, "p99": point.p99_ms}[name]


def _time_whiskers(values: Sequence[Percentile], colour: str) -> dict[str, object]:
    times, low, high = ([getattr(one, name) for one in values] for name in ("value", "low", "high"))
    return parts.error_bars(times, low, high, colour=colour, thickness=1)


def _milliseconds(values: Sequence[float], title: str) -> dict[str, object]:
    ticks = parts.log_ticks(values)
    return {
        "type": "log",
        "range": parts.log_range(values),
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
        "title_text": title,
    }


def _written(value: Percentile) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.3g} (no interval)"
    return f"{value.value:.3g} ({value.low:.3g} to {value.high:.3g})"


def _hover(point: LatencyPoint) -> str:
    lines = [
        f"<b>{PATH_NAMES[point.path]}, {point.dim:,} dimensions</b>",
        *(f"{name} {_written(_percentile(point, name))} ms" for name in PERCENTILE_NAMES),
        f"recall {parts.written_interval(point.recall)}",
        f"{point.bytes_per_vector:,.0f} bytes a vector",
    ]
    if point.hnsw is not None:
        lines.append(f"ef {point.hnsw.ef}, {parts.written(point.hnsw.recall_of_exact.mean)} of the exact answer")
    return "<br>".join(lines)
