"""What triggers a rollback, and its numbered steps with the commands to type, for the live state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import frame
from pages.shell.text import plain

if TYPE_CHECKING:
    from engine.present.runbook import Runbook, Step

_LONGEST = 2000
_STATES = {"done already": ":green-badge[✓ done already]", "not needed": ":gray-badge[– not needed]"}


def triggers(runbook: Runbook) -> None:
    """List what starts a rollback."""
    st.subheader("When to roll back", anchor=False)
    with st.container(gap="xsmall", key="triggers"):
        st.caption(plain(runbook.triggers_are))
        st.markdown("\n".join(f"- **{plain(one.name)}**: {plain(one.sentence)}" for one in runbook.triggers))


def steps(runbook: Runbook) -> None:
    """Show the numbered steps, each with its commands and the page that has a button for it."""
    st.subheader("What to do then", anchor=False)
    with st.container(gap="small", key="steps"):
        for step in runbook.steps:
            with st.container(border=True, gap="xsmall", key=f"step_{step.number}"):
                _step(step)


def people(runbook: Runbook) -> None:
    """Name who is on call, or say where to name them."""
    st.subheader("Who to call", anchor=False)
    if not runbook.on_call:
        st.markdown("Nobody is named yet: fill in the owners of the plan, or the owner of the rollout or its flag.")
        return
    st.markdown("\n".join(f"- **{plain(one.name)}**: {plain(one.role)}" for one in runbook.on_call))


def _step(step: Step) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        state = f" {_STATES[step.state]}" if step.state in _STATES else ""
        st.markdown(f"**{step.number}. {plain(step.title)}**{state}", width="content")
        st.space("stretch")
        title = next(spec.title for spec in frame.PAGES if spec.url == step.page)
        if st.button(f"Open {title}", key=f"open_{step.number}", type="tertiary", icon=frame.icon_of(step.page)):
            frame.go_to(step.page)
    st.markdown(plain(step.text, longest=_LONGEST))
    if step.commands:
        st.code("\n".join(step.commands), language="shell", wrap_lines=True)
