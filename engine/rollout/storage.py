"""Rollouts and their steps as the plain JSON that records and the audit log hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, WorkspaceError
from engine.rollout.gates import Gate
from engine.rollout.machine import Rollout, RolloutState, Step
from engine.rollout.monitor_results import Alert
from engine.rollout.schedule import Schedule
from engine.rollout.thresholds import Thresholds
from engine.workspace import plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.workspace import JsonValue

_PLAIN = (
    "key",
    "flag_key",
    "treatment",
    "control",
    "hash_key",
    "changed_by",
    "description",
    "owner",
    "is_simulated",
    "is_automatic",
    "reason",
    "cause",
)
_MOMENTS = ("created_at", "changed_at", "paused_at", "running_since", "ended_at")


def rollout_json(rollout: Rollout) -> dict[str, JsonValue]:
    """Return `rollout` as plain JSON."""
    document: dict[str, JsonValue] = {name: getattr(rollout, name) for name in _PLAIN}
    document |= {name: _written(getattr(rollout, name)) for name in _MOMENTS}
    if rollout.passed_warnings:
        document["passed_warnings"] = [*rollout.passed_warnings]
    return document | {
        "state": rollout.state.value,
        "stage_index": rollout.stage_index,
        "percent": rollout.percent,
        "schedule": rollout.schedule.as_json(),
        "thresholds": rollout.thresholds.as_json(),
        "entered_at": [moment.isoformat() for moment in rollout.entered_at],
        "paused_s": rollout.paused.total_seconds(),
        "stage_paused_s": rollout.stage_paused.total_seconds(),
        "paused_by": [plain_json(alert) for alert in rollout.paused_by],
    }


def rollout_of(document: Mapping[str, Any]) -> Rollout:
    """Return the rollout that `rollout_json` made `document` of. Raises WorkspaceError for another document."""
    try:
        return Rollout(
            **{name: document[name] for name in _PLAIN},
            created_at=datetime.fromisoformat(document["created_at"]),
            changed_at=datetime.fromisoformat(document["changed_at"]),
            paused_at=_read(document["paused_at"]),
            running_since=_read(document["running_since"]),
            ended_at=_read(document["ended_at"]),
            state=RolloutState(document["state"]),
            schedule=Schedule.from_json(document["schedule"]),
            thresholds=Thresholds.from_json(document["thresholds"]),
            entered_at=tuple(datetime.fromisoformat(moment) for moment in document["entered_at"]),
            paused=timedelta(seconds=document["paused_s"]),
            stage_paused=timedelta(seconds=document["stage_paused_s"]),
            paused_by=tuple(Alert.from_json(alert) for alert in document["paused_by"]),
            passed_warnings=tuple(document.get("passed_warnings", ())),
        )
    except (EngineError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unknown("rollout") from error


def step_json(step: Step) -> dict[str, JsonValue]:
    """Return `step` as plain JSON."""
    gate = step.gate
    return {
        "action": step.action,
        "at": step.at.isoformat(),
        "actor": step.actor,
        "reason": step.reason,
        "cause": step.cause,
        "override": step.override,
        "gate": {
            "critical": [*gate.critical],
            "missing": [*gate.missing],
            "killed": gate.killed,
            "warnings": [*gate.warnings],
        },
        "alerts": [plain_json(alert) for alert in step.alerts],
        "schedule": None if step.schedule is None else step.schedule.as_json(),
        "thresholds": None if step.thresholds is None else step.thresholds.as_json(),
        "is_automatic": step.is_automatic,
    }


def step_of(document: Mapping[str, Any]) -> Step:
    """Return the step that `step_json` made `document` of. Raises WorkspaceError for another document."""
    try:
        gate, schedule, thresholds = document["gate"], document["schedule"], document["thresholds"]
        return Step(
            **{name: document[name] for name in ("action", "actor", "reason", "cause", "override", "is_automatic")},
            at=datetime.fromisoformat(document["at"]),
            alerts=tuple(Alert.from_json(alert) for alert in document["alerts"]),
            gate=Gate(
                critical=tuple(gate["critical"]),
                missing=tuple(gate["missing"]),
                killed=gate["killed"],
                warnings=tuple(gate.get("warnings", ())),
            ),
            schedule=None if schedule is None else Schedule.from_json(schedule),
            thresholds=None if thresholds is None else Thresholds.from_json(thresholds),
        )
    except (EngineError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unknown("step") from error


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _unknown(what: str) -> WorkspaceError:
    return WorkspaceError(
        f"a stored {what} of a rollout must be of a form this version knows",
        found="another one",
        hint="Open the workspace with the version that wrote it",
    )
