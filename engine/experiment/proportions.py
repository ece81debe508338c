"""Two proportions: the classic read-out of an A/B test, and non-inferiority against a relative margin.

Rows count as independent here. Where a user has several, compare by user instead: `engine.experiment.ratios`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.experiment.checks import (
    check_alpha,
    check_arm,
    check_confidence,
    finite,
    limit_of,
    normal_tail,
    quantile_of,
)
from engine.experiment.score import difference_score_bounds, ratio_score_bounds, ratio_score_z

if TYPE_CHECKING:
    from engine.experiment.checks import Direction


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """An interval; a side that the data cannot bound is None."""

    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ProportionComparison:
    """Treatment against control: rates, their difference (treatment - control) and their relative change.

    `z` and `p_value` are of the pooled two-proportion test, `se` is the unpooled standard error of the difference.
    `wald`, `newcombe` and `score` bound the difference, `relative` the relative change. `relative_change` is None where
    control has no success, and so is the side of `relative` that nothing bounds.
    """

    successes_control: float
    n_control: float
    successes_treatment: float
    n_treatment: float
    rate_control: float
    rate_treatment: float
    difference: float
    relative_change: float | None
    z: float
    p_value: float
    se: float
    wald: Bounds
    newcombe: Bounds
    score: Bounds
    relative: Bounds
    confidence: float


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """Whether a loss beyond the relative `margin` is ruled out, or shown.

    `limit` is the ratio treatment / control at which the margin is used up. `p_value` tests "the loss is at least the
    margin": small means safe. `p_harmful` tests "the loss is at most the margin": small means harmful. `low` and `high`
    are one-sided bounds of the relative change at confidence 1 - `alpha` each; None where nothing bounds that side.
    """

    margin: float
    direction: str
    limit: float
    alpha: float
    z: float
    p_value: float
    p_harmful: float
    low: float | None
    high: float | None


def compare_proportions(
    successes_control: float,
    n_control: float,
    successes_treatment: float,
    n_treatment: float,
    *,
    confidence: float = 0.95,
) -> ProportionComparison:
    """Compare two proportions by the pooled z-test and by three intervals of their difference.

    Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17,
    method 10; the score intervals are of `engine.experiment.score`. With no success at all, or nothing else, the test
    has nothing to tell apart: z is 0 and p is 1.

    >>> found = compare_proportions(1_200, 10_000, 1_150, 10_000)
    >>> round(found.z, 4), round(found.p_value, 4)
    (-1.0979, 0.2722)

    Raises
    ------
    ParameterError
        When an arm is empty or has more successes than rows, a count is negative or not finite, or `confidence` is not
        between 0.5 and 1.
    """
    check_confidence(confidence)
    x0, n0 = (float(count) for count in check_arm("control", successes_control, n_control))
    x1, n1 = (float(count) for count in check_arm("treatment", successes_treatment, n_treatment))
    rate_control, rate_treatment = x0 / n0, x1 / n1
    difference = rate_treatment - rate_control
    z, p_value = _pooled_test(x0, n0, x1, n1)
    se = math.sqrt(rate_control * (1 - rate_control) / n0 + rate_treatment * (1 - rate_treatment) / n1)
    half_width = quantile_of((1 + confidence) / 2) * se
    low, high = difference_score_bounds(x0, n0, x1, n1, confidence=confidence)
    return ProportionComparison(
        successes_control=x0,
        n_control=n0,
        successes_treatment=x1,
        n_treatment=n1,
        rate_control=rate_control,
        rate_treatment=rate_treatment,
        difference=difference,
        relative_change=rate_treatment / rate_control - 1 if x0 else None,
        z=z,
        p_value=p_value,
        se=se,
        wald=Bounds(low=difference - half_width, high=difference + half_width),
        newcombe=_newcombe(x0, n0, x1, n1, confidence=confidence),
        score=Bounds(low=float(low), high=float(high)),
        relative=_relative_bounds(x0, n0, x1, n1, confidence=confidence),
        confidence=confidence,
    )


def non_inferiority_ratio(
    successes_control: float,
    n_control: float,
    successes_treatment: float,
    n_treatment: float,
    *,
    margin: float,
    direction: Direction = "higher is better",
    alpha: float = 0.05,
) -> NonInferiority:
    """Test whether treatment loses less than the relative `margin`, by the score test of the ratio of two proportions.

    With "higher is better" a loss is a ratio below 1 - margin, with "lower is better" one above 1 + margin. Source:
    Miettinen & Nurminen 1985, `engine.experiment.score.ratio_score_z`. Without a success in either arm both p-values
    are one half.

    >>> found = non_inferiority_ratio(1_200, 10_000, 1_150, 10_000, margin=0.05)
    >>> round(found.p_value, 3), round(found.low, 3)
    (0.411, -0.101)

    Raises
    ------
    ParameterError
        As `compare_proportions`, and when `margin` is not between 0 and 1 or `alpha` not between 0 and 0.5.
    """
    check_alpha(alpha)
    limit = limit_of(margin, direction)
    counts = (successes_control, n_control, successes_treatment, n_treatment)
    z = float(ratio_score_z(*counts, limit))
    above, below = float(normal_tail(z)), float(normal_tail(-z))
    bounds = _relative_bounds(*counts, confidence=1 - 2 * alpha)
    is_higher_better = direction == "higher is better"
    return NonInferiority(
        margin=margin,
        direction=direction,
        limit=limit,
        alpha=alpha,
        z=z,
        p_value=above if is_higher_better else below,
        p_harmful=below if is_higher_better else above,
        low=bounds.low,
        high=bounds.high,
    )


def wilson(successes: float, n: float, *, confidence: float = 0.95) -> Bounds:
    """Return the interval of one proportion after Wilson 1927; within 0..1 also at no success and at nothing else.

    Raises
    ------
    ParameterError
        When `n` is below 1, there are more successes than `n`, or `confidence` is not between 0.5 and 1.
    """
    check_confidence(confidence)
    if not 0 <= successes <= n or not 1 <= n < math.inf:
        raise ParameterError("a proportion needs 0 to n successes of n rows, n at least 1", found=f"{successes} of {n}")
    low, high = _wilson(successes, n, confidence)
    return Bounds(low=low, high=high)


def _wilson(successes: float, n: float, confidence: float) -> tuple[float, float]:
    z = quantile_of((1 + confidence) / 2)
    rate = successes / n
    shrunk = 1 + z**2 / n
    centre = (rate + z**2 / (2 * n)) / shrunk
    half_width = z / shrunk * math.sqrt(rate * (1 - rate) / n + (z / (2 * n)) ** 2)
    # At no success, and at nothing else, rounding must not push a bound beyond the rate.
    return max(0.0, min(centre - half_width, rate)), min(1.0, max(centre + half_width, rate))


def _pooled_test(x0: float, n0: float, x1: float, n1: float) -> tuple[float, float]:
    if x0 + x1 in {0, n0 + n1}:
        return 0.0, 1.0
    pooled = (x0 + x1) / (n0 + n1)
    z = (x1 / n1 - x0 / n0) / math.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    return z, math.erfc(abs(z) / math.sqrt(2))


def _newcombe(x0: float, n0: float, x1: float, n1: float, *, confidence: float) -> Bounds:
    rate_control, rate_treatment = x0 / n0, x1 / n1
    low0, high0 = _wilson(x0, n0, confidence)
    low1, high1 = _wilson(x1, n1, confidence)
    difference = rate_treatment - rate_control
    low = difference - math.hypot(rate_treatment - low1, high0 - rate_control)
    return Bounds(low=low, high=difference + math.hypot(high1 - rate_treatment, rate_control - low0))


def _relative_bounds(x0: float, n0: float, x1: float, n1: float, *, confidence: float) -> Bounds:
    low, high = ratio_score_bounds(x0, n0, x1, n1, confidence=confidence)
    # No ratio is below 0: that bound says something only where there were successes to lose.
    return Bounds(low=finite(low - 1) if x0 or x1 else None, high=finite(high - 1))
