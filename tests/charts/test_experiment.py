"""The charts of an experiment show exactly the analysis's numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.charts import DARK, LIGHT, experiment, experiment_checks, experiment_days, experiment_plans
from engine.experiment.interleaved import InterleavedTraffic
from engine.experiment.interleaving import preference
from engine.experiment.planning import PlanSettings, plan_experiment
from engine.experiment.results import (
    Analysis,
    ArmRow,
    ArmValue,
    ClassicTest,
    Daily,
    DailyMetric,
    Estimate,
    LatencyResult,
    MetricResult,
    Peeking,
    PeekingRow,
    SegmentResult,
    Stratified,
)
from engine.experiment.settings import AnalysisSettings, Margin

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.tradeoff.results import Verdict

NONE = Estimate(value=None, low=None, high=None)
DATES = tuple(f"2026-01-{day:02d}" for day in range(5, 11))
LABELS = ("simulated",)


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def shapes(figure: go.Figure, name: str) -> list[Any]:
    return [shape for shape in figure.layout.shapes if shape.name == name]


def words(figure: go.Figure) -> str:
    return " ".join(annotation.text for annotation in figure.layout.annotations)


def estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def arm(value: float) -> ArmValue:
    return ArmValue(value=value, low=value - 0.01, high=value + 0.01, n_events=120, n_queries=1000, n_users=500)


def metric(key: Any, *, relative: float, verdict: Verdict, worse: Any = "lower", margin: float = 0.05) -> MetricResult:
    return MetricResult(
        key=key,
        name={"ctr": "CTR", "error_rate": "error rate"}.get(key, key),
        worse=worse,
        control=arm(0.12),
        treatment=arm(0.12 * (1 + relative)),
        difference=estimate(0.12 * relative, 0.002),
        relative=estimate(relative, 0.02),
        margin=Margin(relative=margin),
        bound=relative - 0.018,
        noninferiority_p=0.01,
        harm_p=0.9,
        harm_holm_p=0.9,
        change_p=0.4,
        change_holm_p=0.8,
        is_real=False,
        anytime=estimate(relative, 0.035),
        anytime_difference=estimate(0.12 * relative, 0.004),
        design_effect=1.2,
        is_exact=False,
        verdict=verdict,
        further_users=None,
        further_days=None,
        is_judged=True,
        sentence="It is so.",
        classic=ClassicTest(
            z=0.5,
            p_value=0.6,
            wald=NONE,
            newcombe=NONE,
            score=NONE,
            ratio=NONE,
            noninferiority_p=0.02,
            is_too_optimistic=True,
            sentence="Classic.",
        ),
    )


def by_day(key: Any, name: str) -> DailyMetric:
    """Make bands that narrow, with a first day that gives no value."""
    days = np.arange(1, 7, dtype=np.float64)
    relative = np.where(days == 1, np.nan, 0.01)
    return DailyMetric(
        key=key,
        name=name,
        relative=relative,
        low=relative - 0.2 / days,
        high=relative + 0.2 / days,
        anytime_low=relative - 0.4 / days,
        anytime_high=relative + 0.4 / days,
        control=np.full(6, 0.12),
        treatment=np.full(6, 0.121),
        difference=relative / 10,
        difference_low=relative / 10 - 0.01,
        difference_high=relative / 10 + 0.02,
    )


def latency(key: str, share: float, control: float, treatment: float, *, bounded: bool = True) -> LatencyResult:
    return LatencyResult(
        key=key,
        share=share,
        control=estimate(control, 2) if bounded else Estimate(value=control, low=None, high=None),
        treatment=estimate(treatment, 1) if bounded else Estimate(value=treatment, low=None, high=None),
        n_control=1000,
        n_treatment=900,
        relative=estimate(treatment / control - 1, 0.05) if bounded else NONE,
        speedup=control / treatment,
        margin=Margin(relative=0.1),
        bound=-0.5,
        noninferiority_p=0.001,
        harm_p=1.0,
        harm_holm_p=1.0,
        verdict="safe" if bounded else "undecided",
        is_judged=key == "p99",
        reason=None if bounded else "too few queries",
        sentence="Faster.",
    )


def segment(name: str, relative: float, verdict: Verdict) -> SegmentResult:
    return SegmentResult(
        segment=name,
        metric="ctr",
        control=arm(0.1),
        treatment=arm(0.1),
        relative=estimate(relative, 0.03),
        harm_p=0.5,
        harm_holm_p=0.9,
        verdict=verdict,
    )


@pytest.fixture
def found() -> Analysis:
    """Make a read-out with every part, each number traceable."""
    counts = np.arange(12, dtype=np.int64).reshape(2, 6) + 100
    rows = [
        ArmRow(
            name=name,
            share=0.5,
            observed_share=0.5,
            n_users=500,
            n_queries=1000,
            n_clicks=120,
            n_conversions=None,
            n_errors=3,
            n_no_results=None,
        )
        for name in ("control", "<b>treatment</b>")
    ]
    return Analysis(
        experiment_id="x",
        verdict="undecided",
        headline="Undecided.",
        sentences=("One.",),
        gates=(),
        arms=tuple(rows),
        n_users=1000,
        n_queries=2000,
        n_days=6,
        n_multi_exposed=0,
        users_per_day=100.0,
        metrics=(
            metric("ctr", relative=-0.012, verdict="safe"),
            metric("error_rate", relative=0.4, verdict="harmful", worse="higher", margin=0.1),
        ),
        latencies=(latency("p50", 0.5, 40, 14), latency("p99", 0.99, 120, 50, bounded=False)),
        daily=Daily(
            dates=DATES,
            n_queries=counts * 2,
            n_users=counts,
            n_new_users=counts // 2,
            metrics=(by_day("ctr", "CTR"),),
        ),
        segments=(segment("new & <b>bold</b>", -0.2, "harmful"), segment("old", 0.01, "safe")),
        stratified=(
            Stratified(
                metric="ctr",
                by="stage",
                strata=("1 %", "50 %"),
                pooled=estimate(-0.27, 0.02),
                stratified=estimate(0.19, 0.04),
                odds_ratio=estimate(1.198, 0.05),
                is_reversed=True,
                sentence="Reversed.",
            ),
        ),
        detected_stages=(),
        peeking=Peeking(
            n_looks=6,
            false_positive_rate=0.155,
            rows=tuple(
                PeekingRow(n_looks=looks, false_positive_rate=rate)
                for looks, rate in ((1, 0.05), (6, 0.155), (35, 0.293))
            ),
            sentence="You looked.",
        ),
        settings=AnalysisSettings(),
        labels=LABELS,
        assumptions=(),
        warnings=(),
        seed=0,
        events_digest=None,
        elapsed_s=0.1,
    )


def test_every_metric_has_both_intervals_and_its_margin(found: Analysis) -> None:
    """A row a metric: marker at the change, fixed and anytime-valid interval to their bounds, margin at its side."""
    figure = experiment.change_chart(found, colours=LIGHT)
    margins = shapes(figure, "margin")
    for place, one in enumerate(found.metrics):
        marker = trace(figure, one.name)
        assert list(marker.x) == [one.relative.value]
        fixed, anytime = (
            next(drawn for drawn in figure.data if str(drawn.name).startswith(f"{one.name}, {kind}"))
            for kind in ("fixed", "anytime")
        )
        assert list(fixed.x) == [one.relative.low, one.relative.high]
        assert list(anytime.x) == [one.anytime.low, one.anytime.high]
        assert margins[place].x0 == margins[place].x1 == (-0.05, 0.1)[place]
        assert LIGHT.verdict(one.verdict) != LIGHT.muted
        assert f"{one.verdict}" in words(figure)
    assert figure.layout.xaxis2.title.text == "simulated"


def test_the_side_beyond_the_margin_is_shaded(found: Analysis) -> None:
    """Clicks are lost to the left and errors gained to the right: the shading is on that side, to the axis's end."""
    figure = experiment.change_chart(found, colours=DARK)
    left, right = shapes(figure, "beyond the margin")
    assert (left.x0, left.x1) == (figure.layout.xaxis.range[0], -0.05)
    assert (right.x0, right.x1) == (0.1, figure.layout.xaxis2.range[1])


