"""The one rule by which a treatment counts as worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from engine.rollout.comparison import Counts, compare, p99_standard_error
from engine.rollout.thresholds import METRICS, Limit, Thresholds

# One look at three metrics in two windows: the level of one comparison is then (1 - confidence) / 6.
AT_2_5_PERCENT = Thresholds(looks=1, confidence=0.85, rollback_confidence=0.85, user_correlation=0.0)


def counts(n=50_000, clicks=6000, errors=50, p99=120.0, p99_se=0.02, users=None, days=1.0):
    """Return counts, arrays of one shape, of one query a user unless told otherwise."""
    given = (n if users is None else users, n, clicks, n, errors, n, p99, p99_se, days)
    arrays = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in given))
    names = ("n_users", "n_queries", "n_clicks", "n_click_queries", "n_errors", "n_error_queries")
    return Counts(
        **dict(zip(names, arrays[:6], strict=True)), log_p99=np.log(arrays[6]), log_p99_se=arrays[7], days=arrays[8]
    )


@pytest.mark.parametrize(("n", "share"), [(1000, 0.34), (10_000, 0.096)])
def test_a_point_rule_cries_wolf_and_this_rule_does_not(n, share):
    """On A/A data "CTR down more than 5 %" fires 34 % and 9.6 % of the time; this rule keeps the level of its test."""
    rng = np.random.default_rng(3)
    arms = rng.binomial(n, 0.12, (2, 40_000))
    assert np.mean(arms[1] < 0.95 * arms[0]) == pytest.approx(share, abs=0.012)
    thresholds = Thresholds()
    found = compare(counts(n, arms[0]), counts(n, arms[1]), thresholds, with_bounds=False)
    # A true level α makes at most this many of 40,000 with a chance of 99.9 %.
    most = 40_000 * thresholds.alert_alpha + 3.1 * (40_000 * thresholds.alert_alpha) ** 0.5
    assert found.ctr.breaches_alert.sum() <= most
    assert not found.is_enough("ctr", thresholds.ctr).any()


def test_small_samples_read_not_enough_data():
    """A thousand users an arm are not enough to call CTR fine, however alike the arms; a hundred thousand are."""
    thresholds = Thresholds()
    alike = compare(counts([1000, 100_000], [120, 12_000]), counts([1000, 100_000], [120, 12_000]), thresholds)
    assert alike.is_enough("ctr", thresholds.ctr).tolist() == [False, True]
    assert not alike.ctr.breaches_alert.any()


def test_ctr_agrees_with_the_reference_values():
    """1,200 against 1,150 of 10,000: one-sided p of the pooled test .1361, ratio score interval [.88822, 1.03397]."""
    found = compare(counts(10_000, 1200), counts(10_000, 1150), AT_2_5_PERCENT).ctr
    assert found.tail == pytest.approx(0.2722306 / 2, rel=1e-4)
    assert found.low + 1 == pytest.approx(0.88822, abs=6e-5)
    assert found.high + 1 == pytest.approx(1.03397, abs=6e-5)


@pytest.mark.parametrize(("x0", "x1"), [(0, 3), (40, 61), (7, 0), (900, 70), (1, 1)])
def test_the_error_test_is_the_exact_conditional_one(x0, x1):
    """Tail and interval of the error rate are those of an exact binomial test of the treatment's part of all errors."""
    n0, n1 = 950_000, 50_000
    found = compare(counts(n0, errors=x0), counts(n1, errors=x1), AT_2_5_PERCENT).error_rate
    exact = binomtest(x1, x0 + x1, n1 / (n0 + n1), alternative="greater")
    assert found.tail == pytest.approx(exact.pvalue, rel=1e-9)
    interval = binomtest(x1, x0 + x1, 0.5).proportion_ci(0.95, method="exact")
    for bound, part in ((found.low, interval.low), (found.high, interval.high)):
        expected = np.inf if part == 1 else part / (1 - part) * n0 / n1 - 1
        assert bound == pytest.approx(expected, rel=1e-9)


