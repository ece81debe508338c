"""What moved between two plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.present.plan import PlanInputs, changes, make_plan

if TYPE_CHECKING:
    from tests.present.plan.conftest import MakeEvidence

INPUTS = PlanInputs(start="2026-03-02")


def moved(before: object, after: object) -> dict[tuple[str, str], tuple[str, str]]:
    return {(one.topic, one.what): (one.before, one.after) for one in changes(before, after)}  # type: ignore[arg-type]  # plans


def test_the_same_plan_has_not_moved(make_evidence: MakeEvidence) -> None:
    """Nothing moves between a plan and itself, nor between two plans made of the same."""
    plan = make_plan(INPUTS, evidence=make_evidence())
    assert changes(plan, plan) == ()
    assert changes(plan, make_plan(INPUTS, evidence=make_evidence())) == ()


def test_fewer_dims_move_cost_and_storage_alone(make_evidence: MakeEvidence) -> None:
    """Other dims to keep move the cost, the memory and the title of the steps, and no date."""
    evidence = make_evidence({512: "safe", 768: "safe"})
    found = moved(make_plan(INPUTS, evidence=evidence), make_plan(replace(INPUTS, to_dims=512), evidence=evidence))
    assert found["storage", "Memory after"] == ("28.6 GiB", "19.1 GiB")
    assert found["inputs", "Dims to"] == ("768", "512")
    assert ("cost", "Saved a month after the move") in found
    assert ("dates", "End of the plan") not in found


def test_a_shorter_schedule_moves_everything_behind_it(make_evidence: MakeEvidence) -> None:
    """A bold plan ends earlier, with dates before and after for every step behind the first stage."""
    plans = [make_plan(replace(INPUTS, risk=risk), evidence=make_evidence()) for risk in ("balanced", "bold")]
    found = moved(*plans)
    before, after = found["dates", "End of the plan"]
    assert "Jun 2026" in before
    assert "Apr 2026" in after
    assert found["inputs", "Appetite for risk"] == ("balanced", "bold")
    assert found["A/B test", "Margin of the A/B test"] == ("5 %", "7.5 %")
    assert ("dates", "Cut over") in found
    assert ("dates", "Prepare") not in found


def test_new_evidence_moves_the_recommendation_and_the_steps(make_evidence: MakeEvidence) -> None:
    """When a sweep calls the dims harmful the recommendation turns, and steps are no longer planned."""
    found = moved(
        make_plan(INPUTS, evidence=make_evidence()), make_plan(INPUTS, evidence=make_evidence({768: "harmful"}))
    )
    assert found["strategy", "Recommendation"][1].startswith("Stop: 768 dims")
    assert found["strategy", "Goes as far as"] == ("Full migration", "nowhere")
    assert found["dates", "A/B test"][1] == "not planned"


def test_an_owner_is_a_change(make_evidence: MakeEvidence) -> None:
    """Naming an owner shows as that and nothing else."""
    plan = make_plan(INPUTS, evidence=make_evidence())
    named = make_plan(replace(INPUTS, owners={"copy": "Ada"}), evidence=make_evidence())
    assert moved(plan, named) == {("owners", "Owner of Copy at 768 dims"): ("none", "Ada")}
