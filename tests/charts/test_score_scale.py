"""The chart of the score scale shows exactly the result's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import LIGHT, score_scale
from engine.embeddings.samples import synthetic
from engine.tradeoff.queries.score_scale import score_scale as measure
from engine.tradeoff.queries.score_scale import translate_cutoff

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.queries.score_scale import CutoffTranslation, ScoreScale


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def scale() -> ScoreScale:
    """Measure the scores of a small synthetic set."""
    return measure(synthetic(400, 16, n_queries=50, seed=1), (4, 8, 16))


@pytest.fixture(scope="module")
def translation(scale: ScoreScale) -> CutoffTranslation:
    """Translate a cut-off near the median."""
    return translate_cutoff(scale, scale.topk[-1].percentiles[50], n_resamples=1000)


@pytest.mark.parametrize("depth", ["top1", "topk"])
def test_spread_and_median_are_the_percentiles(
    scale: ScoreScale, translation: CutoffTranslation, depth: score_scale.Depth
) -> None:
    """Median and the middle 50 % and 90 % at every dim are those of the distribution asked for."""
    figure = score_scale.score_chart(scale, translation, depth=depth, colours=LIGHT)
    spread = score_scale.distributions(scale, depth)
    assert spread == (scale.top1 if depth == "top1" else scale.topk)
    assert list(trace(figure, "median score").y) == [one.percentiles[50] for one in spread]
    for low, high in ((5, 95), (25, 75)):
        assert list(trace(figure, f"p{low} to p{high} low").y) == [one.percentiles[low] for one in spread]
        assert list(trace(figure, f"middle {high - low} % of scores").y) == [one.percentiles[high] for one in spread]


def test_cut_off_is_drawn_as_it_was_and_as_translated(scale: ScoreScale, translation: CutoffTranslation) -> None:
    """The production cut-off lies across; the translated one has a marker and whiskers at every dim."""
    figure = score_scale.score_chart(scale, translation, depth="topk", colours=LIGHT)
    (line,) = figure.layout.shapes
    assert line.y0 == translation.cutoff
    cutoffs = trace(figure, "cut-off, translated")
    assert list(cutoffs.x) == [4, 8, 16]
    assert list(cutoffs.y) == [at.cutoff for at in translation.dims]
    assert list(cutoffs.error_y.array) == [at.high - at.cutoff for at in translation.dims]
    low, high = figure.layout.yaxis.range
    assert all(low <= at.low <= at.high <= high for at in translation.dims)
    assert "cosine" in figure.layout.yaxis.title.text


def test_a_cut_off_beyond_every_score_is_still_drawn(scale: ScoreScale) -> None:
    """A cut-off that nothing reaches stays inside the axis."""
    figure = score_scale.score_chart(scale, translate_cutoff(scale, 3.0, n_resamples=1000), depth="topk", colours=LIGHT)
    low, high = figure.layout.yaxis.range
    assert low < 3.0 < high


def test_description_tells_medians_and_cut_offs(scale: ScoreScale, translation: CutoffTranslation) -> None:
    """The text alternative has the median and the cut-off of every dim."""
    words = score_scale.describe_scores(scale, translation, depth="topk")
    for at, one in zip(translation.dims, scale.topk, strict=True):
        assert f"{at.dim} {at.cutoff:.3f}" in words
        assert f"{at.dim} {one.percentiles[50]:.3f}" in words
