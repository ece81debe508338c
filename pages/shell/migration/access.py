"""Open the stores of a migration: their secrets, the folders that may be read, and passwords typed into a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, ParameterError
from engine.migration import open_store, parse_url
from engine.migration.stores.limits import StoreLimits
from engine.migration.stores.urls import StoreSecrets
from pages.shell.company.login import is_configured
from pages.shell.migration.state import Looked
from pages.shell.services import data_root, services

if TYPE_CHECKING:
    from contextlib import ExitStack

    from engine.migration import VectorStore
    from engine.migration.stores.urls import Role
    from engine.progress import Cancelled, Progress
    from pages.shell.migration.shared import Transfers
    from pages.shell.migration.state import Pair

_SECTION = "migration"
_USER_PART = re.compile(r"^(?P<scheme>[A-Za-z]+://)(?P<user>[^:@/?#]*):(?P<password>.*)@")
_OPTION = re.compile(r"(?i)(?P<before>[?&])(?:password|passwd|pwd|pass|api_?key|token|secret)=[^&#]*&?")


@dataclass(frozen=True, kw_only=True)
class Stripped:
    """A typed URL without the password that was in it."""

    url: str
    had_password: bool


@dataclass(frozen=True, kw_only=True)
class Access:
    """Everything that opens a store, gathered where Streamlit can be asked, to be used in any thread."""

    url: str
    secrets: StoreSecrets = field(repr=False)
    data_root: Path | None
    limits: StoreLimits | None = None
    transfers: Transfers | None = None

    def open(self, *, timeout_s: float = 300.0) -> VectorStore:
        """Return the store; nothing is connected yet. Raises ParameterError, PathError, AccessError or StoreError."""
        limits = self.limits
        if limits is not None and self.transfers is not None:
            limits = limits.with_folders(self.transfers.own_folders())  # its server may have started just now
        return open_store(self.url, secrets=self.secrets, data_root=self.data_root, limits=limits, timeout_s=timeout_s)


@dataclass(frozen=True, kw_only=True)
class PairAccess:
    """What opens source and target; `demonstrates` says that the demonstration's server has to run for them."""

    source: Access
    target: Access
    demonstrates: bool
    transfers: Transfers

    def open(self, opened: ExitStack, *, progress: Progress, cancelled: Cancelled) -> tuple[VectorStore, VectorStore]:
        """Open both for as long as `opened`, with the demonstration's server running where they need it."""
        self.start_server(progress=progress, cancelled=cancelled)
        return opened.enter_context(self.source.open()), opened.enter_context(self.target.open())

    def start_server(self, *, progress: Progress, cancelled: Cancelled) -> None:
        """Start the demonstration's server where the stores need it and this process has not."""
        if self.demonstrates and not self.transfers.demonstrates:
            self.transfers.demonstrate(dims=None, progress=progress, cancelled=cancelled)


def access(pair: Pair) -> PairAccess:
    """Gather what opens both stores of `pair`."""
    transfers = services().transfers
    return PairAccess(
        source=_access("source", pair.source),
        target=_access("target", pair.target),
        demonstrates=transfers.is_demonstration(pair.source, pair.target),
        transfers=transfers,
    )


def without_password(typed: str) -> Stripped:
    """Return `typed` without a password, also where the rest of it is no URL that could be opened."""
    typed = typed.strip()
    try:
        parsed = parse_url(typed)
    except ParameterError:
        bare = _USER_PART.sub(r"\g<scheme>\g<user>@", typed, count=1)
        bare = _OPTION.sub(r"\g<before>", bare)
        return Stripped(url=bare, had_password=bare != typed)
    return Stripped(url=typed if parsed.password is None else str(parsed), had_password=parsed.password is not None)


def look(one: Access, *, may_be_new: bool) -> Looked:
    """Describe the table at a URL; with `may_be_new` it need not be there. Every problem becomes a sentence."""
    if not one.url:
        return Looked(url=one.url, problem="No URL has been given yet.")
    try:
        with one.open() as store:
            if may_be_new and not store.exists():
                return Looked(url=one.url)
            return Looked(url=one.url, info=store.describe())
    except EngineError as error:
        return Looked(url=one.url, problem=str(error))


def _access(role: Role, url: str) -> Access:
    return Access(
        url=url, secrets=_secrets(role), data_root=_root(url), limits=_limits(), transfers=services().transfers
    )


def _limits() -> StoreLimits | None:
    """Return what may be opened where others use this server: people sign in, or the configuration lists hosts."""
    root = data_root()
    return StoreLimits.from_environment(is_shared=is_configured(), folders=() if root is None else (Path(root),))


def _secrets(role: Role) -> StoreSecrets:
    """Read the environment first, then the section ``[migration]`` of ``.streamlit/secrets.toml``."""
    found = StoreSecrets.from_environment(role)
    if found.password is not None and found.api_key is not None:
        return found
    section = st.secrets.get(_SECTION, {}) if st.secrets.load_if_toml_exists() else {}
    return replace(
        found,
        password=found.password or _text(section, f"{role}_password"),
        api_key=found.api_key or _text(section, f"{role}_api_key"),
    )


def _text(section: object, name: str) -> str | None:
    value = section.get(name) if hasattr(section, "get") else None
    return str(value) if value else None


def _root(url: str) -> Path | None:
    """Return the folder below which a store on disk must lie: the demonstration's own, else the data root."""
    root = data_root()
    if root is None:
        return None
    try:
        path = parse_url(url).path
    except ParameterError:
        path = None
    own = services().transfers
    return own.folder if path is not None and own.is_own_folder(path) else Path(root)
