"""The tab Stores: try it with a server of one's own, give the two URLs, and see what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.migration.demonstration import SAMPLE
from engine.sizes import written_size
from pages.shell import jobs, services, state
from pages.shell.company.allowed import shown
from pages.shell.migration import state as kept
from pages.shell.migration import view as migration_view
from pages.shell.migration.access import access, without_password
from pages.shell.migration.state import Pair
from pages.shell.migration.sweeps import propose_for_demonstration
from pages.shell.migration.work import look_work, prepare_work
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.migration.stores.protocol import StoreInfo
    from engine.migration.stores.urls import Role
    from pages.shell.migration.state import Looked
    from pages.shell.migration.view import View

_LONGEST_URL = 4096
_EXAMPLES: dict[Role, str] = {
    "source": "postgresql://user@host/database#table",
    "target": "lancedb:///absolute/folder#table",
}
_HELP = """
| Database | URL |
|---|---|
| PostgreSQL with pgvector | `postgresql://user@host:5432/database#schema.table` |
| LanceDB, in a bucket | `lancedb:///absolute/folder#table`, `lancedb+s3://bucket/folder#table` |
| Qdrant server, folder | `qdrant://host:6333#collection`, `qdrant:///absolute/folder#collection` |
| npy, Parquet | `file:///absolute/vectors.npy`, `file:///absolute/vectors.parquet` |

Columns are found by themselves; where several could be meant, name them:
`?id=doc_id&vector=embedding&payload=meta&updated_at=changed` before the `#`. Parts that hold `/ ? # @ %` are
percent-encoded.

**Passwords never belong into a URL here.** They are read from the environment of Dimshift: `DIMSHIFT_SOURCE_PASSWORD`,
`DIMSHIFT_TARGET_PASSWORD` (or `DIMSHIFT_STORE_PASSWORD` for both) and `..._API_KEY` for Qdrant, and PostgreSQL's own
`PGPASSWORD` and password file; else from `.streamlit/secrets.toml`, section `[migration]`: `source_password`,
`target_password`, `source_api_key`, `target_api_key`. They are neither shown nor stored.
"""


def show(view: View) -> None:
    """Draw the demonstration for whoever has no stores yet, the two URLs, and what was found at them."""
    if view.job is None and not view.pair.source:
        _try_it()
    for role in ("source", "target"):
        _url(view, role)
    with st.expander("How to write a URL, and where passwords go", icon=":material/help:"):
        st.markdown(_HELP)
        root = services.data_root()
        if root is not None:
            st.caption(f"Files and folders must lie below {plain(root)}, the data root of this app.")
    ready = bool(view.pair.source and view.pair.target)
    looked = view.draft.looked("source"), view.draft.looked("target")
    with st.container(horizontal=True):
        st.button(
            "Look again" if any(looked) else "Check both",
            type="secondary" if any(looked) else "primary",
            icon=":material/cable:",
            key="check_stores",
            on_click=_look,
            args=(view.id, view.pair),
            **shown("job", "start", disabled=not ready),
        )
        if view.draft.info is not None and view.job is None:
            st.button(
                "Plan the migration",
                type="primary",
                icon=":material/arrow_forward:",
                key="to_plan",
                on_click=kept.show_tab,
                args=(migration_view.PLAN,),
            )
    if any(looked):
        for column, role, found in zip(st.columns(2, gap="medium"), ("Source", "Target"), looked, strict=True):
            with column:
                _card(role, found)


def _try_it() -> None:
    info = services.sample(SAMPLE)
    with st.container(border=True, key="try_it"):
        st.markdown(
            f"**Try it here.** A real PostgreSQL starts on this machine with {info.n_docs:,} bundled vectors, and they "
            f"move to LanceDB at fewer dimensions. It takes some ten seconds, and nothing leaves this machine."
        )
        busy = bool(state.followed_jobs("migration"))
        with st.container(horizontal=True):
            for label, key, moves in (
                ("Try it here", "try_now", True),
                ("Only fill in the stores", "try_later", False),
            ):
                st.button(
                    label,
                    type="primary" if moves else "secondary",
                    icon=":material/play_arrow:" if moves else ":material/edit:",
                    key=key,
                    on_click=_prepare,
                    kwargs={"moves": moves},
                    **shown("migration", "start migration", disabled=busy),
                )


def _prepare(*, moves: bool) -> None:
    work = prepare_work(services.services().transfers, dims=propose_for_demonstration(), moves=moves)
    jobs.start_looking("Preparing the demonstration", work)


def _url(view: View, role: Role) -> None:
    key = f"url_{role}_{view.id}"
    if view.job is not None:
        with st.container(gap="xsmall"):
            st.markdown(f":small[{role.capitalize()} URL]")
            st.code(view.pair.of(role), language=None, wrap_lines=True)
        return
    st.text_input(
        f"{role.capitalize()} URL",
        key=kept.seed(key, view.pair.of(role)),
        placeholder=_EXAMPLES[role],
        max_chars=_LONGEST_URL,
        autocomplete="off",
        on_change=_take_url,
        args=(view.id, role, key),
    )


def _take_url(migration: str, role: Role, key: str) -> None:
    """Take over what was typed, without a password: it would otherwise stay with the tab."""
    state.set_notice("migration", None)
    stripped = without_password(str(kept.value_of(key) or ""))
    kept.set_value(key, stripped.url)
    if stripped.had_password:
        words = (
            f"The password was taken out of the URL of the {role} and is not used: set "
            f"DIMSHIFT_{role.upper()}_PASSWORD in the environment of Dimshift instead."
        )
        state.set_notice("migration", state.Notice(level="info", sentence=words))
    pair = kept.draft(migration).pair
    source, target = (stripped.url, pair.target) if role == "source" else (pair.source, stripped.url)
    kept.change_draft(migration, pair=Pair(source=source, target=target), fields=None, planned=None, plan=None)


def _look(migration: str, pair: Pair) -> None:
    jobs.start_looking("Checking the stores", look_work(migration, access(pair)))


def _card(role: str, found: Looked | None) -> None:
    with st.container(border=True, height="stretch", gap="small"):
        if found is None:
            st.markdown(f"**{role}**")
            st.caption("Not checked yet.")
        elif found.problem is not None:
            st.markdown(f"**{role}** :red-badge[✕ cannot be used]")
            st.markdown(sentence(found.problem))
        elif found.info is None:
            st.markdown(f"**{role}** :blue-badge[new]")
            st.markdown("There is no such table yet; the migration makes it.")
        else:
            _facts(role, found.info)


def _facts(role: str, info: StoreInfo) -> None:
    st.markdown(f"**{role}** :green-badge[● reachable]")
    st.markdown(f"**{plain(info.table)}** · {plain(info.server)}")
    dims = "unknown" if info.dim is None else f"{info.dim:,}"
    index = "none" if info.index is None else info.index.kind
    facts = {
        "Rows": f"{info.n_rows:,}",
        "Dims": f"{dims} of {info.dtype}",
        "Metric": info.metric or "not said",
        "Index": index,
        "Ids": f"{info.id_kind}{'' if info.ids_are_unique else ', not kept unique'}",
        "Payload": ", ".join(info.payload_columns) or ("yes" if info.has_payload else "none"),
    }
    if info.n_bytes is not None:
        facts["Size"] = written_size(info.n_bytes)
    st.markdown("  \n".join(f":gray[{name}] {plain(value)}" for name, value in facts.items()))
    if info.writable is False and role == "Target":
        st.warning("This user may not write here.", icon=":material/lock:")
    if info.mark is not None:
        st.caption(":material/construction: A migration that is not finished, or whose rows differ, has marked it.")
