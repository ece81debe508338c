"""The jobs of the runbook: rehearse the kill switch, count the source of a migration, make a pre-flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import MigrationError
from engine.migration.job import JobRecord
from engine.present.runbook import count_source, rehearse_kill, run_preflight
from pages.shell.migration import access as migration_access
from pages.shell.migration.state import Pair
from pages.shell.services import services

if TYPE_CHECKING:
    from engine.migration import VectorStore
    from engine.present.runbook import KillRehearsal, PreflightNote, SourceCount
    from engine.progress import Cancelled, Progress
    from engine.workspace.jobs import Work


def rehearse_work(*, is_live: bool, typed: str, actor: str) -> Work:
    """Return the job that rehearses the kill switch; it keeps the evidence itself."""
    flags = services().flags

    def work(progress: Progress, cancelled: Cancelled) -> KillRehearsal:
        return rehearse_kill(
            flags,
            actor=actor,
            where="live" if is_live else "copy",
            typed=typed,
            progress=progress,
            cancelled=cancelled,
        )

    return work


def count_work(migration: str, *, actor: str) -> Work:
    """Return the job that counts the source of a migration; it keeps the evidence itself.

    Secrets are gathered here, where Streamlit can be asked for them. Raises MigrationError when there is none.
    """
    workspace = services().workspace
    job = JobRecord(workspace, migration).read()
    if job is None:
        raise MigrationError("no such migration is in this workspace", found=migration)
    stores = migration_access.access(Pair(source=job.source, target=job.target))

    def work(progress: Progress, cancelled: Cancelled) -> SourceCount:
        def open_source(_url: str) -> VectorStore:
            progress(0.3, "Counting the rows")
            return stores.source.open()

        progress(0.0, "Opening the source")
        stores.start_server(progress=progress, cancelled=cancelled)
        return count_source(workspace, actor=actor, open_source=open_source, migration=migration)

    return work


def preflight_work(rollout: str, *, actor: str) -> Work:
    """Return the job that simulates a rollout by its schedule and thresholds; it keeps the evidence itself."""
    flags = services().flags

    def work(progress: Progress, cancelled: Cancelled) -> PreflightNote:
        return run_preflight(flags, rollout, actor=actor, progress=progress, cancelled=cancelled)

    return work
