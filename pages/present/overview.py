"""Overview: where the migration stands, what is missing before the next step, and what to do now."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from engine.present.journey import look
from pages.shell import interrupted
from pages.shell.frame import column
from pages.shell.overview import start as overview_start
from pages.shell.overview import steps as overview_steps
from pages.shell.overview import view as overview_view
from pages.shell.services import services
from pages.shell.text import sentence

overview_start.take_finished()

with column():
    try:
        drawn = overview_view.newest_change(services())
        journey = look(services().workspace, flags=services().flags)
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    first = overview_start.first_sweep(journey)
    overview_view.head(journey)
    overview_view.alerts(journey)
    interrupted.show()
    overview_start.progress(first)
    overview_start.offer(journey)
    if not overview_start.is_building():
        overview_view.next_step(journey)
    overview_view.figures(journey)
    overview_steps.path(journey)
    overview_view.watch_changes(drawn)
