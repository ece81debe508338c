"""What a browser tab remembers of flags and rollouts: who acts, what is edited, planned or asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.flags import Flag
    from engine.rollout import Rollout, Schedule, Thresholds
    from engine.rollout.traffic_days import Traffic

Confirmation = Literal["kill", "roll back", "tick", "rehearse"]

FLAG_KEY = "flag"
"""The flag that the Feature flags page edits; also its name in the URL."""

ROLLOUT_KEY = "rollout"
"""The rollout that the Rollout page shows; also its name in the URL."""

_ACTOR = "_actor"
_ASKED = "_asked"
_EDITED = "_edited_flag"
_EDITED_ROLLOUT = "_edited_rollout"
_SETS_UP = "_sets_up_rollout"
_OPENED = "_opened_rollout"
_KEPT = "_kept_setting"
_MISSED = "_missed_"


@dataclass(frozen=True, kw_only=True)
class FlagEdit:
    """The flag as it was when somebody began to edit it; `round` makes fresh widgets of an edit begun anew."""

    base: Flag
    round: int = 0


@dataclass(frozen=True, kw_only=True)
class Missed:
    """What the address or this tab asks for and is not there, and what is shown instead, None where nothing is."""

    asked: str
    shown: str | None


@dataclass(frozen=True, kw_only=True)
class RolloutEdit:
    """The rollout as it was, in this version, when somebody began to edit its settings."""

    base: Rollout
    version: int


@dataclass(frozen=True, kw_only=True)
class RolloutSetting:
    """What a rollout is planned with, for a pre-flight."""

    schedule: Schedule
    thresholds: Thresholds
    traffic: Traffic


def actor() -> str | None:
    """Return the name under which this tab changes flags and rollouts, None until somebody gave one."""
    name: str | None = st.session_state.get(_ACTOR)
    return name


def set_actor(name: str) -> None:
    """Remember the name under which this tab changes flags and rollouts."""
    st.session_state[_ACTOR] = name


def typed(key: str) -> str:
    """Return what stands in the text field `key`, for the callback of a button beside it."""
    return str(st.session_state.get(key) or "")


def ask(question: Confirmation) -> None:
    """Keep this dialog open until it is answered or dismissed, however often the page is drawn anew meanwhile."""
    st.session_state[_ASKED] = question


def asked() -> Confirmation | None:
    """Return the dialog that is open."""
    question: Confirmation | None = st.session_state.get(_ASKED)
    return question


def stop_asking() -> None:
    """Close the dialog that is open."""
    st.session_state.pop(_ASKED, None)


def edited_flag(key: str) -> FlagEdit | None:
    """Return the edit of the flag `key` that this tab has begun."""
    edit: FlagEdit | None = st.session_state.get(_EDITED)
    return edit if edit is not None and edit.base.key == key else None


def edit_flag(edit: FlagEdit) -> None:
    """Begin to edit a flag, in place of the one that was edited before."""
    st.session_state[_EDITED] = edit


def edited_rollout(key: str) -> RolloutEdit | None:
    """Return the edit of the rollout `key` that this tab has begun."""
    edit: RolloutEdit | None = st.session_state.get(_EDITED_ROLLOUT)
    return edit if edit is not None and edit.base.key == key else None


def edit_rollout(edit: RolloutEdit) -> None:
    """Begin to edit the settings of a rollout, in place of the one that was edited before."""
    st.session_state[_EDITED_ROLLOUT] = edit


def sets_up_rollout() -> bool:
    """Tell whether this tab plans a new rollout."""
    return bool(st.session_state.get(_SETS_UP, False))


def set_up_rollout(*, is_planned: bool) -> None:
    """Plan a new rollout from now on, or no more."""
    st.session_state[_SETS_UP] = is_planned


def open_rollout(key: str) -> None:
    """Show this rollout when the page is drawn next."""
    st.session_state[_SETS_UP] = False
    st.session_state[_OPENED] = key


def settle_rollout(keys: Sequence[str]) -> None:
    """Choose the rollout that was opened, one of `keys`; a widget's state can only change before it is drawn."""
    opened = st.session_state.pop(_OPENED, None)
    if opened in keys:
        if ROLLOUT_KEY not in st.session_state:
            st.query_params[ROLLOUT_KEY] = opened  # a bound value is written to the URL only when it changes
        st.session_state[ROLLOUT_KEY] = opened
    settle_bound(ROLLOUT_KEY, keys)


def settle_bound(key: str, options: Sequence[str]) -> None:
    """Choose the first of `options` when what is asked for is none of them: `missed` tells then what that was.

    Unlike `state.settle_choice` also for a widget that is in the address already, from which nothing may be taken out.
    """
    is_drawn = key in st.session_state
    asked = st.session_state[key] if is_drawn else st.query_params.get(key)
    shown = options[0] if options else None
    if asked and asked not in options:
        st.session_state[_MISSED + key] = Missed(asked=str(asked), shown=shown)
        if is_drawn and shown is not None:
            st.session_state[key] = shown
        return
    missed_before = missed(key)
    if missed_before is not None and asked != missed_before.shown:  # another one was chosen since
        st.session_state.pop(_MISSED + key)


def missed(key: str) -> Missed | None:
    """Return what was asked for under `key` and is not there, as long as nothing else was chosen."""
    found: Missed | None = st.session_state.get(_MISSED + key)
    return found


def kept_setting() -> RolloutSetting | None:
    """Return the setting that the present one is compared with."""
    kept: RolloutSetting | None = st.session_state.get(_KEPT)
    return kept


def keep_setting(setting: RolloutSetting | None) -> None:
    """Compare further settings with this one, or with none."""
    st.session_state[_KEPT] = setting
