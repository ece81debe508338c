"""Pieces that charts share: axes with their units, bands and whiskers for intervals, and series told apart twice."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log2, log10
from typing import TYPE_CHECKING, Any, Literal

import plotly.graph_objects as go

from engine.charts.theme import FONT, Palette, template, translucent
from engine.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.tradeoff.results import Interval

DIMS_TITLE = "Dimensions kept (log₂ scale)"


@dataclass(frozen=True, kw_only=True)
class SeriesStyle:
    """How a series is told from the others: by its colour, and without colour by marker and line."""

    colour: str
    symbol: str
    dash: str


def series_styles(colours: Palette) -> tuple[SeriesStyle, ...]:
    """Return styles for up to four series side by side."""
    return (
        SeriesStyle(colour=colours.accent, symbol="circle", dash="solid"),
        SeriesStyle(colour=colours.safe, symbol="square", dash="dash"),
        SeriesStyle(colour=colours.undecided, symbol="diamond", dash="dot"),
        SeriesStyle(colour=colours.muted, symbol="triangle-up", dash="dashdot"),
    )


def ramp(colours: Palette, n: int) -> tuple[str, ...]:
    """Return `n` colours for an ordered series such as dims, from amber over teal to the accent.

    >>> from engine.charts.theme import LIGHT
    >>> ramp(LIGHT, 2)
    ('#b98500', '#3d4fb0')
    """
    stops = (colours.undecided, colours.safe, colours.accent)
    shades = []
    for place in range(n):
        along = (len(stops) - 1) * (place / (n - 1) if n > 1 else 1.0)
        first = min(int(along), len(stops) - 2)
        shades.append(_between(stops[first], stops[first + 1], along - first))
    return tuple(shades)


def new_figure(colours: Palette, *, height: int, labels: Sequence[str] = (), legend_px: int = 74) -> go.Figure:
    """Start a figure in the colours of the app; `labels` (``synthetic``) stay in a saved picture of it."""
    figure = go.Figure(layout={"template": template(colours), "height": height, "legend": {"entrywidth": legend_px}})
    add_labels(figure, labels, colours=colours)
    return figure


def add_labels(figure: go.Figure, labels: Sequence[str], *, colours: Palette) -> None:
    """Write ``synthetic`` and the like into the figure, so that a saved picture carries them too."""
    if labels:
        figure.add_annotation(
            text=" · ".join(escaped(label) for label in labels),
            xref="paper",
            yref="paper",
            x=1,
            y=0.02,
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": colours.muted, "family": FONT},
        )


def dims_axis(figure: go.Figure, dims: Sequence[int]) -> None:
    """Lay the dims across, on a log2 scale with every dim named."""
    first, last = dims[0], dims[-1]
    margin = max(0.15, 0.03 * log2(last / first)) if last > first else 0.5
    figure.update_xaxes(
        type="log",
        range=[log10(first) - margin * log10(2), log10(last) + margin * log10(2)],
        tickvals=list(dims),
        ticktext=[f"{dim:,}" for dim in dims],
        autotickangles=[0, 90],
        title_text=DIMS_TITLE,
    )


def score_axis(
    figure: go.Figure, values: Iterable[float], *, title: str, top: float | None = None, is_share: bool = False
) -> None:
    """Set the y axis of a score from 0 to 1, or of a share in percent: from zero, unless that wastes the height.

    Then the axis says so.
    """
    drawn = [value for value in values if isfinite(value)]
    lowest, highest = min(drawn, default=0.0), max(drawn, default=1.0) if top is None else top
    start = max(0.0, floor(20 * (lowest - 0.02)) / 20) if lowest > 0.4 * highest else 0.0
    unit = "%" if is_share else "0 to 1"
    figure.update_yaxes(
        range=[start, highest + 0.06 * (highest - start)],
        tickformat=".0%" if is_share else ".2f",
        title_text=f"{title} ({unit})" + (f"<br>axis starts at {start:.2g}" if start > 0 else ""),
    )


def log_ticks(values: Iterable[float], *, steps: Sequence[int] = (1, 2, 5)) -> list[float]:
    """Return round numbers (1, 2 and 5 times powers of ten) around positive `values`; whole decades where many."""
    drawn = [value for value in values if isfinite(value) and value > 0]
    if not drawn:
        return [1.0]
    decades = range(floor(log10(min(drawn))), ceil(log10(max(drawn))) + 1)
    chosen = steps if len(decades) <= 4 else (1,)
    return [step * 10.0**decade for decade in decades for step in chosen]


def log_range(values: Iterable[float], *, margin: float = 0.06) -> list[float]:
    """Return the range of a log axis around positive `values`, as exponents of ten."""
    exponents = [log10(value) for value in values if isfinite(value) and value > 0] or [0.0, 1.0]
    low, high = min(exponents), max(exponents)
    room = max(margin * (high - low), 0.03)
    return [low - room, high + room]


def add_band(
    figure: go.Figure,
    x: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    colour: str,
    colours: Palette,
    name: str,
    legend: str | None = None,
    opacity: float = 1.0,
) -> None:
    """Fill between `low` and `high`; the traces are named ``{name} low`` and ``{name} high``, `legend` shows one."""
    edge: dict[str, Any] = {"x": list(x), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_scatter(**edge, y=list(low), name=f"{name} low", showlegend=False)
    figure.add_scatter(
        **edge,
        y=list(high),
        name=f"{name} high" if legend is None else legend,
        fill="tonexty",
        fillcolor=translucent(colour, opacity * (0.16 if colours.mode == "light" else 0.26)),
        showlegend=legend is not None,
        legendrank=2000,
    )


def error_bars(
    values: Sequence[float | None],
    low: Sequence[float | None],
    high: Sequence[float | None],
    *,
    colour: str,
    thickness: float = 1.5,
    cap: float = 3,
) -> dict[str, Any]:
    """Return error bars from each value to its bounds, of no length where a value or bound is None or not finite."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [_length(*ends) for ends in zip(values, high, strict=True)],
        "arrayminus": [_length(*ends) for ends in zip(low, values, strict=True)],
        "color": colour,
        "thickness": thickness,
        "width": cap,
    }


