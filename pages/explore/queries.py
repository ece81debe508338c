"""Queries: one query at every dimension, who loses, and which groups of queries lose most."""

from __future__ import annotations

import streamlit as st

from pages.shell.explore import losses as losses_view
from pages.shell.explore import search as search_view
from pages.shell.explore.frame import open_page
from pages.shell.explore.query_controls import query_controls
from pages.shell.frame import column

with column():
    opened = open_page(
        "Queries",
        "What fewer dimensions do to single queries: search and watch the results move, see who loses and what.",
        first=(losses_view.CLUSTERS,),
    )
    chosen = query_controls(opened)
    search, who, groups = st.tabs(["Search", "Who loses?", "Groups"], key="queries", bind="query-params")
    if search.open:
        with search:
            search_view.show(opened, chosen.dim, chosen.k)
    if who.open:
        with who:
            losses_view.show(opened, chosen.dim, chosen.k, chosen.quantity)
    if groups.open:
        with groups:
            losses_view.show_segments(opened, chosen.dim, chosen.k, chosen.quantity)
