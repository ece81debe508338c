"""The checks that come before any metric, and what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.experiment.gates import check_gates, split_of
from engine.experiment.settings import AnalysisSettings, Stage
from engine.experiment.user_sums import sum_by_user


@pytest.fixture
def gates_of(events_of):
    """Return a function that checks users given as (control, treatment, both) for each day, one query a day each."""

    def checked(*days, shares=(0.5, 0.5), **settings):
        rows = []
        for day, (control, treatment, both) in enumerate(days):
            for arm, number in enumerate((control, treatment)):
                rows += [(f"{day}-{arm}-{n}", arm, day) for n in range(number)]
            rows += [(f"{day}-both-{n}", arm, day) for n in range(both) for arm in (0, 1)]
        frame = pd.DataFrame(rows, columns=["user", "arm", "day"]).assign(clicked=False)
        events = replace(events_of(frame), shares=shares)
        chosen = AnalysisSettings(**settings)
        ends = [stage.first_day - 1 for stage in chosen.stages[1:]] + [events.n_days - 1]
        firsts = [stage.first_day for stage in chosen.stages] or [0]
        stages = [sum_by_user(events, first_day=a, last_day=b) for a, b in zip(firsts, ends, strict=True)]
        found = check_gates(stages, arms=("control", "treatment"), shares=shares, settings=chosen)
        return {gate.key: gate for gate in found}

    return checked


@pytest.mark.parametrize(
    ("counts", "shares", "p_value", "is_passed"),
    [
        ((1000, 1200), (0.5, 0.5), 0.000020079, False),
        ((135, 115), (0.5, 0.5), 0.205903211, True),
        ((310, 98), (0.75, 0.25), 0.647434186, True),
    ],
)
def test_the_split_gate_holds_the_reference_values(gates_of, counts, shares, p_value, is_passed):
    """The p-values of the design are found, and the gate closes below 0.001."""
    gate = gates_of((*counts, 0), shares=shares)["srm"]
    assert gate.value == pytest.approx(p_value, abs=1e-9)
    assert gate.is_passed == is_passed
    assert ("The split is broken" in gate.sentence) != is_passed


def test_an_empty_arm_breaks_the_split_and_too_few_users_do_not(gates_of):
    """1,000 users to none is broken; 3 to none is too few to say."""
    assert not gates_of((1000, 0, 0))["srm"].is_passed
    few = gates_of((3, 0, 0))["srm"]
    assert (few.is_passed, few.is_checked) == (True, False)
    assert "Too few users to check the split" in few.sentence
    crossed = gates_of((0, 0, 4))["srm"]
    assert (crossed.is_checked, crossed.sentence) == (False, "The split was not checked: no user saw one arm only.")


def test_a_split_that_passes_is_not_called_right(gates_of):
    """A p-value of .005 closes nothing and proves nothing: the sentence says what was found and where the limit is."""
    gate = gates_of((350, 280, 0))["srm"]
    assert gate.is_passed
    assert gate.sentence == (
        "The split fits: 350 users in control and 280 in treatment, 44.4 % in treatment where 50 % was intended "
        "(p = 0.0053, broken below 0.001)."
    )


def test_users_of_both_arms_are_left_out_up_to_a_share(gates_of):
    """Six in 1,000 are left out and counted, twenty close the gate."""
    few = gates_of((497, 497, 6))["multi_exposure"]
    assert (few.is_passed, few.value) == (True, 0.006)
    assert few.sentence == "6 users (0.6 %) saw both arms and are left out; up to 1 % may."
    many = gates_of((490, 490, 20))["multi_exposure"]
    assert not many.is_passed
    assert "20 users (2 %) saw both arms, where 1 % is the most." in many.sentence
    assert gates_of((490, 490, 20), max_multi_exposure=0.02)["multi_exposure"].is_passed


def test_a_split_that_moves_closes_the_gate_even_when_its_average_is_right(gates_of):
    """20 % on the first day and 80 % on the second is no 50 % split."""
    found = gates_of((800, 200, 0), (200, 800, 0))
    assert found["srm"].is_passed
    assert not found["steady_split"].is_passed
    assert "treatment got 20 % from day 0 on, 80 % from day 1 on" in found["steady_split"].sentence


def test_a_planned_ramp_is_checked_stage_by_stage(gates_of):
    """Each stage has its own intended share, the worst p-value is corrected for their number, none is steady."""
    stages = (Stage(first_day=0, treatment_share=0.2), Stage(first_day=1, treatment_share=0.8))
    found = gates_of((800, 200, 0), (200, 800, 0), stages=stages)
    assert set(found) == {"srm", "multi_exposure"}
    assert found["srm"].value == 1.0
    broken = gates_of((800, 200, 0), (260, 740, 0), stages=stages)["srm"]
    assert not broken.is_passed
    assert "from day 1 on" in broken.sentence
    strangers = gates_of((800, 200, 0), (0, 50, 0), stages=(stages[0], Stage(first_day=1, treatment_share=0)))["srm"]
    assert not strangers.is_passed
    assert strangers.sentence == "There are users in an arm that should have none."


def test_a_stage_too_small_to_check_hides_no_broken_one(gates_of):
    """Twelve users of a stage meant to have two are too few to say anything; the next stage is broken all the same."""
    stages = (Stage(first_day=0, treatment_share=0.01), Stage(first_day=1, treatment_share=0.5))
    gate = gates_of((188, 12, 0), (1200, 1000, 0), stages=stages)["srm"]
    assert not gate.is_passed
    assert "from day 1 on" in gate.sentence


def test_without_intended_shares_the_split_is_not_checked(events_of):
    """Nothing is called right that nobody could check."""
    frame = pd.DataFrame({"user": np.arange(300), "arm": np.arange(300) % 3 // 2, "day": 0, "clicked": False})
    sums = [sum_by_user(events_of(frame))]
    names = ("control", "treatment")
    (gate,) = check_gates(sums, arms=names, shares=None, settings=AnalysisSettings(), knows_users=False)
    assert (gate.is_passed, gate.value) == (True, None)
    assert "not checked" in gate.sentence
    assert split_of(sums) == pytest.approx((2 / 3, 1 / 3))
