"""What an analysis returns: gates first, then every metric with its intervals, verdicts and sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

    from engine.experiment.settings import AnalysisSettings, Margin, Metric, Stage
    from engine.tradeoff.results import Verdict

Worse = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its two-sided interval; None where the data give none (no clicks, too few samples)."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One arm, counted: what is shown even when a gate fails.

    `share` is the intended share of users, None in a ramp or when nobody knows it; `observed_share` the one found among
    users of one arm only. Users of both arms are counted in neither arm. `n_queries` and what follows counts the rows
    of the users that are analysed; the events are None where there is no such column, and where a gate failed.
    """

    name: str
    share: float | None
    observed_share: float | None
    n_users: int
    n_queries: int
    n_clicks: int | None
    n_conversions: int | None
    n_errors: int | None
    n_no_results: int | None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A check that must pass before any metric may be read: ``srm``, ``multi_exposure`` or ``steady_split``.

    `value` is the p-value (``srm``, ``steady_split``) or the share of users (``multi_exposure``) that is compared with
    `threshold`; None where nothing could be compared: such a gate stops nothing, and is not said to have passed.
    """

    key: str
    title: str
    is_passed: bool
    value: float | None
    threshold: float
    sentence: str

    @property
    def is_checked(self) -> bool:
        """Whether there was anything to compare."""
        return self.value is not None


@dataclass(frozen=True, kw_only=True)
class ArmValue:
    """A share of queries in one arm: `value` with its interval by user, and the counts behind it."""

    value: float | None
    low: float | None
    high: float | None
    n_events: int
    n_queries: int
    n_users: int


@dataclass(frozen=True, kw_only=True)
class ClassicTest:
    """The read-out of every online calculator: each query counts as if it came from a user of its own.

    Two-proportion z-test with pooled variance (`z`, two-sided `p_value`), intervals of the difference (`wald`,
    `newcombe`, `score`) and of the relative change (`ratio`, score), and the score test of non-inferiority against
    the relative margin. `is_too_optimistic` when users with several queries make these intervals too narrow.
    """

    z: float | None
    p_value: float | None
    wald: Estimate
    newcombe: Estimate
    score: Estimate
    ratio: Estimate
    noninferiority_p: float | None
    is_too_optimistic: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric, analysed by user; `worse` says which direction is the loss.

    `difference` is treatment - control in shares, `relative` is treatment / control - 1; both two-sided by the delta
    method over users. `bound` is the one-sided 1 - alpha bound of the relative change on the side of the loss: the
    metric is safe when it lies within `margin`. `noninferiority_p` tests "the loss is the margin or more" (small:
    safe), `harm_p` "the loss is within the margin" (small: harmful), adjusted over what is judged in `harm_holm_p`.
    `change_p` is two-sided against no change at all, `change_holm_p` Holm-adjusted over the judged metrics; `is_real`
    when the adjusted one is below 1 - confidence, so never for a metric that is not judged, nor where an arm's users
    are too few to settle anything. `anytime` and
    `anytime_difference` stay valid however often one looks. `design_effect` is the variance by user over the variance
    by query. `is_exact` says that the counts are too small for the delta method, so that exact-style (Wilson and score)
    bounds on a reduced number of queries stand in for it.
    `further_users` (both arms together) would settle an undecided verdict if nothing but the interval changed; None
    when it is settled or no number would. `reason` says why users who are many settle nothing: a few of them send too
    many of the queries. `is_judged` says whether the overall verdict counts it.
    """

    key: Metric
    name: str
    worse: Worse
    control: ArmValue
    treatment: ArmValue
    difference: Estimate
    relative: Estimate
    margin: Margin
    bound: float | None
    noninferiority_p: float | None
    harm_p: float | None
    harm_holm_p: float | None
    change_p: float | None
    change_holm_p: float | None
    is_real: bool
    anytime: Estimate
    anytime_difference: Estimate
    design_effect: float | None
    is_exact: bool
    verdict: Verdict
    further_users: int | None
    further_days: int | None
    is_judged: bool
    sentence: str
    classic: ClassicTest
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class LatencyResult:
    """A latency percentile (`key` p50, p95 or p99) in milliseconds, its intervals clustered by user.

    `relative` is treatment / control - 1, `speedup` control / treatment. `reason` says why there is no interval, or why
    the one there is settles nothing.
    """

    key: str
    share: float
    control: Estimate
    treatment: Estimate
    n_control: int
    n_treatment: int
    relative: Estimate
    speedup: float | None
    margin: Margin
    bound: float | None
    noninferiority_p: float | None
    harm_p: float | None
    harm_holm_p: float | None
    verdict: Verdict
    is_judged: bool
    reason: str | None
    sentence: str
    further_users: int | None = None
    further_days: int | None = None


