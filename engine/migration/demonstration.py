"""A migration to try at once: a bundled set in a real PostgreSQL, and an empty LanceDB beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.samples import load_sample
from engine.migration.stores.local_postgres import LocalPostgres, start_local_postgres
from engine.migration.stores.opening import open_store
from engine.migration.stores.protocol import Batch, TableSpec
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    from pathlib import Path

    from engine.embeddings import EmbeddingSet

SAMPLE = "api-reference"
TABLE = "docs"
_BATCH = 1000
_LONGEST_TEXT = 300


@dataclass(frozen=True, eq=False, kw_only=True)
class Demonstration:
    """The two stores by their URLs, the set that is in the first, and the server, which runs until it is closed."""

    source_url: str
    target_url: str
    embedding_set: EmbeddingSet
    dims: int
    server: LocalPostgres


def prepare_demonstration(
    folder: Path,
    *,
    sample: str = SAMPLE,
    dims: int | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Demonstration:
    """Start PostgreSQL below `folder` and put the bundled set `sample` into it, unless it is there already.

    `dims` (half of the set's without) names the LanceDB table that the migration would fill; none is made here.

    Raises
    ------
    StoreError
        When a driver or the server is not installed, or the server does not start.
    """
    progress(0.0, "Starting PostgreSQL")
    chosen = load_sample(sample)
    server = start_local_postgres(folder / "postgres")
    try:
        with open_store(server.url(TABLE)) as store:
            if not store.exists() or store.count() != chosen.n_docs:
                store.drop()
                store.create(TableSpec(dim=chosen.dim, metric=chosen.metric, id_kind="text"))
                for start in range(0, chosen.n_docs, _BATCH):
                    stop_if(cancelled)
                    store.upsert(_rows(chosen, start, min(start + _BATCH, chosen.n_docs)))
                    progress(start / chosen.n_docs, "Filling the table")
    except BaseException:
        server.close()
        raise
    kept = dims or chosen.dim // 2
    return Demonstration(
        source_url=server.url(TABLE),
        target_url=f"lancedb://{(folder / 'lance').absolute()}#{TABLE}_{kept}",
        embedding_set=chosen,
        dims=kept,
        server=server,
    )


def _rows(chosen: EmbeddingSet, start: int, stop: int) -> Batch:
    ids = chosen.corpus_ids
    texts = chosen.corpus_texts
    payloads = None
    if texts is not None:
        shown = (texts[row][:_LONGEST_TEXT] for row in range(start, stop))
        payloads = tuple(json.dumps({"text": text}).encode() for text in shown)
    return Batch(
        ids=tuple(str(row) if ids is None else ids[row] for row in range(start, stop)),
        vectors=np.ascontiguousarray(chosen.corpus[start:stop], dtype=np.float32),
        payloads=payloads,
    )
