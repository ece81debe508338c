"""Charts of what a monitor sees: one metric at every look, with its interval, baseline, thresholds and breaches."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.rollout import time_axis, wall, written_moment
from engine.experiment.wording import as_start
from engine.rollout.monitor_sentences import change_in_words, value_in_words
from engine.rollout.thresholds import METRIC_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, tzinfo

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.rollout.monitor_results import Reading, Status, WindowName
    from engine.rollout.series import LookPoint
    from engine.rollout.thresholds import Metric

    _Look = tuple[LookPoint, Reading]

_HEIGHT_PX = 340
_DRAWN = ("value", "value_low", "value_high", "baseline", "alert_at", "roll_back_at")
_MARKS: tuple[tuple[Status, str], ...] = (("warning", "triangle-up"), ("critical", "x"), ("roll back", "x-open"))


def metric_chart(
    points: Sequence[LookPoint],
    metric: Metric,
    *,
    colours: Palette,
    zone: tzinfo = UTC,
    window: WindowName = "latest",
    labels: Sequence[str] = (),
) -> go.Figure:
    """Draw one metric of the treatment at every look, with its interval, what it is compared with and both thresholds.

    `window` is the latest day or the whole stage so far. Lines end where a stage ends: no window reaches over two.
    """
    looks = _looks(points, metric, window)
    figure = parts.new_figure(colours, height=_HEIGHT_PX, legend_px=84)
    for rank, name, field, dash, colour in (  # where thresholds coincide both colours are seen
        (1004, "roll back at", "roll_back_at", "solid", colours.harmful),
        (1003, "alert at", "alert_at", "dash", colours.undecided),
        (1002, "compared with", "baseline", "dot", colours.muted),
    ):
        values = _line(looks, field, metric)
        figure.add_scatter(
            x=_moments(looks, zone),
            y=values,
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 1.5, "dash": dash},
            # A stage of one look has no line to be seen by.
            marker={"size": 9, "symbol": "line-ew-open", "color": colour, "line": {"width": 1.5}},
            hoverinfo="skip",
            showlegend=any(value is not None for value in values),
            legendrank=rank,
        )
    _add_values(figure, looks, metric, zone, colours=colours)
    _add_breaches(figure, looks, metric, zone, colours=colours)
    _value_axis(figure, looks, metric)
    time_axis(figure, zone, labels=labels)
    return figure


def describe_metric(
    points: Sequence[LookPoint], metric: Metric, *, zone: tzinfo = UTC, window: WindowName = "latest"
) -> str:
    """Say in words how a metric stands now, and when it raised alerts."""
    name, looks = METRIC_NAMES[metric], _looks(points, metric, window)
    if not looks:
        return f"The {name} over time: nothing has been observed yet."
    beyond = [f"{written_moment(point.at, zone)} {one.status}" for point, one in looks if one.status in dict(_MARKS)]
    return (
        f"The {name} at {len(looks):,} looks, with intervals, what it is compared with and thresholds. "
        f"Newest: {looks[-1][1].sentence} Beyond a threshold: {'; '.join(beyond) or 'never'}."
    )


def _looks(points: Sequence[LookPoint], metric: Metric, window: WindowName) -> list[_Look]:
    found = []
    for point in points:
        readings = {one.window: one for one in point.readings if one.metric == metric}
        # At the first look of a stage both windows are one, which goes by the name of the stage.
        reading = readings.get(window) or readings.get("stage")
        if reading is not None and reading.value is not None:
            found.append((point, reading))
    return found


def _with_gaps(looks: Sequence[_Look]) -> Iterable[tuple[_Look, bool]]:
    """Yield every look, and before the first of a later stage that look once more as the place of a gap."""
    for place, look in enumerate(looks):
        if place and look[0].stage_index != looks[place - 1][0].stage_index:
            yield look, True
        yield look, False


def _moments(looks: Sequence[_Look], zone: tzinfo) -> list[datetime]:
    return [wall(point.at, zone) for (point, _), _ in _with_gaps(looks)]


def _line(looks: Sequence[_Look], field: str, metric: Metric) -> list[float | None]:
    return [None if is_gap else _shown(getattr(one, field), metric) for (_, one), is_gap in _with_gaps(looks)]


def _shown(value: float | None, metric: Metric) -> float | None:
    """Return a value in the unit of its axis: ms, or percent of a share."""
    return value if value is None or metric == "p99" else 100 * value


def _add_values(figure: go.Figure, looks: Sequence[_Look], metric: Metric, zone: tzinfo, *, colours: Palette) -> None:
    values, low, high = (_line(looks, field, metric) for field in ("value", "value_low", "value_high"))
    figure.add_scatter(
        x=_moments(looks, zone),
        y=values,
        mode="lines+markers",
        name="treatment",
        legendrank=1001,
        line={"color": colours.accent, "width": 2},
        marker={"size": 7, "color": colours.accent},
        error_y=parts.error_bars(values, low, high, colour=colours.accent),
        hovertext=["" if is_gap else _hover(look, metric, zone) for look, is_gap in _with_gaps(looks)],
        hoverinfo="text",
    )


def _add_breaches(figure: go.Figure, looks: Sequence[_Look], metric: Metric, zone: tzinfo, *, colours: Palette) -> None:
    shades = {"warning": colours.undecided, "critical": colours.harmful, "roll back": colours.harmful}
    for status, symbol in _MARKS:
        beyond = [look for look in looks if look[1].status == status]
        figure.add_scatter(
            x=[wall(point.at, zone) for point, _ in beyond],
            y=[_shown(one.value, metric) for _, one in beyond],
            mode="markers",
            name=status,
            marker={
                "size": 14,
                "symbol": symbol,
                "color": shades[status],
                "line": {"width": 3 if symbol.endswith("open") else 1.5, "color": shades[status]},
            },
            hovertext=[_hover(look, metric, zone) for look in beyond],
            hoverinfo="text",
            showlegend=bool(beyond),
            legendrank=1005,
        )


def _value_axis(figure: go.Figure, looks: Sequence[_Look], metric: Metric) -> None:
    drawn = [value for field in _DRAWN for value in _line(looks, field, metric) if value is not None]
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    room = 0.08 * ((high - low) or high or 1.0)
    start = low - room if low > 0.3 * high else 0.0
    name, unit = METRIC_NAMES[metric], "ms" if metric == "p99" else "%"
    cut = f"<br>axis starts at {start:.3g}" if start > 0 else ""
    figure.update_yaxes(range=[start, high + room], title_text=f"{as_start(name)} ({unit}){cut}")


def _hover(look: _Look, metric: Metric, zone: tzinfo) -> str:
    point, one = look
    lines = [f"<b>{written_moment(point.at, zone)}</b>, {point.percent:g} % of the users"]
    if one.value is not None:
        lines.append(f"treatment {value_in_words(metric, one.value)}")
    if one.baseline is not None:
        lines.append(f"{one.reference} {value_in_words(metric, one.baseline)}")
    if one.change is not None:
        low, high = ("no limit" if end is None else change_in_words(end) for end in (one.low, one.high))
        lines.append(f"{change_in_words(one.change)}, interval {low} to {high}")
    for value, what in ((one.alert_at, "alert beyond"), (one.roll_back_at, "roll back beyond")):
        if value is not None:
            lines.append(f"{what} {value_in_words(metric, value)}")
    return "<br>".join([*lines, f"<b>{one.status}</b>"])
