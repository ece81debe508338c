"""What the workspace knows that a plan rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import RunNotFoundError, WorkspaceError
from engine.present.plan import PlanInputs, evidence_of, inputs_from

if TYPE_CHECKING:
    from engine.workspace import Workspace


def test_an_empty_workspace_knows_nothing(workspace: Workspace) -> None:
    """Without a sweep there is no evidence, and the example stays as it is."""
    found = evidence_of(workspace)
    assert (found.run_id, found.summary, found.ab, found.copy) == (None, None, None, None)
    assert inputs_from(found, PlanInputs()) == PlanInputs()


def test_the_newest_sweep_is_taken_with_what_was_measured_beside_it(measured: Workspace) -> None:
    """Without a run the newest sweep counts, with its panels, the A/B test and the rate of the copy."""
    sweep = measured.runs(kind="sweep")[0]
    found = evidence_of(measured)
    assert found.run_id == sweep.id == evidence_of(measured, sweep.id).run_id
    assert found.full_dim == 16
    assert None not in (found.nesting, found.funnel, found.ab, found.copy)
    assert found.ab is not None
    assert found.ab.is_simulated
    assert found.copy is not None
    assert found.copy.dims == 8
    assert found.copy.rows_per_s > 0
    faster = found.times_faster("prefix", 8)
    assert found.latency is not None
    assert faster == found.latency.point("prefix", 16).p50_ms.value / found.latency.point("prefix", 8).p50_ms.value
    assert found.times_faster("prefix", 5) is None


def test_a_run_that_is_no_sweep_is_refused(measured: Workspace) -> None:
    """An unknown run, and one of another kind, end in one sentence."""
    with pytest.raises(RunNotFoundError, match="no such run"):
        evidence_of(measured, "20260101-120000-0123abcd")
    latency = measured.runs(kind="latency")[0]
    with pytest.raises(WorkspaceError, match="the run must be a sweep"):
        evidence_of(measured, latency.id)
