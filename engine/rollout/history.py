"""The history of a rollout, and the proof that the audit log alone rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.rollout.machine import apply
from engine.rollout.storage import rollout_json, rollout_of, step_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from engine.rollout.machine import Cause, Rollout, RolloutState
    from engine.workspace import JsonValue, Workspace
    from engine.workspace.audit import AuditEvent

ROLLOUT_KIND = "rollout"

_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One step as the audit log holds it, and the rollout that replaying it and all before it gives.

    `at` is the moment on the rollout's own clock, `recorded_at` the workspace's. `sentences` are the monitor's of that
    moment and `evidence` everything that was recorded beside the step. `agrees` is false when the replayed rollout is
    not the one that was recorded: somebody changed one of them past the engine.
    """

    seq: int
    at: datetime
    recorded_at: datetime
    actor: str
    action: str
    cause: Cause
    reason: str
    override: str
    state: RolloutState
    stage_index: int | None
    percent: float
    sentences: tuple[str, ...]
    evidence: JsonValue
    rollout: Rollout
    agrees: bool


def rollout_events(workspace: Workspace, key: str) -> tuple[AuditEvent, ...]:
    """Return every audit event of the rollout `key`, oldest first."""
    found: list[AuditEvent] = []
    while True:
        page = workspace.audit(kind=ROLLOUT_KIND, key=key, after=found[-1].seq if found else 0, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return tuple(found)


def replay(events: Sequence[AuditEvent]) -> tuple[HistoryEntry, ...]:
    """Rebuild a rollout step by step from its audit events alone, oldest first.

    Only the draft is taken as it was recorded; every later state follows from the recorded steps. Raises WorkspaceError
    for records of another version's form.
    """
    return tuple(_replayed(events))


def _replayed(events: Sequence[AuditEvent]) -> Iterator[HistoryEntry]:
    rollout: Rollout | None = None
    for event in events:
        if event.after is None:  # a note, or a draft that was discarded
            continue
        recorded = rollout_of(_mapping(event.after))
        evidence = _mapping(event.evidence)
        if event.before is None or rollout is None:
            rollout = recorded
            yield _entry(event, rollout, at=rollout.created_at, agrees=event.before is None)
            continue
        override = ""
        try:
            step = step_of(_mapping(evidence.get("step")))
            rollout, override = apply(rollout, step), step.override
        except EngineError:  # written past the engine: no step, or one that could not have been taken
            agrees, rollout = False, recorded
        else:
            agrees = rollout_json(rollout) == event.after
        yield _entry(event, rollout, at=rollout.changed_at, agrees=agrees, override=override)


def _entry(
    event: AuditEvent,
    rollout: Rollout,
    *,
    at: datetime,
    agrees: bool,
    override: str = "",
) -> HistoryEntry:
    report = _mapping(_mapping(event.evidence).get("report"))
    return HistoryEntry(
        seq=event.seq,
        at=at,
        recorded_at=event.at,
        actor=event.actor,
        action=event.action,
        cause=rollout.cause,
        reason=event.reason,
        override=override,
        state=rollout.state,
        stage_index=rollout.stage_index,
        percent=rollout.percent,
        sentences=tuple(str(sentence) for sentence in report.get("sentences") or ()),
        evidence=event.evidence,
        rollout=rollout,
        agrees=agrees,
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
