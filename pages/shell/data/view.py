"""The parts of the Datasets page that show the open data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from pages.shell import frame, state
from pages.shell.company.allowed import shown
from pages.shell.services import services
from pages.shell.sweep.sweeping import HELD
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet, Health, Vectors
    from pages.shell.state import HeldSet

_ROWS_SHOWN = 50
_COMPONENTS_SHOWN = 6
_RECIPES = {"prefix": "plain prefix", "layer_norm": "layer-norm first"}
_PLACES = {"bundled": "comes with Dimshift", "tab": "in this tab only", "workspace": "kept in the workspace"}
_ICONS = {
    "ok": ":green[:material/check_circle:]",
    "warning": ":yellow[:material/warning:]",
    "problem": ":red[:material/error:]",
}


def show(held: HeldSet) -> None:
    """Show what is open: name, counts, health, first rows, and what to do next."""
    found = held.embedding_set
    with st.container(gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(plain(found.name), anchor=False, width="content")
            for label in found.labels:
                st.badge(plain(label), color="gray")
        st.caption(f"{found.metric} · {_RECIPES[found.recipe]} · {_PLACES[held.place]}")
        for sentence in found.warnings:
            st.warning(plain(sentence), icon=":material/info:")
    _actions(held)
    _numbers(held.health)
    _findings(held.health)
    _first_rows(found)


def _actions(held: HeldSet) -> None:
    with st.container(horizontal=True):
        if st.button(
            "Sweep this set",
            type="primary",
            icon=":material/show_chart:",
            disabled=held.health.severity == "problem",
            help="Solve the problem below first." if held.health.severity == "problem" else None,
        ):
            state.open_new_sweep(HELD)
            frame.go_to("sweep")
        if held.place == "tab" and st.button(
            "Keep in workspace",
            icon=":material/inventory_2:",
            **shown(
                "data set", "save", help="Stores vectors, ids, texts and judgements, for everybody in this workspace."
            ),
        ):
            try:
                services().workspace.save_dataset(held.embedding_set)
            except EngineError as error:
                st.error(sentence(error))
            else:
                state.mark_kept(held)
                st.rerun()


def _numbers(health: Health) -> None:
    row = st.container(horizontal=True, gap="small")
    row.metric("Documents", f"{health.corpus.n:,}", border=True)
    row.metric("Queries", f"{0 if health.queries is None else health.queries.n:,}", border=True)
    row.metric("Dimensions", f"{health.dim:,}", border=True)
    row.metric("Stored as", health.corpus.dtype, border=True)
    if health.n_judgements:
        row.metric("Judgements", f"{health.n_judgements:,}", border=True)


def _findings(health: Health) -> None:
    st.subheader("Health", anchor=False)
    with st.container(gap="xsmall"):
        for finding in health.findings:
            hint = f" :gray[{plain(finding.hint)}]" if finding.hint else ""
            st.markdown(f"{_ICONS[finding.severity]} {plain(finding.message)}{hint}")


def _first_rows(found: EmbeddingSet) -> None:
    st.subheader("First rows", anchor=False)
    documents, queries = st.tabs(["Documents", "Queries"])
    with documents:
        _rows(found.corpus, found.corpus_ids, found.corpus_texts)
    with queries:
        if found.queries is None:
            st.caption("This set has no queries.")
        else:
            _rows(found.queries, found.query_ids, found.query_texts)


def _rows(vectors: Vectors, ids: Sequence[str] | None, texts: Sequence[str] | None) -> None:
    shown = range(min(_ROWS_SHOWN, len(vectors)))
    rows = [
        {
            "id": str(row) if ids is None else str(ids[row]),
            **({} if texts is None else {"text": str(texts[row])}),
            "vector": ", ".join(f"{component:.3f}" for component in vectors[row, :_COMPONENTS_SHOWN].tolist()) + ", …",
        }
        for row in shown
    ]
    st.dataframe(
        rows,
        hide_index=True,
        height=300,
        column_config={
            "id": st.column_config.TextColumn("Id", width="medium"),
            "text": st.column_config.TextColumn("Text", width="large"),
            "vector": st.column_config.TextColumn("Vector", width="medium"),
        },
    )
