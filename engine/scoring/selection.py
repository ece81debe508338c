"""Compiled kernels of the nested sweep: prefix norms, and the selection of candidates from a tile of scores.

Selection keeps, for each query, a buffer of candidates in row order and a threshold that k of them reach. A tile is
compared with the threshold 32 scores at a time, into a bit mask; only where it is not empty are its bits walked. A full
buffer is cut back to its k best by bisecting on the value until exactly k exceed it: a dozen vectorized counts instead
of a partial sort.

The loops look naive on purpose. LLVM turns them into vector instructions, for which three things matter: counts are
float32 sums (numba widens small integers to 64 bits, which halves the lanes), those sums may be reassociated (they are
exact: whole numbers below 2^24), and indices are unsigned (no check for negative ones).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from engine.scoring.vector_ops import GROUP, lowest_bit, mask_above

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel; NumPy's own scalar types would only get in the way

LOWEST = np.float32(np.finfo(np.float32).min)
"""Stands for a score that does not exist (a zero vector has no cosine): below every real one, above -inf."""

_u = np.uint64
_ONE = np.float32(1)
_ZERO = np.float32(0)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
# A call would count the references of every array it passes, which costs more than the work.
_inlined = numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"}, inline="always")
_jit_no_nans = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "nnan", "nsz"})


def capacity(k: int) -> int:
    """Return how many candidates a query's buffer must hold for `k` results."""
    return k + max(k, 4 * GROUP)


@_jit
def add_segment_norms(rows: Array, start: int, stop: int, squares: Array) -> None:
    """Add the squared norms of components start..stop of float32 `rows` (n, d) to `squares` (n,)."""
    for i in range(rows.shape[0]):
        segment = rows[i, start:stop]
        total = _ZERO
        for j in range(segment.shape[0]):
            total += segment[j] * segment[j]
        squares[i] += total


@_inlined
def _count_above(values: Array, n: int, threshold: Scalar) -> Scalar:
    total = _ZERO
    for i in range(n):
        total += _ONE if values[_u(i)] > threshold else _ZERO
    return np.int64(total)


@_jit
def _key(value: Scalar, scratch: Array) -> Scalar:
    # Floats ordered as integers: bisection over bits ends after at most 32 steps whatever the values are.
    scratch[0] = value
    bits = np.int64(scratch.view(np.int32)[0])
    return bits if bits >= 0 else np.int64(-0x80000000) - bits


@_jit
def _value(key: Scalar, scratch: Array) -> Scalar:
    bits = key if key >= 0 else np.int64(-0x80000000) - key
    scratch.view(np.int32)[0] = np.int32(bits)
    return scratch[0]


@_jit_no_nans
def _range(values: Array, n: int) -> tuple[Scalar, Scalar]:
    lowest, highest = values[0], values[0]
    for i in range(n):
        lowest = min(lowest, values[_u(i)])
        highest = max(highest, values[_u(i)])
    return lowest, highest


@_jit
def _edge(scores: Array, count: int, k: int) -> tuple[Scalar, Scalar]:
    """Return a value that at most k of `count` scores exceed, and how many equal to it complete the k best."""
    scratch = np.empty(1, np.float32)
    lowest, highest = _range(scores, count)
    low, high = _key(lowest, scratch), _key(highest, scratch)
    while low < high:
        middle = low + (high - low) // 2
        edge = _value(middle, scratch)
        above = _count_above(scores, count, edge)
        if above == k:
            return edge, 0  # separates the k best from the rest; the exact k-th value is not needed
        if above > k:
            low = middle + 1
        else:
            high = middle
    edge = _value(low, scratch)
    return edge, k - _count_above(scores, count, edge)


@_jit
def _cut_back(scores: Array, ids: Array, full: Array, count: int, k: int) -> Scalar:
    """Keep the k best of `count` >= k candidates in place, in row order, lower rows first among equals.

    Returns a threshold that only a better candidate than the worst one kept, or a few needless ones, exceed.
    """
    edge, equal_left = _edge(scores, count, k)
    kept: Scalar = 0
    for i in range(count):
        score = scores[_u(i)]
        # Write always and advance only past a keeper: half the branches would be mispredicted.
        scores[_u(kept)] = score
        ids[_u(kept)] = ids[_u(i)]
        full[_u(kept)] = full[_u(i)]
        tie = np.int64(score == edge) & np.int64(equal_left > 0)
        equal_left -= tie
        kept += np.int64(score > edge) | tie
    return edge


@_jit
def select(
    sums: Array,
    first_row: int,
    scale: Array,
    shift: Array,
    exclude: Array,
    k: int,
    scores: Array,
    ids: Array,
    full: Array,
    counts: Array,
    thresholds: Array,
) -> None:
    """Add the candidates of one tile at one dimension.

    The score of query r and column c, which stands for corpus row ``first_row + c``, is
    ``sums[r, c] * scale[c] + shift[c]``; columns beyond the corpus have a shift of -inf. `exclude` (q,) is the corpus
    row a query may not retrieve, or -1. Buffers `scores`, `ids`, `full` are (q, `capacity(k)`); `counts` and
    `thresholds` are (q,).
    """
    room = scores.shape[1] - GROUP
    for r in range(sums.shape[0]):
        threshold = thresholds[r]
        count = counts[r]
        barred = exclude[r] - first_row
        row, row_scores, row_ids = sums[r], scores[r], ids[r]
        for start in range(0, sums.shape[1], GROUP):
            mask = mask_above(row, scale, shift, start, threshold)
            if mask == 0:
                continue
            if count > room:
                threshold = max(threshold, _cut_back(row_scores, row_ids, full[r], count, k))
                count = k
                mask = mask_above(row, scale, shift, start, threshold)
            while mask != 0:
                column = start + lowest_bit(mask)
                mask &= mask - 1
                row_scores[_u(count)] = row[_u(column)] * scale[_u(column)] + shift[_u(column)]
                row_ids[_u(count)] = first_row + column
                count += np.int64(column != barred)
        thresholds[r] = threshold
        counts[r] = count


@_jit
def fill_full(sums: Array, first_row: int, scale: Array, shift: Array, ids: Array, full: Array, counts: Array) -> None:
    """Write the full-dimension score beside every candidate of the tile that starts at `first_row`.

    Buffers are in row order, so the tile's candidates are the last ones.
    """
    for r in range(sums.shape[0]):
        i = counts[r] - 1
        while i >= 0 and ids[r, i] >= first_row:
            column = ids[r, i] - first_row
            full[r, i] = sums[r, column] * scale[column] + shift[column]
            i -= 1


@_jit
def finish(k: int, scores: Array, ids: Array, full: Array, counts: Array) -> None:
    """Cut every buffer back to its k best, in row order."""
    for r in range(scores.shape[0]):
        if counts[r] > k:
            _cut_back(scores[r], ids[r], full[r], counts[r], k)
            counts[r] = k
