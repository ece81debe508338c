"""Ratios of sums with several rows a user, compared by user: the delta method over additive moments.

Clicks per query is such a ratio: users are independent, their queries are not. Moments of users add up over shards, and
hold arrays of any shape S, so that a whole cumulative series (one entry a day) is compared in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_alpha, check_confidence, limit_of, normal_tail, quantile_of, ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.experiment.checks import Direction

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class UserMoments:
    """Sums over `n_users` users of x (numerator: clicks of a user), y (denominator: queries), and their products.

    Every field is a float64 array of one shape S, () for a single ratio. Moments of disjoint users add: ``a + b``.
    """

    n_users: Floats
    sum_x: Floats
    sum_y: Floats
    sum_xx: Floats
    sum_yy: Floats
    sum_xy: Floats

    def __post_init__(self) -> None:
        names = ("n_users", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy")
        fields = [np.asarray(getattr(self, name), dtype=np.float64) for name in names]
        for name, values in zip(names, np.broadcast_arrays(*fields), strict=True):
            if not np.isfinite(values).all():
                raise ParameterError(f"the moments of users must be finite; {name} is not")
            object.__setattr__(self, name, values)
        if (self.n_users < 0).any() or (self.sum_xx < 0).any() or (self.sum_yy < 0).any():
            raise ParameterError("counts of users and sums of squares must be 0 or more")

    def __add__(self, other: UserMoments) -> UserMoments:
        return UserMoments(
            n_users=self.n_users + other.n_users,
            sum_x=self.sum_x + other.sum_x,
            sum_y=self.sum_y + other.sum_y,
            sum_xx=self.sum_xx + other.sum_xx,
            sum_yy=self.sum_yy + other.sum_yy,
            sum_xy=self.sum_xy + other.sum_xy,
        )

    def __getitem__(self, index: Any) -> UserMoments:
        return UserMoments(
            n_users=self.n_users[index],
            sum_x=self.sum_x[index],
            sum_y=self.sum_y[index],
            sum_xx=self.sum_xx[index],
            sum_yy=self.sum_yy[index],
            sum_xy=self.sum_xy[index],
        )

    @classmethod
    def of(cls, x: Any, y: Any) -> UserMoments:
        """Return the moments of one numerator and one denominator a user, x and y (..., users).

        A user of denominator 0 was not exposed and does not count.
        """
        top, bottom = (np.asarray(values, dtype=np.float64) for values in (x, y))
        return cls(
            n_users=np.count_nonzero(bottom, axis=-1).astype(np.float64),
            sum_x=top.sum(axis=-1),
            sum_y=bottom.sum(axis=-1),
            sum_xx=np.einsum("...i,...i->...", top, top),
            sum_yy=np.einsum("...i,...i->...", bottom, bottom),
            sum_xy=np.einsum("...i,...i->...", top, bottom),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RatioEstimate:
    """A ratio with its standard error over users, arrays of shape S.

    `value` is NaN where the denominator is 0; `se` also below two users, and where users do not differ at all (no click
    by anyone, or a click on every query): such data shows no spread, and a standard error of 0 would pretend certainty.
    """

    value: Floats
    se: Floats
    n_users: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class RatioComparison:
    """Treatment against control by user, arrays of shape S, NaN wherever a number cannot honestly be given.

    `difference` is treatment - control with standard error `se` and interval `low`..`high`; `z` and `p_value` test that
    it is 0. `relative_change` has the delta-method standard error `relative_se` (for anytime-valid intervals) and the
    Fieller interval `relative_low`..`relative_high`, which agrees with the tests of `non_inferiority`.
    """

    control: RatioEstimate
    treatment: RatioEstimate
    difference: Floats
    se: Floats
    low: Floats
    high: Floats
    z: Floats
    p_value: Floats
    relative_change: Floats
    relative_se: Floats
    relative_low: Floats
    relative_high: Floats
    n_users: Floats
    confidence: float


@dataclass(frozen=True, eq=False, kw_only=True)
class RatioNonInferiority:
    """Whether a loss beyond the relative `margin` is ruled out, or shown; arrays of shape S, NaN where unknown.

    `limit` is the ratio treatment / control at which the margin is used up; `distance` = treatment - limit · control
    has standard error `se` and is what must leave 0 for a decision. `p_value` tests "the loss is at least the margin"
    (small: safe), `p_harmful` "the loss is at most the margin" (small: harmful). `low` and `high` are one-sided bounds
    of the relative change at confidence 1 - `alpha` each.
    """

    margin: float
    direction: str
    limit: float
    alpha: float
    distance: Floats
    se: Floats
    z: Floats
    p_value: Floats
    p_harmful: Floats
    low: Floats
    high: Floats


def ratio_of(moments: UserMoments) -> RatioEstimate:
    """Return sum x / sum y with its delta-method standard error over users.

    With residuals e = x - R·y, which sum to 0, the variance of R is n / (n - 1) · Σe² / (Σy)². Source: Deng, Knoblich &
    Lu 2018, "Applying the Delta Method in Metric Analytics" (KDD), §3.1, written over sums.
    """
    value = ratio(moments.sum_x, moments.sum_y)
    squares = moments.sum_xx - 2 * value * moments.sum_xy + value**2 * moments.sum_yy
    # Σe² is a difference of sums of about sum_xx each; what rounding leaves of an exact 0 is not a spread.
    squares = np.where(squares > 1e-12 * (moments.sum_xx + value**2 * moments.sum_yy), squares, np.nan)
    variance = squares / moments.sum_y**2 * ratio(moments.n_users, np.maximum(moments.n_users - 1, 0))
    return RatioEstimate(value=value, se=np.sqrt(variance), n_users=moments.n_users)


def compare_ratios(
    control: UserMoments | RatioEstimate, treatment: UserMoments | RatioEstimate, *, confidence: float = 0.95
) -> RatioComparison:
    """Compare the ratios of two arms of independent users; see `RatioComparison`.

    Fieller 1954, "Some problems in interval estimation", J. R. Stat. Soc. B 16: the ratios r with
    |T - r·C| <= z·√(se_T² + r²·se_C²). Unbounded, so NaN, where control itself is not told apart from 0.

    Raises
    ------
    ParameterError
        When `confidence` is not between 0.5 and 1.
    """
    check_confidence(confidence)
    c, t = _estimate(control), _estimate(treatment)
    quantile = quantile_of((1 + confidence) / 2)
    difference, se = t.value - c.value, np.hypot(c.se, t.se)
    relative_se = np.hypot(ratio(t.se, c.value), ratio(t.value * c.se, c.value**2))
    low, high = _fieller(c, t, quantile)
    z = ratio(difference, se)
    return RatioComparison(
        control=c,
        treatment=t,
        difference=difference,
        se=se,
        low=difference - quantile * se,
        high=difference + quantile * se,
        z=z,
        p_value=2 * normal_tail(np.abs(z)),
        relative_change=ratio(t.value, c.value) - 1,
        relative_se=relative_se,
        relative_low=low - 1,
        relative_high=high - 1,
        n_users=c.n_users + t.n_users,
        confidence=confidence,
    )


def non_inferiority(
    control: UserMoments | RatioEstimate,
    treatment: UserMoments | RatioEstimate,
    *,
    margin: float,
    direction: Direction = "higher is better",
    alpha: float = 0.05,
) -> RatioNonInferiority:
    """Test by user whether treatment loses less than the relative `margin`.

    The statistic is (T - limit·C) / √(se_T² + limit²·se_C²), whose inversion is the Fieller interval of
    `compare_ratios`; the limit is 1 - margin with "higher is better" and 1 + margin with "lower is better".

    Raises
    ------
    ParameterError
        When `margin` is not between 0 and 1, or `alpha` is not between 0 and 0.5.
    """
    check_alpha(alpha)
    limit = limit_of(margin, direction)
    c, t = _estimate(control), _estimate(treatment)
    distance, se = t.value - limit * c.value, np.hypot(t.se, limit * c.se)
    z = ratio(distance, se)
    above, below = normal_tail(z), normal_tail(-z)
    low, high = _fieller(c, t, quantile_of(1 - alpha))
    is_higher_better = direction == "higher is better"
    return RatioNonInferiority(
        margin=margin,
        direction=direction,
        limit=limit,
        alpha=alpha,
        distance=distance,
        se=se,
        z=z,
        p_value=above if is_higher_better else below,
        p_harmful=below if is_higher_better else above,
        low=low - 1,
        high=high - 1,
    )


def design_effect(moments: UserMoments) -> Floats:
    """Return how many times the variance of a rate over users exceeds that of independent rows.

    For x a count of successes of y rows: the delta-method variance over R·(1 - R) / Σy. Kish 1965, "Survey Sampling",
    §8.2. NaN where the rate is 0 or 1, or no spread is seen.
    """
    found = ratio_of(moments)
    return ratio(found.se**2, ratio(found.value * (1 - found.value), moments.sum_y))


def _estimate(arm: UserMoments | RatioEstimate) -> RatioEstimate:
    return ratio_of(arm) if isinstance(arm, UserMoments) else arm


def _fieller(c: RatioEstimate, t: RatioEstimate, quantile: float) -> tuple[Floats, Floats]:
    """Return the bounds of t / c, NaN where they are not two finite ones."""
    square = c.value**2 - (quantile * c.se) ** 2
    square = np.where(square > 0, square, np.nan)
    product = c.value * t.value
    root = np.sqrt(np.maximum(product**2 - square * (t.value**2 - (quantile * t.se) ** 2), 0))
    return (product - root) / square, (product + root) / square