def judged_of(
    metrics: Iterable[MetricResult], latencies: Iterable[LatencyResult]
) -> tuple[MetricResult | LatencyResult, ...]:
    """Return what the overall verdict counts."""
    every: tuple[MetricResult | LatencyResult, ...] = (*metrics, *latencies)
    return tuple(one for one in every if one.is_judged)


@dataclass(frozen=True, eq=False, kw_only=True)
class DailyMetric:
    """One metric by day, each array (days,) float64 with NaN where a day gives no value.

    `relative` is the cumulative relative change at the end of each day, `low` and `high` its fixed band (right on one
    day chosen in advance) and `anytime_low` and `anytime_high` the band that holds on all days at once. `control` and
    `treatment` are the shares of that day alone, `difference` theirs with its interval by user.
    """

    key: Metric
    name: str
    relative: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    anytime_low: npt.NDArray[np.float64]
    anytime_high: npt.NDArray[np.float64]
    control: npt.NDArray[np.float64]
    treatment: npt.NDArray[np.float64]
    difference: npt.NDArray[np.float64]
    difference_low: npt.NDArray[np.float64]
    difference_high: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Daily:
    """Everything by day: `dates` are ISO, counts are int64 (arms, days), control first.

    `n_users` were active that day, `n_new_users` for the first time.
    """

    dates: tuple[str, ...]
    n_queries: npt.NDArray[np.int64]
    n_users: npt.NDArray[np.int64]
    n_new_users: npt.NDArray[np.int64]
    metrics: tuple[DailyMetric, ...]


@dataclass(frozen=True, kw_only=True)
class SegmentResult:
    """One metric in one segment, by user; `harm_holm_p` is adjusted over all segments of the metric."""

    segment: str
    metric: Metric
    control: ArmValue
    treatment: ArmValue
    relative: Estimate
    harm_p: float | None
    harm_holm_p: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Stratified:
    """One metric where the split differs between strata (`by` is ``stage`` or ``segment``): pooled against stratified.

    `pooled` is the relative change of the plain totals, `stratified` the one within strata (Mantel-Haenszel weights,
    by user), `odds_ratio` the Mantel-Haenszel odds ratio. `is_reversed` when their signs differ (Simpson's paradox).
    """

    metric: Metric
    by: str
    strata: tuple[str, ...]
    pooled: Estimate
    stratified: Estimate
    odds_ratio: Estimate
    is_reversed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class PeekingRow:
    """How often the fixed test calls identical arms different when it is looked at `n_looks` times."""

    n_looks: int
    false_positive_rate: float


@dataclass(frozen=True, kw_only=True)
class Peeking:
    """What daily looks at the fixed test do, for the number of days looked at (`n_looks`) and some others."""

    n_looks: int
    false_positive_rate: float
    rows: tuple[PeekingRow, ...]
    sentence: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """A read-out of an experiment. When a gate fails `metrics`, `latencies`, `segments` and `stratified` are empty.

    `sentences` come first: the overall verdict with its reason, then a sentence a metric. `daily.metrics` is empty too
    when a gate fails; the counts by day stay, to find out what broke. `detected_stages` is the split by day as found
    when it changed, for a user who wants to declare a planned ramp. `labels` ("simulated", ...) stand beside every
    number. `events_digest` identifies a log's bytes, None for simulated events.
    """

    experiment_id: str
    verdict: Verdict
    headline: str
    sentences: tuple[str, ...]
    gates: tuple[Gate, ...]
    arms: tuple[ArmRow, ...]
    n_users: int
    n_queries: int
    n_days: int
    n_multi_exposed: int
    users_per_day: float | None
    metrics: tuple[MetricResult, ...]
    latencies: tuple[LatencyResult, ...]
    daily: Daily
    segments: tuple[SegmentResult, ...]
    stratified: tuple[Stratified, ...]
    detected_stages: tuple[Stage, ...]
    peeking: Peeking
    settings: AnalysisSettings
    labels: tuple[str, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    seed: int | None
    events_digest: str | None
    elapsed_s: float

    @property
    def is_trustworthy(self) -> bool:
        """Whether every gate passed."""
        return all(gate.is_passed for gate in self.gates)
