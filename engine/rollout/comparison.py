"""The one rule by which a treatment counts as worse, over arrays of counts of any shape.

Live monitor and pre-flight simulation call the same function, so that what pre-flight promises is what happens.

**The rule.** A metric breaches its threshold when (1) a one-sided test rejects "the treatment is no worse than its
reference" at the level of one comparison, which is the same as: the interval lies wholly on the bad side of no change;
and (2) the estimated change is beyond the threshold. So noise alone never alerts, however large the point estimate, and
a change that is real but smaller than the threshold alerts only as often as its estimate strays beyond it. Asking for
the whole interval to lie beyond the threshold instead would take seven times the data to raise an alert set at 5 % for
a true change of 8 %, and would never raise it for a true change of 5 %.

**Its false alarms.** The level of one comparison is (1 - confidence) / (looks × metrics × windows). By Bonferroni's
inequality, which needs no independence between looks, the chance of any false alert in a whole rollout of that many
looks is at most 1 - confidence; condition (2) and the dependence between looks make it smaller still.

**The tests.** CTR: score test of two proportions. Error rate: exact test of two Poisson rates, conditional on the
total (Przyborowski & Wilenski 1940), which divides by no baseline and stays sound at one error of a million. p99: both
on a log scale, each with the standard error that its order-statistic interval implies. All three allow for users who
make several queries by the design effect 1 + 2·ρ·(m - 1), m queries a user and correlation ρ: Kish's
1 + ρ·(E[m²]/E[m] - 1) for an activity that falls geometrically. Against a stored baseline, days differ too: the log
variance grows by spread²·(1/days + 1/baseline days).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.checks import ratio
from engine.experiment.score import ratio_score_bounds, ratio_score_z
from engine.rollout.thresholds import RISE_IS_BAD

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.rollout.thresholds import Limit, Metric, Thresholds

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

_FEWEST_CLICKS = 5  # expected in each arm, below which a normal score misjudges the tail
_P99_TAIL = (0.99 / 0.01) ** 0.5  # relative spread of a p99 times √n in a Pareto tail of index 1: √(p(1 - p))/(1 - p)
_SMALLEST_ERROR = 1e-9
_Z_OF_INTERVAL = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, eq=False, kw_only=True)
class Counts:
    """What one arm saw in windows of time, pooled: float arrays (S) of one shape.

    `n_users` are different users, at least; `n_clicks` are of `n_click_queries` queries, `n_errors` of
    `n_error_queries`, both 0 where nobody counted. `log_p99` is the logarithm of the p99 in ms and `log_p99_se` its
    standard error for independent queries, NaN where nobody measured. `days` is how much time they cover.
    """

    n_users: Floats
    n_queries: Floats
    n_clicks: Floats
    n_click_queries: Floats
    n_errors: Floats
    n_error_queries: Floats
    log_p99: Floats
    log_p99_se: Floats
    days: Floats

    def design_effect(self, correlation: float) -> Floats:
        """Return how many times wider than for independent queries variances are, (S), at least 1."""
        per_user = np.maximum(1, np.nan_to_num(ratio(self.n_queries, self.n_users), nan=1.0))
        effect: Floats = 1 + 2 * correlation * (per_user - 1)
        return effect

    def broadcast_to(self, shape: tuple[int, ...]) -> Counts:
        """Return the same counts in another shape."""
        return Counts(**{field.name: np.broadcast_to(getattr(self, field.name), shape) for field in fields(self)})

    def where(self, condition: Bools, other: Counts) -> Counts:
        """Return these counts where `condition` (S) holds and those of `other` elsewhere."""
        names = (field.name for field in fields(self))
        return Counts(**{name: np.where(condition, getattr(self, name), getattr(other, name)) for name in names})


@dataclass(frozen=True, eq=False, kw_only=True)
class MetricComparison:
    """One metric of the treatment against its reference, arrays (S).

    `value` and `baseline` are in ms or shares; `change` is relative and signed (-0.06 is 6 % less), infinite above a
    baseline of 0. `tail` is the one-sided p-value of "no worse than the reference". `low` and `high` bound the change
    by the two-sided interval whose bad side decides (NaN unless asked for). `detectable` is the smallest change for the
    worse that this much data would tell from none, as a positive share. NaN throughout where an arm has no value.
    `breaches_alert` and `breaches_rollback` are the rule's answers.
    """

    value: Floats
    baseline: Floats
    change: Floats
    tail: Floats
    low: Floats
    high: Floats
    detectable: Floats
    breaches_alert: Bools
    breaches_rollback: Bools

    @property
    def is_measured(self) -> Bools:
        """Whether both arms have a value."""
        return ~(np.isnan(self.value) | np.isnan(self.baseline))


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Every metric of the treatment against its reference, and whether both arms hold the fewest users and queries."""

    p99: MetricComparison
    error_rate: MetricComparison
    ctr: MetricComparison
    has_minimum: Bools

    def of(self, metric: Metric) -> MetricComparison:
        """Return the comparison of one metric."""
        comparison: MetricComparison = getattr(self, metric)
        return comparison

    def is_enough(self, metric: Metric, limit: Limit) -> Bools:
        """Tell where there is enough data to call a metric fine that does not breach, (S).

        Both arms need the fewest users and queries and a value; a metric that is a gate must also have been able to
        show a change as large as the one to be seen.
        """
        one = self.of(metric)
        enough = self.has_minimum & one.is_measured
        if limit.is_gate and limit.to_be_seen is not None:
            enough &= one.detectable <= limit.to_be_seen
        return enough


