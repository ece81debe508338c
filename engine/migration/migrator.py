"""Move vectors from one store to another so that no row is lost: copy, catch up, index, validate, report."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from engine.errors import CancelledError, EngineError, MigrationError
from engine.migration.catch_up import CatchUp
from engine.migration.copying import Asked, copy_rows
from engine.migration.ids import shown_id
from engine.migration.job import JobRecord, MigrationJob, aware, job_id
from engine.migration.patience import Patience
from engine.migration.planning import MARK, is_ours, make_plan, settle, store_facts
from engine.migration.results import HeldInfo, MigrationPlan, MigrationReport, Pass, Validation
from engine.migration.storage import load_report, save_report
from engine.migration.stores.protocol import TableSpec
from engine.migration.validation import validate
from engine.migration.writing import Writer
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from engine.migration.job import State
    from engine.migration.planning import Settled
    from engine.migration.settings import MigrationSettings
    from engine.migration.stores.protocol import StoreInfo, VectorStore
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.results import Interval
    from engine.workspace import Workspace

T = TypeVar("T")
_LISTED = 100
_START_S = 1.0
# What each part takes of the progress that a person sees.
_COPIED, _CAUGHT_UP, _INDEXED = 0.7, 0.8, 0.9


class Migrator:
    """One migration between two open stores; every instance with the same stores and settings is the same job.

    `workspace` keeps its state, checkpoints, quarantine and report, so that any process can resume it. `queries` (q, D)
    and `predicted` (recall@10 of a sweep at these dims) serve the validation of search.
    """

    def __init__(
        self,
        source: VectorStore,
        target: VectorStore,
        settings: MigrationSettings,
        *,
        workspace: Workspace,
        actor: str,
        queries: npt.NDArray[np.float32] | None = None,
        predicted: Interval | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._target, self._settings = source, target, settings
        self._workspace, self._actor = workspace, actor
        self._queries, self._predicted = queries, predicted
        self._clock, self._sleep = clock, sleep
        self.job_id = job_id(source.url, target.url, settings)
        self.record = JobRecord(workspace, self.job_id)

    def plan(self) -> MigrationPlan:
        """Look at both stores and say what would be done; writes nothing. Raises StoreError."""
        return make_plan(self._source, self._target, self._settings)

    def status(self) -> MigrationJob | None:
        """Return the job as the workspace has it, None before its first run."""
        return self.record.read()

    def report(self) -> MigrationReport | None:
        """Return the report of the finished job, None before it is done."""
        job = self.record.read()
        return None if job is None or job.run_id is None else load_report(self._workspace, job.run_id)

    def run(self, *, progress: Progress = ignore_progress, cancelled: Cancelled = never_cancelled) -> MigrationReport:
        """Start the migration or go on with it, to its end; a finished one is left alone and its report returned.

        Raises
        ------
        MigrationError
            When the plan refuses, another process is at work on it, or too many rows had to be set aside.
        CancelledError
            When `cancelled` says so, or somebody asked it to pause or cancel; it can be resumed.
        StoreError
            When a store cannot be used, or stayed away too long; the job is marked stopped and can be resumed.
        """
        job = self.record.read()
        if job is not None and job.state == "done" and job.run_id is not None:
            return load_report(self._workspace, job.run_id)
        self._workspace.check_access("migration", "start migration")  # before anything is asked of the stores
        # At the start a store that is away is a mistake to be told at once; a connection from before may be stale.
        patience = self._patience(cancelled, progress, most_s=_START_S)
        info = patience.call(self._source.describe)
        settled = settle(self._settings, info)
        job = self._resumed(job) if patience.call(lambda: self._can_resume(job)) else self._begun(job, settled)
        return self._guarded(job, lambda now: self._all_parts(now, info, settled, progress, cancelled))

    def catch_up(
        self, *, progress: Progress = ignore_progress, cancelled: Cancelled = never_cancelled
    ) -> MigrationReport:
        """Take over what has changed in the source since a finished migration, and validate again.

        Rows in quarantine are tried again on the way. Raises as `run` does, and MigrationError before it is done.
        """
        job = self._finished("caught up")
        info = self._source.describe()
        settled = settle(self._settings, info)
        taken = self._owned(job, "catching up", action="catch up")
        return self._guarded(taken, lambda now: self._last_parts(now, info, settled, progress, cancelled))

    def retry_quarantine(self, *, cancelled: Cancelled = never_cancelled) -> int:
        """Try the rows in quarantine alone once more; return how many are in the target now. Raises as `run` does."""
        job = self._finished("tried again")
        info = self._source.describe()
        taken = self._owned(job, "catching up", action="retry quarantine")

        def work(now: MigrationJob) -> int:
            n_moved = self._catch_up(info, settle(self._settings, info), cancelled, ignore_progress).try_again(now)
            self._state(now, "done", reason=f"{n_moved:,} rows of the quarantine moved")
            return n_moved

        return self._guarded(taken, work)

    def discard(self, *, typed: str) -> None:
        """Drop the target that this migration made; `typed` is its table's name. Raises MigrationError."""
        self._workspace.check_access("migration", "drop target")
        job = self.record.read()
        if job is None or not job.made_target or not is_ours(self._target, self.job_id):
            raise MigrationError("only an unfinished target that this migration made can be dropped")
        table = self._target.describe().table
        if typed != table:
            raise MigrationError(f"to drop the target, its name {table} must be typed", found=typed)
        self.record.check_free(job)
        self._target.drop()
        changed = replace(job, state="cancelled", reason="its target was dropped", run_id=None, made_target=False)
        self.record.change(changed, actor=self._actor, action="drop target")

    def _can_resume(self, job: MigrationJob | None) -> bool:
        if job is None or job.state in {"done", "cancelled"}:
            return False
        # A finished target bears no mark any more; what broke off then was only catching up.
        return job.run_id is not None or is_ours(self._target, f"{self.job_id}:{job.generation}")

    def _begun(self, before: MigrationJob | None, settled: Settled) -> MigrationJob:
        """Write the record, then make the table: whatever a crash leaves bears the job's mark or has no row."""
        if before is not None:
            self.record.check_free(before)
        plan = self.plan()
        if plan.refusals:
            raise MigrationError(plan.refusals[0].rstrip("."))
        settings = {**asdict(self._settings), "overwrite": None}
        job = MigrationJob(
            id=self.job_id,
            source=self._source.url,
            target=self._target.url,
            settings=settings,
            state="copying",
            reason="",
            generation=1 if before is None else before.generation + 1,
            owner=Owner.this_process(),
            asked=None,
            copy_began=self._source.now().isoformat(),
            made_target=True,
            run_id=None,
            version=0 if before is None else before.version,
        )
        job = self.record.change(job, actor=self._actor, action="start migration", evidence=asdict(plan))
        mark = f"{MARK}{self.job_id}:{job.generation} unfinished"
        if self._target.exists():
            if plan.overwrites or self._settings.overwrite is not None or is_ours(self._target, self.job_id):
                self._target.drop()
            else:
                self._target.set_mark(mark)
                return self.record.change(
                    replace(job, made_target=False), actor=self._actor, action="use the empty target"
                )
        info = self._source.describe()
        self._target.create(
            TableSpec(
                dim=self._settings.dims,
                dtype=self._settings.dtype,
                metric=settled.metric,
                id_kind=info.id_kind,
                has_payload=info.has_payload,
                mark=mark,
            )
        )
        return job

    def _resumed(self, job: MigrationJob | None) -> MigrationJob:
        if job is None:
            raise MigrationError("there is nothing to resume")
        return self._owned(job, "copying", action="resume migration")

    def _owned(self, job: MigrationJob, state: State, *, action: str) -> MigrationJob:
        self.record.check_free(job)
        taken = replace(job, state=state, reason="", asked=None, owner=Owner.this_process())
        return self.record.change(taken, actor=self._actor, action=action)

    def _finished(self, what: str) -> MigrationJob:
        job = self.record.read()
        if job is None or job.state != "done":
            found = "one that never ran" if job is None else f"one that is {job.state}"
            raise MigrationError(f"only a finished migration can be {what}", found=found, hint="Run or resume it")
        return job

    def _guarded(self, job: MigrationJob, work: Callable[[MigrationJob], T]) -> T:
        """Do `work`, and leave a record that says why when it ends early."""
        try:
            return work(job)
        except Asked as asked:
            state: State = "cancelled" if asked.what == "cancel" else "paused"
            self._ended(job, state, reason="asked to")
            raise CancelledError from None
        except CancelledError:
            self._ended(job, "paused", reason="stopped by its user")
            raise
        except EngineError as error:
            self._ended(job, "stopped", reason=str(error))
            raise
        except BaseException as error:  # whatever it is, the record must not say for ever that somebody is at work
            self._ended(job, "stopped", reason=f"it ended on an unexpected {type(error).__name__}")
            raise

    def _all_parts(
        self, job: MigrationJob, info: StoreInfo, settled: Settled, progress: Progress, cancelled: Cancelled
    ) -> MigrationReport:
        patience = self._patience(cancelled, progress)
        if not job.is_copied:  # else rows behind its end may be in the target already, and those are for catching up
            copy_rows(
                self._source,
                self._target,
                self._settings,
                settled,
                info=info,
                job=job,
                record=self.record,
                patience=patience,
                progress=_part(progress, 0.0, _COPIED),
                cancelled=cancelled,
            )
        now = self._state(job, "catching up")
        return self._last_parts(now, info, settled, progress, cancelled, n_waits=patience.n_waits)

    def _last_parts(
        self,
        job: MigrationJob,
        info: StoreInfo,
        settled: Settled,
        progress: Progress,
        cancelled: Cancelled,
        *,
        n_waits: int = 0,
    ) -> MigrationReport:
        """Catch up, index, validate, report: what a resumed and a caught-up migration do alike."""
        catch_up = self._catch_up(info, settled, cancelled, progress)
        passes = self._passes(job, catch_up, info, _part(progress, _COPIED, _CAUGHT_UP), cancelled)
        job = self._state(job, "indexing")
        patience = self._patience(cancelled, progress)
        if self._settings.index is not None:
            patience.call(
                lambda: self._target.build_index(
                    self._settings.index, progress=_part(progress, _CAUGHT_UP, _INDEXED), cancelled=cancelled
                )
            )
        job = self._state(job, "validating")
        validation = validate(
            self._source,
            self._target,
            settled,
            info=info,
            patience=patience,
            held=[row.id for row in self.record.quarantine(job)],
            share=self._settings.validate_share,
            seed=self._settings.seed,
            queries=self._queries,
            predicted=self._predicted,
            progress=_part(progress, _INDEXED, 1.0),
            cancelled=cancelled,
        )
        report = self._reported(job, info, settled, passes, validation, n_waits=n_waits + patience.n_waits)
        run = save_report(self._workspace, report, seed=self._settings.seed)
        self._target.set_mark(None if validation.verdict == "equal" else f"{MARK}{self.job_id} differs")
        self._state(job, "done", reason=f"validation: {validation.verdict}", run_id=run.id)
        return report

    def _passes(
        self, job: MigrationJob, catch_up: CatchUp, info: StoreInfo, progress: Progress, cancelled: Cancelled
    ) -> tuple[Pass, ...]:
        passes: list[Pass] = []
        since = aware(job.copy_began) if info.has_updated_at else None
        for number in range(self._settings.most_passes):
            stop_if(cancelled)
            share = number / self._settings.most_passes
            passes.append(
                catch_up.run_pass(
                    job,
                    changed_since=since,
                    progress=_part(progress, share, share + 1 / self._settings.most_passes),
                    cancelled=cancelled,
                )
            )
            if passes[-1].is_clean:
                break
            since = aware(passes[-1].began) if info.has_updated_at else None
        return tuple(passes)

    def _reported(
        self,
        job: MigrationJob,
        info: StoreInfo,
        settled: Settled,
        passes: tuple[Pass, ...],
        validation: Validation,
        *,
        n_waits: int,
    ) -> MigrationReport:
        copied = self.record.progressed(job.generation)
        held = self.record.quarantine(job)
        clean = passes[-1] if passes and passes[-1].is_clean else None
        warnings = [] if clean else ["The source changed in every pass of catching up: the two were never seen equal."]
        return MigrationReport(
            job_id=self.job_id,
            source=store_facts(info),
            target=store_facts(self._target.describe()),
            dims=self._settings.dims,
            dtype=self._settings.dtype,
            metric=settled.metric,
            normalise=settled.transform.normalise,
            began=job.copy_began,
            ended=datetime.now(UTC).isoformat(),
            n_read=copied.n_read,
            n_written=copied.n_written,
            copy_s=copied.seconds,
            rows_per_s=copied.n_read / copied.seconds if copied.seconds else 0.0,
            n_waits=n_waits,
            passes=passes,
            equal_from=clean.began if clean else None,
            equal_until=clean.ended if clean else None,
            n_held=len(held),
            held=tuple(HeldInfo(id=shown_id(row.id), reason=row.reason) for row in held[:_LISTED]),
            validation=validation,
            warnings=tuple(warnings),
        )

    def _catch_up(self, info: StoreInfo, settled: Settled, cancelled: Cancelled, progress: Progress) -> CatchUp:
        patience = self._patience(cancelled, progress)
        return CatchUp(
            self._source,
            self._target,
            settled,
            info=info,
            record=self.record,
            writer=Writer(self._target, self._settings, patience),
            patience=patience,
        )

    def _patience(self, cancelled: Cancelled, progress: Progress, *, most_s: float = math.inf) -> Patience:
        return Patience(
            replace(self._settings, wait_for_store_s=min(most_s, self._settings.wait_for_store_s)),
            cancelled=cancelled,
            on_wait=lambda message: progress(0.0, message),
            clock=self._clock,
            sleep=self._sleep,
        )

    def _state(self, job: MigrationJob, state: State, *, reason: str = "", run_id: str | None = None) -> MigrationJob:
        """Move the job on; a wish of somebody else that came meanwhile is carried out first."""
        now = self.record.read()
        if now is None or now.owner != job.owner:
            raise MigrationError("another process has taken this migration over", hint="Look at its progress there")
        if now.asked is not None and state != "done":
            raise Asked(now.asked)
        owner = None if state == "done" else now.owner
        changed = replace(
            now, state=state, reason=reason, run_id=run_id or now.run_id, is_copied=True, owner=owner, asked=None
        )
        return self.record.change(changed, actor=self._actor, action=state)

    def _ended(self, job: MigrationJob, state: State, *, reason: str) -> None:
        now = self.record.read()
        if now is not None and now.owner == job.owner:
            if now.asked == "cancel" and state != "stopped":
                # What had been finished before stays so: its report is the one before.
                state, reason = (
                    ("cancelled", "asked to") if now.run_id is None else ("done", "catching up was cancelled")
                )
            ended = replace(now, state=state, reason=reason, owner=None, asked=None)
            # By Dimshift itself: a role that was taken away meanwhile ends the work, and the record must say so.
            who = self._workspace.identity
            record = JobRecord(self._workspace.by_itself(), self.record.key)
            record.change(ended, actor=self._actor if who is None else who.name, action=state)


def _part(progress: Progress, first: float, last: float) -> Progress:
    return lambda share, message: progress(first + share * (last - first), message)
