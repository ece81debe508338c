"""The stages of a rollout as cards: share, time, and the checkpoint that leads out of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell.rollout import view as rollout_view
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.rollout import HistoryEntry, RolloutStatus, StageView

_CARD_PX = 258
_CHECKS: Mapping[str, tuple[str, str]] = {
    "day": ("its days are over", "its days are not over"),
    "too little data": ("enough data", "not enough data yet"),
    "critical alert": ("no critical alert", "a critical alert stands"),
    "kill switch": ("kill switch off", "kill switch on"),
}
"""What the checkpoint says of each obstacle: while it is out of the way, and while it stands in it."""

_ONWARD_ONLY = {"day", "too little data"}


def show(status: RolloutStatus, history: Sequence[HistoryEntry]) -> None:
    """Draw a card a stage."""
    with st.container(horizontal=True, gap="small", key="stages"):
        for stage in status.stages:
            with st.container(border=True, width=_CARD_PX, gap="xsmall"):
                _card(status, stage, history)


def _card(status: RolloutStatus, stage: StageView, history: Sequence[HistoryEntry]) -> None:
    is_now = stage.state == "now" and status.rollout.is_active
    colour = {"running": "green", "paused": "yellow"}.get(status.state.value, "gray") if is_now else "gray"
    name = f" {plain(stage.label)}" if stage.label != f"{stage.percent:g} %" else ""
    st.markdown(f"**{stage.share_percent:g}\u00a0%**{name} :{colour}-badge[{stage.state}]")
    begins = "" if stage.begins_at is None else rollout_view.when(stage.begins_at)
    length = f", {stage.length_days:g} days" if stage.length_days else ", the last stage"
    st.caption(f"Day {stage.day:g}{length}  \n{begins}")
    left = _left(stage, history)
    if left is not None:
        st.markdown(f":small[:green[:material/check_circle:] {left}]")
    elif is_now:
        if status.state.value == "paused":
            st.markdown(":small[:orange[:material/pause_circle:] paused: its days stand still]")
        for kind, (fine, refused) in _CHECKS.items():
            if status.next_action == "resume" and kind in _ONWARD_ONLY:
                continue
            if any(one.kind == kind for one in status.obstacles):
                st.markdown(f":small[:orange[:material/hourglass_top:] {refused}]")
            else:
                st.markdown(f":small[:green[:material/check_circle:] {fine}]")
    elif stage.state == "ahead":
        st.caption("Checkpoint: its days, enough data, no critical alert.")


def _left(stage: StageView, history: Sequence[HistoryEntry]) -> str | None:
    """Say how the stage was left, None for one that was not."""
    onward = [entry for entry in history if entry.action in {"advance", "complete"}]
    for entry in onward:
        index = entry.stage_index
        if index is None:
            continue
        came_from = index if entry.action == "complete" else index - 1
        if came_from == stage.index:
            how = f", against the checks: {plain(entry.override)}" if entry.override else ""
            what = "Completed" if entry.action == "complete" else "Passed"
            return f"{what} {rollout_view.when(entry.at)} by {plain(entry.actor)}{how}"
    return None
