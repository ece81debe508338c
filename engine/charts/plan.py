"""The timeline of a plan as a Gantt chart; labels stand above their bars, so that it is read on a phone too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette

_ROW_PX = 36
_FRAME_PX = 120
_BAR = 0.34
_ABOVE = 0.3
_MOST_TICKS = 6
_STEPS = (1, 2, 7, 14, 28, 42, 56, 91, 182, 364, 728, 1820, 3640, 7280, 18_200, 36_400, 72_800)
_THINNEST = 0.004
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, kw_only=True)
class GanttBar:
    """One step: `label` above its bar, from `start_day` on for `days`; steps of one `phase` share a colour.

    `note` is what hovering adds.
    """

    label: str
    phase: str
    start_day: float
    days: float
    note: str


def gantt_chart(
    bars: Sequence[GanttBar], *, start: str, colours: Palette, labels: Sequence[str] = (), now_day: float | None = None
) -> go.Figure:
    """Draw the steps from top to bottom as they were given.

    `start` is the ISO date of day 0, empty where it is open: the axis then counts days. `now_day` draws today.
    """
    phases = list(dict.fromkeys(bar.phase for bar in bars))
    length = max((bar.start_day + bar.days for bar in bars), default=1.0) or 1.0
    figure = parts.new_figure(colours, height=_FRAME_PX + _ROW_PX * len(bars), labels=labels, legend_px=104)
    for phase, colour in zip(phases, parts.ramp(colours, len(phases)), strict=True):
        rows = [(row, bar) for row, bar in enumerate(bars) if bar.phase == phase]
        figure.add_bar(
            orientation="h",
            y=[row for row, _ in rows],
            base=[bar.start_day for _, bar in rows],
            # A step without a length is a moment: a bar as thin as can be seen.
            x=[max(bar.days, _THINNEST * length) for _, bar in rows],
            width=_BAR,
            offset=0.0,
            name=phase,
            marker={"color": colour, "line": {"width": 0}},
            hovertext=[_hover(bar, start) for _, bar in rows],
            hoverinfo="text",
        )
    _add_labels(figure, bars, length, colours)
    if now_day is not None and 0 <= now_day <= length:
        figure.add_vline(
            x=now_day,
            line={"color": colours.muted, "width": 1.5, "dash": "dot"},
            layer="below",
            annotation={
                "text": "today",
                "y": 0,
                "yanchor": "bottom",
                "xanchor": "right" if now_day > length / 2 else "left",
                "font": {"size": 12, "color": colours.muted},
            },
        )
    figure.update_yaxes(range=[len(bars) - 0.4, -0.6], visible=False)
    _day_axis(figure, length, start)
    return figure


def describe_gantt(bars: Sequence[GanttBar], *, start: str) -> str:
    """Say in words what the timeline shows."""
    if not bars:
        return "No steps."
    return "Timeline. " + " ".join(f"{bar.label}: {_when(bar, start)}." for bar in bars)


def _add_labels(figure: go.Figure, bars: Sequence[GanttBar], length: float, colours: Palette) -> None:
    """Write each label above its bar, from its begin to the right or from its end to the left, where there is room."""
    is_left = [bar.start_day <= length - bar.start_day - bar.days for bar in bars]
    figure.add_scatter(
        x=[bar.start_day if left else bar.start_day + bar.days for bar, left in zip(bars, is_left, strict=True)],
        y=[row - _ABOVE for row in range(len(bars))],
        text=[parts.escaped(bar.label, longest=60) for bar in bars],
        textposition=["middle right" if left else "middle left" for left in is_left],
        textfont={"size": 12, "color": colours.text},
        mode="text",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )


def _day_axis(figure: go.Figure, length: float, start: str) -> None:
    step = next((one for one in _STEPS if length / one <= _MOST_TICKS), _STEPS[-1])
    ticks = [step * place for place in range(int(length / step) + 1)]
    first = date.fromisoformat(start) if start else None
    years = "" if first is None else _years(first, length)
    figure.update_xaxes(
        range=[-0.01 * length, 1.02 * length],
        tickvals=ticks,
        ticktext=[f"{tick:,}" if first is None else _day(first, tick, length) for tick in ticks],
        showgrid=True,
        title_text="Days since the start" if first is None else f"Date{years}",
    )


def _years(first: date, length: float) -> str:
    last = (first + timedelta(days=length)).year
    return f" ({first.year})" if last == first.year else f" ({first.year} to {last})"


def _day(first: date, days: float, length: float) -> str:
    day = first + timedelta(days=int(days))
    return f"{_MONTHS[day.month - 1]} {day.year}" if length > 730 else f"{day.day} {_MONTHS[day.month - 1]}"


def _when(bar: GanttBar, start: str) -> str:
    if not start:
        return f"day {round(bar.start_day, 1):g} to {round(bar.start_day + bar.days, 1):g}"
    first = date.fromisoformat(start)
    ends = max(bar.start_day, bar.start_day + bar.days - 1e-9)
    begins, stops = (_full(first + timedelta(days=int(day))) for day in (bar.start_day, ends))
    return begins if begins == stops else f"{begins} to {stops}"


def _full(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _hover(bar: GanttBar, start: str) -> str:
    note = f"<br>{parts.escaped(bar.note, longest=90)}" if bar.note else ""
    return f"<b>{parts.escaped(bar.label, longest=60)}</b><br>{_when(bar, start)}{note}"
