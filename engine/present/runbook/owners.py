"""Who answers for what, as the migration plan of the workspace names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from engine.present.plan.storage import KeptPlan
    from engine.workspace import Workspace

_MOST_TITLES = 3


@dataclass(frozen=True, kw_only=True)
class OnCall:
    """Somebody who answers: for what, and the name as it was typed."""

    role: str
    name: str


def kept_plan(workspace: Workspace) -> KeptPlan | None:
    """Return the plan of the workspace; None without one, or when another version wrote it."""
    from engine.present.plan.storage import PlanStore

    try:
        return PlanStore(workspace).load()
    except EngineError:  # the runbook must stand without the plan
        return None


def plan_owners(workspace: Workspace) -> tuple[OnCall, ...]:
    """Return the owners that the plan of the workspace names, each once; none without a plan that can be read."""
    kept = kept_plan(workspace)
    titles: dict[str, list[str]] = {}
    for step in () if kept is None else kept.plan.steps:
        if step.owner:
            titles.setdefault(step.owner, []).append(step.title)
    return tuple(OnCall(role=_role(of), name=name) for name, of in titles.items())


def _role(titles: list[str]) -> str:
    more = len(titles) - _MOST_TITLES
    listed = ", ".join(titles[:_MOST_TITLES])
    return f"{listed} and {more:,} more" if more > 0 else listed
