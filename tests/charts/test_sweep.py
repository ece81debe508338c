"""Charts of a sweep show exactly the summary's numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import DARK, LIGHT, VERDICTS, companion_chart, describe, describe_companion, target_chart
from engine.tradeoff import Interval

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff import SweepSummary
    from tests.charts.conftest import MakeSummary


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.mark.parametrize("quantity", ["recall", "ndcg"])
def test_curve_and_band_are_the_summary(make_summary: MakeSummary, quantity: Any) -> None:
    """Mean, lower and upper bound of every dimension are drawn as they are, the band filled between the bounds."""
    summary = make_summary(quantity=quantity)
    figure = target_chart(summary, colours=LIGHT)
    judged = [summary.judged(point) for point in summary.points]
    assert list(trace(figure, "mean").x) == [point.dim for point in summary.points]
    assert list(trace(figure, "mean").y) == [interval.mean for interval in judged]
    assert list(trace(figure, "interval low").y) == [interval.low for interval in judged]
    upper = trace(figure, "95 % interval")
    assert list(upper.y) == [interval.high for interval in judged]
    assert upper.fill == "tonexty"
    assert figure.data.index(upper) == figure.data.index(trace(figure, "interval low")) + 1


def test_every_verdict_has_its_marker(make_summary: MakeSummary) -> None:
    """Each dimension is marked once, with the symbol and colour of its verdict, and named in the legend."""
    summary = make_summary()
    figure = target_chart(summary, colours=DARK)
    marked = {}
    for verdict, style in VERDICTS.items():
        markers = trace(figure, verdict)
        assert markers.marker.symbol == style.marker
        assert markers.marker.color == DARK.verdict(verdict)
        assert markers.showlegend is not False
        marked |= dict(zip(markers.x, [verdict] * len(markers.x), strict=True))
    assert marked == {point.dim: point.verdict for point in summary.points}


def test_absent_verdicts_are_not_in_the_legend(make_summary: MakeSummary) -> None:
    """A verdict that no dimension has takes no place in the legend."""
    summary = make_summary()
    without = replace(summary, points=tuple(point for point in summary.points if point.verdict != "undecided"))
    assert "undecided" not in {drawn.name for drawn in target_chart(without, colours=LIGHT).data}


def test_target_is_a_line(make_summary: MakeSummary) -> None:
    """The target is drawn across the chart at its value and named."""
    figure = target_chart(make_summary(), colours=LIGHT)
    (line,) = figure.layout.shapes
    assert line.y0 == line.y1 == 0.95
    assert "target 0.95" in {annotation.text for annotation in figure.layout.annotations}


def test_recommended_dimension_is_ringed(make_summary: MakeSummary) -> None:
    """The recommended dimension is ringed and labelled; without a recommendation nothing is."""
    figure = target_chart(make_summary(recommended=256), colours=LIGHT)
    assert list(trace(figure, "recommended").x) == [256]
    assert any("keep 256" in annotation.text for annotation in figure.layout.annotations)
    none = target_chart(make_summary(recommended=None), colours=LIGHT)
    assert "recommended" not in {drawn.name for drawn in none.data}
    assert not any("keep" in annotation.text for annotation in none.layout.annotations)


def test_dims_are_on_a_log_axis_with_every_dim_labelled(make_summary: MakeSummary) -> None:
    """The x axis is logarithmic, holds every point and labels exactly the dims swept."""
    axis = target_chart(make_summary(), colours=LIGHT).layout.xaxis
    assert axis.type == "log"
    assert list(axis.ticktext) == ["64", "128", "192", "256", "512"]
    assert axis.range[0] < math.log10(64)
    assert axis.range[1] > math.log10(512)


def test_truncated_axis_says_so(make_summary: MakeSummary) -> None:
    """A y axis that does not start at zero says where it starts; one that does says nothing."""
    high = target_chart(make_summary(recalls=(0.90, 0.92, 0.94, 0.97, 1.0)), colours=LIGHT).layout.yaxis
    assert high.range[0] == pytest.approx(0.85)
    assert "axis starts at 0.85" in high.title.text
    low = target_chart(make_summary(), colours=LIGHT).layout.yaxis
    assert low.range[0] == 0
    assert "starts" not in low.title.text


def test_axes_carry_units(make_summary: MakeSummary) -> None:
    """Recall is named as 0 to 1, kept nDCG in percent, and dims by their scale."""
    recall = target_chart(make_summary(), colours=LIGHT).layout
    assert recall.yaxis.title.text == "Recall@10 (0 to 1)"
    assert "log" in recall.xaxis.title.text
    kept = target_chart(make_summary(quantity="ndcg"), colours=LIGHT).layout
    assert kept.yaxis.title.text == "nDCG@10 kept (%)"
    assert kept.yaxis.tickformat == ".0%"


def test_hover_gives_the_numbers(make_summary: MakeSummary) -> None:
    """Hovering a point tells dimension, mean, interval, bytes and verdict."""
    words = trace(target_chart(make_summary(), colours=LIGHT), "undecided").hovertext[0]
    for part in ("192 dimensions", "Recall@10 0.940", "0.920 to 0.950", "768 bytes a vector", "undecided"):
        assert part in words


@pytest.mark.parametrize(("quantity", "attribute"), [("recall", "ndcg"), ("ndcg", "recall")])
def test_companion_shows_the_other_quantity(make_summary: MakeSummary, quantity: Any, attribute: str) -> None:
    """Beside a recall target nDCG is drawn, beside an nDCG target recall, with its band."""
    summary = make_summary(quantity=quantity)
    figure = companion_chart(summary, colours=LIGHT)
    assert figure is not None
    other = [getattr(point, attribute)[10] for point in summary.points]
    assert list(trace(figure, "mean").y) == [interval.mean for interval in other]
    assert list(trace(figure, "interval low").y) == [interval.low for interval in other]
    assert list(trace(figure, "95 % interval").y) == [interval.high for interval in other]


def test_no_companion_without_judgements(make_summary: MakeSummary) -> None:
    """Without relevance judgements there is no second chart and no description of one."""
    summary = make_summary(judged=False)
    assert companion_chart(summary, colours=LIGHT) is None
    assert describe_companion(summary) is None


def test_labels_are_in_the_picture(make_summary: MakeSummary) -> None:
    """A saved picture says that its data is synthetic, and a label's markup stays text."""
    figure = target_chart(make_summary(labels=("synthetic", "<a href='x'>b</a>")), colours=LIGHT)
    texts = [annotation.text for annotation in figure.layout.annotations]
    assert "synthetic · &lt;a href='x'&gt;b&lt;/a&gt;" in texts


