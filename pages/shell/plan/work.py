"""Load, compute and save the plan: what the page asks of the engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, RunNotFoundError
from engine.present.plan import PlanInputs, PlanStore, evidence_of, inputs_from, make_plan
from pages.shell import state
from pages.shell.flags import actor as flags_actor
from pages.shell.plan import state as plan_state
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.present.plan import KeptPlan, PlanEvidence
    from engine.workspace import Workspace
    from pages.shell.plan.state import SeenPlan


def opened() -> tuple[SeenPlan, KeptPlan | None]:
    """Return what this tab looks at, and the plan as the workspace holds it now.

    The newest version is taken when the page is entered; later only when the reader asks for it. Raises EngineError.
    """
    kept = PlanStore(services().workspace).load()
    looking = plan_state.seen()
    if looking is None:
        looking = _newest(kept)
    return looking, kept


def load_newest() -> None:
    """Look at the version that the workspace holds; what was typed and not saved is lost."""
    state.set_notice("plan", None)
    _attempt(lambda: _newest(PlanStore(services().workspace).load()))


def save(looking: SeenPlan, change: Callable[[], PlanInputs], *, run_id: str | None = None, reason: str) -> None:
    """Compute the plan for the inputs that `change` returns and save it over the version that is looked at.

    When the engine refuses, its sentence stands at the top of the page, and what was typed stays.
    """

    def work() -> None:
        chosen = looking.run_id if run_id is None else run_id
        plan = make_plan(change(), evidence=evidence(chosen))
        kept = PlanStore(services().workspace).save(
            plan, run_id=chosen, expected_version=looking.version, actor=flags_actor.actor(), reason=reason
        )
        plan_state.look_at(kept.plan, run_id=kept.run_id, version=kept.version)

    _attempt(work)


def evidence(run_id: str | None) -> PlanEvidence:
    """Return what the workspace knows of the sweep `run_id` (None: the newest), computed once for all tabs.

    A sweep that is gone leaves the plan without evidence. Raises WorkspaceError.
    """
    workspace = services().workspace
    newest = workspace.runs(limit=1)
    # Every measurement is a run, so what is known changes with the newest one only.
    mark = newest[0].id if newest else ""
    try:
        return _evidence(f"{workspace.id}/{run_id}/{mark}", workspace, run_id)
    except RunNotFoundError:
        return _evidence(f"{workspace.id}/{None}/{mark}", workspace, None)


def _newest(kept: KeptPlan | None) -> SeenPlan:
    if kept is not None:
        return plan_state.look_at(kept.plan, run_id=kept.run_id, version=kept.version)
    known = evidence(None)
    inputs = inputs_from(known, PlanInputs(start=datetime.now(UTC).date().isoformat()))
    return plan_state.look_at(make_plan(inputs, evidence=known), run_id=known.run_id, version=0)


def _attempt(work: Callable[[], object]) -> None:
    state.set_notice("plan", None)
    try:
        work()
    except EngineError as error:
        state.set_notice("plan", state.Notice(level="error", sentence=str(error)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _evidence(key: str, _workspace: Workspace, _run_id: str | None) -> PlanEvidence:  # noqa: ARG001  # what the cache looks up
    return evidence_of(_workspace, _run_id)
