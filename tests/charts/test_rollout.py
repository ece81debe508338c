"""The charts of a rollout show exactly what status, monitor and pre-flight say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.charts import DARK, LIGHT, rollout, rollout_metrics, rollout_preflight
from engine.rollout import HistoryEntry, Rollout, RolloutState, Schedule, Step, Thresholds
from engine.rollout.gates import OPEN
from engine.rollout.machine import apply
from engine.rollout.monitor_results import Reading
from engine.rollout.preflight import CTR_DROP, NO_FAULT, preflight
from engine.rollout.series import LookPoint
from engine.rollout.status import status_of
from engine.rollout.traffic_days import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable

    import plotly.graph_objects as go

    from engine.rollout import RolloutStatus

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 1, 9, tzinfo=UTC)
SCHEDULE = Schedule.parse("0:5:canary, 3:10, 7:100", holdback_percent=20)


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def entry(then: Rollout, action: Any) -> HistoryEntry:
    return HistoryEntry(
        seq=1,
        at=then.changed_at,
        recorded_at=then.changed_at,
        actor="anna",
        action=action,
        cause="person",
        reason="",
        override="",
        state=then.state,
        stage_index=then.stage_index,
        percent=then.percent,
        sentences=(),
        evidence=None,
        rollout=then,
        agrees=True,
    )


@pytest.fixture
def ramped() -> Callable[..., tuple[RolloutStatus, list[HistoryEntry]]]:
    """Return what takes a rollout through steps (action, day) and gives its status on a day."""

    def build(*steps: tuple[Any, float], now: float) -> tuple[RolloutStatus, list[HistoryEntry]]:
        then = Rollout(
            key="r",
            flag_key="f",
            treatment="on",
            control="off",
            hash_key="f",
            schedule=SCHEDULE,
            thresholds=Thresholds(),
            created_at=START,
            changed_at=START,
            changed_by="anna",
            is_simulated=True,
        )
        history = [entry(then, "create")]
        for action, at in steps:
            then = apply(then, Step(action=action, at=day(at), actor="anna", reason="why", override="because"))
            history.append(entry(then, action))
        return status_of(then, version=1, now=day(now), gate=OPEN, report=None), history

    return build


def test_the_timeline_shows_what_was_and_what_is_planned(ramped: Any) -> None:
    """Share so far steps at the moments of the history, the plan goes on from now, and the holdback caps it."""
    status, history = ramped(("start", 0), ("advance", 4), now=5)
    figure = rollout.timeline_chart(status, history, colours=LIGHT)
    past, ahead = trace(figure, "so far"), trace(figure, "planned")
    assert list(past.y) == [0.0, 5.0, 10.0, 10.0]
    assert [moment.replace(tzinfo=UTC) for moment in past.x] == [day(0), day(0), day(4), day(5)]
    assert list(ahead.y) == [10.0, 80.0, 80.0]
    assert ahead.x[1].replace(tzinfo=UTC) == day(8)
    assert past.line.shape == ahead.line.shape == "hv"
    assert past.line.dash != ahead.line.dash
    assert {shape.name for shape in figure.layout.shapes} >= {"now", "holdback"}


def test_stages_are_told_apart_without_colour(ramped: Any) -> None:
    """The present stage has a mark of its own, those ahead are empty, and a stage's name is in its hover text."""
    status, history = ramped(("start", 0), ("advance", 4), now=5)
    stages = trace(rollout.timeline_chart(status, history, colours=LIGHT), "stages")
    assert list(stages.marker.symbol) == ["circle", "diamond", "circle"]
    assert list(stages.marker.color)[2] == LIGHT.background
    assert "canary" in stages.hovertext[0]
    assert list(stages.text) == ["5 %", "10 %", "80 %"]


