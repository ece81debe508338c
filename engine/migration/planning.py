"""Look before the leap: what a migration would read, create and take, and why it may not start."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.migration.job import job_id
from engine.migration.results import MigrationPlan, StoreFacts
from engine.migration.transform import Transform
from engine.scoring.memory import usable_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.embeddings.embedding_set import Metric
    from engine.migration.settings import MigrationSettings
    from engine.migration.stores.protocol import StoreInfo, VectorStore

MARK = "dimshift:"
_BYTES = {"float32": 4, "float16": 2}
_INDEX_COPIES = 2  # the vectors that an index is built from, and the graph that holds them again


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What the settings leave open, settled by looking at the source."""

    metric: Metric
    transform: Transform
    batch_size: int


def settle(settings: MigrationSettings, source: StoreInfo) -> Settled:
    """Return metric, transform and batch size for this source."""
    metric: Metric = settings.metric or source.metric or "cosine"
    normalise = metric == "cosine" if settings.normalise is None else settings.normalise
    return Settled(
        metric=metric,
        transform=Transform(dims=settings.dims, normalise=normalise, dtype=settings.dtype),
        batch_size=settings.rows_a_batch(source.dim or settings.dims),
    )


def store_facts(info: StoreInfo) -> StoreFacts:
    """Return the facts of `info` that reports keep."""
    return StoreFacts(
        kind=info.kind,
        url=info.url,
        table=info.table,
        server=info.server,
        dim=info.dim,
        dtype=info.dtype,
        metric=info.metric,
        index=None if info.index is None else info.index.kind,
        id_kind=info.id_kind,
        n_rows=info.n_rows,
        has_payload=info.has_payload,
    )


def make_plan(
    source: VectorStore,
    target: VectorStore,
    settings: MigrationSettings,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> MigrationPlan:
    """Read the facts of both stores and one batch of the source; nothing is written.

    Raises
    ------
    StoreError
        When the source cannot be read, or the target's database not be reached.
    """
    info = source.describe()
    settled = settle(settings, info)
    key = job_id(source.url, target.url, settings)
    there = target.describe() if target.exists() else None
    refusals = [*_source_refusals(info, settings), *_target_refusals(there, key, settings, settled)]
    if source.url == target.url:
        refusals.append("Source and target must be two tables; they are one.")
    seconds, probed, held = None, 0, 0
    if not refusals and info.n_rows:
        began = clock()
        batch = next(source.scan(batch_size=settled.batch_size, dim=settings.dims), None)
        if batch is not None and len(batch):
            moved = settled.transform(batch)
            # The target's share of the time is not known before something was written to it: as much again.
            seconds = 2 * (clock() - began) * info.n_rows / len(batch)
            if settings.rows_per_s is not None:
                seconds = max(seconds, info.n_rows / settings.rows_per_s)
            probed, held = len(batch), len(moved.held)
    return MigrationPlan(
        job_id=key,
        source=store_facts(info),
        target_url=target.url,
        target_kind=_kind(target.url),
        creates=_creates(target.url, there, settings, settled),
        overwrites=there is not None and there.n_rows > 0 and not _is_ours(there, key),
        dims=settings.dims,
        dtype=settings.dtype,
        metric=settled.metric,
        normalise=settled.transform.normalise,
        n_rows=info.n_rows,
        batch_size=settled.batch_size,
        source_bytes=info.n_rows * (info.dim or 0) * _BYTES[info.dtype],
        target_bytes=info.n_rows * settings.dims * _BYTES[settings.dtype],
        seconds=seconds,
        n_probed=probed,
        n_probed_held=held,
        refusals=tuple(refusals),
        warnings=(*_warnings(info), *_index_warnings(info, target.url, settings)),
    )


def is_ours(target: VectorStore, key: str) -> bool:
    """Tell whether the target's table is there and bears the mark of the migration `key`."""
    return target.exists() and _is_ours(target.describe(), key)


def _is_ours(there: StoreInfo, key: str) -> bool:
    return there.mark is not None and there.mark.startswith(f"{MARK}{key}")


def _source_refusals(info: StoreInfo, settings: MigrationSettings) -> list[str]:
    refusals = []
    if info.dim is not None and settings.dims > info.dim:
        refusals.append(f"The dims to keep must be at most the source's {info.dim:,}; found {settings.dims:,}.")
    if info.n_rows == 0:
        refusals.append(f"The source must hold rows; {info.table} is empty.")
    return refusals


def _target_refusals(there: StoreInfo | None, key: str, settings: MigrationSettings, settled: Settled) -> list[str]:
    if there is None or _is_ours(there, key):
        return []
    if settings.overwrite is not None:
        if settings.overwrite == there.table:
            return []
        return [f"To overwrite the target, its name {there.table} must be typed; found {settings.overwrite}."]
    if there.n_rows:
        whose = "another migration began" if (there.mark or "").startswith(MARK) else "holds rows"
        found = f"{there.table} {whose}, {there.n_rows:,} rows"
        return [f"The target must be empty or new; {found}. Name another one, or type its name to overwrite it."]
    other = []
    if there.dim not in {None, settings.dims}:
        other.append(f"{there.dim} dims, not {settings.dims}")
    if there.metric not in {None, settled.metric}:
        other.append(f"metric {there.metric}, not {settled.metric}")
    if there.dim is not None and there.dtype != settings.dtype:
        other.append(f"type {there.dtype}, not {settings.dtype}")
    if not other:
        return []
    return [f"The empty target {there.table} was made for {', '.join(other)}. Type its name to make it anew."]


def _creates(url: str, there: StoreInfo | None, settings: MigrationSettings, settled: Settled) -> str:
    what = f"{settings.dims} dims of {settings.dtype}, metric {settled.metric}"
    index = ", and a vector index after the copy" if settings.index is not None else ""
    if there is not None and not there.n_rows and settings.overwrite is None:
        return f"Fills the empty {there.table}{index}."
    return f"Creates {url}: {what}{index}."


def _warnings(info: StoreInfo) -> list[str]:
    sentences = []
    if info.n_without_id:
        sentences.append(f"{info.n_without_id:,} rows of the source have no id: they cannot move.")
    if not info.ids_are_unique:
        sentences.append("Nothing keeps the source's ids unique: of several rows with one id, one moves.")
    if info.left_out:
        sentences.append(f"Columns that do not move: {', '.join(info.left_out)}.")
    if not info.has_updated_at:
        sentences.append("The source has no updated-at column: changes are caught up by comparing all rows.")
    return sentences


def _index_warnings(info: StoreInfo, target_url: str, settings: MigrationSettings) -> list[str]:
    """Say when an engine that runs in this process may need more memory for the index than there is."""
    if settings.index is None or _kind(target_url) not in {"lancedb", "qdrant"} or ":///" not in target_url:
        return []  # a server brings memory of its own
    needed, usable = _INDEX_COPIES * info.n_rows * settings.dims * _BYTES[settings.dtype], usable_memory_bytes()
    if needed <= usable:
        return []
    said = f"Building the index takes about {needed / (1 << 30):,.1f} GiB of memory, and {usable / (1 << 30):,.1f} GiB "
    return [f"{said}may be used here. Migrate without an index, keep fewer dims, or name a server as the target."]


def _kind(url: str) -> str:
    return {"postgresql": "pgvector", "lancedb": "lancedb", "qdrant": "qdrant"}.get(url.split(":", 1)[0], "files")
