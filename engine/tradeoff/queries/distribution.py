"""The shape of many values in a few numbers: percentiles and a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


@dataclass(frozen=True, eq=False, kw_only=True)
class Distribution:
    """`n` finite values: their mean, `PERCENTILES` of them, and how many fall between the `edges` (b + 1,) of each bin.

    The mean and every percentile are NaN without values. A percentile is a value that occurs (the inverted empirical
    distribution), never one between two values. The last bin holds its upper edge too.
    """

    n: int
    mean: float
    percentiles: dict[int, float]
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


def distribution_of(values: npt.NDArray[Any], edges: npt.NDArray[np.float64]) -> Distribution:
    """Describe the finite ones of `values` (any shape), counted into the bins between `edges`."""
    known = values[np.isfinite(values)].astype(np.float64)
    nothing = np.full(len(PERCENTILES), np.nan)
    cuts = np.percentile(known, PERCENTILES, method="inverted_cdf") if len(known) else nothing
    return Distribution(
        n=len(known),
        mean=float(known.mean()) if len(known) else float("nan"),
        percentiles={percent: float(cut) for percent, cut in zip(PERCENTILES, cuts, strict=True)},
        edges=edges,
        counts=np.histogram(known, bins=edges)[0].astype(np.int64),
    )


def common_edges(values: npt.NDArray[Any], n_bins: int) -> npt.NDArray[np.float64]:
    """Return the edges of `n_bins` equal bins that hold every finite value, for histograms that share an axis."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.linspace(0.0, 1.0, n_bins + 1)
    low, high = float(known.min()), float(known.max())
    if low == high:  # a bin needs a width
        margin = max(abs(low), 1.0) * 1e-3
        low, high = low - margin, high + margin
    return np.linspace(low, high, n_bins + 1)
