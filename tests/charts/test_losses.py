"""The charts of who loses show exactly the result's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.charts import DARK, LIGHT, losses
from engine.embeddings.samples import synthetic
from engine.tradeoff import sweep
from engine.tradeoff.queries.losses import losses as read
from engine.tradeoff.queries.segments import QueryClusters

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.queries.losses import Losses

GROUPS = ("large & <b>bold</b>", "x" * 60, "small")


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def found() -> Losses:
    """Read the losses of a small sweep, with two groups that are large enough and one that is not."""
    labels = (GROUPS[0],) * 45 + (GROUPS[1],) * 40 + (GROUPS[2],) * 15
    clusters = QueryClusters(labels=labels, n_clusters=3, n_fitted=100, seed=0)
    return read(sweep(synthetic(400, 16, n_queries=100, seed=1), (4, 16), (1, 10)), 4, k=10, clusters=clusters)


def test_bars_are_the_distribution(found: Losses) -> None:
    """A bar stands for each bin with its count; all queries are in one; mean, interval and p5 are marked."""
    figure = losses.change_chart(found, colours=LIGHT)
    bars = trace(figure, "queries")
    edges = found.distribution.edges
    assert list(bars.y) == found.distribution.counts.tolist()
    assert sum(bars.y) == 100
    assert np.allclose(bars.x, (edges[:-1] + edges[1:]) / 2)
    marks = {shape.name: shape for shape in figure.layout.shapes}
    assert marks["mean"].x0 == found.mean.mean
    assert (marks["mean interval"].x0, marks["mean interval"].x1) == (found.mean.low, found.mean.high)
    assert marks["p5"].x0 == found.p5
    low, high = figure.layout.xaxis.range
    assert low < found.p5 < high


def test_losing_bars_have_another_colour_than_gaining_ones(found: Losses) -> None:
    """Bars below zero are harmful, those above safe, the one around zero neither."""
    bars = trace(losses.change_chart(found, colours=DARK), "queries")
    for centre, colour in zip(bars.x, bars.marker.color, strict=True):
        expected = DARK.muted if abs(centre) < 1e-9 else DARK.harmful if centre < 0 else DARK.safe
        assert colour == expected


def test_segments_have_their_mean_and_interval(found: Losses) -> None:
    """Every group is one marker at its mean, in the order of harm; large ones have whiskers, small ones none."""
    figure = losses.segments_chart(found, colours=LIGHT)
    drawn: dict[float, Any] = {}
    for name in ("clearly worse", "95 % interval"):
        for markers in (one for one in figure.data if one.name == name):
            for x, y, high, low in zip(
                markers.x, markers.y, markers.error_x.array, markers.error_x.arrayminus, strict=True
            ):
                drawn[y] = (x, x - low, x + high)
    small = trace(figure, "too small to judge")
    assert small.error_x.array is None
    drawn |= {y: (x,) for x, y in zip(small.x, small.y, strict=True)}
    for place, segment in enumerate(found.segments):
        values = drawn[len(found.segments) - place]
        assert values[0] == segment.mean
        if segment.change is not None:
            assert values[1:] == pytest.approx((segment.change.low, segment.change.high))
    assert len(small.x) == 1


def test_names_of_groups_are_escaped_and_cut(found: Losses) -> None:
    """Markup in a group's name stays text on the axis and under the pointer, and a long name is cut."""
    figure = losses.segments_chart(found, colours=LIGHT)
    ticks = " ".join(figure.layout.yaxis.ticktext)
    assert "large &amp; &lt;b&gt;" in ticks
    assert "x" * 30 not in ticks
    hovers = " ".join(text for drawn in figure.data for text in drawn.hovertext or ())
    assert "<b>bold</b>" not in hovers.replace("<b>large", "")


def test_descriptions_tell_mean_and_groups(found: Losses) -> None:
    """The text alternatives have the mean change and every group."""
    words = losses.describe_changes(found)
    assert f"{abs(found.mean.mean):.3f}" in words
    assert "100 queries" in words
    told = losses.describe_segments(found)
    assert "small" in told
    assert "too few queries" in told
