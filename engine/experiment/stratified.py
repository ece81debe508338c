"""Arms compared within strata (stages of a ramp, days, segments), where pooling them may reverse the sign.

While the split between the arms changes from stratum to stratum, the pooled totals compare different mixtures of strata
(Simpson's paradox). Mantel-Haenszel estimates compare within each stratum and then average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_arm, check_confidence, check_counts, finite, quantile_of
from engine.experiment.ratios import RatioEstimate, UserMoments, ratio_of
from engine.experiment.srm import homogeneity

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SPLIT_THRESHOLD = 0.001
"""Below this p-value the split between the arms is said to vary over the strata."""


@dataclass(frozen=True, kw_only=True)
class StratifiedEstimate:
    """A Mantel-Haenszel estimate with its interval; None where the strata give none (no success, or nothing else)."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class StratifiedComparison:
    """Treatment against control within strata; rows count as independent.

    `odds_ratio`, `risk_ratio` (treatment / control) and `risk_difference` (treatment - control) are Mantel-Haenszel
    estimates over the `n_strata` that hold both arms; `n_left_out` hold only one. `p_value` is the Cochran-Mantel-
    Haenszel test of no difference, `p_homogeneity` the Breslow-Day test of equal odds ratios; None where undefined.
    """

    odds_ratio: StratifiedEstimate
    risk_ratio: StratifiedEstimate
    risk_difference: StratifiedEstimate
    p_value: float | None
    p_homogeneity: float | None
    n_strata: int
    n_left_out: int
    confidence: float


@dataclass(frozen=True, kw_only=True)
class SimpsonFinding:
    """What pooling the strata would do.

    `pooled` and `stratified` are relative changes (treatment / control - 1), the latter with its interval. `split_p` is
    the chi-square test that the arms share every stratum alike, `split_varies` when it is below `SPLIT_THRESHOLD`.
    `disagrees` when the split varies and the pooled change lies outside the stratified interval; `is_reversed` when the
    two then even have opposite signs.
    """

    pooled: float | None
    stratified: StratifiedEstimate
    split_p: float
    split_varies: bool
    disagrees: bool
    is_reversed: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Standardised:
    """Both arms' ratios averaged over the strata with the same `weights` (strata,), which sum to 1.

    To be compared by `engine.experiment.ratios.compare_ratios(control, treatment)`, as if there were no strata.
    """

    control: RatioEstimate
    treatment: RatioEstimate
    weights: Floats


def compare_strata(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, *, confidence: float = 0.95
) -> StratifiedComparison:
    """Compare two arms within strata; each argument (strata,).

    Odds ratio with the variance of Robins, Breslow & Greenland 1986; risk ratio and difference with those of Greenland
    & Robins 1985, "Estimation of a common effect parameter from sparse follow-up data", Biometrics 41. A stratum
    without rows in one arm compares nothing and is left out.

    Raises
    ------
    ParameterError
        When no stratum holds both arms, an arm has more successes than rows, a count is negative or not finite, or
        `confidence` is not between 0.5 and 1.
    """
    check_confidence(confidence)
    counts = _strata(successes_control, n_control, successes_treatment, n_treatment)
    x0, n0, x1, n1 = _with_both_arms(*counts)
    quantile = quantile_of((1 + confidence) / 2)
    odds_ratio, p_value, p_homogeneity = _odds_ratio(x0, n0, x1, n1, alpha=1 - confidence)
    return StratifiedComparison(
        odds_ratio=odds_ratio,
        risk_ratio=_risk_ratio(x0, n0, x1, n1, quantile),
        risk_difference=_risk_difference(x0, n0, x1, n1, quantile),
        p_value=p_value,
        p_homogeneity=p_homogeneity,
        n_strata=len(n0),
        n_left_out=len(counts[0]) - len(n0),
        confidence=confidence,
    )


def detect_simpson(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, *, confidence: float = 0.95
) -> SimpsonFinding:
    """Tell whether the pooled totals say something else than the strata; each argument (strata,).

    Raises
    ------
    ParameterError
        As `compare_strata`.
    """
    counts = _strata(successes_control, n_control, successes_treatment, n_treatment)
    stratified = compare_strata(*counts, confidence=confidence).risk_ratio
    change = StratifiedEstimate(
        value=None if stratified.value is None else stratified.value - 1,
        low=None if stratified.low is None else stratified.low - 1,
        high=None if stratified.high is None else stratified.high - 1,
    )
    x0, n0, x1, n1 = (values.sum() for values in counts)
    pooled = float(x1 / n1 / (x0 / n0) - 1) if x0 else None
    split = np.stack([counts[1], counts[3]])
    split = split[:, split.sum(axis=0) > 0]
    split_p = homogeneity(split).p_value if split.shape[1] > 1 else 1.0
    split_varies = split_p < SPLIT_THRESHOLD
    disagrees = split_varies and _is_outside(pooled, change)
    return SimpsonFinding(
        pooled=pooled,
        stratified=change,
        split_p=split_p,
        split_varies=split_varies,
        disagrees=disagrees,
        is_reversed=disagrees and pooled is not None and change.value is not None and pooled * change.value < 0,
    )


