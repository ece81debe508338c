"""Charts of a migration show exactly the numbers they were given."""

from __future__ import annotations

import numpy as np
import pytest

from engine.charts import DARK, LIGHT, migration
from engine.migration.dual_statistics import DualStatistics, Recorder
from engine.migration.results import SearchCheck
from engine.tradeoff.results import Interval

CHECK = SearchCheck(
    k=10,
    n_queries=200,
    queries="given",
    index_recall=Interval(mean=0.95, low=0.93, high=0.97),
    neighbour_recall=Interval(mean=0.66, low=0.63, high=0.69),
    predicted=Interval(mean=0.67, low=0.65, high=0.69),
)


@pytest.fixture(scope="module")
def seen() -> DualStatistics:
    """Return statistics of 500 requests: the new store is twice as fast and shares 7 of 10 results."""
    recorder = Recorder()
    for latency in np.linspace(4, 8, 500):
        for side, factor in ((0, 1.0), (1, 0.5)):
            recorder.asked(side)
            recorder.took(side, factor * latency)
        recorder.answered(degraded=False)
        recorder.compared(overlap=0.7, rank_shift=1.5, old_ms=latency, new_ms=latency / 2)
    return recorder.statistics()


def test_search_check_has_a_row_a_recall() -> None:
    """Both measured recalls and the prediction are drawn with their bounds; without a prediction it is left out."""
    figure = migration.search_check_chart(CHECK, colours=LIGHT)
    assert [trace.x[0] for trace in figure.data] == [0.95, 0.66, 0.67]
    assert figure.data[0].error_x.array[0] == pytest.approx(0.02)
    assert "the sweep predicted 0.670 (0.650 to 0.690)" in migration.describe_search_check(CHECK)
    alone = SearchCheck(**{**vars(CHECK), "predicted": None})
    assert len(migration.search_check_chart(alone, colours=DARK).data) == 2
    assert "predicted" not in migration.describe_search_check(alone)


def test_latency_has_both_stores_with_intervals(seen: DualStatistics) -> None:
    """Each store's percentiles and their bounds are drawn, and told in words."""
    figure = migration.dual_latency_chart(seen, colours=LIGHT)
    old, new = figure.data
    assert list(old.x) == ["p50", "p95", "p99"]
    assert list(old.y) == [one.value for one in seen.old.latency_ms]
    assert list(new.y) == [one.value for one in seen.new.latency_ms]
    assert old.error_y.array[0] == pytest.approx(seen.old.latency_ms[0].high - seen.old.latency_ms[0].value)
    assert "New store: p50 3.00" in migration.describe_dual_latency(seen)


def test_overlap_is_the_share_of_common_results(seen: DualStatistics) -> None:
    """The histogram holds every compared request, and the mean stands in the chart and in words."""
    figure = migration.overlap_chart(seen, colours=DARK)
    assert len(figure.data[0].x) == 500
    assert "0.700" in figure.layout.annotations[0].text
    assert "500 requests compared" in migration.describe_overlap(seen)


def test_nothing_compared_is_said() -> None:
    """Before the first request the charts are empty and the words say so."""
    nothing = Recorder().statistics()
    assert len(migration.overlap_chart(nothing, colours=LIGHT).data[0].x) == 0
    assert migration.describe_overlap(nothing) == "No request has been compared yet."
    assert "not measured" in migration.describe_dual_latency(nothing)
