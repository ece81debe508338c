"""A small experiment, every figure of it recomputed with pandas, statsmodels and plain formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare, norm
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from engine.errors import CancelledError, ParameterError
from engine.experiment.analysis import analyze, analyze_counts
from engine.experiment.clustered_percentiles import clustered_percentiles, compare_percentiles
from engine.experiment.ratios import UserMoments, compare_ratios
from engine.experiment.sequential import peeking_false_positive_rate, sequential_half_width
from engine.experiment.settings import AnalysisSettings, Margin

FACTS = {"ctr": "clicked", "conversion": "converted", "error_rate": "error"}


def table(n_users=900, n_rows=12_000, seed=3, treatment=0.9):
    """Make rows of users with habits of their own, two of whom see both arms."""
    rng = np.random.default_rng(seed)
    activity = np.arange(1, n_users + 1) ** -0.6
    user = rng.choice(n_users, n_rows, p=activity / activity.sum())
    habit, arm_of = rng.gamma(4, 0.25, n_users), rng.permutation(n_users) % 2
    frame = pd.DataFrame({"user": user, "arm": arm_of[user], "day": rng.integers(0, 6, n_rows)})
    frame["clicked"] = rng.random(n_rows) < 0.25 * habit[user] * np.where(frame["arm"] == 1, treatment, 1)
    frame["converted"] = frame["clicked"] & (rng.random(n_rows) < 0.4)
    frame["error"] = rng.random(n_rows) < 0.02
    frame["latency_ms"] = np.where(rng.random(n_rows) < 0.01, np.nan, rng.lognormal(3, 0.5, n_rows) * habit[user])
    frame["segment"] = rng.choice(["head", "tail"], n_rows, p=[0.7, 0.3])
    both = frame.index[frame["user"].isin([7, 11])]
    frame.loc[both, "arm"] = np.arange(len(both)) % 2
    return frame


FRAME = table()
KEPT = FRAME[~FRAME["user"].isin([7, 11])]


@pytest.fixture(scope="module")
def events(events_of):
    """Make the events of the table."""
    return events_of(FRAME)


@pytest.fixture(scope="module")
def result(events):
    """Analyse them with a margin that every metric could meet."""
    return analyze(events, AnalysisSettings(conversion=Margin(relative=0.2), error_rate=Margin(relative=0.3)))


def by_user(rows, column, arm):
    """Return events and queries of each user of an arm."""
    grouped = rows[rows["arm"] == arm].groupby("user")[column]
    return grouped.sum().to_numpy(float), grouped.size().to_numpy(float)


def ratio(rows, column, arm):
    """Return the ratio of an arm and its delta-method variance, from residuals of users."""
    events, queries = by_user(rows, column, arm)
    value = events.sum() / queries.sum()
    residual = events - value * queries
    return value, (residual**2).sum() / queries.sum() ** 2 * len(events) / (len(events) - 1)


@pytest.mark.parametrize(("key", "column"), FACTS.items())
def test_differences_agree_with_a_cluster_robust_regression(result, key, column):
    """Difference and interval are those of an OLS on the arm with standard errors clustered by user."""
    found = next(one for one in result.metrics if one.key == key)
    design = np.column_stack([np.ones(len(KEPT)), KEPT["arm"]])
    options = {"groups": KEPT["user"].to_numpy(), "use_correction": False}
    fit = OLS(KEPT[column].to_numpy(float), design).fit(cov_type="cluster", cov_kwds=options)
    covariance = fit.cov_params()
    users = KEPT.groupby("arm")["user"].nunique()
    control = covariance[0, 0] * users[0] / (users[0] - 1)
    treatment = covariance.sum() * users[1] / (users[1] - 1)
    se = np.sqrt(control + treatment)
    assert found.difference.value == pytest.approx(fit.params[1])
    assert found.difference.low == pytest.approx(fit.params[1] - 1.959964 * se, rel=1e-5)
    assert found.difference.high == pytest.approx(fit.params[1] + 1.959964 * se, rel=1e-5)
    assert found.change_p == pytest.approx(2 * norm.sf(abs(fit.params[1] / se)))
    rows = [KEPT[KEPT["arm"] == arm][column] for arm in (0, 1)]
    by_row = sum(one.mean() * (1 - one.mean()) / len(one) for one in rows)
    assert found.design_effect == pytest.approx(se**2 / by_row)
    assert (found.control.n_events, found.control.n_queries) == (rows[0].sum(), len(rows[0]))
    assert (found.control.n_users, found.treatment.n_users) == (users[0], users[1])


@pytest.mark.parametrize(("key", "column"), FACTS.items())
def test_relative_changes_and_margins_follow_their_definition(result, key, column):
    """At a Fieller bound r the distance T - r·C is 1.96 standard errors; the margin test is the same at 1 - margin."""
    found = next(one for one in result.metrics if one.key == key)
    (c, c_variance), (t, t_variance) = (ratio(KEPT, column, arm) for arm in (0, 1))
    assert found.relative.value == pytest.approx(t / c - 1)
    for bound, sign in ((found.relative.low, 1), (found.relative.high, -1)):
        r = 1 + bound
        assert sign * (t - r * c) / np.sqrt(t_variance + r**2 * c_variance) == pytest.approx(1.959964, rel=1e-5)
    sign = 1 if found.worse == "higher" else -1
    limit = 1 + sign * found.margin.relative
    z = sign * (t - limit * c) / np.sqrt(t_variance + limit**2 * c_variance)
    floor = (sign * (t - c) - found.margin.absolute) / np.sqrt(t_variance + c_variance)
    worst = min(z, floor) if found.margin.absolute else z
    assert found.noninferiority_p == pytest.approx(norm.cdf(worst))
    assert found.harm_p == pytest.approx(norm.sf(worst))
    width = sequential_half_width(np.sqrt(t_variance / c**2 + t**2 * c_variance / c**4), KEPT["user"].nunique())
    assert found.anytime.high == pytest.approx(t / c - 1 + float(width))


@pytest.mark.parametrize(("key", "column"), FACTS.items())
def test_the_classic_read_out_is_that_of_statsmodels(result, key, column):
    """The z-test and the Newcombe and score intervals are those of the plain totals, and are called too optimistic."""
    found = next(one for one in result.metrics if one.key == key)
    rows = [KEPT[KEPT["arm"] == arm][column] for arm in (1, 0)]
    totals, sizes = [one.sum() for one in rows], [len(one) for one in rows]
    assert (found.classic.z, found.classic.p_value) == pytest.approx(proportions_ztest(totals, sizes))
    counts = (totals[0], sizes[0], totals[1], sizes[1])
    newcombe = confint_proportions_2indep(*counts, method="newcomb")
    assert (found.classic.newcombe.low, found.classic.newcombe.high) == pytest.approx(newcombe)
    score = confint_proportions_2indep(*counts, method="score", compare="ratio")
    assert 1 + found.classic.ratio.high == pytest.approx(score[1], rel=1e-4)
    assert found.classic.is_too_optimistic == (found.design_effect > 1.1)
    assert ("too sure of itself" in found.classic.sentence) == found.classic.is_too_optimistic


def test_users_widen_the_interval_that_queries_make_too_narrow(result):
    """Clicks of one user are alike here, so the interval by user is wider than the classic one."""
    ctr = result.metrics[0]
    classic = ctr.classic.wald.high - ctr.classic.wald.low
    assert ctr.design_effect > 1.5
    assert ctr.difference.high - ctr.difference.low > 1.2 * classic


def test_holm_is_that_of_statsmodels_over_what_is_judged(result):
    """Harm and change p-values are adjusted over the judged metrics, p99 among them for harm."""
    judged = [*result.metrics, result.latencies[2]]
    assert all(one.is_judged for one in judged)
    adjusted = multipletests([one.harm_p for one in judged], method="holm")[1]
    assert [one.harm_holm_p for one in judged] == pytest.approx(adjusted)
    change = multipletests([one.change_p for one in result.metrics], method="holm")[1]
    assert [one.change_holm_p for one in result.metrics] == pytest.approx(change)
    assert result.latencies[0].harm_holm_p is None


def test_latency_is_that_of_the_users_of_one_arm(result):
    """Percentiles and intervals are those of each arm's rows with a latency, without users of both arms."""
    arms = []
    for arm in (0, 1):
        rows = KEPT[(KEPT["arm"] == arm) & KEPT["latency_ms"].notna()]
        values = rows["latency_ms"].to_numpy(np.float32)
        arms.append(clustered_percentiles(values, rows["user"].to_numpy(), n_users=900))
        ordered = np.sort(values)
        expected = [ordered[int(np.ceil(len(ordered) * share)) - 1] for share in (0.5, 0.95, 0.99)]
        assert [one.value for one in arms[arm]] == pytest.approx(expected)
    for found, control, treatment in zip(result.latencies, *arms, strict=True):
        change = compare_percentiles(control, treatment)
        assert (found.control.low, found.treatment.high) == (control.low, treatment.high)
        assert (found.relative.value, found.relative.low) == (change.relative_change, change.low)
        assert found.n_control == control.n


