"""One pass over an array of vectors that gathers every fact about its rows and dims."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.paging import blocks
from engine.progress import stop_if

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Vectors
    from engine.progress import Cancelled

    Float64 = npt.NDArray[np.float64]

_BLOCK_VALUES = 1 << 20  # 8 MiB as float64
_DIGEST_BYTES = 16
_NEGLIGIBLE = 1e-12  # of the largest variance: a standard deviation a million times smaller is rounding noise


@dataclass(frozen=True, eq=False, kw_only=True)
class RowScan:
    """What one pass found out about vectors (n, d).

    `finite` (n,) tells which rows scoring can use; `norms` (n,) is NaN for the others; `zero` (n,) marks zero vectors.
    `digests` (n, 2) are equal exactly for rows of equal values. `constant` (d,) marks the dims without variance over
    the finite rows.
    """

    finite: npt.NDArray[np.bool_]
    norms: Float64
    zero: npt.NDArray[np.bool_]
    digests: npt.NDArray[np.uint64]
    constant: npt.NDArray[np.bool_]


def scan_rows(
    vectors: Vectors, *, dtype: npt.DTypeLike, cancelled: Cancelled, rows_done: Callable[[int], None]
) -> RowScan:
    """Scan `vectors` (n, d) block by block; memory-mapped ones stay out of memory.

    Rows are digested as `dtype`, so that rows of different dtypes can be compared. `rows_done` hears how many rows have
    been scanned. Raises `CancelledError` when `cancelled` answers true.
    """
    n, d = vectors.shape
    finite = np.empty(n, dtype=bool)
    zero = np.zeros(n, dtype=bool)
    norms = np.full(n, np.nan)
    digests = np.empty((n, 2), dtype=np.uint64)
    moments = _Moments(d)
    for start, block in blocks(vectors, block_rows(d)):
        stop_if(cancelled)
        rows = slice(start, start + len(block))
        finite[rows] = finite_rows(block)
        digests[rows] = _digest(block, dtype)
        values = block[finite[rows]].astype(np.float64)
        zero[rows][finite[rows]] = ~values.any(axis=1)
        norms[rows][finite[rows]] = np.sqrt(np.einsum("ij,ij->i", values, values))
        moments.add(values)
        rows_done(start + len(block))
    return RowScan(finite=finite, norms=norms, zero=zero, digests=digests, constant=moments.constant())


def block_rows(d: int) -> int:
    """Return how many rows of `d` components make a block of bounded size."""
    return max(1, _BLOCK_VALUES // d)


def finite_rows(block: Vectors) -> npt.NDArray[np.bool_]:
    """Mark the rows of `block` (n, d) without NaN, infinity or a value beyond float32, in which scoring is done."""
    if block.dtype.kind != "f":
        return np.ones(len(block), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite: that is looked for
        return np.asarray(np.isfinite(block.astype(np.float32, copy=False)).all(axis=1))


def first_equal_rows(digests: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return for every row of `digests` (n, 2) the lowest row number with the same digest, (n,)."""
    n = len(digests)
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal rows stay in their order
    ordered = digests[order]
    starts = np.ones(n, dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = np.empty(n, dtype=np.int64)
    first[order] = order[starts][np.cumsum(starts) - 1]
    return first


def _digest(block: Vectors, dtype: npt.DTypeLike) -> npt.NDArray[np.uint64]:
    kind = np.dtype(dtype)
    with np.errstate(invalid="ignore"):  # a signalling NaN is no news here
        rows = np.ascontiguousarray(block.astype(kind, copy=False) + kind.type(0))  # adding 0 turns -0.0 into 0.0
    width = rows.shape[1] * kind.itemsize
    content = rows.view(np.uint8).reshape(-1).data
    digests = b"".join(
        hashlib.blake2b(content[start : start + width], digest_size=_DIGEST_BYTES).digest()
        for start in range(0, len(content), width)
    )
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)


class _Moments:
    """Mean and variance of every dim, merged block by block (Chan, Golub & LeVeque 1979), with the extremes."""

    def __init__(self, d: int) -> None:
        self._n = 0
        self._mean = np.zeros(d)
        self._squares = np.zeros(d)
        self._low = np.full(d, np.inf)
        self._high = np.full(d, -np.inf)

    def add(self, values: Float64) -> None:
        if not len(values):
            return
        mean = values.mean(axis=0)
        shift = mean - self._mean
        total = self._n + len(values)
        self._squares += ((values - mean) ** 2).sum(axis=0) + shift**2 * (self._n * len(values) / total)
        self._mean += shift * (len(values) / total)
        self._n = total
        np.minimum(self._low, values.min(axis=0), out=self._low)
        np.maximum(self._high, values.max(axis=0), out=self._high)

    def constant(self) -> npt.NDArray[np.bool_]:
        if self._n < 2:  # one vector says nothing about variance
            return np.zeros(len(self._mean), dtype=bool)
        flat: npt.NDArray[np.bool_] = (self._low == self._high) | (self._squares <= _NEGLIGIBLE * self._squares.max())
        return flat
