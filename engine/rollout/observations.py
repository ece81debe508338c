"""One arm in one window of time: what a monitor compares, checked when it is made."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import ParameterError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.workspace import JsonValue

Arm = Literal["control", "treatment", "baseline"]
"""`baseline` is a stored window of the time before the rollout, for when no control runs beside the treatment."""

ARMS: tuple[Arm, ...] = get_args(Arm)

_MOST = 1 << 53  # a JSON number above this loses digits
_LONGEST_SOURCE = 200
_NOT_COUNTED = frozenset({"start", "end", "arm", "source"})
_FIRST_YEAR, _LAST_YEAR = 1970, 2999


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one arm saw from `start` (inclusive) to `end` (exclusive); checked when made.

    `percent` is the share of all users in the treatment during the window. Clicks and errors count queries with at
    least one click, or that failed; None is a metric that nobody counts, which is another thing than zero. `p99_ms` is
    the 99th percentile of latency with its 95 % order-statistic interval, in milliseconds.

    Raises
    ------
    ParameterError
        For a moment without a time zone, an end not after its start, an unknown arm, a share outside 0 to 100, a
        count that is negative, fractional or above the queries, and a latency that is NaN, infinite, not positive or
        outside its own interval.
    """

    start: str
    end: str
    arm: Arm
    percent: float
    n_users: int
    n_queries: int
    n_clicks: int | None = None
    n_errors: int | None = None
    p99_ms: float | None = None
    p99_low_ms: float | None = None
    p99_high_ms: float | None = None
    source: str = ""
    is_simulated: bool = False

    def __post_init__(self) -> None:
        start, end = aware_moment(self.start, "the start of a window"), aware_moment(self.end, "the end of a window")
        if end <= start:
            raise ParameterError("a window must end after it starts", found=f"{self.start} to {self.end}")
        if self.arm not in ARMS:
            raise ParameterError("an arm is control, treatment or baseline", found=repr(self.arm))
        _check_finite(self.percent, "the share of users in treatment")
        if not 0 <= self.percent <= 100:
            raise ParameterError("the share of users in treatment is 0 to 100 %", found=f"{self.percent:g}")
        _check_count(self.n_users, "the number of users")
        _check_count(self.n_queries, "the number of queries")
        if self.n_queries and not self.n_users:
            raise ParameterError("queries come from at least one user", found=f"{self.n_queries:,} queries of 0 users")
        self._check_events()
        self._check_latency()
        if not isinstance(self.source, str) or self.source != printable(self.source, longest=_LONGEST_SOURCE):
            raise ParameterError(
                f"the source of an observation is one printable line of at most {_LONGEST_SOURCE} characters",
                found=self.source,
            )

    def _check_events(self) -> None:
        for value, what in ((self.n_clicks, "clicks"), (self.n_errors, "errors")):
            if value is None:
                continue
            _check_count(value, f"the number of queries with {what}")
            if value > self.n_queries:
                raise ParameterError(
                    f"the number of queries with {what} cannot exceed the number of queries",
                    found=f"{value:,} of {self.n_queries:,}",
                    hint="Count each query once, however many clicks it had" if what == "clicks" else None,
                )

    def _check_latency(self) -> None:
        values = (self.p99_low_ms, self.p99_ms, self.p99_high_ms)
        for value in values:
            if value is not None:
                _check_finite(value, "the p99 latency")
                if value <= 0:
                    raise ParameterError("the p99 latency must be above 0 ms", found=f"{value:g}")
        if (self.p99_low_ms is None) != (self.p99_high_ms is None):
            raise ParameterError("the interval of the p99 latency needs both its bounds", found="one")
        if self.p99_low_ms is None or self.p99_high_ms is None:
            return
        if self.p99_ms is None or not self.p99_low_ms <= self.p99_ms <= self.p99_high_ms:
            raise ParameterError(
                "the p99 latency must lie within its own interval",
                found=f"{self.p99_ms} ms in {self.p99_low_ms:g} to {self.p99_high_ms:g} ms",
            )

    @property
    def started_at(self) -> datetime:
        """The start as an aware moment, in the zone it was given in."""
        return datetime.fromisoformat(self.start)

    @property
    def ended_at(self) -> datetime:
        """The end as an aware moment, in the zone it was given in."""
        return datetime.fromisoformat(self.end)

    @property
    def key(self) -> str:
        """What makes it the same observation when it is read again: its arm and its window in UTC."""
        start, end = self.started_at.astimezone(UTC), self.ended_at.astimezone(UTC)
        return f"{self.arm}/{start.isoformat()}/{end.isoformat()}"

    @property
    def numbers(self) -> dict[str, JsonValue]:
        """Everything counted, by name: the same whichever file brought it, and in whichever zone its window is told."""
        return {name: value for name, value in self.as_json().items() if name not in _NOT_COUNTED}

    def as_json(self) -> dict[str, JsonValue]:
        """Return the observation as plain JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Observation:
        """Return the observation that `as_json` made `document` of. Raises ParameterError."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(name) for name in document if name not in known)
        if unknown:
            raise ParameterError("an observation has only its own fields", found=", ".join(unknown))
        try:
            return cls(**document)
        except TypeError as error:
            raise ParameterError(
                "an observation needs start, end, arm, percent, n_users and n_queries",
                found=", ".join(sorted(document)) or "nothing",
            ) from error


def aware_moment(text: object, what: str) -> datetime:
    """Return the ISO moment `text` with its time zone; `what` names it in the error.

    Raises
    ------
    ParameterError
        When it is no ISO 8601 moment or has no time zone: guessing the zone could shift a window by half a day.
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ParameterError(f"{what} must be an ISO moment such as 2025-03-01T00:00:00+00:00", found=repr(text))
    if moment.utcoffset() is None:
        raise ParameterError(
            f"{what} must name its time zone", found=text, hint="Write +00:00 for UTC, or choose the zone of the file"
        )
    check_year(moment, what)
    return moment


def check_year(moment: datetime, what: str) -> None:
    """Raise `ParameterError` for years without rollouts, where adding a day or changing the zone may overflow."""
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        found = moment.isoformat()
        raise ParameterError(f"{what} must lie in the years {_FIRST_YEAR} to {_LAST_YEAR}", found=found)


def check_not_future(observation: Observation, now: datetime) -> None:
    """Raise `ParameterError` when `observation` ends after `now`: nobody has seen that yet."""
    if observation.ended_at > now:
        raise ParameterError(
            "an observation cannot end in the future",
            found=f"{observation.end}, and now is {now.isoformat(timespec='seconds')}",
            hint="Check the clock and the time zone of the source",
        )


def _check_finite(value: object, what: str) -> None:
    # The comparison is false for NaN, and takes whole numbers that no float can hold.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not is_number:
        raise ParameterError(f"{what} must be a finite number", found=repr(value))


def _check_count(value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise ParameterError(f"{what} must be a whole number from 0", found=repr(value))
