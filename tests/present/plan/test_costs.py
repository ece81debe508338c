"""Storage and cost of a plan are those of the one cost model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.present.plan import PlanInputs, evidence_of, make_plan
from engine.tradeoff.size.cost import CostAssumptions, Serving, estimate_cost

if TYPE_CHECKING:
    from engine.workspace import Workspace
    from tests.present.plan.conftest import MakeEvidence


def test_cost_is_the_cost_models_on_the_plans_own_numbers(make_evidence: MakeEvidence) -> None:
    """Documents and queries are the plan's, prices those that were edited, everything else the model's."""
    prices = CostAssumptions(n_docs=1, queries_per_day=1.0, memory_price_per_gib_month=7.0, currency="EUR")
    inputs = PlanInputs(n_docs=2_000_000, queries_per_day=30_000, prices=prices)
    assumed = CostAssumptions(
        n_docs=2_000_000, queries_per_day=30_000.0, memory_price_per_gib_month=7.0, currency="EUR"
    )
    expected = estimate_cost(assumed, now=Serving.float32(3072), then=Serving.float32(768))
    assert make_plan(inputs, evidence=make_evidence()).cost == expected


def test_only_the_last_phase_saves(make_evidence: MakeEvidence) -> None:
    """Reduced queries save no byte, the move holds both sets, and only then are 3 of 4 bytes gone."""
    now, reduced, moving, after = make_plan(PlanInputs(), evidence=make_evidence()).storage
    assert (reduced.memory_gib, reduced.cost_per_month) == (now.memory_gib, now.cost_per_month)
    assert moving.memory_gib == pytest.approx(now.memory_gib + after.memory_gib)
    assert moving.cost_per_month > now.cost_per_month > after.cost_per_month
    assert after.memory_gib == pytest.approx(now.memory_gib / 4)


def test_a_plan_that_stops_has_no_later_phase(make_evidence: MakeEvidence) -> None:
    """A plan that stops pays what is paid now, and promises nothing."""
    plan = make_plan(PlanInputs(), evidence=make_evidence({768: "harmful"}))
    assert [one.title for one in plan.storage] == ["Now"]


def test_measured_latency_is_used_where_both_dims_were_measured(measured: Workspace) -> None:
    """The cost takes the measured latency of a graph at both dims, carried over to the plan's documents."""
    evidence = evidence_of(measured)
    plan = make_plan(PlanInputs(n_docs=2000, from_dims=16, to_dims=8), evidence=evidence)
    assert plan.cost.now.query_ms_measured
    assert plan.cost.then.query_ms_measured
    assert evidence.latency is not None
    assert plan.cost.then.query_ms == pytest.approx(evidence.latency.point("hnsw", 8).p50_ms.value)