def test_moments_are_those_of_the_readers_clock(ramped: Any) -> None:
    """In another zone the same moments are drawn as its clocks show them, and the axis names zone and simulation."""
    status, history = ramped(("start", 0), now=1)
    figure = rollout.timeline_chart(status, history, colours=DARK, zone=BERLIN)
    assert trace(figure, "so far").x[0] == datetime(2026, 3, 1, 10)  # noqa: DTZ001  # what is drawn has no zone
    assert figure.layout.xaxis.title.text == "Time (Europe/Berlin, simulated)"


def test_a_pause_and_a_rollback_are_drawn(ramped: Any) -> None:
    """A pause is a band from its begin to its end, named in the legend; after a rollback the share is 0, no plan left.

    However short it is: one that was resumed at once is a line that nobody could read without the legend.
    """
    status, history = ramped(("start", 0), ("pause", 2), ("roll back", 5), now=6)
    figure = rollout.timeline_chart(status, history, colours=LIGHT)
    (band,) = (shape for shape in figure.layout.shapes if shape.name == "paused")
    assert [datetime.fromisoformat(str(end)).replace(tzinfo=UTC) for end in (band.x0, band.x1)] == [day(2), day(5)]
    assert trace(figure, "paused").marker.color == band.fillcolor
    assert rollout.describe_timeline(status).endswith("Paused for 3.0 days in all.")
    never = ramped(("start", 0), now=1)
    assert "paused" not in {one.name for one in rollout.timeline_chart(*never, colours=LIGHT).data}
    assert "Paused" not in rollout.describe_timeline(never[0])
    assert list(trace(figure, "so far").y)[-1] == 0.0
    assert not trace(figure, "planned").x
    assert status.state is RolloutState.ROLLED_BACK
    assert any("ended, day 2.0" in note.text for note in figure.layout.annotations)


def test_the_line_for_now_is_named_above_the_label_of_a_full_share(ramped: Any) -> None:
    """At 100 % the stage's label, 21 px above the line, ends below the 16 px of the note at the top."""
    figure = rollout.timeline_chart(*ramped(("start", 0), now=1), colours=LIGHT)
    low, high = figure.layout.yaxis.range
    title_and_ticks_px = 68
    height_px = figure.layout.height - figure.layout.template.layout.margin.t - title_and_ticks_px
    a_px = (high - low) / height_px
    assert 100 + 21 * a_px < high - 16 * a_px


def test_a_draft_has_a_plan_and_no_past(ramped: Any) -> None:
    """Before the start nothing is drawn as done; the words name every stage."""
    status, history = ramped(now=0)
    figure = rollout.timeline_chart(status, history, colours=LIGHT)
    assert not trace(figure, "so far").x
    assert not trace(figure, "so far").showlegend
    words = rollout.describe_timeline(status)
    assert all(f"{share} %, " in words for share in (5, 10, 80))
    assert "simulated time" in words


def reading(metric: str, value: float, *, window: Any = "stage", low: float | None = -0.1, **more: Any) -> Reading:
    baseline = more.pop("baseline", 100.0)
    return Reading(
        metric=metric,
        window=window,
        reference="control",
        status=more.pop("status", "ok"),
        value=value,
        baseline=baseline,
        change=value / baseline - 1,
        low=low,
        high=0.2,
        value_low=None if low is None else baseline * (1 + low),
        value_high=baseline * 1.2,
        alert_at=baseline * 1.5,
        roll_back_at=more.pop("roll_back_at", baseline * 2),
        detectable=0.01,
        sentence=f"It was {value:g}.",
    )


def look(at: float, stage: int, *readings: Reading) -> LookPoint:
    return LookPoint(at=day(at), stage_index=stage, percent=5.0, readings=readings)


LOOKS = (
    look(1, 0, reading("p99", 101)),
    look(2, 0, reading("p99", 102), reading("p99", 103, window="latest")),
    look(4, 1, reading("p99", 160, low=None, status="critical")),
)