def test_a_metric_without_an_interval_is_still_named(found: Analysis) -> None:
    """No clicks at all give neither value nor interval: the row stays, and says so."""
    empty = replace(found.metrics[0], relative=NONE, anytime=NONE, verdict="undecided")
    figure = experiment.change_chart(replace(found, metrics=(empty,)), colours=LIGHT)
    assert "none (no interval)" in words(figure)
    assert not [drawn for drawn in figure.data if str(drawn.name).startswith("CTR, ")]
    assert "none (no interval)" in experiment.describe_changes(replace(found, metrics=(empty,)))


def test_the_cumulative_plot_has_both_bands_and_the_margin(found: Analysis) -> None:
    """Days with a value only; fixed and anytime-valid bounds are the arrays'; the margin line is at the margin."""
    figure = experiment_days.cumulative_chart(found, "ctr", colours=LIGHT)
    daily = found.daily.metrics[0]
    for name, low, high in (
        ("fixed band", daily.low, daily.high),
        ("anytime-valid band", daily.anytime_low, daily.anytime_high),
    ):
        assert list(trace(figure, f"{name} low").x) == list(DATES[1:])
        assert list(trace(figure, f"{name} low").y) == low[1:].tolist()
        upper = next(drawn for drawn in figure.data if str(drawn.name).startswith(name) and drawn.fill == "tonexty")
        assert list(upper.y) == high[1:].tolist()
    assert list(trace(figure, "relative change so far").y) == daily.relative[1:].tolist()
    assert shapes(figure, "margin")[0].y0 == -0.05
    assert "%" in figure.layout.yaxis.title.text
    low, high = figure.layout.yaxis.range
    assert low < -0.05
    assert high < daily.anytime_high[1], "the first days do not set the scale"
    assert figure.layout.yaxis.title.text.endswith("<br>bands reach beyond the axis")


