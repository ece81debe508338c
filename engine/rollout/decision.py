"""From breaches to an action, over arrays: runs of looks that agree, gates, and what is done about it.

The live monitor asks for one rollout, pre-flight for a thousand at once. Arrays have metrics on their first axis, in
the order of `METRICS`, and any shape (S) behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.rollout.thresholds import METRICS
from engine.rollout.windows import STAGE

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.rollout.comparison import Comparison
    from engine.rollout.thresholds import Metric, Thresholds

    Bools = npt.NDArray[np.bool_]
    Ints = npt.NDArray[np.int64]

Action = Literal["none", "pause", "roll_back"]
ACTIONS: tuple[Action, ...] = ("none", "pause", "roll_back")
"""In order of gravity; arrays of actions hold the place in here."""

PAUSE, ROLL_BACK = 1, 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """How many looks in a row each metric has been beyond its alert and its rollback threshold, (3, S)."""

    alert: Ints
    rollback: Ints

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Runs:
        """Return the runs before the first look."""
        return cls(
            alert=np.zeros((len(METRICS), *shape), np.int64), rollback=np.zeros((len(METRICS), *shape), np.int64)
        )

    def after(self, alert: Bools, rollback: Bools) -> Runs:
        """Return the runs after a look at which those metrics breached, (3, S) each."""
        return Runs(alert=np.where(alert, self.alert + 1, 0), rollback=np.where(rollback, self.rollback + 1, 0))

    def raised(self, thresholds: Thresholds) -> tuple[Bools, Bools]:
        """Return which alerts stand and which rollbacks are due, (3, S) each."""
        return self.alert >= thresholds.breaches, self.rollback >= thresholds.rollback_breaches


def breaches_of(comparison: Comparison) -> tuple[Bools, Bools]:
    """Return which metrics breach their alert and their rollback threshold in either window, (3, S) each.

    `comparison` has the windows on its first axis.
    """
    return (
        np.stack([comparison.of(metric).breaches_alert.any(axis=0) for metric in METRICS]),
        np.stack([comparison.of(metric).breaches_rollback.any(axis=0) for metric in METRICS]),
    )


def is_watched(metric: Metric, thresholds: Thresholds) -> bool:
    """Tell whether the metric has any threshold at all."""
    return thresholds.limit(metric).to_be_seen is not None


def gates_open(comparison: Comparison, thresholds: Thresholds) -> Bools:
    """Tell where the stage so far holds enough data to go on, (S).

    Every metric that is watched must have enough, but one that neither arm counts; and one at least must be counted.
    """
    watched = [metric for metric in METRICS if is_watched(metric, thresholds)]
    open_: Bools = comparison.has_minimum[STAGE].copy()
    counted = np.zeros_like(open_)
    for metric in watched:
        one = comparison.of(metric)
        nobody_counts = (np.isnan(one.value) & np.isnan(one.baseline))[STAGE]
        open_ &= nobody_counts | comparison.is_enough(metric, thresholds.limit(metric))[STAGE]
        counted |= one.is_measured[STAGE]
    return open_ & counted if watched else open_


def action_of(alerts: Bools, rollbacks: Bools, thresholds: Thresholds, *, is_cooling: Bools | None = None) -> Ints:
    """Return the place in `ACTIONS` of what is to be done, (S), from the alerts and rollbacks that stand, (3, S).

    `is_cooling` (3, S) are metrics that have paused the rollout lately: their alert does not pause it again.
    """
    pauses = np.array([thresholds.limit(metric).severity == "critical" for metric in METRICS])
    acting = alerts if is_cooling is None else alerts & ~is_cooling
    pause = (acting & pauses.reshape(-1, *[1] * (alerts.ndim - 1))).any(axis=0)
    return np.where(rollbacks.any(axis=0), ROLL_BACK, np.where(pause, PAUSE, 0))
