"""Chart of a cost estimate: what a month costs now and then, and what of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import parts

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.size.cost import CostEstimate, MonthlyCost


def cost_chart(estimate: CostEstimate, *, colours: Palette) -> go.Figure:
    """Draw the monthly cost now and then as two bars of memory, disk and processors."""
    currency = parts.escaped(estimate.assumptions.currency, longest=8)
    figure = parts.new_figure(colours, height=230, legend_px=96)
    bars = {"now": estimate.now, "then": estimate.then}
    for name, colour, pattern in (
        ("memory", colours.accent, ""),
        ("disk", colours.safe, "/"),
        ("processors", colours.undecided, "."),
    ):
        figure.add_bar(
            x=[_part(month, name) for month in bars.values()],
            y=list(bars),
            orientation="h",
            name=name,
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": colours.background, "size": 6},
            },
            hovertext=[
                f"<b>{when}: {parts.escaped(month.serving.label, longest=80)}</b><br>"
                f"{name} {_part(month, name):,.2f} {currency} a month"
                for when, month in bars.items()
            ],
            hoverinfo="text",
        )
    for when, month in bars.items():
        figure.add_annotation(
            text=f"{month.cost_per_month:,.0f}",
            x=month.cost_per_month,
            y=when,
            xanchor="left",
            xshift=6,
            showarrow=False,
            font={"size": 13, "color": colours.text},
        )
    most = max(month.cost_per_month for month in bars.values())
    figure.update_layout(barmode="stack", bargap=0.4)
    figure.update_xaxes(range=[0, 1.14 * most], title_text=f"{currency} a month", tickformat=",", nticks=6)
    figure.update_yaxes(autorange="reversed", showgrid=False, ticklabelstandoff=6)
    return figure


def describe_cost(estimate: CostEstimate) -> str:
    """Say in words what the cost chart shows."""
    told = [
        f"{when}, {month.serving.label}: {month.cost_per_month:,.2f}, of which "
        + ", ".join(f"{name} {_part(month, name):,.2f}" for name in ("memory", "disk", "processors"))
        for when, month in (("Now", estimate.now), ("Then", estimate.then))
    ]
    return f"Cost a month in {estimate.assumptions.currency}. {'. '.join(told)}."


def _part(month: MonthlyCost, name: str) -> float:
    return {
        "memory": month.memory_cost_per_month,
        "disk": month.disk_cost_per_month,
        "processors": month.vcpu_cost_per_month,
    }[name]
