"""What a browser tab remembers of migrations, behind typed functions; never a secret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import streamlit as st

from engine.migration import IndexSpec, MigrationSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.embeddings import Metric
    from engine.migration import MigrationPlan
    from engine.migration.dual_control import StoredSettings
    from engine.migration.job import MigrationJob
    from engine.migration.stores.protocol import Dtype, StoreInfo
    from engine.migration.stores.urls import Role
    from pages.shell.migration.work import Asked

KEY = "migration"
"""The migration that the page shows: the name in the URL."""

TAB_KEY = "step"
"""The tab in front; also its name in the URL."""

NEW = ""
"""Stands for the migration that is being set up and has no id yet."""

_OPENED = "_migration"
_DRAFTS = "_migration_drafts"
_DUAL = "_dual_base"
_ASKED_MANY = "_dual_asked"
_MOST_DRAFTS = 8


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The URLs of source and target, without secrets."""

    source: str = ""
    target: str = ""

    def of(self, role: Role) -> str:
        """Return one of the two."""
        return self.source if role == "source" else self.target


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was found at a URL: the table, or the `problem`, or neither where there is none yet."""

    url: str
    info: StoreInfo | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fields:
    """The fields of the form of a plan as they stand; `sweep` is the run that the prediction and queries come from."""

    dims: int
    dtype: Dtype = "float32"
    metric: Metric | None = None
    sweep: str | None = None
    batch_size: int | None = None
    rows_per_s: float | None = None
    quarantine_percent: float = 1.0
    validate_percent: float = 1.0
    builds_index: bool = True
    overwrite: str = ""

    @classmethod
    def of(cls, job: MigrationJob) -> Fields:
        """Read the fields out of a stored migration."""
        kept = job.settings
        return cls(
            dims=kept["dims"],
            dtype=kept["dtype"],
            metric=kept["metric"],
            batch_size=kept["batch_size"],
            rows_per_s=kept["rows_per_s"],
            quarantine_percent=100 * kept["quarantine_share"],
            validate_percent=100 * kept["validate_share"],
            builds_index=kept["index"] is not None,
        )

    def settings(self) -> MigrationSettings:
        """Return what the engine takes. Raises ParameterError when a field is out of its range."""
        return MigrationSettings(
            dims=self.dims,
            dtype=self.dtype,
            metric=self.metric,
            batch_size=self.batch_size,
            rows_per_s=self.rows_per_s,
            quarantine_share=self.quarantine_percent / 100,
            validate_share=self.validate_percent / 100,
            index=IndexSpec() if self.builds_index else None,
            overwrite=self.overwrite or None,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Draft:
    """What this tab knows of a migration beside its record: what was found in its stores, its fields and its plan."""

    pair: Pair = field(default_factory=Pair)
    source: Looked | None = None
    target: Looked | None = None
    fields: Fields | None = None
    planned: Fields | None = None
    plan: MigrationPlan | None = None

    def looked(self, role: Role) -> Looked | None:
        """Return what was found at the present URL of `role`; None before a look, and of another URL."""
        found = self.source if role == "source" else self.target
        return found if found is not None and found.url == self.pair.of(role) else None

    @property
    def info(self) -> StoreInfo | None:
        """The source as it was found."""
        looked = self.looked("source")
        return None if looked is None else looked.info


def asked() -> str | None:
    """Return the migration that the URL or this tab asks for; `NEW` for a new one, None for none in particular."""
    named = st.query_params.get(KEY)
    if named:
        return named
    opened: str | None = st.session_state.get(_OPENED)
    return opened


def open_migration(migration: str) -> None:
    """Show this migration from now on; the URL names it."""
    st.session_state[_OPENED] = migration
    if migration == NEW:
        st.query_params.pop(KEY, None)
    else:
        st.query_params[KEY] = migration


def show_tab(title: str) -> None:
    """Bring a tab to the front; to be called before the tabs are drawn."""
    st.session_state[TAB_KEY] = title


def draft(migration: str) -> Draft:
    """Return what this tab knows of a migration."""
    drafts: Mapping[str, Draft] = st.session_state.get(_DRAFTS, {})
    return drafts.get(migration, Draft())


def keep_draft(migration: str, kept: Draft) -> None:
    """Remember it, in place of what was known before; the oldest of many are forgotten."""
    drafts = {key: one for key, one in st.session_state.get(_DRAFTS, {}).items() if key != migration}
    st.session_state[_DRAFTS] = {**dict(list(drafts.items())[1 - _MOST_DRAFTS :]), migration: kept}


def change_draft(migration: str, **changes: Any) -> None:
    """Change fields of what is known of a migration."""
    keep_draft(migration, replace(draft(migration), **changes))


def seed(key: str, value: object) -> str:
    """Give the widget `key` its first value, unless it has one, and return the key.

    A widget that is not drawn, in a tab that is not in front, is forgotten: it comes back with what the draft holds.
    """
    if key not in st.session_state:
        st.session_state[key] = value
    return key


def value_of(key: str) -> Any:
    """Return the value of a widget, for callbacks."""
    return st.session_state.get(key)


def set_value(key: str, value: object) -> None:
    """Change the value of a widget; to be called in a callback, before it is drawn."""
    st.session_state[key] = value


def dual_base() -> StoredSettings | None:
    """Return the settings of dual search from which this tab began to change them."""
    return cast("StoredSettings | None", st.session_state.get(_DUAL))


def set_dual_base(base: StoredSettings | None) -> None:
    """Begin to change the settings of dual search from these, or from whatever holds when they are drawn next."""
    st.session_state[_DUAL] = base


def asked_many() -> Asked | None:
    """Return which stores answered the last many queries that this tab asked."""
    return cast("Asked | None", st.session_state.get(_ASKED_MANY))


def set_asked_many(found: Asked | None) -> None:
    """Remember which stores answered many queries."""
    st.session_state[_ASKED_MANY] = found
