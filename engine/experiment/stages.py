"""A ramp changes the split from stage to stage, so arms are compared within stages and then averaged over them.

A constant split is a ramp of one stage. Averages use Mantel-Haenszel weights of the queries, and the quotient of the
two averages is then the Mantel-Haenszel rate ratio.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.ratios import RatioEstimate, UserMoments, ratio_of
from engine.experiment.settings import Stage
from engine.experiment.srm import MIN_EXPECTED, homogeneity
from engine.experiment.user_sums import FIRST_METRIC, PER_METRIC, QUERIES, SQUARES, USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.experiment.events import Events
    from engine.experiment.settings import Metric
    from engine.experiment.user_sums import Counts, UserSums

    Floats = npt.NDArray[np.float64]

MIN_STAGE_DIFFERENCE = 0.02
"""A split is only said to change where the share of an arm moves by more than this."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ArmRatios:
    """Both arms' ratios, arrays of one shape, averaged over stages with the same weights.

    `row_variance` is the variance that their difference would have if every query came from a user of its own.
    """

    control: RatioEstimate
    treatment: RatioEstimate
    row_variance: Floats

    def inflated(self, factors: Floats) -> ArmRatios:
        """Return the same with the standard errors of the control and the treatment times `factors` (2,)."""
        control = replace(self.control, se=self.control.se * factors[0])
        treatment = replace(self.treatment, se=self.treatment.se * factors[1])
        return replace(self, control=control, treatment=treatment)


def stage_days(stages: Sequence[Stage], n_days: int) -> tuple[tuple[int, int], ...]:
    """Return the first and the last day of every stage that begins within `n_days`; of the whole without stages.

    >>> stage_days((Stage(first_day=0, treatment_share=0.05), Stage(first_day=3, treatment_share=0.5)), 10)
    ((0, 2), (3, 9))
    """
    firsts = [stage.first_day for stage in stages if stage.first_day < n_days] or [0]
    return tuple((first, after - 1) for first, after in itertools.pairwise([*firsts, n_days]))


def moments_of(counts: Counts, place: int) -> UserMoments:
    """Return the moments of the metric at `place` out of sums (..., columns)."""
    sums = counts.astype(np.float64)
    events, events_squared, products = (sums[..., FIRST_METRIC + PER_METRIC * place + part] for part in range(3))
    return UserMoments(
        n_users=sums[..., USERS],
        sum_x=events,
        sum_y=sums[..., QUERIES],
        sum_xx=events_squared,
        sum_yy=sums[..., SQUARES],
        sum_xy=products,
    )


def by_stage(stages: Sequence[UserSums]) -> Counts:
    """Return the sums at the end of every stage, (stages, arms, columns)."""
    return np.stack([stage.total for stage in stages])


def by_stage_and_day(stages: Sequence[UserSums], n_days: int) -> Counts:
    """Return the sums of every stage at the end of every day, (stages, days, arms, columns): 0 before it began."""
    sums = np.zeros((len(stages), n_days, *stages[0].cumulative.shape[1:]), np.int64)
    for own, stage in zip(sums, stages, strict=True):
        after = stage.first_day + len(stage.cumulative)
        own[stage.first_day : after] = stage.cumulative
        own[after:] = stage.total
    return sums


def averaged(sums: Counts, place: int) -> ArmRatios:
    """Average the ratios of the metric at `place` over stages; `sums` (stages, ..., arms, columns), shape (...) out.

    Stages with one arm only compare nothing and have no weight. NaN where no stage holds both arms. Users of different
    stages count as different ones here; `stage_inflation` says what that leaves out.
    """
    arms = [moments_of(sums[..., arm, :], place) for arm in range(2)]
    queries = [arm.sum_y for arm in arms]
    both = (queries[0] > 0) & (queries[1] > 0)
    weights = np.where(both, queries[0] * queries[1], 0) / np.maximum(queries[0] + queries[1], 1)
    total = weights.sum(axis=0)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    estimates = [ratio_of(arm) for arm in arms]
    row_variances = [
        one.value * (1 - one.value) / np.maximum(rows, 1) for one, rows in zip(estimates, queries, strict=True)
    ]
    return ArmRatios(
        control=_average(estimates[0], weights),
        treatment=_average(estimates[1], weights),
        row_variance=_weighted(weights**2, row_variances[0] + row_variances[1]),
    )


