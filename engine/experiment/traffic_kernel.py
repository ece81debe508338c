"""Compiled kernels of the simulation: who asks what, and what comes of it, drawn row by row.

Every block of rows has a random stream of its own, seeded by its day and number, so that events do not depend on how
many threads draw them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel

BLOCK_ROWS = 1 << 16

BUCKET, INCLINATION, SLOWNESS, FLIPS = range(4)
"""Columns of a user's traits: bucket of the assignment, inclination to click (mean 1), standard normal of latency, and
whether the arm changes from query to query. They share a cache line, since users are drawn at random."""

NORMALS_BITS = 16
"""Standard normals are read from a table of as many equally likely values as these bits count."""

LATENCY_NODES = 4097
LATENCY_REACH = 4.5
"""Latency is a table over standard normals from minus to plus this, interpolated."""

_GROUP = 256  # rows whose users and queries are drawn ahead

_u = np.uint64
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_LOW_32 = np.uint64(0xFFFFFFFF)
_TWO_32 = 4294967296.0

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_inlined = numba.njit(nogil=True, error_model="numpy", inline="always")


@_inlined
def _mix(z: Scalar) -> Scalar:
    """Return the output function of splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number …")."""
    z = (z ^ (z >> _u(30))) * _u(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _u(27))) * _u(0x94D049BB133111EB)
    return z ^ (z >> _u(31))


@_jit
def alias_table(weights: Array) -> Array:
    """Return Walker's alias table of `weights` (n,): index and 32-bit threshold of each cell in one uint64 (n,).

    Walker 1977 in the O(n) construction of Vose 1991; weights are at least 0 and sum to more than 0.
    """
    n = weights.shape[0]
    scaled = weights * (n / weights.sum())
    waiting = np.empty(n, np.int64)
    n_small, n_large = 0, 0  # small cells wait from the front, large ones from the back
    for i in range(n):
        if scaled[i] < 1.0:
            waiting[n_small] = i
            n_small += 1
        else:
            n_large += 1
            waiting[n - n_large] = i
    table = np.empty(n, np.uint64)
    while n_small > 0 and n_large > 0:
        n_small -= 1
        small, large = waiting[n_small], waiting[n - n_large]
        table[small] = (_u(large) << _u(32)) | _u(scaled[small] * (_TWO_32 - 1))
        scaled[large] -= 1.0 - scaled[small]
        if scaled[large] < 1.0:
            n_large -= 1
            waiting[n_small] = large
            n_small += 1
    for j in range(n_small):
        table[waiting[j]] = (_u(waiting[j]) << _u(32)) | _LOW_32
    for j in range(n_large):
        table[waiting[n - 1 - j]] = (_u(waiting[n - 1 - j]) << _u(32)) | _LOW_32
    return table


@_inlined
def _pick(table: Array, bits: Scalar) -> Scalar:
    """Return an index drawn from an alias table with 64 random bits: the high half chooses the cell."""
    cell = ((bits >> _u(32)) * _u(table.shape[0])) >> _u(32)
    entry = table[cell]
    other = entry >> _u(32)
    keeps = _u((bits & _LOW_32) < (entry & _LOW_32))
    return other ^ ((cell ^ other) & (_u(0) - keeps))  # no branch: it would be mispredicted every other time


@_inlined
def _latency(table: Array, normal: Scalar) -> Scalar:
    place = (normal + LATENCY_REACH) * ((LATENCY_NODES - 1) / (2 * LATENCY_REACH))
    place = min(max(place, 0.0), LATENCY_NODES - 1.0001)
    node = int(place)
    return table[node] + (table[node + 1] - table[node]) * (place - node)


@_jit
def draw_rows(
    seed: Scalar,
    start: Scalar,
    stop: Scalar,
    day: Scalar,
    block: Scalar,
    treatment_below: Scalar,
    users: Array,
    traits: Array,
    queries: Array,
    click_rates: Array,
    rates: Array,
    normals: Array,
    latencies: Array,
    between: Scalar,
    user: Array,
    arm: Array,
    days: Array,
    clicked: Array,
    converted: Array,
    error: Array,
    latency_ms: Array,
    query: Array,
) -> None:
    """Draw rows `start` to `stop`, the `block` of a `day`, into the output columns; `query` only where it has rows.

    `users` and `queries` are alias tables, `traits` (U, 4) those of the users; a user is in the treatment when the
    bucket lies below `treatment_below`. `click_rates` (2, Q) are those of arms and queries, `rates` (4, 2) the day's
    click factor, conversions of a click, error rate and latency factor of each arm. `normals` and `latencies`
    (2, nodes) are tables; `between` is the share of the variance of latency between users.
    """
    state = _mix(_mix(_mix(_u(seed) + _GAMMA) + _GAMMA * _u(1 + day)) + _GAMMA * _u(1 + block))
    own, drawn = np.sqrt(between), np.sqrt(1.0 - between)
    keeps_query = query.shape[0] > 0
    drawn_users, drawn_queries = np.empty(_GROUP, np.uint64), np.empty(_GROUP, np.uint64)
    for group in range(start, stop, _GROUP):
        n = min(_GROUP, stop - group)
        # The tables are larger than the cache: entries of independent draws, side by side, arrive sooner.
        for i in range(n):
            drawn_users[_u(i)] = _pick(users, _mix(state + _u(4 * i + 1) * _GAMMA))
            drawn_queries[_u(i)] = _pick(queries, _mix(state + _u(4 * i + 2) * _GAMMA))
        for i in range(n):
            row, who, what = _u(group + i), drawn_users[_u(i)], drawn_queries[_u(i)]
            first, second = _mix(state + _u(4 * i + 3) * _GAMMA), _mix(state + _u(4 * i + 4) * _GAMMA)
            side = _u(traits[who, BUCKET] < treatment_below) ^ (_u(traits[who, FLIPS] > 0) & second & _u(1))
            fails = ((second >> _u(32)) / _TWO_32) < rates[2, side]
            rate = click_rates[side, what] * traits[who, INCLINATION] * rates[0, side]
            clicks = (((first & _LOW_32) / _TWO_32) < rate) & (not fails)
            normal = own * traits[who, SLOWNESS] + drawn * normals[(second >> _u(8)) & _u((1 << NORMALS_BITS) - 1)]
            user[row] = who
            arm[row] = side
            days[row] = day
            clicked[row] = clicks
            converted[row] = clicks & (((first >> _u(32)) / _TWO_32) < rates[1, side])
            error[row] = fails
            latency_ms[row] = _latency(latencies[side], normal) * rates[3, side]
            if keeps_query:
                query[row] = what
        state += _u(4 * _GROUP) * _GAMMA