def compare(
    reference: Counts,
    treatment: Counts,
    thresholds: Thresholds,
    *,
    is_stored: npt.ArrayLike = False,
    with_bounds: bool = True,
) -> Comparison:
    """Compare the treatment with its reference by the rule above; counts of shape (S), the result too.

    `is_stored` (S) tells where the reference is a stored baseline instead of a control of the same days. Bounds take
    most of the time; simulations leave them out.
    """
    shape = np.broadcast_shapes(reference.n_queries.shape, treatment.n_queries.shape)
    reference, treatment = reference.broadcast_to(shape), treatment.broadcast_to(shape)
    stored = np.broadcast_to(np.asarray(is_stored, np.bool_), shape)
    days = np.nan_to_num(ratio(1, np.maximum(treatment.days, 1)) + ratio(1, np.maximum(reference.days, 1)))
    rule = _Rule(
        thresholds=thresholds,
        reference_effect=reference.design_effect(thresholds.user_correlation),
        treatment_effect=treatment.design_effect(thresholds.user_correlation),
        extra=np.where(stored, thresholds.day_spread**2 * days, 0.0),
        with_bounds=with_bounds,
    )
    return Comparison(
        p99=_compare_p99(reference, treatment, rule),
        error_rate=_compare_errors(reference, treatment, rule),
        ctr=_compare_clicks(reference, treatment, rule),
        has_minimum=_has_minimum(reference, thresholds) & _has_minimum(treatment, thresholds),
    )


