"""Score statistics of two proportions, and the intervals that invert them, over arrays of any shape.

A score test takes its variance at the hypothesis instead of at the estimate, so it stays sound at few, no or all
successes, where a Wald interval has width zero. Variances carry Miettinen and Nurminen's N / (N - 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import check_arm, check_confidence, quantile_of, ratio

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

# Ratios of proportions between e^-40 and e^40 are found; an honest bound never lies outside, as counts stay below 1e15.
_LOG_RATIO = 40.0
# Each halves the bracket: 80 / 2^54 is below the rounding of a double.
_HALVINGS = 54
_FEW_BRACKETS = 256


def ratio_score_z(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, limit: Any
) -> Floats:
    """Return the score statistic of "rate of treatment / rate of control equals `limit`"; positive above it.

    Source: Miettinen & Nurminen 1985, "Comparative analysis of two rates", Statistics in Medicine 4 (formulas 8 to 10);
    without N / (N - 1) it is Koopman 1984. 0 where neither arm has a success: such data says nothing about a ratio.

    Raises
    ------
    ParameterError
        When an arm is empty, has more successes than rows, or a count is negative or not finite.
    """
    x0, n0 = check_arm("control", successes_control, n_control)
    x1, n1 = check_arm("treatment", successes_treatment, n_treatment)
    return _ratio_z(x0, n0, x1, n1, np.asarray(limit, dtype=np.float64))


def ratio_score_bounds(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, *, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the lower and upper bounds of rate of treatment / rate of control, by inverting `ratio_score_z`.

    0 and infinity where an arm has no success, as nothing bounds the ratio on that side.
    """
    check_confidence(confidence)
    x0, n0 = check_arm("control", successes_control, n_control)
    x1, n1 = check_arm("treatment", successes_treatment, n_treatment)
    x0, n0, x1, n1 = np.broadcast_arrays(x0, n0, x1, n1)
    z = quantile_of((1 + confidence) / 2)
    edge = np.full(x0.shape, _LOG_RATIO)
    low = _bisect(lambda log: _ratio_z(x0, n0, x1, n1, np.exp(log)) > z, -edge, edge)
    high = _bisect(lambda log: _ratio_z(x0, n0, x1, n1, np.exp(log)) >= -z, -edge, edge)
    return np.where(x1 == 0, 0.0, np.exp(low)), np.where(x0 == 0, np.inf, np.exp(high))


def difference_score_z(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, limit: Any
) -> Floats:
    """Return the score statistic of "rate of treatment - rate of control equals `limit`"; positive above it.

    `limit` lies between -1 and 1. Source and errors as `difference_score_bounds` and `ratio_score_z`.
    """
    x0, n0 = check_arm("control", successes_control, n_control)
    x1, n1 = check_arm("treatment", successes_treatment, n_treatment)
    return _difference_z(x0, n0, x1, n1, np.asarray(limit, dtype=np.float64))


def difference_score_bounds(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, *, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the lower and upper score bounds of rate of treatment - rate of control.

    Source: Miettinen & Nurminen 1985; the constrained maximum likelihood in closed form after Farrington & Manning
    1990, "Test statistics and sample size formulae for comparative binomial trials", Statistics in Medicine 9.
    """
    check_confidence(confidence)
    x0, n0 = check_arm("control", successes_control, n_control)
    x1, n1 = check_arm("treatment", successes_treatment, n_treatment)
    x0, n0, x1, n1 = np.broadcast_arrays(x0, n0, x1, n1)
    z = quantile_of((1 + confidence) / 2)
    one = np.ones(x0.shape)
    low = _bisect(lambda delta: _difference_z(x0, n0, x1, n1, delta) > z, -one, one)
    high = _bisect(lambda delta: _difference_z(x0, n0, x1, n1, delta) >= -z, -one, one)
    return low, high


def _ratio_z(x0: Floats, n0: Floats, x1: Floats, n1: Floats, limit: Floats) -> Floats:
    total = n0 + n1
    # The smaller root of total·limit·p² - linear·p + x0 + x1, in the form that does not cancel.
    linear = n1 * limit + x1 + n0 + x0 * limit
    root = np.sqrt(np.maximum(linear * linear - 4 * total * limit * (x0 + x1), 0))
    p0 = np.clip(2 * (x0 + x1) / (linear + root), 0, 1)
    p1 = np.minimum(limit * p0, 1)
    variance = (p1 * (1 - p1) / n1 + limit**2 * p0 * (1 - p0) / n0) * total / (total - 1)
    return _standardised(x1 / n1 - limit * x0 / n0, variance)


def _difference_z(x0: Floats, n0: Floats, x1: Floats, n1: Floats, delta: Floats) -> Floats:
    total = n0 + n1
    p0 = _control_rate_given_difference(x0, n0, x1, n1, delta)
    p1 = np.clip(p0 + delta, 0, 1)
    variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * total / (total - 1)
    return _standardised(x1 / n1 - x0 / n0 - delta, variance)


def _control_rate_given_difference(x0: Floats, n0: Floats, x1: Floats, n1: Floats, delta: Floats) -> Floats:
    """Return the maximum likelihood rate of control where treatment's is `delta` above: a root of a cubic."""
    # statsmodels 0.14 and 0.15 have x0 for n0 in the linear coefficient (its issue 10269), so their bounds are off.
    total = n0 + n1
    square = (n1 + 2 * n0) * delta - total - x0 - x1
    linear = (n0 * delta - total - 2 * x0) * delta + x0 + x1
    constant = x0 * delta * (1 - delta)
    third = square / (3 * total)
    half = third**3 - square * linear / (6 * total**2) + constant / (2 * total)
    radius = np.copysign(np.sqrt(np.maximum(third**2 - linear / (3 * total), 0)), half)
    angle = np.arccos(np.clip(ratio(half, radius**3), -1, 1))
    p0 = 2 * radius * np.cos((np.pi + np.where(np.isnan(angle), 0, angle)) / 3) - third
    lowest, highest = np.maximum(0, -delta), np.minimum(1, 1 - delta)
    return np.clip(p0, lowest, highest)


def _standardised(distance: Floats, variance: Floats) -> Floats:
    """Return distance / √variance; an infinite one where the variance is 0 but the distance is not."""
    z = ratio(distance, np.sqrt(variance))
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.where(np.isnan(z), certain, z)


def _bisect(is_below: Callable[[Floats], Bools], low: Floats, high: Floats) -> Floats:
    """Return where `is_below`, given one leading axis more, turns from true to false in each bracket low..high."""
    # A call on few numbers takes as long as on many: few brackets are cut into 64 parts at once instead of into 2.
    log_parts = 6 if low.size <= _FEW_BRACKETS else 1
    parts = 1 << log_parts
    inner = np.arange(1, parts).reshape(-1, *([1] * low.ndim)) / parts
    for _ in range(_HALVINGS // log_parts):
        width = (high - low) / parts
        low = low + width * is_below(low + (high - low) * inner).sum(axis=0)
        high = low + width
    return (low + high) / 2