def whiskers(intervals: Sequence[Interval], *, colour: str, width: float = 1.5) -> dict[str, Any]:
    """Return the error bars that reach from each mean to its bounds."""
    means, low, high = ([getattr(one, name) for one in intervals] for name in ("mean", "low", "high"))
    return error_bars(means, low, high, colour=colour, thickness=width)


def reference_line(
    figure: go.Figure,
    y: float,
    text: str,
    *,
    name: str,
    colours: Palette,
    side: Literal["left", "right"] = "left",
    above: bool = True,
    size: int = 12,
    dash: str = "dash",
) -> None:
    """Draw a line across at `y` with `text` above or below it, at one of its ends."""
    figure.add_hline(
        y=y,
        line={"color": colours.text, "width": 1.5, "dash": dash},
        name=name,
        annotation={
            "text": text,
            "font": {"size": size, "color": colours.text, "family": FONT},
            "x": 0 if side == "left" else 1,
            "xanchor": side,
            "yanchor": "bottom" if above else "top",
        },
    )


def bounds_of(intervals: Iterable[Interval]) -> list[float]:
    """Return every bound, to set an axis by."""
    return [bound for interval in intervals for bound in (interval.low, interval.high)]


def written(value: float) -> str:
    """Write a score with three decimals, or say that there is none."""
    return f"{value:.3f}" if isfinite(value) else "not measured"


def signed(value: float) -> str:
    """Write a change with its sign, a true minus among them: ``−0.120``."""
    return f"{value:+.3f}".replace("-", "−") if isfinite(value) else "not measured"


def written_interval(interval: Interval) -> str:
    """Write an interval as ``0.912 (0.901 to 0.922)``."""
    return f"{written(interval.mean)} ({written(interval.low)} to {written(interval.high)})"


def escaped(text: str, *, longest: int = 40) -> str:
    """Keep Plotly from reading tags or links out of `text`, and cut it where it would push the chart aside.

    Control and bidi characters, which could turn what stands beside it around, become spaces.
    """
    return printable(text, longest=longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _length(start: float | None, end: float | None) -> float:
    reach = 0.0 if start is None or end is None else end - start
    return reach if isfinite(reach) else 0.0


def _between(one: str, other: str, share: float) -> str:
    channels = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in channels)
