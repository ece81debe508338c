"""What a page shows when something failed that no part of it expected, such as a database that is locked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import streamlit as st

from pages.shell.text import sentence

if TYPE_CHECKING:
    from engine.errors import EngineError

_RETRY_S = 5.0


def show(error: EngineError) -> None:
    """Say what failed in a sentence, and draw the page anew after a while: such a failure may pass."""
    st.error(sentence(error))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Try again", icon=":material/refresh:", key="trouble_again")
        st.caption("What was kept is not lost. The page tries again by itself.", width="content")
    _try_again(time.monotonic())


@st.fragment(run_every=_RETRY_S)
def _try_again(drawn_at: float) -> None:
    if time.monotonic() - drawn_at > _RETRY_S / 2:  # not in the run that drew the error
        st.rerun()