def stage_inflation(events: Events, stages: Sequence[UserSums], metric: Metric) -> Floats:
    """Return by what the standard errors of both arms grow because users come back in another stage, shape (2,).

    One pass over the rows (`standardise_rows`); ones for a single stage, and where nothing can be said.
    """
    from engine.experiment.stratified import standardise_rows
    from engine.experiment.user_sums import column_of, metrics_of

    if len(stages) < 2:
        return np.ones(2)
    place = metrics_of(events).index(metric)
    plain = averaged(by_stage(stages), place)
    stratum = _stratum_of_rows(events, stages)
    exact = standardise_rows(
        events.user,
        stratum,
        events.arm == 1,
        column_of(events, metric),
        n_users=events.n_users,
        n_strata=len(stages),
    )
    pairs = ((exact.control, plain.control), (exact.treatment, plain.treatment))
    factors = [float(found.se / naive.se) if naive.se > 0 else 1.0 for found, naive in pairs]
    return np.where(np.isfinite(factors), factors, 1.0)


def detected_stages(new_users: Counts, *, threshold: float) -> tuple[Stage, ...]:
    """Return the stretches of constant split that the users new on each day (days, arms) show; one when it never moved.

    A new stage begins on the day whose share of treatment differs from that of the running stage: by a chi-square test
    below `threshold` over the number of days, and by more than `MIN_STAGE_DIFFERENCE`.
    """
    stages: list[Stage] = []
    running = np.zeros(2, np.int64)
    for day, counts in enumerate(new_users):
        if not counts.sum():
            continue
        if not stages or _differs(running, counts, threshold / len(new_users)):
            stages.append(Stage(first_day=day if stages else 0, treatment_share=0.0))
            running = np.zeros(2, np.int64)
        running = running + counts
        stages[-1] = replace(stages[-1], treatment_share=round(float(running[1] / running.sum()), 4))
    return tuple(stages)


def _differs(running: Counts, counts: Counts, threshold: float) -> bool:
    table = np.stack([running, counts])
    if (table.sum(axis=0) == 0).any():
        return False
    shares = table[:, 1] / table.sum(axis=1)
    if abs(shares[0] - shares[1]) <= MIN_STAGE_DIFFERENCE:
        return False
    found = homogeneity(table)
    return found.p_value < threshold and found.least_expected >= MIN_EXPECTED


def _average(estimate: RatioEstimate, weights: Floats) -> RatioEstimate:
    nothing = weights.sum(axis=0) == 0
    # A stage without spread (a handful of users) adds none instead of taking the whole answer away.
    unknown = np.isnan(np.where(weights > 0, estimate.se, np.nan)).all(axis=0)
    variance = _weighted(weights**2, np.nan_to_num(estimate.se) ** 2)
    return RatioEstimate(
        value=np.where(nothing, np.nan, _weighted(weights, estimate.value)),
        se=np.where(unknown, np.nan, np.sqrt(variance)),
        n_users=np.where(weights > 0, estimate.n_users, 0).sum(axis=0),
    )


def _weighted(weights: Floats, values: Floats) -> Floats:
    total: Floats = np.where(weights > 0, weights * np.where(weights > 0, values, 0), 0).sum(axis=0)
    return total


def _stratum_of_rows(events: Events, stages: Sequence[UserSums]) -> npt.NDArray[np.int16]:
    stratum = np.zeros(events.n_rows, np.int16)
    starts = events.day_starts()
    for place, stage in enumerate(stages):
        rows = slice(int(starts[stage.first_day]), int(starts[stage.first_day + len(stage.cumulative)]))
        stratum[rows] = np.where(stage.both_arms[events.user[rows]], -1, place)
    return stratum
