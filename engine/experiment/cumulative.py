"""An experiment day by day: the lift so far with both of its bands, and every day alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.evidence import at_least_nothing
from engine.experiment.power import MOST_DAYS
from engine.experiment.ratios import compare_ratios
from engine.experiment.results import Daily, DailyMetric
from engine.experiment.sequential import sequential_half_width
from engine.experiment.settings import metric_name
from engine.experiment.stages import averaged, by_stage_and_day, moments_of
from engine.experiment.user_sums import QUERIES, USERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from engine.experiment.settings import AnalysisSettings, Metric
    from engine.experiment.user_sums import Counts, UserSums

    Floats = npt.NDArray[np.float64]

_TREND_DAYS = 7


def by_day(
    stages: Sequence[UserSums],
    *,
    dates: Sequence[str],
    settings: AnalysisSettings,
    inflation: Mapping[Metric, Floats],
    with_metrics: bool,
) -> Daily:
    """Return counts by day and, `with_metrics`, the cumulative and the daily comparison of every metric.

    `inflation` are the factors of `engine.experiment.stages.stage_inflation`, which hold for the last day and are taken
    for all.
    """
    sums = by_stage_and_day(stages, len(dates))
    # Plain totals have sums and no days.
    daily = np.concatenate([stage.daily for stage in stages])[: len(dates)]
    new_users = np.concatenate([stage.new_users for stage in stages])[: len(dates)]
    metrics = stages[0].metrics if with_metrics else ()
    return Daily(
        dates=tuple(dates),
        n_queries=daily[:, :, QUERIES].T.copy(),
        n_users=daily[:, :, USERS].T.copy(),
        n_new_users=new_users.T.copy(),
        metrics=tuple(
            _metric(metric, place, sums, daily, settings, inflation[metric]) for place, metric in enumerate(metrics)
        ),
    )


def _metric(
    metric: Metric, place: int, sums: Counts, daily: Counts, settings: AnalysisSettings, inflation: Floats
) -> DailyMetric:
    ratios = averaged(sums, place).inflated(inflation)
    so_far = compare_ratios(ratios.control, ratios.treatment, confidence=settings.confidence)
    width = sequential_half_width(
        so_far.relative_se, so_far.n_users, alpha=1 - settings.confidence, n_star=settings.sequential_n
    )
    arms = [moments_of(daily[:, arm], place) for arm in range(2)]
    alone = compare_ratios(arms[0], arms[1], confidence=settings.confidence)
    return DailyMetric(
        key=metric,
        name=metric_name(metric),
        relative=so_far.relative_change,
        low=at_least_nothing(so_far.relative_low),
        high=so_far.relative_high,
        anytime_low=_known(so_far.relative_change - width),
        anytime_high=_known(so_far.relative_change + width),
        control=alone.control.value,
        treatment=alone.treatment.value,
        difference=alone.difference,
        difference_low=alone.low,
        difference_high=alone.high,
    )


def _known(values: Floats) -> Floats:
    """Return `values` with NaN for an infinite bound, and -100 % for what lies below."""
    return np.where(np.isfinite(values), at_least_nothing(values), np.nan)


def days_until(growth: float, metric: DailyMetric | None, queries_by_day: npt.NDArray[np.int64]) -> int | None:
    """Return how many more days of the same traffic make what is known grow by the share `growth` of what it is now.

    What is known is 1 / (width of the fixed band)², and its pace that of the last week; so users who come back count
    for what they add. Without a band (`metric` None, or too few events) it is the number of queries. None when it
    stands still.
    """
    known = np.cumsum(queries_by_day).astype(np.float64)
    if metric is not None and np.isfinite(metric.high[-1] - metric.low[-1]):
        with_band = np.isfinite(metric.high - metric.low)
        width = np.where(with_band, metric.high - metric.low, 1.0)
        known = np.where(with_band, 1 / width**2, 0.0)
    week = min(_TREND_DAYS, len(known))
    before = known[-week - 1] if len(known) > week else 0.0
    pace = float(known[-1] - before) / week
    if pace <= 0 or growth * known[-1] / pace > MOST_DAYS:
        return None
    return math.ceil(growth * float(known[-1]) / pace)
