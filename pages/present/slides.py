"""Present: the story of a sweep and what came of it, one message a screen, for a meeting."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell import figures, jobs
from pages.shell.runs import opened_run
from pages.shell.slides import state as slides_state
from pages.shell.slides import view as slides_view
from pages.shell.text import sentence

figures.redraw_for_another_theme()
sweeping = jobs.first_sweep()
if sweeping is not None and not sweeping.is_finished:
    st.title("Nothing to present yet", anchor=False)
    jobs.show_first_sweep(sweeping)
    st.stop()
run = opened_run()
try:
    slides = () if run is None else slides_state.slides_for(run)
except EngineError as error:
    st.error(sentence(error))
    slides = ()
place = slides_state.shown(slides)
slides_view.controls(run, slides, place)
if slides:
    slides_view.draw(slides, place)
