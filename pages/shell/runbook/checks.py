"""The checklist: every item with its state, who says so and when; ticks of people, and what the system can measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags import KILL_WORD
from engine.present.runbook import LONGEST_NOTE, RunbookStore
from pages.shell import jobs, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.runbook import state as runbook_state
from pages.shell.runbook import work as runbook_work
from pages.shell.runbook.view import BADGES
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from engine.present.runbook import Check, CheckKey, Runbook

_LONGEST = 2000
_COPY, _LIVE = "On a copy of the flags", "On the live flags"
_NOTE_HINT = "Where it is written down, or what was done"


def show(runbook: Runbook) -> None:
    """List the items of the checklist, with what can be done about each."""
    st.subheader("Checklist", anchor=False)
    jobs.show_progress("runbook")
    is_measuring = bool(state.followed_jobs("runbook"))
    with st.container(gap="small", key="checklist"):
        for check in runbook.checks:
            _item(check, runbook, is_measuring=is_measuring)
    if flags_state.asked() == "tick":
        asked = runbook_state.asked_check()
        if asked is None:
            flags_state.stop_asking()
        else:
            _tick_dialog(runbook.check(asked), runbook.rollout)
    if flags_state.asked() == "rehearse":
        _rehearse_dialog(runbook)


def _item(check: Check, runbook: Runbook, *, is_measuring: bool) -> None:
    colour, mark = BADGES[check.state]
    with st.container(border=True, gap="xsmall", key=f"check_{check.key}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":{colour}-badge[{mark} {check.state}] **{check.spec.title}**", width="content")
            st.space("stretch")
            _measure_button(check, runbook, is_measuring=is_measuring)
            label = "Tick" if check.tick is None else "Tick again"
            st.button(
                label,
                icon=":material/check:",
                key=f"tick_{check.key}",
                on_click=_ask_to_tick,
                args=(check.key,),
                **shown("runbook", "tick"),
            )
        st.markdown(plain(check.reason, longest=_LONGEST))
        _who_and_when(check)
        if check.tick is not None:
            _ticked(check)


def _who_and_when(check: Check) -> None:
    said = []
    if check.said_at is not None and not check.is_by_tick:
        by = f", by {plain(check.said_by)}" if check.said_by else ""
        said.append(f"{local_time(check.said_at, st.context.timezone)}{by}")
    elif check.state == "done" and not check.is_by_tick:
        said.append("Read from the workspace just now")
    if check.spec.takes != check.reason:
        said.append(check.spec.takes)
    if said:
        st.caption(" · ".join(said))


def _ticked(check: Check) -> None:
    tick = check.tick
    if tick is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        about = f" for rollout {plain(tick.about)}" if tick.about else ""
        note = "" if check.is_by_tick else f": {plain(tick.note)}"
        when = local_time(tick.at, st.context.timezone)
        st.caption(f":material/person: Ticked by {plain(tick.by)}, {when}{about}{note}", width="content")
        st.button(
            "Take back",
            key=f"untick_{check.key}",
            type="tertiary",
            icon=":material/undo:",
            on_click=_take_back,
            args=(check.key, tick.version),
            **shown("runbook", "take back"),
        )


def _measure_button(check: Check, runbook: Runbook, *, is_measuring: bool) -> None:
    if check.spec.measure == "rehearse":
        drawn = shown("runbook", "rehearse kill switch", disabled=is_measuring)
        st.button(
            "Rehearse", icon=":material/timer:", key="rehearse", on_click=flags_state.ask, args=("rehearse",), **drawn
        )
    elif check.spec.measure == "count" and runbook.migration:
        drawn = shown("runbook", "count source", disabled=is_measuring)
        asked = (runbook.migration,)
        st.button("Count now", icon=":material/numbers:", key="count", on_click=_count, args=asked, **drawn)
    elif check.spec.measure == "preflight" and runbook.rollout:
        drawn = shown("runbook", "pre-flight", disabled=is_measuring)
        st.button(
            "Run pre-flight",
            icon=":material/flight_takeoff:",
            key="run_preflight",
            on_click=_preflight,
            args=(runbook.rollout,),
            **drawn,
        )


def _ask_to_tick(key: CheckKey) -> None:
    runbook_state.ask_for(key)
    flags_state.ask("tick")


def _take_back(key: CheckKey, version: int) -> None:
    store, who = RunbookStore(services().workspace), flags_actor.actor()
    flags_actor.attempt("runbook", lambda: store.take_back(key, actor=who, expected_version=version))


def _count(migration: str) -> None:
    who = flags_actor.actor()
    work = flags_actor.attempt("runbook", lambda: runbook_work.count_work(migration, actor=who))
    if work is not None:
        jobs.start_evidence("Counting the source", work)


def _preflight(rollout: str) -> None:
    jobs.start_evidence("Pre-flight", runbook_work.preflight_work(rollout, actor=flags_actor.actor()))


@st.dialog("Tick an item", icon=":material/check:", on_dismiss=flags_state.stop_asking)
def _tick_dialog(check: Check, about: str) -> None:
    st.markdown(f"**{check.spec.title}.** {plain(check.spec.takes)}")
    if check.evidence.sentence and check.evidence.sentence != check.spec.takes:
        st.caption(f"The system knows: {plain(check.evidence.sentence, longest=_LONGEST)}")
    with st.form("tick_form", border=False):
        name = flags_actor.name_field("tick_name")
        note = st.text_input("Note", key="tick_note", placeholder=_NOTE_HINT, max_chars=LONGEST_NOTE)
        asks = st.form_submit_button("Tick", type="primary", icon=":material/check:", width="stretch")
    if not asks:
        return
    version = 0 if check.tick is None else check.tick.version
    try:
        RunbookStore(services().workspace).tick(check.key, actor=name, note=note, about=about, expected_version=version)
    except EngineError as error:
        st.error(sentence(error))
        return
    flags_state.stop_asking()
    state.set_notice("runbook", None)
    st.rerun()


@st.dialog("Rehearse the kill switch?", icon=":material/timer:", on_dismiss=flags_state.stop_asking)
def _rehearse_dialog(runbook: Runbook) -> None:
    where = st.radio("Where", [_COPY, _LIVE], key="rehearse_where", horizontal=True)
    if where == _COPY:
        st.markdown(
            "The flags are copied into a throw-away workspace, and the same code kills and restores them there three "
            "times while a flag client in another process watches its file. No user notices."
        )
    else:
        flag = f", {plain(runbook.flag_key)} → **{plain(runbook.safe_variant)}**" if runbook.flag_key else ""
        st.markdown(
            f"**Every user gets the safe variant of every flag{flag}**, for about a second, until a client in another "
            "process has followed. It is refused while a rollout runs, because the kill would pause it."
        )
    with st.form("rehearse_form", border=False):
        name = flags_actor.name_field("rehearse_name")
        typed = ""
        if where == _LIVE:
            typed = st.text_input(f'Type "{KILL_WORD}"', key="rehearse_typed", autocomplete="off")
        asks = st.form_submit_button("Rehearse", type="primary", icon=":material/timer:", width="stretch")
    if not asks:
        return
    if where == _LIVE and typed.strip() != KILL_WORD:
        st.error(f'A rehearsal on the live flags takes the typed word "{KILL_WORD}".')
        return
    work = runbook_work.rehearse_work(is_live=where == _LIVE, typed=typed, actor=name)
    jobs.start_evidence("Rehearsing the kill switch", work)
    flags_state.stop_asking()
    st.rerun()
