"""Who acts, and what every change of a flag or a rollout has in common: refused in one sentence, seen at once."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from engine.errors import EngineError
from pages.shell import state
from pages.shell.flags import state as flags_state
from pages.shell.following import follow
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

T = TypeVar("T")

_NAME_HELP = "Written beside every change in the audit log."


def actor() -> str:
    """Return who acts in this tab: who is signed in, else the name that was typed, or the login name."""
    identity = services().identity
    return flags_state.actor() or _login_name() if identity is None else identity.name


def choose_actor() -> None:
    """Show who acts in this tab, and let the reader change it, where nobody signs in; the sidebar says it else."""
    if services().identity is not None:
        return
    with st.popover(plain(actor()), icon=":material/person:", help=_NAME_HELP, key="actor"):
        name_field("actor_name")


def name_field(key: str) -> str:
    """Ask for the name of who acts, filled in; remember another one in this tab. Whoever is signed in is not asked."""
    if services().identity is not None:
        st.caption(f"As {plain(actor())}, {_NAME_HELP[0].lower()}{_NAME_HELP[1:]}")
        return actor()
    name = st.text_input("Your name", actor(), key=key, help=_NAME_HELP)
    if name and name != actor():
        flags_state.set_actor(name)
    return name


def attempt(purpose: Literal["flags", "rollout", "migration", "runbook", "people"], work: Callable[[], T]) -> T | None:
    """Do `work`; when the engine refuses, keep its sentence for the top of the page and return None."""
    state.set_notice(purpose, None)
    try:
        return work()
    except EngineError as error:
        state.set_notice(purpose, state.Notice(level="error", sentence=str(error)))
        return None


def show_notice(purpose: Literal["flags", "rollout", "migration", "runbook", "people"]) -> None:
    """Show why the last change was refused, until the next one."""
    said = state.notice(purpose)
    if said is not None:
        {"error": st.error, "info": st.info}[said.level](sentence(said.sentence))


def watch_changes(drawn: int) -> None:
    """Draw the page anew when anybody, also another process, has changed something since the audit event `drawn`."""
    follow(
        drawn,
        lambda shared: shared.workspace.audit_head(),
        # The snapshot is looked over many times a second in any case; it may be a little behind.
        at_once=lambda shared: max(drawn, shared.flags.snapshot().audit_seq),
    )


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return "unknown"
