"""The chart of the nesting diagnosis shows exactly the result's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import LIGHT, nesting
from engine.embeddings.samples import synthetic
from engine.tradeoff.nesting.diagnosis import diagnose

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.nesting.diagnosis import Diagnosis


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def measured() -> Diagnosis:
    """Diagnose a small synthetic set."""
    return diagnose(synthetic(400, 16, n_queries=40, seed=1), (4, 8), n_subsets=3, n_resamples=1000)


def test_every_family_is_drawn_with_its_interval(measured: Diagnosis) -> None:
    """Prefix, random subsets, PCA and tail are curves over the dims with whiskers to their bounds."""
    figure = nesting.nesting_chart(measured, colours=LIGHT)
    families = {
        "prefix": "prefix",
        "random subsets, mean": "random",
        "PCA of the corpus": "projection",
        "tail: the last components": "tail",
    }
    for name, field in families.items():
        values = [getattr(point, field) for point in measured.points]
        curve = trace(figure, name)
        assert list(curve.x) == list(measured.dims) == [4, 8]
        assert list(curve.y) == [value.mean for value in values]
        assert list(curve.error_y.array) == [value.high - value.mean for value in values]
        assert list(curve.error_y.arrayminus) == [value.mean - value.low for value in values]


def test_the_spread_of_the_subsets_is_a_band(measured: Diagnosis) -> None:
    """The band reaches from the worst to the best random subset and says how many there were."""
    figure = nesting.nesting_chart(measured, colours=LIGHT)
    assert list(trace(figure, "random range low").y) == [point.random_low for point in measured.points]
    assert list(trace(figure, "range of 3 random subsets").y) == [point.random_high for point in measured.points]


def test_description_holds_the_verdict(measured: Diagnosis) -> None:
    """The text alternative tells the curves and ends with the verdict's sentences."""
    words = nesting.describe_nesting(measured)
    assert all(sentence in words for sentence in measured.sentences)
    assert f"{measured.points[0].prefix.mean:.3f}" in words
