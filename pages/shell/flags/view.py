"""What the flags are and do now: the head of the page, the kill switch, and the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.flags import RESTORE_WORD
from engine.flags.history import change_sentence
from engine.flags.wording import named, serves
from pages.shell import frame, kill_banner
from pages.shell.company import allowed
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from engine.flags import Flag, FlagSnapshot

_MOST_EDITS = 5


def head() -> None:
    """Draw title and messages: why a change was refused, and what became of the flag file."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Feature flags", anchor=False, width="content")
        st.space("stretch")
        flags_actor.choose_actor()
    st.markdown("Who gets what, and the one switch that stops everything. Real flag clients follow within a second.")
    flags_actor.show_notice("flags")
    opened = services().flags.opened
    if opened is None:
        st.warning("The flag file could not be written when the app started: clients may read an older one.")
    elif opened.sentence:
        st.warning(sentence(opened.sentence), icon=":material/build:")


def kill_section(snapshot: FlagSnapshot) -> None:
    """Draw the marked place of the kill switch: the switch while it is off, the way back while it is on."""
    with st.container(border=True, key="kill_section"):
        if snapshot.killed is not None:
            _restore()
            return
        words, button = st.columns([3, 1], vertical_alignment="center")
        words.markdown(
            "**:red[:material/emergency_home:] Kill switch.** One action gives every user the safe variant of every "
            "flag, whatever its percentage or rules. Nothing is lost: restoring brings back exactly what was there."
        )
        with button:
            kill_banner.switch_button(key="kill_here", width="stretch")


def flag_list(snapshot: FlagSnapshot) -> None:
    """List every flag with what it serves now."""
    text = st.column_config.TextColumn
    st.dataframe(
        [_row(flag, snapshot) for flag in snapshot.flags.values()],
        hide_index=True,
        key="flags",
        placeholder="–",
        column_config={
            "flag": text("Flag", pinned=True),
            "serves": text("Serves now", width="medium"),
            "percent": st.column_config.ProgressColumn(
                "Percentage", format="%.6g %%", min_value=0, max_value=100, help="Of the users in the growing variant."
            ),
            "kind": text("Type"),
            "safe": text("Safe variant", help="What everybody gets while the kill switch is on."),
            "driven": text("Driven by rollout"),
            "owner": text("Owner"),
            "description": text("Description", width="medium"),
            "changed": text("Changed"),
            "version": st.column_config.NumberColumn("Version"),
        },
    )


def choose_flag(snapshot: FlagSnapshot) -> Flag | None:
    """Let the reader choose the flag to change; the address keeps it."""
    keys = list(snapshot.flags)
    flags_state.settle_bound(flags_state.FLAG_KEY, keys)
    key = st.selectbox("Flag to change", keys, key=flags_state.FLAG_KEY, bind="query-params", width=320)
    # Not the snapshot's, which may be a moment old: a form that is refused must know the newest.
    return None if key is None else services().flags.flag(key)


def driver(flag: Flag) -> None:
    """Say which rollout drives the flag, with the way there."""
    if flag.driven_by is None:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(
            f"Rollout **{plain(flag.driven_by)}** drives this flag, so it alone moves its percentage and variants.",
            icon=":material/rocket_launch:",
        )
        if st.button("Open the rollout", key="open_rollout", icon=":material/arrow_forward:"):
            frame.go_to("rollout", {flags_state.ROLLOUT_KEY: flag.driven_by})


def _restore() -> None:
    st.markdown(
        "**:red[:material/emergency_home:] The kill switch is on.** Restoring brings every flag back to what its "
        "record says; edits made meanwhile count from then on."
    )
    _edits_since_kill()
    with st.form("restore_form", border=False):
        why, word, button = st.columns([3, 2, 1.5], vertical_alignment="bottom")
        reason = why.text_input("Why is it safe again?", key="restore_reason", max_chars=400)
        typed = word.text_input(f'Type "{RESTORE_WORD}"', key="restore_typed", autocomplete="off")
        is_asked = button.form_submit_button(
            "Restore",
            icon=":material/restart_alt:",
            width="stretch",
            key="restore",
            **allowed.shown("switch", "restore"),
        )
    if is_asked:
        who = flags_actor.actor()
        flags_actor.attempt("flags", lambda: services().flags.restore(actor=who, typed=typed, reason=reason))
        st.rerun()


def _edits_since_kill() -> None:
    edits = services().flags.edits_since_kill()
    for event in edits[-_MOST_EDITS:]:
        changed = change_sentence(event).replace(" -> ", " → ") or event.action
        st.caption(f":material/edit: **{plain(event.key)}** by {plain(event.actor)}: {plain(changed, longest=400)}")
    if len(edits) > _MOST_EDITS:
        st.caption(f"These are the newest of {len(edits):,} edits; the tab Audit lists all.")


def _row(flag: Flag, snapshot: FlagSnapshot) -> dict[str, object]:
    is_killed = snapshot.killed is not None
    return {
        "flag": flag.key,
        "serves": serves(flag, is_killed=is_killed),
        "percent": None if is_killed or not flag.is_enabled else flag.percent,
        "kind": flag.kind,
        "safe": named(flag, flag.safe_variant),
        "driven": flag.driven_by,
        "owner": flag.owner or None,
        "description": flag.description or None,
        "changed": None if flag.updated_at is None else local_time(flag.updated_at, st.context.timezone),
        "version": flag.version,
    }
