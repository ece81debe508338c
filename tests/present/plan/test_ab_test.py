"""The A/B test of a plan: how many users, how long, and what instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import ParameterError
from engine.experiment.planning import PlanSettings, plan_experiment
from engine.present.plan import PlanInputs, make_plan
from engine.present.plan.ab_test import plan_ab_test


def test_size_is_that_of_the_power_calculation() -> None:
    """With one query a user and a margin of 5 % it takes the published 36,271 queries an arm."""
    found = plan_ab_test(PlanInputs(queries_per_user=1))
    assert found.n_queries == 2 * 36_271
    assert found.n_users == 2 * 36_271
    same = plan_experiment(PlanSettings(baseline=0.12, margin=0.05, users_per_day=1_000_000))
    assert found.sentences == same.sentences


def test_queries_of_one_user_count_for_less() -> None:
    """Five queries a user, correlated by 0.02, multiply the queries by 1.08."""
    one, five = plan_ab_test(PlanInputs(queries_per_user=1)), plan_ab_test(PlanInputs())
    assert five.n_queries / one.n_queries == pytest.approx(1.08, rel=1e-4)


@pytest.mark.parametrize(("new_users", "power_days", "days"), [(100_000, 1, 7), (1_000, 16, 21), (600, 27, 28)])
def test_it_runs_whole_weeks(new_users: float, power_days: int, days: float) -> None:
    """The length is the power calculation's on this traffic, in whole weeks."""
    found = plan_ab_test(PlanInputs(new_users_per_day=new_users))
    assert (found.power_days, found.days) == (power_days, days)
    assert not found.is_too_long


def test_a_test_that_takes_too_long_offers_a_wider_margin_that_ends_in_time() -> None:
    """Beyond the longest length it says so; the margin it offers ends in time, one of 0.1 % less does not."""
    inputs = PlanInputs(new_users_per_day=100, longest_ab_days=30)
    found = plan_ab_test(inputs)
    assert found.is_too_long
    assert found.power_days == 157
    kinds = {one.kind: one for one in found.alternatives}
    assert "far fewer clicks" in kinds["interleaving"].sentence
    wider = kinds["wider margin"].margin
    assert wider is not None
    ends = plan_ab_test(replace(inputs, margin=wider))
    assert not ends.is_too_long
    assert ends.power_days == kinds["wider margin"].days
    assert plan_ab_test(replace(inputs, margin=round(wider - 0.001, 4))).is_too_long
    assert any("157 days on this traffic" in one for one in make_plan(inputs).warnings)


def test_hardly_any_traffic_offers_interleaving_alone() -> None:
    """Where no margin up to one half ends in time, only interleaving is offered, and no length is made up."""
    found = plan_ab_test(PlanInputs(queries_per_day=1))
    assert found.power_days is None
    assert [one.kind for one in found.alternatives] == ["interleaving"]


def test_an_edited_length_that_is_too_short_is_said() -> None:
    """A length below the power calculation's is taken, and the plan warns that it would end undecided."""
    inputs = PlanInputs(new_users_per_day=1_000, lengths={"ab-test": 5.0})
    plan = make_plan(inputs)
    assert plan.ab_test.is_too_short
    assert any("edited to 5 days and needs 16" in one for one in plan.warnings)


def test_a_ctr_without_a_rate_below_is_refused() -> None:
    """A CTR of 1 or 0 is refused before any plan is made."""
    with pytest.raises(ParameterError, match="the CTR must be a number"):
        PlanInputs(ctr=1.0)
