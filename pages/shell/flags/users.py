"""Who gets what: every flag for one user whose id is typed, with the reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.experiment.assignment import hash_of
from pages.shell.text import plain

if TYPE_CHECKING:
    from engine.flags import Evaluation, Flag, FlagSnapshot, Reason

_REASONS: dict[Reason, str] = {
    "STATIC": "the same for everybody",
    "DEFAULT": "no rule applied",
    "TARGETING_MATCH": "a rule applied",
    "SPLIT": "by percentage",
    "DISABLED": "disabled: the caller's own default",
    "ERROR": "an error: the caller's own default",
}


def show(snapshot: FlagSnapshot) -> None:
    """Ask for a user id and list what that user gets of every flag."""
    user_id = st.text_input(
        "User id",
        key="user_id",
        width=360,
        placeholder="user-42",
        help="As your application passes it to the flag client. It is hashed here and kept nowhere.",
    )
    if not user_id:
        st.caption("Type the id of a user to see every flag as that user gets it.")
        return
    st.dataframe(
        [_row(flag, snapshot.evaluate(flag.key, user_id), user_id) for flag in snapshot.flags.values()],
        hide_index=True,
        key="user_flags",
        placeholder="–",
        column_config={
            "flag": st.column_config.TextColumn("Flag", pinned=True),
            "variant": st.column_config.TextColumn("Variant"),
            "value": st.column_config.TextColumn("Value"),
            "why": st.column_config.TextColumn("Why", width="medium"),
            "place": st.column_config.NumberColumn(
                "Comes in at", format="%.3f %%", help="The percentage from which on this user has the growing variant."
            ),
            "version": st.column_config.NumberColumn("Version"),
        },
    )
    if snapshot.killed is not None:
        st.caption(f"While the kill switch is on, {plain(user_id, longest=80)} gets the safe variants like everybody.")


def _row(flag: Flag, found: Evaluation, user_id: str) -> dict[str, object]:
    why = "the kill switch is on" if found.is_killed else found.error_message or _REASONS[found.reason]
    return {
        "flag": flag.key,
        "variant": found.variant,
        "value": None if found.variant is None else json.dumps(found.value),
        "why": why,
        "place": _place(flag, user_id),
        "version": found.version,
    }


def _place(flag: Flag, user_id: str) -> float | None:
    """Return the percentage from which on the user is in."""
    if flag.split is None:
        return None
    try:
        hashed = hash_of(flag.split.hash_key or flag.key, user_id, form=flag.split.form)
    except EngineError:
        return None  # no user id that can be hashed; the evaluation says so
    return 100 * hashed / (1 << 32)
