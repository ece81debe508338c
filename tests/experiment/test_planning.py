"""Plans hold the published sizes, and simulated traffic agrees with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError
from engine.experiment.planning import PlanSettings, plan_experiment
from engine.experiment.settings import AnalysisSettings, Margin
from engine.experiment.simulated_power import simulated_power
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings


def test_the_plans_of_the_design_are_found():
    """12 % to 11.4 %: 45,045 an arm (45,042 by Cohen's h), 60,298 for 90 %; a 5 % margin: 36,271."""
    found = plan_experiment(PlanSettings(baseline=0.12, effect=-0.05, users_per_day=10_000))
    assert (found.question, found.n_control, found.n_control_arcsine, found.days) == ("superiority", 45_045, 45_042, 10)
    assert found.detectable == pytest.approx(-0.05, abs=1e-5)
    more = plan_experiment(PlanSettings(baseline=0.12, effect=-0.05, power=0.9))
    assert more.n_control == pytest.approx(60_298, abs=10)
    margin = plan_experiment(PlanSettings(baseline=0.12, margin=0.05))
    assert (margin.question, margin.n_control, margin.n_control_arcsine, margin.days) == (
        "non-inferiority",
        36_271,
        None,
        None,
    )
    assert "finding none does not mean safe" in margin.sentences[-1]


def test_users_with_several_like_queries_need_more_queries_and_fewer_users():
    """A design effect of 2 doubles the queries, four queries a user quarter the users; arms follow the split."""
    plain = plan_experiment(PlanSettings(baseline=0.12, margin=0.05))
    crowded = plan_experiment(PlanSettings(baseline=0.12, margin=0.05, design_effect=2.0, queries_per_user=4.0))
    assert crowded.n_control == pytest.approx(2 * plain.n_control, abs=2)
    assert crowded.n_users == pytest.approx(plain.n_users / 2, abs=4)
    small = plan_experiment(PlanSettings(baseline=0.12, margin=0.05, treatment_share=0.2))
    assert small.users_treatment / small.n_users == pytest.approx(0.2, abs=1e-4)


def test_curves_pass_through_the_plan():
    """Power grows with users and is the planned one at the planned number; smaller changes become detectable."""
    found = plan_experiment(PlanSettings(baseline=0.12, margin=0.05))
    assert (np.diff(found.curve_power) > 0).all()
    assert (np.diff(found.curve_detectable) > 0).all()
    assert np.interp(found.n_users, found.curve_users, found.curve_power) == pytest.approx(0.8, abs=0.003)


def test_errors_are_planned_upwards():
    """A margin of the error rate is a rise, and what is detectable is one too."""
    found = plan_experiment(PlanSettings(baseline=0.001, margin=0.1, metric="error_rate"))
    assert found.detectable > 0
    worse = plan_experiment(PlanSettings(baseline=0.001, margin=0.1, metric="error_rate", true_change=0.05))
    assert worse.n_control > 3 * found.n_control


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "either a margin or an effect; found neither"),
        ({"margin": 0.05, "effect": -0.05}, "either a margin or an effect; found both"),
        ({"margin": 0.0}, "margin must be above 0"),
        ({"effect": 0.0}, "change of 0"),
        ({"effect": -0.05, "true_change": -0.1}, "belongs to a margin; found -0.1"),
        ({"margin": 0.05, "true_change": -0.05}, "can never be ruled out"),
        ({"margin": 0.05, "alpha": 0.5}, "alpha"),
        ({"margin": 0.05, "baseline": 0.0}, "rate of control"),
        ({"margin": 0.05, "treatment_share": 1.0}, "share of the treatment"),
        ({"margin": 0.05, "design_effect": 0.0}, "design effect"),
        ({"margin": 0.05, "users_per_day": -1.0}, "users a day must be above 0"),
        ({"margin": 0.05, "users_per_day": 0.0}, "users a day must be above 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong, message):
    """Each wrong setting gives a sentence that names it."""
    with pytest.raises(ParameterError, match=message):
        plan_experiment(PlanSettings(**{"baseline": 0.12, **wrong}))


ARM = ArmNumbers(ctr=0.15)
SHAPE = TrafficSettings(
    control=ARM, treatment=ARM, n_users=1200, queries_per_day=2400, n_days=4, click_spread=0.7, seed=1
)


def test_simulated_power_agrees_with_the_formula_that_knows_users_and_not_with_the_one_that_does_not():
    """On traffic where users differ the share of safe experiments is what the design effect predicts."""
    settings = AnalysisSettings(ctr=Margin(relative=0.14))
    found = simulated_power(SHAPE, settings, n_simulations=100, seed=3)
    assert found.design_effect > 1.4
    assert found.safe.low <= found.formula_safe <= found.safe.high
    assert not found.safe.low <= found.plain_safe <= found.safe.high
    assert found.significant.low <= found.formula_significant <= found.significant.high
    assert found.rate == pytest.approx(0.15, rel=0.02)
    assert found.n_control == pytest.approx(4800, rel=0.05)
    assert f"{found.design_effect:.2f}" in found.sentences[1]
    assert found.sentences[0].startswith("A loss of 14 % was ruled out in 6")
    assert found.change_sentences[0].startswith("A change was found in")


@pytest.mark.slow
def test_simulated_power_agrees_over_many_experiments():
    """With 2,000 experiments, and a real loss, both shares stay within 3 Monte Carlo errors of the formulas."""
    shape = replace(SHAPE, treatment=ArmNumbers(ctr=0.144))
    found = simulated_power(shape, AnalysisSettings(ctr=Margin(relative=0.14)), n_simulations=2_000, seed=8)
    for simulated, formula in ((found.safe, found.formula_safe), (found.significant, found.formula_significant)):
        assert abs(simulated.value - formula) < 3 * np.sqrt(formula * (1 - formula) / 2_000) + 0.005


def test_a_simulation_repeats_with_its_seed_and_stops_when_told():
    """The same seed gives the same answer; a cancel and wrong numbers give none."""
    few = {"n_simulations": 3, "seed": 5}
    assert simulated_power(SHAPE, **few) == simulated_power(SHAPE, **few)
    with pytest.raises(CancelledError):
        simulated_power(SHAPE, **few, cancelled=lambda: True)
    with pytest.raises(ParameterError, match="number of simulations must be from 2 to 10,000"):
        simulated_power(SHAPE, n_simulations=1)
    with pytest.raises(ParameterError, match="must hold the metric"):
        simulated_power(SHAPE, metric="no_results", n_simulations=2)
    nobody = replace(SHAPE, control=ArmNumbers(ctr=0.0), treatment=ArmNumbers(ctr=0.0))
    with pytest.raises(ParameterError, match="neither always nor never"):
        simulated_power(nobody, n_simulations=2)


def test_plans_that_nobody_can_carry_out_say_so():
    """More users than people, fewer than any verdict needs, and days beyond a century are said instead of counted."""
    crowd = plan_experiment(PlanSettings(baseline=0.12, margin=0.0001, users_per_day=1_000))
    assert "There are not as many people: allow a larger loss, or a larger change." in crowd.sentences
    assert "At that traffic it would take more than a century." in crowd.sentences
    assert crowd.days is None
    few = plan_experiment(PlanSettings(baseline=0.999, margin=0.9, treatment_share=0.25))
    assert "1 query in the control" in few.sentences[0]
    assert few.sentences[1].endswith("nothing is called safe or harmful: take 120 or more.")
    slow = plan_experiment(PlanSettings(baseline=0.12, margin=0.05, users_per_day=2.5))
    assert "At 2.5 new users a day that takes 29,017 days." in slow.sentences
    busy = plan_experiment(PlanSettings(baseline=0.12, margin=0.005, users_per_day=1_000_000))
    assert "At 1,000,000 new users a day that takes 8 days." in busy.sentences


def test_sentences_say_what_is_lost_and_which_way():
    """Errors rise where clicks are lost, and what is thought to be there has its sign."""
    errors = plan_experiment(PlanSettings(baseline=0.001, margin=0.1, metric="error_rate", true_change=0.02))
    assert errors.sentences[0].startswith(
        "To rule out a relative rise of 10 % from a baseline error rate of 0.1 % where the truth is +2 %, with 80 %"
    )
    clicks = plan_experiment(PlanSettings(baseline=0.12, effect=-0.05))
    assert clicks.sentences[0].startswith("To find a relative change of -5 % from a baseline CTR of 12 %")
