"""The tabs of a read-out: intervals, the days, latency, segments, and the test that every calculator does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import experiment as charts
from engine.charts import experiment_checks as checks
from engine.charts import experiment_days as days
from engine.experiment.wording import as_start, p_text
from pages.shell import figures
from pages.shell.ab import interleaving as ab_interleaving
from pages.shell.ab import plans as ab_plans
from pages.shell.ab import view as ab_view
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.experiment.results import Analysis, Estimate, MetricResult
    from engine.workspace import Run

_TABS = ("Read-out", "By day", "Latency", "Segments", "Power", "Interleaving", "Assignment")
_HIDDEN = "Hidden, since a check of the assignment failed: there is nothing here that could be trusted."


def tabs(found: Analysis, run: Run) -> None:
    """Show the read-out's details and the tools beside it, a tab each; only the open one is drawn."""
    shown: tuple[Callable[[], None], ...] = (
        lambda: intervals(found),
        lambda: by_day(found),
        lambda: latency(found),
        lambda: segments(found),
        lambda: ab_plans.power(found, run),
        ab_interleaving.show,
        ab_plans.assignment,
    )
    for tab, show in zip(st.tabs(_TABS, key="ab", bind="query-params"), shown, strict=True):
        if tab.open:
            with tab:
                show()


def intervals(found: Analysis) -> None:
    """Draw every metric's interval against its margin, then the classic test, the checks and the arms."""
    if found.metrics:
        figures.show(
            charts.change_chart(found, colours=figures.colours()),
            alt=charts.describe_changes(found),
            key="change_chart",
        )
        st.caption(
            "The bar is the change of the reduced arm against the control; the shaded side is a loss beyond your "
            "margin. Safe: a loss of the margin is ruled out. Decide on the thin bar when you look more than once. "
            + ab_view.words(found.peeking.sentence)
        )
        _classic(found)
    if any(gate.is_passed for gate in found.gates):
        st.subheader("Checks" if found.is_trustworthy else "Other checks", anchor=False)
        ab_view.gates(found)
    st.subheader("Arms", anchor=False)
    ab_view.arms(found)


def by_day(found: Analysis) -> None:
    """Draw the change so far with both bands, what peeking costs, each day alone, and the traffic."""
    if not found.daily.dates:
        st.info("Plain totals have no days.", icon=":material/calendar_month:")
        return
    colours = figures.colours()
    if found.daily.metrics:
        names = {one.key: as_start(one.name) for one in found.daily.metrics}
        key = ab_view.metric_field(names, key="day_metric")
        figures.show(
            days.cumulative_chart(found, key, colours=colours),
            alt=days.describe_cumulative(found, key),
            key="cumulative_chart",
        )
        _peeking(found)
        st.subheader("Each day alone", anchor=False)
        figures.show(
            days.daily_chart(found, key, colours=colours), alt=days.describe_daily(found, key), key="daily_chart"
        )
    else:
        st.info(_HIDDEN, icon=":material/visibility_off:")
    st.subheader("Traffic", anchor=False)
    figures.show(days.traffic_chart(found, colours=colours), alt=days.describe_traffic(found), key="traffic_chart")
    _day_table(found)


def latency(found: Analysis) -> None:
    """Draw the percentiles of both arms with intervals, and their change against what is allowed."""
    if not found.latencies:
        said = "The events hold no latency." if found.is_trustworthy else _HIDDEN
        st.info(said, icon=":material/timer_off:")
        return
    for one in found.latencies:
        st.markdown(f"{ab_view.chip(one.verdict)} {ab_view.told(one.sentence, one.verdict)}")
    colours = figures.colours()
    figures.show(checks.latency_chart(found, colours=colours), alt=checks.describe_latency(found), key="latency_chart")
    st.subheader("Change against what is allowed", anchor=False)
    figures.show(
        checks.latency_change_chart(found, colours=colours),
        alt=checks.describe_latency(found),
        key="latency_change_chart",
    )
    st.caption("Intervals are by user: the queries of one user are alike, and counting them apart would be too sure.")


