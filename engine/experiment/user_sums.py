"""What a by-user analysis is made of: sums over users of their queries, events, squares and products.

A user's queries are spread over days, so the square of a user's count is only known once the last one came. It is kept
up to date instead: when a count goes from c to c + 1 its square grows by 2c + 1. So one pass over the rows, which are
ordered by day, gives the sums as they stood at the end of every day, and those of every day alone.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.settings import METRICS
from engine.progress import ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.experiment.events import Events
    from engine.experiment.settings import Metric
    from engine.progress import Cancelled, Progress

    Counts = npt.NDArray[np.int64]

USERS, QUERIES, SQUARES, FIRST_METRIC, PER_METRIC = 0, 1, 2, 3, 3
"""Columns of sums: users, their queries x, x², then for each metric its events y, y² and x·y."""

MAX_SEGMENTS = 50
"""Segments beyond these, by number of queries, are not analysed one by one."""

_PAIR_BYTES = 256 << 20  # memory for the counts of (user, segment) pairs at once; more segments take more passes
_COLUMNS: dict[Metric, str] = {
    "ctr": "clicked",
    "conversion": "converted",
    "error_rate": "error",
    "no_results": "no_results",
}
_BOTH = 0b11  # seen in the control and in the treatment


@dataclass(frozen=True, eq=False, kw_only=True)
class UserSums:
    """Sums over the users of one stage, int64; arms are ordered control, treatment; columns as `FIRST_METRIC` says.

    `cumulative` (days, arms, columns) as of the end of each day, `daily` of each day alone, `segments` (segments, arms,
    columns) of each segment. `seen_users` (arms,) counts users of one arm only, also those without a query. `both_arms`
    (U,) marks those who saw both arms in this stage and are in no other number; `n_seen` counts users of any kind.
    `heaviest` (arms,) are the users with the most queries, `most_queries` (arms,) how many.
    """

    metrics: tuple[Metric, ...]
    first_day: int
    cumulative: Counts
    daily: Counts
    seen_users: Counts
    both_arms: npt.NDArray[np.bool_]
    n_seen: int
    heaviest: Counts
    most_queries: Counts
    segments: Counts

    @property
    def new_users(self) -> Counts:
        """Users whose first query of the stage came on each day, (days, arms)."""
        return np.diff(self.cumulative[:, :, USERS], axis=0, prepend=0)

    @property
    def total(self) -> Counts:
        """The sums at the end of the stage, (arms, columns)."""
        total: Counts = self.cumulative[-1]
        return total


@dataclass(frozen=True, eq=False, kw_only=True)
class _Stretch:
    """The rows of one stage: `starts` are the first row of each of its days and the end; `both_arms` is left out."""

    events: Events
    starts: npt.NDArray[np.int64]
    both_arms: npt.NDArray[np.bool_]
    metrics: tuple[Metric, ...]
    pool: ThreadPoolExecutor
    cancelled: Cancelled

    @property
    def n_columns(self) -> int:
        """Columns of sums."""
        return FIRST_METRIC + PER_METRIC * len(self.metrics)

    def blocks(self) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
        """Yield the rows of every day, and of each row what happened in it: bit k for metric k."""
        columns = [column_of(self.events, metric) for metric in self.metrics]
        for start, stop in itertools.pairwise(self.starts.tolist()):
            bits = np.zeros(stop - start, np.uint8)
            for k, column in enumerate(columns):
                bits |= np.left_shift(column[start:stop].view(np.uint8), k)
            yield slice(start, stop), bits


def metrics_of(events: Events) -> tuple[Metric, ...]:
    """Return the metrics that `events` hold a column for."""
    return tuple(metric for metric in METRICS if getattr(events, _COLUMNS[metric]) is not None)


def column_of(events: Events, metric: Metric) -> npt.NDArray[np.bool_]:
    """Return the column that `metric` counts, which the events must hold."""
    return np.asarray(getattr(events, _COLUMNS[metric]), np.bool_)


def analysed_segments(events: Events) -> npt.NDArray[np.int64]:
    """Return the segments that are analysed, by falling number of queries, at most `MAX_SEGMENTS`."""
    from engine.experiment.sum_kernels import count_segments

    if events.segment is None:
        return np.zeros(0, np.int64)
    counts = np.zeros(len(events.segments), np.int64)
    count_segments(events.segment, counts)
    order = np.argsort(-counts, kind="stable")
    chosen: npt.NDArray[np.int64] = order[counts[order] > 0][:MAX_SEGMENTS].astype(np.int64)
    return chosen


def sum_by_user(
    events: Events,
    *,
    first_day: int = 0,
    last_day: int | None = None,
    segments: npt.NDArray[np.int64] | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> UserSums:
    """Sum the rows of the days `first_day` to `last_day`, both counted, by user, and by user within `segments` (S,).

    The arms are summed side by side on two threads. Needs 48 bytes a user, and at most 256 MiB more for segments.

    Raises
    ------
    CancelledError
        When `cancelled` says so.
    """
    last = events.n_days - 1 if last_day is None else last_day
    starts = events.day_starts()[first_day : last + 2]
    seen = _seen(events, starts, first_day, last)
    metrics = metrics_of(events)
    with ThreadPoolExecutor(len(events.arms)) as pool:
        stretch = _Stretch(
            events=events,
            starts=starts,
            both_arms=seen == _BOTH,
            metrics=metrics,
            pool=pool,
            cancelled=cancelled,
        )
        cumulative, daily, records = _by_day(stretch, progress=progress)
        heaviest, most_queries = _heaviest(records[:, 0], seen)
        del records
        by_segment = _by_segment(stretch, np.zeros(0, np.int64) if segments is None else segments)
    return UserSums(
        metrics=metrics,
        first_day=first_day,
        cumulative=cumulative,
        daily=daily,
        seen_users=np.array([np.count_nonzero(seen == 1), np.count_nonzero(seen == 2)], np.int64),
        both_arms=stretch.both_arms,
        n_seen=int(np.count_nonzero(seen)),
        heaviest=heaviest,
        most_queries=most_queries,
        segments=by_segment,
    )


def _seen(events: Events, starts: npt.NDArray[np.int64], first_day: int, last_day: int) -> npt.NDArray[np.uint8]:
    """Return in which arms every user was seen, as bits: 1 the control, 2 the treatment."""
    from engine.experiment.sum_kernels import mark_seen

    seen = np.zeros(events.n_users, np.uint8)
    mark_seen(events.user, events.arm, int(starts[0]), int(starts[-1]), seen)
    if events.exposures is not None:
        shown = events.exposures
        # Whoever was exposed before the first query of all, or after the last, belongs to the stage at that end.
        after = shown.day >= first_day if first_day > 0 else np.ones(len(shown.day), np.bool_)
        within = after & (shown.day <= last_day) if last_day < events.n_days - 1 else after
        user, arm = shown.user[within], shown.arm[within]
        mark_seen(user, arm, 0, len(user), seen)
    return seen


def _by_day(stretch: _Stretch, *, progress: Progress) -> tuple[Counts, Counts, npt.NDArray[np.int32]]:
    from engine.experiment.sum_kernels import add_day, new_records

    events, n_metrics = stretch.events, len(stretch.metrics)
    n_days, n_arms = len(stretch.starts) - 1, len(events.arms)
    cumulative, daily = (np.zeros((n_days, n_arms, stretch.n_columns), np.int64) for _ in range(2))
    records = new_records(stretch.both_arms)
    for day, (rows, bits) in enumerate(stretch.blocks()):
        stop_if(stretch.cancelled)
        progress(day / n_days, "summing by user")
        if day:
            cumulative[day] = cumulative[day - 1]

        def add(arm: int) -> None:
            shown = (events.user[rows], events.arm[rows], bits)  # noqa: B023 -- done before the next day begins
            sums = (cumulative[day, arm], daily[day, arm])  # noqa: B023
            add_day(*shown, arm, n_metrics, day + 1, records, *sums)  # noqa: B023

        list(stretch.pool.map(add, range(n_arms)))
    return cumulative, daily, records


def _heaviest(queries: npt.NDArray[np.int32], seen: npt.NDArray[np.uint8]) -> tuple[Counts, Counts]:
    """Return the user with the most queries in each arm, and how many those are; 0 and 0 in an empty arm."""
    heaviest, most = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for arm, bit in enumerate((1, 2)):
        own = np.where(seen == bit, queries, 0)
        if len(own):
            heaviest[arm] = np.argmax(own)
            most[arm] = own[heaviest[arm]]
    return heaviest, most


def _by_segment(stretch: _Stretch, segments: npt.NDArray[np.int64]) -> Counts:
    events, n_arms = stretch.events, len(stretch.events.arms)
    sums = np.zeros((n_arms, len(segments), stretch.n_columns), np.int64)
    if events.segment is None or not len(segments):
        return sums.swapaxes(0, 1)
    pair_bytes = 4 * (1 + len(stretch.metrics)) * max(1, events.n_users)
    at_once = max(1, _PAIR_BYTES // pair_bytes)
    for start in range(0, len(segments), at_once):
        _add_segments(stretch, segments[start : start + at_once], sums[:, start : start + at_once])
    return sums.swapaxes(0, 1)


def _add_segments(stretch: _Stretch, segments: npt.NDArray[np.int64], sums: Counts) -> None:
    from engine.experiment.sum_kernels import add_pairs

    events, n_metrics = stretch.events, len(stretch.metrics)
    segment = np.asarray(events.segment)
    place = np.full(len(events.segments) + 1, -1, np.int64)
    place[segments + 1] = np.arange(len(segments))
    records = np.zeros((events.n_users, len(segments), 1 + n_metrics), np.int32)
    for rows, bits in stretch.blocks():
        stop_if(stretch.cancelled)

        def add(arm: int) -> None:
            shown = (events.user[rows], events.arm[rows], place, segment[rows], bits)  # noqa: B023 -- as above
            add_pairs(*shown, arm, n_metrics, stretch.both_arms, records, sums[arm])

        list(stretch.pool.map(add, range(len(events.arms))))