def test_the_first_error_of_a_million_is_no_alert():
    """Against a baseline without errors nothing is divided by zero: one error, or four, never alert; fifty do."""
    found = compare(counts(1_000_000, errors=0), counts(1_000_000, errors=[0, 1, 4, 50]), Thresholds()).error_rate
    assert found.breaches_alert.tolist() == [False, False, False, True]
    assert found.change.tolist() == [0.0, np.inf, np.inf, np.inf]
    small_share = compare(counts(10_000_000, errors=0), counts(1000, 100, errors=[1, 4]), Thresholds()).error_rate
    assert not small_share.breaches_alert.any()
    assert not small_share.breaches_rollback.any()


def test_falling_latency_is_good_news():
    """However far latency, errors fall or CTR rises, nothing is breached."""
    better = compare(counts(), counts(clicks=9000, errors=0, p99=[119.0, 60.0, 1.0], p99_se=1e-4), Thresholds())
    assert not any(better.of(metric).breaches_alert.any() for metric in METRICS)


def test_a_change_must_be_sure_and_beyond_the_threshold():
    """Sure but small, and large but unsure, are no alert; both are needed, and the rollback asks for more of both."""
    p99 = compare(
        counts(p99_se=0.01), counts(p99=[140, 200, 200, 260], p99_se=[0.01, 0.2, 0.01, 0.01]), Thresholds()
    ).p99
    assert p99.breaches_alert.tolist() == [False, False, True, True]
    assert p99.breaches_rollback.tolist() == [False, False, False, True]


def test_thresholds_that_are_off_never_breach():
    """Without an alert and a rollback a metric is only measured."""
    off = Limit(alert=None, severity="critical", roll_back=None)
    found = compare(counts(), counts(p99=900, clicks=0), Thresholds(p99=off, ctr=off))
    assert not (found.p99.breaches_alert | found.p99.breaches_rollback | found.ctr.breaches_rollback)


@pytest.mark.parametrize("stored", [False, True])
def test_a_breach_and_its_interval_never_disagree(stored):
    """The bad side of the interval lies beyond no change exactly where the test rejects at the alert's level."""
    rng = np.random.default_rng(5)
    n0, n1 = rng.integers(2000, 900_000, (2, 300))
    clicks, p99 = rng.binomial(n1, rng.uniform(0.1, 0.14, 300)), rng.uniform(80, 300, 300)
    treatment = counts(n1, clicks, rng.poisson(n1 * 0.002), p99)
    reference = counts(n0, rng.binomial(n0, 0.12), rng.poisson(n0 * 0.0015), 120, users=n0 / 3)
    thresholds = Thresholds(looks=1)
    found = compare(reference, treatment, thresholds, is_stored=stored)
    for metric, side in (("p99", found.p99.low), ("error_rate", found.error_rate.low), ("ctr", -found.ctr.high)):
        assert np.array_equal(side > 0, found.of(metric).tail <= thresholds.alert_alpha)
        assert 0 < np.mean(side > 0) < 1


def test_arrays_are_compared_one_by_one():
    """A comparison of arrays equals as many comparisons of numbers."""
    rng = np.random.default_rng(6)
    n, clicks, errors = (rng.integers(low, high, 20) for low, high in ((500, 5000), (0, 500), (0, 20)))
    p99 = rng.uniform(50, 500, 20)
    whole = compare(counts(), counts(n, clicks, errors, p99), Thresholds())
    for at in range(20):
        one = compare(counts(), counts(n[at], clicks[at], errors[at], p99[at]), Thresholds())
        for metric in METRICS:
            for name, value in vars(one.of(metric)).items():
                assert value == pytest.approx(getattr(whole.of(metric), name)[at], rel=1e-12, nan_ok=True)


def test_empty_arms_say_nothing():
    """An arm without queries, or without a count, gives NaN and no breach, and is never enough."""
    empty = counts(0, 0, 0, np.nan, np.nan, users=0)
    for reference, treatment in ((empty, counts()), (counts(), empty), (empty, empty)):
        found = compare(reference, treatment, Thresholds())
        for metric in METRICS:
            assert not found.of(metric).is_measured
            assert not found.of(metric).breaches_alert
            assert not found.is_enough(metric, Thresholds().limit(metric))


