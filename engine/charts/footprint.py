"""Chart of storage options: quality against bytes a vector."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Literal, get_args

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.results import Interval, Quantity
    from engine.tradeoff.size.footprint import FootprintResult, FootprintRow, StorageOption

Counted = Literal["memory", "disk"]
"""Which bytes are on the axis: those that a search touches in memory, or everything that is kept on disk."""

COUNTED: tuple[Counted, ...] = get_args(Counted)
_MOST_TICKS = 12
_LABEL_GAP = 0.02


def storage_chart(
    result: FootprintResult,
    *,
    frontier: Sequence[int],
    quantity: Quantity,
    counted: Counted,
    colours: Palette,
) -> go.Figure:
    """Draw every storage option by bytes a vector and quality; filled markers are without a rerank, open ones with.

    `frontier` are the positions in `result.rows` that no other option beats on both; they are joined and name their
    dims.
    """
    figure = parts.new_figure(colours, height=460, labels=result.dataset.labels, legend_px=92)
    best = [result.rows[place] for place in frontier]
    figure.add_scatter(
        x=[bytes_of(row, counted) for row in best],
        y=[quality_of(row, quantity).mean for row in best],
        mode="lines",
        name="Pareto frontier",
        line={"color": colours.text, "width": 1.5, "dash": "dot", "shape": "hv"},
        hoverinfo="skip",
        legendrank=2000,
    )
    named = _apart(best, quantity)
    for dtype, style in zip(result.dtypes, parts.series_styles(colours), strict=False):
        for rerank in (False, True):
            rows = [row for row in result.rows if (row.option.dtype, row.option.rerank) == (dtype, rerank)]
            figure.add_scatter(
                x=[bytes_of(row, counted) for row in rows],
                y=[quality_of(row, quantity).mean for row in rows],
                mode="markers+text",
                name=f"{dtype} + rerank" if rerank else dtype,
                marker=_marker(style, style.colour, is_open=rerank),
                error_y=parts.whiskers([quality_of(row, quantity) for row in rows], colour=style.colour, width=1),
                text=[f"{row.option.dim:,}" if row in named else "" for row in rows],
                textposition="top left",
                textfont={"size": 12, "color": colours.text},
                hovertext=[_hover(row, result.k) for row in rows],
                hoverinfo="text",
                showlegend=not rerank,
            )
    if any(row.option.rerank for row in result.rows):
        neutral = parts.series_styles(colours)[0]
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="open: + rerank",
            marker=_marker(neutral, colours.text, is_open=True),
            legendrank=1500,
        )
    _bytes_axis(figure, [bytes_of(row, counted) for row in result.rows], counted)
    values = [quality_of(row, quantity) for row in result.rows]
    full = quality_of(result.rows[-1], quantity)
    if quantity == "ndcg":
        figure.add_hline(y=full.mean, line={"color": colours.muted, "width": 1, "dash": "dash"}, name="full dimension")
    name = f"Recall@{result.k}" if quantity == "recall" else f"nDCG@{result.k}"
    top = 1.03 if quantity == "recall" else None
    parts.score_axis(figure, parts.bounds_of(values), title=name, top=top)
    return figure


def describe_storage(result: FootprintResult, *, frontier: Sequence[int], quantity: Quantity, counted: Counted) -> str:
    """Say in words which storage options are on the frontier."""
    told = "; ".join(
        f"{option_name(row.option)}: {bytes_of(row, counted):,.0f} bytes, "
        f"{parts.written_interval(quality_of(row, quantity))}"
        for row in (result.rows[place] for place in frontier)
    )
    name = "Recall" if quantity == "recall" else "nDCG"
    where = "in memory" if counted == "memory" else "on disk"
    return (
        f"{name}@{result.k} against bytes a vector {where} of {len(result.rows)} storage options. "
        f"On the Pareto frontier, smallest first: {told}."
    )


def option_name(option: StorageOption) -> str:
    """Name a storage option: ``int8, 128 dims + rerank``."""
    return f"{option.dtype}, {option.dim:,} dims" + (" + rerank" if option.rerank else "")


def bytes_of(row: FootprintRow, counted: Counted) -> float:
    """Return the bytes a vector that are on the axis."""
    return row.memory_bytes_per_vector if counted == "memory" else row.disk_bytes_per_vector


def quality_of(row: FootprintRow, quantity: Quantity) -> Interval:
    """Return what is on the other axis; recall where there is no nDCG."""
    return row.ndcg if quantity == "ndcg" and row.ndcg is not None else row.recall


def _marker(style: parts.SeriesStyle, colour: str, *, is_open: bool) -> dict[str, object]:
    symbol = f"{style.symbol}-open" if is_open else style.symbol
    return {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}}


def _apart(best: Sequence[FootprintRow], quantity: Quantity) -> list[FootprintRow]:
    """Return the rows whose names have room: each far enough above the one named before it."""
    named: list[FootprintRow] = []
    for row in best:
        if not named or quality_of(row, quantity).mean - quality_of(named[-1], quantity).mean > _LABEL_GAP:
            named.append(row)
    return named


def _bytes_axis(figure: go.Figure, values: Sequence[float], counted: Counted) -> None:
    first, last = int(log2(min(values))), int(log2(max(values))) + 1
    step = 1 + (last - first) // _MOST_TICKS
    ticks = [2**exponent for exponent in range(first, last + 1, step)]
    where = "in memory" if counted == "memory" else "on disk"
    figure.update_xaxes(
        type="log",
        range=parts.log_range(values),
        tickvals=ticks,
        ticktext=[f"{tick:,}" for tick in ticks],
        autotickangles=[0, 90],
        title_text=f"Bytes a vector {where} (log₂ scale)",
    )


def _hover(row: FootprintRow, k: int) -> str:
    lines = [
        f"<b>{option_name(row.option)}</b>",
        f"recall@{k} {parts.written_interval(row.recall)}",
        *([] if row.ndcg is None else [f"nDCG@{k} {parts.written_interval(row.ndcg)}"]),
        f"{row.memory_bytes_per_vector:,.0f} bytes a vector in memory, {row.disk_bytes_per_vector:,.0f} on disk",
    ]
    return "<br>".join(lines)
