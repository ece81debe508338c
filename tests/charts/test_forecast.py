"""The chart of the forecast shows exactly the result's numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import LIGHT, forecast
from engine.embeddings.samples import synthetic
from engine.tradeoff.growth.forecast import forecast as measure

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.growth.forecast import Forecast


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def measured() -> Forecast:
    """Forecast a synthetic set of the smallest size that allows it."""
    return measure(synthetic(2000, 16, n_queries=60, seed=1), (4, 8), target_size=50_000, n_resamples=1000)


def test_measured_trend_and_held_back_are_drawn(measured: Forecast) -> None:
    """Each dim has measured values with whiskers, the trend with its band, and the predictions of held-back sizes."""
    figure = forecast.forecast_chart(measured, dims=(4, 8), colours=LIGHT)
    for one in measured.dims:
        points = trace(figure, f"{one.dim} dims")
        assert list(points.x) == list(measured.sizes)
        assert list(points.y) == [value.mean for value in one.measured]
        assert list(points.error_y.array) == [value.high - value.mean for value in one.measured]
        assert list(trace(figure, f"{one.dim} trend").y) == [value.mean for value in one.line]
        assert list(trace(figure, f"{one.dim} trend interval low").y) == [value.low for value in one.line]
        assert list(trace(figure, f"{one.dim} trend interval high").y) == [value.high for value in one.line]
        held = trace(figure, f"{one.dim} held back")
        assert list(held.x) == [test.size for test in one.held_back]
        assert list(held.y) == [test.predicted.mean for test in one.held_back]
        assert list(held.error_y.arrayminus) == [test.predicted.mean - test.predicted.low for test in one.held_back]
        assert "-open" in held.marker.symbol


def test_the_target_is_marked_and_within_the_axis(measured: Forecast) -> None:
    """The size asked for is an upright line with its number, inside the logarithmic axis."""
    figure = forecast.forecast_chart(measured, dims=(4,), colours=LIGHT)
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 50_000
    assert any("50,000" in annotation.text for annotation in figure.layout.annotations)
    low, high = figure.layout.xaxis.range
    assert low < math.log10(measured.sizes[0]) < math.log10(50_000) < high


def test_only_the_chosen_dims_are_drawn_in_the_colours_they_always_have(measured: Forecast) -> None:
    """A dim left out is not drawn, and the colour of another does not depend on that."""
    both = forecast.forecast_chart(measured, dims=(4, 8), colours=LIGHT)
    one = forecast.forecast_chart(measured, dims=(8,), colours=LIGHT)
    assert not any(drawn.name.startswith("4 ") for drawn in one.data)
    assert trace(one, "8 dims").marker.color == trace(both, "8 dims").marker.color


def test_description_tells_forecast_and_test(measured: Forecast) -> None:
    """The text alternative has the forecast of each shown dim and the sentence on the test."""
    words = forecast.describe_forecast(measured, dims=(4,))
    assert f"{measured.dims[0].at_target.mean:.3f}" in words
    assert "8 dims" not in words
    assert measured.sentence in words
