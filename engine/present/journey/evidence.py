"""What is stored about a migration, read in one go; nothing is measured, stepped on or changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.embeddings.samples import sample_sets
from engine.errors import EngineError
from engine.experiment import storage as experiments
from engine.flags.writer import FlagWriter
from engine.migration import parse_url
from engine.migration.cut_over import FLAG
from engine.migration.job import KIND as MOVE_KIND
from engine.migration.job import JobRecord, job_of
from engine.migration.storage import load_report
from engine.present.plan import PlanStore
from engine.present.reading import Reader
from engine.present.runbook import look_at
from engine.rollout.history import ROLLOUT_KIND
from engine.rollout.incidents import incidents
from engine.rollout.machine import RolloutState
from engine.rollout.storage import rollout_of
from engine.rollout.view import view_of, view_status
from engine.tradeoff.panels import panel_answer
from engine.tradeoff.size.options import kept_estimates
from engine.tradeoff.storage import KIND as SWEEP_KIND

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.experiment.results import Analysis
    from engine.flags import FlagStore
    from engine.flags.evaluation import KillState
    from engine.migration.job import MigrationJob
    from engine.migration.results import MigrationReport
    from engine.present.plan import KeptPlan
    from engine.present.runbook import Runbook
    from engine.rollout import Incident, Rollout, RolloutStatus
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.size.options import KeptEstimate
    from engine.workspace import Ledger, Record, Run, StoredDataset, Workspace


DEMONSTRATION_KIND = "demonstration"
_TRIED_IN = "try-it-here"  # the folder in which app and demonstration keep stores to try migrations with
_LATENCY = "latency"
# Newer ones come first; what matters stands among these, and a workspace with thousands of runs opens as quickly.
_TESTS_READ = 40
_RUNS_READ = 10


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The A/B test that counts for the sweep."""

    run: Run
    analysis: Analysis

    @property
    def is_simulated(self) -> bool:
        """Whether no real user stands behind it."""
        return "simulated" in self.analysis.labels


@dataclass(frozen=True, kw_only=True)
class Move:
    """A migration between stores; `n_read` rows so far. `is_example` when its stores are inside the workspace's folder.

    `is_abandoned` tells that it is under way by its record, and its process has ended.
    """

    job: MigrationJob
    changed_at: datetime
    report: MigrationReport | None
    n_read: int
    is_example: bool
    is_abandoned: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """Everything a journey is read off. `tests_of_others` counts A/B tests that show the lists of another sweep.

    `rollout` is the one that counts, `active` are all that drive a flag. `cut_over_percent` of the searches go to the
    target store, None without such a flag. `runbook` is None where it was not asked for. `problems` name what is
    stored and cannot be read.
    """

    datasets: tuple[StoredDataset, ...]
    sweep: Run | None
    estimate: KeptEstimate | None
    latency: LatencyResult | None
    experiment: Experiment | None
    tests_of_others: int
    plan: KeptPlan | None
    demonstration: Record | None
    rollout: RolloutStatus | None
    runbook: Runbook | None
    active: tuple[RolloutStatus, ...]
    incidents: tuple[Incident, ...]
    move: Move | None
    killed: KillState | None
    cut_over_percent: float | None
    problems: tuple[str, ...]

    @property
    def is_example(self) -> bool:
        """Whether what was swept, or would be, comes with Dimshift or was generated."""
        if self.sweep is not None:
            return _is_example(str(self.sweep.dataset.get("name", "")), self.sweep.dataset.get("labels", ()))
        return all(_is_example(one.name, one.labels) for one in self.datasets)


def read_evidence(workspace: Workspace, *, flags: FlagStore | None = None) -> Evidence:
    """Read what `workspace` holds; with `flags` also its runbook. Raises WorkspaceError for a damaged database."""
    reader = _Reader(workspace)
    sweep = next(iter(workspace.runs(kind=SWEEP_KIND, limit=1)), None)
    experiment, tests_of_others = reader.experiment(sweep)
    with workspace.records() as ledger:
        writer, moves = FlagWriter(ledger), ledger.all(MOVE_KIND)
        rollouts = reader.rollouts(ledger)
        active = reader.statuses(ledger, writer, [one for one in rollouts if one.is_active])
        rollout = reader.rollout(ledger, writer, rollouts, active)
        demonstration = next(iter(ledger.all(DEMONSTRATION_KIND)), None)
        killed, percent = writer.killed, _cut_over_percent(writer)
        opened = tuple(one for one in incidents(ledger) if one.is_open)
    return Evidence(
        datasets=workspace.datasets(),
        sweep=sweep,
        estimate=None if sweep is None else reader.estimate(sweep),
        latency=None if sweep is None else reader.latency(sweep),
        experiment=experiment,
        tests_of_others=tests_of_others,
        plan=reader.plan(),
        demonstration=demonstration,
        rollout=rollout,
        runbook=None if flags is None else reader.runbook(flags),
        active=active,
        incidents=opened,
        move=reader.move(moves),
        killed=killed,
        cut_over_percent=percent,
        problems=tuple(reader.problems),
    )


