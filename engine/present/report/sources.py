"""Everything that a report is built from, read out of a workspace; nothing is measured or changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, RunNotFoundError
from engine.experiment import storage as experiments
from engine.flags.writer import FlagWriter
from engine.migration.results import RUN_KIND as MIGRATION_KIND
from engine.migration.storage import load_report
from engine.present.plan import PlanStore
from engine.present.reading import Reader
from engine.present.report.blocks import Words
from engine.present.runbook import RUNBOOK_KIND, look_at
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.rollout.history import ROLLOUT_KIND, replay, rollout_events
from engine.rollout.series import look_series
from engine.rollout.view import observations_of, view_of, view_status
from engine.tradeoff.panels import panel_answer, panel_runs
from engine.tradeoff.queries.losses import losses
from engine.tradeoff.results import Criterion
from engine.tradeoff.size.options import kept_estimates
from engine.tradeoff.storage import load_sweep
from engine.tradeoff.summary import summarize

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.experiment.results import Analysis
    from engine.experiment.storage import Origin
    from engine.migration.results import MigrationReport
    from engine.present.plan import KeptPlan
    from engine.present.runbook import Runbook
    from engine.progress import Cancelled, Progress
    from engine.rollout import HistoryEntry, RolloutStatus
    from engine.rollout.series import LookPoint
    from engine.tradeoff.panels import PanelAnswer
    from engine.tradeoff.queries.losses import Losses
    from engine.tradeoff.queries.segments import QueryClusters
    from engine.tradeoff.results import SweepResult, SweepSummary
    from engine.tradeoff.run_comparison import RunComparison
    from engine.tradeoff.size.options import KeptEstimate
    from engine.workspace import Run, Workspace


MOST_OF_A_KIND = 3
"""Of A/B tests, rollouts and migrations the newest so many are told."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Experiment:
    """A stored A/B analysis with where its events came from."""

    run: Run
    analysis: Analysis
    origin: Origin


