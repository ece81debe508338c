"""The first screen of a rollout: which one, where it stands, what stands in the way, alerts and the timeline."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from engine.charts import rollout as charts
from engine.experiment.wording import as_start
from engine.rollout import RolloutState
from engine.rollout.monitor_sentences import change_in_words, value_in_words
from engine.rollout.thresholds import METRIC_NAMES, METRICS
from pages.shell import figures
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import missing
from pages.shell.flags import state as flags_state
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo
    from typing import Literal

    from engine.rollout import HistoryEntry, RolloutStatus
    from engine.rollout.monitor_results import Alert, Reading

    Colour = Literal["green", "yellow", "red", "gray", "blue"]

STATE_COLOURS: Mapping[RolloutState, Colour] = {
    RolloutState.DRAFT: "gray",
    RolloutState.RUNNING: "green",
    RolloutState.PAUSED: "yellow",
    RolloutState.ROLLED_BACK: "red",
    RolloutState.COMPLETED: "blue",
}
_SEVERITIES: Mapping[str, tuple[Colour, str]] = {
    "critical": ("red", "✕"),
    "missing data": ("red", "○"),
    "warning": ("yellow", "▲"),
    "not enough data": ("gray", "◌"),
}
_AGAINST: Mapping[str, str] = {
    "critical alert": "a critical alert stands",
    "too little data": "the monitor has too little data",
}
_DOING: Mapping[str, str] = {
    "start": "Starting",
    "advance": "Advancing",
    "resume": "Resuming",
    "complete": "Completing",
}
_STATUS_COLOURS: Mapping[str, Colour] = {"ok": "green", "warning": "yellow", "critical": "red", "roll back": "red"}


def head(statuses: Sequence[RolloutStatus]) -> RolloutStatus | None:
    """Draw title, choice and who acts, and why the last change was refused; None when a new rollout is planned.

    Active rollouts come first.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Rollout", anchor=False, width="content")
        st.space("stretch")
        chosen = _choose({one.rollout.key: one for one in sorted(statuses, key=_place)})
        flags_actor.choose_actor()
    if not statuses:
        st.markdown("Ramp a flag by a schedule, watch it, and stop it: plan one here, and see what the plan promises.")
    flags_actor.show_notice("rollout")
    missing.show("rollout", is_replaced=chosen is not None)
    for other in statuses:
        if chosen is not None and other.rollout.is_active and other.rollout.key != chosen.rollout.key:
            st.caption(f":material/rocket_launch: {plain(other.sentence, longest=400)}")
    return chosen


def _choose(by_key: Mapping[str, RolloutStatus]) -> RolloutStatus | None:
    flags_state.settle_rollout(list(by_key))
    if not by_key:
        return None
    if flags_state.sets_up_rollout():
        if st.button("Back", icon=":material/arrow_back:", key="setup_back"):
            flags_state.set_up_rollout(is_planned=False)
            st.rerun()
        return None
    # Without a format: what is written for an option is what the address holds, so it must not change with the state.
    key = st.selectbox(
        "Rollout",
        list(by_key),
        key=flags_state.ROLLOUT_KEY,
        bind="query-params",
        label_visibility="collapsed",
        width=300,
    )
    if st.button("New rollout", icon=":material/add:", key="new_rollout"):
        flags_state.set_up_rollout(is_planned=True)
        st.rerun()
    return by_key[key]


