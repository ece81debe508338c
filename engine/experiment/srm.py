"""Sample-ratio mismatch: whether the arms hold the users that the split promised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_counts, normal_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SRM_THRESHOLD = 0.001
"""Below this p-value the assignment is broken, and no metric may be read."""

MIN_EXPECTED = 5.0
"""Below this many expected users in an arm the chi-square distribution is no fair approximation."""


@dataclass(frozen=True, kw_only=True)
class SrmCheck:
    """Whether the observed split of users fits the intended one.

    `expected` users an arm; `is_broken` when `p_value` is below `threshold`. `is_enough_data` is False where an arm was
    to hold fewer than `MIN_EXPECTED` users: then nothing is called broken.
    """

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    statistic: float
    p_value: float
    threshold: float
    is_broken: bool
    is_enough_data: bool


@dataclass(frozen=True, kw_only=True)
class Homogeneity:
    """Whether the rows of a table of counts share their columns alike.

    Pearson's chi-square of independence without continuity correction; `least_expected` is the smallest expected count.
    """

    statistic: float
    p_value: float
    least_expected: float


def homogeneity(table: npt.NDArray[Any]) -> Homogeneity:
    """Test a table of counts (rows, columns) of which no row and no column is empty."""
    counts = table.astype(np.float64)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    return Homogeneity(
        statistic=statistic,
        p_value=chi_square_tail(statistic, degrees),
        least_expected=float(expected.min()),
    )


def chi_square_tail(statistic: float, degrees: int) -> float:
    """Return the probability that a chi-square variable of `degrees` of freedom exceeds `statistic`."""
    if degrees == 1:  # two arms: the square of a normal
        return 2 * float(normal_tail(math.sqrt(statistic)))
    from scipy.special import chdtrc  # here, so that reading totals loads no SciPy

    return float(chdtrc(degrees, statistic)) if degrees else 1.0


def check_srm(counts: Sequence[int], shares: Sequence[float], *, threshold: float = SRM_THRESHOLD) -> SrmCheck:
    """Test the users of each arm against the intended `shares` by Pearson's chi-square.

    Shares need not sum to 1: (1, 1) and (50, 50) mean the same. Source: Fabijan et al. 2019, "Diagnosing Sample Ratio
    Mismatch in Online Controlled Experiments" (KDD), who also set the threshold of 0.001 against false alarms.

    >>> check_srm([1000, 1200], [1, 1]).is_broken
    True

    Raises
    ------
    ParameterError
        When there are fewer than two arms, as many shares as arms are missing, a share is not positive, a count is
        negative, no user was assigned at all, or `threshold` is not between 0 and 1.
    """
    if len(counts) < 2 or len(counts) != len(shares):
        found = f"{len(counts)} counts and {len(shares)} shares"
        raise ParameterError("a split needs one count and one share for each of two or more arms", found=found)
    if not 0 < threshold < 1:
        raise ParameterError("the threshold of the split check must be between 0 and 1", found=threshold)
    observed = check_counts("the users of an arm", counts)
    intended = check_counts("the share of an arm", shares)
    if (intended == 0).any():
        raise ParameterError("every arm must have a share above 0", found=", ".join(f"{share:g}" for share in intended))
    if not observed.sum():
        raise ParameterError("the split can be checked once a user was assigned", found="no user in any arm")
    expected = intended / intended.sum() * observed.sum()
    statistic = float(((observed - expected) ** 2 / expected).sum())
    p_value = chi_square_tail(statistic, len(counts) - 1)
    is_enough_data = bool(np.min(expected) >= MIN_EXPECTED)
    return SrmCheck(
        counts=tuple(int(count) for count in observed),
        expected=tuple(float(users) for users in expected),
        statistic=statistic,
        p_value=p_value,
        threshold=threshold,
        is_broken=is_enough_data and p_value < threshold,
        is_enough_data=is_enough_data,
    )