def test_the_lift_so_far_is_that_of_an_analysis_on_that_day(events_of, result):
    """At the end of every day both bands and the change are those of an experiment that ended then."""
    for day in (0, 2, 5):
        until = analyze(events_of(KEPT[KEPT["day"] <= day]), result.settings)
        for ended, daily in zip(until.metrics, result.daily.metrics, strict=True):
            if ended.is_exact:
                continue
            now = (
                daily.relative[day],
                daily.low[day],
                daily.high[day],
                daily.anytime_low[day],
                daily.anytime_high[day],
            )
            expected = (ended.relative.value, ended.relative.low, ended.relative.high)
            assert now == pytest.approx((*expected, ended.anytime.low, ended.anytime.high), rel=1e-9)


def test_every_day_alone_is_compared_by_user(result):
    """The difference of one day and its interval are those of the users active that day."""
    rows = KEPT[KEPT["day"] == 4]
    ctr = result.daily.metrics[0]
    moments = [UserMoments.of(*by_user(rows, "clicked", arm)) for arm in (0, 1)]
    alone = compare_ratios(*moments)
    assert ctr.difference[4] == pytest.approx(float(alone.difference))
    assert (ctr.difference_low[4], ctr.difference_high[4]) == pytest.approx((float(alone.low), float(alone.high)))
    assert ctr.control[4] == pytest.approx(float(alone.control.value))
    first = KEPT.groupby(["arm", "user"])["day"].transform("min") == KEPT["day"]
    for arm in (0, 1):
        days = KEPT[KEPT["arm"] == arm].groupby("day")
        assert result.daily.n_queries[arm].tolist() == days.size().tolist()
        assert result.daily.n_users[arm].tolist() == days["user"].nunique().tolist()
        new = KEPT[first & (KEPT["arm"] == arm)].groupby("day")["user"].nunique()
        assert result.daily.n_new_users[arm].tolist() == new.reindex(range(6), fill_value=0).tolist()
    assert result.daily.dates == tuple(f"2026-01-{day:02}" for day in range(5, 11))


