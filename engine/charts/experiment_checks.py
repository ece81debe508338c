"""Charts beside an experiment's metrics: latency, segments, pooled against stratified, and the price of peeking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.experiment import (
    arm_styles,
    labelled,
    margin_words,
    metric_of,
    plain_hover,
    signed_margin,
    written,
)
from engine.charts.theme import FONT, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.experiment.results import Analysis, Estimate, LatencyResult, Peeking, SegmentResult, Stratified
    from engine.tradeoff.results import Verdict

_ROW_PX = 34
_MOST_SEGMENTS = 30


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One line of a chart of relative changes."""

    label: str
    estimate: Estimate
    verdict: Verdict | None
    hover: str


def latency_chart(found: Analysis, *, colours: Palette) -> go.Figure:
    """Draw every latency percentile of both arms in milliseconds with its interval, on a log scale."""
    rows = found.latencies
    figure = parts.new_figure(colours, height=130 + 60 * max(1, len(rows)), legend_px=150)
    drawn: list[float] = []
    for arm, style, shift in zip(range(2), arm_styles(colours), (0.14, -0.14), strict=True):
        values = [(place, (one.control, one.treatment)[arm]) for place, one in enumerate(rows)]
        shown = [(place, estimate) for place, estimate in values if estimate.value is not None]
        figure.add_scatter(
            x=[estimate.value for _, estimate in shown],
            y=[len(rows) - place + shift for place, _ in shown],
            mode="markers",
            name=parts.escaped(found.arms[arm].name),
            marker={"symbol": style.symbol, "size": 10, "color": style.colour},
            error_x=_reach([estimate for _, estimate in shown], style.colour),
            hovertext=[_latency_hover(rows[place]) for place, _ in shown],
            hoverinfo="text",
        )
        for _, estimate in shown:
            drawn += [value for value in (estimate.low, estimate.value, estimate.high) if value is not None]
    ticks = parts.log_ticks(drawn)
    figure.update_xaxes(
        type="log",
        range=parts.log_range(drawn),
        tickvals=ticks,
        ticktext=[f"{tick:g}" for tick in ticks],
        showgrid=True,
        title_text=labelled(found, "Latency of one query (ms, log scale)"),
    )
    _rows_axis(figure, [one.key for one in rows])
    return figure


def latency_change_chart(found: Analysis, *, colours: Palette) -> go.Figure:
    """Draw the relative change of every latency percentile with its interval and the increase that is allowed."""
    rows = [
        _Row(label=one.key, estimate=one.relative, verdict=one.verdict, hover=_latency_hover(one))
        for one in found.latencies
    ]
    margin = found.latencies[0].margin.relative if found.latencies else 0.0
    return _changes(found, rows, margin=margin, what="latency", colours=colours)


def segments_chart(found: Analysis, metric: str, *, colours: Palette) -> go.Figure:
    """Draw the relative change of `metric` in every segment with its interval, marked by its verdict."""
    result = metric_of(found, metric)
    rows = [
        _Row(
            label=f"{parts.escaped(one.segment, longest=20)} ({_users(one):,})",
            estimate=one.relative,
            verdict=one.verdict,
            hover=_segment_hover(one),
        )
        for one in found.segments
        if one.metric == metric
    ]
    return _changes(found, rows[:_MOST_SEGMENTS], margin=signed_margin(result), what=result.name, colours=colours)


def stratified_chart(found: Analysis, one: Stratified, *, colours: Palette) -> go.Figure:
    """Draw the relative change of one metric from pooled totals and within strata, with both intervals."""
    result = metric_of(found, one.metric)
    rows = [
        _Row(label=name, estimate=estimate, verdict=None, hover=f"<b>{name}</b><br>{written(estimate)}")
        for name, estimate in (("pooled", one.pooled), (f"within {one.by}s", one.stratified))
    ]
    return _changes(found, rows, margin=signed_margin(result), what=result.name, colours=colours)


def peeking_chart(peeking: Peeking, *, promised: float, colours: Palette) -> go.Figure:
    """Draw how often the fixed test calls identical arms different, against how often it is looked at.

    `promised` is the level of the test (0..1).
    """
    figure = parts.new_figure(colours, height=320, legend_px=150)
    looks, rates = ([getattr(row, name) for row in peeking.rows] for name in ("n_looks", "false_positive_rate"))
    marks = {"hoverinfo": "text", "showlegend": False}
    figure.add_scatter(
        **marks,
        x=looks,
        y=rates,
        mode="lines+markers",
        name="fixed test",
        line={"color": colours.harmful, "width": 2.5},
        marker={"size": 7, "color": colours.harmful},
        hovertext=[_looks(row.n_looks, row.false_positive_rate) for row in peeking.rows],
    )
    figure.add_scatter(
        **marks,
        x=[peeking.n_looks],
        y=[peeking.false_positive_rate],
        mode="markers+text",
        name="this experiment",
        marker={"size": 13, "symbol": "diamond", "color": colours.text},
        text=[f"{100 * peeking.false_positive_rate:.1f} %"],
        textposition="top center",
        textfont={"size": 13, "color": colours.text},
        hovertext=[_looks(peeking.n_looks, peeking.false_positive_rate)],
    )
    _promise(figure, promised, colours=colours)
    figure.update_layout(margin={"t": 12})
    figure.update_xaxes(
        type="log",
        range=parts.log_range([1, *looks, peeking.n_looks]),
        tickvals=looks,
        ticktext=[f"{look:,}" for look in looks],
        title_text="Looks at the same experiment (log scale)",
    )
    figure.update_yaxes(
        range=[0, 1.2 * max([promised, peeking.false_positive_rate, *rates])],
        tickformat=".0%",
        title_text="False alarms between<br>identical arms (%)",
    )
    return figure


