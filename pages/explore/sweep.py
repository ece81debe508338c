"""Sweep: what every dimension keeps, and the smallest one that is safe."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell import interrupted, jobs
from pages.shell.frame import column
from pages.shell.runs import choose_run, opened_run, run_id_field
from pages.shell.services import estimates, summary
from pages.shell.sweep import table as sweep_table
from pages.shell.sweep import view as sweep_view
from pages.shell.sweep.form import new_sweep
from pages.shell.text import sentence

jobs.take_swept()

with column():
    first = jobs.first_sweep()
    if first is not None and not first.is_finished:
        st.title("How few dimensions are enough?", anchor=False)
        st.markdown("A first sweep, of a data set that comes with Dimshift, is on its way.")
        jobs.show_first_sweep(first)
        st.stop()

    bar, messages, body = st.container(), st.container(), st.container(gap="medium")
    with messages:
        jobs.show_progress("sweep")
        interrupted.show()
        run = opened_run()
    with bar:
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        with left:
            choose_run(run)
        with right:
            new_sweep()
    with st.expander("Open a run by its id" if run is None else "About this run", icon=":material/fingerprint:"):
        run_id_field()
        if run is not None:
            sweep_view.environment(run)
    if run is None:
        st.stop()

    with body:
        try:
            result = estimates(run.id).result
            head = st.container(gap="medium")
            criterion = sweep_view.criterion_controls(result)
            read = summary(run.id, criterion)
        except EngineError as error:
            st.error(sentence(error))
            st.stop()
        with head:
            sweep_view.headline(read)
            sweep_view.metrics(read)
        sweep_view.charts(read)
        sweep_table.table(read)
        sweep_table.downloads(run, result, read)
        sweep_view.provenance(run, result)
