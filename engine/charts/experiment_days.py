"""Charts of an experiment by day: the change so far with both bands, the difference of each day, and the traffic."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from engine.charts import parts
from engine.charts.experiment import (
    arm_styles,
    change,
    labelled,
    margin_words,
    metric_of,
    plain_hover,
    points,
    share,
    signed_margin,
)
from engine.experiment.wording import as_start

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.experiment.results import Analysis, DailyMetric, MetricResult

_NO_LEGEND_PX = 12
_CALM = 0.35  # the share of the days, the last ones, that sets the scale: a cumulative band begins very wide


def cumulative_chart(found: Analysis, metric: str, *, colours: Palette) -> go.Figure:
    """Draw the relative change of `metric` as it stood at the end of every day, with both bands and the margin."""
    daily, result = _daily(found, metric), metric_of(found, metric)
    figure = parts.new_figure(colours, height=420, legend_px=250)
    bands = (  # the wider one first: it lies behind
        ("anytime-valid band, holds on every day", daily.anytime_low, daily.anytime_high, colours.accent, 0.75),
        ("fixed band, holds on one day only", daily.low, daily.high, colours.accent, 1.35),
    )
    for name, low, high, colour, opacity in bands:
        rows = [place for place in range(len(low)) if isfinite(low[place]) and isfinite(high[place])]
        dates: list[Any] = [found.daily.dates[place] for place in rows]
        parts.add_band(
            figure,
            dates,
            [float(low[place]) for place in rows],
            [float(high[place]) for place in rows],
            colour=colour,
            colours=colours,
            name=name.partition(",")[0],
            legend=name,
            opacity=opacity,
        )
    seen = [place for place in range(len(daily.relative)) if isfinite(daily.relative[place])]
    figure.add_scatter(
        x=[found.daily.dates[place] for place in seen],
        y=[float(daily.relative[place]) for place in seen],
        mode="lines+markers",
        name="relative change so far",
        line={"color": colours.accent, "width": 2.5},
        marker={"size": 6, "color": colours.accent},
        hovertext=[_cumulative_hover(found, daily, place) for place in seen],
        hoverinfo="text",
        showlegend=False,
    )
    _no_change(figure, colours=colours)
    _margin_line(figure, result, colours=colours)
    ends = _calm_range(daily, result)
    is_cut = any(not ends[0] <= bound <= ends[1] for bound in (*_bounds(daily), *daily.relative) if isfinite(bound))
    cut = "<br>bands reach beyond the axis" if is_cut else ""
    figure.update_yaxes(range=ends, tickformat="+.1~%", title_text=f"Change of {daily.name} so far, relative (%){cut}")
    _day_axis(figure, found)
    return figure


def daily_chart(found: Analysis, metric: str, *, colours: Palette) -> go.Figure:
    """Draw the difference of `metric` on each day alone, in percentage points with its interval by user."""
    daily = _daily(found, metric)
    figure = parts.new_figure(colours, height=320, legend_px=160)
    seen = [place for place in range(len(daily.difference)) if isfinite(daily.difference[place])]
    values, low, high = (
        [100 * float(series[place]) for place in seen]
        for series in (daily.difference, daily.difference_low, daily.difference_high)
    )
    figure.add_scatter(
        x=[found.daily.dates[place] for place in seen],
        y=values,
        mode="markers",
        name="difference that day",
        marker={"size": 8, "color": colours.accent},
        error_y=parts.error_bars(values, low, high, colour=colours.accent),
        hovertext=[_daily_hover(found, daily, place) for place in seen],
        hoverinfo="text",
        showlegend=False,
    )
    _no_change(figure, colours=colours)
    figure.update_layout(margin={"t": _NO_LEGEND_PX})
    title = f"{as_start(daily.name)}, treatment − control<br>(percentage points)"
    figure.update_yaxes(title_text=title, tickformat="+~g")
    _day_axis(figure, found)
    return figure


def traffic_chart(found: Analysis, *, colours: Palette) -> go.Figure:
    """Draw how many users of each arm were active on every day."""
    figure = parts.new_figure(colours, height=300, legend_px=150)
    for arm, style in zip(range(len(found.arms)), arm_styles(colours), strict=False):
        name = parts.escaped(found.arms[arm].name)
        users, queries = found.daily.n_users[arm].tolist(), found.daily.n_queries[arm].tolist()
        figure.add_scatter(
            x=list(found.daily.dates),
            y=users,
            mode="lines+markers",
            name=name,
            line={"color": style.colour, "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 7, "color": style.colour},
            hovertext=[
                f"<b>{date}, {name}</b><br>{n_users:,} users, {n_queries:,} queries"
                for date, n_users, n_queries in zip(found.daily.dates, users, queries, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_yaxes(title_text="Active users a day", rangemode="tozero", tickformat=",")
    _day_axis(figure, found)
    return figure


def describe_cumulative(found: Analysis, metric: str) -> str:
    """Say in words how the cumulative change begins and ends."""
    daily, result = _daily(found, metric), metric_of(found, metric)
    seen = [place for place in range(len(daily.relative)) if isfinite(daily.relative[place])]
    told = "; ".join(plain_hover(_cumulative_hover(found, daily, place)) for place in seen[:1] + seen[1:][-1:])
    return (
        f"Relative change of {daily.name} as it stood at the end of each of {len(found.daily.dates)} days, "
        f"{margin_words(signed_margin(result))}. First and last day: {told}."
    )


def describe_daily(found: Analysis, metric: str) -> str:
    """Say in words the difference of every day."""
    daily = _daily(found, metric)
    told = "; ".join(
        f"{found.daily.dates[place]} {points(float(daily.difference[place]))}"
        for place in range(len(daily.difference))
        if isfinite(daily.difference[place])
    )
    return f"Difference of {daily.name} on each day alone, treatment minus control, in percentage points: {told}."


def describe_traffic(found: Analysis) -> str:
    """Say in words how many users each arm had."""
    told = "; ".join(
        f"{arm.name}: {min(users):,} to {max(users):,} a day"
        for arm, users in zip(found.arms, found.daily.n_users.tolist(), strict=True)
        if users
    )
    return f"Active users a day over {len(found.daily.dates)} days. {told}."


def _day_axis(figure: go.Figure, found: Analysis) -> None:
    """Lay the days across, with half a day of room on both sides so that a single day is seen too."""
    figure.update_xaxes(type="date", title_text=labelled(found, "Day"), tickformat="%d %b", nticks=8)
    if len(found.daily.dates) == 1:
        figure.update_xaxes(tickvals=list(found.daily.dates))


def _no_change(figure: go.Figure, *, colours: Palette) -> None:
    figure.add_hline(y=0, line={"color": colours.muted, "width": 1}, name="no change")


def _margin_line(figure: go.Figure, result: MetricResult, *, colours: Palette) -> None:
    margin = signed_margin(result)
    parts.reference_line(
        figure, margin, margin_words(margin), name="margin", colours=colours, above=margin >= 0, size=13
    )


def _calm_range(daily: DailyMetric, result: MetricResult) -> list[float]:
    """Return a range that holds the bands of the last days and the margin: the first days reach far beyond."""
    from_day = int(len(daily.relative) * (1 - _CALM))
    drawn = [0.0, signed_margin(result)]
    drawn += [bound for bound in _bounds(daily, from_day=from_day) if isfinite(bound)]
    drawn += [float(value) for value in daily.relative if isfinite(value) and abs(value) < 4 * max(map(abs, drawn))]
    room = 0.15 * (max(drawn) - min(drawn))
    return [min(drawn) - room, max(drawn) + room]


def _bounds(daily: DailyMetric, *, from_day: int = 0) -> list[float]:
    """Return every bound of both bands, from a day on."""
    bands = (daily.anytime_low, daily.anytime_high, daily.low, daily.high)
    return [float(bound) for bounds in bands for bound in bounds[from_day:]]


def _daily(found: Analysis, metric: str) -> DailyMetric:
    return next(one for one in found.daily.metrics if one.key == metric)


def _cumulative_hover(found: Analysis, daily: DailyMetric, place: int) -> str:
    def reach(low: float, high: float) -> str:
        return f"{change(float(low))} to {change(float(high))}"

    return "<br>".join(
        (
            f"<b>{found.daily.dates[place]}</b>",
            f"change so far {change(float(daily.relative[place]))}",
            f"fixed {reach(daily.low[place], daily.high[place])}",
            f"anytime-valid {reach(daily.anytime_low[place], daily.anytime_high[place])}",
        )
    )


def _daily_hover(found: Analysis, daily: DailyMetric, place: int) -> str:
    bounds = f"{points(float(daily.difference_low[place]))} to {points(float(daily.difference_high[place]))}"
    return "<br>".join(
        (
            f"<b>{found.daily.dates[place]}</b>",
            f"control {share(float(daily.control[place]))}, treatment {share(float(daily.treatment[place]))}",
            f"difference {points(float(daily.difference[place]))} points, {bounds}",
        )
    )
