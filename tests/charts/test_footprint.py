"""The chart of storage options shows exactly the result's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import LIGHT, footprint
from engine.embeddings.samples import load_sample, synthetic
from engine.tradeoff.latency.frontier import pareto
from engine.tradeoff.size.footprint import measure_footprint

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts.footprint import Counted
    from engine.tradeoff.size.footprint import FootprintResult


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


@pytest.fixture(scope="module")
def measured() -> FootprintResult:
    """Measure a small synthetic set, which has no judgements."""
    return measure_footprint(synthetic(300, 16, n_queries=40, seed=1), (4, 8), shortlist=20, n_resamples=1000)


@pytest.mark.parametrize("counted", footprint.COUNTED)
def test_every_option_is_drawn(measured: FootprintResult, counted: Counted) -> None:
    """Each type has filled markers without and open ones with a rerank, at its bytes, recall and interval."""
    frontier = pareto([(footprint.bytes_of(row, counted), row.recall.mean) for row in measured.rows])
    figure = footprint.storage_chart(measured, frontier=frontier, quantity="recall", counted=counted, colours=LIGHT)
    drawn = 0
    for dtype in measured.dtypes:
        for rerank in (False, True):
            rows = [row for row in measured.rows if (row.option.dtype, row.option.rerank) == (dtype, rerank)]
            markers = trace(figure, f"{dtype} + rerank" if rerank else dtype)
            assert list(markers.x) == [footprint.bytes_of(row, counted) for row in rows]
            assert list(markers.y) == [row.recall.mean for row in rows]
            assert list(markers.error_y.arrayminus) == [row.recall.mean - row.recall.low for row in rows]
            assert markers.marker.symbol.endswith("-open") == rerank
            drawn += len(rows)
    assert drawn == len(measured.rows)
    line = trace(figure, "Pareto frontier")
    assert list(line.x) == [footprint.bytes_of(measured.rows[place], counted) for place in frontier]
    assert list(line.y) == [measured.rows[place].recall.mean for place in frontier]
    assert {"memory": "in memory", "disk": "on disk"}[counted] in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.type == "log"


def test_ndcg_is_drawn_where_it_was_measured() -> None:
    """With judgements the other axis can be nDCG, with the full dimension across."""
    judged = measure_footprint(
        load_sample("api-reference"), (64,), dtypes=("float32",), shortlist=20, n_queries=30, n_resamples=1000
    )
    figure = footprint.storage_chart(judged, frontier=(), quantity="ndcg", counted="memory", colours=LIGHT)
    plain = [row for row in judged.rows if not row.option.rerank]
    assert list(trace(figure, "float32").y) == [row.ndcg.mean for row in plain if row.ndcg is not None]
    (line,) = figure.layout.shapes
    assert line.y0 == judged.rows[-1].ndcg.mean  # type: ignore[union-attr]  # it was measured
    assert "nDCG@10" in figure.layout.yaxis.title.text


def test_names_of_the_frontier_do_not_lie_on_each_other(measured: FootprintResult) -> None:
    """Of neighbours on the frontier with nearly one value only the first is named."""
    every = tuple(range(len(measured.rows)))
    figure = footprint.storage_chart(measured, frontier=every, quantity="recall", counted="memory", colours=LIGHT)
    named = [text for drawn in figure.data if drawn.text is not None for text in drawn.text if text]
    assert 0 < len(named) < len(every)


def test_description_names_the_frontier(measured: FootprintResult) -> None:
    """The text alternative says what is on the frontier, in bytes and recall."""
    words = footprint.describe_storage(measured, frontier=(0,), quantity="recall", counted="disk")
    assert footprint.option_name(measured.rows[0].option) in words
    assert f"{measured.rows[0].recall.mean:.3f}" in words
    assert "on disk" in words