def test_a_segment_is_an_experiment_of_its_own_with_holm_over_segments(events_of, result):
    """Each segment's change is that of its rows alone; harm is adjusted over the segments of a metric."""
    for name in ("head", "tail"):
        rows = KEPT[KEPT["segment"] == name]
        alone = analyze(events_of(rows), result.settings).metrics[0]
        found = next(one for one in result.segments if (one.segment, one.metric) == (name, "ctr"))
        assert found.relative == alone.relative
        assert found.harm_p == pytest.approx(alone.harm_p)
    ctr = [one for one in result.segments if one.metric == "ctr"]
    adjusted = multipletests([one.harm_p for one in ctr], method="holm")[1]
    assert [one.harm_holm_p for one in ctr] == pytest.approx(adjusted)


def test_arms_gates_and_peeking_are_counted_from_the_rows(result):
    """Users, queries and events of each arm are those of the table, as are the split's p-value and the looks."""
    users = KEPT.groupby("arm")["user"].nunique().tolist()
    assert [arm.n_users for arm in result.arms] == users
    assert [arm.n_clicks for arm in result.arms] == KEPT.groupby("arm")["clicked"].sum().tolist()
    assert [arm.n_no_results for arm in result.arms] == [None, None]
    assert result.n_multi_exposed == 2
    assert [gate.key for gate in result.gates] == ["srm", "multi_exposure", "steady_split"]
    assert result.gates[0].value == pytest.approx(chisquare(users).pvalue)
    assert result.gates[1].value == pytest.approx(2 / FRAME["user"].nunique())
    assert result.peeking.n_looks == 6
    assert result.peeking.false_positive_rate == peeking_false_positive_rate(6)
    assert "on each of 6 days" in result.peeking.sentence


