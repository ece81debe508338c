"""The monitor's judgement of a stage: windows, alerts, runs, gates, missing data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.rollout.monitor import judge
from engine.rollout.monitor_results import Alert
from engine.rollout.observations import Observation
from engine.rollout.thresholds import Limit, Thresholds

BEGAN = datetime(2025, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOTHING = dict.fromkeys(("n_clicks", "n_errors", "p99_ms", "p99_low_ms", "p99_high_ms"))


def at(day):
    """Return the moment `day` days after the stage began."""
    return BEGAN + day * DAY


def seen(day, arm="treatment", *, percent=5.0, ctr=0.12, errors=0.001, p99=120.0, queries=None, length=1, **changed):
    """Return what one arm saw on `day`: 50,000 queries at 5 %, five a user, unless told otherwise."""
    share = {"treatment": percent, "control": 100 - percent, "baseline": 100}[arm]
    n = int(10_000 * share) if queries is None else queries
    values = {
        "n_users": n // 5,
        "n_clicks": round(n * ctr),
        "n_errors": round(n * errors),
        "p99_ms": p99,
        "p99_low_ms": None if p99 is None else p99 * 0.97,
        "p99_high_ms": None if p99 is None else p99 * 1.03,
    }
    start, end = at(day).isoformat(), at(day + length).isoformat()
    return Observation(start=start, end=end, arm=arm, percent=percent, n_queries=n, **{**values, **changed})


def days(n, first=0, **treatment):
    """Return `n` days of both arms, the treatment changed as told."""
    return [one for day in range(first, first + n) for one in (seen(day, "control"), seen(day, **treatment))]


def judged(observations, day, thresholds=None, **options):
    """Judge at the end of `day` days."""
    return judge(observations, thresholds=thresholds or Thresholds(), now=at(day), since=BEGAN, **options)


def alerts_of(report):
    """Return metric and severity of every alert."""
    return [(alert.metric, alert.severity) for alert in report.alerts]


def test_a_healthy_stage_raises_nothing_and_opens_its_gates():
    """Alike arms give no alert, enough data, a reading of every metric in both windows, and JSON as evidence."""
    report = judged(days(3), 3)
    assert (report.action, report.is_enough_data, report.alerts, report.gates) == ("none", True, (), ())
    assert {(one.metric, one.window, one.status) for one in report.readings} == {
        (metric, window, "ok") for metric in ("p99", "error_rate", "ctr") for window in ("stage", "latest")
    }
    stage = next(one for one in report.windows if one.name == "stage")
    assert (stage.treatment_queries, stage.reference_queries, stage.treatment_users) == (150_000, 2_850_000, 10_000)
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["readings"]


def test_readings_carry_what_a_chart_draws():
    """Value, baseline, interval and thresholds stand on one scale, in ms or as shares."""
    reading = next(one for one in judged(days(1, ctr=0.111), 1).readings if one.metric == "ctr")
    assert (reading.value, reading.baseline, reading.status) == (0.111, 0.12, "warning")
    assert reading.value_low == pytest.approx(0.12 * (1 + reading.low))
    assert reading.value_low < reading.value < reading.value_high
    assert (reading.alert_at, reading.roll_back_at) == (pytest.approx(0.114), pytest.approx(0.108))


@pytest.mark.parametrize(
    ("changed", "action", "alert"),
    [
        ({"p99": 185.0}, "pause", ("p99", "critical")),
        ({"p99": 260.0}, "roll_back", ("p99", "critical")),
        ({"errors": 0.003}, "roll_back", ("error_rate", "critical")),
        ({"ctr": 0.1125}, "none", ("ctr", "warning")),
        ({"ctr": 0.104}, "roll_back", ("ctr", "critical")),
    ],
)
def test_each_fault_does_what_the_thresholds_say(changed, action, alert):
    """p99 +54 % pauses, +117 % rolls back; errors × 3 and CTR -13 % roll back; CTR -6 % warns."""
    report = judged(days(1, **changed), 1)
    assert report.action == action
    assert alerts_of(report) == [alert]
    assert report.alerts[0].rolls_back == (action == "roll_back")
    assert report.alerts[0].sentence == report.sentences[0]
    assert Alert.from_json(report.as_json()["alerts"][0]) == report.alerts[0]


def test_falling_latency_and_errors_are_good_news():
    """A treatment that is twice as quick, without errors and with more clicks raises nothing."""
    assert judged(days(2, p99=60.0, errors=0, ctr=0.15), 2).alerts == ()


def test_a_fault_in_the_middle_of_a_stage_is_caught_within_a_day():
    """Twenty quiet days hide a bad one in their sum; the latest day alone shows it."""
    report = judged([*days(20), *days(1, 20, errors=0.002)], 21)
    assert report.action == "roll_back"
    assert report.alerts[0].window == "latest"
    assert next(one for one in report.readings if one.window == "stage" and one.metric == "error_rate").status == "ok"


def test_a_small_fault_is_caught_by_the_whole_stage():
    """CTR 6 % lower is lost in the noise of one day of 20,000 queries, and stands out after two weeks of them."""
    small = [one for day in range(14) for one in (seen(day, "control"), seen(day, ctr=0.1128, queries=20_000))]
    assert judged(small[:2], 1).alerts == ()
    report = judged(small, 14)
    assert [(one.metric, one.window) for one in report.alerts] == [("ctr", "stage")]


def test_breaches_in_a_row_are_counted_from_observations_not_from_questions():
    """With two in a row needed, one bad day waits however often it is judged; a good day between starts anew."""
    thresholds = Thresholds(breaches=2, rollback_breaches=3)
    bad = {"p99": 185.0}
    for _ in range(3):
        once = judged([*days(1), *days(1, 1, **bad)], 2, thresholds)
    assert once.alerts == ()
    assert any("1 of the 2 looks" in sentence for sentence in once.sentences)
    twice = judged([*days(1), *days(2, 1, **bad)], 3, thresholds)
    assert (twice.action, twice.alerts[0].consecutive) == ("pause", 2)
    broken = judged([*days(1), *days(1, 1, **bad), *days(1, 2), *days(1, 3, **bad)], 4, thresholds)
    assert broken.action == "none"


def test_within_the_cool_down_an_alert_stands_but_does_not_pause_again():
    """After a pause the same metric only stands for the cool-down; another metric, a rollback and a later day act."""
    slow = judged(days(1, p99=185.0), 1)
    again = judged(days(2, p99=185.0), 1.5, earlier=slow.alerts)
    assert (again.action, alerts_of(again), again.alerts[0].is_cooling) == ("none", [("p99", "critical")], True)
    assert again.critical
    assert judged(days(2, p99=185.0), 2, earlier=slow.alerts).action == "pause"
    both = [replace(one, n_errors=0) if one.arm == "control" else one for one in days(1, p99=185.0)]
    assert judged(both, 1, earlier=slow.alerts).action == "roll_back"
    cooled = judged(days(1, p99=260.0), 1, earlier=slow.alerts)
    assert (cooled.action, cooled.alerts[0].is_cooling) == ("roll_back", False)


@pytest.mark.parametrize(
    ("observations", "day", "words"),
    [
        ([], 1.6, "No data of the treatment for 38.4 hours"),
        (days(1), 2.6, "No data of the control"),
        ([*days(1), seen(1, "control"), seen(1, queries=0)], 2.6, "No data of the treatment"),
        ([*days(1), seen(1)], 2.6, "No data of the control"),
    ],
)
def test_missing_data_is_an_alert_of_its_own(observations, day, words):
    """Silence for longer than allowed pauses, of either arm, also where empty windows keep coming."""
    report = judged(observations, day)
    assert report.action == "pause"
    assert ("data", "missing data") in alerts_of(report)
    assert any(words in gate for gate in report.gates)
    assert not report.is_enough_data
    assert judged(observations, day, expects_data=False).action == "none"
    assert judged(observations, day, Thresholds(pauses_when_missing=False)).action == "none"
    missing = [one for one in report.alerts if one.severity == "missing data"]
    assert judged(observations, day, earlier=missing).action == "none"


def test_a_day_late_is_not_missing():
    """Within the hours allowed nothing is missing, but a stage nobody observed yet has not enough data."""
    report = judged([], 1.4)
    assert (report.action, alerts_of(report)) == ("none", [("data", "not enough data")])
    assert not report.is_enough_data


def _bare(observations, **changed):
    return [replace(one, **changed) if one.arm == "treatment" else one for one in observations]


@pytest.mark.parametrize(
    ("observations", "words"),
    [
        (days(1, queries=600), "Too few users or queries in treatment: 120 users and 600 queries"),
        ([seen(0)], "neither a control nor a stored baseline"),
        (_bare(days(1), n_clicks=None), "CTR is counted in the reference only"),
        ([replace(one, **NOTHING) for one in days(1)], "No metric is counted"),
        (days(1, queries=4000), "too little data to tell a fall of 10 % from none"),
    ],
)
def test_not_enough_data_is_never_silently_fine(observations, words):
    """Whatever is lacking shuts the gates, is an alert, and says what it is."""
    report = judged(observations, 1)
    assert not report.is_enough_data
    assert any(words in gate for gate in report.gates)
    assert {severity for _, severity in alerts_of(report)} == {"not enough data"}
    assert report.action == "none"


def test_too_little_data_does_not_hold_back_an_alarm():
    """An outage in the first few hundred queries rolls back although there is too little data for anything else."""
    report = judged(days(1, queries=600, errors=0.5), 1)
    assert (report.action, report.is_enough_data) == ("roll_back", False)


def test_a_metric_that_nobody_counts_is_named_and_shuts_no_gate():
    """Without clicks in either arm the other metrics decide, and the report says that CTR is not counted."""
    report = judged([replace(one, n_clicks=None) for one in days(1)], 1)
    assert report.is_enough_data
    assert [one.status for one in report.readings if one.metric == "ctr"] == ["not counted"]


def test_a_metric_that_is_no_gate_never_shuts_one():
    """Small numbers of errors shut the gate only where the error rate is made one."""
    gate = Thresholds(error_rate=Limit(alert=0.1, severity="critical", roll_back=0.1, is_gate=True))
    assert judged(days(1), 1).is_enough_data
    assert not judged(days(1), 1, gate).is_enough_data


def test_the_stored_baseline_stands_in_where_no_control_runs():
    """At 100 % without a holdback the treatment is compared with the days before; a control always wins."""
    stored = [seen(day, "baseline", percent=0) for day in range(-7, 0)]
    alone = [seen(day, percent=100.0, p99=190.0) for day in range(2)]
    report = judged([*stored, *alone], 2)
    assert (report.action, report.alerts[0].reference) == ("pause", "baseline")
    beside = judged([*stored, *days(2)], 2)
    assert {one.reference for one in beside.readings} == {"control"}


def test_shares_are_never_pooled():
    """CTR rises in each part of a ramp and falls in their sum (Simpson): only the share of the newest day is judged."""
    ramp = [
        seen(0, "control", percent=1.0, queries=990_000, n_clicks=20_000, n_users=990_000),
        seen(0, percent=1.0, queries=10_000, n_clicks=230, n_users=10_000),
        seen(1, "control", percent=50.0, queries=500_000, n_clicks=5000, n_users=500_000),
        seen(1, percent=50.0, queries=500_000, n_clicks=6000, n_users=500_000),
    ]
    report = judged(ramp, 2)
    assert report.action == "none"
    assert next(one for one in report.readings if one.metric == "ctr").change == pytest.approx(0.2)
    assert report.notes == ("2 windows left out that had another share of users in the treatment.",)


def test_windows_that_do_not_belong_are_left_out_and_named():
    """Windows of the future, across the start of the stage, or counted twice change nothing but the notes."""
    clean, bad = days(2), {"p99": 900.0}
    dirty = [*clean, seen(1.5, **bad), seen(-0.5, **bad), seen(2, **bad), replace(clean[3], source="again")]
    report, reference = judged(dirty, 2), judged(clean, 2)
    assert (report.action, report.readings) == ("none", reference.readings)
    assert report.notes == (
        "2 windows left out that ended in the future.",
        "1 window left out that began before the stage did.",
        "1 window left out that overlapped an earlier one of treatment.",
    )


@settings(max_examples=12, deadline=None)
@given(st.permutations([*days(3, p99=190.0), seen(-3, "baseline"), seen(0.5), seen(9)]))
def test_the_order_of_observations_does_not_matter(observations):
    """The same observations in any order, in any time zone, give the same judgement."""
    expected = judged([*days(3, p99=190.0), seen(-3, "baseline"), seen(0.5), seen(9)], 3)
    assert judged(observations, 3) == expected
    zone = ZoneInfo("Asia/Kolkata")
    moved = [
        replace(one, start=one.started_at.astimezone(zone).isoformat(), end=one.ended_at.astimezone(zone).isoformat())
        for one in observations
    ]
    assert judged(moved, 3).action == expected.action
    assert [one.change for one in judged(moved, 3).readings] == [one.change for one in expected.readings]


def test_the_day_when_clocks_go_back_is_judged_whole():
    """A window of 25 hours is the latest day, although it is longer than 24 hours."""
    long = [seen(0, "control", length=25 / 24), seen(0, errors=0.002, length=25 / 24)]
    report = judged(long, 2)
    assert report.action == "roll_back"
    assert report.n_looks == 1


def test_hourly_windows_are_pooled_to_a_day():
    """24 hours of a fault in hourly windows are judged together, and every hour is a look that the promise counts."""
    hours = [
        seen(hour / 24, arm, length=1 / 24, queries=n, errors=0.005 if hour >= 24 and arm == "treatment" else 0.001)
        for hour in range(48)
        for arm, n in (("control", 40_000), ("treatment", 2000))
    ]
    report = judged(hours, 2)
    assert report.n_looks == 48
    latest = next(one for one in report.windows if one.name == "latest")
    assert (latest.treatment_queries, latest.reference_queries) == (48_000, 960_000)
    assert report.action == "roll_back"
    assert "has had 48 looks" in report.sentences[-1]


def test_moments_without_a_zone_are_refused():
    """Now and the beginning of the stage need a time zone."""
    with pytest.raises(ParameterError, match="time zone"):
        judge([], thresholds=Thresholds(), now=datetime(2025, 3, 1), since=BEGAN)  # noqa: DTZ001  # the point of the test
