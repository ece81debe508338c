"""Make an `EmbeddingSet` of what readers returned, checking everything that a set must not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.embedding_set import EmbeddingSet, Judgements
from engine.embeddings.paging import blocks
from engine.embeddings.row_scan import block_rows, finite_rows
from engine.errors import VectorError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.embeddings.embedding_set import Metric, Recipe, Vectors
    from engine.embeddings.readers.loaded import Loaded, Qrels, Rows

_ROWS_NAMED = 5


def assemble(
    loaded: Loaded, *, name: str, metric: Metric | None, recipe: Recipe, labels: Sequence[str]
) -> EmbeddingSet:
    """Return the set of `loaded`, whose corpus and queries must have vectors by now.

    Raises
    ------
    VectorError
        For NaN or infinite values in arrays held in memory (memory-mapped ones are left to the health summary and the
        sweep, which read them anyway), repeated ids, and unequal dims.
    """
    corpus, queries = loaded.corpus, loaded.queries
    warnings = list(loaded.warnings)
    for side in (corpus, queries):
        if side is not None:
            _check_side(side)
    if queries is not None:
        _check_dims(corpus, queries)
    judgements = None
    if loaded.qrels is not None and queries is not None:
        judgements, said = match_judgements(loaded.qrels, corpus, queries)
        warnings += said
    return EmbeddingSet(
        name=name,
        corpus=_vectors(corpus),
        queries=None if queries is None else _vectors(queries),
        corpus_ids=_unicode(corpus.ids),
        query_ids=None if queries is None else _unicode(queries.ids),
        corpus_texts=_unicode(corpus.texts),
        query_texts=None if queries is None else _unicode(queries.texts),
        corpus_segments=_unicode(corpus.segments),
        query_segments=None if queries is None else _unicode(queries.segments),
        judgements=judgements,
        metric=metric or loaded.metric or "cosine",
        recipe=recipe,
        labels=tuple(labels),
        warnings=tuple(printable(warning, longest=400) for warning in warnings),
    )


def match_judgements(qrels: Qrels, corpus: Rows, queries: Rows) -> tuple[Judgements | None, list[str]]:
    """Return `qrels` as row numbers, and sentences about what did not match.

    Judgements of unknown documents stay with row -1, as they count in the ideal ranking; those of unknown queries are
    left out. Both are counted; the health check and the sweep say how many. None when no query is known.
    """
    doc_row, query_row = _row_finder(corpus), _row_finder(queries)
    docs = np.array([doc_row(one) for one in qrels.doc_ids], dtype=np.int64)
    rows = np.array([query_row(one) for one in qrels.query_ids], dtype=np.int64)
    known = rows >= 0
    warnings = list(qrels.warnings)
    warnings += [
        f"{side.name} has no ids: judgements were matched to row numbers, counted from 0"
        for side in (corpus, queries)
        if side.ids is None
    ]
    if not known.any():
        warnings.append(f"{qrels.name}: no judgement names a query of the set, so quality is not measured")
        return None, warnings
    judgements = Judgements(
        query_rows=rows[known],
        doc_rows=docs[known],
        grades=qrels.grades[known],
        unknown_queries=int((~known).sum()),
        unknown_docs=int((docs < 0).sum()),
    )
    return judgements, warnings


def _row_finder(side: Rows) -> Callable[[str], int]:
    if side.ids is not None:
        rows = {one: row for row, one in enumerate(side.ids)}
        return lambda one: rows.get(one, -1)
    n = side.n

    def row_number(one: str) -> int:
        canonical = one.isascii() and one.isdigit() and len(one) < 19 and (one == "0" or one[0] != "0")
        return int(one) if canonical and int(one) < n else -1

    return row_number


def _check_side(side: Rows) -> None:
    vectors = _vectors(side)
    if 0 in vectors.shape:
        raise VectorError(
            f"{side.name}: there must be at least one vector of one component", found=f"shape {vectors.shape}"
        )
    if side.ids is not None and len(set(side.ids)) != len(side.ids):
        seen: set[str] = set()
        first = next(one for one in side.ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]  # add returns None on purpose
        raise VectorError(
            f"{side.name}: every id must occur once",
            found=f"{len(side.ids) - len(set(side.ids))} repeated, first {first!r}",
            hint="Remove the duplicate rows, or name another column of ids",
        )
    if isinstance(vectors, np.memmap):
        return
    wrong: list[int] = []
    for start, block in blocks(vectors, block_rows(vectors.shape[1])):
        wrong += (start + np.flatnonzero(~finite_rows(block))).tolist()
    if wrong:
        rows = ", ".join(map(str, wrong[:_ROWS_NAMED])) + (" ..." if len(wrong) > _ROWS_NAMED else "")
        raise VectorError(
            f"{side.name}: every component must be a finite float32 number",
            found=f"NaN or infinity in {len(wrong)} rows, counted from 0: {rows}",
            hint="Remove these rows or embed their texts again",
        )


def _check_dims(corpus: Rows, queries: Rows) -> None:
    dims = _vectors(corpus).shape[1], _vectors(queries).shape[1]
    if dims[0] != dims[1]:
        raise VectorError(
            "corpus and queries must have the same number of dimensions",
            found=f"{dims[0]} in {corpus.name} and {dims[1]} in {queries.name}",
            hint="Embed both with the same model at its full dimension",
        )


def _vectors(side: Rows) -> Vectors:
    if side.vectors is None:
        raise VectorError(f"{side.name}: vectors must be there before a set is made of them")
    return side.vectors


def _unicode(values: Sequence[str] | None) -> Sequence[str] | None:
    """Replace lone surrogates, which JSON can spell but no file, database or browser can hold."""
    if values is None or all(map(_is_encodable, values)):
        return values
    return [value.encode("utf-8", "replace").decode("utf-8") for value in values]


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
