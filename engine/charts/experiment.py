"""The chart of an experiment's read-out, the change of every metric, and how its numbers are written in words."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from engine.charts import parts
from engine.charts.theme import FONT, VERDICTS, translucent
from engine.experiment.wording import as_start, percent, signed

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.experiment.results import Analysis, Estimate, LatencyResult, MetricResult

_FIXED, _ANYTIME = "fixed: one look", "anytime-valid: any number of looks"
_ROW_PX = 100


def change_chart(found: Analysis, *, colours: Palette) -> go.Figure:
    """Draw the relative change of every metric with its fixed and its anytime-valid interval and its margin.

    Each metric has an axis of its own: a rare event moves by tens of percent where clicks move by one.
    """
    rows = found.metrics
    height = 96 + _ROW_PX * max(1, len(rows))
    figure = parts.new_figure(colours, height=height, legend_px=220)
    _interval_legend(figure, colours=colours)
    layout: dict[str, Any] = {"legend": {"y": 1.0 + 14 / height}, "shapes": [], "annotations": []}
    for place, metric in enumerate(rows):
        number, top = "" if place == 0 else str(place + 1), 1 - place / len(rows)
        figure.add_traces(_row_marks(metric, number, colours=colours))
        margin = signed_margin(metric)
        ends = _row_range(metric, margin)
        layout |= _row_axes(number, ends, top=top, share=1 / len(rows))
        layout["shapes"] += _row_lines(number, margin, ends, colours=colours)
        layout["annotations"] += _row_words(metric, number, margin, ends, y=top, colours=colours)
    lowest = f"xaxis{len(rows)}" if len(rows) > 1 else "xaxis"
    layout[lowest] = {**layout.get(lowest, {}), "title": {"text": labelled(found)}}
    figure.update_layout(layout)
    return figure


def labelled(found: Analysis, *titles: str) -> str:
    """Return the title of a lower axis with what the read-out is labelled (``simulated``) in a line below it."""
    return "<br>".join([*titles, " · ".join(parts.escaped(label) for label in found.labels)])


def describe_changes(found: Analysis) -> str:
    """Say in words what the change chart shows."""
    told = " ".join(
        f"{as_start(one.name)}: {written(one.relative)}, anytime-valid {span(one.anytime)}, "
        f"{margin_words(signed_margin(one))}, {one.verdict}."
        for one in found.metrics
    )
    return f"Relative change of every metric, treatment against control, with {_level(found)} intervals. {told}"


def arm_styles(colours: Palette) -> tuple[parts.SeriesStyle, parts.SeriesStyle]:
    """Return how control and treatment are told apart in every chart."""
    return (
        parts.SeriesStyle(colour=colours.muted, symbol="square", dash="dash"),
        parts.SeriesStyle(colour=colours.accent, symbol="circle", dash="solid"),
    )


def change(value: float | None) -> str:
    """Write a relative change in percent with its sign, a true minus among them: ``−1.2 %``."""
    return "none" if value is None or not isfinite(value) else signed(value).replace("-", "−")


def span(estimate: Estimate) -> str:
    """Write the bounds of a relative change."""
    if estimate.low is None and estimate.high is None:
        return "no interval"
    low, high = ("no limit" if end is None else change(end) for end in (estimate.low, estimate.high))
    return f"{low.removesuffix(' %') if high.endswith('%') else low} to {high}"


def written(estimate: Estimate) -> str:
    """Write a relative change with its interval."""
    return f"{change(estimate.value)} ({span(estimate)})"


def points(value: float) -> str:
    """Write a difference of shares in percentage points with its sign."""
    return f"{100 * value:+.3g}".replace("-", "−") if isfinite(value) else "none"


def signed_margin(result: MetricResult | LatencyResult) -> float:
    """Return the relative change at which a loss is no longer acceptable; latency may only rise.

    Of the relative and the absolute margin the larger one counts, the absolute one read at the control's value.
    """
    control = result.control.value
    absolute = result.margin.absolute / control if result.margin.absolute and control else 0.0
    allowed = max(result.margin.relative, absolute)
    return allowed if getattr(result, "worse", "higher") == "higher" else -allowed


def metric_of(found: Analysis, key: str) -> MetricResult:
    """Return the result of one metric."""
    return next(one for one in found.metrics if one.key == key)


def margin_words(margin: float) -> str:
    """Write a margin with its sign: ``margin −5 %``."""
    return f"margin {change(margin)}"


def plain_hover(hover: str) -> str:
    """Return the words of a hover text on one line, for a text alternative."""
    return hover.replace("<b>", "").replace("</b>", "").replace("<br>", ", ")


def share(value: float | None) -> str:
    """Write a share of queries in percent."""
    return "none" if value is None or not isfinite(value) else percent(value)


def _row_marks(metric: MetricResult, number: str, *, colours: Palette) -> list[dict[str, Any]]:
    """Return the traces of one row: both intervals, the anytime-valid one behind, and the change itself."""
    shared: dict[str, Any] = {
        "type": "scatter",
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "showlegend": False,
    }
    marks = [
        {
            **shared,
            "x": [estimate.low, estimate.high],
            "y": [0, 0],
            "mode": "lines",
            "name": f"{metric.name}, {name}",
            "line": {"color": translucent(colours.verdict(metric.verdict), opacity), "width": width},
            "hoverinfo": "skip",
        }
        for name, estimate, width, opacity in ((_ANYTIME, metric.anytime, 5, 0.45), (_FIXED, metric.relative, 11, 0.9))
        if estimate.low is not None and estimate.high is not None
    ]
    marker = {"symbol": VERDICTS[metric.verdict].marker, "size": 10, "color": colours.text}
    change_mark = {
        **shared,
        "x": [metric.relative.value],
        "y": [0],
        "mode": "markers",
        "name": metric.name,
        "marker": marker,
        "hovertext": [_change_hover(metric)],
        "hoverinfo": "text",
    }
    return [*marks, change_mark]


def _row_axes(number: str, ends: list[float], *, top: float, share: float) -> dict[str, Any]:
    """Return the axes of one row, which begins at `top` and has this `share` of the height."""
    return {
        f"xaxis{number}": {
            "anchor": f"y{number}",
            "domain": [0, 1],
            "range": ends,
            "tickformat": "+.1~%",
            "nticks": 7,
            "showgrid": True,
        },
        f"yaxis{number}": {
            "anchor": f"x{number}",
            "domain": [top - 0.72 * share, top - 0.38 * share],
            "range": [-1, 1],
            "showticklabels": False,
            "showgrid": False,
        },
    }


def _row_lines(number: str, margin: float, ends: list[float], *, colours: Palette) -> list[dict[str, Any]]:
    """Mark no change and the margin of one row that reaches to `ends`, and shade what lies beyond the margin."""
    worse_end = ends[0] if margin < 0 else ends[1]
    upright = {"xref": f"x{number}", "yref": f"y{number} domain", "y0": 0, "y1": 1}
    return [
        {
            **upright,
            "type": "rect",
            "x0": min(margin, worse_end),
            "x1": max(margin, worse_end),
            "fillcolor": translucent(colours.harmful, 0.1 if colours.mode == "light" else 0.2),
            "line": {"width": 0},
            "layer": "below",
            "name": "beyond the margin",
        },
        {
            **upright,
            "type": "line",
            "x0": 0,
            "x1": 0,
            "line": {"color": colours.muted, "width": 1},
            "name": "no change",
        },
        {
            **upright,
            "type": "line",
            "x0": margin,
            "x1": margin,
            "line": {"color": colours.text, "width": 1.5, "dash": "dash"},
            "name": "margin",
        },
    ]


def _row_words(
    metric: MetricResult, number: str, margin: float, ends: list[float], *, y: float, colours: Palette
) -> list[dict[str, Any]]:
    """Write the margin beside its line, and above the row what it shows."""
    style = VERDICTS[metric.verdict]
    return [
        {
            "text": margin_words(margin),
            "x": margin,
            "xref": f"x{number}",
            "y": 1,
            "yref": f"y{number} domain",
            "yanchor": "bottom",
            "xanchor": "left" if margin - ends[0] < ends[1] - margin else "right",
            "showarrow": False,
            "font": {"size": 11, "color": colours.muted, "family": FONT},
        },
        {
            "text": f"<b>{as_start(metric.name)}</b> {written(metric.relative)} {style.symbol} {metric.verdict}",
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": y,
            "yref": "paper",
            "yanchor": "top",
            "showarrow": False,
            "align": "left",
            "font": {"size": 13, "color": colours.text, "family": FONT},
        },
    ]


def _row_range(metric: MetricResult, margin: float) -> list[float]:
    drawn = [0.0, margin]
    for estimate in (metric.relative, metric.anytime):
        drawn += [bound for bound in (estimate.low, estimate.high) if bound is not None and isfinite(bound)]
    room = 0.08 * (max(drawn) - min(drawn))
    return [min(drawn) - room, max(drawn) + room]


def _interval_legend(figure: go.Figure, *, colours: Palette) -> None:
    """Name the two kinds of interval once, in a colour that stands for no verdict."""
    for name, width, opacity in ((_FIXED, 11, 0.9), (_ANYTIME, 5, 0.45)):
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            name=name,
            line={"color": translucent(colours.muted, opacity), "width": width},
            hoverinfo="skip",
        )


def _level(found: Analysis) -> str:
    return f"{100 * found.settings.confidence:g} %"


def _change_hover(metric: MetricResult) -> str:
    return "<br>".join(
        (
            f"<b>{as_start(metric.name)}: {metric.verdict}</b>",
            f"control {share(metric.control.value)}, treatment {share(metric.treatment.value)}",
            f"change {written(metric.relative)}",
            f"anytime-valid {span(metric.anytime)}",
            margin_words(signed_margin(metric)),
        )
    )