def test_description_tells_every_point(make_summary: MakeSummary) -> None:
    """The text alternative names every dimension, its interval and verdict, the target and the reason."""
    summary = make_summary()
    words = describe(summary)
    assert "target 0.95" in words
    assert "Because it is so." in words
    for point in summary.points:
        assert f"{point.dim}: {point.recall[10].mean:.3f}" in words
    assert words.count("harmful") == 2


def unmeasured(summary: SweepSummary) -> SweepSummary:
    nothing = Interval(mean=math.nan, low=math.nan, high=math.nan)
    points = tuple(replace(point, recall={10: nothing}, verdict="undecided") for point in summary.points)
    return replace(summary, points=points)


def test_values_that_were_not_measured_are_drawn_as_nothing(make_summary: MakeSummary) -> None:
    """A sweep in which nothing could be measured still gives a chart with a finite axis, and says so in words."""
    summary = unmeasured(make_summary(judged=False, recommended=None))
    figure = target_chart(summary, colours=LIGHT)
    assert all(math.isfinite(bound) for bound in figure.layout.yaxis.range)
    assert "not measured" in describe(summary)


def test_a_single_dimension_has_a_chart(make_summary: MakeSummary) -> None:
    """A sweep of the full dimension alone has an axis around that one point."""
    summary = make_summary()
    figure = target_chart(replace(summary, points=summary.points[-1:]), colours=LIGHT)
    low, high = figure.layout.xaxis.range
    assert low < math.log10(512) < high
