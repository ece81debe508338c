"""Look whether the full vectors are still in the source of a migration: count them anew, and read a few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import EngineError, MigrationError
from engine.migration.job import KIND, job_of
from engine.migration.storage import load_report
from engine.present.runbook.results import SourceCount
from engine.present.runbook.storage import RunbookStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.migration import MigrationReport, VectorStore
    from engine.migration.job import MigrationJob
    from engine.workspace import Ledger, Workspace

_PROBED = 64


def newest_migration(ledger: Ledger) -> MigrationJob | None:
    """Return the migration that changed last, a finished one first; None when there is none."""
    records = sorted(ledger.all(KIND), key=lambda one: (one.body["state"] == "done", one.updated_at))
    return job_of(records[-1]) if records else None


def migration_report(workspace: Workspace, job: MigrationJob) -> MigrationReport | None:
    """Return the report of `job`, None before it has one or when its run is gone."""
    if job.run_id is None:
        return None
    try:
        return load_report(workspace, job.run_id)
    except EngineError:
        return None


def count_source(
    workspace: Workspace, *, actor: str, open_source: Callable[[str], VectorStore], migration: str | None = None
) -> SourceCount:
    """Count the source of a migration anew, read a few rows of it, and keep what was found as evidence, audited.

    `open_source` opens the store of a URL without secrets. `migration` is the id of the migration, the newest without.
    A source that cannot be reached is evidence too: the result says why.

    Raises
    ------
    MigrationError
        When there is no such migration.
    """
    with workspace.records() as ledger:
        known = {record.key: job_of(record) for record in ledger.all(KIND)}
        job = newest_migration(ledger) if migration is None else known.get(migration)
    if job is None:
        raise MigrationError(
            "only the source of a migration in this workspace can be counted",
            found=migration or "no migration",
            hint="Move vectors first, on the page Migration or with dimshift migrate",
        )
    report = migration_report(workspace, job)
    known_of: dict[str, Any] = {"migration": job.id, "source": job.source, "kept_dims": int(job.settings["dims"])}
    if report is not None:
        known_of |= {"expected_rows": report.validation.n_source, "expected_dim": report.source.dim}
    try:
        with open_source(job.source) as store:
            count = SourceCount(**known_of, **_looked_at(store))
    except EngineError as error:
        count = SourceCount(**known_of, problem=str(error))
    RunbookStore(workspace).keep_count(count, actor=actor)
    return count


def _looked_at(store: VectorStore) -> dict[str, Any]:
    info = store.describe()
    first = next(store.scan(batch_size=_PROBED, with_payload=False), None)
    n_whole = 0
    if first is not None:
        finite = np.isfinite(first.vectors).all(axis=1) & (first.vectors != 0).any(axis=1)
        n_whole = int(finite.sum()) if first.dim == info.dim else 0
    return {
        "n_rows": store.count(),
        "dim": info.dim,
        "n_probed": 0 if first is None else len(first),
        "n_whole": n_whole,
    }