def test_each_day_alone_has_its_interval(found: Analysis) -> None:
    """The difference of a day is in percentage points, its bars reach the interval's bounds."""
    figure = experiment_days.daily_chart(found, "ctr", colours=LIGHT)
    drawn, daily = trace(figure, "difference that day"), found.daily.metrics[0]
    assert np.allclose(drawn.y, 100 * daily.difference[1:])
    assert np.allclose(np.array(drawn.y) + drawn.error_y.array, 100 * daily.difference_high[1:])
    assert np.allclose(np.array(drawn.y) - drawn.error_y.arrayminus, 100 * daily.difference_low[1:])
    assert "points" in figure.layout.yaxis.title.text


def test_traffic_counts_users_of_both_arms(found: Analysis) -> None:
    """Each arm is a line of its users a day; markup in an arm's name stays text."""
    figure = experiment_days.traffic_chart(found, colours=LIGHT)
    control, treatment = figure.data
    assert list(control.y) == found.daily.n_users[0].tolist()
    assert list(treatment.y) == found.daily.n_users[1].tolist()
    assert treatment.name == "&lt;b&gt;treatment&lt;/b&gt;"


def test_latency_shows_both_arms_and_what_has_no_interval(found: Analysis) -> None:
    """Percentiles of both arms in ms with whiskers to their bounds; without an interval none, and the words say so."""
    figure = experiment_checks.latency_chart(found, colours=LIGHT)
    control, treatment = figure.data
    assert list(control.x) == [40, 120]
    assert list(treatment.x) == [14, 50]
    assert list(control.error_x.array) == [2, 0]
    assert figure.layout.xaxis.type == "log"
    assert "ms" in figure.layout.xaxis.title.text
    assert "120 ms (no interval)" in experiment_checks.describe_latency(found)
    changes = experiment_checks.latency_change_chart(found, colours=LIGHT)
    assert list(trace(changes, "safe").x) == [found.latencies[0].relative.value]
    assert shapes(changes, "margin")[0].x0 == 0.1


def test_segments_are_marked_by_verdict(found: Analysis) -> None:
    """Every segment is one marker in its verdict's colour and symbol, with its interval; names are escaped."""
    figure = experiment_checks.segments_chart(found, "ctr", colours=LIGHT)
    harmful = trace(figure, "harmful")
    assert list(harmful.x) == [-0.2]
    assert harmful.marker.color == LIGHT.harmful
    assert harmful.marker.symbol == "x"
    assert harmful.error_x.array == pytest.approx([0.03])
    assert harmful.error_x.arrayminus == pytest.approx([0.03])
    assert "new &amp; &lt;b&gt;" in figure.layout.yaxis.ticktext[0]
    assert "<b>bold" not in harmful.hovertext[0]


def test_pooled_and_stratified_stand_side_by_side(found: Analysis) -> None:
    """Both estimates of Simpson's case are drawn with their intervals, on either side of no change."""
    figure = experiment_checks.stratified_chart(found, found.stratified[0], colours=LIGHT)
    assert list(trace(figure, "change").x) == [-0.27, 0.19]
    assert list(figure.layout.yaxis.ticktext) == ["pooled", "within stages"]


