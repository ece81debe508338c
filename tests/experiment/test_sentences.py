"""Sentences are plain: the verdict first, numbers with their unit, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.experiment.analysis import analyze, analyze_counts
from engine.experiment.faults import Fault
from engine.experiment.judging import adjusted
from engine.experiment.results import Estimate, PeekingRow
from engine.experiment.sentences import classic_sentence, headline, latency_sentence, metric_sentence, peeking_sentence
from engine.experiment.settings import AnalysisSettings, Margin
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.experiment.wording import (
    as_start,
    interval,
    listed,
    margin_text,
    milliseconds,
    moved,
    p_text,
    percent,
    plural,
    precise,
    rounded,
    signed,
)


def test_numbers_are_written_for_people():
    """Shares have a space before the sign and two digits, changes a verb, planned numbers no false precision."""
    assert [percent(one) for one in (0.04167, 0.1149, 0.00012, 1.0, 0)] == [
        "4.2 %",
        "11.5 %",
        "0.012 %",
        "100 %",
        "0 %",
    ]
    assert [moved(one) for one in (-0.05, 0.002, 0)] == ["fell by 5 %", "rose by 0.2 %", "did not change"]
    assert [moved(one) for one in (0.000081, -0.0000081)] == ["rose by 0.01 %", "changed by less than 0.01 %"]
    assert [signed(one) for one in (0.000524, -0.00002, -1.003, 9.154)] == ["+0.05 %", "0 %", "-100 %", "+915 %"]
    assert [percent(one) for one in (1e-7, 1e-12, 0.9994, 12.3)] == ["0.00001 %", "0 %", "99.9 %", "1,230 %"]
    assert [precise(one) for one in (0.1198, 0.00009693)] == ["11.98 %", "0.009693 %"]
    assert [milliseconds(one) for one in (0.25, 999.6, 113_551)] == ["0.25 ms", "1,000 ms", "113,551 ms"]
    assert [p_text(one) for one in (0.2722, 1e-9)] == ["p = 0.27", "p < 0.0001"]
    assert interval(Estimate(value=0, low=-0.1, high=None), 0.95) == "95 % interval -10 % to no upper bound"
    assert interval(Estimate(value=0, low=None, high=None), 0.95) == "no interval"
    assert margin_text(Margin(relative=0.1, absolute=0.0002)) == "10 % (or 2 in 10,000 queries, if that is more)"
    assert (rounded(36_271), rounded(94), plural(1, "day"), plural(2, "day")) == (37_000, 94, "1 day", "2 days")
    assert (plural(1, "query"), plural(2_000, "query")) == ("1 query", "2,000 queries")
    assert (listed(["a", "b", "c"]), as_start("error rate"), as_start("p99 latency")) == (
        "a, b and c",
        "Error rate",
        "p99 latency",
    )


@pytest.fixture(scope="module")
def broken():
    """Simulate and read an experiment whose treatment becomes slow and loses clicks on its third day."""
    arms = ArmNumbers(ctr=0.3, conversion=0.1, error_rate=0.001)
    faults = (
        Fault(kind="latency", amount=2, first_day=2),
        Fault(kind="clicks", amount=-0.3, first_day=2),
    )
    sizes = {"n_users": 20_000, "queries_per_day": 20_000, "n_days": 5}
    return analyze(simulate(TrafficSettings(control=arms, treatment=arms, faults=faults, **sizes)), seed=0)


def test_the_headline_is_first_and_names_what_is_harmful(broken):
    """Harmful comes with every harmful metric and its change; that the users are simulated is said next."""
    assert broken.sentences[0] == broken.headline
    assert broken.headline.startswith("Harmful: CTR fell by 1")
    assert "p99 latency rose by" in broken.headline
    assert broken.headline.endswith("beyond their margins.")
    assert broken.sentences[1] == "Simulated: no real user stands behind these numbers."
    assert [one.split(":")[0] for one in broken.sentences[2:]] == ["CTR", "Conversion", "Error rate", "p99 latency"]
    assert "(95 % interval -" in broken.sentences[2]
    assert "which is more than the margin of 5 %" in broken.sentences[2]


def test_a_missing_gain_of_speed_is_said_and_changes_no_verdict(broken):
    """Twice as fast was hoped for; a slower arm has not got it, a faster one has."""
    assert "The hoped-for gain, 2 times as fast, is not there." in broken.sentences[-1]
    p99 = broken.latencies[2]
    fast = replace(p99, verdict="safe", speedup=2.5, relative=Estimate(value=-0.6, low=-0.62, high=-0.58))
    assert latency_sentence(fast, AnalysisSettings()).endswith("It is 2.5 times as fast; 2 times was hoped for.")
    unknown = replace(p99, verdict="undecided", relative=Estimate(value=0.1, low=None, high=None), reason="few rows")
    assert "there is no interval, since few rows" in latency_sentence(unknown, AnalysisSettings())


def test_no_sentence_holds_a_number_that_does_not_exist(broken):
    """Neither nan, None nor inf reaches a reader."""
    texts = [*broken.sentences, *broken.assumptions, *broken.warnings, broken.peeking.sentence]
    texts += [gate.sentence for gate in broken.gates] + [one.classic.sentence for one in broken.metrics]
    assert not [
        text for text in texts if {"nan", "None", "inf"} & set(text.replace(",", " ").replace(".", " ").split())
    ]


def test_undecided_says_what_would_settle_it():
    """More users, and days where a traffic is known; harm that does not survive Holm is named."""
    found = analyze_counts((1_200, 10_000), (1_180, 10_000), settings=AnalysisSettings(users_per_day=5_000))
    assert found.metrics[0].further_days == -(-found.metrics[0].further_users // 5_000)
    days = f"or about {found.metrics[0].further_days} more days at your traffic, would settle it."
    assert found.headline.endswith(days)


def test_peeking_is_told_beside_the_interval_that_allows_it():
    """One look keeps 5 %, 35 do not."""
    assert "at once" not in peeking_sentence(PeekingRow(n_looks=35, false_positive_rate=0.293), 0.95)
    assert "29.3 % of the time instead of 5 %; the anytime-valid interval at most 5 %" in peeking_sentence(
        PeekingRow(n_looks=35, false_positive_rate=0.293), 0.95
    )
    assert peeking_sentence(PeekingRow(n_looks=1, false_positive_rate=0.05), 0.95).startswith("Looked at once")


SETTINGS = AnalysisSettings()


def of_totals(control, treatment, metric, **changes):
    """Return the read-out of one metric's totals, judged together with others."""
    found = analyze_counts(control, treatment, metric=metric).metrics[0]
    return replace(found, is_judged=True, **changes)


