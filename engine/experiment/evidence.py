"""The evidence about one metric, and the two ways to read it: by user, and exactly where events are few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import finite, quantile_of
from engine.experiment.proportions import Bounds, compare_proportions, non_inferiority_ratio, wilson
from engine.experiment.ratios import compare_ratios, non_inferiority
from engine.experiment.results import Estimate
from engine.experiment.score import difference_score_bounds
from engine.experiment.settings import is_loss_up
from engine.experiment.stages import averaged
from engine.experiment.user_sums import FIRST_METRIC, PER_METRIC, QUERIES, SQUARES, USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.checks import Direction
    from engine.experiment.proportions import ProportionComparison
    from engine.experiment.settings import AnalysisSettings, Metric
    from engine.experiment.stages import ArmRatios, Floats
    from engine.experiment.user_sums import Counts

FEW_EVENTS = 20
"""With fewer events, or fewer queries without one, in an arm the delta method is not trusted."""

NOTHING = Estimate(value=None, low=None, high=None)


@dataclass(frozen=True, kw_only=True)
class ArmCounts:
    """What one arm holds of a metric; `crowding` is Σx²/Σx over users with x queries each, 1 with one query a user."""

    n_events: int
    n_queries: int
    n_users: int
    crowding: float

    @property
    def n_even_users(self) -> float:
        """How many users with equally many queries each would tell as much.

        (Σx)² / Σx², the effective sample size of Kish 1965, "Survey Sampling", §8.2. Where these are few, as with a bot
        that sends half of an arm's queries, the normal approximation fails: at 20 to 29 of them identical arms of 1,000
        users with activity 1 / rank are called different 8 % of the time instead of 5 %, at 6 of them 19 %.
        """
        return min(self.n_users, self.n_queries / self.crowding)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known about one metric: ratios by user (averaged over stages) and the plain counts of both arms."""

    metric: Metric
    ratios: ArmRatios
    control: ArmCounts
    treatment: ArmCounts

    @property
    def is_exact(self) -> bool:
        """Whether an arm has too few events, or too few queries without one, for the delta method."""
        return any(
            min(arm.n_events, arm.n_queries - arm.n_events) < FEW_EVENTS for arm in (self.control, self.treatment)
        )

    @property
    def design_effect(self) -> float | None:
        """The variance of the difference by user over that by query; None where users show no spread."""
        variance = float(self.ratios.control.se) ** 2 + float(self.ratios.treatment.se) ** 2
        by_query = float(self.ratios.row_variance)
        return finite(variance / by_query) if by_query > 0 else None


def evidence_of(metric: Metric, sums: Counts, place: int, inflation: Floats | None = None) -> Evidence:
    """Return the evidence of the metric at `place` in sums (stages, arms, columns), averaged over the stages.

    `inflation` (2,) are the factors of `engine.experiment.stages.stage_inflation`; none without it.
    """
    ratios = averaged(sums, place)
    arms = sums.sum(axis=0)
    return Evidence(
        metric=metric,
        ratios=ratios if inflation is None else ratios.inflated(inflation),
        control=_counts(arms[0], place),
        treatment=_counts(arms[1], place),
    )