@dataclass(frozen=True, eq=False, kw_only=True)
class Ramp:
    """A rollout with its steps, replayed from the audit log, and what the monitor read at each look.

    `labels` say ``simulated`` when its time or anything that was observed of it is.
    """

    status: RolloutStatus
    history: tuple[HistoryEntry, ...]
    agrees: bool
    looks: tuple[LookPoint, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Moved:
    """A finished migration."""

    run: Run
    report: MigrationReport


@dataclass(frozen=True, eq=False, kw_only=True)
class Sources:
    """What is stored about one sweep, newest first wherever there are several.

    `chosen` is the set with the queries that were swept, None when the workspace does not hold it any more. `losses`
    are at the recommended dimension, or the largest below the full one, None where there is none; `segments` are the
    same by the set's own groups of queries, else by clusters. `problems` name what is stored and cannot be read.
    """

    run: Run
    sweep: SweepResult
    summary: SweepSummary
    answers: dict[str, PanelAnswer]
    panel_runs: dict[str, Run]
    chosen: EmbeddingSet | None
    losses: Losses | None
    segments: Losses | None
    estimates: tuple[KeptEstimate, ...]
    experiments: tuple[Experiment, ...]
    ramps: tuple[Ramp, ...]
    migrations: tuple[Moved, ...]
    plan: KeptPlan | None
    runbook: Runbook | None
    comparison: RunComparison | None
    problems: tuple[str, ...]

    @property
    def dim(self) -> int | None:
        """The dimension that the report is about: the recommended one, else the largest below the full one."""
        return _dim(self.sweep, self.summary)

    @property
    def estimate(self) -> KeptEstimate | None:
        """The newest cost estimate of the dimension that the report is about, else the newest of all."""
        fitting = (one for one in self.estimates if one.estimate.then.serving.dim == self.dim)
        return next(fitting, next(iter(self.estimates), None))

    def result(self, key: str) -> Any:
        """Return what the panel `key` measured, None where nothing was."""
        answer = self.answers.get(key)
        return None if answer is None else answer.result


def read_sources(
    workspace: Workspace,
    run_id: str,
    *,
    comparison: RunComparison | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Sources:
    """Read the sweep `run_id` and everything stored that belongs to it.

    A/B tests belong to it when they show its lists or name no sweep at all; rollouts and migrations when they are in
    its workspace.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When the run is no sweep, or damaged.
    CancelledError
        When `cancelled` said so.
    """

    def step(share: float, message: str) -> None:
        stop_if(cancelled)
        progress(share, message)

    step(0.0, "Reading the sweep")
    sweep = load_sweep(workspace, run_id)
    run = workspace.run(run_id)
    summary = summarize(sweep, Criterion(**run.summary["criterion"]))
    reader = _Reader(workspace)
    step(0.25, "Reading what was measured beside it")
    measured = panel_runs(workspace, run)
    answers = {key: answer for key, one in measured.items() if (answer := reader.of_panel(one)) is not None}
    chosen = reader.chosen(sweep)
    estimates = reader.estimates(run)
    step(0.4, "Looking for the queries that lose")
    dim = _dim(sweep, summary)
    clusters = answers["clusters"].result if "clusters" in answers else None
    found = None if dim is None else _losses(sweep, summary, dim)
    by_label = sweep.query_segments is not None
    segments = found if by_label or dim is None or clusters is None else _losses(sweep, summary, dim, clusters)
    step(0.55, "Reading A/B tests")
    experiments = reader.experiments(run)
    step(0.7, "Replaying rollouts from the audit log")
    ramps = reader.ramps()
    step(0.9, "Reading migrations")
    migrations = reader.migrations()
    plan, runbook = reader.plan(), reader.runbook()
    return Sources(
        run=run,
        sweep=sweep,
        summary=summary,
        answers=answers,
        panel_runs=measured,
        chosen=chosen,
        losses=found,
        segments=segments,
        estimates=estimates,
        experiments=experiments,
        ramps=ramps,
        migrations=migrations,
        plan=plan,
        runbook=runbook,
        comparison=comparison,
        problems=tuple(reader.problems),
    )


def refusal(sources: Sources, key: str) -> tuple[Words, ...]:
    """Say why a panel was not measured, where that was tried; nothing otherwise."""
    answer = sources.answers.get(key)
    return () if answer is None or answer.refused is None else (Words(text=answer.refused, tone="note"),)


class _Reader(Reader):
    """Reads what stands beside a sweep."""

    def of_panel(self, run: Run) -> PanelAnswer | None:
        return self.attempt(f"{run.kind} of run {run.id}", lambda: panel_answer(self._workspace, run))

    def chosen(self, sweep: SweepResult) -> EmbeddingSet | None:
        try:
            stored = self._workspace.load_dataset(sweep.dataset.sha256)
        except RunNotFoundError:
            return None
        except EngineError as error:
            self.problems.append(f"The data set cannot be read: {error}")
            return None
        # The same seed draws the same sample of queries as the sweep did.
        return stored.with_query_sample(sweep.dataset.n_queries, seed=sweep.seed)

    def estimates(self, run: Run) -> tuple[KeptEstimate, ...]:
        return self.attempt("cost estimates", lambda: kept_estimates(self._workspace, run)) or ()

    def experiments(self, run: Run) -> tuple[Experiment, ...]:
        """Return the newest read-out of each experiment."""
        found: dict[str, Experiment] = {}
        for one in self._workspace.runs(kind=experiments.KIND):
            if len(found) == MOST_OF_A_KIND:
                break
            if one.parameters.get("sweep") not in {None, run.id}:
                continue
            read = self.attempt(f"A/B run {one.id}", partial(self._experiment, one))
            if read is not None:
                found.setdefault(read.analysis.experiment_id, read)
        return tuple(found.values())

    def _experiment(self, run: Run) -> Experiment:
        return Experiment(
            run=run,
            analysis=experiments.load_analysis(self._workspace, run.id),
            origin=experiments.load_origin(self._workspace, run.id),
        )

    def ramps(self) -> tuple[Ramp, ...]:
        """Return the rollouts that moved last."""
        with self._workspace.records() as ledger:
            # Drafts come last, however new: nothing has happened in them.
            records = sorted(
                ledger.all(ROLLOUT_KIND),
                key=lambda record: (record.body.get("state") != "draft", record.updated_at),
                reverse=True,
            )
        keys = [record.key for record in records[:MOST_OF_A_KIND]]
        read = (self.attempt(f"rollout {key}", partial(self._ramp, key)) for key in keys)
        return tuple(one for one in read if one is not None)

    def _ramp(self, key: str) -> Ramp:
        with self._workspace.records() as ledger:
            flags = FlagWriter(ledger)
            view = view_of(ledger, flags, key)
            status, observed = view_status(ledger, flags, view), observations_of(ledger, key)
            events = [event for event in rollout_events(self._workspace, key) if event.seq <= ledger.audit_seq]
        history = replay(events)
        agrees = bool(history) and all(one.agrees for one in history) and history[-1].rollout == view.rollout
        is_simulated = status.labels or any(one.is_simulated for one in observed)
        has_begun = view.rollout.started_at is not None
        return Ramp(
            status=status,
            history=history,
            agrees=agrees,
            looks=look_series(history, observed, now=view.now) if has_begun else (),
            labels=("simulated",) if is_simulated else (),
        )

    def migrations(self) -> tuple[Moved, ...]:
        """Return the newest report of each migration."""
        found: dict[str, Moved] = {}
        for one in self._workspace.runs(kind=MIGRATION_KIND):
            if len(found) == MOST_OF_A_KIND:
                break
            if str(one.parameters.get("job")) in found:
                continue
            read = self.attempt(f"migration {one.id}", partial(load_report, self._workspace, one.id))
            if read is not None:
                found[str(one.parameters.get("job"))] = Moved(run=one, report=read)
        return tuple(found.values())

    def plan(self) -> KeptPlan | None:
        return self.attempt("plan", lambda: PlanStore(self._workspace).load())

    def runbook(self) -> Runbook | None:
        """Return the runbook as it stands, where somebody has ticked or measured something for it."""
        with self._workspace.records() as ledger:
            is_begun = bool(ledger.all(RUNBOOK_KIND))
        return self.attempt("runbook", lambda: look_at(self._workspace)) if is_begun else None


def _dim(sweep: SweepResult, summary: SweepSummary) -> int | None:
    return summary.recommendation.dim or (sweep.dims[-2] if len(sweep.dims) > 1 else None)


def _losses(sweep: SweepResult, summary: SweepSummary, dim: int, clusters: QueryClusters | None = None) -> Losses:
    criterion = summary.criterion
    return losses(sweep, dim, k=criterion.k, quantity=criterion.quantity, clusters=clusters)
