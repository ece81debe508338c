"""How many users a test needs, what it can see with those it has, and how long that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_alpha, check_counts, check_power, limit_of, normal_tail, quantile_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.experiment.checks import Direction

    Floats = npt.NDArray[np.float64]

Method = Literal["unpooled", "arcsine"]
Contrast = Literal["difference", "ratio"]
Change = Literal["decrease", "increase"]

_MOST_USERS = 10**11
"""More users than there are people will never come: then nothing settles the question."""

MOST_DAYS = 36_500
"""Nobody plans for more than a century."""

_TREND_DAYS = 7
_HALVINGS = 48  # of a change between nothing and everything: 1 / 2^48 is nothing


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """Rows and users that each arm needs for `power` at `alpha`.

    `n_control` and `n_treatment` are rows (queries), already multiplied by `design_effect`; `users_control` and
    `users_treatment` are rows / `rows_per_user`.
    """

    n_control: int
    n_treatment: int
    users_control: int
    users_treatment: int
    alpha: float
    power: float
    design_effect: float
    rows_per_user: float


def sample_size(
    rate: float,
    relative_change: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    method: Method = "unpooled",
    allocation: float = 1.0,
    design_effect: float = 1.0,
    rows_per_user: float = 1.0,
) -> SampleSize:
    """Return what a two-sided test needs to find control's `rate` changed by `relative_change` (-0.05: 5 % lower).

    "unpooled": (z(1 - α/2) + z(power))²·(p_C·q_C + p_T·q_T/k) / (p_T - p_C)² rows in control with k = `allocation` =
    treatment / control (Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and Proportions", §4.2, without
    continuity correction). "arcsine": Cohen's h (Cohen 1988, "Statistical Power Analysis", §6). The `design_effect` is
    1 for one row a user, else `engine.experiment.ratios.design_effect` of past traffic.

    >>> sample_size(0.12, -0.05).n_control, sample_size(0.12, -0.05, method="arcsine").n_control
    (45045, 45042)

    Raises
    ------
    ParameterError
        When the rate or the changed rate is not between 0 and 1, there is no change, or an option is out of range.
    """
    check_alpha(alpha)
    check_power(power)
    changed = _changed(rate, relative_change)
    if not relative_change:
        raise ParameterError("no number of users can find a change of 0", hint="Ask for non-inferiority instead")
    _check_allocation(allocation)
    if method == "unpooled":
        z = quantile_of(1 - alpha / 2) + quantile_of(power)
        variance = rate * (1 - rate) + changed * (1 - changed) / allocation
        rows = z**2 * variance / (changed - rate) ** 2
    elif method == "arcsine":
        rows = _arcsine_rows(rate, changed, alpha=alpha, power=power, allocation=allocation)
    else:
        raise ParameterError("the method is 'unpooled' or 'arcsine'", found=method)
    return _size(rows, allocation, alpha, power, design_effect, rows_per_user)


def non_inferiority_sample_size(
    rate: float,
    margin: float,
    *,
    relative_change: float = 0.0,
    direction: Direction = "higher is better",
    contrast: Contrast = "difference",
    alpha: float = 0.05,
    power: float = 0.8,
    allocation: float = 1.0,
    design_effect: float = 1.0,
    rows_per_user: float = 1.0,
) -> SampleSize:
    """Return what it takes to rule out a loss of the relative `margin`, one-sided, if the truth is `relative_change`.

    (z(1 - α) + z(power))²·variance / distance² rows in control. With contrast "difference" the loss allowed is the
    fixed difference margin·rate, and the variance p_C·q_C + p_T·q_T/k (Chow, Shao & Wang 2008, "Sample Size
    Calculations in Clinical Research", §4.2.2). "ratio" plans the tests that this room runs, whose limit moves with
    control's measured rate: variance limit²·p_C·q_C + p_T·q_T/k.

    >>> non_inferiority_sample_size(0.12, 0.05).n_control
    36271

    Raises
    ------
    ParameterError
        When the true change is a loss of the margin or more, or a parameter is out of range.
    """
    check_alpha(alpha)
    check_power(power)
    distance, variance = _contrast(rate, margin, relative_change, direction, contrast, allocation)
    if distance <= 0:
        found = f"a true change of {relative_change:g} and a margin of {margin:g}"
        raise ParameterError("a loss of the whole margin can never be ruled out", found=found)
    rows = (quantile_of(1 - alpha) + quantile_of(power)) ** 2 * variance / distance**2
    return _size(rows, allocation, alpha, power, design_effect, rows_per_user)


def power_at(
    n_control: Any,
    rate: float,
    relative_change: Any,
    *,
    alpha: float = 0.05,
    allocation: float = 1.0,
    design_effect: float = 1.0,
) -> Floats:
    """Return the power of the two-sided test with `n_control` rows in control: a power curve where that is an array.

    `relative_change` may be an array as well; both broadcast. Both tails count, so a change of 0 has power `alpha`.
    Variances as `sample_size` with "unpooled".

    Raises
    ------
    ParameterError
        When a rate leaves 0..1 or an option is out of range.
    """
    check_alpha(alpha)
    rows = _effective_rows(n_control, allocation, design_effect)
    changed = _changed(rate, relative_change)
    se = np.sqrt((rate * (1 - rate) + changed * (1 - changed) / allocation) / rows)
    shift, z = np.abs(changed - rate) / se, quantile_of(1 - alpha / 2)
    return normal_tail(z - shift) + normal_tail(z + shift)


def non_inferiority_power(
    n_control: Any,
    rate: float,
    margin: float,
    *,
    relative_change: float = 0.0,
    direction: Direction = "higher is better",
    contrast: Contrast = "difference",
    alpha: float = 0.05,
    allocation: float = 1.0,
    design_effect: float = 1.0,
) -> Floats:
    """Return the chance to rule out a loss of `margin` with `n_control` rows (an array gives a curve).

    Formula and options as `non_inferiority_sample_size`; at a true loss of the whole margin it is `alpha`.

    Raises
    ------
    ParameterError
        When a rate leaves 0..1 or an option is out of range.
    """
    check_alpha(alpha)
    rows = _effective_rows(n_control, allocation, design_effect)
    distance, variance = _contrast(rate, margin, relative_change, direction, contrast, allocation)
    return normal_tail(quantile_of(1 - alpha) - distance / np.sqrt(variance / rows))


def minimum_detectable_change(
    n_control: Any,
    rate: float,
    *,
    change: Change = "decrease",
    alpha: float = 0.05,
    power: float = 0.8,
    allocation: float = 1.0,
    design_effect: float = 1.0,
) -> Floats:
    """Return the smallest relative change that `n_control` rows find with `power`; negative for a decrease.

    The root of `power_at`, in the shape of `n_control`. NaN where even a rate of 0 (or of 1, for an increase) would be
    found less often.

    Raises
    ------
    ParameterError
        When a parameter is out of range.
    """
    check_power(power)
    _changed(rate, 0)
    if change not in {"decrease", "increase"}:
        raise ParameterError("the change is a 'decrease' or an 'increase'", found=change)
    if power <= alpha:
        raise ParameterError("the power must be above alpha", found=f"power {power:g}, alpha {alpha:g}")
    # Just inside of rates 0 and 1, which are no rates to plan with.
    most = -1 + 1e-9 if change == "decrease" else ((1 - 1e-9) / rate - 1)
    rows = np.asarray(n_control, dtype=np.float64)
    options = {"alpha": alpha, "allocation": allocation, "design_effect": design_effect}
    missed, found = np.zeros(rows.shape), np.full(rows.shape, most)
    is_never = power_at(rows, rate, found, **options) < power
    for _ in range(_HALVINGS):
        middle = (missed + found) / 2
        is_missed = power_at(rows, rate, middle, **options) < power
        missed, found = np.where(is_missed, middle, missed), np.where(is_missed, found, middle)
    return np.where(is_never, np.nan, found)


def days_needed(n_per_arm: float, new_users_by_day: Sequence[float] | float, *, share: float = 0.5) -> int | None:
    """Return after how many days an arm with `share` of the traffic has `n_per_arm` users; None beyond a century.

    `new_users_by_day` counts users seen for the first time, of both arms together: users who come back add rows but no
    users. A number means as many every day; after the end of a series the mean of its last week goes on.

    >>> days_needed(45_045, 10_000), days_needed(100, [150, 50, 0])
    (10, 2)

    Raises
    ------
    ParameterError
        When a count is negative or not finite, or `share` is not above 0 and at most 1.
    """
    needed = float(check_counts("the users an arm needs", n_per_arm))
    days = np.atleast_1d(check_counts("the new users of a day", new_users_by_day))
    if not 0 < share <= 1:
        raise ParameterError("the share of an arm must be above 0 and at most 1", found=share)
    if not len(days):
        raise ParameterError("the new users of at least one day must be known")
    if not needed:
        return 0
    reached = np.cumsum(days) * share
    # The sum of a share of users may miss a whole number by a rounding error.
    enough = reached >= needed * (1 - 1e-12)
    if enough.any():
        return int(np.argmax(enough)) + 1
    pace = float(days[-_TREND_DAYS:].mean()) * share
    if not pace:
        return None
    total = len(days) + math.ceil((needed - float(reached[-1])) / pace * (1 - 1e-12))
    return total if total <= MOST_DAYS else None


def further_users(distance: float, se: float, n_users: float, *, alpha: float = 0.05) -> int | None:
    """Return how many more users settle a one-sided comparison if distance and spread stay as observed.

    `distance` is estimate - limit and `se` its standard error at `n_users` (of both arms, which grow alike). The
    distance is told from 0, on whichever side it lies, at n·(z(1 - α)·se / distance)² users (Cochran 1977, "Sampling
    Techniques", §4.6). 0 when it already is. None where nothing would settle it: the estimate is the limit, there is no
    spread to judge by, or it would take more users than there are people.

    Raises
    ------
    ParameterError
        When `alpha` is not between 0 and 0.5.
    """
    check_alpha(alpha)
    if not (math.isfinite(distance) and math.isfinite(se) and distance and se > 0 and n_users >= 1):
        return None
    factor = (quantile_of(1 - alpha) * se / abs(distance)) ** 2
    further = (factor - 1) * n_users
    return None if further > _MOST_USERS else max(0, math.ceil(further))


def _changed(rate: float, relative_change: Any) -> Any:
    """Return the rate after the change, in the type of `relative_change`."""
    if not 0 < rate < 1:
        raise ParameterError("the rate of control must be above 0 and below 1", found=rate, hint="12 % is 0.12")
    changed = rate * (1 + relative_change)
    if not np.all((changed > 0) & (changed < 1)):
        rule = "the changed rate must be above 0 and below 1"
        raise ParameterError(rule, found=f"{rate:g} changed by {relative_change}", hint="A loss of 5 % is -0.05")
    return changed


def _contrast(
    rate: float, margin: float, relative_change: float, direction: Direction, contrast: Contrast, allocation: float
) -> tuple[float, float]:
    """Return the distance to the limit (positive when the truth is safe) and the variance of one row in control."""
    _check_allocation(allocation)
    limit, changed = limit_of(margin, direction), _changed(rate, relative_change)
    if contrast not in {"difference", "ratio"}:
        raise ParameterError("the contrast is 'difference' or 'ratio'", found=contrast)
    factor = limit if contrast == "ratio" else 1.0
    distance = changed - limit * rate
    variance = factor**2 * rate * (1 - rate) + changed * (1 - changed) / allocation
    return (distance if direction == "higher is better" else -distance), variance


def _arcsine_rows(rate: float, changed: float, *, alpha: float, power: float, allocation: float) -> float:
    effect = 2 * math.asin(math.sqrt(changed)) - 2 * math.asin(math.sqrt(rate))
    return ((quantile_of(1 - alpha / 2) + quantile_of(power)) / effect) ** 2 * (1 + 1 / allocation)


def _size(
    rows: float, allocation: float, alpha: float, power: float, design_effect: float, rows_per_user: float
) -> SampleSize:
    _check_design_effect(design_effect)
    if not 1 <= rows_per_user < math.inf:
        raise ParameterError("the rows a user must be at least 1", found=rows_per_user)
    # Rounded up, but for a hundred-thousandth, which changes no power: 36,271.002 rows are 36,271.
    n_control = math.ceil(rows * design_effect * (1 - 1e-5))
    n_treatment = math.ceil(rows * allocation * design_effect * (1 - 1e-5))
    return SampleSize(
        n_control=n_control,
        n_treatment=n_treatment,
        users_control=math.ceil(n_control / rows_per_user),
        users_treatment=math.ceil(n_treatment / rows_per_user),
        alpha=alpha,
        power=power,
        design_effect=design_effect,
        rows_per_user=rows_per_user,
    )


def _effective_rows(n_control: Any, allocation: float, design_effect: float) -> Floats:
    _check_allocation(allocation)
    _check_design_effect(design_effect)
    return check_counts("the rows of control", n_control, at_least=1) / design_effect


def _check_allocation(allocation: float) -> None:
    if not 0 < allocation < math.inf:
        raise ParameterError("the allocation (treatment / control) must be above 0 and finite", found=allocation)


def _check_design_effect(design_effect: float) -> None:
    if not 0 < design_effect < math.inf:
        raise ParameterError("the design effect must be above 0 and finite", found=design_effect)
