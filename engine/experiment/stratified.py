"""Arms compared within strata (stages of a ramp, segments), where pooling them may reverse the sign.

While the split between the arms changes from stratum to stratum, the pooled totals compare different mixtures of strata
(Simpson's paradox). Mantel-Haenszel estimates compare within each stratum and then average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_arm, check_confidence, check_counts, finite
from engine.experiment.ratios import RatioEstimate
from engine.experiment.results import Estimate

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Standardised:
    """Both arms' ratios averaged over the strata with the same weights.

    To be compared by `engine.experiment.ratios.compare_ratios(control, treatment)`, as if there were no strata.
    """

    control: RatioEstimate
    treatment: RatioEstimate


def common_odds_ratio(
    successes_control: Any, n_control: Any, successes_treatment: Any, n_treatment: Any, *, confidence: float = 0.95
) -> Estimate:
    """Return the Mantel-Haenszel odds ratio, treatment against control, of strata; each argument (strata,).

    Interval with the variance of Robins, Breslow & Greenland 1986, "Estimators of the Mantel-Haenszel variance
    consistent in both sparse data and large-strata limiting models", Biometrics 42; rows count as independent. A
    stratum without rows in one arm, without a success or with nothing else compares nothing and is left out; all None
    where no other is left.

    Raises
    ------
    ParameterError
        When an arm has more successes than rows, a count is negative or not finite, the strata are ragged, or
        `confidence` is not between 0.5 and 1.
    """
    from statsmodels.stats.contingency_tables import StratifiedTable

    check_confidence(confidence)
    x0, n0, x1, n1 = _strata(successes_control, n_control, successes_treatment, n_treatment)
    tells = (n0 > 0) & (n1 > 0) & (x0 + x1 > 0) & (x0 + x1 < n0 + n1)
    if not tells.any():
        return Estimate(value=None, low=None, high=None)
    x0, n0 = check_arm("control", x0[tells], n0[tells])
    x1, n1 = check_arm("treatment", x1[tells], n1[tells])
    tables = StratifiedTable(np.stack([np.stack([x1, n1 - x1]), np.stack([x0, n0 - x0])]))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = finite(tables.oddsratio_pooled)
        low, high = tables.oddsratio_pooled_confint(alpha=1 - confidence) if value else (math.nan, math.nan)
    return Estimate(value=value, low=finite(low), high=finite(high))


def standardise_rows(
    user: npt.NDArray[np.integer],
    stratum: npt.NDArray[np.integer],
    is_treatment: npt.NDArray[np.bool_],
    success: npt.NDArray[np.bool_],
    *,
    n_users: int,
    n_strata: int,
) -> Standardised:
    """Average success rates over strata with Mantel-Haenszel weights, from rows (n,): a user may be in several strata.

    The weights are n_C·n_T / (n_C + n_T) of the rows, so that the quotient of the averages is the Mantel-Haenszel rate
    ratio. The variance is that of the sum over a user's rows of weight / rows of the stratum · (success - rate), so
    whatever ties a user's rows of different days together is in it (Taylor linearization; Binder 1983, "On the
    variances of asymptotically normal estimators from complex surveys", Int. Stat. Rev. 51). Rows of a negative stratum
    are left out. Memory: 18 bytes a user.

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
    )


def _strata(x0: Any, n0: Any, x1: Any, n1: Any) -> tuple[Floats, Floats, Floats, Floats]:
    names = ("the successes of control", "the size of control", "the successes of treatment", "the size of treatment")
    counts = [np.atleast_1d(check_counts(name, values)) for name, values in zip(names, (x0, n0, x1, n1), strict=True)]
    if len({values.shape for values in counts}) != 1 or counts[0].ndim != 1:
        found = ", ".join(str(values.shape) for values in counts)
        raise ParameterError("every stratum needs one count of each kind", found=found)
    return counts[0], counts[1], counts[2], counts[3]


def _weights(rows_control: Floats, rows_treatment: Floats) -> Floats:
    total = rows_control + rows_treatment
    weights = rows_control * rows_treatment / np.where(total > 0, total, 1)
    if not weights.any():
        raise ParameterError(
            "at least one stratum must hold both arms", hint="Keep a holdback in every stage of a ramp"
        )
    normalised: Floats = weights / weights.sum()
    return normalised


def _of_residuals(value: float, totals: Floats, *, n_users: int) -> RatioEstimate:
    squares = float(totals @ totals)
    se = math.sqrt(squares * n_users / (n_users - 1)) if n_users > 1 and squares > 0 else math.nan
    return RatioEstimate(value=np.asarray(value), se=np.asarray(se), n_users=np.asarray(float(n_users)))
