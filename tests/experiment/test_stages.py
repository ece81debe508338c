"""A ramp is compared within its stages; pooling it turns a gain into a loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.experiment.analysis import analyze
from engine.experiment.evidence import evidence_of
from engine.experiment.segment_changes import stratified_by_segment, stratified_by_stage
from engine.experiment.settings import AnalysisSettings, Stage
from engine.experiment.stages import averaged, by_stage, by_stage_and_day, detected_stages, stage_days, stage_inflation
from engine.experiment.stratified import standardise_rows
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.experiment.user_sums import UserSums, sum_by_user

RAMP = (Stage(first_day=0, treatment_share=0.1), Stage(first_day=3, treatment_share=0.5))


def one_query_each(*stages, segments=None):
    """Return the sums of stages of one day, given as (clicks, queries) of both arms, every user with one query."""

    def columns(pairs):
        return [[n, n, n, clicks, clicks, clicks] for clicks, n in pairs]

    made = []
    for day, arms in enumerate(stages):
        sums = np.array([columns(arms)])
        made.append(
            UserSums(
                metrics=("ctr",),
                first_day=day,
                cumulative=sums,
                daily=sums,
                seen_users=sums[0, :, 0],
                both_arms=np.zeros(0, bool),
                n_seen=int(sums[0, :, 0].sum()),
                heaviest=np.zeros(2, np.int64),
                most_queries=np.ones(2, np.int64),
                segments=np.array([columns(one) for one in segments or ()], np.int64).reshape(-1, 2, 6),
            )
        )
    return made


SIMPSON = [((20_000, 990_000), (230, 10_000)), ((5_000, 500_000), (6_000, 500_000))]


def test_pooling_a_ramp_reverses_the_sign():
    """99/1, then 50/50: pooled the treatment loses 27 %, within stages it gains, with a common odds ratio of 1.198."""
    stages = one_query_each(*SIMPSON)
    (found,) = stratified_by_stage(stages, settings=AnalysisSettings(), inflation={"ctr": np.ones(2)})
    assert found.pooled.value == pytest.approx(-0.27, abs=0.005)
    assert found.odds_ratio.value == pytest.approx(1.198, abs=0.0005)
    assert found.stratified.value > 0.18
    assert found.is_reversed
    assert "Simpson's paradox" in found.sentence
    evidence = evidence_of("ctr", by_stage(stages), 0)
    mantel_haenszel = [
        sum(one[1 - arm][1] * one[arm][0] / (one[0][1] + one[1][1]) for one in SIMPSON) for arm in (0, 1)
    ]
    ratio = float(evidence.ratios.treatment.value / evidence.ratios.control.value)
    assert ratio == pytest.approx(mantel_haenszel[1] / mantel_haenszel[0])


def test_segments_with_an_uneven_split_are_stratified_too():
    """The same table as two segments of one stage is found to be uneven; an even one is left alone."""
    whole = tuple((sum(one[arm][0] for one in SIMPSON), sum(one[arm][1] for one in SIMPSON)) for arm in (0, 1))
    uneven = one_query_each(whole, segments=SIMPSON)
    (found,) = stratified_by_segment(uneven, ["head", "tail"], settings=AnalysisSettings())
    assert (found.by, found.strata, found.is_reversed) == ("segment", ("head", "tail"), True)
    even = one_query_each(((300, 2000), (290, 2000)), segments=[((200, 1000), (190, 1000)), ((100, 1000), (100, 1000))])
    assert stratified_by_segment(even, ["head", "tail"], settings=AnalysisSettings()) == ()


def test_stages_end_where_the_next_begins_and_with_the_experiment():
    """Stages that begin after the last day are left out; without stages there is one."""
    assert stage_days(RAMP, 10) == ((0, 2), (3, 9))
    assert stage_days(RAMP, 3) == ((0, 2),)
    assert stage_days((), 5) == ((0, 4),)


def test_a_stage_with_one_arm_compares_nothing():
    """A first stage without treatment and a last one without control have no weight; a single such stage is NaN."""
    alone = averaged(by_stage(one_query_each(((100, 1000), (90, 1000)))), 0)
    among = one_query_each(((50, 500), (0, 0)), ((100, 1000), (90, 1000)), ((0, 0), (10, 20)))
    ratios = averaged(by_stage(among), 0)
    assert float(ratios.control.value) == float(alone.control.value)
    assert float(ratios.treatment.se) == pytest.approx(float(alone.treatment.se))
    nothing = averaged(by_stage(among[:1]), 0)
    assert np.isnan([float(nothing.control.value), float(nothing.treatment.se)]).all()


def test_the_split_is_detected_where_it_really_moves():
    """A jump from 10 to 50 % is found on its day, chance and a single quiet day are not."""
    steady = np.array([[500, 480], [300, 310], [0, 1], [200, 190]])
    assert len(detected_stages(steady, threshold=0.001)) == 1
    found = detected_stages(np.array([[0, 0], [900, 100], [450, 55], [500, 510], [80, 90]]), threshold=0.001)
    assert [stage.first_day for stage in found] == [0, 3]
    assert [stage.treatment_share for stage in found] == pytest.approx([0.103, 0.508], abs=0.001)


@pytest.fixture(scope="module")
def ramp():
    """Simulate a ramp in which users come back in the second stage, and clicks halve for everybody on day 3."""
    arms = ArmNumbers(ctr=0.2)
    traffic = TrafficSettings(
        control=arms, treatment=arms, ramp=RAMP, n_users=3000, queries_per_day=4000, n_days=6, click_spread=0.8, seed=2
    )
    return simulate(traffic)


def test_a_planned_ramp_is_read_and_an_unplanned_one_is_not(ramp):
    """With its stages the gates pass; without them users of both arms close the gate, which hints at the stages."""
    planned = analyze(ramp, AnalysisSettings(stages=RAMP))
    assert planned.is_trustworthy
    assert [gate.key for gate in planned.gates] == ["srm", "multi_exposure"]
    assert [one.metric for one in planned.stratified] == ["ctr", "conversion", "error_rate"]
    assert any("Latency is read on days 3 to 5 only" in one for one in planned.warnings)
    unplanned = analyze(replace(ramp, shares=(0.7, 0.3)))
    assert not unplanned.is_trustworthy
    assert "If this was a planned ramp, enter its stages." in unplanned.headline


def test_users_who_come_back_in_another_stage_widen_the_interval(ramp):
    """Standard errors of a ramp are those of a linearization over users, not of stages taken for independent."""
    result = analyze(ramp, AnalysisSettings(stages=RAMP))
    ctr = result.metrics[0]
    stages = [sum_by_user(ramp, first_day=first, last_day=last) for first, last in stage_days(RAMP, 6)]
    stratum = np.where(ramp.day < 3, 0, 1)
    exact = standardise_rows(ramp.user, stratum, ramp.arm == 1, ramp.clicked, n_users=ramp.n_users, n_strata=2)
    se = np.hypot(float(exact.control.se), float(exact.treatment.se))
    assert (ctr.difference.high - ctr.difference.low) / 2 == pytest.approx(1.959964 * se, rel=1e-6)
    assert (stage_inflation(ramp, stages, "ctr") > 1.05).any()
    assert ctr.relative.value == pytest.approx(float(exact.treatment.value / exact.control.value) - 1)
    last = result.daily.metrics[0]
    assert (last.relative[-1], last.low[-1]) == pytest.approx((ctr.relative.value, ctr.relative.low))


def test_sums_by_stage_and_day_stand_still_after_a_stage(ramp):
    """Before its first day a stage holds nothing, after its last one what it had."""
    stages = [sum_by_user(ramp, first_day=first, last_day=last) for first, last in stage_days(RAMP, 6)]
    sums = by_stage_and_day(stages, 6)
    assert not sums[1, :3].any()
    assert np.array_equal(sums[0, 5], stages[0].total)
    assert np.array_equal(sums[:, 5], by_stage(stages))
