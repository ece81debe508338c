"""The chart of a cost estimate shows exactly its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.charts import LIGHT, cost
from engine.tradeoff.size.cost import CostAssumptions, Serving, estimate_cost

if TYPE_CHECKING:
    import plotly.graph_objects as go


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def test_bars_add_up_to_the_cost() -> None:
    """Memory, disk and processors are stacked for now and then, and the total is written at the end."""
    estimate = estimate_cost(now=Serving.float32(3072), then=Serving.float32(768))
    figure = cost.cost_chart(estimate, colours=LIGHT)
    fields = {"memory": "memory_cost_per_month", "disk": "disk_cost_per_month", "processors": "vcpu_cost_per_month"}
    for name, field in fields.items():
        assert list(trace(figure, name).x) == [getattr(estimate.now, field), getattr(estimate.then, field)]
        assert list(trace(figure, name).y) == ["now", "then"]
    assert figure.layout.barmode == "stack"
    totals = [annotation.text for annotation in figure.layout.annotations]
    assert totals == [f"{estimate.now.cost_per_month:,.0f}", f"{estimate.then.cost_per_month:,.0f}"]
    assert figure.layout.xaxis.range[1] > estimate.now.cost_per_month


def test_a_currency_with_markup_stays_text() -> None:
    """What the user calls the currency is escaped in titles and under the pointer."""
    figure = cost.cost_chart(estimate_cost(CostAssumptions(currency="<b>x")), colours=LIGHT)
    assert "&lt;b&gt;x" in figure.layout.xaxis.title.text
    assert not any("<b>x" in text for drawn in figure.data for text in drawn.hovertext)


def test_description_tells_both_totals() -> None:
    """The text alternative has what is compared and both totals."""
    estimate = estimate_cost()
    words = cost.describe_cost(estimate)
    assert estimate.now.serving.label in words
    assert f"{estimate.then.cost_per_month:,.2f}" in words
