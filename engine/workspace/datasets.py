"""Stored data sets: an `EmbeddingSet` taken apart into arrays and facts, and put together again."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from engine.embeddings import EmbeddingSet, Judgements, fingerprint
from engine.errors import RunNotFoundError, printable
from engine.workspace.artefacts import ArrayFile
from engine.workspace.models import DatasetRow
from engine.workspace.plain import plain_json
from engine.workspace.strings import stored_strings, string_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe
    from engine.workspace.artefacts import StreamedArray

_SHA256 = re.compile(r"[0-9a-f]{64}")
_STRINGS = ("corpus_ids", "query_ids", "corpus_texts", "query_texts", "corpus_segments", "query_segments")
_DETAILS = ("corpus_texts", "query_texts", "corpus_segments", "query_segments")


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    """The facts about a stored data set; `n_bytes` is its size on disk, `created_at` is in UTC."""

    sha256: str
    name: str
    n_docs: int
    n_queries: int
    dim: int
    dtype: str
    metric: Metric
    recipe: Recipe
    labels: tuple[str, ...]
    warnings: tuple[str, ...]
    has_texts: bool
    has_segments: bool
    has_judgements: bool
    n_bytes: int
    created_at: datetime


def checked_sha256(sha256: object) -> str:
    """Return `sha256` when it has the form of one; it may come from a URL."""
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise dataset_not_found(sha256)
    return sha256


def dataset_not_found(sha256: object) -> RunNotFoundError:
    """Build the error for a data set that is not there."""
    return RunNotFoundError(
        "no such data set is stored in this workspace", found=sha256, hint="Load it again, or choose a stored one"
    )


def dataset_arrays(embedding_set: EmbeddingSet) -> dict[str, npt.NDArray[Any] | StreamedArray]:
    """Return everything about `embedding_set` that has a row a vector, by the names it is stored under."""
    arrays: dict[str, npt.NDArray[Any] | StreamedArray] = {"corpus": embedding_set.corpus}
    if embedding_set.queries is not None:
        arrays["queries"] = embedding_set.queries
    if embedding_set.query_corpus_rows is not None:
        arrays["query_corpus_rows"] = embedding_set.query_corpus_rows
    for name in _STRINGS:
        values = getattr(embedding_set, name)
        if values is not None:
            arrays |= string_arrays(name, values)
    if embedding_set.judgements is not None:
        arrays["judged_queries"] = embedding_set.judgements.query_rows
        arrays["judged_docs"] = embedding_set.judgements.doc_rows
        arrays["judged_grades"] = embedding_set.judgements.grades
    return arrays


def details_sha256(embedding_set: EmbeddingSet) -> str:
    """Return the digest of what a set carries beside the values that `EmbeddingSet.sha256` covers."""
    judgements = embedding_set.judgements
    counts = "" if judgements is None else f"{judgements.unknown_queries},{judgements.unknown_docs}"
    texts = (getattr(embedding_set, name) for name in _DETAILS)
    return fingerprint(
        _stored_name(embedding_set), list(embedding_set.labels), list(embedding_set.warnings), counts, *texts
    )


def new_dataset_row(embedding_set: EmbeddingSet, *, created_at: datetime) -> DatasetRow:
    """Return the row of `embedding_set`, without its files yet, with a folder name of its own."""
    judgements = embedding_set.judgements
    return DatasetRow(
        sha256=embedding_set.sha256,
        details_sha256=details_sha256(embedding_set),
        folder=f"{embedding_set.sha256}-{secrets.token_hex(4)}",
        name=_stored_name(embedding_set),
        created_at=created_at,
        n_docs=embedding_set.n_docs,
        n_queries=embedding_set.n_queries,
        dim=embedding_set.dim,
        dtype=embedding_set.corpus.dtype.name,
        metric=embedding_set.metric,
        recipe=embedding_set.recipe,
        labels=plain_json(embedding_set.labels),
        warnings=plain_json(embedding_set.warnings),
        unknown_queries=0 if judgements is None else judgements.unknown_queries,
        unknown_docs=0 if judgements is None else judgements.unknown_docs,
    )


def dataset_files(row: DatasetRow) -> tuple[ArrayFile, ...]:
    """Return what the arrays of a stored data set must be."""
    return tuple(ArrayFile.from_json(file) for file in row.files)


def stored_dataset(row: DatasetRow) -> StoredDataset:
    """Read a row out."""
    files = {file.name: file for file in dataset_files(row)}
    return StoredDataset(
        sha256=row.sha256,
        name=row.name,
        n_docs=row.n_docs,
        n_queries=row.n_queries,
        dim=row.dim,
        dtype=row.dtype,
        metric=cast("Metric", row.metric),
        recipe=cast("Recipe", row.recipe),
        labels=tuple(row.labels),
        warnings=tuple(row.warnings),
        has_texts="corpus_texts_utf8" in files,
        has_segments="corpus_segments_utf8" in files or "query_segments_utf8" in files,
        has_judgements="judged_queries" in files,
        n_bytes=sum(file.n_bytes for file in files.values()),
        created_at=row.created_at,
    )


def embedding_set_of(row: DatasetRow, arrays: Mapping[str, npt.NDArray[Any]]) -> EmbeddingSet:
    """Put a stored data set together again; texts and segments are decoded when they are asked for."""
    strings = {name: stored_strings(name, arrays) for name in _STRINGS}
    judgements = None
    if "judged_queries" in arrays:
        judgements = Judgements(
            query_rows=arrays["judged_queries"],
            doc_rows=arrays["judged_docs"],
            grades=arrays["judged_grades"],
            unknown_queries=row.unknown_queries,
            unknown_docs=row.unknown_docs,
        )
    ids = {name: None if strings[name] is None else list(strings[name] or ()) for name in ("corpus_ids", "query_ids")}
    embedding_set = EmbeddingSet(
        name=row.name,
        corpus=arrays["corpus"],
        queries=arrays.get("queries"),
        corpus_ids=ids["corpus_ids"],
        query_ids=ids["query_ids"],
        corpus_texts=strings["corpus_texts"],
        query_texts=strings["query_texts"],
        corpus_segments=strings["corpus_segments"],
        query_segments=strings["query_segments"],
        judgements=judgements,
        query_corpus_rows=arrays.get("query_corpus_rows"),
        metric=cast("Metric", row.metric),
        recipe=cast("Recipe", row.recipe),
        labels=tuple(row.labels),
        warnings=tuple(row.warnings),
    )
    # The digest was computed when the set was stored: reading gigabytes to compute it again would undo the mapping.
    vars(embedding_set)["sha256"] = row.sha256
    return embedding_set


def _stored_name(embedding_set: EmbeddingSet) -> str:
    # A file's name can hold what is no character; a database column cannot.
    return printable(embedding_set.name).encode("utf-8", "replace").decode("utf-8")
