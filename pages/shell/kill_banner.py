"""The kill switch on every page: a banner while it is on, and the switch itself in the sidebar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags import KILL_WORD
from pages.shell import frame, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.following import follow
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from typing import Literal

    from engine.flags import FlagStore, KillState

_FLAGS = "flags"
_PAGE_OF = {"roll back": "rollout", "tick": "runbook", "rehearse": "runbook"}
_LABEL = ":red[**Kill switch**]"


def show(url: str) -> None:
    """Say on the page `url` who switched everything to safe while that is so; every open tab follows by itself."""
    if _PAGE_OF.get(flags_state.asked(), url) != url:
        flags_state.stop_asking()  # its page was left
    try:
        flags = services().flags
        killed = flags.is_killed
    except EngineError as error:  # flags that cannot be read shall not take the other pages along
        st.error(sentence(error))
        return
    if killed is not None:
        _banner(killed, leads_to_flags=url != _FLAGS)
    with st.sidebar:
        if flags.problem:
            st.warning(sentence(flags.problem), icon=":material/cloud_off:")
        _switch(killed)
        # Not above the page: what a poll sends late would meet the page where it is being drawn.
        follow(_version(killed), lambda shared: _version(shared.flags.is_killed))
    if flags_state.asked() == "kill":
        _dialog()


def killed_words(killed: KillState) -> str:
    """Say who switched everything to safe, when and why."""
    when = local_time(killed.at, st.context.timezone)
    why = plain(killed.reason, longest=400) if killed.reason else "no reason given"
    return f"**The kill switch is on.** Every flag is at its safe variant since {when}, by {plain(killed.actor)}: {why}"


def _banner(killed: KillState, *, leads_to_flags: bool) -> None:
    with frame.column(), st.container(key="kill_banner", gap="xsmall"):
        st.error(killed_words(killed), icon=":material/emergency_home:")
        if leads_to_flags and st.button(
            "Feature flags: look and restore", icon=":material/flag:", key="kill_banner_flags"
        ):
            frame.go_to(_FLAGS)


def switch_button(*, key: str, width: Literal["stretch", "content"] = "content") -> None:
    """Draw a button that opens the dialog of the kill switch."""
    drawn = shown("switch", "kill")
    st.button(
        "Kill switch" if drawn["disabled"] else _LABEL,
        icon=":material/emergency_home:",
        key=key,
        width=width,
        on_click=flags_state.ask,
        args=("kill",),
        **drawn,
    )


def _switch(killed: KillState | None) -> None:
    if killed is not None:
        st.badge("Kill switch is on", icon=":material/emergency_home:", color="red")
        return
    switch_button(key="kill_switch", width="stretch")


@st.dialog("Switch every flag to safe?", icon=":material/emergency_home:", on_dismiss=flags_state.stop_asking)
def _dialog() -> None:
    flags = services().flags
    st.markdown(_consequences(flags))
    with st.form("kill_form", border=False):
        name = flags_actor.name_field("kill_name")
        reason = st.text_input("Why?", key="kill_reason", placeholder="p99 doubled since 03:05", max_chars=400)
        typed = st.text_input(f'Type "{KILL_WORD}"', key="kill_typed", autocomplete="off")
        is_asked = st.form_submit_button(
            "Switch every flag to safe", type="primary", icon=":material/emergency_home:", width="stretch"
        )
    if not is_asked:
        return
    try:
        flags.kill(actor=name, typed=typed, reason=reason)
    except EngineError as error:
        st.error(sentence(error))
        if flags.is_killed is not None:  # kept, but its file could not be written: the dialog is about to be redrawn
            state.set_notice("flags", state.Notice(level="error", sentence=str(error)))
        return
    flags_state.stop_asking()
    st.rerun()


def _consequences(flags: FlagStore) -> str:
    known = list(flags.snapshot().flags.values())
    listed = ", ".join(f"{plain(flag.key)} → **{plain(flag.safe_variant)}**" for flag in known[:6])
    more = f" and {len(known) - 6:,} more" if len(known) > 6 else ""
    return (
        f"At once, for every user, whatever drives it: {listed}{more}. Running rollouts pause. "
        "Restoring brings the exact earlier state back."
    )


def _version(killed: KillState | None) -> int | None:
    return None if killed is None else killed.version