def test_zero_clicks_are_a_breach_and_zero_everywhere_is_not():
    """Losing every click breaches; a metric that never had any does not."""
    assert compare(counts(20_000, 2400), counts(20_000, 0), Thresholds()).ctr.breaches_rollback
    assert not compare(counts(20_000, 0), counts(20_000, 0), Thresholds()).ctr.breaches_alert


def test_users_with_several_queries_widen_the_interval():
    """Where users are alike, ignoring them alarms too often; the design effect keeps the level."""
    rng = np.random.default_rng(8)
    n_users, per_user, correlation = 1000, 10, 0.1
    a = 0.12 * (1 / correlation - 1)
    rates = rng.beta(a, a * 0.88 / 0.12, (2, 1500, n_users))
    clicks = rng.binomial(per_user, rates).sum(axis=2)
    n = n_users * per_user
    limit = Limit(alert=1e-9, severity="warning", roll_back=None)
    shares = {}
    for assumed in (0.0, correlation):
        thresholds = Thresholds(looks=1, confidence=0.7, ctr=limit, user_correlation=assumed)  # a level of 5 %
        arms = [counts(n, clicks[arm], users=n_users) for arm in (0, 1)]
        shares[assumed] = compare(*arms, thresholds, with_bounds=False).ctr.breaches_alert.mean()
    assert shares[0.0] > 0.09
    assert shares[correlation] < 0.06


def test_one_query_a_user_has_no_design_effect():
    """The design effect is 1 for one query a user, grows with queries a user, and never shrinks an interval."""
    assert counts(1000, users=[1000, 2000, 100, 0]).design_effect(0.05).tolist() == pytest.approx([1, 1, 1.9, 1])


def test_a_stored_baseline_is_believed_less_than_a_control():
    """Against other days every interval is wider, by the spread from day to day, and more days make up for it."""
    control, stored = (compare(counts(), counts(), Thresholds(), is_stored=flag) for flag in (False, True))
    week = compare(counts(days=7), counts(days=7), Thresholds(), is_stored=True)
    for metric in METRICS:
        assert control.of(metric).detectable < week.of(metric).detectable < stored.of(metric).detectable
        assert stored.of(metric).low < control.of(metric).low
    z, spread = norm.isf(Thresholds().alert_alpha), Thresholds().day_spread
    gained = np.log1p(stored.p99.detectable) ** 2 - np.log1p(control.p99.detectable) ** 2
    assert gained == pytest.approx(2 * (z * spread) ** 2)


def test_the_error_of_a_p99_comes_from_its_interval_or_from_the_number_of_queries():
    """An interval of ±1.96 standard errors gives them back; without one the heaviest tail is assumed, 9.95/√n."""
    low, high = np.exp(np.log(120) - 1.959964 * 0.03), np.exp(np.log(120) + 1.959964 * 0.03)
    assert p99_standard_error(1000, low, high) == pytest.approx(0.03, rel=1e-6)
    assert p99_standard_error([100, 10_000], [np.nan, np.nan], [np.nan, np.nan]) == pytest.approx(
        [0.995, 0.0995], rel=1e-3
    )


def test_the_assumed_error_covers_a_pareto_tail():
    """The p99 of samples from a Pareto of index 1 scatters as much as is assumed without an interval."""
    rng = np.random.default_rng(9)
    logs = np.log(np.quantile(1 / rng.random((1500, 4000)), 0.99, axis=1, method="inverted_cdf"))
    assert logs.std() == pytest.approx(float(p99_standard_error(4000, np.nan, np.nan)), rel=0.1)


def test_latencies_rounded_to_one_value_do_not_divide_by_zero():
    """With an interval of width zero a difference is certain, and no difference is none."""
    found = compare(counts(p99_se=0.0), counts(p99=[120.0, 240.0], p99_se=0.0), Thresholds()).p99
    assert found.breaches_alert.tolist() == [False, True]
