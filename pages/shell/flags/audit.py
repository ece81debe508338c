"""The audit log of flags: who changed what, when and why, from what to what, and whether the chain is intact."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import streamlit as st

from engine.flags.history import change_sentence
from engine.flags.writer import SWITCH_KEY
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.workspace import AuditCheck, AuditEvent, Workspace

_SHOWN = (50, 200, 1000)
_PAGE = 1000
_CHECKED_FOR_S = 60.0


def show() -> None:
    """List the newest events, check the chain, and offer all of it as a file."""
    _chain()
    filters, amount = st.columns([2, 1], vertical_alignment="bottom")
    keys = [None, SWITCH_KEY, *(key for key in services().flags.snapshot().flags if key != SWITCH_KEY)]
    only = filters.selectbox("About", keys, key="audit_about", width=320, format_func=_about)
    limit = amount.selectbox("Newest", _SHOWN, key="audit_limit", width=140)
    found = services().flags.history(key=only, limit=int(limit))
    if not found:
        st.caption("Nothing has happened yet.")
        return
    _table(found)
    with st.container(horizontal=True):
        st.download_button(
            "Audit log as JSON lines",
            _json_lines,
            "flags-audit.jsonl",
            mime="application/jsonl",
            on_click="ignore",
            icon=":material/download:",
            key="audit_download",
        )
    with st.expander("One event in full", icon=":material/data_object:", key="audit_event", on_change="rerun") as one:
        if one.open:
            _in_full(found)


def _about(key: str | None) -> str:
    return {None: "everything", SWITCH_KEY: "the kill switch"}.get(key, str(key))


def events_table(found: Sequence[AuditEvent], *, key: str) -> None:
    """Show audit events as rows."""
    text = st.column_config.TextColumn
    st.dataframe(
        [_row(event) for event in found],
        hide_index=True,
        key=key,
        placeholder="–",
        column_config={
            "seq": st.column_config.NumberColumn("No", pinned=True),
            "when": text("When"),
            "who": text("Who"),
            "what": text("What"),
            "key": text("About"),
            "change": text("From what to what", width="medium"),
            "why": text("Why", width="medium"),
        },
    )


def _table(found: Sequence[AuditEvent]) -> None:
    events_table(found, key="audit")


def _row(event: AuditEvent) -> dict[str, object]:
    return {
        "seq": event.seq,
        "when": local_time(event.at, st.context.timezone),
        "who": event.actor,
        "what": event.action,
        "key": event.key,
        "change": change_sentence(event).replace(" -> ", " → ") or None,
        "why": event.reason or None,
    }


def _chain() -> None:
    workspace = services().workspace
    left, right = st.columns([3, 1], vertical_alignment="center")
    if right.button("Check again", key="check_chain", icon=":material/fact_check:", width="stretch"):
        _checked.clear()
    found = _checked(f"{workspace.id}/{workspace.audit_head()}", workspace)
    with left:
        if found.is_intact:
            st.markdown(
                f":green[:material/verified:] **The chain is intact**: {found.n_events:,} events, each hashed together "
                "with the one before it."
            )
        else:
            st.error(f"**The audit log was altered.** {sentence(found.reason)}", icon=":material/gpp_bad:")


def _in_full(found: Sequence[AuditEvent]) -> None:
    chosen = st.selectbox("Event", [event.seq for event in found], key="audit_seq", width=160)
    event = next(event for event in found if event.seq == chosen)
    st.caption(f"{plain(event.action)} by {plain(event.actor)}, hash {event.hash}")
    before, after = st.columns(2)
    before.markdown("Before")
    before.json(json.dumps(event.before))
    after.markdown("After")
    after.json(json.dumps(event.after))
    if event.evidence is not None:
        st.markdown("Evidence")
        st.json(json.dumps(event.evidence), expanded=1)


def _json_lines() -> str:
    lines: list[str] = []
    after = 0
    while True:
        page = services().flags.history(after=after, limit=_PAGE, newest_first=False)
        lines += [json.dumps({**asdict(event), "at": event.at.isoformat()}) for event in page]
        if len(page) < _PAGE:
            return "".join(f"{line}\n" for line in lines)
        after = page[-1].seq


@st.cache_resource(max_entries=4, ttl=_CHECKED_FOR_S, show_spinner=False)
def _checked(key: str, _workspace: Workspace) -> AuditCheck:  # noqa: ARG001  # what the cache looks up
    return _workspace.check_audit()
