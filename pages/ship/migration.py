"""Migration: connect two stores, plan, move, validate, search both, and cut over."""

from __future__ import annotations

import streamlit as st

from pages.shell import figures
from pages.shell.flags import actor as flags_actor
from pages.shell.frame import column
from pages.shell.migration import connect as migration_connect
from pages.shell.migration import cut_over as migration_cut_over
from pages.shell.migration import dual as migration_dual
from pages.shell.migration import plan as migration_plan
from pages.shell.migration import run as migration_run
from pages.shell.migration import state as kept
from pages.shell.migration import validation as migration_validation
from pages.shell.migration import view as migration_view
from pages.shell.services import services

figures.redraw_for_another_theme()
migration_run.take_finished()

with column():
    drawn = services().workspace.audit_head()
    # Tabs that move down when something appears above them would be drawn anew, the first one in front.
    head, body = st.container(gap="medium"), st.container(gap="medium")
    with head:
        migration_view.head()
        view = migration_view.choose()
        if view is None:
            st.stop()
        migration_view.headline(view)
    with body:
        titles = migration_view.TABS
        shown = dict(zip(titles, st.tabs(titles, key=kept.TAB_KEY, bind="query-params"), strict=True))
    for title, draw in (
        (migration_view.STORES, migration_connect.show),
        (migration_view.PLAN, migration_plan.show),
        (migration_view.RUN, migration_run.show),
        (migration_view.VALIDATION, migration_validation.show),
        (migration_view.DUAL, migration_dual.show),
        (migration_view.CUT_OVER, migration_cut_over.show),
    ):
        if shown[title].open:
            with shown[title]:
                draw(view)
    flags_actor.watch_changes(drawn)
