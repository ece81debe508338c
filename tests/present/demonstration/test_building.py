"""The demonstration: what it holds when it is built, and that an interrupted one is gone on with."""

from __future__ import annotations

import json
import re
import shutil
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from engine.embeddings.samples import load_sample
from engine.errors import AccessError, CancelledError
from engine.experiment.storage import KIND as AB_KIND
from engine.experiment.storage import load_analysis, load_origin
from engine.flags import FlagStore
from engine.migration.job import KIND as MIGRATION_KIND
from engine.migration.storage import load_report
from engine.present.demonstration import build_demonstration, find_demonstration
from engine.present.demonstration.building import STAGES
from engine.present.demonstration.moving import move_vectors
from engine.present.demonstration.scene import FIRST_RAMP, SECOND_RAMP, Scene
from engine.present.plan import PlanStore
from engine.present.runbook import RunbookStore
from engine.progress import never_cancelled
from engine.rollout import RolloutControl, RolloutState
from engine.tradeoff import Criterion, load_sweep, summarize
from engine.workspace import Identity, Role, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.present.demonstration import Demonstration

_STAGE_WORDS = re.compile(r"(\d+) of (\d+), ([^:]+): .")


class _CrashError(Exception):
    """What ends a process in the middle of a stage."""


@pytest.fixture(scope="module")
def workspace(demonstration_workspace: Path) -> Iterator[Workspace]:
    """Open the demonstration that the tests share; nothing here writes into it."""
    with Workspace.open(demonstration_workspace) as opened:
        yield opened


@pytest.fixture(scope="module")
def built(workspace: Workspace) -> Demonstration:
    """Return the finished demonstration."""
    found = find_demonstration(workspace)
    assert found is not None
    return found


@pytest.fixture
def control(workspace: Workspace) -> RolloutControl:
    """Return the rollouts of the demonstration."""
    return RolloutControl(workspace, FlagStore(workspace))


def test_every_stage_is_kept_with_what_came_out_of_it(built: Demonstration) -> None:
    """A finished demonstration holds every stage in order, each with a sentence and the seconds that it took."""
    assert built.is_complete
    assert [stage.key for stage in built.stages] == [stage.key for stage in STAGES]
    assert all(stage.outcome.sentence and stage.seconds >= 0 for stage in built.stages)
    assert built.seconds == sum(stage.seconds for stage in built.stages)


def test_building_it_again_changes_nothing(workspace: Workspace, built: Demonstration) -> None:
    """In a workspace that holds its demonstration, a second call, even with another seed, does nothing at all."""
    before = (workspace.audit_head(), len(workspace.runs()))
    again = build_demonstration(workspace, seed=5)
    assert (again.n_new, again.seed, again.stages) == (0, built.seed, built.stages)
    assert (workspace.audit_head(), len(workspace.runs())) == before


def test_the_set_is_swept_beside_its_control_and_other_queries(workspace: Workspace, built: Demonstration) -> None:
    """The newest of three sweeps recommends 192 dims, and its prefix keeps more neighbours than the control's."""
    newest, sample, control = workspace.runs(kind="sweep")
    assert newest.id == built.sweep_run
    assert newest.summary["recommendation"]["dim"] == 192
    assert (sample.dataset["sha256"], sample.dataset["n_queries"]) == (newest.dataset["sha256"], 500)
    assert sample.seed != newest.seed
    assert "control" in control.dataset["labels"]
    kept, turned = (
        next(point["recall"] for point in run.summary["points"] if point["dim"] == 128) for run in (newest, control)
    )
    assert kept["low"] > turned["high"]


def test_whatever_no_user_stands_behind_is_labelled_simulated(workspace: Workspace, control: RolloutControl) -> None:
    """The stored test, rollouts, observations, incident, plan change and ticks all say themselves that they are."""
    (test,) = workspace.runs(kind=AB_KIND)
    assert "simulated" in load_analysis(workspace, test.id).labels
    assert [status.labels for status in control.rollouts()] == [("simulated",)] * 2
    observed = [one for key in (FIRST_RAMP, SECOND_RAMP) for one in control.observations(key)]
    assert observed
    assert all(one.is_simulated for one in observed)
    (incident,) = control.incidents()
    assert incident.is_simulated
    assert incident.note.startswith("Simulated")
    ticks = RunbookStore(workspace).kept().ticks
    assert set(ticks) == {"scripts", "runbook", "on-call"}
    assert all(tick.note.startswith("Simulated") for tick in ticks.values())


