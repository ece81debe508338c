"""Storage and cost before, during and after, by the cost model of the trade-off room alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.present.plan.results import StoragePhase
from engine.present.plan.wording import gib_text
from engine.tradeoff.size.cost import Serving, estimate_cost
from engine.tradeoff.size.options import compare_costs, serving_options

if TYPE_CHECKING:
    from engine.present.plan.evidence import PlanEvidence
    from engine.present.plan.inputs import PlanInputs
    from engine.present.plan.results import Strategy
    from engine.tradeoff.size.cost import CostAssumptions, CostEstimate


def plan_cost(inputs: PlanInputs, evidence: PlanEvidence, *, is_matching: bool) -> CostEstimate:
    """Return what serving costs a month now and once the reduced vectors alone are left.

    Measured latency and build speed are used where both dims were measured (`is_matching`: the sweep is of these
    vectors); otherwise they are assumed alike for both.
    """
    latency = evidence.latency if is_matching else None
    now, then = serving_options((inputs.from_dims, inputs.to_dims), n_docs=inputs.n_docs, latency=latency)
    return compare_costs(assumptions_of(inputs), now=now, then=then)


def assumptions_of(inputs: PlanInputs) -> CostAssumptions:
    """Return the assumptions of the cost, with the documents and queries of the plan."""
    return replace(inputs.prices, n_docs=inputs.n_docs, queries_per_day=float(inputs.queries_per_day))


def storage_phases(inputs: PlanInputs, strategy: Strategy, cost: CostEstimate) -> tuple[StoragePhase, ...]:
    """Return what is held and paid for in each phase that the plan reaches.

    While the full vectors are stored and only queries are reduced, no byte is saved; during the move both sets are
    held. Only the last phase saves, and only where the plan goes to a full migration.
    """
    now = cost.now
    phases = [
        StoragePhase(
            title="Now",
            memory_gib=now.memory_gib,
            disk_gib=now.disk_gib,
            cost_per_month=now.cost_per_month,
            note=f"{inputs.from_dims:,} dims, {now.serving.memory_bytes_per_vector:,.0f} bytes a vector in memory.",
        )
    ]
    if strategy.goes("query reduced"):
        phases.append(
            StoragePhase(
                title="Full stored, query reduced",
                memory_gib=now.memory_gib,
                disk_gib=now.disk_gib,
                cost_per_month=now.cost_per_month,
                note="The same rows are read, fewer components of them: no byte is saved. Time saved is not counted.",
            )
        )
    if strategy.goes("full migration"):
        phases += _moved(inputs, cost)
    return tuple(phases)


def _moved(inputs: PlanInputs, cost: CostEstimate) -> list[StoragePhase]:
    full, reduced = cost.now.serving, cost.then.serving
    both = Serving(
        label=f"{full.label} and {reduced.label}",
        dim=full.dim,
        memory_bytes_per_vector=full.memory_bytes_per_vector + reduced.memory_bytes_per_vector,
        disk_bytes_per_vector=full.disk_bytes_per_vector + reduced.disk_bytes_per_vector,
        query_ms=full.query_ms,
        build_rows_per_s=full.build_rows_per_s,
    )
    during = estimate_cost(cost.assumptions, now=both, then=reduced).now
    saved = gib_text(max(0.0, cost.now.memory_gib - cost.then.memory_gib))
    return [
        StoragePhase(
            title="While moving",
            memory_gib=during.memory_gib,
            disk_gib=during.disk_gib,
            cost_per_month=during.cost_per_month,
            note="Full and reduced vectors side by side, so that the way back stays open.",
        ),
        StoragePhase(
            title="After",
            memory_gib=cost.then.memory_gib,
            disk_gib=cost.then.disk_gib,
            cost_per_month=cost.then.cost_per_month,
            note=f"{inputs.to_dims:,} dims alone; {saved} less in memory. From here the full vectors must be computed "
            "again to go back.",
        ),
    ]
