"""Schedule and thresholds of a rollout that exists: to read while it runs, to edit while it is a draft or paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from pages.shell import state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.rollout import fields as rollout_fields
from pages.shell.rollout import preflight as rollout_preflight
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.rollout import RolloutStatus


def show(status: RolloutStatus) -> None:
    """Draw the settings, editable where the engine lets them be edited, and what they promise."""
    if "edit" not in status.actions:
        _facts(status)
        return
    edit = flags_state.edited_rollout(status.rollout.key)
    if edit is None:
        edit = _begin(status)
    rollout, mark = edit.base, f"{edit.base.key}_{edit.version}"
    try:
        schedule = rollout_fields.schedule_fields(rollout.schedule, mark=mark)
        with st.expander("Thresholds", icon=":material/monitor_heart:", key="thresholds_fold"):
            thresholds = rollout_fields.thresholds_fields(rollout.thresholds, mark=mark)
        is_automatic = st.toggle("Advance by itself", rollout.is_automatic, key=f"automatic_{mark}")
    except EngineError as error:
        st.error(sentence(error))
        return
    is_changed = (schedule, thresholds, is_automatic) != (rollout.schedule, rollout.thresholds, rollout.is_automatic)
    _follow(status, edit, is_changed=is_changed)
    traffic = services().simulated.settings(rollout.key).traffic
    setting = flags_state.RolloutSetting(schedule=schedule, thresholds=thresholds, traffic=traffic)
    reason = st.text_input("Why?", key=f"edit_why_{mark}", max_chars=400)
    saves = st.button("Save", type="primary", icon=":material/save:", key="save_rollout", **shown("rollout", "edit"))
    if saves and not is_changed:
        st.info("Nothing has changed.")
    elif saves:
        flags_actor.attempt(
            "rollout",
            lambda: services().rollouts.edit(
                rollout.key,
                expected_version=edit.version,
                actor=flags_actor.actor(),
                schedule=schedule,
                thresholds=thresholds,
                is_automatic=is_automatic,
                reason=reason,
            ),
        )
        if state.notice("rollout") is None:
            rollout_preflight.keep_as_evidence(setting, rollout.key)
            _begin(services().rollouts.status(rollout.key))
        st.rerun()
    rollout_preflight.show(setting)


def _begin(status: RolloutStatus) -> flags_state.RolloutEdit:
    edit = flags_state.RolloutEdit(base=status.rollout, version=status.version)
    flags_state.edit_rollout(edit)
    return edit


def _follow(status: RolloutStatus, edit: flags_state.RolloutEdit, *, is_changed: bool) -> None:
    """Take over what somebody else changed, or say so when there is an edit that would get lost."""
    if status.version == edit.version:
        return
    if not is_changed:
        _begin(status)
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning("This rollout was changed while you edit it; saving would be refused.", icon=":material/group:")
        if st.button("Take the newest", key="take_newest_rollout", icon=":material/refresh:"):
            state.set_notice("rollout", None)
            _begin(status)
            st.rerun()


def _facts(status: RolloutStatus) -> None:
    rollout = status.rollout
    st.caption("Settings can be edited while a rollout is a draft or paused.")
    st.markdown(
        f"Schedule, day: percent: **{plain(rollout.schedule)}**"
        + (f", holdback {rollout.schedule.holdback_percent:g} %" if rollout.schedule.holdback_percent else "")
    )
    st.markdown(
        f"Users are bucketed by the key **{plain(rollout.hash_key)}**; {plain(rollout.treatment)} grows, the others "
        f"see {plain(rollout.control)}."
    )
    st.json(rollout.thresholds.as_json(), expanded=1)
