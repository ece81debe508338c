"""Speed and size: how fast, how small, what a rerank wins back, and what it costs."""

from __future__ import annotations

import streamlit as st

from pages.shell.explore import cost as cost_view
from pages.shell.explore import footprint as footprint_view
from pages.shell.explore import funnel as funnel_view
from pages.shell.explore import latency as latency_view
from pages.shell.explore.frame import open_page
from pages.shell.frame import column

with column():
    opened = open_page(
        "Speed and size",
        "How much faster and smaller fewer dimensions are, whether smaller numbers beat fewer of them, and what it "
        "costs a month.",
        first=(latency_view.KEY, footprint_view.KEY, funnel_view.KEY),
    )
    latency, storage, funnel, cost = st.tabs(
        ["Latency", "Bytes", "Shortlist and rerank", "Cost"], key="serving", bind="query-params"
    )
    if latency.open:
        with latency:
            latency_view.show(opened)
    if storage.open:
        with storage:
            footprint_view.show(opened)
    if funnel.open:
        with funnel:
            funnel_view.show(opened)
    if cost.open:
        with cost:
            cost_view.show(opened)
