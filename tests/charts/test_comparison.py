"""Charts of runs side by side: every curve with its interval, every difference with its bounds around zero."""

from __future__ import annotations

import json

import pytest

from engine.charts import DARK, LIGHT
from engine.charts.comparison import comparison_chart, describe_comparison, describe_difference, difference_chart
from engine.tradeoff import DatasetInfo, Interval
from engine.tradeoff.run_comparison import ComparedRun, RunComparison, RunCurve, RunDifference


def interval(mean: float) -> Interval:
    """Return an interval of a tenth."""
    return Interval(mean=mean, low=mean - 0.05, high=mean + 0.05)


def compared(n_runs: int, *, differs: bool = True) -> RunComparison:
    """Return runs whose recall grows with their number; the names would like to be markup."""
    runs = tuple(
        ComparedRun(
            run_id=f"r{number}",
            label=f"<b>run</b> {number}",
            created_at="2026-03-01T09:00:00+00:00",
            dataset=DatasetInfo(name="set", n_docs=9, n_queries=9, dim=64, sha256="0" * 64, labels=("synthetic",)),
            metric="cosine",
            recipe="prefix",
            seed=0,
            dims=(16, 32, 64),
            recommended_dim=None,
            verdict="undecided",
            reason="",
        )
        for number in range(n_runs)
    )
    curves = tuple(
        RunCurve(
            run_id=run.run_id,
            quantity="recall",
            dims=run.dims,
            values=tuple(interval(0.4 + 0.05 * number + step) for step in (0.0, 0.05, 0.1)),
        )
        for number, run in enumerate(runs)
    )
    differences = tuple(
        RunDifference(
            run_id=run.run_id,
            quantity="recall",
            dim=dim,
            difference=interval(0.02 * number),
            is_paired=True,
            n_queries=9,
        )
        for number, run in enumerate(runs[1:], 1)
        for dim in (16, 32)
    )
    return RunComparison(
        k=10,
        seed=0,
        n_resamples=1000,
        runs=runs,
        curves=curves,
        differences=differences if differs else (),
        sentences=(),
        warnings=(),
    )


@pytest.mark.parametrize("n_runs", [2, 8])
def test_every_run_has_a_curve_that_is_told_apart(n_runs: int) -> None:
    """Each has its means, its band and its name; no two share colour and symbol."""
    figure = comparison_chart(compared(n_runs), quantity="recall", colours=LIGHT)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert len(lines) == n_runs
    assert list(lines[1].y) == pytest.approx([0.45, 0.5, 0.55])
    assert len({(line.marker.color, line.marker.symbol) for line in lines}) == n_runs
    assert len([trace for trace in figure.data if trace.fill == "tonexty"]) == n_runs
    assert "&lt;b&gt;run&lt;/b&gt; 0" in lines[0].name
    assert "Recall@10" in figure.layout.yaxis.title.text


def test_differences_stand_around_zero_with_their_bounds() -> None:
    """The first run has none; the others have one at each shared dim, with whiskers, and zero is drawn and in sight."""
    figure = difference_chart(compared(3), quantity="recall", colours=DARK)
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert [trace.name for trace in points] == ["&lt;b&gt;run&lt;/b&gt; 1", "&lt;b&gt;run&lt;/b&gt; 2"]
    assert list(points[1].x) == [16, 32]
    assert list(points[1].error_y.array) == pytest.approx([0.05, 0.05])
    assert [shape.name for shape in figure.layout.shapes] == ["no difference"]
    low, high = figure.layout.yaxis.range
    assert low < -0.03
    assert high > 0.09


def test_nothing_shared_draws_an_empty_chart() -> None:
    """Without a shared dim the chart of differences holds only the line at zero, and its words say none."""
    empty = compared(2, differs=False)
    assert not difference_chart(empty, quantity="recall", colours=LIGHT).data
    assert describe_difference(empty, quantity="recall").endswith("None.")


def test_words_hold_every_value() -> None:
    """The text alternatives name every run, dim, value and verdict."""
    found = compared(2)
    assert "<b>run</b> 1: 16 0.450 (0.400 to 0.500)" in describe_comparison(found, quantity="recall")
    assert "<b>run</b> 1 at 16: +0.020 (−0.030 to +0.070), undecided" in describe_difference(found, quantity="recall")
    assert "<b>run" not in json.dumps(
        comparison_chart(found, quantity="recall", colours=LIGHT).to_plotly_json()["layout"]
    )
