"""Make a plan: a pure function of the inputs and the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.present.plan.ab_test import design_effect, pace_text, plan_ab_test
from engine.present.plan.costs import plan_cost, storage_phases
from engine.present.plan.evidence import PlanEvidence
from engine.present.plan.results import Plan
from engine.present.plan.strategy import choose_strategy, matches
from engine.present.plan.timeline import plan_steps, rows_per_s
from engine.present.plan.watching import plan_metrics, plan_triggers

if TYPE_CHECKING:
    from engine.present.plan.inputs import PlanInputs
    from engine.present.plan.results import AbPlan, Strategy
    from engine.tradeoff.size.cost import CostEstimate

_SMALLER_BY = 10


def make_plan(inputs: PlanInputs, *, evidence: PlanEvidence | None = None) -> Plan:
    """Return the plan for `inputs` that `evidence` supports; without evidence it says so and measures first.

    >>> from engine.present.plan.inputs import PlanInputs
    >>> make_plan(PlanInputs()).strategy.outcome
    'measure first'

    Raises
    ------
    ParameterError
        When the A/B test has no rate to test for, or the copy would take more than ten years.
    """
    known = PlanEvidence() if evidence is None else evidence
    ab = plan_ab_test(inputs)
    strategy = choose_strategy(inputs, known, ab)
    cost = plan_cost(inputs, known, is_matching=matches(inputs, known))
    return Plan(
        inputs=inputs,
        strategy=strategy,
        ab_test=ab,
        steps=plan_steps(inputs, known, strategy=strategy, ab=ab, cost=cost),
        metrics=plan_metrics(inputs, known),
        triggers=plan_triggers(inputs),
        storage=storage_phases(inputs, strategy, cost),
        cost=cost,
        assumptions=_assumptions(inputs, known, strategy, cost),
        warnings=_warnings(inputs, known, strategy, ab),
    )


def _assumptions(inputs: PlanInputs, evidence: PlanEvidence, strategy: Strategy, cost: CostEstimate) -> tuple[str, ...]:
    source = "as entered" if inputs.new_users_per_day is not None else "queries a day over queries a user"
    found = [
        inputs.profile.sentence,
    ]
    found.append(
        f"{pace_text(inputs)} new users a day ({source}), {inputs.queries_per_user:g} queries each; those of one "
        f"user are alike, which multiplies the A/B test by {design_effect(inputs):.3g}."
    )
    if strategy.goes("full migration"):
        rate, where = rows_per_s(inputs, evidence)
        found.append(f"The copy runs at {rate:,.0f} rows a second ({where}).")
    return (*found, *cost.notes)


def _warnings(inputs: PlanInputs, evidence: PlanEvidence, strategy: Strategy, ab: AbPlan) -> tuple[str, ...]:
    found = []
    if strategy.outcome == "measure first":
        found.append(
            "Nothing in this plan is evidence yet: dates and costs hold only if a sweep calls these dims safe."
        )
    if "synthetic" in strategy.labels:
        found.append("The sweep is of synthetic vectors: it says nothing about yours.")
    summary = evidence.summary
    if strategy.has_evidence and summary is not None and summary.dataset.n_docs * _SMALLER_BY < inputs.n_docs:
        found.append(
            f"The sweep is of {summary.dataset.n_docs:,} documents, the plan of {inputs.n_docs:,}: recall falls as a "
            "corpus grows; see the forecast."
        )
    nesting = evidence.nesting
    if strategy.has_evidence and not strategy.is_stop and nesting is not None and nesting.projection_wins:
        found.append("A projection of the same size (PCA) keeps more than the prefix: consider it before moving.")
    if ab.is_too_short and ab.power_days is not None:
        found.append(
            f"The A/B test is edited to {ab.days:g} days and needs {ab.power_days:,}: it would likely end undecided."
        )
    if ab.is_too_long and strategy.goes("query reduced"):
        length = "more than a year" if ab.power_days is None else f"{ab.power_days:,} days"
        found.append(f"The A/B test takes {length} on this traffic, longer than {inputs.longest_ab_days} days.")
    advice = inputs.used_schedule.advice
    if advice and strategy.goes("progressive rollout"):
        found.append(advice)
    return tuple(found)
