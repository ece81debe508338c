"""The trend of a share with corpus size: its logit changes by the same amount with every doubling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Float64 = npt.NDArray[np.float64]

MIN_SIZES = 3
"""A line through fewer sizes leaves nothing to judge its fit by."""

_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Bands:
    """Shares and their 95 % bounds for each of C columns at each of S sizes, (C, S) each."""

    mean: Float64
    low: Float64
    high: Float64


@dataclass(frozen=True, eq=False, kw_only=True)
class Trend:
    """Lines ``logit(share) = a + b · ln(size)`` by least squares for each of C columns, and what they predict.

    Two lines are fitted: `recent` through the larger half of the sizes, which is what is predicted, and `every` through
    all of them. Where the trend bends they part, and the interval spans those of both. `widened_by` (C,), at least 1,
    multiplies how far the interval reaches from the prediction on the logit scale.
    """

    every: _Line
    recent: _Line
    n_trials: int
    widened_by: Float64

    @property
    def slopes(self) -> Float64:
        """The change of the logit with every tenfold corpus, (C,)."""
        ends = self.recent.logits_at((1, 10))
        slopes: Float64 = ends[:, 1] - ends[:, 0]
        return slopes

    def predict(self, sizes: Sequence[int]) -> Bands:
        """Return the shares expected at `sizes`, with 95 % intervals for what would be measured there.

        The interval is at least three trials wide either way (the rule of three), also where nothing scattered.
        """
        mean, below, above = self._reaches(sizes)
        low, high = mean - below * self.widened_by[:, None], mean + above * self.widened_by[:, None]
        return Bands(mean=_share(mean, self.n_trials), low=_share(low, self.n_trials), high=_share(high, self.n_trials))

    def widening_for(self, sizes: Sequence[int], shares: Float64) -> Float64:
        """Return by how much each column's interval has to grow to hold the `shares` (S, C) measured at `sizes`.

        1 where it holds all of them, (C,).
        """
        mean, below, above = self._reaches(sizes)
        error = _logit(shares, self.n_trials).T - mean
        reach = np.where(error < 0, below, above)
        needed = np.divide(np.abs(error), reach, out=np.ones_like(error), where=reach > 0)
        factor: Float64 = np.maximum(needed.max(axis=1), 1.0)
        return factor

    def _reaches(self, sizes: Sequence[int]) -> tuple[Float64, Float64, Float64]:
        """Return the predicted logits and how far the interval reaches below and above them, (C, S) each."""
        mean = self.recent.logits_at(sizes)
        bounds = [line.bounds_at(sizes) for line in (self.recent, self.every)]
        low = np.minimum(*(low for low, _ in bounds))
        high = np.maximum(*(high for _, high in bounds))
        share, three = _share(mean, self.n_trials), 3 / self.n_trials
        low = np.minimum(low, _logit(np.maximum(share - three, 0), self.n_trials))
        high = np.maximum(high, _logit(np.minimum(share + three, 1), self.n_trials))
        return mean, mean - low, np.maximum(high - mean, 0)


def fit_trend(
    sizes: Sequence[int],
    shares: Float64,
    resamples: Float64,
    *,
    n_trials: int,
    widened_by: Float64 | None = None,
) -> Trend:
    """Fit the trend of `shares` (m, C), measured at m ascending `sizes`, with their bootstrap `resamples` (m, C, R).

    `n_trials` is how many hits or misses stand behind a share. `widened_by` (C,) takes over what `widening_for` found.

    Raises
    ------
    ParameterError
        When there are fewer than `MIN_SIZES` sizes.
    """
    m = len(sizes)
    if m < MIN_SIZES:
        raise ParameterError(f"a trend needs at least {MIN_SIZES} sizes", found=m)
    logits, resampled = _logit(shares, n_trials), _logit(resamples, n_trials)
    larger = slice(-max(MIN_SIZES, (m + 1) // 2), None)
    return Trend(
        every=_Line(np.log(sizes), logits, resampled),
        recent=_Line(np.log(sizes[larger]), logits[larger], resampled[larger]),
        n_trials=n_trials,
        widened_by=np.ones(shares.shape[1]) if widened_by is None else widened_by,
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """A least-squares line for each column: logits (m, C) and their resamples (m, C, R) at ln(size) `x` (m,)."""

    x: Float64
    logits: Float64
    resampled: Float64

    def logits_at(self, sizes: Sequence[int]) -> Float64:
        """Return the line's logits at `sizes`, (C, S)."""
        logits: Float64 = (self._weights(np.log(sizes)) @ self.logits).T
        return logits

    def bounds_at(self, sizes: Sequence[int]) -> tuple[Float64, Float64]:
        """Return the 95 % bounds of the logits to be measured at `sizes`, (C, S) each.

        The half-width adds in quadrature the percentile bootstrap of the line over the resamples and the scatter of the
        fitted sizes around it, ``t(m - 2) · s · √(1 + 1/m + (x - x̄)²/Sxx)``, which grows where the true trend is no
        line (prediction interval of simple regression; Draper & Smith 1998, "Applied Regression Analysis", §1.4).
        """
        import scipy.stats  # heavy, and only this needs it

        at, m, around = np.log(sizes), len(self.x), self.x - self.x.mean()
        mean = self.logits_at(sizes)
        drawn = np.einsum("sm,mcr->csr", self._weights(at), self.resampled)
        low, high = np.quantile(drawn, (_TAIL, 1 - _TAIL), axis=2)
        residuals = self.logits - self._weights(self.x) @ self.logits
        scatter = np.sqrt((residuals**2).sum(axis=0) / (m - 2))
        distance = np.sqrt(1 + 1 / m + (at - self.x.mean()) ** 2 / (around**2).sum())
        scattered = scipy.stats.t.ppf(1 - _TAIL, m - 2) * np.outer(scatter, distance)
        below, above = np.maximum(mean - low, 0), np.maximum(high - mean, 0)
        return mean - np.hypot(below, scattered), mean + np.hypot(above, scattered)

    def _weights(self, at: Float64) -> Float64:
        """Return what to multiply the fitted logits by to get the line's values at ln(size) `at` (S,): (S, m)."""
        around = self.x - self.x.mean()
        weights: Float64 = 1 / len(self.x) + np.outer(at - self.x.mean(), around) / (around**2).sum()
        return weights


def _logit(shares: Float64, n_trials: int) -> Float64:
    """Return the empirical logits: with half a hit and half a miss added, 0 and 1 have one too.

    Cox & Snell 1989, "Analysis of Binary Data", §2.1.
    """
    shrunk = (shares * n_trials + 0.5) / (n_trials + 1)
    logits: Float64 = np.log(shrunk) - np.log1p(-shrunk)
    return logits


def _share(logits: Float64, n_trials: int) -> Float64:
    shrunk = (1 + np.tanh(logits / 2)) / 2  # 1 / (1 + exp(-logits)), without its overflow
    share: Float64 = np.clip((shrunk * (n_trials + 1) - 0.5) / n_trials, 0, 1)
    return share
