"""What counts as somebody's own work, beside which no demonstration is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import load_sample, synthetic
from engine.errors import ParameterError, WorkspaceError
from engine.experiment.analysis import analyze
from engine.experiment.settings import AnalysisSettings
from engine.experiment.storage import Origin, save_analysis
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.flags import FlagStore
from engine.present.demonstration import build_demonstration, find_demonstration, others_work
from engine.present.plan import PlanInputs, PlanStore, make_plan
from engine.rollout import RolloutControl
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def test_what_the_app_makes_by_itself_is_nobodys(workspace: Workspace) -> None:
    """Standard flags, a sweep of the bundled set and a simulated test leave a workspace free for a demonstration."""
    assert others_work(workspace) == ()
    FlagStore(workspace)
    save_sweep(workspace, sweep(load_sample("api-reference"), (128, 256), (10,), n_queries=40))
    numbers = ArmNumbers(ctr=0.1)
    traffic = TrafficSettings(control=numbers, treatment=numbers, n_users=200, queries_per_day=500, n_days=2)
    save_analysis(workspace, analyze(simulate(traffic), AnalysisSettings(), seed=0), Origin(traffic=traffic))
    assert others_work(workspace) == ()


def test_what_people_did_is_counted_by_kind(workspace: Workspace) -> None:
    """Sets, runs, flags, rollouts and plans count; a demonstration is refused beside them, with nothing changed."""
    own = synthetic(200, 16, n_queries=40)
    workspace.save_dataset(own)
    for dims in ((8, 16), (4, 16)):
        save_sweep(workspace, sweep(own, dims, (10,)))
    flags = FlagStore(workspace)
    flag = flags.flag("enable_new_index")
    flags.set(flag.with_percent(10), expected_version=flag.version, actor="ann")
    RolloutControl(workspace, flags).create("mine", flag_key="use_reduced_dims", actor="ann")
    PlanStore(workspace).save(make_plan(PlanInputs()), run_id=None, expected_version=0, actor="ann")
    assert others_work(workspace) == ("1 rollout", "1 plan", "1 changed flag", "1 data set", "2 runs")
    before = workspace.audit_head()
    with pytest.raises(WorkspaceError, match="found 1 rollout, 1 plan, 1 changed flag, 1 data set, 2 runs"):
        build_demonstration(workspace)
    assert (workspace.audit_head(), find_demonstration(workspace)) == (before, None)


def test_settings_that_cannot_be_are_refused_first(workspace: Workspace) -> None:
    """An unknown panel and a negative seed are named before anything is begun."""
    with pytest.raises(ParameterError, match="found nestling"):
        build_demonstration(workspace, panels=("nestling",))
    with pytest.raises(ParameterError, match="the seed"):
        build_demonstration(workspace, seed=-1)
    assert find_demonstration(workspace) is None
