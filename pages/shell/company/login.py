"""Who has the app open: a person who signed in through the company's provider, or the single user without one."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit import runtime
from streamlit.errors import StreamlitAuthError

from engine.errors import AccessError, ParameterError
from engine.workspace import AccessPolicy, RoleList
from engine.workspace.policy import person_name
from pages.shell import frame
from pages.shell.company.addresses import WITHOUT_LOGIN, check_address
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import Access, Identity, Workspace

_KNOWN_FOR_S = 0.2
"""A role that an admin changed holds from the next action on, as nobody clicks twice within this time."""

_OPEN_FOR_S = 2.0
_SHORTEST_SECRET = 32
_WORDS = {
    "viewer": "You read and export. Operators sweep, ramp, migrate and kill.",
    "operator": "You sweep, ramp, migrate and kill. Admins restore after a kill and edit roles.",
    "admin": "You do everything, restoring after a kill and editing roles included.",
}


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who has this tab open: `identity` is None for the single user, and for whom `refusal` or nobody stands there.

    `asks` says that a sign-in is wanted. `session` tells this sign-in apart from every other.
    """

    identity: Identity | None = None
    name: str = ""
    session: str = ""
    refusal: str = ""
    asks: bool = False

    @property
    def is_inside(self) -> bool:
        """Whether the pages may be shown."""
        return not self.asks


class _SingleUser:
    """Remembers for a moment that nobody has to sign in.

    A run of a page asks a dozen times, and without secrets.toml Streamlit looks for it each time, in one tab after the
    other.
    """

    def __init__(self) -> None:
        self._settings: tuple[str | None, ...] = ()
        self._secrets: object = None
        self._until = float("-inf")

    def remember(self) -> None:
        """Nobody has to sign in as things are."""
        self._settings, self._secrets = self._now(), st.secrets
        self._until = time.monotonic() + _OPEN_FOR_S

    def is_sure(self) -> bool:
        """Tell whether it was so a moment ago, under the same settings."""
        return time.monotonic() < self._until and self._secrets is st.secrets and self._settings == self._now()

    def _now(self) -> tuple[str | None, ...]:
        return os.environ.get("DIMSHIFT_ADMINS"), os.environ.get(WITHOUT_LOGIN)


_single_user = _SingleUser()


def is_configured() -> bool:
    """Tell whether a provider to sign in with is configured."""
    return not _single_user.is_sure() and bool(_secrets("auth"))


def visitor(workspace: Workspace) -> Visitor:
    """Return who has this tab open, as the provider, the configuration and the list of roles say now.

    Raises WorkspaceError when the list cannot be read: then nobody gets in.
    """
    if _single_user.is_sure():
        return Visitor()
    try:
        _check_configuration()
        if not is_configured():
            _single_user.remember()
            return Visitor()
        claims = _claims()
        if not claims.get("is_logged_in"):
            return Visitor(asks=True)
        return _signed_in(claims, workspace)
    except (AccessError, ParameterError) as error:
        return Visitor(asks=True, refusal=str(error))


def show_sign_in(who: Visitor, *, log_out: Callable[[], None]) -> None:
    """Draw what somebody sees who is not signed in, or has no role: why, and one button."""
    with st.container(horizontal_alignment="center"), st.container(width=420, gap="medium", key="sign_in"):
        st.title("Dimshift", anchor=False)
        if who.refusal:
            st.warning(sentence(who.refusal), icon=":material/lock:")
        if _claims().get("is_logged_in"):
            st.button("Log out", icon=":material/logout:", key="log_out", width="stretch", on_click=log_out)
            return
        st.markdown("This workspace is shared. Sign in to see its sweeps, tests and rollouts.")
        if is_configured() and not who.refusal:
            _buttons()