def headline(status: RolloutStatus) -> None:
    """State where the rollout is, what comes next and when, and everything that stands against it."""
    rollout = status.rollout
    with st.container(gap="xsmall", key="headline"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(_headline(status), anchor=False, width="content")
            st.badge(rollout.state.value, color=STATE_COLOURS[rollout.state])
            for label in status.labels:
                st.badge(plain(label), color="gray", icon=":material/science:")
            n_open = sum(one.is_open for one in status.incidents)
            if n_open:
                st.badge(f"{n_open:,} open incident{'' if n_open == 1 else 's'}", color="red")
            if rollout.is_automatic and rollout.is_active:
                st.badge("advances by itself", color="gray")
        st.markdown(_where(status))
        if status.is_killed:
            st.markdown(
                ":red-badge[✕ kill switch] Nobody sees the treatment, whatever the percentage says: "
                f"{plain(status.killed_reason)}."
            )
        refused = [_AGAINST[one.kind] for one in status.obstacles if one.kind in _AGAINST]
        if refused:
            what = _DOING[str(status.next_action)]
            st.markdown(f":orange-badge[:material/block: refused] {what} is refused: {' and '.join(refused)}.")


def alerts(status: RolloutStatus) -> None:
    """List what somebody must know, the gravest first, or say that nothing stands."""
    with st.container(gap="xsmall", key="alerts"):
        if status.report is not None and not status.alerts:
            looks = status.report.n_looks
            st.markdown(
                f":green-badge[● no alert stands] {looks:,} look{'' if looks == 1 else 's'} at this stage, and enough "
                "data to go on."
            )
        for one in status.alerts:
            aside = " It stops nothing by itself." if one.severity == "warning" else ""
            st.markdown(f"{chip(one)} {kept_together(one.sentence)}{aside}")
        for words in status.warnings:
            st.caption(f":material/info: {plain(words)}")


def readings(status: RolloutStatus) -> None:
    """Show the newest value of every metric beside what it is compared with."""
    report = status.report
    if report is None or not report.readings:
        return
    with st.container(horizontal=True, gap="small", key="readings"):
        for metric in METRICS:
            found = {one.window: one for one in report.readings if one.metric == metric}
            newest = found.get("latest") or found.get("stage")
            if newest is not None and newest.value is not None:
                _card(newest)


def timeline(status: RolloutStatus, history: Sequence[HistoryEntry]) -> None:
    """Draw the timeline."""
    figures.redraw_for_another_theme()
    at = zone()
    figures.show(
        charts.timeline_chart(status, history, colours=figures.colours(), zone=at),
        alt=charts.describe_timeline(status, zone=at),
        key="timeline",
    )


def zone() -> tzinfo:
    """Return the reader's time zone, UTC where it is not known."""
    try:
        return ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def when(moment: datetime) -> str:
    """Write a moment in the reader's time zone."""
    return local_time(moment, st.context.timezone)


def chip(alert: Alert) -> str:
    """Return the severity of an alert as a coloured chip for Markdown, with its symbol and its word."""
    colour, symbol = _SEVERITIES[alert.severity]
    word = "roll back" if alert.rolls_back else alert.severity
    return f":{colour}-badge[{symbol} {word}]"


def kept_together(words: str) -> str:
    """Return a sentence as plain text whose numbers keep their unit on one line."""
    return plain(words, longest=2000).replace(" \\%", "\u00a0\\%")


def duration(left: timedelta) -> str:
    """Write a span of time in days, or in hours when it is short."""
    hours = left / timedelta(hours=1)
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"


def _headline(status: RolloutStatus) -> str:
    rollout = status.rollout
    share = f"{status.percent:g} %"
    return {
        RolloutState.DRAFT: f"Draft of {len(status.stages):,} stages",
        RolloutState.RUNNING: f"Running at {share}",
        RolloutState.PAUSED: f"Paused at {share}",
        RolloutState.ROLLED_BACK: f"Rolled back: everybody sees {plain(rollout.control)}",
        RolloutState.COMPLETED: f"Completed at {share}",
    }[rollout.state]


def _where(status: RolloutStatus) -> str:
    rollout = status.rollout
    what = f"**{plain(rollout.flag_key)}** → {plain(rollout.treatment)}"
    if rollout.state is RolloutState.DRAFT:
        return f"{what}, {rollout.schedule.last_day:g} days by schedule. Nothing has been changed yet."
    day = f"Day {status.day:,.1f} of {rollout.schedule.last_day:g}"
    if rollout.state in {RolloutState.ROLLED_BACK, RolloutState.COMPLETED}:
        ended = when(rollout.ended_at) if rollout.ended_at is not None else ""
        return f"{what}. {day}, {ended}, by {plain(rollout.changed_by)}: {kept_together(rollout.reason or 'no reason')}"
    stage = status.stage
    place = "" if stage is None else f", stage {stage.index + 1} of {len(status.stages)}"
    return f"{what}. {day}{place}. {_what_next(status)}"


def _what_next(status: RolloutStatus) -> str:
    rollout = status.rollout
    if rollout.state is RolloutState.PAUSED:
        since = "" if rollout.paused_at is None else f" since {when(rollout.paused_at)}"
        if any(one.sentence == rollout.reason for one in status.alerts):
            return f"Paused{since}, by the {plain(rollout.changed_by)}, for the alert below."
        return f"Paused{since}, by {plain(rollout.changed_by)}: {kept_together(rollout.reason)}"
    coming = status.next_stage
    onward = "It can complete" if coming is None else f"Next **{coming.share_percent:g} %**"
    if status.next_at is None or status.time_left <= timedelta(0):
        return f"{onward} **now**." if not status.obstacles else f"{onward}, but not yet."
    return f"{onward} on {when(status.next_at)}, in {duration(status.time_left)}."


def _card(one: Reading) -> None:
    name = METRIC_NAMES[one.metric]  # type: ignore[index]  # a reading is of one of the metrics
    value = "" if one.value is None else value_in_words(one.metric, one.value)  # type: ignore[arg-type]  # as above
    change = "not comparable" if one.change is None else f"{change_in_words(one.change)} than {one.reference}"
    where = "latest day" if one.window == "latest" else "stage so far"
    st.metric(
        f"{as_start(name)}, {where}",
        value,
        change,
        delta_color=_STATUS_COLOURS.get(one.status, "gray") if one.status != "ok" else "off",
        delta_arrow="off",
        border=True,
        help=plain(one.sentence, longest=600),
    )


def _place(status: RolloutStatus) -> tuple[bool, float]:
    rollout = status.rollout
    return (not rollout.is_active, -rollout.changed_at.timestamp())
