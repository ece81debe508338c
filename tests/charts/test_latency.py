"""Charts of latency show exactly the result's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import DARK, LIGHT, latency
from engine.embeddings.samples import synthetic
from engine.tradeoff.latency.measure import measure_latency

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.latency.results import LatencyResult


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def measured() -> LatencyResult:
    """Measure three dims; 400 timed queries give p99 an interval."""
    return measure_latency(
        synthetic(300, 16, n_queries=500, seed=1), (4, 8, 16), n_threads=2, n_build_threads=1, throughput_seconds=0.002
    )


@pytest.fixture(scope="module")
def few() -> LatencyResult:
    """Measure too few queries for any interval of p99."""
    return measure_latency(
        synthetic(100, 8, n_queries=40, seed=1), (4, 8), paths=("exact",), n_build_threads=1, throughput_seconds=0.002
    )


@pytest.mark.parametrize("percentile", latency.PERCENTILE_NAMES)
def test_curves_and_bands_are_the_percentiles(measured: LatencyResult, percentile: Any) -> None:
    """Every path has its percentile at every dim, with both bounds of its interval filled in between."""
    figure = latency.latency_chart(measured, percentile=percentile, colours=LIGHT)
    for path, name in latency.PATH_NAMES.items():
        values = [getattr(point, f"{percentile}_ms") for point in measured.points if point.path == path]
        assert list(trace(figure, name).x) == [4, 8, 16]
        assert list(trace(figure, name).y) == [value.value for value in values]
        assert list(trace(figure, f"{path} interval low").y) == [value.low for value in values]
        upper = trace(figure, f"{path} interval high")
        assert list(upper.y) == [value.high for value in values]
        assert upper.fill == "tonexty"
    assert "ms" in figure.layout.yaxis.title.text
    assert "log" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.type == "log"


def test_without_an_interval_there_is_no_band(few: LatencyResult) -> None:
    """A percentile that too few samples bound is drawn alone, and the words say that it has no interval."""
    figure = latency.latency_chart(few, percentile="p99", colours=DARK)
    assert len(trace(figure, "exact interval high").y) == 0
    assert len(trace(figure, "migrated copy").y) == 2
    assert "no interval" in latency.describe_latency(few, percentile="p99")


def test_recall_against_latency_shows_every_configuration(measured: LatencyResult) -> None:
    """Each configuration is a marker with whiskers both ways; the line joins the frontier, whose dims are named."""
    figure = latency.recall_latency_chart(measured, colours=LIGHT)
    best = [measured.points[place] for place in measured.frontier()]
    frontier = trace(figure, "Pareto frontier")
    assert list(frontier.x) == [point.p50_ms.value for point in best]
    assert list(frontier.y) == [point.recall.mean for point in best]
    drawn = 0
    for path, name in latency.PATH_NAMES.items():
        points = [point for point in measured.points if point.path == path]
        markers = trace(figure, name)
        assert list(markers.x) == [point.p50_ms.value for point in points]
        assert list(markers.y) == [point.recall.mean for point in points]
        assert list(markers.error_y.array) == [point.recall.high - point.recall.mean for point in points]
        assert list(markers.error_x.array) == [point.p50_ms.high - point.p50_ms.value for point in points]
        assert [bool(text) for text in markers.text] == [point in best for point in points]
        drawn += len(points)
    assert drawn == len(measured.points) == 9


def test_throughput_is_that_of_the_asked_threads(measured: LatencyResult) -> None:
    """The curves are the queries a second measured with just that number of threads."""
    for n_threads in (1, 2):
        figure = latency.throughput_chart(measured, n_threads=n_threads, colours=LIGHT)
        for path, name in latency.PATH_NAMES.items():
            expected = [
                reached.queries_per_s
                for point in measured.points
                if point.path == path
                for reached in point.throughput
                if reached.n_threads == n_threads
            ]
            assert list(trace(figure, name).y) == expected


def test_descriptions_name_every_point(measured: LatencyResult) -> None:
    """The text alternatives name paths, dims and numbers."""
    words = latency.describe_latency(measured, percentile="p50")
    for point in measured.points:
        assert f"{point.dim} {point.p50_ms.value:.3g}" in words
    told = latency.describe_recall_latency(measured)
    assert all(f"at {measured.points[place].dim}" in told for place in measured.frontier())
    assert "2 threads" in latency.describe_throughput(measured, n_threads=2)
