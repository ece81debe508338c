"""The runbook: a rollback checklist with evidence, what triggers a rollback, and its steps for the live state."""

from engine.present.runbook.building import Runbook, look_at
from engine.present.runbook.checks import (
    CHECK_KEYS,
    CHECKS,
    DAYS_UNTIL_STALE,
    Check,
    CheckKey,
    CheckSpec,
    CheckState,
    Evidence,
    Tick,
)
from engine.present.runbook.counting import count_source
from engine.present.runbook.markdown import render_markdown
from engine.present.runbook.owners import OnCall
from engine.present.runbook.preflighting import note_preflight, run_preflight
from engine.present.runbook.rehearsing import KILLS_ON_A_COPY, LIMIT_S, rehearse_kill
from engine.present.runbook.results import KillRehearsal, PreflightNote, SourceCount
from engine.present.runbook.steps import Step, Trigger
from engine.present.runbook.storage import LONGEST_NOTE, RUNBOOK_KIND, RunbookStore

__all__ = [
    "CHECKS",
    "CHECK_KEYS",
    "DAYS_UNTIL_STALE",
    "KILLS_ON_A_COPY",
    "LIMIT_S",
    "LONGEST_NOTE",
    "RUNBOOK_KIND",
    "Check",
    "CheckKey",
    "CheckSpec",
    "CheckState",
    "Evidence",
    "KillRehearsal",
    "OnCall",
    "PreflightNote",
    "Runbook",
    "RunbookStore",
    "SourceCount",
    "Step",
    "Tick",
    "Trigger",
    "count_source",
    "look_at",
    "note_preflight",
    "rehearse_kill",
    "render_markdown",
    "run_preflight",
]
