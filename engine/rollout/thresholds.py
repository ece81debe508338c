"""What a monitor alerts on, how sure it must be, and what stops a rollout: all of it editable, checked when made."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.workspace import JsonValue

Metric = Literal["p99", "error_rate", "ctr"]
METRICS: tuple[Metric, ...] = get_args(Metric)

METRIC_NAMES: dict[Metric, str] = {"p99": "p99 latency", "error_rate": "error rate", "ctr": "CTR"}
"""What people read."""

RISE_IS_BAD: dict[Metric, bool] = {"p99": True, "error_rate": True, "ctr": False}

AlertSeverity = Literal["warning", "critical"]

N_WINDOWS = 2
"""A metric is judged over the stage so far and over its latest day, so twice at every look."""


def _check_whole(value: object, what: str, *, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"{what} must be a whole number from {low:,} to {high:,}", found=repr(value))


def _check_number(
    value: Any, what: str, *, low: float, high: float, is_open: bool = False, may_be_low: bool = False
) -> None:
    # The comparison is false for NaN, and takes whole numbers that no float can hold.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not is_number or not low <= value <= high or (value == low and not may_be_low) or (value == high and is_open):
        ends = "at least" if may_be_low else "above"
        raise ParameterError(
            f"{what} must be {ends} {low:g} and {'below' if is_open else 'at most'} {high:g}", found=repr(value)
        )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Two thresholds of one metric, each a relative change for the worse: 0.05 is 5 % more latency or 5 % less CTR.

    Beyond `alert` the metric raises an alert of `severity` (critical pauses the rollout), beyond `roll_back` it is
    rolled back; None switches either off. A metric that `is_gate` must have been observed well enough to show a change
    of `roll_back` (else of `alert`) before the next stage may begin.

    Raises
    ------
    ParameterError
        When a threshold is not above 0, a rollback lies below its alert, or the severity is unknown.
    """

    alert: float | None
    severity: AlertSeverity
    roll_back: float | None
    is_gate: bool = True

    def __post_init__(self) -> None:
        for value, what in ((self.alert, "an alert"), (self.roll_back, "a rollback")):
            if value is not None:
                _check_number(value, f"the threshold of {what}", low=0, high=1000)
        if self.alert is not None and self.roll_back is not None and self.roll_back < self.alert:
            raise ParameterError(
                "a rollback threshold cannot lie below the alert of the same metric",
                found=f"{100 * self.roll_back:g} % under {100 * self.alert:g} %",
            )
        if self.severity not in get_args(AlertSeverity):
            raise ParameterError("the severity of an alert is warning or critical", found=repr(self.severity))
        if not isinstance(self.is_gate, bool):
            raise ParameterError("whether a metric is a gate must be true or false", found=repr(self.is_gate))

    @property
    def to_be_seen(self) -> float | None:
        """The change that a gate must be able to show; None where the metric has no threshold at all."""
        return self.roll_back if self.roll_back is not None else self.alert


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Everything that the monitor is told; the defaults are those users start from.

    `confidence` is the chance that a rollout without any fault raises no alert at all in `looks` looks, one a day;
    `rollback_confidence` that it is not rolled back. Both are shared evenly between the looks, metrics and windows,
    so that looking daily does not cost the promise. `breaches` (and `rollback_breaches`) looks in a row must agree
    before an alert is raised (or a rollback). `cool_down_hours` after an alert has paused the rollout, another alert of
    the same metric does not pause it again; a rollback is never held up.

    `user_correlation` is how alike two queries of one user are (the intra-class correlation); it widens the intervals
    of CTR and error rate. `day_spread` is the relative standard deviation of a metric from day to day for reasons
    outside the rollout; it widens comparisons with a stored baseline, which saw other days.

    Raises
    ------
    ParameterError
        When a number is out of its range.
    """

    p99: Limit = Limit(alert=0.5, severity="critical", roll_back=1.0)
    error_rate: Limit = Limit(alert=0.1, severity="critical", roll_back=0.1, is_gate=False)
    ctr: Limit = Limit(alert=0.05, severity="warning", roll_back=0.1)
    confidence: float = 0.95
    rollback_confidence: float = 0.99
    looks: int = 35
    breaches: int = 1
    rollback_breaches: int = 1
    cool_down_hours: float = 24.0
    missing_after_hours: float = 36.0
    pauses_when_missing: bool = True
    latest_hours: float = 24.0
    min_users: int = 500
    min_queries: int = 1000
    min_errors: int = 5
    user_correlation: float = 0.02
    day_spread: float = 0.03

    def __post_init__(self) -> None:
        for metric in METRICS:
            if not isinstance(getattr(self, metric), Limit):
                raise ParameterError(f"the thresholds of the {METRIC_NAMES[metric]} must be a limit", found="another")
        for name in ("alert", "roll_back"):
            value = getattr(self.ctr, name)
            if value is not None and value >= 1:
                raise ParameterError("CTR can fall by less than 100 %", found=f"{100 * value:g} %")
        _check_number(self.confidence, "the confidence", low=0.5, high=1, is_open=True)
        _check_number(self.rollback_confidence, "the confidence of a rollback", low=0.5, high=1, is_open=True)
        for name, what, low, high in _WHOLE:
            _check_whole(getattr(self, name), what, low=low, high=high)
        for name, what, least, most in _REAL:
            _check_number(getattr(self, name), what, low=least, high=most, may_be_low=True)
        if not isinstance(self.pauses_when_missing, bool):
            raise ParameterError("whether missing data pauses must be true or false", found=self.pauses_when_missing)

    def limit(self, metric: Metric) -> Limit:
        """Return the thresholds of one metric."""
        limit: Limit = getattr(self, metric)
        return limit

    @property
    def alert_alpha(self) -> float:
        """One-sided level of one comparison, so that all of a rollout together stay within `confidence`."""
        return (1 - self.confidence) / self._n_comparisons

    @property
    def rollback_alpha(self) -> float:
        """One-sided level of one comparison for a rollback."""
        return (1 - self.rollback_confidence) / self._n_comparisons

    @property
    def _n_comparisons(self) -> int:
        return self.looks * N_WINDOWS * len(METRICS)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the thresholds as plain JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Thresholds:
        """Return thresholds from JSON; what it leaves out stays at its default. Raises ParameterError."""
        values = _known_fields(cls, document, "thresholds")
        for metric in METRICS:
            if metric in values:
                values[metric] = _limit_from(values[metric], getattr(cls, metric))
        return cls(**values)


def _plain(value: Any) -> JsonValue:
    if isinstance(value, Limit):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    plain: JsonValue = value
    return plain


def _limit_from(document: object, default: Limit) -> Limit:
    values = {field.name: getattr(default, field.name) for field in fields(Limit)}
    values.update(_known_fields(Limit, document, "the thresholds of a metric"))
    return Limit(**values)


def _known_fields(kind: type[Thresholds | Limit], document: object, what: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ParameterError(f"{what} must be a JSON object", found=type(document).__name__)
    known = [field.name for field in fields(kind)]
    unknown = sorted(str(name) for name in document if name not in known)
    if unknown:
        raise ParameterError(
            f"{what} must be known by name", found=", ".join(unknown), hint=f"Known: {', '.join(known)}"
        )
    return dict(document)


_WHOLE = (
    ("looks", "the number of looks", 1, 1_000_000),
    ("breaches", "the number of breaches in a row", 1, 1000),
    ("rollback_breaches", "the number of breaches in a row before a rollback", 1, 1000),
    ("min_users", "the fewest users", 0, 1 << 53),
    ("min_queries", "the fewest queries", 1, 1 << 53),
    ("min_errors", "the fewest errors", 1, 1 << 53),
)
_REAL = (
    ("cool_down_hours", "the cool-down in hours", 0, 24 * 365),
    ("missing_after_hours", "the hours until data is missing", 0.01, 24 * 365),
    ("latest_hours", "the length of the latest window in hours", 0.01, 24 * 365),
    ("user_correlation", "the correlation between queries of one user", 0, 1),
    ("day_spread", "the spread from day to day", 0, 10),
)