def test_the_numbers_every_calculator_gives_read_undecided():
    """1,200 of 10,000 against 1,150 of 10,000 with a 5 % margin: no significant difference, and not safe."""
    found = analyze_counts((1_200, 10_000), (1_150, 10_000))
    ctr = found.metrics[0]
    assert (found.verdict, ctr.verdict) == ("undecided", "undecided")
    assert (abs(ctr.classic.z), ctr.classic.p_value) == pytest.approx((1.0979403, 0.2722306), abs=1e-7)
    assert (ctr.classic.newcombe.low, ctr.classic.newcombe.high) == pytest.approx((-0.013929, 0.003928), abs=1e-6)
    assert ctr.classic.noninferiority_p == pytest.approx(0.41089, abs=2e-5)
    assert ctr.noninferiority_p == pytest.approx(0.41089, abs=2e-5)
    assert ctr.bound == pytest.approx(-0.101, abs=2e-3)
    assert ctr.further_users > 1_000_000
    assert found.headline == "Undecided: CTR is not settled. About 1,100,000 more users would settle it."
    assert (found.daily.n_users.shape, found.detected_stages) == ((2, 0), ()), "totals have no days"
    (told,) = analyze_counts((1_200, 10_000), (1_150, 10_000), settings=AnalysisSettings(users_per_day=2_000)).metrics
    assert "About 1,100,000 more users, or about 530 more days at your traffic, would settle it" in told.sentence
    assert "no significant difference, which does not mean safe" in ctr.classic.sentence


def test_a_broken_split_hides_every_metric(events_of):
    """With 45 % where 50 % was meant nothing is computed, and the verdict says that nothing can be trusted."""
    rng = np.random.default_rng(0)
    user = np.arange(20_000)
    frame = pd.DataFrame({"user": user, "arm": rng.random(20_000) < 0.45, "day": user % 3, "clicked": user % 2 == 0})
    found = analyze(events_of(frame.astype({"arm": int})))
    assert (found.metrics, found.latencies, found.segments, found.stratified) == ((), (), (), ())
    assert found.daily.metrics == ()
    assert [arm.n_clicks for arm in found.arms] == [None, None]
    assert found.verdict == "undecided"
    assert found.headline.startswith("Undecided: the experiment is broken, so no read-out can be trusted. The split is")
    assert found.daily.n_queries.sum() == 20_000


def test_an_analysis_draws_nothing(events, result):
    """The same events read the same, whatever seed is kept with them."""
    again = analyze(events, result.settings, seed=5)
    assert (again.seed, again.sentences) == (5, result.sentences)
    assert (again.metrics, again.segments, again.latencies) == (result.metrics, result.segments, result.latencies)


def test_an_experiment_without_a_query_is_refused(events_of):
    """There is nothing to read, and the message says so."""
    frame = pd.DataFrame({"user": [], "arm": [], "day": [], "clicked": []})
    with pytest.raises(ParameterError, match="at least one query"):
        analyze(events_of(frame))


