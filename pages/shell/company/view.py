"""The list of roles that admins keep, what each role may do, and how the list came to be what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.workspace import Role, RoleList
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.services import services
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.workspace import ListedRole

_MAY = {
    "Read, compare, export reports": (True, True, True),
    "Load data, sweep, test, plan": (False, True, True),
    "Ramp, roll back, change flags, migrate": (False, True, True),
    "Switch every flag to safe": (False, True, True),
    "Restore after that": (False, False, True),
    "Edit this list": (False, False, True),
}
_PURPOSE = "people"
_LONGEST = 400


def explain() -> None:
    """Say what the roles may do, and where they come from."""
    st.markdown(
        "A role in this list counts from the person's next action on, and before what the configuration or the sign-in "
        "provider says; only admins named in `DIMSHIFT_ADMINS` are above it."
    )
    with st.expander("What each role may do", icon=":material/key:"):
        rows = [
            {"": what, **dict(zip(("Viewer", "Operator", "Admin"), may, strict=True))} for what, may in _MAY.items()
        ]
        st.dataframe(rows, hide_index=True, key="what_roles_may")
    flags_actor.show_notice(_PURPOSE)


def table(listed: Sequence[ListedRole]) -> None:
    """List the people with a role of their own."""
    if not listed:
        st.info("Nobody is in the list yet: configuration and provider decide alone.", icon=":material/group:")
        return
    zone = st.context.timezone
    st.dataframe(
        [{"name": one.name, "role": one.role.value, "when": local_time(one.updated_at, zone)} for one in listed],
        hide_index=True,
        key="people",
        column_config={
            "name": st.column_config.TextColumn("Person", width="large"),
            "role": "Role",
            "when": "Since",
        },
    )


def form(listed: Sequence[ListedRole]) -> None:
    """Give somebody a role, or take somebody from the list."""
    left, right = st.columns(2, gap="medium")
    with left, st.form("give_role", clear_on_submit=True):
        name = st.text_input("E-mail address", key="role_name", max_chars=200)
        role = st.selectbox("Role", list(Role), format_func=lambda one: one.value.capitalize(), key="role_choice")
        reason = st.text_input("Why?", key="role_reason", max_chars=_LONGEST)
        gives = st.form_submit_button("Give the role", type="primary", key="role_give", **shown("role", "set role"))
    if gives:
        flags_actor.attempt(_PURPOSE, lambda: _give(name, role, reason))
        st.rerun()
    if not listed:
        return
    with right, st.form("take_role"):
        versions = {one.name: one.version for one in listed}
        gone = st.selectbox("Person", list(versions), key="role_gone")
        why = st.text_input("Why?", key="role_gone_reason", max_chars=_LONGEST)
        takes = st.form_submit_button("Take from the list", key="role_take", **shown("role", "remove role"))
    if takes:
        flags_actor.attempt(
            _PURPOSE,
            lambda: _list().remove(gone, expected_version=versions[gone], actor=flags_actor.actor(), reason=why),
        )
        st.rerun()


def history() -> None:
    """Say who changed the list, newest first."""
    events = services().workspace.audit(kind="role", limit=20, newest_first=True)
    if not events:
        return
    st.header("Changes", anchor=False)
    zone = st.context.timezone
    for event in events:
        after = f"is {event.after['role']}" if isinstance(event.after, dict) else "was taken from the list"
        why = f" · {plain(event.reason)}" if event.reason else ""
        st.markdown(
            f"{local_time(event.at, zone)} · **{plain(event.key)}** {plain(after)}, by {plain(event.actor)}{why}"
        )


def _give(name: str, role: Role, reason: str) -> None:
    _list().set(name, role, expected_version=None, actor=flags_actor.actor(), reason=reason)


def _list() -> RoleList:
    return RoleList(services().workspace)
