"""Charts of a migration: search in the target against what was promised, and two stores side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.migration.dual_statistics import DualStatistics, SideStatistics
    from engine.migration.results import SearchCheck

_SIDES = ("old store", "new store")


def search_check_chart(check: SearchCheck, *, colours: Palette) -> go.Figure:
    """Draw the recall of search through the target's index with its intervals, beside what the sweep predicted."""
    figure = parts.new_figure(colours, height=230)
    styles = parts.series_styles(colours)
    rows = [
        ("target's index against<br>its own exact answer", check.index_recall, styles[0]),
        ("target's index against<br>the full dimension", check.neighbour_recall, styles[1]),
        *([] if check.predicted is None else [("what the sweep predicted", check.predicted, styles[2])]),
    ]
    for name, interval, style in rows:
        figure.add_scatter(
            x=[interval.mean],
            y=[name],
            mode="markers",
            marker={"size": 11, "color": style.colour, "symbol": style.symbol},
            error_x=parts.whiskers([interval], colour=style.colour),
            hovertext=[f"<b>{name.replace('<br>', ' ')}</b><br>recall@{check.k} {parts.written_interval(interval)}"],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(range=[0, 1.03], tickformat=".1f", title_text=f"Recall@{check.k}, 95 % interval")
    return figure


def describe_search_check(check: SearchCheck) -> str:
    """Say in words what the chart of the search check shows."""
    told = (
        f"Recall@{check.k} on {check.n_queries} queries: {parts.written_interval(check.index_recall)} of the target's "
        f"exact answer, {parts.written_interval(check.neighbour_recall)} of the full dimension"
    )
    if check.predicted is None:
        return f"{told}."
    return f"{told}; the sweep predicted {parts.written_interval(check.predicted)}."


def dual_latency_chart(seen: DualStatistics, *, colours: Palette) -> go.Figure:
    """Draw p50, p95 and p99 of both stores, with order-statistic intervals where there are enough requests."""
    figure = parts.new_figure(colours, height=300)
    for name, side, style in zip(_SIDES, (seen.old, seen.new), parts.series_styles(colours), strict=False):
        shown = side.latency_ms
        figure.add_scatter(
            x=[f"p{100 * one.share:g}" for one in shown],
            y=[one.value for one in shown],
            mode="lines+markers",
            name=name,
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"size": 9, "color": style.colour, "symbol": style.symbol},
            error_y=parts.error_bars(
                [one.value for one in shown],
                [one.low for one in shown],
                [one.high for one in shown],
                colour=style.colour,
                cap=4,
            ),
            hovertext=[_percentile_hover(name, one.share, one.value, one.low, one.high) for one in shown],
            hoverinfo="text",
        )
    figure.update_yaxes(rangemode="tozero", title_text="Latency (ms)")
    figure.update_xaxes(title_text="Percentile of requests")
    return figure


def describe_dual_latency(seen: DualStatistics) -> str:
    """Say in words what the latency chart of dual search shows."""
    return "Latency in milliseconds. " + " ".join(
        f"{name.capitalize()}: {_percentiles(side)}." for name, side in zip(_SIDES, (seen.old, seen.new), strict=True)
    )


def overlap_chart(seen: DualStatistics, *, colours: Palette) -> go.Figure:
    """Draw how many requests had which share of results in common, and the mean with its interval."""
    figure = parts.new_figure(colours, height=300)
    figure.add_histogram(
        x=seen.overlaps,
        xbins={"start": 0, "end": 1.05, "size": 0.05},
        marker={"color": colours.accent, "line": {"color": colours.background, "width": 1}},
        hovertemplate="%{x}: %{y:,} requests<extra></extra>",
        showlegend=False,
    )
    if seen.overlap is not None:
        figure.add_vline(
            x=seen.overlap.mean,
            line={"color": colours.text, "width": 1.5, "dash": "dash"},
            annotation={
                "text": f"mean {parts.written_interval(seen.overlap)}",
                "font": {"size": 12, "color": colours.text},
                "xanchor": "right" if seen.overlap.mean > 0.5 else "left",
            },
        )
    figure.update_xaxes(range=[0, 1.06], title_text="Share of the top k that both stores return")
    figure.update_yaxes(title_text="Requests", rangemode="tozero")
    return figure


def describe_overlap(seen: DualStatistics) -> str:
    """Say in words what the overlap chart shows."""
    if seen.overlap is None:
        return "No request has been compared yet."
    return (
        f"{seen.n_compared:,} requests compared: on average the two stores share "
        f"{parts.written_interval(seen.overlap)} of their results."
    )


def _percentiles(side: SideStatistics) -> str:
    return ", ".join(f"p{100 * one.share:g} {one.value:.2f}" for one in side.latency_ms) or "not measured"


def _percentile_hover(name: str, share: float, value: float, low: float | None, high: float | None) -> str:
    bounds = "too few requests for an interval" if low is None or high is None else f"{low:.2f} to {high:.2f}"
    return f"<b>{name}, p{100 * share:g}</b><br>{value:.2f} ms ({bounds})"
