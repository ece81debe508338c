"""What paired gains say about the order of the components: ordered, spread evenly, or neither shown yet."""

from __future__ import annotations

from math import hypot, sqrt
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.tradeoff.results import Interval

if TYPE_CHECKING:
    import numpy.typing as npt

Order = Literal["ordered", "spread evenly", "undecided"]
PROJECTION = "a projection would beat the prefix"

CLEAR_GAIN = 0.01
"""A gain is clear when even its lower bound is more than one neighbour in a hundred."""

EVEN_GAIN = 0.05
"""Without a clear gain, spread evenly is said once a gain of five neighbours in a hundred is ruled out."""


def is_clear(*gains: Interval) -> bool:
    """Tell whether one of `gains` is clear: its lower bound is above `CLEAR_GAIN`."""
    return any(gain.low > CLEAR_GAIN for gain in gains)


def order_of(half: Interval, overall: Interval) -> Order:
    """Judge the gains of the prefix over random subsets: at about half size, and on average over the sizes.

    ``ordered`` when either is clear; ``spread evenly`` when neither is and both upper bounds are below `EVEN_GAIN`;
    otherwise ``undecided``, also when a bound is NaN.
    """
    if is_clear(half, overall):
        return "ordered"
    return "spread evenly" if half.high < EVEN_GAIN and overall.high < EVEN_GAIN else "undecided"


def widened_by_subsets(gain: Interval, subset_means: npt.NDArray[np.float64]) -> Interval:
    """Return `gain`, the mean of prefix less random subsets, with an interval that covers the drawing of subsets too.

    If the order of the components meant nothing, the prefix would be one more random subset: its distance from the mean
    of S drawn ones, of means `subset_means` (S,) and standard deviation s, has the prediction half-width
    ``t(S - 1, 97.5 %) · s · √(1 + 1/S)``. The queries' bootstrap half-widths are added to it in quadrature. Measured
    subset means share their queries with the prefix, so s holds little of the queries' noise.
    """
    import scipy.stats  # heavy, and only this needs it

    n = len(subset_means)
    drawing = float(scipy.stats.t.ppf(0.975, n - 1) * np.std(subset_means, ddof=1) * sqrt(1 + 1 / n))
    return Interval(
        mean=gain.mean,
        low=gain.mean - hypot(gain.mean - gain.low, drawing),
        high=gain.mean + hypot(gain.high - gain.mean, drawing),
    )
