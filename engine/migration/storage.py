"""Keep reports of migrations as runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.migration.results import (
    RUN_KIND,
    Check,
    DiffersRow,
    HeldInfo,
    MigrationReport,
    Pass,
    SearchCheck,
    StoreFacts,
    Validation,
)
from engine.tradeoff.results import Interval
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from engine.workspace import Run, Workspace

_PARTS = (Check, DiffersRow, HeldInfo, Interval, Pass, SearchCheck, StoreFacts, Validation)


def save_report(workspace: Workspace, report: MigrationReport, *, seed: int) -> Run:
    """Keep `report` and return its run. Raises WorkspaceError."""
    document, arrays = encode(report)
    return workspace.save_run(
        kind=RUN_KIND,
        dataset={"name": report.source.table, "n_docs": report.source.n_rows, "dim": report.source.dim},
        parameters={"job": report.job_id, "target": asdict(report.target), "dims": report.dims, "dtype": report.dtype},
        seed=seed,
        summary={"result": document},
        arrays=arrays,
        elapsed_s=report.copy_s,
    )


def load_report(workspace: Workspace, run_id: str) -> MigrationReport:
    """Return the report that a run keeps. Raises RunNotFoundError or WorkspaceError."""
    run = workspace.run(run_id)
    return decode(run.summary["result"], workspace.arrays(run_id), MigrationReport, _PARTS)