def test_a_metric_is_drawn_with_interval_baseline_and_thresholds() -> None:
    """Every look has value, both ends of its interval, what it is compared with and both thresholds."""
    figure = rollout_metrics.metric_chart(LOOKS, "p99", colours=LIGHT, window="stage")
    values = trace(figure, "treatment")
    assert list(values.y) == [101, 102, None, 160]
    assert [round(length) for length in values.error_y.array[:2]] == [19, 18]
    assert [round(length) for length in values.error_y.arrayminus[:2]] == [11, 12]
    assert list(trace(figure, "compared with").y) == [100, 100, None, 100]
    assert trace(figure, "alert at").y[0] == 150
    assert trace(figure, "roll back at").y[0] == 200
    low, high = figure.layout.yaxis.range
    assert low < 90
    assert high > 200
    assert "(ms)" in figure.layout.yaxis.title.text
    assert "axis starts at" in figure.layout.yaxis.title.text


def test_the_latest_day_is_drawn_where_it_is_another_window() -> None:
    """The latest window is shown where there is one; the first look of a stage is both windows at once."""
    figure = rollout_metrics.metric_chart(LOOKS, "p99", colours=LIGHT, window="latest")
    assert list(trace(figure, "treatment").y) == [101, 103, None, 160]


def test_a_side_without_limit_has_no_bar() -> None:
    """Where an interval has no lower limit its bar has no length, and the hover text says so."""
    values = trace(rollout_metrics.metric_chart(LOOKS, "p99", colours=LIGHT, window="stage"), "treatment")
    assert values.error_y.arrayminus[3] == 0.0
    assert "no limit" in values.hovertext[3]


def test_breaches_are_marked_by_shape_and_colour() -> None:
    """A critical value is a cross at its place; nothing is marked where no threshold was passed."""
    figure = rollout_metrics.metric_chart(LOOKS, "p99", colours=DARK, labels=("simulated",))
    mark = trace(figure, "critical")
    assert (list(mark.y), mark.marker.symbol, mark.marker.color) == ([160], "x", DARK.harmful)
    assert not trace(figure, "warning").x
    assert "critical" in mark.hovertext[0]
    assert "simulated" in figure.layout.xaxis.title.text
    assert "critical" in rollout_metrics.describe_metric(LOOKS, "p99")


def test_shares_are_drawn_in_percent_and_unobserved_metrics_not_at_all() -> None:
    """CTR of 0.12 is 12 on an axis of percent; a metric nobody counted has an empty chart and says so."""
    counted = (look(1, 0, reading("ctr", 0.12, baseline=0.125, roll_back_at=None)),)
    figure = rollout_metrics.metric_chart(counted, "ctr", colours=LIGHT)
    assert list(trace(figure, "treatment").y) == [12.0]
    assert not trace(figure, "roll back at").showlegend
    assert "CTR (%)" in figure.layout.yaxis.title.text
    empty = rollout_metrics.metric_chart(counted, "error_rate", colours=LIGHT)
    assert not trace(empty, "treatment").x
    assert "nothing has been observed" in rollout_metrics.describe_metric(counted, "error_rate")


def test_two_pre_flights_stand_beside_each_other() -> None:
    """Every chance has its point and interval in a row of its own for each setting, and no two points coincide."""
    found = {
        name: preflight(
            Schedule.parse(text), Traffic(), Thresholds(), scenarios=(NO_FAULT, CTR_DROP), n_simulations=50, max_days=5
        )
        for name, text in (("kept", "0:5, 2:10"), ("this", "0:50"))
    }
    figure = rollout_preflight.chances_chart(found, colours=LIGHT)
    one = found["kept"].scenarios[1].warned_only
    kept, this = trace(figure, "kept"), trace(figure, "this")
    assert kept.x[-1] == pytest.approx(100 * one.value)
    assert kept.error_x.array[-1] == pytest.approx(100 * (one.high - one.value))
    assert kept.marker.symbol != this.marker.symbol
    assert not np.intersect1d(kept.y, this.y).size
    assert figure.layout.yaxis.ticktext[0] == f"only warned: {CTR_DROP.name}"
    assert rollout_preflight.written(one) in rollout_preflight.describe_chances(found)
