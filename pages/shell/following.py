"""Have an open page follow what others change meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from pages.shell.flags import state as flags_state
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from pages.shell.services import Services

_POLL_S = 3.0


@st.fragment(run_every=_POLL_S)
def follow(
    drawn: object, current: Callable[[Services], object], *, at_once: Callable[[Services], object] | None = None
) -> None:
    """Draw the page anew when `current` no longer returns what is `drawn`.

    It is looked at every few seconds, and `at_once`, which must be quick, or else `current` itself, many times a second
    for all tabs together: see `Nudges.listen`.
    """
    shared = services()
    try:
        is_stale = current(shared) != drawn
    except EngineError:
        return  # said when the page is drawn next
    if is_stale and flags_state.asked() is None:  # what somebody types into a dialog is not disturbed
        st.rerun()
    shared.nudges.listen(drawn, partial(at_once or current, shared), poll_s=_POLL_S)