def standardise(control: UserMoments, treatment: UserMoments) -> Standardised:
    """Average the ratios of strata (strata,) with Mantel-Haenszel weights: y_C·y_T / (y_C + y_T) of the denominators.

    The quotient of the two averages is then the Mantel-Haenszel rate ratio. A user must belong to one stratum only, as
    in segments of users; where users come back in another stratum (days, stages) use `standardise_rows`.

    Raises
    ------
    ParameterError
        When no stratum holds both arms, or the moments have no axis of strata.
    """
    if control.sum_y.ndim != 1 or control.sum_y.shape != treatment.sum_y.shape:
        raise ParameterError(
            "both arms need moments of the same strata", found=f"{control.sum_y.shape} and {treatment.sum_y.shape}"
        )
    shared = (control.sum_y > 0) & (treatment.sum_y > 0)
    weights = _weights(control.sum_y, treatment.sum_y)
    return Standardised(
        control=_average(ratio_of(control[shared]), weights[shared]),
        treatment=_average(ratio_of(treatment[shared]), weights[shared]),
        weights=weights,
    )


def standardise_rows(
    user: npt.NDArray[np.integer],
    stratum: npt.NDArray[np.integer],
    is_treatment: npt.NDArray[np.bool_],
    success: npt.NDArray[np.bool_],
    *,
    n_users: int,
    n_strata: int,
) -> Standardised:
    """Average success rates over strata as `standardise` does, from rows (n,), where a user may be in several strata.

    The variance is that of the sum over a user's rows of weight / rows of the stratum · (success - rate), so whatever
    ties a user's rows of different days together is in it (Taylor linearization; Binder 1983, "On the variances of
    asymptotically normal estimators from complex surveys", Int. Stat. Rev. 51). Rows of a negative stratum are left
    out. Memory: 18 bytes a user.

    Raises
    ------
    ParameterError
        When no stratum holds both arms, the arrays differ in length, or a user or stratum is out of range.
    """
    from engine.experiment.user_kernels import add_residuals, count_strata

    if len({len(user), len(stratum), len(is_treatment), len(success)}) != 1:
        raise ParameterError("user, stratum, arm and success need one entry a row each")
    # The compiled loops check no bounds.
    if len(user) and not (user.min() >= 0 and user.max() < n_users and stratum.max() < n_strata):
        found = f"users {user.min()} to {user.max()}, strata up to {stratum.max()}"
        raise ParameterError(f"rows hold users 0 to {n_users - 1} and strata 0 to {n_strata - 1}", found=found)
    successes, rows = np.zeros((2, n_strata), dtype=np.int64), np.zeros((2, n_strata), dtype=np.int64)
    count_strata(stratum, is_treatment, success, successes, rows)
    weights = _weights(rows[0].astype(np.float64), rows[1].astype(np.float64))
    filled = np.maximum(rows, 1)
    rates = successes / filled
    totals, is_seen = np.zeros((2, n_users)), np.zeros((2, n_users), dtype=np.bool_)
    add_residuals(user, stratum, is_treatment, success, rates, weights / filled, totals, is_seen)
    return Standardised(
        control=_of_residuals(rates[0] @ weights, totals[0], n_users=int(np.count_nonzero(is_seen[0]))),
        treatment=_of_residuals(rates[1] @ weights, totals[1], n_users=int(np.count_nonzero(is_seen[1]))),
        weights=weights,
    )


def _strata(x0: Any, n0: Any, x1: Any, n1: Any) -> tuple[Floats, Floats, Floats, Floats]:
    names = ("the successes of control", "the size of control", "the successes of treatment", "the size of treatment")
    counts = [np.atleast_1d(check_counts(name, values)) for name, values in zip(names, (x0, n0, x1, n1), strict=True)]
    if len({values.shape for values in counts}) != 1 or counts[0].ndim != 1:
        found = ", ".join(str(values.shape) for values in counts)
        raise ParameterError("every stratum needs one count of each kind", found=found)
    return counts[0], counts[1], counts[2], counts[3]


