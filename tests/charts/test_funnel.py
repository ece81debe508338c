"""The chart of the funnel shows exactly the result's numbers, and the ceiling above them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import DARK, LIGHT, funnel
from engine.embeddings.samples import load_sample, synthetic
from engine.tradeoff.size.funnel import sweep_funnel

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.size.funnel import FunnelResult


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def measured() -> FunnelResult:
    """Rerank by half of the components, so that recall stays below its ceiling."""
    return sweep_funnel(
        synthetic(400, 16, n_queries=40, seed=1), (4, 8), shortlists=(10, 40, 100), rerank_dim=8, n_resamples=1000
    )


def test_every_dim_has_curve_interval_and_ceiling(measured: FunnelResult) -> None:
    """Recall after the rerank, its bounds and the shortlist's recall are drawn for every dim, over the shortlists."""
    figure = funnel.funnel_chart(measured, quantity="recall", colours=LIGHT)
    below = False
    for dim in measured.dims:
        rows = [row for row in measured.rows if row.dim == dim]
        curve = trace(figure, f"{dim:,}")
        assert list(curve.x) == [10, 40, 100]
        assert list(curve.y) == [row.recall.mean for row in rows]
        assert list(trace(figure, f"{dim} interval low").y) == [row.recall.low for row in rows]
        assert list(trace(figure, f"{dim} interval high").y) == [row.recall.high for row in rows]
        ceiling = trace(figure, f"{dim} ceiling")
        assert list(ceiling.y) == [row.shortlist_recall.mean for row in rows]
        below |= any(value < top for value, top in zip(curve.y, ceiling.y, strict=True))
    assert below
    assert "ceiling" in {drawn.name for drawn in figure.data if drawn.showlegend is not False}


def test_ndcg_stands_beside_that_of_the_full_dimension() -> None:
    """NDCG has no ceiling but the full dimension's value across, with its interval in words."""
    judged = sweep_funnel(load_sample("api-reference"), (64,), shortlists=(10, 50), n_queries=30, n_resamples=1000)
    assert judged.full_ndcg is not None
    figure = funnel.funnel_chart(judged, quantity="ndcg", colours=DARK)
    rows = [row for row in judged.rows if row.dim == 64]
    assert list(trace(figure, "64").y) == [row.ndcg.mean for row in rows if row.ndcg is not None]
    (line,) = figure.layout.shapes
    assert line.y0 == judged.full_ndcg.mean
    assert not any("ceiling" in drawn.name for drawn in figure.data)


def test_description_tells_every_row(measured: FunnelResult) -> None:
    """The text alternative names each dim, shortlist and value."""
    words = funnel.describe_funnel(measured, quantity="recall")
    for row in measured.rows:
        assert f"{row.shortlist} {row.recall.mean:.3f}" in words