def _counts(columns: Counts, place: int) -> ArmCounts:
    queries = int(columns[QUERIES])
    return ArmCounts(
        n_events=int(columns[FIRST_METRIC + PER_METRIC * place]),
        n_queries=queries,
        n_users=int(columns[USERS]),
        crowding=float(columns[SQUARES]) / queries if queries else 1.0,
    )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One way to read the evidence. `margin_z` and `floor_z` are positive on the side of the loss.

    They stand for "the loss is the relative margin" and "... the absolute margin"; the latter is None without one.
    `has_events` is False where neither arm has an event.
    """

    control: Bounds
    treatment: Bounds
    difference: Estimate
    relative: Estimate
    relative_se: float | None
    difference_se: float | None
    change_p: float | None
    bound: float | None
    margin_z: float | None
    margin_distance: float | None
    floor_z: float | None
    floor_distance: float | None
    has_events: bool = True

    @property
    def safe_p(self) -> float | None:
        """The p-value of "the loss is the margin or more"; ruling out the larger of the two margins is enough."""
        z = [one for one in (self.margin_z, self.floor_z) if one is not None]
        return math.erfc(-min(z) / math.sqrt(2)) / 2 if z else None

    @property
    def harm_p(self) -> float | None:
        """The p-value of "the loss is within the margin"; it takes a loss beyond both of them."""
        z = [one for one in (self.margin_z, self.floor_z) if one is not None]
        return math.erfc(min(z) / math.sqrt(2)) / 2 if z else None


def read(evidence: Evidence, settings: AnalysisSettings) -> Reading:
    """Read a metric by user, or exactly where its events are few."""
    return read_exactly(evidence, settings) if evidence.is_exact else read_by_user(evidence, settings)


def read_by_user(evidence: Evidence, settings: AnalysisSettings) -> Reading:
    """Read a metric by the delta method over users."""
    control, treatment = evidence.ratios.control, evidence.ratios.treatment
    margin, direction = settings.margin(evidence.metric), direction_of(evidence.metric)
    found = compare_ratios(control, treatment, confidence=settings.confidence)
    tested = non_inferiority(control, treatment, margin=margin.relative, direction=direction, alpha=settings.alpha)
    sign = 1.0 if direction == "lower is better" else -1.0
    floor = sign * float(found.difference) - margin.absolute
    arms = [interval_of(float(arm.value), float(arm.se), settings.confidence) for arm in (control, treatment)]
    return Reading(
        control=_within(arms[0]),
        treatment=_within(arms[1]),
        difference=_finite_estimate(found.difference, found.low, found.high),
        relative=_finite_estimate(found.relative_change, at_least_nothing(found.relative_low), found.relative_high),
        relative_se=finite(found.relative_se),
        difference_se=finite(found.se),
        change_p=finite(found.p_value),
        bound=finite(tested.high if sign > 0 else at_least_nothing(tested.low)),
        margin_z=finite(sign * tested.z),
        margin_distance=finite(sign * tested.distance),
        floor_z=finite(floor / found.se) if margin.absolute else None,
        floor_distance=finite(floor) if margin.absolute else None,
    )


def read_exactly(evidence: Evidence, settings: AnalysisSettings) -> Reading:
    """Read few events by score tests, which need no estimate of a spread, on the queries that count as independent."""
    margin, direction = settings.margin(evidence.metric), direction_of(evidence.metric)
    if not (evidence.control.n_queries and evidence.treatment.n_queries):
        return _unread(evidence)
    counts = (*_effective(evidence, "control"), *_effective(evidence, "treatment"))
    found = compare_proportions(*counts, confidence=settings.confidence)
    tested = non_inferiority_ratio(*counts, margin=margin.relative, direction=direction, alpha=settings.alpha)
    sign = 1.0 if direction == "lower is better" else -1.0
    distance = sign * (found.rate_treatment - tested.limit * found.rate_control)
    has_ratio = found.relative_change is not None
    floor_z, floor = _floor(counts, found, sign=sign, absolute=margin.absolute, settings=settings)
    bounds = [wilson(counts[at], counts[at + 1], confidence=settings.confidence) for at in (0, 2)]
    return Reading(
        control=bounds[0],
        treatment=bounds[1],
        difference=estimate_of(found.difference, found.newcombe),
        relative=estimate_of(found.relative_change, found.relative) if has_ratio else NOTHING,
        relative_se=None,
        difference_se=None,
        change_p=found.p_value,
        bound=(tested.high if sign > 0 else tested.low) if has_ratio else None,
        margin_z=finite(sign * tested.z) if has_ratio else None,
        margin_distance=finite(distance) if has_ratio else None,
        floor_z=floor_z,
        floor_distance=floor,
        has_events=evidence.control.n_events + evidence.treatment.n_events > 0,
    )


def _floor(
    counts: Sequence[float],
    found: ProportionComparison,
    *,
    sign: float,
    absolute: float,
    settings: AnalysisSettings,
) -> tuple[float | None, float | None]:
    """Return z and distance of the loss from the absolute margin: exact where z is at the level of the safe test."""
    if not absolute:
        return None, None
    low, high = difference_score_bounds(*counts, confidence=1 - 2 * settings.alpha)
    loss = sign * found.difference
    distance = loss - absolute
    # The bound that faces the margin, as a standard error on that side.
    most, least = (float(high), float(low)) if sign > 0 else (-float(low), -float(high))
    se = (most - loss if distance < 0 else loss - least) / quantile_of(1 - settings.alpha)
    return (distance / se, distance) if se > 0 else (None, None)


def _effective(evidence: Evidence, arm: str) -> tuple[float, float]:
    """Return events and queries divided by the design effect of the arm: as many as independent ones would be."""
    counts: ArmCounts = getattr(evidence, arm)
    ratio = getattr(evidence.ratios, arm)
    value = float(ratio.value) if np.isfinite(ratio.value) else counts.n_events / counts.n_queries
    by_query = value * (1 - value) / counts.n_queries
    # Without any spread the only honest guess is that all queries of a user go together.
    effect = float(ratio.se) ** 2 / by_query if by_query > 0 and np.isfinite(ratio.se) else counts.crowding
    queries = max(1.0, counts.n_queries / max(1.0, effect))
    return min(max(value, 0.0), 1.0) * queries, queries


def _unread(evidence: Evidence) -> Reading:
    nothing = _within(NOTHING)
    bounds = [
        nothing if not arm.n_queries else wilson(arm.n_events, arm.n_queries)
        for arm in (evidence.control, evidence.treatment)
    ]
    return Reading(
        control=bounds[0],
        treatment=bounds[1],
        difference=NOTHING,
        relative=NOTHING,
        relative_se=None,
        difference_se=None,
        change_p=None,
        bound=None,
        margin_z=None,
        margin_distance=None,
        floor_z=None,
        floor_distance=None,
    )


def interval_of(value: float, se: float, confidence: float) -> Estimate:
    """Return a normal interval; its bounds are None where the standard error is not known."""
    half_width = quantile_of((1 + confidence) / 2) * se
    return Estimate(value=finite(value), low=finite(value - half_width), high=finite(value + half_width))


def direction_of(metric: str) -> Direction:
    """Return which way `metric` improves."""
    return "lower is better" if is_loss_up(metric) else "higher is better"


def _within(estimate: Estimate) -> Bounds:
    low = None if estimate.low is None else max(0.0, estimate.low)
    return Bounds(low=low, high=None if estimate.high is None else min(1.0, estimate.high))


def estimate_of(value: float | None, bounds: Bounds) -> Estimate:
    """Return a value with its bounds."""
    return Estimate(value=value, low=bounds.low, high=bounds.high)


def at_least_nothing(low: Floats) -> Floats:
    """Return lower bounds of relative changes with -100 % for what lies below: nothing falls further than to 0."""
    return np.maximum(low, -1.0)


def _finite_estimate(value: object, low: object, high: object) -> Estimate:
    return Estimate(value=finite(value), low=finite(low), high=finite(high))
