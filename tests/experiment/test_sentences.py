"""Sentences are plain: the verdict first, numbers with their unit, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.experiment.analysis import analyze, analyze_counts
from engine.experiment.faults import Fault
from engine.experiment.results import Estimate, PeekingRow
from engine.experiment.sentences import latency_sentence, peeking_sentence
from engine.experiment.settings import AnalysisSettings, Margin
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.experiment.wording import as_start, interval, listed, margin_text, moved, p_text, percent, plural, rounded


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
    assert [p_text(one) for one in (0.2722, 1e-9)] == ["p = 0.27", "p < 0.0001"]
    assert interval(Estimate(value=0, low=-0.1, high=None), 0.95) == "95 % interval -10 % to no upper bound"
    assert interval(Estimate(value=0, low=None, high=None), 0.95) == "no interval"
    assert margin_text(Margin(relative=0.1, absolute=0.0002)) == "10 % (or 2 in 10,000 queries, if that is more)"
    assert (rounded(36_271), rounded(94), plural(1, "day"), plural(2, "day")) == (37_000, 94, "1 day", "2 days")
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
