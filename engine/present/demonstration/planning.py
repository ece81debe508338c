"""The stages of the plan: made from the sweep, and once more after a rollout was stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.present.demonstration.kept import ACTOR, Outcome
from engine.present.plan import PlanInputs, PlanStore, changes, evidence_of, inputs_from, make_plan

if TYPE_CHECKING:
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress


def make_first_plan(scene: Scene, progress: Progress) -> Outcome:
    """Plan the example migration at the dims of the sweep."""
    progress(0.0, "Planning")
    store = PlanStore(scene.workspace)
    kept = store.load()
    if kept is None:
        evidence = evidence_of(scene.workspace, scene.sweep_run.id)
        plan = make_plan(inputs_from(evidence, PlanInputs()), evidence=evidence)
        reason = "The traffic of the example migration, the dims of the bundled set"
        kept = store.save(plan, run_id=scene.sweep_run.id, expected_version=0, actor=ACTOR, reason=reason)
    return Outcome(sentence=kept.plan.strategy.headline)


def plan_cautiously(scene: Scene, progress: Progress) -> Outcome:
    """Make the plan again for less appetite for risk, as after a rollout that was stopped; it shows what moved."""
    progress(0.0, "Planning again")
    kept = scene.plan
    evidence = evidence_of(scene.workspace, scene.sweep_run.id)
    plan = make_plan(replace(kept.plan.inputs, risk="cautious"), evidence=evidence)
    moved = changes(kept.plan, plan)
    if moved:
        PlanStore(scene.workspace).save(
            plan,
            run_id=kept.run_id,
            expected_version=kept.version,
            actor=ACTOR,
            reason="Simulated: more caution after the rollout that was stopped",
        )
    return Outcome(sentence=plan.inputs.profile.sentence)
