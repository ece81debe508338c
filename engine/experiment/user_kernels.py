"""Compiled passes over the rows of an experiment that add up by user; imported only where they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def count_above(values: Array, user: Array, levels: Array, above: Array, rows: Array) -> None:
    """Count each user's rows, and those above each level.

    `values` float (n,), `user` int (n,), `levels` (L,); adds to `above` (users, L) and `rows` (users,). NaN is no row.
    """
    n_levels = levels.shape[0]
    for i in range(values.shape[0]):
        value = values[i]
        if np.isnan(value):
            continue
        rows[user[i]] += 1
        for level in range(n_levels):
            if value > levels[level]:
                above[user[i], level] += 1


@_jit
def count_strata(stratum: Array, is_treatment: Array, success: Array, successes: Array, rows: Array) -> None:
    """Count rows and successes of each arm and stratum.

    `stratum` int (n,), negative to leave a row out; `is_treatment` and `success` bool (n,); adds to both (2, strata).
    """
    for i in range(stratum.shape[0]):
        s = stratum[i]
        if s >= 0:
            arm = 1 if is_treatment[i] else 0
            rows[arm, s] += 1
            if success[i]:
                successes[arm, s] += 1


@_jit
def add_residuals(
    user: Array,
    stratum: Array,
    is_treatment: Array,
    success: Array,
    rates: Array,
    weights: Array,
    totals: Array,
    is_seen: Array,
) -> None:
    """Add weight · (success - rate) of each row to its user's total in its arm, and mark the user as seen there.

    `rates` and `weights` (2, strata) by arm, `totals` float64 and `is_seen` bool (2, users); else as `count_strata`.
    """
    for i in range(stratum.shape[0]):
        s = stratum[i]
        if s >= 0:
            arm = 1 if is_treatment[i] else 0
            residual = (1.0 if success[i] else 0.0) - rates[arm, s]
            totals[arm, user[i]] += weights[arm, s] * residual
            is_seen[arm, user[i]] = True
