"""A/B test: simulate users or read a log, and say in sentences what it shows and what it does not."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell import figures, jobs
from pages.shell.ab import events as ab_events
from pages.shell.ab import new as ab_new
from pages.shell.ab import result as ab_result
from pages.shell.ab import runs as ab_runs
from pages.shell.ab import thresholds as ab_thresholds
from pages.shell.ab import view as ab_view
from pages.shell.frame import column
from pages.shell.text import sentence

ab_runs.take_finished()
figures.redraw_for_another_theme()

with column():
    st.title("A/B test", anchor=False)
    st.markdown(
        "Full dimension against reduced dimension, on users instead of vectors: simulated first, then measured."
    )
    ab_new.new_test()
    jobs.show_progress("experiment")
    run = ab_runs.opened_run()
    if run is None:
        st.stop()
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        ab_runs.choose_run(run)
    try:
        stored = ab_runs.stored(run)
        with right:
            found = ab_thresholds.read_again(stored, run)
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    ab_view.headline(found)
    ab_thresholds.notice(stored, found)
    ab_view.sentences(found)
    ab_result.tabs(found, run)
    ab_events.downloads(run, stored, found)
    ab_view.small_print(found, run)
