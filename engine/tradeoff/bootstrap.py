"""Paired percentile bootstrap: the same resampled queries for every dimension and metric at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.scoring.blas import one_blas_thread
from engine.tradeoff.results import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

CONFIDENCE = 0.95
MIN_RESAMPLES = 1_000
# Counts of one chunk stay in the cache (2 MB as float32) and its index arrays below 10 MB.
_CHUNK_ENTRIES = 1 << 19


@dataclass(frozen=True, eq=False, kw_only=True)
class Resampled:
    """Means over queries and their bootstrap distribution, for an array of columns of any shape S.

    `means` and `n_values` (queries that have a value) are of shape S, `resamples` of shape (*S, R). A mean is NaN where
    no query has a value, a resample where none of its queries has.
    """

    means: npt.NDArray[np.float64]
    resamples: npt.NDArray[np.float64]
    n_values: npt.NDArray[np.int64]

    @cached_property
    def bounds(self) -> npt.NDArray[np.float64]:
        """Lower and upper bounds of the 95 % percentile intervals, (2, *S)."""
        tail = (1 - CONFIDENCE) / 2
        flat = self.resamples.reshape(-1, self.resamples.shape[-1])
        bounds = np.quantile(flat, (tail, 1 - tail), axis=1)
        for column in np.flatnonzero(np.isnan(bounds[0])):
            known = flat[column][~np.isnan(flat[column])]
            if len(known):
                bounds[:, column] = np.quantile(known, (tail, 1 - tail))
        return bounds.reshape(2, *self.means.shape)

    def interval(self, *index: int) -> Interval:
        """Return the mean and interval of one column."""
        low, high = self.bounds
        return Interval(mean=float(self.means[index]), low=float(low[index]), high=float(high[index]))

    def spread(self, *index: int) -> float:
        """Return the standard deviation of one query's contribution: the bootstrap standard error × √n."""
        known = self.resamples[index][~np.isnan(self.resamples[index])]
        if len(known) < 2:
            return float("nan")
        return float(known.std(ddof=1) * np.sqrt(self.n_values[index]))

    def over(self, denominator: Resampled) -> Resampled:
        """Return the ratio of means to `denominator` (broadcast over its columns), paired resample by resample.

        NaN where the denominator is not positive.
        """
        return Resampled(
            means=_ratio(self.means, np.broadcast_to(denominator.means, self.means.shape)),
            resamples=_ratio(self.resamples, np.broadcast_to(denominator.resamples, self.resamples.shape)),
            n_values=self.n_values,
        )

    def last(self) -> Resampled:
        """Return the last column of each row of S alone, its axis kept: the full dimension of (..., dims)."""
        return Resampled(
            means=self.means[..., -1:], resamples=self.resamples[..., -1:, :], n_values=self.n_values[..., -1:]
        )


def bootstrap_means(*values: npt.NDArray[np.float32], seed: int, n_resamples: int = 10_000) -> tuple[Resampled, ...]:
    """Return the `Resampled` means of each array of per-query values (*S, q), all on the same resamples.

    A resample draws q queries with replacement. NaN stands for "no value": such queries are drawn like any other and
    left out of the mean. The same seed gives the same resamples, whatever the columns. Memory is bounded: about 10 MB
    above the (columns, n_resamples) results.

    Raises
    ------
    ParameterError
        When `n_resamples` is below `MIN_RESAMPLES`.
    """
    if n_resamples < MIN_RESAMPLES:
        raise ParameterError(f"the bootstrap needs at least {MIN_RESAMPLES} resamples", found=n_resamples)
    n_queries = values[0].shape[-1]
    columns = np.concatenate([array.reshape(-1, n_queries) for array in values])
    # The products are too small to share: waiting for busy cores would cost more, and one thread always adds alike.
    with one_blas_thread():
        everything = _resample(columns, n_resamples, seed)
    results, start = [], 0
    for array in values:
        shape = array.shape[:-1]
        stop = start + int(np.prod(shape, dtype=np.int64))
        results.append(
            Resampled(
                means=everything.means[start:stop].reshape(shape),
                resamples=everything.resamples[start:stop].reshape(*shape, n_resamples),
                n_values=everything.n_values[start:stop].reshape(shape),
            )
        )
        start = stop
    return tuple(results)


def _resample(columns: npt.NDArray[np.float32], n_resamples: int, seed: int) -> Resampled:
    known = ~np.isnan(columns)
    n_values = known.sum(axis=1)
    totals = np.where(known, columns, 0).sum(axis=1, dtype=np.float64)
    means = _ratio(totals, n_values.astype(np.float64))
    # Summing deviations instead of values keeps float32 products exact where it matters: relative to the spread.
    deviations = np.where(known, columns - means[:, None], 0).astype(np.float32)
    # Columns of one kind miss the same queries, so there are few distinct masks to count.
    number: dict[bytes, int] = {}
    mask_of = [number.setdefault(mask.tobytes(), len(number)) for mask in known]
    masks = np.array([np.frombuffer(mask, dtype=bool) for mask in number], dtype=np.float32)
    stacked = np.concatenate([deviations, masks])
    resamples = np.empty((len(columns), n_resamples))
    for first, counts in _count_chunks(columns.shape[1], n_resamples, seed):
        sums = stacked @ counts.T
        drawn = np.where(sums[len(columns) :] > 0, sums[len(columns) :], np.nan)
        chunk = resamples[:, first : first + len(counts)]
        np.divide(sums[: len(columns)], drawn if len(drawn) == 1 else drawn[mask_of], out=chunk)
        chunk += means[:, None]
    return Resampled(means=means, resamples=resamples, n_values=n_values)


def _count_chunks(n_queries: int, n_resamples: int, seed: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield `(first resample, counts)`: how often each query was drawn, (resamples of the chunk, n_queries)."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_ENTRIES // n_queries)
    small = np.uint16 if n_queries <= 1 << 16 else np.uint32
    for first in range(0, n_resamples, rows):
        size = min(rows, n_resamples - first)
        drawn = rng.integers(0, n_queries, size=(size, n_queries), dtype=small)
        cells = drawn + (np.arange(size, dtype=np.int64) * n_queries)[:, None]
        counts = np.bincount(cells.ravel(), minlength=size * n_queries)
        yield first, counts.reshape(size, n_queries).astype(np.float32)


def _ratio(numerator: npt.NDArray[Any], denominator: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    undefined = np.full(numerator.shape, np.nan)
    ratio: npt.NDArray[np.float64] = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return ratio