def test_the_test_shows_the_lists_of_the_sweep(workspace: Workspace, built: Demonstration) -> None:
    """The simulated A/B test rests on the sweep, is safe by the plan's margin, and its loss of clicks is below it."""
    (test,) = workspace.runs(kind=AB_KIND)
    origin, analysis = load_origin(workspace, test.id), load_analysis(workspace, test.id)
    assert origin.sweep_run == built.sweep_run
    assert origin.traffic is not None
    assert origin.traffic.treatment_dim == 192
    assert analysis.verdict == "safe"
    clicks = next(one.relative.value for one in analysis.metrics if one.key == "ctr")
    assert -0.05 < clicks < 0


def test_the_first_rollout_is_paused_then_rolled_back(control: RolloutControl) -> None:
    """An alert pauses it, somebody goes on, the monitor rolls it back, and the incident is closed with a note."""
    told = control.replay(FIRST_RAMP)
    steps = [(entry.action, entry.rollout.cause) for entry in told.entries]
    assert told.agrees
    assert steps[-3:] == [("pause", "monitor"), ("resume", "person"), ("roll back", "monitor")]
    assert told.entries[-2].override
    (incident,) = control.incidents(FIRST_RAMP)
    assert not incident.is_open
    assert any("p99 latency" in sentence for sentence in incident.sentences)


def test_the_second_rollout_goes_its_whole_schedule(workspace: Workspace, control: RolloutControl) -> None:
    """It begins after the first has ended, follows the more cautious plan, and leaves its holdback out."""
    first, second = (control.status(key, settle=False) for key in (FIRST_RAMP, SECOND_RAMP))
    kept = PlanStore(workspace).load()
    assert kept is not None
    assert (second.rollout.schedule, second.rollout.thresholds) == (
        kept.plan.inputs.used_schedule,
        kept.plan.inputs.used_thresholds,
    )
    assert first.rollout.ended_at is not None
    assert second.rollout.started_at is not None
    assert second.rollout.started_at > first.rollout.ended_at
    assert second.state is RolloutState.COMPLETED
    assert len(second.rollout.entered_at) == len(second.rollout.schedule.stages)
    assert control.replay(SECOND_RAMP).agrees
    flag = FlagStore(workspace).flag("use_reduced_dims")
    assert (flag.percent, flag.driven_by) == (100 - second.rollout.schedule.holdback_percent, None)
    revision = PlanStore(workspace).revisions()[0]
    assert revision.changes
    assert "Simulated" in revision.reason


def test_flags_and_kill_switch_are_those_of_the_set(workspace: Workspace) -> None:
    """The flag of the dims holds 256 and 192, the flag file agrees, and a kill was followed within its limit."""
    store = FlagStore(workspace)
    assert dict(store.flag("reduced_dim_size").variants) == {"full": 256, "192": 192}
    assert store.is_killed is None
    assert json.loads(store.path.read_text())["flags"] == store.live_document()["flags"]
    rehearsal = RunbookStore(workspace).kept().rehearsal
    assert rehearsal is not None
    assert rehearsal.result.is_met


def test_every_vector_has_moved(workspace: Workspace, built: Demonstration) -> None:
    """The migration is equal by every value, and its search is compared with what the sweep promised."""
    report = load_report(workspace, built.run_of("move") or "")
    sweep = load_sweep(workspace, built.sweep_run or "")
    assert (report.validation.verdict, report.dims, report.n_written) == ("equal", 192, sweep.dataset.n_docs)
    points = summarize(sweep, Criterion(quantity="recall", k=10, target=0.95)).points
    assert report.validation.search is not None
    assert report.validation.search.predicted == next(point.recall[10] for point in points if point.dim == 192)
    with workspace.records() as ledger:
        assert [record.body["state"] for record in ledger.all(MIGRATION_KIND)] == ["done"]
    count = RunbookStore(workspace).kept().count
    assert count is not None
    assert not count.result.shortfall


def test_the_audit_log_of_it_is_whole(workspace: Workspace) -> None:
    """Every change of the demonstration is in an unbroken audit log, made by it or by Dimshift itself."""
    assert workspace.check_audit().is_intact
    actors = {event.actor for event in workspace.audit()}
    assert actors <= {"demonstration", "dimshift", "monitor", "schedule"}


def test_without_a_database_files_move_to_files(demonstration_workspace: Path, tmp_path: Path) -> None:
    """Where PostgreSQL cannot start, the same vectors move from file to file, and the outcome says why."""
    folder = tmp_path / "workspace"
    shutil.copytree(demonstration_workspace, folder, ignore=shutil.ignore_patterns("try-it-here"))
    (folder / "try-it-here").mkdir()
    (folder / "try-it-here" / "postgres").write_text("where the data of the server belong")
    with Workspace.open(folder) as workspace:
        kept = find_demonstration(workspace)
        assert kept is not None
        outcome = move_vectors(Scene(workspace, kept, cancelled=never_cancelled), lambda _share, _message: None)
        report = load_report(workspace, outcome.run_id or "")
    assert {report.source.kind, report.target.kind} == {"files"}
    assert report.validation.verdict == "equal"
    assert "Files instead of databases: PostgreSQL must start on its folder" in outcome.sentence