def p99_standard_error(n_queries: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike) -> Floats:
    """Return the standard error of the log of a p99, from its 95 % interval in ms, or from `n_queries` alone.

    The interval spans 2·1.96 standard errors. Without one (NaN) the tail is taken to be as heavy as a Pareto of index
    1, whose mean is infinite: √(p(1 - p)/n) / (density × p99) = 9.95/√n (asymptotic variance of a sample quantile,
    Serfling 1980, §2.3.3). A lognormal has less up to a log standard deviation of 2.6.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    measured = (np.log(high) - np.log(low)) / (2 * _Z_OF_INTERVAL)
    assumed = _P99_TAIL * np.sqrt(ratio(1, n_queries))
    return np.where(np.isnan(measured), assumed, measured)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Rule:
    """What all metrics share: design effects of both arms, and the log variance `extra` to any sampling."""

    thresholds: Thresholds
    reference_effect: Floats
    treatment_effect: Floats
    extra: Floats
    with_bounds: bool

    @property
    def confidence(self) -> float:
        """Confidence of the two-sided interval whose bad side is the alert's test."""
        return 1 - 2 * self.thresholds.alert_alpha

    @property
    def z(self) -> float:
        return NormalDist().inv_cdf(1 - self.thresholds.alert_alpha)

    def breaches(self, metric: Metric, change: Floats, tail: Floats) -> tuple[Bools, Bools]:
        limit, worse = self.thresholds.limit(metric), change if RISE_IS_BAD[metric] else -change
        return (
            _beyond(worse, limit.alert) & (tail <= self.thresholds.alert_alpha),
            _beyond(worse, limit.roll_back) & (tail <= self.thresholds.rollback_alpha),
        )


def _beyond(worse: Floats, threshold: float | None) -> Bools:
    if threshold is None:
        return np.zeros(worse.shape, np.bool_)
    beyond: Bools = worse > threshold
    return beyond


def _has_minimum(arm: Counts, thresholds: Thresholds) -> Bools:
    enough: Bools = (arm.n_users >= thresholds.min_users) & (arm.n_queries >= thresholds.min_queries)
    return enough


def _compare_p99(reference: Counts, treatment: Counts, rule: _Rule) -> MetricComparison:
    from scipy.special import ndtr

    distance = treatment.log_p99 - reference.log_p99
    error = np.sqrt(
        reference.log_p99_se**2 * rule.reference_effect + treatment.log_p99_se**2 * rule.treatment_effect + rule.extra
    )
    # Latencies rounded to the same value give an interval of width 0, in which any difference is certain.
    tail, change = ndtr(-distance / np.maximum(error, _SMALLEST_ERROR)), np.expm1(distance)
    alert, rollback = rule.breaches("p99", change, tail)
    return MetricComparison(
        value=np.exp(treatment.log_p99),
        baseline=np.exp(reference.log_p99),
        change=change,
        tail=tail,
        low=np.expm1(distance - rule.z * error),
        high=np.expm1(distance + rule.z * error),
        detectable=np.expm1(rule.z * error),
        breaches_alert=alert,
        breaches_rollback=rollback,
    )


def _compare_errors(reference: Counts, treatment: Counts, rule: _Rule) -> MetricComparison:
    from scipy.special import betainc

    x0, n0, x1, n1 = reference.n_errors, reference.n_error_queries, treatment.n_errors, treatment.n_error_queries
    pooled = _pooled(x0, n0, x1, n1, rule, is_rare=True)
    share = ratio(pooled.n1, pooled.n0 + pooled.n1)  # of all errors, expected in the treatment when rates are equal
    tail = np.where(pooled.x1 > 0, betainc(np.maximum(pooled.x1, 1e-300), pooled.x0 + 1, share), 1.0 + 0.0 * share)
    value, baseline = ratio(x1, n1), ratio(x0, n0)
    change = _relative(value, baseline)
    alert, rollback = rule.breaches("error_rate", change, tail)
    several = x1 >= rule.thresholds.min_errors
    low, high = _poisson_ratio_bounds(pooled, share, rule)
    return MetricComparison(
        value=value,
        baseline=baseline,
        change=change,
        tail=tail,
        low=low - 1,
        high=high - 1,
        detectable=np.expm1(rule.z * pooled.error),
        breaches_alert=alert & several,
        breaches_rollback=rollback & several,
    )


