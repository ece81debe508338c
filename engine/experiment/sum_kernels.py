"""Compiled passes over the rows of an experiment; every one looks at a row once and keeps a small record a user.

A pass reads one arm, so that two threads can run side by side: after users of both arms are left out, no record belongs
to both. Rows that a pass does not want are skipped by a branch, which costs little beside fetching a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel

MOST_METRICS = 4
"""Metrics that a record has room for."""

# A user's record: queries, events of each metric, then the day it was last seen on and the same counts of that day.
_STAMP = 1 + MOST_METRICS
_TODAY = _STAMP + 1
_WIDTH = _TODAY + 1 + MOST_METRICS

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_inlined = numba.njit(nogil=True, error_model="numpy", inline="always")


def new_records(left_out: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return a record for each user, marked for those in `left_out` (U,)."""
    records = np.zeros((len(left_out), _WIDTH), np.int32)
    records[left_out, 0] = -1
    return records


@_jit
def mark_seen(user: Array, arm: Array, start: int, stop: int, seen: Array) -> None:
    """Set bit a of ``seen[u]`` for every row start..stop of user u in arm a."""
    for i in range(start, stop):
        seen[user[i]] |= np.uint8(1) << arm[i]


@_jit
def count_segments(segment: Array, counts: Array) -> None:
    """Add the rows of each segment to `counts`; rows with a negative one have none."""
    for i in range(segment.shape[0]):
        if segment[i] >= 0:
            counts[segment[i]] += 1


@_jit
def add_day(
    user: Array,
    arm: Array,
    bits: Array,
    wanted: int,
    n_metrics: int,
    stamp: int,
    records: Array,
    running: Array,
    today: Array,
) -> None:
    """Add n rows of one day, those of the arm `wanted`, to the sums.

    Bit k of ``bits[i]`` says whether the event of metric k happened in row i. `running` and `today` are int64 columns
    as in `engine.experiment.user_sums`: the sums over the stage so far, which are brought up to date, and those of the
    day, which start at zero. `stamp` differs from day to day and is never 0.
    """
    n_users: Scalar = 0
    n_queries: Scalar = 0
    squares: Scalar = 0
    n_active: Scalar = 0
    squares_today: Scalar = 0
    for i in range(user.shape[0]):
        if arm[i] != wanted:
            continue
        record = records[user[i]]
        queries = np.int64(record[0])
        if queries < 0:
            continue
        n_users += queries == 0
        n_queries += 1
        squares += 2 * queries + 1
        record[0] = queries + 1
        if record[_STAMP] != stamp:
            record[_STAMP] = stamp
            for column in range(_TODAY, _WIDTH):
                record[column] = 0
            n_active += 1
        so_far = np.int64(record[_TODAY])
        squares_today += 2 * so_far + 1
        record[_TODAY] = so_far + 1
        for k in range(n_metrics):  # (x + 1)·y grows by y whatever happened
            running[5 + 3 * k] += record[1 + k]
            today[5 + 3 * k] += record[_TODAY + 1 + k]
        if bits[i]:
            for k in range(n_metrics):
                if (bits[i] >> k) & 1:
                    record[1 + k] += _add_event(record[1 + k], queries, running, 3 + 3 * k)
                    record[_TODAY + 1 + k] += _add_event(record[_TODAY + 1 + k], so_far, today, 3 + 3 * k)
    running[0] += n_users
    running[1] += n_queries
    running[2] += squares
    today[0] += n_active
    today[1] += n_queries
    today[2] += squares_today


@_jit
def add_pairs(
    user: Array,
    arm: Array,
    place: Array,
    segment: Array,
    bits: Array,
    wanted: int,
    n_metrics: int,
    left_out: Array,
    records: Array,
    sums: Array,
) -> None:
    """Add n rows, those of the arm `wanted`, to `sums` (segments, columns), each (user, segment) pair a unit.

    ``place[s + 1]`` is the place of segment s in `sums`, -1 where it is not wanted. `records` starts at zero, int32 (U,
    segments, 1 + metrics).
    """
    for i in range(user.shape[0]):
        at = place[segment[i] + 1]
        if at < 0 or arm[i] != wanted or left_out[user[i]]:
            continue
        record, columns = records[user[i], at], sums[at]
        queries = np.int64(record[0])
        columns[0] += queries == 0
        columns[1] += 1
        columns[2] += 2 * queries + 1
        record[0] = queries + 1
        for k in range(n_metrics):
            columns[5 + 3 * k] += record[1 + k]
        if bits[i]:
            for k in range(n_metrics):
                if (bits[i] >> k) & 1:
                    record[1 + k] += _add_event(record[1 + k], queries, columns, 3 + 3 * k)


@_inlined
def _add_event(so_far: Scalar, queries: Scalar, columns: Array, column: Scalar) -> Scalar:
    """Add the next event of a user with `so_far` of them, in its query number `queries` + 1, to y, y² and x·y."""
    columns[column] += 1
    columns[column + 1] += 2 * np.int64(so_far) + 1
    columns[column + 2] += queries + 1
    return 1


@_jit
def take_arm(
    user: Array, arm: Array, values: Array, wanted: int, left_out: Array, users_taken: Array, values_taken: Array
) -> int:
    """Copy the users and values of the arm `wanted`, without NaN and those `left_out`; return how many there are.

    The copies need room for one more: every row is written, and only a wanted one is stepped over, which spares the
    processor a guess a row.
    """
    n = 0
    for i in range(user.shape[0]):
        users_taken[n] = user[i]
        values_taken[n] = values[i]
        n += (arm[i] == wanted) & (values[i] == values[i]) & (not left_out[user[i]])
    return n
