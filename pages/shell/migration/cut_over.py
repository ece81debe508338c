"""The tab Cut over: send every search to the target store and back, through the flag that searches ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags.wording import serves
from engine.migration import store_name
from engine.migration.cut_over import CUT_BACK_WORD, CUT_OVER_WORD, FLAG, cut_back, cut_over
from pages.shell import frame, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import view as flags_view
from pages.shell.migration import view as migration_view
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.flags import Flag
    from pages.shell.migration.view import View

_LONGEST = 400


def show(view: View) -> None:
    """Say where searches go now and by whom, and offer the way over and back."""
    flags = services().flags
    try:
        flag, killed = flags.flag(FLAG), flags.is_killed
    except EngineError as error:
        st.error(sentence(error))
        return
    _now(flag, is_killed=killed is not None)
    if killed is not None:
        st.warning(
            "The kill switch is on: everybody has the source store, and nobody can be cut over before it is restored.",
            icon=":material/emergency_home:",
        )
    if flag.driven_by is not None:
        flags_view.driver(flag)
        return
    _evidence(view)
    percent = flag.percent or 0.0
    if percent < 100 and killed is None:
        _form(
            "Send every search to the target store",
            CUT_OVER_WORD,
            icon=":material/swap_horiz:",
            act=lambda typed, reason: cut_over(
                flags, expected_version=flag.version, typed=typed, actor=flags_actor.actor(), reason=reason
            ),
        )
    if percent > 0:
        _form(
            "Send every search back to the source store",
            CUT_BACK_WORD,
            icon=":material/undo:",
            act=lambda typed, reason: cut_back(
                flags, expected_version=flag.version, typed=typed, actor=flags_actor.actor(), reason=reason
            ),
        )
    if percent == 0:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("To go over in steps, with monitors and a way back by itself, ramp this flag with a rollout.")
            if st.button("Rollout", key="to_rollout", icon=":material/rocket_launch:"):
                frame.go_to("rollout")


def _now(flag: Flag, *, is_killed: bool) -> None:
    last = services().flags.history(key=FLAG, limit=1)
    with st.container(border=True, gap="small", key="cut_over_now"):
        where = {True: "the target store", False: "the source store"}
        percent = 0.0 if is_killed or not flag.is_enabled else flag.percent or 0.0
        whole = percent in {0.0, 100.0}
        told = where[percent == 100] if whole else f"the target store for {percent:g}\u00a0% of the users"
        st.markdown(f"Searches go to **{told}**. Flag **{plain(FLAG)}**: {plain(serves(flag, is_killed=is_killed))}.")
        if last:
            one = last[0]
            why = f": {plain(one.reason)}" if one.reason else ""
            st.caption(f"{plain(one.action)} by {plain(one.actor)}, {local_time(one.at, st.context.timezone)}{why}")


def _evidence(view: View) -> None:
    """Say what speaks for the target: its newest validation."""
    if view.report is None or view.job is None:
        st.warning("This migration has not been validated: nothing shows that the target holds what it should.")
        return
    moved = store_name(view.job.target)
    if view.report.validation.verdict == "equal":
        ended = migration_view.when(view.report.ended)
        st.markdown(f":green[:material/verified:] {plain(moved)} was validated as equal at {ended}.")
    else:
        st.error(f"{plain(moved)} differs from the source by its newest validation. Catch up before you cut over.")
    if view.report.n_held:
        st.warning(f"{view.report.n_held:,} rows are in quarantine: searches in the target will not find them.")


def _form(label: str, word: str, *, icon: str, act: Callable[[str, str], object]) -> None:
    key = word.replace(" ", "_")
    with st.form(f"{key}_form"):
        st.markdown(f"**{label}**")
        left, right = st.columns([3, 2])
        reason = left.text_input("Why?", key=f"{key}_reason", max_chars=_LONGEST)
        typed = right.text_input(f'Type "{word}"', key=f"{key}_typed", autocomplete="off")
        if not st.form_submit_button(
            word.capitalize(), type="primary", icon=icon, key=f"{key}_submit", **shown("flag", word)
        ):
            return
        try:
            act(typed, reason)
        except EngineError as error:
            st.error(sentence(error))
            return
    state.set_notice("migration", None)
    st.rerun()
