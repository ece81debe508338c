"""The stage that moves the vectors: a real PostgreSQL to LanceDB where they are installed, else files to files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from engine.errors import StoreError
from engine.migration import MigrationSettings, Migrator, open_store
from engine.migration.demonstration import prepare_demonstration
from engine.present.demonstration.kept import ACTOR, Outcome
from engine.present.demonstration.scene import part
from engine.present.runbook import count_source
from engine.tradeoff import Criterion, summarize

if TYPE_CHECKING:
    from pathlib import Path

    from engine.migration import MigrationReport, VectorStore
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress
    from engine.tradeoff import Interval

_FOLDER = "try-it-here"  # where the app's Migration page looks for, and starts again, a server of its own
_K = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pair:
    """The two open stores; `instead` says why they are not databases, empty where they are."""

    source: VectorStore
    target: VectorStore
    instead: str = ""


def move_vectors(scene: Scene, progress: Progress) -> Outcome:
    """Migrate every vector at the dimension to keep, compare every value, and measure search in the target."""
    with ExitStack() as opened:
        pair = _opened(scene, opened, part(progress, 0, 2))
        migrator = Migrator(
            pair.source,
            pair.target,
            MigrationSettings(dims=scene.dim, validate_share=1.0, seed=scene.seed),
            workspace=scene.workspace,
            actor=ACTOR,
            queries=np.ascontiguousarray(scene.embedding_set.queries, dtype=np.float32),
            predicted=_predicted(scene),
        )
        report = migrator.run(progress=part(progress, 1, 2), cancelled=scene.cancelled)
        count_source(
            scene.workspace,
            actor=ACTOR,
            open_source=lambda url: open_store(url, role="source"),
            migration=migrator.job_id,
        )
        job = migrator.status()
    return Outcome(sentence=_sentence(report, pair.instead), run_id=None if job is None else job.run_id)


def _opened(scene: Scene, opened: ExitStack, progress: Progress) -> _Pair:
    try:
        return _databases(scene, opened, progress)
    except StoreError as error:
        return _files(scene, opened, instead=str(error))


def _databases(scene: Scene, opened: ExitStack, progress: Progress) -> _Pair:
    made = prepare_demonstration(
        scene.workspace.folder / _FOLDER, dims=scene.dim, progress=progress, cancelled=scene.cancelled
    )
    opened.enter_context(made.server)
    source = opened.enter_context(open_store(made.source_url, role="source"))
    target = opened.enter_context(open_store(made.target_url))
    target.exists()  # a driver that is missing shows only now
    return _Pair(source=source, target=target)


def _files(scene: Scene, opened: ExitStack, *, instead: str) -> _Pair:
    folder = scene.workspace.folder / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    full = folder / f"docs_{scene.embedding_set.dim}.npy"
    if not full.exists():
        unfinished = full.with_suffix(".part.npy")
        np.save(unfinished, np.asarray(scene.embedding_set.corpus, dtype=np.float32))
        unfinished.replace(full)
    return _Pair(
        source=opened.enter_context(open_store(_file_url(full), role="source")),
        target=opened.enter_context(open_store(_file_url(folder / f"docs_{scene.dim}.npy"))),
        instead=instead,
    )


def _file_url(path: Path) -> str:
    return f"file://{quote(path.absolute().as_posix())}"


def _predicted(scene: Scene) -> Interval:
    """Return the recall@10 that the sweep promises at the dimension to keep."""
    points = summarize(scene.sweep, Criterion(quantity="recall", k=_K, target=0.95)).points
    return next(point.recall[_K] for point in points if point.dim == scene.dim)


def _sentence(report: MigrationReport, instead: str) -> str:
    said = (
        f"{report.n_written:,} vectors moved from {report.source.kind} to {report.target.kind} at {report.dims:,} "
        f"dims: {report.validation.verdict}"
    )
    return f"{said}. Files instead of databases: {instead}" if instead else f"{said}."
