"""What a monitor says: readings of every metric, alerts, the action they ask for, and what it all rests on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import ParameterError
from engine.workspace import plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.rollout.decision import Action
    from engine.workspace import JsonValue

Severity = Literal["critical", "warning", "missing data", "not enough data"]
Status = Literal["ok", "not enough data", "not counted", "warning", "critical", "roll back"]
WindowName = Literal["stage", "latest"]
Reference = Literal["control", "baseline", "none"]


@dataclass(frozen=True, kw_only=True)
class WindowUsed:
    """One window as it was counted, ISO moments; `reference` is what the treatment was compared with."""

    name: WindowName
    start: str
    end: str
    percent: float
    reference: Reference
    treatment_users: int
    treatment_queries: int
    reference_users: int
    reference_queries: int


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One metric in one window: p99 in ms, error rate and CTR as shares.

    `low` and `high` bound `change`, the relative change from `baseline`, by the interval that allows for every look of
    the rollout; `value_low` and `value_high` are the same bounds on the scale of `value`. `alert_at` and `roll_back_at`
    are the thresholds on that scale. `detectable` is the smallest change for the worse that would have stood out. None
    where there is nothing to say: no such count, a change from zero, a threshold that is off.
    """

    metric: str
    window: WindowName
    reference: Reference
    status: Status
    value: float | None
    baseline: float | None
    change: float | None
    low: float | None
    high: float | None
    value_low: float | None
    value_high: float | None
    alert_at: float | None
    roll_back_at: float | None
    detectable: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that somebody must know: `metric` is a metric, or "data" where data itself is the trouble.

    `severity` "critical" pauses, and `rolls_back` says that a rollback threshold is passed as well; `threshold` is the
    relative one that was passed. `value`, `baseline`, `low` and `high` are as in `Reading`. `consecutive` looks in a
    row have said so. `is_cooling` marks one that would pause the rollout, had it not paused it a short while ago.
    """

    metric: str
    severity: Severity
    raised_at: str
    sentence: str
    rolls_back: bool = False
    window: WindowName = "stage"
    reference: Reference = "none"
    value: float | None = None
    baseline: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    consecutive: int = 0
    is_cooling: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Alert:
        """Return the alert that a report's JSON holds as `document`. Raises ParameterError."""
        try:
            return cls(**{field.name: document[field.name] for field in fields(cls)})
        except (KeyError, TypeError) as error:
            raise ParameterError("an alert has the fields of an alert", found=document) from error


@dataclass(frozen=True, kw_only=True)
class MonitorReport:
    """One judgement: what to do (`action`), and everything that it rests on.

    `alerts` come gravest first. `gates` say what is still missing before the next stage may begin; `is_enough_data`
    is true when nothing is. `readings` hold every metric in every window, `windows` the counts behind them. `n_looks`
    is how often this stage has been looked at, `notes` what was left out, `sentences` all of it to read.
    """

    judged_at: str
    since: str
    action: Action
    is_enough_data: bool
    alerts: tuple[Alert, ...]
    gates: tuple[str, ...]
    readings: tuple[Reading, ...]
    windows: tuple[WindowUsed, ...]
    n_looks: int
    notes: tuple[str, ...]
    sentences: tuple[str, ...]

    @property
    def critical(self) -> tuple[str, ...]:
        """Sentences of the critical alerts, against which a rollout does not advance."""
        return tuple(alert.sentence for alert in self.alerts if alert.severity == "critical")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences of the alerts that stop nothing: the rollout goes on unless somebody acts on them."""
        return tuple(alert.sentence for alert in self.alerts if alert.severity == "warning")

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as plain JSON: the evidence for what is done because of it."""
        return {field.name: plain_json(getattr(self, field.name)) for field in fields(self)}