def test_an_analysis_can_be_cancelled(events):
    """A cancel leaves no result."""
    with pytest.raises(CancelledError):
        analyze(events, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("control", "treatment", "metric", "verdict", "said"),
    [
        ((0, 1000), (0, 1000), "ctr", "undecided", "Neither arm has a single click"),
        ((0, 50_000), (0, 50_000), "error_rate", "safe", "a rise of more than 10 % (or 2 in 10,000 queries"),
        ((0, 1000), (0, 1000), "error_rate", "undecided", "more users would settle it"),
        ((0, 1000), (30, 1000), "error_rate", "harmful", "The control has no error, the treatment 30 errors"),
        ((1000, 1000), (1000, 1000), "ctr", "safe", "It did not change"),
        ((1, 1), (0, 1), "ctr", "undecided", "1 user in an arm cannot settle anything"),
        ((0, 0), (3, 10), "ctr", "undecided", "There is no query in the control"),
        ((120_000, 10**6), (118_800, 10**6), "ctr", "safe", "The loss is real, though within the margin"),
        ((120_000, 10**6), (126_000, 10**6), "ctr", "safe", "The improvement is real"),
        ((120_000, 10**6), (110_000, 10**6), "ctr", "harmful", "It fell by 8.3 %"),
        ((100, 1000), (95, 1000), "ctr", "undecided", "neither ruled out nor shown"),
    ],
)
def test_extreme_totals_get_a_clear_sentence(control, treatment, metric, verdict, said):
    """No clicks, only clicks, one user, an empty arm: a verdict and a sentence, and nowhere a NaN."""
    found = analyze_counts(control, treatment, metric=metric)
    assert found.verdict == found.metrics[0].verdict == verdict
    text = " ".join([*found.sentences, *(one.sentence for one in found.metrics), found.metrics[0].classic.sentence])
    assert said in text
    assert "nan" not in repr(found.metrics).lower()
    assert "inf" not in repr(found.metrics).lower().replace("noninferiority", "")


def test_totals_that_cannot_be_are_refused():
    """More clicks than queries, or a negative count, is no experiment."""
    with pytest.raises(ParameterError, match="control cannot have more events than queries; found 11 of 10"):
        analyze_counts((11, 10), (1, 10))
    with pytest.raises(ParameterError, match="the events of treatment must be 0 or more"):
        analyze_counts((1, 10), (-1, 10))
    with pytest.raises(ParameterError, match="treatment may have at most 1,000,000,000,000,000 queries"):
        analyze_counts((1, 10), (1, 10**21))
    for shares in ((0.0, 1.0), (-0.5, 1.5), (0.5, 0.6)):
        with pytest.raises(ParameterError, match="shares of both arms must be above 0 and sum to 1"):
            analyze_counts((1, 10), (1, 10), shares=shares)


def test_nothing_falls_by_more_than_everything(events_of):
    """Where one user is most of an arm the interval of the change ends at -100 %, in every place that shows it."""
    frame = pd.DataFrame({"user": np.arange(600) % 300, "arm": np.arange(600) % 2, "day": np.arange(600) // 300})
    frame["clicked"] = np.arange(600) % 4 < 2
    bot = pd.DataFrame({"user": 1001, "arm": 1, "day": 1, "clicked": False}, index=range(2000))
    found = analyze(events_of(pd.concat([frame, bot]).assign(segment="all")))
    assert found.metrics[0].relative.low == -1.0
    assert found.daily.metrics[0].low[-1] == -1.0
    assert found.segments[0].relative.low == -1.0


def test_what_is_not_judged_changes_no_verdict(events):
    """A metric left out of `judged` is shown, and the overall verdict does not ask it."""
    alone = analyze(events, AnalysisSettings(judged=("error_rate",), error_rate=Margin(relative=0.9)))
    assert [one.key for one in alone.metrics if one.is_judged] == ["error_rate"]
    assert alone.verdict == "safe"
    assert alone.metrics[0].harm_holm_p is None
    absent = analyze(replace(events, error=None), AnalysisSettings(judged=("error_rate",)))
    assert absent.verdict == "undecided"
    assert "Error rate is not in the events and not judged." in absent.warnings


def test_a_user_who_decides_the_width_of_an_interval_is_named(events_of):
    """One user with a third of an arm's queries is pointed out, by a name that cannot forge a line."""
    frame = pd.DataFrame({"user": [f"u{n}" for n in range(2000)], "arm": np.arange(2000) % 2, "day": 0})
    bot = pd.DataFrame({"user": ["bot\n1"] * 500, "arm": 1, "day": 0})
    whole = pd.concat([frame, bot]).assign(clicked=False)
    (warning,) = [one for one in analyze(events_of(whole)).warnings if "bot" in one]
    assert warning == "User “bot 1” sent 500 queries, 33.3 % of treatment: check whether that is a bot."
