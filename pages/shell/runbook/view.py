"""The head of the runbook: which rollout it is about, where that stands, how far the checklist is, and the download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.present.runbook import RunbookStore, look_at, render_markdown
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import missing
from pages.shell.flags import state as flags_state
from pages.shell.services import services
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from engine.present.runbook import CheckState, Runbook

    Colour = Literal["green", "orange", "red", "gray"]

BADGES: Mapping[CheckState, tuple[Colour, str]] = {
    "done": ("green", "✓"),
    "stale": ("orange", "◷"),
    "not met": ("red", "✕"),
    "open": ("gray", "○"),
}
"""A colour and a mark for each state of an item; the word stands beside them."""

_DAYS = "stale_days"
_LONGEST = 2000


def head() -> Runbook:
    """Draw title, choice of the rollout, download and who acts; return the runbook of the chosen rollout.

    Raises EngineError when the workspace cannot be read.
    """
    workspace, flags = services().workspace, services().flags
    runbook = look_at(workspace, flags=flags)
    flags_state.settle_rollout(runbook.rollouts)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Runbook", anchor=False, width="content")
        st.space("stretch")
        if runbook.rollouts:
            key = st.selectbox(
                "Rollout",
                runbook.rollouts,
                key=flags_state.ROLLOUT_KEY,
                bind="query-params",
                label_visibility="collapsed",
                width=220,
            )
            if key != runbook.rollout:
                runbook = look_at(workspace, flags=flags, rollout=key)
        _staleness(runbook)
        st.download_button(
            "Markdown",
            render_markdown(runbook),
            "runbook.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
            key="runbook_download",
        )
        flags_actor.choose_actor()
    st.markdown("What has to be true before a rollout starts, and what to type when it has to stop.")
    flags_actor.show_notice("runbook")
    missing.show("rollout")
    return runbook


def situation(runbook: Runbook) -> None:
    """State where things stand and how far the checklist is."""
    with st.container(gap="xsmall", key="situation"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(_headline(runbook), anchor=False, width="content")
            for state, (colour, mark) in BADGES.items():
                n = runbook.count(state)
                if n and state != "done":  # the headline counts those
                    st.badge(f"{mark} {n:,} {state}", color=colour)
            for label in runbook.labels:
                st.badge(plain(label), color="gray", icon=":material/science:")
        for said in runbook.situation:
            st.markdown(plain(said, longest=_LONGEST))


def _headline(runbook: Runbook) -> str:
    if runbook.is_ready:
        return "Ready: every item is done"
    return f"{runbook.count('done'):,} of {len(runbook.checks):,} items are done"


def _staleness(runbook: Runbook) -> None:
    label = f"Stale after {runbook.days_until_stale:,} days"
    with st.popover(label, icon=":material/schedule:", key="staleness"), st.form("staleness_form", border=False):
        st.markdown("Older ticks and evidence count as stale.")
        st.number_input("Days", 1, 365, runbook.days_until_stale, key=_DAYS)
        st.form_submit_button("Save", key="staleness_save", on_click=_save_days, **shown("runbook", "set staleness"))


def _save_days() -> None:
    days, who = int(st.session_state[_DAYS]), flags_actor.actor()
    store = RunbookStore(services().workspace)
    flags_actor.attempt("runbook", lambda: store.set_days_until_stale(days, actor=who))