def test_a_viewer_builds_none(tmp_path: Path) -> None:
    """Somebody who may only look is refused, and nothing has changed."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        with pytest.raises(AccessError, match="only operators and admins may do this"):
            build_demonstration(workspace.acting_as(Identity(name="vic", role=Role.VIEWER)))
        assert (workspace.audit_head(), workspace.runs(), find_demonstration(workspace)) == (0, (), None)


class _Breaker:
    """Ends the process in one stage: in the middle of it, or when it is done and before that is kept."""

    def __init__(self, stage: str, *, midway: bool) -> None:
        self._title = next(one.title for one in STAGES if one.key == stage)
        self._midway = midway
        self._n_said = 0

    def progress(self, _share: float, message: str) -> None:
        """Hear of the progress."""
        self._n_said += f", {self._title}: " in message
        if self._midway and self._n_said > 3:
            raise _CrashError

    def clock(self) -> float:
        """Return the seconds; asked before each stage, and after it."""
        if self._n_said:
            raise _CrashError
        return 0.0


def _crash(workspace: Workspace, stage: str, *, midway: bool = False, **options: Any) -> None:
    breaker = _Breaker(stage, midway=midway)
    with pytest.raises(_CrashError):
        build_demonstration(workspace, progress=breaker.progress, clock=breaker.clock, **options)


def test_one_that_was_interrupted_is_gone_on_with(tmp_path: Path) -> None:
    """After a crash between two sweeps and a cancel, a rerun finds what is kept, repeats none of it, and says where."""
    said: list[tuple[float, str]] = []
    with Workspace.open(tmp_path / "workspace") as workspace:
        _crash(workspace, "sweeps", midway=True, seed=3, panels=())
        (control,) = workspace.runs(kind="sweep")
        with pytest.raises(CancelledError):
            build_demonstration(
                workspace,
                panels=None,
                progress=lambda share, message: said.append((share, message)),
                cancelled=lambda: "Costs" in said[-1][1] if said else False,
            )
        kept = find_demonstration(workspace)
        sweeps, panels = workspace.runs(kind="sweep"), workspace.runs(kind="nesting")
    assert kept is not None
    assert (kept.is_complete, kept.seed, kept.panels) == (False, 3, ())
    assert [stage.key for stage in kept.stages] == ["data", "sweeps", "panels", "costs"]
    assert len(sweeps) == 3
    assert sweeps[-1] == control
    assert sweeps[0].id == kept.sweep_run
    assert panels == ()
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    shown = [found for _, message in said if (found := _STAGE_WORDS.match(message))]
    assert len(shown) == len(said) - 1  # the first looks at the workspace
    assert {int(found[2]) for found in shown} == {len(STAGES)}
    assert next(found[3] for found in shown) == "Sweeps"


@pytest.mark.slow
def test_a_crash_in_every_stage_leaves_the_same_demonstration(built: Demonstration) -> None:
    """Crashed in the middle of long stages and at the end of each, it ends as if nothing had happened."""
    # Not below pytest's own folder: as root PostgreSQL runs as another user, whom pytest would lock out of there.
    with TemporaryDirectory(prefix="dimshift-demo-") as folder, Workspace.open(folder) as workspace:
        for stage in STAGES:
            if stage.key in {"sweeps", "first-ramp", "second-ramp", "move"}:
                _crash(workspace, stage.key, midway=True, panels=("nesting",))
            _crash(workspace, stage.key, panels=("nesting",))
        whole = build_demonstration(workspace)
        assert whole.is_complete
        assert [stage.key for stage in whole.stages] == [stage.key for stage in built.stages]
        again = {stage.key: stage.outcome.sentence for stage in whole.stages}
        for key in ("data", "sweeps", "plan", "ab", "first-ramp", "new-plan", "second-ramp", "checks"):
            assert again[key] == next(stage.outcome.sentence for stage in built.stages if stage.key == key)
        kinds = [run.kind for run in workspace.runs()]
        assert sorted(kinds) == ["ab", "cost", "migration", "nesting", "sweep", "sweep", "sweep"]
        rollouts = RolloutControl(workspace, FlagStore(workspace))
        assert [rollouts.replay(key).agrees for key in (FIRST_RAMP, SECOND_RAMP)] == [True, True]
        assert len(rollouts.incidents()) == 1
        assert workspace.check_audit().is_intact
        stored = workspace.load_dataset(load_sample("api-reference").sha256)
        assert stored.n_docs == load_report(workspace, whole.run_of("move") or "").n_written