def _with_both_arms(x0: Floats, n0: Floats, x1: Floats, n1: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    shared = (n0 > 0) & (n1 > 0)
    if not shared.any():
        raise _no_shared_stratum()
    x0, n0 = check_arm("control", x0[shared], n0[shared])
    x1, n1 = check_arm("treatment", x1[shared], n1[shared])
    return x0, n0, x1, n1


def _no_shared_stratum() -> ParameterError:
    return ParameterError("at least one stratum must hold both arms", hint="Keep a holdback in every stage of a ramp")


def _odds_ratio(
    x0: Floats, n0: Floats, x1: Floats, n1: Floats, *, alpha: float
) -> tuple[StratifiedEstimate, float | None, float | None]:
    """Return the pooled odds ratio, the Cochran-Mantel-Haenszel p-value and the Breslow-Day one."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    nothing = StratifiedEstimate(value=None, low=None, high=None)
    both_outcomes = (x0 + x1 > 0) & (x0 + x1 < n0 + n1)
    x0, n0, x1, n1 = (values[both_outcomes] for values in (x0, n0, x1, n1))
    if not len(n0):
        return nothing, None, None
    tables = StratifiedTable(np.stack([np.stack([x1, n1 - x1]), np.stack([x0, n0 - x0])]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = finite(tables.oddsratio_pooled)
        p_value = finite(tables.test_null_odds(correction=False).pvalue)
        if not value:
            return StratifiedEstimate(value=value, low=None, high=None), p_value, None
        low, high = tables.oddsratio_pooled_confint(alpha=alpha)
        homogeneity = finite(tables.test_equal_odds().pvalue) if len(n0) > 1 else None
    return StratifiedEstimate(value=value, low=finite(low), high=finite(high)), p_value, homogeneity


def _risk_ratio(x0: Floats, n0: Floats, x1: Floats, n1: Floats, quantile: float) -> StratifiedEstimate:
    total = n0 + n1
    top, bottom = float((x1 * n0 / total).sum()), float((x0 * n1 / total).sum())
    if not bottom:
        return StratifiedEstimate(value=None, low=None, high=None)
    if not top:
        return StratifiedEstimate(value=0.0, low=None, high=None)
    value = top / bottom
    spread = float(((n1 * n0 * (x0 + x1) - x1 * x0 * total) / total**2).sum())
    if spread <= 0:  # successes only: an interval of no width would pretend certainty
        return StratifiedEstimate(value=value, low=None, high=None)
    half_width = quantile * math.sqrt(spread / (top * bottom))
    return StratifiedEstimate(value=value, low=value * math.exp(-half_width), high=value * math.exp(half_width))


def _risk_difference(x0: Floats, n0: Floats, x1: Floats, n1: Floats, quantile: float) -> StratifiedEstimate:
    weights = n0 * n1 / (n0 + n1)
    value = float((weights * (x1 / n1 - x0 / n0)).sum() / weights.sum())
    variances = x1 * (n1 - x1) / n1**3 + x0 * (n0 - x0) / n0**3
    half_width = quantile * float(np.sqrt((weights**2 * variances).sum()) / weights.sum())
    if not half_width:
        return StratifiedEstimate(value=value, low=None, high=None)
    return StratifiedEstimate(value=value, low=value - half_width, high=value + half_width)


def _is_outside(value: float | None, interval: StratifiedEstimate) -> bool:
    if value is None or interval.low is None or interval.high is None:
        return False
    return not interval.low <= value <= interval.high


def _weights(rows_control: Floats, rows_treatment: Floats) -> Floats:
    total = rows_control + rows_treatment
    weights = rows_control * rows_treatment / np.where(total > 0, total, 1)
    if not weights.any():
        raise _no_shared_stratum()
    normalised: Floats = weights / weights.sum()
    return normalised


def _average(strata: RatioEstimate, weights: Floats) -> RatioEstimate:
    return RatioEstimate(
        value=np.asarray(weights @ strata.value),
        # A stratum without spread (a handful of users) adds none instead of taking the whole answer away.
        se=np.sqrt(_sum_or_nan((weights * strata.se) ** 2)),
        n_users=np.asarray(strata.n_users.sum()),
    )


def _sum_or_nan(values: Floats) -> Floats:
    return np.asarray(np.nan if np.isnan(values).all() else np.nansum(values))


def _of_residuals(value: float, totals: Floats, *, n_users: int) -> RatioEstimate:
    squares = float(totals @ totals)
    se = math.sqrt(squares * n_users / (n_users - 1)) if n_users > 1 and squares > 0 else math.nan
    return RatioEstimate(value=np.asarray(value), se=np.asarray(se), n_users=np.asarray(float(n_users)))
