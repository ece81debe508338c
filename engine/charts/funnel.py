"""Chart of the funnel: what a rerank keeps, by the size of the shortlist, under the ceiling that the shortlist sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.results import Interval, Quantity
    from engine.tradeoff.size.funnel import FunnelResult, FunnelRow


def funnel_chart(result: FunnelResult, *, quantity: Quantity, colours: Palette) -> go.Figure:
    """Draw recall@k (or nDCG@k) after the rerank against the shortlist, a curve with its interval for every dim.

    Recall has its ceiling, the share of the full top k within the shortlist, as a dotted line of the same colour;
    nDCG has that of the full dimension across.
    """
    figure = parts.new_figure(colours, height=440, labels=result.dataset.labels, legend_px=72)
    shades = dict(zip(result.dims, parts.ramp(colours, len(result.dims)), strict=True))
    for dim, shade in shades.items():
        rows = _rows(result, dim)
        sizes = [row.shortlist for row in rows]
        values = [_value(row, quantity) for row in rows]
        low, high = [value.low for value in values], [value.high for value in values]
        parts.add_band(figure, sizes, low, high, colour=shade, colours=colours, name=f"{dim} interval")
        if quantity == "recall":
            figure.add_scatter(
                x=sizes,
                y=[row.shortlist_recall.mean for row in rows],
                mode="lines",
                name=f"{dim} ceiling",
                line={"color": shade, "width": 5, "dash": "dot"},
                opacity=0.45,
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=sizes,
            y=[value.mean for value in values],
            mode="lines+markers",
            name=f"{dim:,}",
            line={"color": shade, "width": 2},
            marker={"size": 7, "color": shade},
            hovertext=[_hover(row, result.k) for row in rows],
            hoverinfo="text",
        )
    if quantity == "recall":
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            name="ceiling",
            line={"color": colours.text, "width": 5, "dash": "dot"},
            opacity=0.45,
            legendrank=2000,
        )
    _full_line(figure, result, quantity, colours=colours)
    sizes = sorted(set(result.shortlists))
    figure.update_layout(legend_title={"text": "dims", "font": {"size": 12, "color": colours.muted}})
    figure.update_xaxes(
        type="log",
        range=parts.log_range([float(size) for size in sizes]),
        tickvals=sizes,
        ticktext=[f"{size:,}" for size in sizes],
        title_text="Shortlist that is reranked (documents, log scale)",
    )
    bounds = parts.bounds_of(_value(row, quantity) for row in result.rows)
    name = f"Recall@{result.k}" if quantity == "recall" else f"nDCG@{result.k}"
    parts.score_axis(figure, bounds, title=f"{name} after the rerank", top=1.0 if quantity == "recall" else None)
    return figure


def describe_funnel(result: FunnelResult, *, quantity: Quantity) -> str:
    """Say in words what the funnel chart shows."""
    told = "; ".join(
        f"{dim} dims: "
        + ", ".join(f"{row.shortlist} {parts.written(_value(row, quantity).mean)}" for row in _rows(result, dim))
        for dim in result.dims
    )
    name = "Recall" if quantity == "recall" else "nDCG"
    return f"{name}@{result.k} after a rerank by {result.rerank_dim} dims against the size of the shortlist. {told}."


def _rows(result: FunnelResult, dim: int) -> Sequence[FunnelRow]:
    return [row for row in result.rows if row.dim == dim and row.dtype == result.dtypes[0]]


def _value(row: FunnelRow, quantity: Quantity) -> Interval:
    return row.ndcg if quantity == "ndcg" and row.ndcg is not None else row.recall


def _full_line(figure: go.Figure, result: FunnelResult, quantity: Quantity, *, colours: Palette) -> None:
    if quantity == "recall" or result.full_ndcg is None:
        return
    text = f"full dimension {parts.written_interval(result.full_ndcg)}"
    parts.reference_line(figure, result.full_ndcg.mean, text, name="full dimension", colours=colours, side="right")


def _hover(row: FunnelRow, k: int) -> str:
    lines = [
        f"<b>{row.dim:,} dimensions, shortlist of {row.shortlist:,}</b>",
        f"recall@{k} after the rerank {parts.written_interval(row.recall)}",
        f"within the shortlist {parts.written_interval(row.shortlist_recall)}",
        *([] if row.ndcg is None else [f"nDCG@{k} {parts.written_interval(row.ndcg)}"]),
        f"{row.fetched_bytes_per_query:,} bytes fetched a query",
    ]
    return "<br>".join(lines)