def describe_latency(found: Analysis) -> str:
    """Say in words every percentile of both arms and its change."""
    told = "; ".join(plain_hover(_latency_hover(one)) for one in found.latencies)
    return f"Latency of one query in milliseconds with intervals clustered by user. {told}."


def describe_segments(found: Analysis, metric: str) -> str:
    """Say in words the change of every segment."""
    told = "; ".join(plain_hover(_segment_hover(one)) for one in found.segments if one.metric == metric)
    return f"Relative change of {metric_of(found, metric).name} by segment: {told}."


def describe_stratified(found: Analysis, one: Stratified) -> str:
    """Say in words what pooling and stratifying give."""
    return (
        f"Relative change of {metric_of(found, one.metric).name}: pooled {written(one.pooled)}, within {one.by}s "
        f"{written(one.stratified)}."
    )


def describe_peeking(peeking: Peeking) -> str:
    """Say in words how the false alarms grow with the looks."""
    told = "; ".join(plain_hover(_looks(row.n_looks, row.false_positive_rate)) for row in peeking.rows)
    return f"False alarms of the fixed test between identical arms by the number of looks. {told}."


def _promise(figure: go.Figure, promised: float, *, colours: Palette) -> None:
    text = f"promised {100 * promised:g} %"
    parts.reference_line(figure, promised, text, name="promised", colours=colours, side="right", above=False)


def _changes(found: Analysis, rows: Sequence[_Row], *, margin: float, what: str, colours: Palette) -> go.Figure:
    """Draw a line for each of `rows` from its low to its high bound, with no change and the margin upright."""
    figure = parts.new_figure(colours, height=150 + _ROW_PX * max(1, len(rows)), legend_px=100)
    places = {place: len(rows) - place for place in range(len(rows))}
    for verdict in (*VERDICTS, None):
        chosen = [
            (places[place], row)
            for place, row in enumerate(rows)
            if row.verdict == verdict and row.estimate.value is not None
        ]
        if not chosen:
            continue
        colour = colours.accent if verdict is None else colours.verdict(verdict)
        figure.add_scatter(
            x=[row.estimate.value for _, row in chosen],
            y=[place for place, _ in chosen],
            mode="markers",
            name=verdict or "change",
            marker={"symbol": "circle" if verdict is None else VERDICTS[verdict].marker, "size": 10, "color": colour},
            error_x=_reach([row.estimate for _, row in chosen], colour),
            hovertext=[row.hover for _, row in chosen],
            hoverinfo="text",
            showlegend=verdict is not None,
        )
    figure.add_vline(x=0, line={"color": colours.muted, "width": 1}, name="no change")
    figure.add_vline(x=margin, line={"color": colours.text, "width": 1.5, "dash": "dash"}, name="margin")
    figure.add_annotation(
        text=margin_words(margin),
        x=margin,
        y=1,
        yref="paper",
        yanchor="bottom",
        showarrow=False,
        font={"size": 12, "color": colours.text, "family": FONT},
    )
    figure.update_xaxes(
        title_text=labelled(found, f"Relative change of {what} (%)"),
        tickformat="+.1~%",
        showgrid=True,
        nticks=5,
        tickangle=0,
    )
    _rows_axis(figure, [row.label for row in rows])
    figure.update_layout(legend={"y": 1.0 + 30 / (70 + _ROW_PX * max(1, len(rows)))})
    return figure


def _rows_axis(figure: go.Figure, names: Sequence[str]) -> None:
    figure.update_yaxes(
        range=[0.4, len(names) + 0.6],
        tickvals=[len(names) - place for place in range(len(names))],
        ticktext=list(names),
        showgrid=False,
    )


def _reach(estimates: Sequence[Estimate], colour: str) -> dict[str, object]:
    values, low, high = ([getattr(one, name) for one in estimates] for name in ("value", "low", "high"))
    return parts.error_bars(values, low, high, colour=colour)


def _users(one: SegmentResult) -> int:
    return one.control.n_users + one.treatment.n_users


def _milliseconds(estimate: Estimate) -> str:
    if estimate.value is None:
        return "no value"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3g} ms (no interval)"
    return f"{estimate.value:.3g} ms ({estimate.low:.3g} to {estimate.high:.3g})"


def _latency_hover(one: LatencyResult) -> str:
    return "<br>".join(
        (
            f"<b>{one.key}: {one.verdict}</b>",
            f"control {_milliseconds(one.control)}",
            f"treatment {_milliseconds(one.treatment)}",
            f"change {written(one.relative)}",
        )
    )


def _segment_hover(one: SegmentResult) -> str:
    return "<br>".join(
        (
            f"<b>{parts.escaped(one.segment)}: {one.verdict}</b>",
            f"{_users(one):,} users",
            f"change {written(one.relative)}",
        )
    )


def _looks(n_looks: int, rate: float) -> str:
    return f"<b>{n_looks:,} look{'' if n_looks == 1 else 's'}</b><br>{100 * rate:.1f} % false alarms"
