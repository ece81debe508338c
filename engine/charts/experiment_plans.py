"""Charts around an experiment: what more users would show, and which of two lists interleaving prefers."""

from __future__ import annotations

from math import isfinite, log10
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.experiment import change
from engine.charts.theme import FONT
from engine.experiment.wording import percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.experiment.interleaved import InterleavedTraffic
    from engine.experiment.planning import PowerPlan

_NAMES = {"non-inferiority": "chance to rule the loss out", "superiority": "chance to find the change"}


def power_chart(plan: PowerPlan, *, colours: Palette, n_users: int | None = None) -> go.Figure:
    """Draw the power against the users of both arms, with the power asked for; `n_users` marks a test that ran."""
    figure = parts.new_figure(colours, height=360, legend_px=150)
    users, power = plan.curve_users.tolist(), plan.curve_power.tolist()
    figure.add_scatter(
        x=users,
        y=power,
        mode="lines",
        name="power",
        line={"color": colours.accent, "width": 2.5},
        hovertext=[
            f"<b>{count:,} users</b><br>{_NAMES[plan.question]} {percent(chance)}<br>a two-sided test finds "
            f"{_detected(detectable)}"
            for count, chance, detectable in zip(users, power, plan.curve_detectable.tolist(), strict=True)
        ],
        hoverinfo="text",
        showlegend=False,
    )
    _mark_needed(figure, plan, colours=colours)
    if n_users is not None and users[0] <= n_users <= users[-1]:
        _mark_test(figure, n_users, colours=colours)
    figure.update_layout(margin={"t": 24})
    ticks = parts.log_ticks(users)
    figure.update_xaxes(
        type="log",
        range=parts.log_range(users),
        tickvals=ticks,
        ticktext=[f"{tick:,.0f}" for tick in ticks],
        title_text="Users of both arms together (log scale)",
    )
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%", title_text=f"Power: {_NAMES[plan.question]} (%)")
    return figure


def _mark_needed(figure: go.Figure, plan: PowerPlan, *, colours: Palette) -> None:
    """Mark the power that was asked for and the users that it takes."""
    asked = plan.settings.power
    figure.add_scatter(
        x=[plan.n_users],
        y=[asked],
        mode="markers+text",
        name="needed",
        marker={"size": 12, "symbol": "diamond", "color": colours.text},
        text=[f"{plan.n_users:,} users"],
        textposition="bottom right",
        textfont={"size": 13, "color": colours.text},
        hoverinfo="skip",
        showlegend=False,
    )
    parts.reference_line(figure, asked, f"asked for {percent(asked)}", name="asked for", colours=colours)


def _mark_test(figure: go.Figure, n_users: int, *, colours: Palette) -> None:
    figure.add_vline(x=n_users, line={"color": colours.muted, "width": 1.5, "dash": "dot"}, name="this test")
    figure.add_annotation(
        text=f"this test: {n_users:,}",
        x=log10(n_users),  # of a log axis, an annotation takes the exponent
        y=1,
        yref="paper",
        yanchor="bottom",
        showarrow=False,
        font={"size": 12, "color": colours.muted, "family": FONT},
    )


def preference_chart(found: InterleavedTraffic, *, colours: Palette) -> go.Figure:
    """Draw the share of pages that preferred the control's list, with its interval, against no preference at 50 %."""
    wins, (control, treatment) = found.preference, found.dims
    figure = parts.new_figure(colours, height=200, legend_px=150)
    bounds = (wins.low or 0.0, wins.high or 0.0)
    figure.add_scatter(
        x=[wins.share],
        y=[0],
        mode="markers",
        name="preference",
        marker={"size": 12, "color": colours.accent},
        error_x=parts.error_bars([wins.share], [wins.low], [wins.high], colour=colours.accent, thickness=2, cap=4),
        hovertext=[describe_preference(found)],
        hoverinfo="text",
        showlegend=False,
    )
    figure.add_vline(x=0.5, line={"color": colours.text, "width": 1.5, "dash": "dash"}, name="no preference")
    reach = max(0.01, *(abs(bound - 0.5) for bound in bounds)) if wins.share is not None else 0.05
    labels = " · ".join(parts.escaped(label) for label in found.labels)
    figure.update_xaxes(
        range=[0.5 - 1.25 * reach, 0.5 + 1.25 * reach],
        tickformat=".1~%",
        nticks=6,
        showgrid=True,
        title_text=f"Decided pages that preferred {control:,} to {treatment:,} dims (%)<br>{labels}",
    )
    figure.update_yaxes(range=[-1, 1], showticklabels=False, showgrid=False)
    _name_sides(figure, f"← {treatment:,} preferred", f"{control:,} preferred →", colours=colours)
    return figure


def _name_sides(figure: go.Figure, left: str, right: str, *, colours: Palette) -> None:
    for text, x, anchor in ((left, 0, "left"), (right, 1, "right")):
        figure.add_annotation(
            text=text,
            x=x,
            xref="paper",
            xanchor=anchor,
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12, "color": colours.muted, "family": FONT},
        )


def describe_power(plan: PowerPlan) -> str:
    """Say in words how the power grows with the users."""
    users, power = plan.curve_users.tolist(), plan.curve_power.tolist()
    told = "; ".join(
        f"{users[place]:,} users {percent(power[place])}" for place in sorted({0, len(users) // 2, len(users) - 1})
    )
    return (
        f"Power, the {_NAMES[plan.question]}, against the users of both arms: {told}. "
        f"{percent(plan.settings.power)} needs {plan.n_users:,} users."
    )


def describe_preference(found: InterleavedTraffic) -> str:
    """Say in words which list was preferred."""
    wins = found.preference
    if wins.share is None or wins.low is None or wins.high is None:
        return "No page preferred a list."
    return (
        f"{percent(wins.share)} of the decided pages ({percent(wins.low)} to {percent(wins.high)}) preferred "
        f"{found.dims[0]:,} to {found.dims[1]:,} dimensions."
    )


def _detected(change_found: float) -> str:
    return f"a change of {change(change_found)}" if isfinite(change_found) else "no change"
