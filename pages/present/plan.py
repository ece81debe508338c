"""Plan: how far to go with these dims and why, when, watched by what, at which cost, and who answers for it."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell.frame import column
from pages.shell.plan import details as plan_details
from pages.shell.plan import forms as plan_forms
from pages.shell.plan import state as plan_state
from pages.shell.plan import view as plan_view
from pages.shell.plan import work as plan_work
from pages.shell.text import sentence

TABS = ("Steps", "Inputs", "Stages", "Triggers", "A/B test", "Metrics", "Cost", "Evidence", "What moved")

with column():
    try:
        looking, kept = plan_work.opened()
        plan_view.head(looking, kept)
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    plan_view.recommendation(looking.plan)
    plan_view.timeline(looking.plan)
    shown = dict(zip(TABS, st.tabs(TABS, key=plan_state.TABS_KEY, bind="query-params"), strict=True))
    for title, draw in (
        ("Steps", lambda: plan_forms.steps(looking)),
        ("Inputs", lambda: plan_forms.inputs(looking)),
        ("Stages", lambda: plan_forms.stages(looking)),
        ("Triggers", lambda: plan_forms.triggers(looking)),
        ("A/B test", lambda: plan_details.ab_test(looking)),
        ("Metrics", lambda: plan_details.metrics(looking.plan)),
        ("Cost", lambda: plan_details.cost(looking)),
        ("Evidence", lambda: plan_details.evidence(looking.plan)),
        ("What moved", plan_details.revisions),
    ):
        if shown[title].open:
            with shown[title]:
                draw()
