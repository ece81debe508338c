"""The migration to try at once: a bundled set from PostgreSQL to LanceDB."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.migration import MigrationSettings, Migrator, open_store
from engine.migration.demonstration import prepare_demonstration
from engine.migration.storage import load_report

if TYPE_CHECKING:
    from engine.workspace import Workspace


def test_the_bundled_set_migrates_from_postgresql_to_lancedb(workspace: Workspace) -> None:
    """The set lies in PostgreSQL, its migration to half the dims is equal, and its report is read back as it was."""
    with TemporaryDirectory(prefix="dimshift-pg-") as folder:
        demo = prepare_demonstration(Path(folder), sample="digits-pca")
        try:
            with open_store(demo.source_url) as source, open_store(demo.target_url) as target:
                assert source.count() == demo.embedding_set.n_docs
                settings = MigrationSettings(dims=demo.dims, validate_share=1.0)
                migrator = Migrator(
                    source,
                    target,
                    settings,
                    workspace=workspace,
                    actor="ann",
                    queries=demo.embedding_set.queries,
                )
                report = migrator.run()
                assert (report.validation.verdict, report.n_written) == ("equal", demo.embedding_set.n_docs)
                assert report.validation.search is not None
                assert report.validation.search.queries == "given"
                job = migrator.status()
                assert job is not None
                assert job.run_id is not None
                assert load_report(workspace, job.run_id) == report
        finally:
            demo.server.close()
