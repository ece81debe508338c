"""The windows that a monitor looks at: the stage so far, and its latest day, of observations in any order.

Two windows, because faults come in two kinds. One that begins in the middle of a stage drowns in the days before it,
so the latest day is judged alone and catches it within a day. A small one needs many queries to stand out, so the whole
stage is judged together. Neither reaches back beyond the stage: shares change between stages, and pooling over them can
turn the sign of a difference (Simpson's paradox).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from engine.rollout.comparison import Counts, p99_standard_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from engine.rollout.observations import Observation
    from engine.rollout.thresholds import Thresholds

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]
    Indices = npt.NDArray[np.int64]

STAGE, LATEST = 0, 1
"""Rows of the first axis of everything that is counted by window."""

_DAY_S = 86_400.0
SAME_SHARE = 1e-6
"""Shares of users in percent that differ by no more are one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Looks:
    """L looks of a monitor at one stage, one at the end of every window of the treatment.

    `treatment` and `reference` are counts (2, L), by window and look; `is_stored` (2, L) tells where the reference is
    the stored baseline. `starts` (2 x L) and `ends` (L) are when the windows begin and end, `percent` is the share of
    users in the treatment. `notes` say what was left out and why.
    """

    starts: tuple[tuple[datetime, ...], tuple[datetime, ...]]
    ends: tuple[datetime, ...]
    percent: float
    treatment: Counts
    reference: Counts
    is_stored: Bools
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ends)


def looks_at(observations: Iterable[Observation], *, thresholds: Thresholds, since: datetime, now: datetime) -> Looks:
    """Return every look from `since`, when the stage began or was resumed, to `now`.

    Left out, with a note: windows that end after `now`, that began before `since`, that overlap an earlier one of the
    same arm, and that had another share of users in the treatment than the newest.
    """
    known = sorted(observations, key=lambda one: (one.started_at, one.ended_at, one.key, one.source))
    notes: list[str] = []
    past = _kept(known, [one.ended_at <= now for one in known], "ended in the future", notes)
    baseline = [one for one in past if one.arm == "baseline"]
    during = [one for one in past if one.arm != "baseline" and one.ended_at > since]
    during = _kept(during, [one.started_at >= since for one in during], "began before the stage did", notes)
    share = next((one.percent for one in reversed(during) if one.arm == "treatment"), None)
    same = [share is None or abs(one.percent - share) <= SAME_SHARE for one in during]
    during = _kept(during, same, "had another share of users in the treatment", notes)
    arms = {
        arm: _without_overlaps([one for one in [*during, *baseline] if one.arm == arm], notes)
        for arm in ("treatment", "control", "baseline")
    }
    return _looks(arms["treatment"], arms["control"], arms["baseline"], thresholds, tuple(notes))


def choose_reference(control: Counts, baseline: Counts | None, thresholds: Thresholds) -> tuple[Counts, Bools]:
    """Return what the treatment is compared with (S), and where that is the stored baseline.

    The control of the same days wins wherever it has the fewest queries asked for: whatever else happens on those days
    happens to it too.
    """
    if baseline is None:
        return control, np.zeros(control.n_queries.shape, np.bool_)
    use_baseline = control.n_queries < thresholds.min_queries
    return baseline.where(use_baseline, control), use_baseline


def pool(observations: Sequence[Observation]) -> Counts:
    """Return everything that `observations` of one arm counted together, shape ()."""
    whole = np.array([0]), np.array([len(observations)])
    pooled = _pooled(_columns(observations), *whole)
    return Counts(**{name: value[0] for name, value in vars(pooled).items()})


def _kept(observations: Sequence[Observation], keep: Sequence[bool], why: str, notes: list[str]) -> list[Observation]:
    n_left_out = len(keep) - sum(keep)
    if n_left_out:
        notes.append(_left_out(n_left_out, why))
    return [one for one, stays in zip(observations, keep, strict=True) if stays]


def _without_overlaps(observations: Sequence[Observation], notes: list[str]) -> list[Observation]:
    kept: list[Observation] = []
    for one in observations:
        if not kept or one.started_at >= kept[-1].ended_at:
            kept.append(one)
    if len(kept) < len(observations):
        notes.append(_left_out(len(observations) - len(kept), f"overlapped an earlier one of {observations[0].arm}"))
    return kept


def _left_out(n: int, why: str) -> str:
    return f"{n:,} {'window' if n == 1 else 'windows'} left out that {why}."


