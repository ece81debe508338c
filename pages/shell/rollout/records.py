"""What a rollout leaves behind: incidents with their evidence, the history from the audit log, and exports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags import FILE_NAME, file_text
from engine.rollout.argo import argo_manifests
from engine.rollout.flagger import flagger_manifests
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.rollout import view as rollout_view
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.rollout import HistoryEntry, Incident, Replay, RolloutStatus

_LONGEST_NOTE = 2000
_WORKLOAD = "search"


def incidents(status: RolloutStatus) -> None:
    """List the incidents, newest first, each with its evidence and a way to close it."""
    if not status.incidents:
        st.caption("No incident: the monitor has not rolled this rollout back.")
    for place, one in enumerate(status.incidents):
        with st.container(border=True, gap="small"):
            _incident(one, place)


def history(replay: Replay) -> None:
    """Show every step, replayed from the audit log alone."""
    if replay.agrees:
        st.markdown(
            ":green[:material/verified:] **Replayed from the audit log**, step by step, it ends in the very state that "
            "is kept."
        )
    else:
        st.error("The audit log and the rollout do not agree: somebody changed one of them past the engine.")
    text = st.column_config.TextColumn
    st.dataframe(
        [_step(entry) for entry in replay.entries],
        hide_index=True,
        key="history",
        placeholder="–",
        column_config={
            "seq": st.column_config.NumberColumn("No", pinned=True),
            "when": text("When"),
            "action": text("Step"),
            "percent": st.column_config.NumberColumn("Share", format="%.6g %%"),
            "state": text("State then"),
            "who": text("Who"),
            "why": text("Why", width="large"),
            "override": text("Against the checks"),
            "agrees": st.column_config.CheckboxColumn("Agrees", help="Replaying gives what was recorded."),
        },
    )
    st.download_button(
        "History with evidence",
        lambda: json.dumps([_full(entry) for entry in replay.entries], indent=1),
        "rollout-history.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
        key="history_download",
    )


def exports(status: RolloutStatus) -> None:
    """Offer the schedule and thresholds to Argo Rollouts and Flagger, and the flags as flagd JSON."""
    rollout = status.rollout
    left, right = st.columns(2)
    name = left.text_input("Name of the Deployment", _WORKLOAD, key="export_name", max_chars=63)
    namespace = right.text_input("Namespace", "default", key="export_namespace", max_chars=63)
    made: tuple[tuple[str, str, Callable[[], str]], ...] = (
        (
            "Argo Rollouts",
            "argo-rollout.yaml",
            lambda: argo_manifests(rollout.schedule, rollout.thresholds, name=name, namespace=namespace),
        ),
        (
            "Flagger",
            "flagger-canary.yaml",
            lambda: flagger_manifests(rollout.schedule, rollout.thresholds, name=name, namespace=namespace),
        ),
        ("flagd", FILE_NAME, lambda: file_text(services().flags.live_document())),
    )
    for title, file_name, build in made:
        try:
            document = build()
        except EngineError as error:
            st.error(sentence(error))
            continue
        with st.expander(title, icon=":material/deployed_code:"):
            st.download_button(
                f"Download {file_name}",
                document,
                file_name,
                on_click="ignore",
                icon=":material/download:",
                key=f"export_{file_name}",
            )
            st.code(document, language="json" if file_name.endswith("json") else "yaml", height=320)


def _incident(one: Incident, place: int) -> None:
    opened = rollout_view.when(one.opened_at)
    badge = ":red-badge[open]" if one.is_open else ":gray-badge[closed]"
    simulated = " :gray-badge[simulated]" if one.is_simulated else ""
    st.markdown(f"**{plain(one.title)}** {badge}{simulated}  \n:small[{opened}, flag {plain(one.flag_key)}]")
    st.markdown("\n".join(f"- {rollout_view.kept_together(words)}" for words in one.sentences))
    with st.expander("Evidence: the monitor's report", icon=":material/data_object:"):
        st.json(json.dumps(one.evidence), expanded=1)
    if not one.is_open and one.closed_at is not None:
        st.caption(f"Closed {rollout_view.when(one.closed_at)} by {plain(one.closed_by)}: {plain(one.note)}")
        return
    with st.form(f"incident_{place}", border=False):
        words, button = st.columns([3, 1], vertical_alignment="bottom")
        note = words.text_input("What was found out?", key=f"incident_note_{place}", max_chars=_LONGEST_NOTE)
        if not button.form_submit_button(
            "Close the incident",
            key=f"incident_close_{place}",
            width="stretch",
            **shown("rollout", "close incident"),
        ):
            return
    who = flags_actor.actor()
    flags_actor.attempt("rollout", lambda: services().rollouts.close_incident(one.key, note=note, actor=who))
    st.rerun()


def _step(entry: HistoryEntry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "when": rollout_view.when(entry.at),
        "action": entry.action,
        "percent": entry.percent,
        "state": entry.state.value,
        "who": entry.actor,
        "why": entry.reason or None,
        "override": entry.override or None,
        "agrees": entry.agrees,
    }


def _full(entry: HistoryEntry) -> dict[str, object]:
    return _step(entry) | {
        "at": entry.at.isoformat(),
        "recorded_at": entry.recorded_at.isoformat(),
        "evidence": entry.evidence,
    }
