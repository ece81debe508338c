"""Charts of who loses: the change of every query, and the change of groups of queries."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.theme import FONT, translucent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.queries.losses import Losses
    from engine.tradeoff.queries.segments import SegmentChange
    from engine.tradeoff.results import Interval

_ROW_PX = 34
_MOST_SEGMENTS = 30


def change_chart(found: Losses, *, colours: Palette, labels: Sequence[str] = ()) -> go.Figure:
    """Draw how many queries change by how much, with the mean and its interval and the change at p5."""
    figure = parts.new_figure(colours, height=340, labels=labels)
    edges, counts = found.distribution.edges.tolist(), found.distribution.counts.tolist()
    bins = list(pairwise(edges))
    figure.add_bar(
        x=[(low + high) / 2 for low, high in bins],
        y=counts,
        width=[high - low for low, high in bins],
        name="queries",
        marker={
            "color": [
                colours.harmful if high <= 0 else colours.safe if low >= 0 else colours.muted for low, high in bins
            ],
            "line": {"width": 1, "color": colours.background},
        },
        hovertext=[
            f"<b>{count:,} queries</b><br>change {parts.signed(low)} to {parts.signed(high)}"
            for count, (low, high) in zip(counts, bins, strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    mean = found.mean
    figure.add_vrect(
        x0=mean.low, x1=mean.high, fillcolor=translucent(colours.accent, 0.3), line={"width": 0}, name="mean interval"
    )
    _mark(figure, mean.mean, f"mean {parts.signed(mean.mean)}", colours.accent, dash="solid", y=1.0)
    _mark(figure, found.p5, f"p5 {parts.signed(found.p5)}", colours.text, dash="dash", y=1.09)
    seen = [place for place, count in enumerate(counts) if count] or [len(counts) // 2]
    figure.update_xaxes(
        range=[edges[min(seen[0], len(edges) // 2 - 3)] - 0.03, edges[max(seen[-1] + 1, len(edges) // 2 + 2)] + 0.03],
        title_text=f"Change of {_quantity(found)} from {found.full_dim:,} to {found.dim:,} dims<br>(− is worse)",
        tickformat="+.1f",
    )
    figure.update_yaxes(title_text="Queries", rangemode="tozero")
    return figure


def segments_chart(found: Losses, *, colours: Palette, labels: Sequence[str] = ()) -> go.Figure:
    """Draw the mean change of every segment with its interval, the most harmed on top; too small ones have none."""
    shown = found.segments[:_MOST_SEGMENTS]
    figure = parts.new_figure(colours, height=130 + _ROW_PX * len(shown), labels=labels, legend_px=150)
    places = {segment.name: len(shown) - place for place, segment in enumerate(shown)}
    groups = (
        ("clearly worse", colours.harmful, "x", [one for one in shown if one.clearly_worse]),
        ("95 % interval", colours.accent, "circle", [one for one in shown if not (one.clearly_worse or one.too_small)]),
        ("too small to judge", colours.muted, "circle-open", [one for one in shown if one.too_small]),
    )
    for name, colour, symbol, segments in groups:
        if not segments:
            continue
        intervals = [one.change for one in segments if one.change is not None]
        figure.add_scatter(
            x=[one.mean for one in segments],
            y=[places[one.name] for one in segments],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 11, "color": colour},
            error_x=parts.whiskers(intervals, colour=colour) if intervals else None,
            hovertext=[_segment_hover(one) for one in segments],
            hoverinfo="text",
        )
    _mark(figure, found.mean.mean, f"all queries {parts.signed(found.mean.mean)}", colours.text, dash="dash", y=1.0)
    figure.update_xaxes(
        title_text=f"Mean change of {_quantity(found)}<br>(− is worse; the axis need not reach 0)",
        tickformat="+.2f",
        showgrid=True,
        nticks=6,
    )
    figure.update_yaxes(
        range=[0.4, len(shown) + 0.6],
        tickvals=list(places.values()),
        ticktext=[f"{parts.escaped(one.name, longest=24)} ({one.n_queries:,})" for one in shown],
        showgrid=False,
    )
    figure.update_layout(legend={"y": 1.0 + 34 / (60 + _ROW_PX * max(1, len(shown)))})
    return figure


def describe_changes(found: Losses) -> str:
    """Say in words what the change chart shows."""
    return (
        f"Change of {_quantity(found)} of {found.n_queries:,} queries from {found.full_dim} to {found.dim} dims: mean "
        f"{_written(found.mean)}, p5 {parts.signed(found.p5)}; {100 * found.harmed.mean:.1f} % get worse, "
        f"{100 * found.improved.mean:.1f} % better."
    )


def describe_segments(found: Losses) -> str:
    """Say in words what the segment chart shows."""
    told = "; ".join(
        _segment_hover(one).replace("<b>", "").replace("</b>", "").replace("<br>", ", ") for one in found.segments
    )
    return f"Mean change of {_quantity(found)} by segment, the most harmed first: {told}."


def _quantity(found: Losses) -> str:
    return f"recall@{found.k}" if found.quantity == "recall" else f"nDCG@{found.k}"


def _written(change: Interval) -> str:
    return f"{parts.signed(change.mean)} ({parts.signed(change.low)} to {parts.signed(change.high)})"


def _segment_hover(one: SegmentChange) -> str:
    lines = [f"<b>{parts.escaped(one.name)}</b>", f"{one.n_queries:,} queries"]
    if one.change is None:
        lines.append(f"mean {parts.signed(one.mean)}, too few queries for an interval")
    else:
        lines.append(f"mean {_written(one.change)}")
    if one.clearly_worse:
        lines.append("clearly worse than the other queries")
    return "<br>".join(lines)


def _mark(figure: go.Figure, x: float, text: str, colour: str, *, dash: str, y: float) -> None:
    """Draw an upright line and its name above the plot."""
    figure.add_vline(x=x, line={"color": colour, "width": 1.5, "dash": dash}, name=text.partition(" ")[0])
    figure.add_annotation(
        text=text,
        x=x,
        y=y,
        yref="paper",
        yanchor="bottom",
        showarrow=False,
        font={"size": 12, "color": colour, "family": FONT},
    )
