"""What dual search saw: failures, latency, overlap and rank shift of the two stores, as running records."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.percentiles import Percentile, percentile

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.tradeoff.results import Interval

Outcome = Literal["answered", "failed", "timed out", "busy"]
SHARES = (0.5, 0.95, 0.99)
_KEPT = 10_000


@dataclass(frozen=True, kw_only=True)
class SideStatistics:
    """One store: how often it was asked and did not answer, and percentiles of its latency in milliseconds.

    An answer that came after the time-out counts as timed out, and its latency as one of the store's.
    """

    n_asked: int
    n_failed: int
    n_timed_out: int
    n_busy: int
    latency_ms: tuple[Percentile, ...]
    last_failure: str | None


@dataclass(frozen=True, eq=False, kw_only=True)
class DualStatistics:
    """Both stores, the requests that another store than intended had to answer, and how the two rankings agree.

    `overlap` is the mean share of the top k that both hold, `rank_shift` the mean distance in ranks of shared results;
    both with 95 % bootstrap intervals over the compared requests (the newest 10,000), None before the first. The
    arrays hold the compared requests one by one, oldest first.
    """

    n_requests: int
    n_degraded: int
    n_refused: int
    old: SideStatistics
    new: SideStatistics
    n_compared: int
    overlap: Interval | None
    rank_shift: Interval | None
    overlaps: npt.NDArray[np.float32]
    old_ms: npt.NDArray[np.float32]
    new_ms: npt.NDArray[np.float32]


class _Side:
    def __init__(self) -> None:
        self.asked = 0
        self.failures: dict[Outcome, int] = {"failed": 0, "timed out": 0, "busy": 0}
        self.latencies: deque[float] = deque(maxlen=_KEPT)
        self.last_failure: str | None = None

    def statistics(self) -> SideStatistics:
        samples = np.array(self.latencies, dtype=np.float32)
        return SideStatistics(
            n_asked=self.asked,
            n_failed=self.failures["failed"],
            n_timed_out=self.failures["timed out"],
            n_busy=self.failures["busy"],
            latency_ms=tuple(percentile(samples, share) for share in SHARES) if len(samples) else (),
            last_failure=self.last_failure,
        )


class Recorder:
    """Counts from many threads at once; bounded in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sides = (_Side(), _Side())
        self._requests = self._degraded = self._refused = 0
        self._compared: deque[tuple[float, float, float, float]] = deque(maxlen=_KEPT)

    def asked(self, side: int) -> None:
        """Count one question to a store: `side` 0 is the old one, 1 the new one."""
        with self._lock:
            self._sides[side].asked += 1

    def took(self, side: int, latency_ms: float) -> None:
        """Keep how long a store took to answer, also when nobody waited for it any more."""
        with self._lock:
            self._sides[side].latencies.append(latency_ms)

    def did_not_answer(self, side: int, outcome: Outcome, why: str) -> None:
        """Count a question that a store failed, was too busy for, or was too late with."""
        with self._lock:
            self._sides[side].failures[outcome] += 1
            self._sides[side].last_failure = why

    def answered(self, *, degraded: bool) -> None:
        """Count a request that was answered; `degraded` when the intended store could not."""
        with self._lock:
            self._requests += 1
            self._degraded += degraded

    def refused(self) -> None:
        """Count a request that neither store could answer."""
        with self._lock:
            self._requests += 1
            self._refused += 1

    def compared(self, *, overlap: float, rank_shift: float, old_ms: float, new_ms: float) -> None:
        """Keep how two answers to one request agreed; `rank_shift` is NaN when they share nothing."""
        with self._lock:
            self._compared.append((overlap, rank_shift, old_ms, new_ms))

    def statistics(self, *, seed: int = 0) -> DualStatistics:
        """Return what was counted until now."""
        with self._lock:
            old, new = (side.statistics() for side in self._sides)
            compared = np.array(self._compared, dtype=np.float32).reshape(-1, 4)
            requests, degraded, refused = self._requests, self._degraded, self._refused
        overlap = shift = None
        if len(compared):
            (means,) = bootstrap_means(np.ascontiguousarray(compared[:, :2].T), seed=seed, n_resamples=2_000)
            overlap = means.interval(0)
            shift = means.interval(1) if means.n_values[1] else None
        return DualStatistics(
            n_requests=requests,
            n_degraded=degraded,
            n_refused=refused,
            old=old,
            new=new,
            n_compared=len(compared),
            overlap=overlap,
            rank_shift=shift,
            overlaps=compared[:, 0].copy(),
            old_ms=compared[:, 2].copy(),
            new_ms=compared[:, 3].copy(),
        )
