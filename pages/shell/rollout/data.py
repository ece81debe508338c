"""Where the monitor's data comes from: faults of the simulated traffic, and files of observations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, printable
from engine.rollout import parse_fault
from engine.rollout.observation_columns import ObservationColumns
from engine.rollout.observing import ReadingOptions, observation_columns, read_observations
from engine.rollout.traffic_days import RolloutFault
from pages.shell import state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.rollout import Observation, RolloutStatus, SimulationSettings
    from engine.rollout.observation_columns import ColumnCandidates

_LARGEST_MB = 64
_UNITS = {"as the column's name says": None, "ms": "ms", "s": "s", "us": "us"}
_ROLES = {
    "start": "start of the window",
    "end": "end of the window",
    "arm": "arm",
    "percent": "percent in treatment",
    "n_users": "users",
    "n_queries": "queries",
    "n_clicks": "queries with a click",
    "n_errors": "failed queries",
    "p99_ms": "p99 latency",
    "p99_low_ms": "p99, lower bound",
    "p99_high_ms": "p99, upper bound",
}


def show(status: RolloutStatus) -> None:
    """Draw the faults of a rollout on simulated time, and the upload for both kinds."""
    if status.rollout.is_simulated:
        _faults(status)
    _upload(status)


def _faults(status: RolloutStatus) -> None:
    st.subheader("Break something, and see whether it is seen", anchor=False)
    key, today = status.rollout.key, _today(status)
    settings = services().simulated.settings(key)
    with st.container(horizontal=True):
        for label, name, icon, fault in _offered(today):
            st.button(
                label,
                key=name,
                icon=icon,
                on_click=_set_faults,
                args=(key, settings, (*settings.faults, fault)),
                **shown("simulation", "set simulation", disabled=status.rollout.ended_at is not None),
            )
    st.caption(f"From the next simulated day on, day {today:,} of the clock, in the treatment; no data in both arms.")
    for place, fault in enumerate(settings.faults):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/science: {plain(fault_words(fault))}", width="content")
            rest = (*settings.faults[:place], *settings.faults[place + 1 :])
            st.button(
                "End it",
                key=f"end_fault_{place}",
                type="tertiary",
                icon=":material/close:",
                on_click=_set_faults,
                args=(key, settings, rest),
                **shown("simulation", "set simulation"),
            )
    _typed_fault(key, settings)


def _offered(today: int) -> tuple[tuple[str, str, str, RolloutFault], ...]:
    """Return faults at a click: label, key, icon and what breaks."""
    slow = RolloutFault(kind="latency", amount=2.0, first_day=today)
    dull = RolloutFault(kind="clicks", amount=-0.08, first_day=today)
    burst = RolloutFault(kind="errors", amount=0.01, first_day=today, last_day=today)
    silence = RolloutFault(kind="missing data", first_day=today, arm="both")
    return (
        ("Latency × 2", "fault_latency", ":material/speed:", slow),
        ("CTR −8 %", "fault_clicks", ":material/ads_click:", dull),
        ("Error burst, one day", "fault_errors", ":material/bolt:", burst),
        ("No data", "fault_missing", ":material/signal_disconnected:", silence),
    )


def fault_words(fault: RolloutFault) -> str:
    """Say in words what a fault does, where and when."""
    what = {
        "latency": f"latency × {fault.amount:g}",
        "clicks": f"{100 * abs(fault.amount):g} % {'fewer' if fault.amount < 0 else 'more'} clicks",
        "errors": f"{100 * fault.amount:g} % more of the queries fail",
        "missing data": "no data",
    }[fault.kind]
    days = f"from day {fault.first_day:,}" + (f" to day {fault.last_day:,}" if fault.last_day is not None else " on")
    share = f", at {fault.from_percent:g} % and more" if fault.from_percent else ""
    return f"{what}, {fault.arm if fault.arm != 'both' else 'both arms'}, {days}{share}"


def _typed_fault(key: str, settings: SimulationSettings) -> None:
    with st.form("fault_form", border=False, clear_on_submit=True):
        words, button = st.columns([3, 1], vertical_alignment="bottom")
        typed = words.text_input("Another fault", key="fault_typed", placeholder="clicks:-8%@50%, errors:0.01@day12-13")
        if not button.form_submit_button(
            "Add", icon=":material/add:", key="fault_add", width="stretch", **shown("simulation", "set simulation")
        ):
            return
    flags_actor.attempt("rollout", lambda: _set(key, replace(settings, faults=(*settings.faults, parse_fault(typed)))))
    st.rerun()


def _set_faults(key: str, settings: SimulationSettings, faults: tuple[RolloutFault, ...]) -> None:
    flags_actor.attempt("rollout", lambda: _set(key, replace(settings, faults=faults)))


def _set(key: str, settings: SimulationSettings) -> None:
    services().simulated.set(key, settings, actor=flags_actor.actor())


def _today(status: RolloutStatus) -> int:
    """Return the day of the clock that is simulated next, counted from the start, pauses included."""
    started = status.rollout.started_at
    return 0 if started is None else (status.now - started) // timedelta(days=1)


def _upload(status: RolloutStatus) -> None:
    st.subheader("Append observations", anchor=False)
    st.caption(
        "One row an arm and window, as CSV, Parquet, JSON or JSON lines: start, end, arm (control, treatment, "
        "baseline), percent, n_users, n_queries, and n_clicks, n_errors, p99_ms as far as you count them. The same "
        "window sent twice does no harm."
    )
    uploaded = st.file_uploader(
        "Observations",
        type=["csv", "tsv", "parquet", "json", "jsonl", "ndjson"],
        key="observations",
        max_upload_size=_LARGEST_MB,
    )
    if uploaded is None:
        return
    data, name = uploaded.getvalue(), uploaded.name
    try:
        options = _options(observation_columns(data, name=name), status)
        observed = read_observations(data, name=name, options=options, now=status.now)
    except EngineError as error:
        st.error(sentence(error))
        return
    _preview(observed)
    if st.button("Append", type="primary", icon=":material/add_chart:", key="append", **shown("rollout", "observe")):
        flags_actor.attempt("rollout", _appending(status, observed))
        st.rerun()


def _appending(status: RolloutStatus, observed: tuple[Observation, ...]) -> Callable[[], object]:
    def work() -> None:
        done = services().rollouts.observe(status.rollout.key, observed, actor=flags_actor.actor())
        said = f"{done.n_new:,} observations were new, {done.n_known:,} were there already."
        state.set_notice("rollout", state.Notice(level="info", sentence=said))

    return work


def _options(offered: ColumnCandidates, status: RolloutStatus) -> ReadingOptions:
    """Ask for what the file does not say by itself."""
    chosen = dict(offered.columns.named())
    open_roles = {**offered.ambiguous, **dict.fromkeys(offered.missing, offered.names)}
    if open_roles:
        for place, (role, names) in zip(st.columns(len(open_roles)), open_roles.items(), strict=True):
            picked = place.selectbox(
                f"Column: {_ROLES[role]}", names, index=None, key=f"column_{role}", format_func=printable
            )
            if picked is not None:
                chosen[role] = picked
    with st.expander("What the file does not say", icon=":material/tune:", key="reading_options"):
        zone, window, percent, unit = st.columns(4)
        time_zone = zone.text_input("Time zone", "UTC", key="reading_zone", help="Of moments without an offset.")
        hours = window.number_input("Hours of a window", value=None, key="reading_hours", placeholder="as written")
        share = percent.number_input("Percent", value=None, key="reading_percent", placeholder=f"{status.percent:g}")
        latency = unit.selectbox("Unit of latency", list(_UNITS), key="reading_unit")
    return ReadingOptions(
        columns=ObservationColumns(**chosen),
        time_zone=time_zone or None,
        window_hours=hours,
        percent=status.percent if share is None else float(share),
        latency_unit=_UNITS[latency],  # type: ignore[arg-type]  # one of the engine's units
        is_simulated=status.rollout.is_simulated,
    )


def _preview(observed: tuple[Observation, ...]) -> None:
    first, last = min(one.started_at for one in observed), max(one.ended_at for one in observed)
    st.caption(f"{len(observed):,} observations, {first:%Y-%m-%d %H:%M %Z} to {last:%Y-%m-%d %H:%M %Z}. The first:")
    st.dataframe([one.as_json() for one in observed[:5]], hide_index=True, key="observed_rows")
