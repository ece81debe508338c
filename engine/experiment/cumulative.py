"""An experiment day by day: the lift so far with both of its bands, and every day alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
    daily = np.concatenate([stage.daily for stage in stages])
    new_users = np.concatenate([stage.new_users for stage in stages])
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
        low=so_far.relative_low,
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
    return np.where(np.isfinite(values), np.maximum(values, -1.0), np.nan)