def segments(found: Analysis) -> None:
    """Draw each segment's change, and pooled against stratified where the split or the mix differs."""
    if not (found.segments or found.stratified):
        said = "The events hold no segments, and the split did not change." if found.is_trustworthy else _HIDDEN
        st.info(said, icon=":material/category:")
        return
    colours = figures.colours()
    for place, one in enumerate(found.stratified):
        (st.warning if one.is_reversed else st.info)(ab_view.words(one.sentence), icon=":material/call_split:")
        figures.show(
            checks.stratified_chart(found, one, colours=colours),
            alt=checks.describe_stratified(found, one),
            key=f"stratified_chart_{place}",
        )
    held = {one.metric for one in found.segments}
    names = {one.key: as_start(one.name) for one in found.metrics if one.key in held}
    if not names:
        return
    key = ab_view.metric_field(names, key="segment_metric")
    figures.show(
        checks.segments_chart(found, key, colours=colours),
        alt=checks.describe_segments(found, key),
        key="segments_chart",
    )
    st.caption(
        "A segment was not what the test was planned for: of twenty, one looks bad by chance. Verdicts of harm are "
        "corrected for their number."
    )


def _classic(found: Analysis) -> None:
    st.subheader("The classic read-out", anchor=False)
    st.caption(
        "What every online calculator says: two-proportion z-test, each query a user of its own, one look. No "
        "significant difference does not mean that nothing is lost."
    )
    text = st.column_config.TextColumn
    st.dataframe(
        [_classic_row(one) for one in found.metrics],
        hide_index=True,
        key="classic",
        placeholder="–",
        column_config={
            "metric": text("Metric", pinned=True),
            "control": text("Control"),
            "treatment": text("Treatment"),
            "z": st.column_config.NumberColumn("z", format="%.3f"),
            "p": text("p, two-sided"),
            "newcombe": text("Newcombe interval, points"),
            "score": text("Score interval, points"),
            "ratio": text("Relative change, score interval"),
            "margin p": text("p, loss beyond the margin", help="Small: a loss of the margin is ruled out."),
        },
    )
    for one in found.metrics:
        st.caption(f"**{plain(as_start(one.name))}.** {ab_view.words(one.classic.sentence)}")


def _classic_row(one: MetricResult) -> dict[str, object]:
    def points(estimate: Estimate) -> str | None:
        if estimate.low is None or estimate.high is None:
            return None
        return f"{charts.points(estimate.low)} to {charts.points(estimate.high)}"

    def p_value(value: float | None) -> str | None:
        return None if value is None else p_text(value).removeprefix("p ").removeprefix("= ")

    def counts(n_events: int, n_queries: int) -> str:
        return f"{n_events:,} of {n_queries:,}"

    test = one.classic
    return {
        "metric": as_start(one.name),
        "control": counts(one.control.n_events, one.control.n_queries),
        "treatment": counts(one.treatment.n_events, one.treatment.n_queries),
        "z": test.z,
        "p": p_value(test.p_value),
        "newcombe": points(test.newcombe),
        "score": points(test.score),
        "ratio": charts.written(test.ratio),
        "margin p": p_value(test.noninferiority_p),
    }


def _peeking(found: Analysis) -> None:
    st.subheader("What looking every day costs", anchor=False)
    st.markdown(ab_view.words(found.peeking.sentence))
    figures.show(
        checks.peeking_chart(found.peeking, promised=1 - found.settings.confidence, colours=figures.colours()),
        alt=checks.describe_peeking(found.peeking),
        key="peeking_chart",
    )


def _day_table(found: Analysis) -> None:
    daily = found.daily
    names = [arm.name for arm in found.arms]
    rows = []
    for place, date in enumerate(daily.dates):
        row: dict[str, object] = {"day": date}
        for arm in range(len(names)):
            row |= {
                f"users {arm}": int(daily.n_users[arm, place]),
                f"new {arm}": int(daily.n_new_users[arm, place]),
                f"queries {arm}": int(daily.n_queries[arm, place]),
            }
        rows.append(row)
    number = st.column_config.NumberColumn
    columns = {
        f"{key} {arm}": number(f"{label}, {name}", format="localized")
        for arm, name in enumerate(names)
        for key, label in (("users", "Users"), ("new", "New users"), ("queries", "Queries"))
    }
    with st.expander("Every day in numbers", icon=":material/table:"):
        st.dataframe(
            rows,
            hide_index=True,
            key="days",
            column_config={"day": st.column_config.TextColumn("Day", pinned=True), **columns},
        )
