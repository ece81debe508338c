"""Runbook: the rollback checklist with its evidence, what triggers a rollback, and the steps for the live state."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from pages.shell import jobs
from pages.shell.flags import actor as flags_actor
from pages.shell.frame import column
from pages.shell.runbook import checks as runbook_checks
from pages.shell.runbook import steps as runbook_steps
from pages.shell.runbook import view as runbook_view
from pages.shell.services import services
from pages.shell.text import sentence

jobs.take_evidence()

with column():
    drawn = services().workspace.audit_head()
    try:
        runbook = runbook_view.head()
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    runbook_view.situation(runbook)
    runbook_checks.show(runbook)
    runbook_steps.triggers(runbook)
    runbook_steps.steps(runbook)
    runbook_steps.people(runbook)
    flags_actor.watch_changes(drawn)