def _compare_clicks(reference: Counts, treatment: Counts, rule: _Rule) -> MetricComparison:
    from scipy.special import ndtr

    x0, n0, x1, n1 = reference.n_clicks, reference.n_click_queries, treatment.n_clicks, treatment.n_click_queries
    pooled = _pooled(x0, n0, x1, n1, rule, is_rare=False)
    fit = (pooled.n0 >= 1) & (pooled.n1 >= 1)
    y0, m0, y1, m1 = (np.where(fit, counts, 1.0) for counts in (pooled.x0, pooled.n0, pooled.x1, pooled.n1))
    tail = np.where(fit, ndtr(ratio_score_z(y0, m0, y1, m1, 1.0)), np.nan)
    value, baseline = ratio(x1, n1), ratio(x0, n0)
    change = _relative(value, baseline)
    alert, rollback = rule.breaches("ctr", change, tail)
    rate = ratio(x0 + x1, n0 + n1)
    several = np.minimum(pooled.n0, pooled.n1) * rate >= _FEWEST_CLICKS
    low = high = np.full(value.shape, np.nan)
    if rule.with_bounds:
        bounds = ratio_score_bounds(y0, m0, y1, m1, confidence=rule.confidence)
        low, high = (np.where(fit, bound, np.nan) for bound in bounds)
    return MetricComparison(
        value=value,
        baseline=baseline,
        change=change,
        tail=tail,
        low=low - 1,
        high=high - 1,
        detectable=-np.expm1(-rule.z * pooled.error),
        breaches_alert=alert & several,
        breaches_rollback=rollback & several,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pooled:
    """Events `x` of `n` queries in the reference (0) and the treatment (1), as many as independent ones would be worth.

    `error` is the standard error of the log ratio of the rates were they equal; infinite without any event.
    """

    x0: Floats
    n0: Floats
    x1: Floats
    n1: Floats
    error: Floats


def _pooled(x0: Floats, n0: Floats, x1: Floats, n1: Floats, rule: _Rule, *, is_rare: bool) -> _Pooled:
    """Divide the counts of each arm by its design effect, and both further where days differ (`rule.extra`)."""
    rate = ratio(x0 + x1, n0 + n1)
    odds = np.where(rate == 0, np.inf, ratio(1.0 if is_rare else 1 - rate, rate))
    sampling = odds * (ratio(rule.reference_effect, n0) + ratio(rule.treatment_effect, n1))
    further = 1 + np.nan_to_num(ratio(rule.extra, sampling), nan=0.0)
    f0, f1 = rule.reference_effect * further, rule.treatment_effect * further
    return _Pooled(x0=x0 / f0, n0=n0 / f0, x1=x1 / f1, n1=n1 / f1, error=np.sqrt(sampling + rule.extra))


def _poisson_ratio_bounds(pooled: _Pooled, share: Floats, rule: _Rule) -> tuple[Floats, Floats]:
    """Bound the ratio of two Poisson rates by the exact (Clopper-Pearson) limits of the treatment's part of events."""
    if not rule.with_bounds:
        nothing = np.full(share.shape, np.nan)
        return nothing, nothing
    from scipy.special import betaincinv

    alpha, tiny = (1 - rule.confidence) / 2, 1e-300
    low = np.where(pooled.x1 > 0, betaincinv(np.maximum(pooled.x1, tiny), pooled.x0 + 1, alpha), 0.0)
    high = np.where(pooled.x0 > 0, betaincinv(pooled.x1 + 1, np.maximum(pooled.x0, tiny), 1 - alpha), 1.0)
    has_both = (share > 0) & (share < 1)
    equal = np.where(has_both, ratio(share, 1 - share), np.nan)
    lower, upper = (np.where(part >= 1, np.inf, ratio(part, 1 - part)) / equal for part in (low, high))
    return lower, upper


def _relative(value: Floats, baseline: Floats) -> Floats:
    """Return value / baseline - 1; infinite for something against nothing, 0 for nothing against nothing."""
    change = ratio(value, baseline) - 1
    return np.where(baseline == 0, np.where(value == 0, 0.0, np.where(np.isnan(value), np.nan, np.inf)), change)
