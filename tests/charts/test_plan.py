"""The Gantt chart of a plan draws the steps it was given, and nothing else."""

from __future__ import annotations

import pytest

from engine.charts import DARK, LIGHT
from engine.charts.plan import GanttBar, describe_gantt, gantt_chart

BARS = (
    GanttBar(label="Prepare · 3 days", phase="prepare", start_day=0.0, days=3.0, note="Owner: Ada"),
    GanttBar(label="A/B test · 7 days", phase="A/B test", start_day=3.0, days=7.0, note=""),
    GanttBar(label="Decide · 0 days", phase="A/B test", start_day=10.0, days=0.0, note=""),
    GanttBar(label="<b>Copy</b> · 2 days", phase="migration", start_day=10.0, days=2.0, note="<script>x</script>"),
)


def test_every_step_is_a_bar_from_its_begin_for_its_length() -> None:
    """Bars begin on their day and last their days, one trace a phase in the order of the plan."""
    figure = gantt_chart(BARS, start="", colours=LIGHT)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.name for trace in bars] == ["prepare", "A/B test", "migration"]
    drawn = {row: (base, x) for trace in bars for row, base, x in zip(trace.y, trace.base, trace.x, strict=True)}
    assert drawn[0] == (0.0, 3.0)
    assert drawn[1] == (3.0, 7.0)
    assert drawn[3] == (10.0, 2.0)
    assert 0 < drawn[2][1] < 0.1, "a moment is as thin as can be seen"
    assert len({trace.marker.color for trace in bars}) == 3


def test_labels_stand_where_there_is_room() -> None:
    """Labels of early steps begin at their bar, those of late ones end with it; markup in them acts nowhere."""
    (labels,) = (trace for trace in gantt_chart(BARS, start="", colours=DARK).data if trace.type == "scatter")
    assert list(labels.textposition) == ["middle right", "middle left", "middle left", "middle left"]
    assert list(labels.x) == [0.0, 10.0, 10.0, 12.0]
    assert labels.text[3] == "&lt;b&gt;Copy&lt;/b&gt; · 2 days"
    hovers = [text for trace in gantt_chart(BARS, start="", colours=DARK).data[:3] for text in trace.hovertext]
    assert not any("<script" in text for text in hovers)


@pytest.mark.parametrize(
    ("start", "title", "first"), [("", "Days since the start", "0"), ("2026-12-28", "Date (2026 to 2027)", "28 Dec")]
)
def test_the_axis_has_its_unit(start: str, title: str, first: str) -> None:
    """Without a start the axis counts days, with one it has dates and names the years; few ticks fit a phone."""
    axis = gantt_chart(BARS, start=start, colours=LIGHT).layout.xaxis
    assert axis.title.text == title
    assert axis.ticktext[0] == first
    assert 2 <= len(axis.tickvals) <= 7


def test_today_is_drawn_within_the_plan_only() -> None:
    """Today is a line within the plan, and nothing before or after it."""
    assert len(gantt_chart(BARS, start="2026-03-02", colours=LIGHT, now_day=4.0).layout.shapes) == 1
    for day in (-1.0, 13.0, None):
        assert not gantt_chart(BARS, start="2026-03-02", colours=LIGHT, now_day=day).layout.shapes


def test_steps_are_told_in_words() -> None:
    """Every step is told with its days or its dates; without steps that is said."""
    assert "A/B test · 7 days: day 3 to 10." in describe_gantt(BARS, start="")
    assert "A/B test · 7 days: 5 Mar 2026 to 11 Mar 2026." in describe_gantt(BARS, start="2026-03-02")
    assert describe_gantt((), start="") == "No steps."


def test_a_plan_of_a_century_or_of_nothing_is_drawn() -> None:
    """Neither a very long plan nor an empty one fails."""
    long = GanttBar(label="Wait", phase="measure", start_day=0.0, days=36_500.0, note="")
    assert len(gantt_chart((long,), start="2200-12-31", colours=LIGHT).layout.xaxis.tickvals) <= 7
    assert gantt_chart((), start="", colours=DARK).layout.height > 0
