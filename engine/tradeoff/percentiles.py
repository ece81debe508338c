"""Percentiles with order-statistic intervals: bounds that are samples themselves and assume no distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import CONFIDENCE

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class PercentileRanks:
    """Which of `n` ascending samples (counted from 1) estimate a percentile and bound it.

    Without enough samples for a two-sided interval both bounds are None and `reason` says so.
    """

    n: int
    rank: int
    low: int | None
    high: int | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Percentile:
    """A percentile of `n` samples with its 95 % interval, in the unit of the samples.

    `low` and `high` are None where `n` samples give no two-sided interval; `reason` then says how many would.
    """

    share: float
    value: float
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


def percentile_ranks(n: int, share: float, *, confidence: float = CONFIDENCE) -> PercentileRanks:
    """Return the ranks of the percentile `share` (0..1, exclusive) and of its interval, for `n` independent samples.

    The estimate is the sample of rank ``ceil(n·share)``. The number B of samples at or below the true percentile is
    binomial (n, share), whatever the distribution; the interval leaves at most half of ``1 - confidence`` to each side:
    the largest `low` with P(B < low) and the smallest `high` with P(B >= high) at or below that (Conover 1999,
    "Practical Nonparametric Statistics", §3.2).

    >>> percentile_ranks(10_000, 0.99)
    PercentileRanks(n=10000, rank=9900, low=9880, high=9920, reason=None)
    >>> percentile_ranks(367, 0.99).reason
    'p99 has no two-sided limit below 368 samples; there are 367'

    Raises
    ------
    ParameterError
        When `n` is below 1, or `share` or `confidence` is not between 0 and 1.
    """
    from scipy.special import bdtr  # here, so that importing the room loads no SciPy

    if n < 1:
        raise ParameterError("a percentile needs at least one sample", found=n)
    for name, value in (("the share of a percentile", share), ("the confidence", confidence)):
        if not 0 < value < 1:
            raise ParameterError(f"{name} must be between 0 and 1", found=value)
    # n·share may come out a rounding error above a whole number: 0.29 * 100 is 29.000000000000004.
    rank = min(n, max(1, math.ceil(round(n * share, 9))))
    tail = (1 - confidence) / 2
    # Every bound lies within twelve standard deviations; with millions of samples the rest would cost a lot.
    reach = 30 + 12 * math.sqrt(n * share * (1 - share))
    first, stop = max(0, math.floor(rank - reach)), min(n, math.ceil(rank + reach))
    at_most = bdtr(np.arange(first, stop, dtype=np.float64), n, share)  # P(B <= b) for b below n
    low = first + int(np.searchsorted(at_most, tail, side="right"))
    high = first + int(np.searchsorted(at_most, 1 - tail, side="left")) + 1
    if low < 1 or high > n:
        enough = math.ceil(math.log(tail) / math.log(max(share, 1 - share)))
        reason = f"p{100 * share:g} has no two-sided limit below {enough:,} samples; there are {n:,}"
        return PercentileRanks(n=n, rank=rank, low=None, high=None, reason=reason)
    return PercentileRanks(n=n, rank=rank, low=low, high=high)


def percentile(samples: npt.NDArray[np.floating], share: float, *, confidence: float = CONFIDENCE) -> Percentile:
    """Return the percentile `share` (0..1, exclusive) of `samples` (n,) with its interval; see `percentile_ranks`."""
    ranks = percentile_ranks(len(samples), share, confidence=confidence)
    ascending = np.sort(samples)
    return Percentile(
        share=share,
        value=float(ascending[ranks.rank - 1]),
        low=None if ranks.low is None else float(ascending[ranks.low - 1]),
        high=None if ranks.high is None else float(ascending[ranks.high - 1]),
        n=ranks.n,
        reason=ranks.reason,
    )
