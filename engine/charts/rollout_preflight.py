"""The chart of a pre-flight: the chance of each thing that can go wrong, with its interval, for one setting or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import parts
from engine.rollout.monitor_sentences import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.rollout.preflight_results import Preflight, Probability

_ROW_PX = 46


def chances_chart(settings: Mapping[str, Preflight], *, colours: Palette) -> go.Figure:
    """Draw for each named setting the chance of stopping for nothing and of missing each fault, lower is better."""
    names = list(dict.fromkeys(name for result in settings.values() for name in chances(result)))
    figure = parts.new_figure(colours, height=110 + _ROW_PX * len(names), labels=("simulated",), legend_px=150)
    offsets = _offsets(len(settings))
    styles = parts.series_styles(colours)
    for (setting, result), style, offset in zip(settings.items(), styles, offsets, strict=False):
        known = {name: one for name, one in chances(result).items() if one.n}
        figure.add_scatter(
            x=[100 * one.value for one in known.values()],
            y=[len(names) - 1 - names.index(name) + offset for name in known],
            mode="markers",
            cliponaxis=False,
            name=parts.escaped(setting),
            marker={"size": 9, "symbol": style.symbol, "color": style.colour},
            error_x=parts.error_bars(
                [100 * one.value for one in known.values()],
                [100 * one.low for one in known.values()],
                [100 * one.high for one in known.values()],
                colour=style.colour,
                cap=4,
            ),
            hovertext=[f"<b>{name}</b><br>{parts.escaped(setting)}: {written(one)}" for name, one in known.items()],
            hoverinfo="text",
            showlegend=len(settings) > 1,
        )
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=names[::-1], range=[-0.6, len(names) - 0.4], showgrid=False
    )
    furthest = max(
        (100 * one.high for result in settings.values() for one in chances(result).values() if one.n), default=1
    )
    figure.update_xaxes(
        range=[-0.02 * furthest, 1.05 * furthest], showgrid=True, title_text="Chance, with its 95 % interval (%)"
    )
    return figure


def describe_chances(settings: Mapping[str, Preflight]) -> str:
    """Say in words what the chart shows."""
    told = "; ".join(
        f"{setting}: " + ", ".join(f"{name} {written(one)}" for name, one in chances(result).items() if one.n)
        for setting, result in settings.items()
    )
    return f"Chances of what can go wrong, simulated, with 95 % intervals. {told}."


def chances(result: Preflight) -> dict[str, Probability]:
    """Return what can go wrong by its name: stopping without a fault, and not stopping each fault."""
    found: dict[str, Probability] = {}
    for one in result.scenarios:
        if one.scenario.faults:
            found |= {f"missed: {one.scenario.name}": one.missed, f"only warned: {one.scenario.name}": one.warned_only}
        else:
            found |= {"false rollback": one.roll_back, "false pause": one.pause, "any false alert": one.alert}
    return found


def written(one: Probability) -> str:
    """Write a chance with its interval, or that nothing was counted."""
    return f"{percent(one.value)} ({percent(one.low)} to {percent(one.high)})" if one.n else "nothing to count"


def _offsets(n: int) -> Sequence[float]:
    """Return how far the rows of `n` settings lie beside their name's."""
    return [0.0] if n == 1 else [0.16 - 0.32 * place / (n - 1) for place in range(n)]
