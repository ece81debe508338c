"""What a browser tab remembers of the runbook: which item the open dialog is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from engine.present.runbook import CheckKey

_CHECK = "_asked_check"


def ask_for(key: CheckKey) -> None:
    """Remember the item that is about to be ticked."""
    st.session_state[_CHECK] = key


def asked_check() -> CheckKey | None:
    """Return the item that is about to be ticked."""
    key: CheckKey | None = st.session_state.get(_CHECK)
    return key