def test_peeking_is_the_curve_of_false_alarms(found: Analysis) -> None:
    """The curve has every number of looks, the marker this experiment's, the line what the test promises."""
    figure = experiment_checks.peeking_chart(found.peeking, promised=0.05, colours=LIGHT)
    assert list(trace(figure, "fixed test").y) == [0.05, 0.155, 0.293]
    assert list(trace(figure, "this experiment").x) == [6]
    assert shapes(figure, "promised")[0].y0 == 0.05
    assert "29.3 %" in experiment_checks.describe_peeking(found.peeking)


def test_descriptions_carry_the_numbers(found: Analysis) -> None:
    """The text alternatives name metrics, changes, intervals, margins and verdicts, with a true minus."""
    told = experiment.describe_changes(found)
    assert "CTR: −1.2 % (−3.2 to +0.8 %)" in told
    assert "margin −5 %, safe" in told
    assert "Error rate: +40 %" in told
    assert "First and last day: 2026-01-06" in experiment_days.describe_cumulative(found, "ctr")
    assert "2026-01-10 +0.1" in experiment_days.describe_daily(found, "ctr")
    assert "old: safe, 1,000 users" in experiment_checks.describe_segments(found, "ctr")
    assert "pooled −27 %" in experiment_checks.describe_stratified(found, found.stratified[0])
    assert "105" in experiment_days.describe_traffic(found)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-0.0123, "−1.2 %"), (3.2, "+320 %"), (0.0, "0 %"), (None, "none")],
)
def test_changes_are_written_with_sign_and_unit(value: float | None, expected: str) -> None:
    """A change has a sign, a true minus, a unit, and digits that fit its size."""
    assert experiment.change(value) == expected


def test_the_power_curve_is_the_plan(found: Analysis) -> None:
    """The curve is the plan's; diamond and line are at what was asked for, a mark at a test that ran."""
    plan = plan_experiment(PlanSettings(baseline=0.12, margin=0.05, users_per_day=10_000))
    figure = experiment_plans.power_chart(plan, n_users=50_000, colours=LIGHT)
    assert list(trace(figure, "power").x) == plan.curve_users.tolist()
    assert list(trace(figure, "power").y) == plan.curve_power.tolist()
    assert (trace(figure, "needed").x[0], trace(figure, "needed").y[0]) == (plan.n_users, 0.8)
    assert shapes(figure, "asked for")[0].y0 == 0.8
    assert shapes(figure, "this test")[0].x0 == 50_000
    assert not shapes(experiment_plans.power_chart(plan, n_users=10, colours=DARK), "this test"), "off the curve"
    assert f"80 % needs {plan.n_users:,} users" in experiment_plans.describe_power(plan)


@pytest.mark.parametrize(("wins", "drawn"), [((60, 40, 100), True), ((0, 0, 9), False)])
def test_a_preference_has_its_interval_around_no_preference(wins: tuple[int, int, int], drawn: bool) -> None:
    """The share and its bounds are drawn against 50 %; where no page preferred a list nothing is."""
    counted = np.zeros(0, np.int64)
    pages = InterleavedTraffic(
        dims=(3072, 768),
        n_pages=sum(wins),
        n_clicks=9,
        wins_control=counted,
        wins_treatment=counted,
        ties=counted,
        preference=preference(*wins),
        labels=LABELS,
        assumptions=(),
    )
    figure = experiment_plans.preference_chart(pages, colours=LIGHT)
    marker = trace(figure, "preference")
    assert list(marker.x) == [pages.preference.share]
    assert shapes(figure, "no preference")[0].x0 == 0.5
    assert "simulated" in figure.layout.xaxis.title.text
    if drawn:
        assert marker.x[0] + marker.error_x.array[0] == pytest.approx(pages.preference.high)
        assert marker.x[0] - marker.error_x.arrayminus[0] == pytest.approx(pages.preference.low)
        assert "preferred 3,072 to 768 dimensions" in experiment_plans.describe_preference(pages)
    else:
        assert "No page" in experiment_plans.describe_preference(pages)


def test_an_absolute_margin_counts_where_it_is_larger(found: Analysis) -> None:
    """2 errors in 10,000 queries at a rate of 0.1 % are a rise of 20 %, which is where the margin stands."""
    rare = replace(found.metrics[1], margin=Margin(relative=0.1, absolute=0.0002), control=arm(0.001))
    assert experiment.signed_margin(rare) == pytest.approx(0.2)
    assert experiment.signed_margin(found.metrics[1]) == 0.1
