"""Keep the plan in the workspace: one record, written only by whoever saw the version before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.present.plan import results
from engine.present.plan.changes import changes
from engine.present.plan.inputs import PlanInputs
from engine.rollout.schedule import Schedule, Stage
from engine.rollout.thresholds import Limit, Thresholds
from engine.tradeoff.size.cost import CostAssumptions, CostEstimate, MonthlyCost, Serving
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from datetime import datetime

    from engine.present.plan.changes import Change
    from engine.workspace import Record, Workspace

KIND = "plan"
KEY = "plan"
_PARTS = (
    results.AbAlternative,
    results.AbPlan,
    results.Leg,
    results.PlanMetric,
    results.PlanStep,
    results.StoragePhase,
    results.Strategy,
    results.Trigger,
    PlanInputs,
    Schedule,
    Stage,
    Limit,
    Thresholds,
    CostAssumptions,
    CostEstimate,
    MonthlyCost,
    Serving,
)


@dataclass(frozen=True, kw_only=True)
class KeptPlan:
    """The plan as it stands in the workspace; `run_id` is the sweep that it is asked to rest on."""

    plan: results.Plan
    run_id: str | None
    version: int
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class PlanRevision:
    """One change of the plan: who changed what when, and why; `is_first` began it."""

    at: datetime
    actor: str
    reason: str
    is_first: bool
    changes: tuple[Change, ...]


def encode_plan(plan: results.Plan) -> dict[str, Any]:
    """Return `plan` as the JSON document that is kept."""
    return encode(plan)[0]


def decode_plan(document: Any) -> results.Plan:
    """Return the plan that `encode_plan` made `document` of. Raises WorkspaceError for any other document."""
    return decode(document, {}, results.Plan, _PARTS)


class PlanStore:
    """The plan of a workspace. `save` raises ConflictError when somebody else saved it in between."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def load(self) -> KeptPlan | None:
        """Return the plan, None where none was saved. Raises WorkspaceError when another version wrote it."""
        with self._workspace.records() as ledger:
            record = ledger.get(KIND, KEY)
        return None if record is None else _kept(record)

    def save(
        self,
        plan: results.Plan,
        *,
        run_id: str | None,
        expected_version: int | None,
        actor: str,
        reason: str = "",
    ) -> KeptPlan:
        """Keep `plan`; `expected_version` is the one that was read, 0 for the first, None for whatever is there.

        Raises
        ------
        ConflictError
            When the workspace holds another version; nothing is changed then.
        """
        body = {"plan": encode_plan(plan), "run_id": run_id}
        with self._workspace.recording() as ledger:
            record = ledger.put(
                KIND, KEY, body, expected_version=expected_version, actor=actor, action="save", reason=reason
            )
        return _kept(record)

    def remove(self, *, expected_version: int | None, actor: str, reason: str = "") -> None:
        """Remove the plan; its history stays. Raises ConflictError."""
        with self._workspace.recording() as ledger:
            ledger.remove(KIND, KEY, expected_version=expected_version, actor=actor, action="remove", reason=reason)

    def revisions(self, *, limit: int = 10) -> tuple[PlanRevision, ...]:
        """Return what the latest changes moved, the newest first; the first saving moves nothing."""
        events = self._workspace.audit(kind=KIND, key=KEY, limit=limit, newest_first=True)
        return tuple(
            PlanRevision(
                at=event.at,
                actor=event.actor,
                reason=event.reason,
                is_first=event.before is None,
                changes=_between(event.before, event.after),
            )
            for event in events
            if event.after is not None
        )


def _between(before: Any, after: Any) -> tuple[Change, ...]:
    try:
        return changes(_plan_of(before), _plan_of(after)) if before is not None else ()
    except EngineError:  # an older version wrote it in another form; that it changed is still told
        return ()


def _kept(record: Record) -> KeptPlan:
    run_id = record.body.get("run_id")
    return KeptPlan(
        plan=_plan_of(record.body),
        run_id=None if run_id is None else str(run_id),
        version=record.version,
        updated_at=record.updated_at,
    )


def _plan_of(body: Any) -> results.Plan:
    return decode_plan(body.get("plan"))
