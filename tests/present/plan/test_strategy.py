"""How far a plan goes, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.present.plan import PlanInputs, evidence_of, inputs_from, make_plan
from engine.present.plan.evidence import AbEvidence

if TYPE_CHECKING:
    from engine.tradeoff import Verdict
    from engine.workspace import Workspace
    from tests.present.plan.conftest import MakeEvidence

INPUTS = PlanInputs()


def goes(plan: object) -> list[str]:
    return [leg.key for leg in plan.strategy.legs if leg.goes]  # type: ignore[attr-defined]  # a plan


def ab_test(verdict: str, *, is_simulated: bool) -> AbEvidence:
    return AbEvidence(run_id="ab-run", verdict=verdict, headline="What it says.", is_simulated=is_simulated)


def test_without_a_sweep_it_says_so_and_measures_first() -> None:
    """A plan without evidence does not pretend: it measures first, warns, and rests on no run."""
    plan = make_plan(INPUTS)
    assert plan.strategy.outcome == "measure first"
    assert not plan.strategy.has_evidence
    assert "No sweep of your vectors" in plan.strategy.reason
    assert plan.steps[0].key == "measure"
    assert plan.strategy.evidence == ()
    assert any("Nothing in this plan is evidence" in one for one in plan.warnings)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"from_dims": 1536}, "is of 3,072 dims, and this plan is from 1,536"),
        ({"to_dims": 512}, "did not try 512 dims; it tried 768, 3,072"),
    ],
)
def test_a_sweep_of_other_dims_is_no_evidence(make_evidence: MakeEvidence, changed: dict[str, int], why: str) -> None:
    """A sweep of another dimension, or one that left the dims to keep out, says nothing, and that is said."""
    plan = make_plan(replace(INPUTS, **changed), evidence=make_evidence())
    assert plan.strategy.outcome == "measure first"
    assert why in plan.strategy.reason
    assert plan.strategy.run_id is None


def test_safe_dims_go_the_whole_way_with_the_figures(make_evidence: MakeEvidence) -> None:
    """Dims that the sweep calls safe go all four legs; the reason holds the interval, the target and the queries."""
    plan = make_plan(INPUTS, evidence=make_evidence())
    assert plan.strategy.outcome == "full migration"
    assert goes(plan) == ["query reduced", "A/B test", "progressive rollout", "full migration"]
    assert "recall@10 0.980 (95 % interval 0.970 to 0.990) against a target of 0.95" in plan.strategy.reason
    assert "500 queries" in plan.strategy.reason
    assert [leg.is_reversible for leg in plan.strategy.legs] == [True, True, True, False]
    assert plan.step("measure") is None


def test_harmful_dims_stop_and_name_those_that_are_safe(make_evidence: MakeEvidence) -> None:
    """Dims shown to be harmful go no leg and have no step; the dims that the sweep recommends are named."""
    plan = make_plan(INPUTS, evidence=make_evidence({768: "harmful", 1536: "safe"}))
    assert plan.strategy.is_stop
    assert goes(plan) == []
    assert plan.steps == ()
    assert plan.strategy.suggested_dims == 1536
    assert "1,536 dims are safe" in plan.strategy.reason


@pytest.mark.parametrize(("verdict", "holm_p"), [("undecided", 0.001), ("safe", 0.2)])
def test_undecided_dims_go_to_the_test_unless_the_plan_is_cautious(
    make_evidence: MakeEvidence, verdict: Verdict, holm_p: float
) -> None:
    """What is undecided, or safe only before Holm's correction, goes as far as the A/B test; a cautious plan stops."""
    evidence = make_evidence({768: verdict}, holm_p=holm_p)
    plan = make_plan(INPUTS, evidence=evidence)
    assert goes(plan) == ["query reduced", "A/B test"]
    assert [step.key for step in plan.steps] == ["prepare", "query-reduced", "ab-test", "decide"]
    cautious = make_plan(replace(INPUTS, risk="cautious"), evidence=evidence)
    assert cautious.strategy.is_stop
    assert [step.key for step in cautious.steps] == ["measure"]


def test_further_queries_that_would_settle_it_are_named(make_evidence: MakeEvidence) -> None:
    """An undecided plan says how many further queries would settle it."""
    plan = make_plan(INPUTS, evidence=make_evidence({768: "undecided"}))
    assert "About 120 further queries would settle it" in plan.strategy.reason


def test_a_test_of_users_counts_and_a_simulated_one_does_not(make_evidence: MakeEvidence) -> None:
    """A real A/B test that reads harmful stops the plan, one that reads safe settles it; simulated ones do neither."""
    for verdict, is_simulated, outcome in (
        ("harmful", False, "stop"),
        ("harmful", True, "query reduced"),
        ("safe", False, "full migration"),
        ("safe", True, "query reduced"),
    ):
        seen = ab_test(verdict, is_simulated=is_simulated)
        plan = make_plan(INPUTS, evidence=make_evidence({768: "undecided"}, ab=seen))
        assert plan.strategy.outcome == outcome
        assert any("simulated, so it proves nothing" in one for one in plan.strategy.evidence) == is_simulated


def test_traffic_that_can_never_decide_stops_before_the_test(make_evidence: MakeEvidence) -> None:
    """Where an A/B test would take more than a year the plan ends with interleaving, and says why."""
    plan = make_plan(replace(INPUTS, queries_per_day=10), evidence=make_evidence())
    assert plan.strategy.is_stop
    assert goes(plan) == ["query reduced"]
    assert "do not reach within a year" in plan.strategy.reason
    step = plan.step("ab-test")
    assert step is not None
    assert step.title == "Interleaving"


def test_a_measured_workspace_gives_its_own_reasons(measured: Workspace) -> None:
    """Of a measured set the plan takes the dims, and quotes nesting, latency, shortlists and the A/B test."""
    evidence = evidence_of(measured)
    inputs = inputs_from(evidence, PlanInputs())
    assert inputs.from_dims == 16
    plan = make_plan(inputs, evidence=evidence)
    said = " ".join(plan.strategy.evidence)
    assert evidence.nesting is not None
    assert set(evidence.nesting.sentences) <= set(plan.strategy.evidence)
    assert "components of full rows took" in said
    assert "measured on 2,000 documents" in said
    assert "simulated, so it proves nothing about users" in said
    assert plan.strategy.labels == ("synthetic",)
    assert any("synthetic vectors" in one for one in plan.warnings)
    assert any("The sweep is of 2,000 documents, the plan of 5,000,000" in one for one in plan.warnings)
    assert plan.strategy.missing == ("An A/B test of users.",)


def test_a_rerank_keeps_the_full_vectors(measured: Workspace) -> None:
    """Dims that fail alone and reach the target with a rerank go as far as the rollout: the store does not shrink."""
    evidence = evidence_of(measured)
    point, row = evidence.point(8), evidence.shortlist(8)
    assert point is not None
    assert row is not None
    assert point.verdict != "safe"
    plan = make_plan(PlanInputs(from_dims=16, to_dims=8), evidence=evidence)
    assert plan.strategy.outcome == "query reduced"
    assert plan.strategy.shortlist == row.shortlist
    assert goes(plan) == ["query reduced", "A/B test", "progressive rollout"]
    assert [one.title for one in plan.storage] == ["Now", "Full stored, query reduced"]
    assert plan.step("copy") is None