def _looks(
    treatment: Sequence[Observation],
    control: Sequence[Observation],
    baseline: Sequence[Observation],
    thresholds: Thresholds,
    notes: tuple[str, ...],
) -> Looks:
    starts, ends = _seconds([one.started_at for one in treatment]), _seconds([one.ended_at for one in treatment])
    stop = np.arange(1, len(treatment) + 1)
    # A latest window holds its newest observation whole, also on the 25 hours of the day when clocks go back.
    first = np.minimum(np.searchsorted(starts, ends - 3600 * thresholds.latest_hours), stop - 1)
    first = np.stack([np.zeros_like(first), first])
    stop = np.stack([stop, stop])
    control_starts = _seconds([one.started_at for one in control])
    control_ends = _seconds([one.ended_at for one in control])
    control_first = np.searchsorted(control_starts, starts[first]) if len(treatment) else first
    control_first[STAGE] = 0
    control_stop = np.searchsorted(control_ends, ends[stop - 1], side="right") if len(treatment) else stop
    beside = _pooled(_columns(control), control_first, np.maximum(control_stop, control_first))
    reference, is_stored = choose_reference(beside, _spread(baseline, first.shape), thresholds)
    return Looks(
        starts=(
            tuple(treatment[at].started_at for at in first[STAGE]),
            tuple(treatment[at].started_at for at in first[LATEST]),
        ),
        ends=tuple(one.ended_at for one in treatment),
        percent=treatment[-1].percent if treatment else 0.0,
        treatment=_pooled(_columns(treatment), first, stop),
        reference=reference,
        is_stored=is_stored,
        notes=notes,
    )


def _spread(baseline: Sequence[Observation], shape: tuple[int, ...]) -> Counts | None:
    if not baseline:
        return None
    return pool(baseline).broadcast_to(shape)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Columns:
    """The observations of one arm in order of time, a float array (n) for each of their numbers; NaN for None."""

    days: Floats
    n_users: Floats
    n_queries: Floats
    n_clicks: Floats
    n_errors: Floats
    log_p99: Floats
    log_p99_se: Floats


def _columns(observations: Sequence[Observation]) -> _Columns:
    def column(name: str) -> Floats:
        return np.array([getattr(one, name) for one in observations], dtype=np.float64)  # None becomes NaN

    n_queries, p99 = column("n_queries"), column("p99_ms")
    return _Columns(
        days=np.array([(one.ended_at - one.started_at) / timedelta(days=1) for one in observations], np.float64),
        n_users=column("n_users"),
        n_queries=n_queries,
        n_clicks=column("n_clicks"),
        n_errors=column("n_errors"),
        log_p99=np.log(p99),
        log_p99_se=p99_standard_error(n_queries, column("p99_low_ms"), column("p99_high_ms")),
    )


def _pooled(columns: _Columns, first: Indices, stop: Indices) -> Counts:
    """Pool the observations ``first:stop`` for every pair of indices, of any shape.

    The p99 of a longer window cannot be had from those of its parts; in its place stands their geometric mean weighted
    by queries, the p99 of a typical part.
    """
    weight = np.where(np.isnan(columns.log_p99) | ~np.isfinite(columns.log_p99_se), 0.0, columns.n_queries)
    log_p99, error = np.nan_to_num(columns.log_p99), np.where(weight > 0, columns.log_p99_se, 0.0)
    total_weight = _sums(weight, first, stop)
    total = np.where(total_weight > 0, total_weight, np.nan)
    return Counts(
        n_users=_most(columns.n_users, first, stop),
        n_queries=_sums(columns.n_queries, first, stop),
        n_clicks=_sums(np.nan_to_num(columns.n_clicks), first, stop),
        n_click_queries=_sums(np.where(np.isnan(columns.n_clicks), 0.0, columns.n_queries), first, stop),
        n_errors=_sums(np.nan_to_num(columns.n_errors), first, stop),
        n_error_queries=_sums(np.where(np.isnan(columns.n_errors), 0.0, columns.n_queries), first, stop),
        log_p99=_sums(weight * log_p99, first, stop) / total,
        log_p99_se=np.sqrt(np.maximum(_sums((weight * error) ** 2, first, stop), 0)) / total,
        days=_sums(columns.days, first, stop),
    )


def _sums(values: Floats, first: Indices, stop: Indices) -> Floats:
    running = np.concatenate([[0.0], np.cumsum(values)])
    total: Floats = running[stop] - running[first]
    return total


def _most(values: Floats, first: Indices, stop: Indices) -> Floats:
    """Return the greatest of ``values[first:stop]``, 0 for none: users come back, so counts of days do not add up."""
    with_end = np.append(values, 0.0)
    pairs = np.stack([first, stop], axis=-1).ravel()
    greatest = np.maximum.reduceat(with_end, pairs)[::2].reshape(first.shape) if len(pairs) else first * 0.0
    return np.where(stop > first, greatest, 0.0)


def _seconds(moments: Sequence[datetime]) -> Floats:
    return np.array([moment.timestamp() for moment in moments], dtype=np.float64)
