"""Which version of the plan a browser tab looks at: edits are saved only over that one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from engine.present.plan import Plan

TABS_KEY = "plan_tab"
"""Also the name in the URL."""

_SEEN = "_plan_seen"


@dataclass(frozen=True, kw_only=True)
class SeenPlan:
    """The plan as this tab drew it: `version` 0 is a proposal that nobody has saved.

    `mark` ends the keys of its widgets, so that what is drawn anew starts with its own values.
    """

    plan: Plan
    run_id: str | None
    version: int
    mark: str


def seen() -> SeenPlan | None:
    """Return what this tab looks at; None when the page has just been entered."""
    known: SeenPlan | None = st.session_state.get(_SEEN)
    # Streamlit forgets widgets that a page did not draw: without them another page was looked at in between.
    return known if TABS_KEY in st.session_state else None


def look_at(plan: Plan, *, run_id: str | None, version: int) -> SeenPlan:
    """Look at this version from now on."""
    before: SeenPlan | None = st.session_state.get(_SEEN)
    count = 0 if before is None else int(before.mark) + 1
    found = SeenPlan(plan=plan, run_id=run_id, version=version, mark=str(count))
    st.session_state[_SEEN] = found
    return found


def begin_with(key: str, value: object) -> None:
    """Fill the widget of this key when it is drawn for the first time."""
    if key not in st.session_state:
        st.session_state[key] = value