def test_a_change_is_called_real_only_after_the_correction_for_several_metrics():
    """A p-value of .018 is no finding among three metrics and one of .012 is; alone both would be."""
    others = [
        of_totals((1_200, 10_000), (1_200, 10_000), "ctr", change_p=0.46),
        of_totals((1_200, 10_000), (1_200, 10_000), "conversion", change_p=0.16),
    ]
    errors = of_totals((4_846, 5_000_000), (5_078, 5_000_000), "error_rate")
    for p_value, is_real in ((0.018, False), (0.012, True)):
        *_, found = adjusted([*others, replace(errors, change_p=p_value)], (), SETTINGS)[0]
        assert found.change_holm_p == pytest.approx(3 * p_value)
        assert found.is_real is is_real
        assert ("The loss is real, though within the margin." in metric_sentence(found, SETTINGS)) is is_real
        text = classic_sentence(found.classic, confidence=0.95, design_effect=1.0, is_real=found.is_real)
        assert text.startswith("z = 2.33, p = 0.02: a significant difference.")
        assert ("By user, and corrected for the number of metrics, it is none." in text) is not is_real
    ((alone,), _) = adjusted([replace(errors, change_p=0.018)], (), SETTINGS)
    assert alone.is_real
    ((unjudged,), _) = adjusted([replace(errors, change_p=1e-9, is_judged=False)], (), SETTINGS)
    assert not unjudged.is_real


def test_what_the_wider_interval_seems_to_contradict_names_its_test():
    """Where the two-sided interval reaches beyond a margin that the one-sided test rules out, the level is said."""
    close = analyze_counts((12_000, 100_000), (11_660, 100_000)).metrics[0]
    assert (close.verdict, close.relative.low < -0.05) == ("safe", True)
    assert "a loss of more than 5 % is ruled out (one-sided, at 5 %)." in close.sentence
    clear = analyze_counts((12_000, 100_000), (12_000, 100_000)).metrics[0]
    assert "a loss of more than 5 % is ruled out." in clear.sentence
    better = analyze_counts((12_000, 100_000), (13_500, 100_000)).metrics[0]
    assert "one-sided" not in better.sentence


def test_headlines_of_too_little_promise_nothing():
    """An empty arm is named, few users are, and several open metrics are settled as several."""
    assert analyze_counts((0, 0), (3, 10)).headline == (
        "Undecided: there is no query in the control, so there is nothing to compare."
    )
    assert "no query in either arm" in analyze_counts((0, 0), (0, 0)).headline
    assert analyze_counts((1, 1), (0, 1)).headline == (
        "Undecided: CTR is not settled. At least 58 more users are needed: an arm has fewer than 30."
    )
    open_ones = [of_totals((1_200, 10_000), (1_150, 10_000), metric) for metric in ("ctr", "conversion")]
    assert headline("undecided", open_ones, (), SETTINGS) == (
        "Undecided: CTR and conversion are not settled. About 1,100,000 more users would settle them."
    )


def test_days_are_rounded_like_users_and_not_counted_beyond_a_century():
    """105 days become 110; at one user a day no number of days is said."""
    days = analyze_counts((1_200, 10_000), (1_150, 10_000), settings=AnalysisSettings(users_per_day=10_000))
    assert days.metrics[0].further_days == 105
    assert "or about 110 more days at your traffic, would settle it" in days.metrics[0].sentence
    never = analyze_counts((1_200, 10_000), (1_150, 10_000), settings=AnalysisSettings(users_per_day=1))
    assert never.metrics[0].further_days is None
    assert never.headline == "Undecided: CTR is not settled. About 1,100,000 more users would settle it."


def test_signs_are_plain_hyphens(broken):
    """A sentence of the engine never holds a typographic minus: charts draw their own."""
    assert "Injected fault: clicks -30 % in the treatment, from day 2 on." in broken.assumptions
    assert not [text for text in (*broken.sentences, *broken.assumptions) if "\N{MINUS SIGN}" in text]
