"""Compiled exact search of one query at a time: products and selection in one call, for which no thread waits.

A single query is bound by reading the vectors, not by arithmetic, so a plain loop over four rows at once is as fast as
BLAS (measured: faster where the rows are prefixes of longer ones). It needs no limit on BLAS threads, and other Python
threads run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from engine.scoring import selection

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

TILE_ROWS = 1024
"""Rows scored before selection looks at them; `scale` and `shift` are padded to whole tiles."""

_u = np.uint64
_ZERO = np.float32(0)
_ROWS_AT_ONCE = 4

_select, _finish = selection.select, selection.finish
_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})


@_jit
def _products(rows: Array, start: int, stop: int, query: Array, dim: int, sums: Array) -> None:
    i = start
    while i + _ROWS_AT_ONCE <= stop:
        first, second, third, fourth = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        a, b, c, d = _ZERO, _ZERO, _ZERO, _ZERO
        for j in range(dim):
            value = query[_u(j)]
            a += first[_u(j)] * value
            b += second[_u(j)] * value
            c += third[_u(j)] * value
            d += fourth[_u(j)] * value
        place = i - start
        sums[place], sums[place + 1], sums[place + 2], sums[place + 3] = a, b, c, d
        i += _ROWS_AT_ONCE
    while i < stop:
        row, total = rows[i], _ZERO
        for j in range(dim):
            total += row[_u(j)] * query[_u(j)]
        sums[i - start] = total
        i += 1


@_jit
def scan_each(
    rows: Array,
    queries: Array,
    dim: int,
    scale: Array,
    shift: Array,
    exclude: Array,
    room: int,
    ids: Array,
    scores: Array,
) -> None:
    """Write the top k of each of `queries` (q, D) among `rows` (n, D) by their first `dim` components.

    `scale` and `shift` (n, padded to whole tiles) are the ranking terms; `exclude` (q,) bars a row or is -1; `room` is
    ``capacity(k)``. `ids` int64 and `scores` float32 (ranking scores) are (q, k), best first, lower row first among
    equals; at least k rows must be left for every query.
    """
    k = ids.shape[1]
    sums = np.zeros((1, TILE_ROWS), np.float32)
    kept_scores, unused = np.empty((1, room), np.float32), np.empty((1, room), np.float32)
    kept_ids = np.empty((1, room), np.int64)
    counts, thresholds = np.zeros(1, np.int64), np.empty(1, np.float32)
    for q in range(queries.shape[0]):
        counts[0] = 0
        thresholds[0] = -np.inf
        for start in range(0, rows.shape[0], TILE_ROWS):
            stop = min(start + TILE_ROWS, rows.shape[0])
            # Columns beyond the last row keep older products; their shift of -inf drops them.
            _products(rows, start, stop, queries[q], dim, sums[0])
            columns = slice(start, start + TILE_ROWS)
            _select(
                sums,
                start,
                scale[columns],
                shift[columns],
                exclude[q : q + 1],
                k,
                kept_scores,
                kept_ids,
                unused,
                counts,
                thresholds,
            )
        _finish(k, kept_scores, kept_ids, unused, counts)
        # Stable, so that equal scores keep the row order of the buffer.
        order = np.argsort(-kept_scores[0, :k], kind="mergesort")
        for j in range(k):
            ids[q, j] = kept_ids[0, order[j]]
            scores[q, j] = kept_scores[0, order[j]]
