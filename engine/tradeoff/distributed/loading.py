"""A corpus that only the workers see, with the queries and judgements that are read here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings import load
from engine.embeddings.paths import existing
from engine.embeddings.readers.assemble import match_judgements
from engine.embeddings.readers.loaded import Rows
from engine.embeddings.readers.options import NO_CHOICE, Columns
from engine.embeddings.readers.registry import damage_reported
from engine.embeddings.readers.source import Source
from engine.embeddings.readers.trec import read_qrels
from engine.errors import ParameterError
from engine.seeds import check_seed
from engine.tradeoff.distributed.parts import check_parts, describe_parts, list_parts
from engine.tradeoff.distributed.reading import find_ids, take_rows
from engine.tradeoff.distributed.sharded import SetOnWorkers, no_rows
from engine.tradeoff.distributed.storage import checked_url, file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet, Judgements, Metric, Recipe
    from engine.tradeoff.distributed.connection import Cluster
    from engine.tradeoff.distributed.parts import Part

_CORPUS = "the corpus"
_PARTS_A_TASK = 64


@dataclass(frozen=True, kw_only=True)
class PartsSource:
    """A corpus at `url`: one .npy or .parquet file, or a folder of such parts, as a path or URL that the workers see.

    Parts are taken in the order of their names, numbers as numbers; documents are numbered through all of them.
    `queries` and `qrels` are files that this machine reads; without queries, `n_held_out` rows are held out.
    """

    url: str
    queries: str | Path | None = None
    qrels: str | Path | None = None
    columns: Columns = NO_CHOICE
    metric: Metric = "cosine"
    recipe: Recipe = "prefix"
    n_held_out: int = 1000


def load_parts(cluster: Cluster, source: PartsSource, *, seed: int) -> tuple[tuple[Part, ...], SetOnWorkers]:
    """Return the parts at `source`, as the workers see them, and the set of them.

    Raises what `list_parts`, `describe_parts`, `check_parts` and `load` do.
    """
    check_seed(seed)
    url = checked_url(source.url)
    urls = cluster.call(list_parts, url)
    chunks = [urls[first : first + _PARTS_A_TASK] for first in range(0, len(urls), _PARTS_A_TASK)]
    described = cluster.call_each(partial(describe_parts, column=source.columns.vector), chunks)
    parts = tuple(part for some in described for part in some)
    check_parts(parts)
    n_rows = sum(part.n_rows for part in parts)
    name = Path(file_name(url.rstrip("/"))).stem or "corpus"
    made = _with_queries(cluster, source, parts, n_rows, name=name, seed=seed)
    return parts, made


def _with_queries(
    cluster: Cluster, source: PartsSource, parts: tuple[Part, ...], n_rows: int, *, name: str, seed: int
) -> SetOnWorkers:
    corpus = no_rows(n_rows, parts[0].dim)
    facts: dict[str, Any] = {"name": name, "corpus": corpus, "metric": source.metric, "recipe": source.recipe}
    if source.queries is not None:
        asked = load(source.queries, columns=source.columns.of_queries_file(), n_held_out=0)
        judgements, warnings = _judgements(cluster, source, parts, n_rows, asked)
        return SetOnWorkers(
            **facts,
            queries=asked.corpus,
            query_ids=asked.corpus_ids,
            query_texts=asked.corpus_texts,
            query_segments=asked.corpus_segments,
            judgements=judgements,
            warnings=warnings,
        )
    if source.qrels is not None:
        raise ParameterError(
            "judgements need the queries that they judge", found=str(source.qrels), hint="Give the queries as well"
        )
    if source.n_held_out < 1:
        raise ParameterError("the number of held-out queries must be at least 1", found=source.n_held_out)
    # The rows that EmbeddingSet.with_held_out_queries draws.
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(n_rows, size=min(source.n_held_out, n_rows), replace=False)).astype(np.int64)
    return SetOnWorkers(
        **facts,
        queries=cluster.call(take_rows, parts, rows),
        query_ids=[str(row) for row in rows],
        query_corpus_rows=rows,
        labels=("held-out queries",),
    )


def _judgements(
    cluster: Cluster, source: PartsSource, parts: tuple[Part, ...], n_rows: int, asked: EmbeddingSet
) -> tuple[Judgements | None, tuple[str, ...]]:
    if source.qrels is None:
        return None, ()
    path = existing(source.qrels)
    with damage_reported(path.name):
        qrels = read_qrels(Source.of_path(path))
    found = _rows_of(cluster, parts, qrels.doc_ids, column=source.columns.id)
    if found is not None:  # the matching below then takes the numbers of rows for ids
        qrels = replace(qrels, doc_ids=[str(found.get(one, "")) for one in qrels.doc_ids])
    corpus = Rows(name=_CORPUS, vectors=no_rows(n_rows, parts[0].dim))
    queries = Rows(name="the queries", vectors=asked.corpus, ids=asked.corpus_ids)
    judgements, warnings = match_judgements(qrels, corpus, queries)
    return judgements, tuple(one for one in warnings if found is None or not one.startswith(_CORPUS))


def _rows_of(
    cluster: Cluster, parts: Sequence[Part], doc_ids: Sequence[str], *, column: str | None
) -> dict[str, int] | None:
    """Return the corpus rows of those of `doc_ids` that the parts hold; None where parts have no ids."""
    rows: dict[str, int] = {}
    first_row = 0
    wanted = frozenset(doc_ids)
    found = cluster.call_each(partial(find_ids, wanted=wanted, column=column), parts)
    for part, here in zip(parts, found, strict=True):
        if here is None:
            return None
        rows |= {one: first_row + row for one, row in here.items()}
        first_row += part.n_rows
    return rows
