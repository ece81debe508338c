"""The path of a migration on the Overview: a row a step, with its state, what was found, what is missing, its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell.overview.view import MARKS, go_button, kept_together
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from engine.present.journey import Journey, Step


def path(journey: Journey) -> None:
    """Draw every step from the data to the last byte."""
    st.header("The path", anchor=False)
    with st.container(border=True, gap=None, key="overview_path"):
        for number, step in enumerate(journey.steps, 1):
            if number > 1:
                st.divider()
            _row(number, step, is_current=step is journey.current)


def _row(number: int, step: Step, *, is_current: bool) -> None:
    colour, symbol = MARKS[step.state]
    with st.container(key=f"step_{step.key}"):
        told, way = st.columns([4, 1.4], gap="medium", vertical_alignment="center")
        with told, st.container(gap="xsmall"):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                title = f"{number}\\. {plain(step.title)}"
                st.markdown(title if step.state == "waiting" else f"**{title}**", width="content")
                st.badge(step.state, color=colour, icon=symbol)
                for label in step.labels:
                    st.badge(plain(label), color="gray")
            st.markdown(kept_together(step.sentence))
            if step.missing and not is_current:  # of the current one it stands at the top
                st.caption(f"Missing: {kept_together(' '.join(step.missing))}")
            if step.at is not None:
                is_simulated_time = step.key == "rollout" and step.labels
                aside = ", on its simulated clock" if is_simulated_time else ""
                st.caption(local_time(step.at, st.context.timezone) + aside)
        with way:
            go_button(step.action, key=f"go_{step.key}", kind="tertiary")
