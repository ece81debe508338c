"""Datasets: choose, upload or generate a set, see whether it is fit, and send it to a sweep."""

from __future__ import annotations

import streamlit as st

from pages.shell import jobs, state
from pages.shell.data import sources as dataset_sources
from pages.shell.data import view as dataset_view
from pages.shell.frame import column

jobs.take_loaded()

with column():
    st.title("Datasets", anchor=False)
    st.markdown("Choose what to measure. A set that you upload stays in this tab until you keep it.")
    asked = dataset_sources.choose() or dataset_sources.answer()
    if asked is not None:
        jobs.start_load(asked)
        st.rerun()
    jobs.show_progress("load")
    held = state.held_set()
    if held is not None:
        st.divider()
        dataset_view.show(held)
