"""Say that the flag or rollout which an address asks for is not there, and what stands in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell.flags import state as flags_state
from pages.shell.text import plain

if TYPE_CHECKING:
    from typing import Literal


def show(what: Literal["flag", "rollout"], *, is_replaced: bool = True) -> None:
    """Say so in one sentence until something else is chosen; `is_replaced` is False where nothing stands there."""
    found = flags_state.missed(what)
    if found is None:
        return
    said = f"No {what} of this workspace is named {plain(found.asked, longest=100)}"
    instead = "" if found.shown is None or not is_replaced else f"; {plain(found.shown, longest=100)} is shown instead"
    st.warning(f"{said}{instead}.", icon=":material/link_off:")
