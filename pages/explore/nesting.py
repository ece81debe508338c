"""Nesting: whether the vectors are made for truncation, whether it holds as the corpus grows, what scores become."""

from __future__ import annotations

import streamlit as st

from pages.shell.explore import forecast as forecast_view
from pages.shell.explore import nesting as nesting_view
from pages.shell.explore import score_scale as score_scale_view
from pages.shell.explore.frame import open_page
from pages.shell.frame import column

with column():
    opened = open_page(
        "Nesting",
        "Whether the first dimensions are worth more than others, whether recall holds as the corpus grows, and what "
        "becomes of a similarity cut-off.",
        first=(nesting_view.KEY, forecast_view.KEY, score_scale_view.KEY),
    )
    nests, grows, scale = st.tabs(
        ["Does it nest?", "Will it hold as the corpus grows?", "Score scale"], key="nesting", bind="query-params"
    )
    if nests.open:
        with nests:
            nesting_view.show(opened)
    if grows.open:
        with grows:
            forecast_view.show(opened)
    if scale.open:
        with scale:
            score_scale_view.show(opened)
