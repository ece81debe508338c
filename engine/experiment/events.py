"""What an experiment is read from: one row a query with its user, arm, day and metrics, simulated or from a log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_ARMS = 2
"""An experiment compares one treatment with one control."""


@dataclass(frozen=True, kw_only=True)
class SkippedRows:
    """Rows of a log that were left out, and why; `first_row` counts data rows from 1."""

    reason: str
    n_rows: int
    first_row: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Exposures:
    """Rows of a log that say which arm a user saw and hold no metric: m rows, fields as in `Events`.

    They count where users are counted (split of the users, users of several arms), never where queries are.
    """

    user: npt.NDArray[np.int32]
    arm: npt.NDArray[np.uint8]
    day: npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False, kw_only=True)
class Events:
    """n rows, one a query, ordered by day (stable); U users.

    `user` (n,) is an index into `user_ids`, a pyarrow StringArray (U,) of which every user has a row here or in
    `exposures`. `arm` (n,) is an index into `arms`, the control first. `day` (n,) counts whole days since `first_day`
    (ISO date) in `time_zone` ("UTC", "+02:00", "naive"); days without rows are possible. `clicked`, `converted`,
    `error` and `no_results` (n,) hold a fact of each row, None where the log has no such column. `latency_ms` (n,) is
    NaN where it is missing. `segment` (n,) is an index into `segments`, -1 where a row has none. `query` (n,) is the
    sweep's query, of simulated events that keep it. `shares` are the intended shares of users of the arms and sum to 1.
    `labels` hold "simulated" or "log"; `assumptions` say what the numbers mean, `warnings` what limits them.
    """

    experiment_id: str
    arms: tuple[str, ...]
    shares: tuple[float, ...]
    user_ids: Any
    user: npt.NDArray[np.int32]
    arm: npt.NDArray[np.uint8]
    day: npt.NDArray[np.int16]
    first_day: str
    time_zone: str = "UTC"
    clicked: npt.NDArray[np.bool_] | None = None
    converted: npt.NDArray[np.bool_] | None = None
    error: npt.NDArray[np.bool_] | None = None
    no_results: npt.NDArray[np.bool_] | None = None
    latency_ms: npt.NDArray[np.float32] | None = None
    segment: npt.NDArray[np.int16] | None = None
    segments: tuple[str, ...] = ()
    query: npt.NDArray[np.int32] | None = None
    exposures: Exposures | None = None
    labels: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped: tuple[SkippedRows, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ParameterError` where the arms, their shares or the lengths of the columns do not fit together."""
        if len(self.arms) != MOST_ARMS or len(set(self.arms)) != MOST_ARMS:
            raise ParameterError("an experiment has two arms of different names", found=", ".join(self.arms))
        if len(self.shares) != len(self.arms) or min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ParameterError("the shares of the arms must be 0 or more and sum to 1", found=self.shares)
        wrong = [name for name, column in self.columns().items() if column.shape != self.user.shape]
        if wrong:
            raise ParameterError("every column of the events needs one value a row", found=", ".join(wrong))

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that are there, by name."""
        names = ("user", "arm", "day", "clicked", "converted", "error", "no_results", "latency_ms", "segment", "query")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def n_rows(self) -> int:
        """Queries in all arms."""
        return len(self.user)

    @property
    def n_users(self) -> int:
        """Different users in all arms."""
        return len(self.user_ids)

    @property
    def n_days(self) -> int:
        """Days from the first to the last one with a row, both counted."""
        return int(self.day[-1]) + 1 if self.n_rows else 0

    @property
    def n_skipped(self) -> int:
        """Rows of the log that were left out."""
        return sum(skipped.n_rows for skipped in self.skipped)

    @property
    def is_simulated(self) -> bool:
        """Whether no real user stands behind the rows."""
        return "simulated" in self.labels

    def day_starts(self) -> npt.NDArray[np.int64]:
        """Return the first row of every day and, last, the number of rows: day d is ``rows[starts[d]:starts[d + 1]]``.

        Shape (n_days + 1,).
        """
        return np.searchsorted(self.day, np.arange(self.n_days + 1, dtype=self.day.dtype), side="left").astype(np.int64)

    def date_of(self, day: int) -> str:
        """Return the ISO date of `day`."""
        return (date.fromisoformat(self.first_day) + timedelta(days=int(day))).isoformat()
