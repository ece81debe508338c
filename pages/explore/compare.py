"""Compare: sweeps of other models, corpora or seeds side by side, paired where the queries are the same."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell import figures, jobs
from pages.shell.compare import state as compare_state
from pages.shell.compare import view as compare_view
from pages.shell.frame import column
from pages.shell.sweep import run_lists
from pages.shell.text import sentence

with column():
    figures.redraw_for_another_theme()
    st.title("Compare", anchor=False)
    st.markdown("Another model, corpus or seed beside the one you have, paired query by query where the queries agree.")
    first = jobs.first_sweep()
    if first is not None and not first.is_finished:
        st.markdown("A comparison takes two sweeps. A first one is on its way.")
        jobs.show_first_sweep(first)
        st.stop()
    offered, asked = compare_state.chosen_runs()
    if not asked and len(offered) < 2:
        compare_view.nothing_to_compare(len(offered))
        st.stop()
    k = compare_state.controls(offered, asked)
    with st.popover("Run ids", icon=":material/fingerprint:"):
        run_lists.runs_field("Ids of the runs", compare_state.RUNS_KEY)
    if len(asked) < 2:
        st.info("Choose two runs or more.", icon=":material/compare_arrows:")
        st.stop()
    try:
        found = compare_state.compared(asked, k)
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    compare_view.side_by_side(found)
    quantity = compare_state.quantity_control(found)
    compare_view.differences(found, quantity)
    compare_view.facts(found)
    compare_view.further(found)
