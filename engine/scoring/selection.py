"""Compiled kernels of the nested sweep: prefix norms, and the selection of candidates from a tile of scores.

Selection keeps, for each query, a buffer of candidates in row order and a threshold that k of them reach. A tile is
compared with the threshold 32 scores at a time; only where one passes are the bits of two masks walked. A full buffer
is cut back to its k best by bisecting on the value until exactly k exceed it: a dozen vectorized counts instead of a
partial sort.

The loops look naive on purpose. LLVM turns them into vector instructions, for which three things matter: counts and
masks are float32 sums (numba widens small integers to 64 bits, which halves the lanes), those sums may be reassociated
(they are exact: integers below 2^24), and indices are unsigned (no check for negative ones).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel; NumPy's own scalar types would only get in the way

GROUP = 32
"""Scores compared at once; a tile's width is a multiple of it."""

LOWEST = np.float32(np.finfo(np.float32).min)
"""Stands for a score that does not exist (a zero vector has no cosine): below every real one, above -inf."""

_MASK_BITS = 16
_POWERS = (2.0 ** np.arange(_MASK_BITS)).astype(np.float32)
# Multiplying a single bit by this constant (a de Bruijn sequence) puts a different number into the top five bits.
_DE_BRUIJN = 0x077CB531
_BIT_OF = np.zeros(32, np.int64)
for _bit in range(32):
    _BIT_OF[((1 << _bit) * _DE_BRUIJN & 0xFFFFFFFF) >> 27] = _bit

_u = np.uint64
_ONE = np.float32(1)
_ZERO = np.float32(0)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_jit_summing = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})


def capacity(k: int) -> int:
    """Return how many candidates a query's buffer must hold for `k` results."""
    return k + max(k, 4 * GROUP)


@_jit_summing
def add_segment_norms(rows: Array, start: int, stop: int, squares: Array) -> None:
    """Add the squared norms of components start..stop of float32 `rows` (n, d) to `squares` (n,)."""
    for i in range(rows.shape[0]):
        segment = rows[i, start:stop]
        total = _ZERO
        for j in range(segment.shape[0]):
            total += segment[j] * segment[j]
        squares[i] += total


@_jit_summing
def _count_above(values: Array, n: int, threshold: Scalar) -> Scalar:
    total = _ZERO
    for i in range(n):
        total += _ONE if values[_u(i)] > threshold else _ZERO
    return np.int64(total)


@_jit_summing
def _any_above(sums: Array, scale: Array, shift: Array, start: int, threshold: Scalar) -> Scalar:
    total = _ZERO
    for j in range(GROUP):
        i = _u(start) + _u(j)
        total += _ONE if sums[i] * scale[i] + shift[i] > threshold else _ZERO
    return total > _ZERO


@_jit_summing
def _mask_above(sums: Array, scale: Array, shift: Array, start: int, threshold: Scalar) -> Scalar:
    total = _ZERO
    for j in range(_MASK_BITS):
        i = _u(start) + _u(j)
        total += _POWERS[_u(j)] if sums[i] * scale[i] + shift[i] > threshold else _ZERO
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


@_jit
def _edge(scores: Array, count: int, k: int) -> tuple[Scalar, Scalar]:
    """Return a value that at most k of `count` scores exceed, and how many equal to it complete the k best."""
    scratch = np.empty(1, np.float32)
    lowest, highest = scores[0], scores[0]
    for i in range(count):
        lowest = min(lowest, scores[_u(i)])
        highest = max(highest, scores[_u(i)])
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
        for group in range(sums.shape[1] // GROUP):
            start = group * GROUP
            if not _any_above(row, scale, shift, start, threshold):
                continue
            if count > room:
                threshold = max(threshold, _cut_back(row_scores, row_ids, full[r], count, k))
                count = k
            for half in range(GROUP // _MASK_BITS):
                left = start + half * _MASK_BITS
                mask = _mask_above(row, scale, shift, left, threshold)
                while mask != 0:
                    lowest_bit = mask & -mask
                    mask ^= lowest_bit
                    column = left + _BIT_OF[_u((lowest_bit * _DE_BRUIJN) & 0xFFFFFFFF) >> _u(27)]
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
