"""What intervals say about margins, one metric at a time and together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from engine.experiment.analysis import analyze_counts
from engine.experiment.cumulative import days_until
from engine.experiment.evidence import ArmCounts, Evidence, read, read_by_user, read_exactly
from engine.experiment.judging import adjusted, judge_metric, overall, verdict_of
from engine.experiment.proportions import compare_proportions, wilson
from engine.experiment.ratios import RatioEstimate
from engine.experiment.results import DailyMetric
from engine.experiment.settings import MIN_USERS, AnalysisSettings, Margin
from engine.experiment.stages import ArmRatios

SETTINGS = AnalysisSettings()


def estimate(value, se, users):
    """Return a ratio of one arm."""
    return RatioEstimate(value=np.asarray(value), se=np.asarray(se), n_users=np.asarray(float(users)))


def evidence(control, treatment, *, se=0.001, users=10_000, queries=50_000, metric="ctr", crowding=1.0):
    """Return what is known of a metric with the given rates."""
    arms = [
        ArmCounts(n_events=round(value * queries), n_queries=queries, n_users=users, crowding=crowding)
        for value in (control, treatment)
    ]
    ratios = ArmRatios(
        control=estimate(control, se, users),
        treatment=estimate(treatment, se, users),
        row_variance=np.asarray(sum(value * (1 - value) / queries for value in (control, treatment))),
    )
    return Evidence(metric=metric, ratios=ratios, control=arms[0], treatment=arms[1])


@pytest.mark.parametrize(
    ("treatment", "verdict"), [(0.2, "safe"), (0.198, "safe"), (0.19, "undecided"), (0.180, "harmful")]
)
def test_verdicts_follow_the_two_tests(treatment, verdict):
    """Safe where the one-sided test passes at alpha, harmful where the two-sided interval is beyond the margin."""
    known = evidence(0.2, treatment)
    reading = read(known, SETTINGS)
    assert verdict_of(known, reading, SETTINGS) == verdict
    assert (reading.safe_p <= 0.05) == (verdict == "safe")
    assert (reading.relative.high < -0.05) == (verdict == "harmful")
    assert (reading.bound >= -0.05) == (verdict == "safe")


def test_few_users_settle_nothing():
    """With 29 users in an arm even the clearest numbers read undecided, with the number that is missing."""
    found = judge_metric(evidence(0.2, 0.2, users=MIN_USERS - 1), SETTINGS)
    assert (found.verdict, found.further_users) == ("undecided", 2)
    assert judge_metric(evidence(0.2, 0.2, users=MIN_USERS), SETTINGS).verdict == "safe"


def test_a_few_users_with_too_many_queries_settle_nothing():
    """Where one bot sends as much as all others the clearest numbers read undecided, and no more users are asked for.

    50,000 queries with Σx² / Σx of 2,000 tell as much as 25 users with 2,000 queries each; 30 with 1,666 are enough.
    """
    found = judge_metric(evidence(0.2, 0.2, crowding=2_000), SETTINGS)
    assert (found.verdict, found.further_users) == ("undecided", None)
    assert "that it tells as much as 25 users: 30 are needed" in found.reason
    assert not adjusted([replace(found, change_p=1e-9)], [], SETTINGS)[0][0].is_real
    assert judge_metric(evidence(0.2, 0.1, crowding=2_000), SETTINGS).verdict == "undecided"
    enough = judge_metric(evidence(0.2, 0.2, crowding=50_000 / 30), SETTINGS)
    assert (enough.verdict, enough.reason) == ("safe", None)


def test_a_rare_rise_is_safe_within_the_absolute_margin_and_harmful_beyond_both():
    """From 1 to 1.1 errors in 10,000 is a rise of 10 % and nothing; from 1 to 6 in 100 is beyond both margins."""
    small = judge_metric(evidence(0.0001, 0.00011, se=1e-6, queries=10**7, metric="error_rate"), SETTINGS)
    assert small.relative.value == pytest.approx(0.1)
    assert small.verdict == "safe"
    strict = replace(SETTINGS, error_rate=Margin(relative=0.05))
    assert judge_metric(evidence(0.0001, 0.00011, se=1e-6, queries=10**7, metric="error_rate"), strict).verdict == (
        "harmful"
    )
    assert judge_metric(evidence(0.01, 0.06, metric="error_rate"), SETTINGS).verdict == "harmful"


def test_few_events_are_read_by_score_and_wilson_bounds():
    """Nineteen events are read exactly: the difference by Newcombe, each arm by Wilson, no anytime-valid bounds."""
    known = evidence(19 / 50_000, 30 / 50_000, se=np.sqrt(4.9e-4 / 50_000), metric="error_rate")
    assert known.is_exact
    found = judge_metric(known, SETTINGS)
    effect = 4.9e-4 / 50_000 / (30 / 50_000 * (1 - 30 / 50_000) / 50_000)
    assert effect < 1  # a design effect below 1 is not believed: rows are never more than independent
    assert found.treatment.low == pytest.approx(wilson(30, 50_000).low)
    assert found.anytime.value is not None
    assert found.anytime.low is None


def test_without_events_all_queries_of_a_user_count_as_one():
    """No error in 50,000 queries of users with ten each bounds the rate as 5,000 independent queries would."""
    known = evidence(0.0, 0.0, se=np.nan, metric="error_rate", crowding=10.0)
    reading = read_exactly(known, SETTINGS)
    expected = compare_proportions(0, 5_000, 0, 5_000)
    assert reading.difference.high == pytest.approx(expected.newcombe.high)
    assert reading.control.high == pytest.approx(wilson(0, 5_000).high)
    assert (reading.relative.value, reading.margin_z, reading.change_p) == (None, None, 1.0)


def test_users_that_would_settle_it_do_settle_it():
    """With the further users the same change and spread per user are just beyond doubt, safe or harmful."""
    for treatment, verdict in ((0.193, "safe"), (0.186, "harmful")):
        open_one = judge_metric(evidence(0.2, treatment, se=0.0025), SETTINGS)
        assert open_one.verdict == "undecided"
        more = (20_000 + open_one.further_users) / 20_000
        settled = judge_metric(evidence(0.2, treatment, se=0.0025 / np.sqrt(more * 1.0001)), SETTINGS)
        assert settled.verdict == verdict
        before = judge_metric(evidence(0.2, treatment, se=0.0025 / np.sqrt(more * 0.99)), SETTINGS)
        assert before.verdict == "undecided"
    at_the_margin = judge_metric(evidence(0.2, 0.19, se=0.0025), SETTINGS)
    assert at_the_margin.further_users is None or at_the_margin.further_users > 10**9


def metric(verdict, harm_p, key="ctr"):
    """Return a judged metric with a verdict and a p-value of harm."""
    one = analyze_counts((1_200, 10_000), (1_150, 10_000), metric=key).metrics[0]
    return replace(one, verdict=verdict, harm_p=harm_p, is_judged=True)


def test_overall_is_safe_only_when_everything_is():
    """One undecided metric among safe ones leaves the whole undecided."""
    safe = [metric("safe", 0.9), metric("safe", 0.8, "conversion")]
    assert overall(*adjusted(safe, (), SETTINGS), SETTINGS) == "safe"
    assert overall(*adjusted([*safe, metric("undecided", 0.5, "error_rate")], (), SETTINGS), SETTINGS) == "undecided"
    assert overall((), (), SETTINGS) == "undecided"


def test_harm_must_survive_holm():
    """A p-value of 0.01 among four metrics is not harm overall (0.04 > 0.025); 0.001 is."""
    others = [metric("safe", 0.9, key) for key in ("conversion", "error_rate", "no_results")]
    weak, _ = adjusted([metric("harmful", 0.01), *others], (), SETTINGS)
    assert weak[0].harm_holm_p == pytest.approx(0.04)
    assert overall(weak, (), SETTINGS) == "undecided"
    strong, _ = adjusted([metric("harmful", 0.001), *others], (), SETTINGS)
    assert overall(strong, (), SETTINGS) == "harmful"


def test_non_inferiority_keeps_its_level_at_the_margin():
    """Where the truth is a loss of exactly the margin, at most alpha of the experiments read safe."""
    rng = np.random.default_rng(4)
    n_runs, limit = 4_000, 0.19
    treatment = rng.normal(limit, 0.001, n_runs)
    control = rng.normal(0.2, 0.001, n_runs)
    z = (treatment - 0.95 * control) / np.hypot(0.001, 0.95 * 0.001)
    expected = np.mean(norm.sf(z) <= 0.05)
    few = slice(0, 400)
    readings = [read_by_user(evidence(c, t), SETTINGS) for c, t in zip(control[few], treatment[few], strict=True)]
    assert np.mean([one.safe_p <= 0.05 for one in readings]) == np.mean(norm.sf(z[few]) <= 0.05)
    assert expected == pytest.approx(0.05, abs=0.012)


def daily(widths):
    """Return a metric whose fixed band has the given widths by day."""
    nothing = np.zeros(len(widths))
    names = [name for name in DailyMetric.__dataclass_fields__ if name not in {"key", "name", "low", "high"}]
    bands = {"low": -np.asarray(widths) / 2, "high": np.asarray(widths) / 2}
    return DailyMetric(key="ctr", name="CTR", **bands, **dict.fromkeys(names, nothing))


def test_days_are_counted_by_what_a_day_adds():
    """Where ten equal days made a band, half as much again takes five; where no day adds any more, none is said."""
    steady = daily(1 / np.sqrt(np.arange(1, 11)))
    assert days_until(0.5, steady, np.full(10, 100)) == 5
    assert days_until(0.5, daily([np.nan, *np.ones(9)]), np.full(10, 100)) is None
    assert days_until(0.5, None, np.full(4, 100)) == 2
    slower = daily(1 / np.sqrt([*np.linspace(1, 9, 9), *np.linspace(9.1, 9.7, 7)]))
    assert days_until(0.5, slower, np.full(16, 100)) == 49
