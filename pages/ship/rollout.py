"""Rollout: plan a ramp and see what it promises; watch it, pause it, roll it back."""

from __future__ import annotations

import streamlit as st

from pages.shell.flags import actor as flags_actor
from pages.shell.frame import column
from pages.shell.rollout import actions as rollout_actions
from pages.shell.rollout import data as rollout_data
from pages.shell.rollout import metrics as rollout_metrics
from pages.shell.rollout import records as rollout_records
from pages.shell.rollout import settings as rollout_settings
from pages.shell.rollout import setup as rollout_setup
from pages.shell.rollout import stages as rollout_stages
from pages.shell.rollout import view as rollout_view
from pages.shell.services import services

TABS = ("Metrics", "Stages", "Data", "Incidents", "History", "Settings", "Exports")

with column():
    control, drawn = services().rollouts, services().workspace.audit_head()
    known = control.rollouts()
    chosen = rollout_view.head(known)
    if chosen is None:
        rollout_setup.show(known)
        st.stop()
    status, replay = control.status(chosen.rollout.key), control.replay(chosen.rollout.key)
    rollout_view.headline(status)
    if status.next_action == "start":
        rollout_actions.start_draft(status)
    rollout_actions.bar(status)
    rollout_actions.clock(status)
    rollout_view.alerts(status)
    rollout_view.timeline(status, replay.entries)
    rollout_view.readings(status)
    shown = dict(zip(TABS, st.tabs(TABS, key="rollout_tab", bind="query-params"), strict=True))
    for title, draw in (
        ("Metrics", lambda: rollout_metrics.show(status, replay)),
        ("Stages", lambda: rollout_stages.show(status, replay.entries)),
        ("Data", lambda: rollout_data.show(status)),
        ("Incidents", lambda: rollout_records.incidents(status)),
        ("History", lambda: rollout_records.history(replay)),
        ("Settings", lambda: rollout_settings.show(status)),
        ("Exports", lambda: rollout_records.exports(status)),
    ):
        if shown[title].open:
            with shown[title]:
                draw()
    flags_actor.watch_changes(drawn)
