"""Latency percentiles of users with several queries each: intervals that do not count a user's queries as independent.

The order-statistic interval is taken at the effective number of rows: n over the design effect of the indicator "row
above the percentile", whose variance is counted between users. Inverting the interval of a share into one of its
quantile is Woodruff 1952, "Confidence intervals for medians and other position measures", JASA 47; for clusters
Francisco & Fuller 1991, Annals of Statistics 19, and for online tests Deng, Knoblich & Lu 2018 (KDD), §4; the effective
number in an exact binomial interval is Korn & Graubard 1998, Survey Methodology 24.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_alpha, check_confidence, quantile_of
from engine.tradeoff.percentiles import PercentileRanks, percentile_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class ClusteredPercentile:
    """A percentile of `n` rows of `n_users` users with its interval, in the unit of the values.

    `n_even_users` is how many users with equally many rows each would tell as much, (Σx)² / Σx². `design_effect` is how
    many times the variance exceeds that of independent rows, at least 1; `n_effective` = n / design effect.
    `low` and `high` are None where that is too few for a two-sided interval; `reason` then says so.
    `value` is None, too, where there is no row at all.
    """

    share: float
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_users: int
    n_even_users: float
    n_effective: float
    design_effect: float
    confidence: float
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class PercentileChange:
    """The relative change of a percentile, treatment / control - 1, with its interval.

    All None where an arm has no interval or a percentile is not positive; `reason` then says why.
    """

    share: float
    relative_change: float | None
    low: float | None
    high: float | None
    confidence: float
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class PercentileNonInferiority:
    """Whether an increase of a percentile beyond the relative `margin` is ruled out, or shown; None where unknown.

    `p_value` tests "the increase is at least the margin" (small: safe), `p_harmful` "it is at most the margin" (small:
    harmful). `distance` is log(ratio) - log(1 + margin), with standard error `se` on the side of the margin.
    """

    share: float
    margin: float
    distance: float | None
    se: float | None
    p_value: float | None
    p_harmful: float | None


def clustered_percentiles(
    values: npt.NDArray[np.floating],
    user: npt.NDArray[np.integer],
    *,
    n_users: int,
    shares: Sequence[float] = SHARES,
    confidence: float = 0.95,
) -> tuple[ClusteredPercentile, ...]:
    """Return the percentiles of one arm's `values` (n,) with intervals clustered by `user` (n,).

    `user` holds indices below `n_users`; a NaN value is a missing one and no row. The estimate of share p is the value
    of rank ceil(n·p). Two passes and one partial sort; memory: a copy of the values and 4 bytes a user and share.

    >>> ten = clustered_percentiles(np.arange(1.0, 11.0), np.arange(10), n_users=10, shares=(0.5,))
    >>> ten[0].low, ten[0].value, ten[0].high
    (2.0, 5.0, 9.0)

    Raises
    ------
    ParameterError
        When a share is not between 0 and 1, `confidence` is not between 0.5 and 1, `values` and `user` differ in
        length, or a user index is negative or not below `n_users`.
    """
    check_confidence(confidence)
    _check_rows(values, user, n_users, shares)
    ascending = values[~np.isnan(values)]
    n = len(ascending)
    if not n:
        return tuple(_empty(share, confidence) for share in shares)
    estimates = [percentile_ranks(n, share, confidence=confidence).rank for share in shares]
    ascending.partition([rank - 1 for rank in estimates])
    levels = ascending[[rank - 1 for rank in estimates]]
    effects, rows_of_user = _design_effects(values, user, levels, n_users=n_users)
    n_seen = len(rows_of_user)
    ranks = [_clustered_ranks(n, effect, share, confidence) for effect, share in zip(effects, shares, strict=True)]
    bounds = sorted({rank - 1 for found in ranks for rank in (found.low, found.high) if rank is not None})
    if bounds:
        ascending.partition(bounds)
    return tuple(
        ClusteredPercentile(
            share=share,
            value=float(level),
            low=None if found.low is None or n_seen < 2 else float(ascending[found.low - 1]),
            high=None if found.high is None or n_seen < 2 else float(ascending[found.high - 1]),
            n=n,
            n_users=n_seen,
            n_even_users=float(n**2 / (rows_of_user @ rows_of_user)),
            n_effective=n / effect if n_seen > 1 else 1.0,
            design_effect=effect if n_seen > 1 else float(n),
            confidence=confidence,
            reason=_reason(found, n, n_seen, share),
        )
        for share, level, effect, found in zip(shares, levels, effects, ranks, strict=True)
    )


def compare_percentiles(control: ClusteredPercentile, treatment: ClusteredPercentile) -> PercentileChange:
    """Return the relative change of a percentile between two arms of independent users.

    On the log scale the distances from estimate to bound of both arms are squared and added, each side for itself, as
    intervals of percentiles lean to one side: Zou & Donner 2008, "Construction of confidence limits about effect
    measures", Statistics in Medicine 27.

    Raises
    ------
    ParameterError
        When the two are not the same percentile at the same confidence.
    """
    if (control.share, control.confidence) != (treatment.share, treatment.confidence):
        found = f"p{100 * control.share:g} and p{100 * treatment.share:g}"
        raise ParameterError("both arms need the same percentile at the same confidence", found=found)
    reason = _no_change_because(control, treatment)
    share, confidence = control.share, control.confidence
    if reason:
        relative = None
        if control.value and treatment.value is not None and control.value > 0:
            relative = treatment.value / control.value - 1
        return PercentileChange(
            share=share, relative_change=relative, low=None, high=None, confidence=confidence, reason=reason
        )
    c_value, c_low, c_high = _logs(control)
    t_value, t_low, t_high = _logs(treatment)
    change = t_value - c_value
    low = change - math.hypot(t_value - t_low, c_high - c_value)
    high = change + math.hypot(t_high - t_value, c_value - c_low)
    return PercentileChange(
        share=share,
        relative_change=math.expm1(change),
        low=math.expm1(low),
        high=math.expm1(high),
        confidence=confidence,
        reason=None,
    )


def percentile_non_inferiority(change: PercentileChange, *, margin: float) -> PercentileNonInferiority:
    """Test whether a percentile rises by less than the relative `margin` (above 0; 1 allows twice the latency).

    Each side of the interval of `change` gives a standard error on the log scale, half-width / z, and the side that
    faces the margin is used: so a p-value is below half of 1 - confidence exactly when that bound is off the margin.

    Raises
    ------
    ParameterError
        When `margin` is not above 0 and finite.
    """
    if not 0 < margin < math.inf:
        raise ParameterError("the margin of a percentile must be above 0", found=margin, hint="0.1 allows 10 % more")
    nothing = PercentileNonInferiority(
        share=change.share, margin=margin, distance=None, se=None, p_value=None, p_harmful=None
    )
    if change.relative_change is None or change.low is None or change.high is None:
        return nothing
    estimate = math.log1p(change.relative_change)
    distance = estimate - math.log1p(margin)
    bound = math.log1p(change.high if distance < 0 else change.low)
    se = abs(bound - estimate) / quantile_of((1 + change.confidence) / 2)
    if not se:
        return nothing
    below = math.erfc(-distance / se / math.sqrt(2)) / 2
    return PercentileNonInferiority(
        share=change.share, margin=margin, distance=distance, se=se, p_value=below, p_harmful=1 - below
    )


def one_sided_bound(change: PercentileChange, *, alpha: float = 0.05, side: str = "high") -> float | None:
    """Return the one-sided bound of a relative change at confidence 1 - `alpha`, from the same side of its interval.

    `side` is ``high`` or ``low``. None where the interval has none.
    """
    check_alpha(alpha)
    bound = change.high if side == "high" else change.low
    if change.relative_change is None or bound is None:
        return None
    estimate = math.log1p(change.relative_change)
    scale = quantile_of(1 - alpha) / quantile_of((1 + change.confidence) / 2)
    return math.expm1(estimate + (math.log1p(bound) - estimate) * scale)


def _check_rows(
    values: npt.NDArray[np.floating], user: npt.NDArray[np.integer], n_users: int, shares: Sequence[float]
) -> None:
    if values.shape != user.shape or values.ndim != 1:
        raise ParameterError("every value needs one user", found=f"{values.shape} values, {user.shape} users")
    if len(user) and not (user.min() >= 0 and user.max() < n_users):
        raise ParameterError(f"users are numbered from 0 to {n_users - 1:,}", found=f"{user.min()} to {user.max()}")
    for share in shares:
        if not 0 < share < 1:
            raise ParameterError("the share of a percentile must be between 0 and 1", found=share)


def _design_effects(
    values: npt.NDArray[np.floating], user: npt.NDArray[np.integer], levels: npt.NDArray[np.floating], *, n_users: int
) -> tuple[list[float], npt.NDArray[np.float64]]:
    """Return the design effect of "above the level" for each level, and the rows of every user who has any."""
    from engine.experiment.user_kernels import count_above

    above, rows = np.zeros((n_users, len(levels)), dtype=np.int32), np.zeros(n_users, dtype=np.int32)
    count_above(values, user, levels, above, rows)
    seen = rows > 0
    above, rows_of_user, n_seen = above[seen], rows[seen].astype(np.float64), int(np.count_nonzero(seen))
    n = float(rows_of_user.sum())
    effects = []
    for column in range(len(levels)):
        share = float(above[:, column].sum(dtype=np.int64)) / n
        if n_seen < 2 or share in {0, 1}:
            # No row is above (the largest value is tied): no spread to cluster, so a user counts as one observation.
            effects.append(float(rows_of_user @ rows_of_user) / n)
            continue
        residuals = above[:, column] - share * rows_of_user
        variance = float(residuals @ residuals) * n_seen / (n_seen - 1) / n**2
        # Over n - 1 as well, so that users of one row each have a design effect of exactly 1.
        effects.append(max(1.0, variance * (n - 1) / (share * (1 - share))))
    return effects, rows_of_user


def _clustered_ranks(n: int, effect: float, share: float, confidence: float) -> PercentileRanks:
    """Return the ranks among `n` rows, bounds stretched from those of n / effect independent ones."""
    fewer = max(1, math.floor(n / effect + 1e-9))
    found = percentile_ranks(fewer, share, confidence=confidence)
    rank = percentile_ranks(n, share, confidence=confidence).rank
    if found.low is None or found.high is None:
        return PercentileRanks(n=fewer, rank=rank, low=None, high=None, reason=found.reason)
    low = min(rank, max(1, math.floor(found.low * n / fewer)))
    high = max(rank, min(n, math.ceil(found.high * n / fewer)))
    return PercentileRanks(n=fewer, rank=rank, low=low, high=high)


def _reason(found: PercentileRanks, n: int, n_seen: int, share: float) -> str | None:
    if n_seen < 2:
        return f"p{100 * share:g} has no interval, as all rows are of one user"
    if found.reason is None or found.n == n:
        return found.reason
    return f"{found.reason.partition(';')[0]}; {n:,} rows of {n_seen:,} users count as {found.n:,}"


def _empty(share: float, confidence: float) -> ClusteredPercentile:
    return ClusteredPercentile(
        share=share,
        value=None,
        low=None,
        high=None,
        n=0,
        n_users=0,
        n_even_users=0.0,
        n_effective=0.0,
        design_effect=1.0,
        confidence=confidence,
        reason=f"p{100 * share:g} needs at least one row",
    )


def _no_change_because(control: ClusteredPercentile, treatment: ClusteredPercentile) -> str | None:
    for name, arm in (("control", control), ("treatment", treatment)):
        if arm.low is None or arm.high is None:
            return f"in the {name} {arm.reason}"
        if not 0 < arm.low <= arm.high < math.inf:
            return f"in the {name} the interval of p{100 * arm.share:g} is not positive and finite"
    return None


def _logs(arm: ClusteredPercentile) -> tuple[float, float, float]:
    value, low, high = arm.value or math.nan, arm.low or math.nan, arm.high or math.nan
    return math.log(value), math.log(low), math.log(high)