def show_who(who: Visitor, *, log_out: Callable[[], None]) -> None:
    """Say in the sidebar who is signed in with which role, or that this is a workspace of a single user."""
    with st.sidebar:
        if who.identity is None:
            st.caption(
                ":material/person: Single user, no login",
                help="Whoever opens this address may do everything. The section In company of the README says how "
                "people sign in.",
            )
            return
        role = who.identity.role.value
        label = f"{plain(who.name, longest=40)} · {role.capitalize()}"
        with st.popover(label, icon=":material/person:", width="stretch", key="who"):
            st.markdown(plain(who.identity.name))
            st.caption(_WORDS[role])
            if st.button("People and roles", icon=":material/group:", key="to_people", width="stretch"):
                frame.go_to("people")
            st.button("Log out", icon=":material/logout:", key="log_out", width="stretch", on_click=log_out)


def end_session(workspace: Workspace, who: Visitor) -> None:
    """Log out, in this tab and in every other one of the same sign-in."""
    if who.identity is not None:
        RoleList(workspace.acting_as(who.identity)).end_session(who.session, actor=who.identity.name)
        _access.clear()
    st.logout()


def _signed_in(claims: Mapping[str, Any], workspace: Workspace) -> Visitor:
    policy = _policy()
    key, session = person_name(claims), _session(claims)
    began = claims.get("iat")
    if not isinstance(began, int | float) or time.time() - began > policy.session_hours * 3600:
        raise AccessError(f"a session lasts {policy.session_hours:g} hours", hint="Log out and sign in again")
    known = _access(f"{workspace.id}/{key}/{session}", workspace, key, session)
    if known.is_ended:
        raise AccessError("you have logged out in another tab", hint="Log out here too and sign in again")
    identity = policy.identity(claims, listed=known.listed)
    return Visitor(identity=identity, name=str(claims.get("name") or identity.name), session=session)


@st.cache_resource(ttl=_KNOWN_FOR_S, max_entries=1000, show_spinner=False)
def _access(key: str, _workspace: Workspace, _name: str, _session: str) -> Access:  # noqa: ARG001  # what the cache looks up
    return RoleList(_workspace).access(_name, session=_session)


def _policy() -> AccessPolicy:
    return AccessPolicy.from_settings(_secrets("dimshift"), admins=os.environ.get("DIMSHIFT_ADMINS", ""))


def _check_configuration() -> None:
    """Raise AccessError for settings that would leave open what somebody wanted shut."""
    if not is_configured():
        if _secrets("dimshift") or os.environ.get("DIMSHIFT_ADMINS", "").strip():
            raise AccessError(
                "roles are configured, but no login is",
                hint="Add the section [auth] to .streamlit/secrets.toml, or take DIMSHIFT_ADMINS and [dimshift] away",
            )
        if runtime.exists():
            check_address(st.get_option("server.address"), has_login=False, is_open=bool(os.environ.get(WITHOUT_LOGIN)))
        return
    if not _can_sign_in():
        raise AccessError("signing in needs Authlib", hint="Run pip install 'dimshift[auth]'")
    if len(str(_secrets("auth").get("cookie_secret", ""))) < _SHORTEST_SECRET:
        raise AccessError(
            f"cookie_secret in the section [auth] must be at least {_SHORTEST_SECRET} random characters",
            hint='Make one with python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )


@cache
def _can_sign_in() -> bool:
    return importlib.util.find_spec("authlib") is not None


def _secrets(section: str) -> Mapping[str, Any]:
    if not st.secrets.load_if_toml_exists():
        return {}
    found = st.secrets.get(section, {})
    return found if isinstance(found, Mapping) else {}


def _claims() -> Mapping[str, Any]:
    return st.user.to_dict() if is_configured() else {}


def _session(claims: Mapping[str, Any]) -> str:
    """Return the digest of what differs between two sign-ins of anybody."""
    what = [str(claims.get(name, "")) for name in ("iss", "sub", "iat", "nonce", "provider")]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _buttons() -> None:
    auth = _secrets("auth")
    named = [name for name, one in auth.items() if isinstance(one, Mapping) and "client_id" in one]
    for provider in [None, *named] if "client_id" in auth else named:
        label = "Log in" if provider is None else f"Log in with {plain(provider)}"
        if st.button(label, type="primary", icon=":material/login:", key=f"log_in_{provider or ''}", width="stretch"):
            try:
                st.login(provider)
            except StreamlitAuthError:  # its words are for the log: they may name settings
                st.error("Signing in is not configured as it must be. The section In company of the README says how.")
