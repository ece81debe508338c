"""Report: one file that tells everything that is stored about a sweep, seen before it is downloaded."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from engine.present.report.building import arranged
from pages.shell import figures, jobs
from pages.shell.frame import column
from pages.shell.report import building as report_building
from pages.shell.report import controls as report_controls
from pages.shell.report import state as report_state
from pages.shell.report import view as report_view
from pages.shell.report.state import BESIDE_KEY
from pages.shell.runs import opened_run, run_bar
from pages.shell.sweep import run_lists
from pages.shell.text import sentence

with column():
    figures.redraw_for_another_theme()
    st.title("Report", anchor=False)
    st.markdown("One file for everybody who decides: verdict first, charts included, readable without a network.")
    first = jobs.first_sweep()
    if first is not None and not first.is_finished:
        st.markdown("There is nothing to report yet. A first sweep is on its way; its report appears here.")
        jobs.show_first_sweep(first)
        st.stop()
    bar, messages = st.container(), st.container()
    with messages:
        run = opened_run()
    with bar:
        about = run_bar(run)
    with about:
        run_lists.runs_field("Ids of the runs beside it", BESIDE_KEY)
    if run is None:
        st.stop()

    beside = tuple(one for one in run_lists.asked_runs(BESIDE_KEY) if one != run.id)
    chosen = report_state.choice()
    fields, body = st.container(), st.container(gap="medium")
    try:
        with body:
            whole = report_building.built_report(run.id, beside)
        picked = chosen.sections([section.key for section in whole.sections])
        shown = arranged(whole, sections=picked, title=chosen.title or None) if picked else None
    except EngineError as error:
        with fields:
            report_controls.title_and_beside(run, "")
        st.error(sentence(error))
        st.stop()
    with fields:
        report_controls.title_and_beside(run, whole.title)
    with about:
        report_controls.from_a_shell(run, beside, chosen, picked)
    with body:
        report_controls.sections(whole, chosen)
        if shown is None:
            st.info("Choose at least one section.", icon=":material/checklist:")
            st.stop()
        report_view.facts(shown, on_refresh=lambda: report_building.forget_report(run.id, beside))
        report_view.downloads(shown)
        report_view.preview(shown)
