"""What an interval says about a target, and what it would take to say more."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings import health_checks
from engine.tradeoff.bootstrap import CONFIDENCE

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.tradeoff.results import Interval, Verdict

MIN_QUERIES = health_checks.MIN_QUERIES
"""Fewer queries than this are never called safe."""

ALPHA = (1 - CONFIDENCE) / 2
"""One-sided level of the recommendation: the lower tail of the two-sided 95 % interval."""

_Z = NormalDist().inv_cdf(1 - ALPHA)
ROUNDING = 1e-6
"""Slack of every comparison with a target: values are float32, and ten of 0.9 average to 0.89999998."""


def verdict_of(interval: Interval, target: float, *, n_values: int) -> Verdict:
    """Judge an interval over `n_values` queries against `target`.

    ``safe`` when its lower bound is at least the target and there are `MIN_QUERIES`, ``harmful`` when its upper bound
    is below the target, otherwise ``undecided`` (also when nothing could be measured, so the bounds are NaN).
    """
    if interval.low >= target - ROUNDING and n_values >= MIN_QUERIES:
        return "safe"
    if interval.high < target - ROUNDING:
        return "harmful"
    return "undecided"


def further_queries(interval: Interval, target: float, *, spread: float, n_values: int) -> int | None:
    """Return how many more queries would settle an undecided verdict if mean and spread stayed as observed.

    The half-width of a normal 95 % interval over n queries of standard deviation s is z·s/√n with z = 1.96; it shrinks
    to the distance between mean and target at ``n = (z·s / |mean - target|)²`` (sample size for a mean to a given
    margin; Cochran 1977, "Sampling Techniques", §4.6). At least `MIN_QUERIES` in all. None when the verdict is settled,
    or no number of queries would settle it: the mean is the target, or nothing could be measured.
    """
    if verdict_of(interval, target, n_values=n_values) != "undecided":
        return None
    if interval.low >= target - ROUNDING:
        return MIN_QUERIES - n_values
    distance = abs(interval.mean - target) - ROUNDING
    if not (np.isfinite(spread) and distance > 0):
        return None
    enough = int(np.ceil((_Z * spread / distance) ** 2))
    return max(1, max(enough, MIN_QUERIES) - n_values)


def unseen_share(n_values: int) -> float:
    """Return how large a share of all queries may be affected although none of `n_values` is.

    The upper bound of a share of which nothing was seen, ``1 - ALPHA^(1/n)`` (Clopper & Pearson 1934). A bootstrap
    cannot know it: values that are all alike have resamples that are all alike.
    """
    return float(1 - ALPHA ** (1 / n_values))


def p_missed(resamples: npt.NDArray[np.float64], target: float) -> float:
    """Return the one-sided bootstrap p-value of "the mean is below the target".

    ``(1 + resamples below the target) / (1 + resamples)``: adding one keeps a p-value from being 0, which no finite
    number of resamples can show (Davison & Hinkley 1997, "Bootstrap Methods", §4.2). A NaN resample counts as below.
    """
    reached = np.count_nonzero(resamples >= target - ROUNDING)
    return float((1 + len(resamples) - reached) / (1 + len(resamples)))


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(p_values[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
