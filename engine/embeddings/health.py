"""Say whether an embedding set is fit to be scored, before any time is spent on scoring it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.embeddings.health_checks import Finding, findings_of
from engine.embeddings.paging import blocks
from engine.embeddings.row_scan import RowScan, block_rows, finite_rows, first_equal_rows, scan_rows
from engine.errors import VectorError
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings.embedding_set import EmbeddingSet, Metric, Recipe, Vectors

_ROWS_NAMED = 5
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How many rows have a fault, and the numbers of the first few, from 0."""

    count: int
    first: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RowPairs:
    """How many rows equal another one, and the first few pairs (row, the earlier or corpus row it equals), from 0."""

    count: int
    first: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class VectorsHealth:
    """The state of the corpus or of the queries.

    Norms are over the finite rows, None when there is none. `is_unit_norm` allows 0.001. A row is not finite when it
    holds NaN, infinity or a value beyond float32.
    """

    n: int
    dtype: str
    norm_min: float | None
    norm_median: float | None
    norm_max: float | None
    is_unit_norm: bool
    zero_rows: Rows
    non_finite_rows: Rows


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of an embedding set, and the findings in plain language, the worst first.

    `duplicate_rows` are corpus rows equal to an earlier one; `queries_in_corpus` are queries equal to a corpus row
    other than the one they were held out from; rows that are not finite are left out of both. `constant_dims` are the
    numbers (from 0) of the components that carry no variance in the corpus.
    """

    name: str
    labels: tuple[str, ...]
    metric: Metric
    recipe: Recipe
    dim: int
    corpus: VectorsHealth
    queries: VectorsHealth | None
    duplicate_rows: RowPairs
    queries_in_corpus: RowPairs
    constant_dims: tuple[int, ...]
    has_corpus_texts: bool
    has_query_texts: bool
    n_query_segments: int
    n_judgements: int
    n_judged_queries: int
    n_judgements_of_unknown_queries: int
    n_judgements_of_unknown_docs: int
    findings: tuple[Finding, ...] = ()

    @property
    def severity(self) -> Literal["ok", "warning", "problem"]:
        """The severity of the worst finding."""
        return self.findings[0].severity if self.findings else "ok"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        return {**asdict(self), "severity": self.severity}


def inspect_health(
    embedding_set: EmbeddingSet, *, progress: Progress = ignore_progress, cancelled: Cancelled = never_cancelled
) -> Health:
    """Inspect the vectors of `embedding_set` in one pass, in blocks, so that memory-mapped ones stay on disk.

    Raises
    ------
    CancelledError
        When `cancelled` answers true between two blocks.
    """
    corpus, queries = embedding_set.corpus, embedding_set.queries
    dtype = corpus.dtype if queries is None else np.result_type(corpus.dtype, queries.dtype)  # lossless for both
    total = embedding_set.n_docs + embedding_set.n_queries

    def scan(vectors: Vectors, what: str, before: int) -> RowScan:
        def rows_done(rows: int) -> None:
            progress((before + rows) / total, f"Inspecting the {what}, {rows:,} of {len(vectors):,} rows")

        return scan_rows(vectors, dtype=dtype, cancelled=cancelled, rows_done=rows_done)

    corpus_scan = scan(corpus, "corpus", 0)
    query_scan = None if queries is None else scan(queries, "queries", len(corpus))
    health = _facts(embedding_set, corpus_scan, query_scan)
    return replace(health, findings=findings_of(health))


def check_finite(embedding_set: EmbeddingSet, *, cancelled: Cancelled = never_cancelled) -> None:
    """Check that scoring can use every row, reading memory-mapped vectors in blocks.

    Raises
    ------
    VectorError
        Naming the rows that hold NaN, infinity or a value beyond float32.
    CancelledError
        When `cancelled` answers true between two blocks.
    """
    for what, vectors in {"corpus": embedding_set.corpus, "queries": embedding_set.queries}.items():
        if vectors is None:
            continue
        faulty: list[int] = []
        for start, block in blocks(vectors, block_rows(vectors.shape[1])):
            stop_if(cancelled)
            faulty += (start + np.flatnonzero(~finite_rows(block))).tolist()
        if faulty:
            named = ", ".join(map(str, faulty[:_ROWS_NAMED]))
            more = f" and {len(faulty) - _ROWS_NAMED:,} more" if len(faulty) > _ROWS_NAMED else ""
            raise VectorError(
                f"every component of the {what} must be a finite float32 number",
                found=f"NaN, infinite or too large values in row {named}{more}",
                hint="Remove or repair these rows and load the set again",
            )


def _facts(embedding_set: EmbeddingSet, corpus_scan: RowScan, query_scan: RowScan | None) -> Health:
    queries, judgements = embedding_set.queries, embedding_set.judgements
    return Health(
        name=embedding_set.name,
        labels=embedding_set.labels,
        metric=embedding_set.metric,
        recipe=embedding_set.recipe,
        dim=embedding_set.dim,
        corpus=_vectors_health(embedding_set.corpus, corpus_scan),
        queries=None if queries is None or query_scan is None else _vectors_health(queries, query_scan),
        duplicate_rows=_duplicates(corpus_scan),
        queries_in_corpus=_queries_in_corpus(corpus_scan, query_scan, embedding_set.query_corpus_rows),
        constant_dims=tuple(np.flatnonzero(corpus_scan.constant).tolist()),
        has_corpus_texts=embedding_set.corpus_texts is not None,
        has_query_texts=embedding_set.query_texts is not None,
        n_query_segments=len(set(embedding_set.query_segments or ())),
        n_judgements=0 if judgements is None else len(judgements.grades),
        n_judged_queries=0 if judgements is None else len(np.unique(judgements.query_rows)),
        n_judgements_of_unknown_queries=0 if judgements is None else judgements.unknown_queries,
        n_judgements_of_unknown_docs=0 if judgements is None else judgements.unknown_docs,
    )


def _vectors_health(vectors: Vectors, scan: RowScan) -> VectorsHealth:
    norms = scan.norms[scan.finite]
    return VectorsHealth(
        n=len(vectors),
        dtype=vectors.dtype.name,
        norm_min=float(norms.min()) if len(norms) else None,
        norm_median=float(np.median(norms)) if len(norms) else None,
        norm_max=float(norms.max()) if len(norms) else None,
        is_unit_norm=bool(len(norms) and (np.abs(norms - 1) <= _UNIT_TOLERANCE).all()),
        zero_rows=_rows(scan.zero),
        non_finite_rows=_rows(~scan.finite),
    )


def _rows(marked: npt.NDArray[np.bool_]) -> Rows:
    numbers = np.flatnonzero(marked)
    return Rows(count=len(numbers), first=tuple(numbers[:_ROWS_NAMED].tolist()))


def _duplicates(scan: RowScan) -> RowPairs:
    rows = np.flatnonzero(scan.finite)
    earlier = rows[first_equal_rows(scan.digests[rows])]
    return _pairs(rows, earlier, rows != earlier)


def _queries_in_corpus(corpus: RowScan, queries: RowScan | None, held_out: npt.NDArray[np.int64] | None) -> RowPairs:
    if queries is None:
        return RowPairs(count=0, first=())
    rows, query_rows = np.flatnonzero(corpus.finite), np.flatnonzero(queries.finite)
    own = np.full(len(query_rows), -1, dtype=np.int64) if held_out is None else held_out[query_rows]
    # Of equal corpus rows the first one speaks for all; for the query that was held out from it, the second one does.
    first = first_equal_rows(np.concatenate([corpus.digests[rows], queries.digests[query_rows]]))
    order = np.argsort(first[: len(rows)], kind="stable")
    leaders = first[: len(rows)][order]
    place = np.searchsorted(leaders, first[len(rows) :])
    place += _value_at(rows[order], place) == own
    found = _value_at(leaders, place) == first[len(rows) :]
    return _pairs(query_rows, _value_at(rows[order], place), found)


def _value_at(values: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.append(values, -2)[places]  # one past the end is no row, and not the -1 of "held out from none"


def _pairs(rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> RowPairs:
    pairs = zip(rows[chosen][:_ROWS_NAMED].tolist(), others[chosen][:_ROWS_NAMED].tolist(), strict=True)
    return RowPairs(count=int(chosen.sum()), first=tuple(pairs))
