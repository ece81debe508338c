"""What a person does to a rollout: go on, pause, roll back, and step the simulated clock."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.experiment.wording import as_start
from engine.rollout import ROLL_BACK_WORD
from pages.shell import kill_banner, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.rollout import view as rollout_view
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.rollout import RolloutStatus

_DAY = timedelta(days=1)
_LONGEST = 400
_DRAFT_REASON, _OVERRIDE_REASON, _PAUSE_REASON = "draft_reason", "override_reason", "pause_reason"
_ICONS = {"advance": ":material/skip_next:", "resume": ":material/play_arrow:", "complete": ":material/flag_check:"}


def bar(status: RolloutStatus) -> None:
    """Draw the row of actions, the one that goes on first; every one is checked again in the engine."""
    with st.container(horizontal=True, key="actions", vertical_alignment="bottom"):
        if status.next_action in {"advance", "resume", "complete"}:
            _onward(status)
        if "pause" in status.actions:
            _pause(status)
        if "roll back" in status.actions:
            st.button(
                "Roll back",
                icon=":material/undo:",
                key="roll_back",
                on_click=flags_state.ask,
                args=("roll back",),
                **shown("rollout", "roll back"),
            )
        if "start" in status.actions:
            seen = (status.rollout.key, status.version)
            st.button(
                "Discard this draft",
                icon=":material/delete:",
                key="discard",
                on_click=_discard,
                args=seen,
                **shown("rollout", "discard"),
            )
        if status.rollout.is_active and not status.is_killed:
            kill_banner.switch_button(key="kill_rollout")
    if flags_state.asked() == "roll back":
        if "roll back" in status.actions:
            _roll_back_dialog(status)
        else:
            flags_state.stop_asking()  # somebody else, or the monitor, was faster


def clock(status: RolloutStatus) -> None:
    """Draw the simulated clock with what steps it; nothing for a rollout on real time or one that has ended."""
    rollout = status.rollout
    if not rollout.is_simulated or not rollout.is_active:
        return
    with st.container(horizontal=True, border=True, vertical_alignment="center", key="clock"):
        st.markdown(f":material/science: **Simulated clock** {rollout_view.when(status.now)}", width="content")
        to_next = math.ceil(status.time_left / _DAY) if "pause" in status.actions else 0  # paused, its days stand still
        _step_button(status, "Step a day", 1, key="step_day")
        if to_next > 1:
            _step_button(status, f"To the next stage ({to_next} days)", to_next, key="step_stage")
        if rollout.is_automatic:
            rest = math.ceil(rollout.schedule.last_day - status.day) + 7
            _step_button(status, "Until it ends or stops", max(7, rest), key="step_end")


def start_draft(status: RolloutStatus) -> None:
    """Ask why, and start a draft."""
    with st.form("draft_form", border=False):
        st.text_input("Why?", key=_DRAFT_REASON, max_chars=_LONGEST)
        st.form_submit_button(
            f"Start at {status.stages[0].share_percent:g} %",
            type="primary",
            icon=":material/rocket_launch:",
            key="start",
            on_click=_start,
            args=(status.rollout.key, status.version),
            **shown("rollout", "start"),
        )


def _onward(status: RolloutStatus) -> None:
    """Draw what goes on. Callbacks carry what the reader saw: a page drawn anew could offer another step instead."""
    action, coming = str(status.next_action), status.next_stage
    label = {
        "advance": "Advance" if coming is None else f"Advance to {coming.share_percent:g} %",
        "resume": "Resume",
        "complete": "Complete",
    }[action]
    seen = (status.rollout.key, action, status.version)
    st.button(
        label,
        type="primary",
        icon=_ICONS[action],
        key="onward",
        on_click=_go_on,
        args=seen,
        **shown("rollout", action, disabled=not status.can_go_on),
    )
    if not status.obstacles or not all(one.can_be_overridden for one in status.obstacles):
        return
    with st.popover("Go on anyway", icon=":material/gavel:", key="override"), st.form("override_form", border=False):
        st.markdown("Against:")
        for one in status.obstacles:
            st.markdown(f"- {rollout_view.kept_together(as_start(one.sentence))}")
        st.text_input("Why is it right to go on?", key=_OVERRIDE_REASON, max_chars=_LONGEST)
        st.form_submit_button(
            f"{label} anyway",
            icon=_ICONS[action],
            key="anyway",
            on_click=_go_on_anyway,
            args=seen,
            **shown("rollout", action),
        )


def _start(key: str, version: int) -> None:
    reason = flags_state.typed(_DRAFT_REASON)
    _attempt(lambda who: services().rollouts.start(key, actor=who, reason=reason, expected_version=version))


def _discard(key: str, version: int) -> None:
    _attempt(lambda who: services().rollouts.discard(key, actor=who, expected_version=version))


def _go_on(key: str, action: str, version: int, override: str = "") -> None:
    control = services().rollouts
    step = {"advance": control.advance, "resume": control.resume, "complete": control.complete}[action]
    _attempt(lambda who: step(key, actor=who, expected_version=version, override=override))


def _go_on_anyway(key: str, action: str, version: int) -> None:
    reason = flags_state.typed(_OVERRIDE_REASON).strip()
    if reason:
        _go_on(key, action, version, reason)
    else:
        said = "Going on against what stands in the way takes a typed reason."
        state.set_notice("rollout", state.Notice(level="error", sentence=said))


def _pause(status: RolloutStatus) -> None:
    with st.popover("Pause", icon=":material/pause:", key="pause"), st.form("pause_form", border=False):
        st.markdown("Users who have the treatment keep it; the days stand still.")
        st.text_input("Why?", key=_PAUSE_REASON, max_chars=_LONGEST)
        st.form_submit_button(
            "Pause now",
            icon=":material/pause:",
            key="pause_submit",
            on_click=_pause_now,
            args=(status.rollout.key,),
            **shown("rollout", "pause"),
        )


def _pause_now(key: str) -> None:
    # Whatever changed since the page was drawn, somebody who stops it wants it stopped: no version is named.
    reason = flags_state.typed(_PAUSE_REASON)
    _attempt(lambda who: services().rollouts.pause(key, actor=who, reason=reason))


@st.dialog("Roll back?", icon=":material/undo:", on_dismiss=flags_state.stop_asking)
def _roll_back_dialog(status: RolloutStatus) -> None:
    rollout = status.rollout
    st.markdown(
        f"Everybody sees **{plain(rollout.control)}** of {plain(rollout.flag_key)} at once, and this rollout ends: to "
        "try again, plan a new one."
    )
    with st.form("roll_back_form", border=False):
        name = flags_actor.name_field("roll_back_name")
        reason = st.text_input("Why?", key="roll_back_reason", max_chars=_LONGEST)
        typed = st.text_input(f'Type "{ROLL_BACK_WORD}"', key="roll_back_typed", autocomplete="off")
        if not st.form_submit_button("Roll back", type="primary", icon=":material/undo:", width="stretch"):
            return
    try:
        # As for a pause, no version is named.
        services().rollouts.roll_back(rollout.key, actor=name, reason=reason, typed=typed)
    except EngineError as error:
        st.error(sentence(error))
        return
    flags_state.stop_asking()
    state.set_notice("rollout", None)
    st.rerun()


def _step_button(status: RolloutStatus, label: str, days: int, *, key: str) -> None:
    st.button(
        label,
        icon=":material/fast_forward:",
        key=key,
        on_click=_step,
        args=(status.rollout.key, days),
        **shown("clock", "step clock"),
    )


def _step(key: str, days: int) -> None:
    _attempt(lambda who: services().simulated.step(key, actor=who, days=days))


def _attempt(work: Callable[[str], object]) -> None:
    """Do it as who acts in this tab; when it is refused, the top of the page says why."""
    who = flags_actor.actor()
    flags_actor.attempt("rollout", lambda: work(who))