class _Reader(Reader):
    """Reads what a journey is told from."""

    def estimate(self, sweep: Run) -> KeptEstimate | None:
        """Return the newest cost estimate of the recommended dimension."""
        dim = sweep.summary["recommendation"]["dim"]
        kept = self.attempt("cost estimates", lambda: kept_estimates(self._workspace, sweep)) or ()
        return next((one for one in kept if one.estimate.then.serving.dim == dim), None)

    def latency(self, sweep: Run) -> LatencyResult | None:
        """Return the newest latency that was measured for the sweep."""
        runs = self._workspace.runs(kind=_LATENCY, dataset_sha256=sweep.dataset["sha256"], limit=_RUNS_READ)
        found = next((run for run in runs if run.parameters.get("sweep") == sweep.id), None)
        answer = None if found is None else self.attempt("latency", lambda: panel_answer(self._workspace, found))
        return None if answer is None else answer.result

    def experiment(self, sweep: Run | None) -> tuple[Experiment | None, int]:
        """Return the newest real A/B test that belongs to the sweep, else the newest simulated one."""
        runs = self._workspace.runs(kind=experiments.KIND, limit=_TESTS_READ)
        belonging = [run for run in runs if run.parameters.get("sweep") in {None, None if sweep is None else sweep.id}]
        # Sorting keeps the order of time among the real ones and among the simulated ones.
        for run in sorted(belonging, key=lambda run: run.parameters.get("traffic") is not None):
            found = self.attempt(f"A/B run {run.id}", partial(self._experiment, run))
            if found is not None:
                return found, len(runs) - len(belonging)
        return None, len(runs) - len(belonging)

    def rollouts(self, ledger: Ledger) -> list[Rollout]:
        """Return the rollouts as they are kept, drafts last, then those that moved last first."""
        read = (
            self.attempt(f"rollout {record.key}", partial(rollout_of, record.body))
            for record in ledger.all(ROLLOUT_KIND)
        )
        return sorted((one for one in read if one is not None), key=_moved_last)

    def statuses(self, ledger: Ledger, flags: FlagWriter, rollouts: Iterable[Rollout]) -> tuple[RolloutStatus, ...]:
        """Return where these rollouts stand, without a step taken."""
        read = (self.attempt(f"rollout {one.key}", partial(_status, ledger, flags, one.key)) for one in rollouts)
        return tuple(one for one in read if one is not None)

    def rollout(
        self, ledger: Ledger, flags: FlagWriter, rollouts: list[Rollout], active: tuple[RolloutStatus, ...]
    ) -> RolloutStatus | None:
        """Return the rollout that counts: a real one before a simulated one, an active one before one that ended."""
        chosen = min(rollouts, key=_place, default=None)
        if chosen is None:
            return None
        status = next((one for one in active if one.rollout.key == chosen.key), None)
        if status is None:
            status = next(iter(self.statuses(ledger, flags, [chosen])), None)
        return status

    def plan(self) -> KeptPlan | None:
        """Return the plan that is kept."""
        return self.attempt("plan", PlanStore(self._workspace).load)

    def runbook(self, flags: FlagStore) -> Runbook | None:
        """Return the runbook as it stands."""
        return self.attempt("runbook", partial(look_at, self._workspace, flags=flags))

    def move(self, records: Iterable[Record]) -> Move | None:
        """Return the migration that counts: a real one before one to try things with, then what changed last."""
        read = (self.attempt(f"migration {record.key}", partial(self._move, record)) for record in records)
        found = [one for one in read if one is not None]
        found.sort(key=lambda one: (one.job.state == "cancelled", one.is_example, -one.changed_at.timestamp()))
        return next(iter(found), None)

    def _experiment(self, run: Run) -> Experiment:
        return Experiment(run=run, analysis=experiments.load_analysis(self._workspace, run.id))

    def _move(self, record: Record) -> Move:
        job = job_of(record)
        report = None if job.run_id is None else load_report(self._workspace, job.run_id)
        progressed = JobRecord(self._workspace, job.id).progressed(job.generation) if job.is_running else None
        return Move(
            job=job,
            changed_at=record.updated_at,
            report=report,
            n_read=0 if progressed is None else progressed.n_read,
            is_example=self._is_inside(job.source) or self._is_inside(job.target),
            is_abandoned=job.is_running and job.owner is not None and job.owner.is_gone() is True,
        )

    def _is_inside(self, url: str) -> bool:
        try:
            path = parse_url(url).path
        except EngineError:
            return False
        if path is None:
            return False
        # The name too: a workspace that was copied or moved still holds the URLs of the folder it was made in.
        return _TRIED_IN in path.parts or path.resolve().is_relative_to(self._workspace.folder.resolve())


def _is_example(name: str, labels: Iterable[Any]) -> bool:
    return "synthetic" in labels or name in {info.title for info in sample_sets()}


def _moved_last(rollout: Rollout) -> tuple[bool, float]:
    return (rollout.state is RolloutState.DRAFT, -rollout.changed_at.timestamp())


def _place(rollout: Rollout) -> tuple[bool, bool, bool]:
    return (rollout.state is RolloutState.DRAFT, rollout.is_simulated, not rollout.is_active)


def _status(ledger: Ledger, flags: FlagWriter, key: str) -> RolloutStatus:
    return view_status(ledger, flags, view_of(ledger, flags, key))


def _cut_over_percent(flags: FlagWriter) -> float | None:
    flag = flags.find(FLAG)
    if flag is None or not flag.is_enabled:
        return None
    return flag.percent
