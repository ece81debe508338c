"""What is scored: corpus and query vectors with everything that is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args, overload

import numpy as np
import numpy.typing as npt

from engine.embeddings.fingerprint import fingerprint
from engine.errors import ParameterError, VectorError
from engine.seeds import check_seed

Metric = Literal["cosine", "ip", "l2"]
Recipe = Literal["prefix", "layer_norm"]
"""How a model wants to be truncated: slice plainly, or layer-normalise the full vector first (nomic)."""

METRICS: tuple[Metric, ...] = get_args(Metric)
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
DTYPES = ("float16", "float32", "float64", "int8", "uint8")

Vectors = npt.NDArray[Any]
"""A 2-D array (rows, components) of one of `DTYPES`, in memory or memory-mapped."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judgements:
    """Relevance judgements (qrels) as row numbers; three arrays of one length, a judgement each.

    `doc_rows` is -1 where the judged document is not in the corpus: it cannot be retrieved but still counts in
    the ideal ranking, as in trec_eval. `unknown_queries` and `unknown_docs` count the judgements whose query or
    document id is not in the set (those of unknown queries are left out of the arrays).
    """

    query_rows: npt.NDArray[np.int64]
    doc_rows: npt.NDArray[np.int64]
    grades: npt.NDArray[np.float32]
    unknown_queries: int = 0
    unknown_docs: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class EmbeddingSet:
    """Corpus (n, d) and query (q, d) vectors, their ids, and optionally texts, segments and judgements.

    Ids of None stand for row numbers. `query_corpus_rows` (q,) names the corpus row a query was held out from, which
    that query must never retrieve; -1 for none. `labels` are short facts shown wherever the set is (``synthetic``,
    ``held-out queries``); `warnings` are sentences about the data that a reader noticed.

    Raises
    ------
    VectorError
        When shapes, dtypes or lengths do not fit together, or ids repeat.
    """

    name: str
    corpus: Vectors
    queries: Vectors | None = None
    corpus_ids: Sequence[str] | None = None
    query_ids: Sequence[str] | None = None
    corpus_texts: Sequence[str] | None = None
    query_texts: Sequence[str] | None = None
    corpus_segments: Sequence[str] | None = None
    query_segments: Sequence[str] | None = None
    judgements: Judgements | None = None
    query_corpus_rows: npt.NDArray[np.int64] | None = None
    metric: Metric = "cosine"
    recipe: Recipe = "prefix"
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_vectors(self.corpus, "corpus")
        _check_rows(self.corpus, "corpus", ids=self.corpus_ids, texts=self.corpus_texts, segments=self.corpus_segments)
        if self.metric not in METRICS:
            raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=self.metric)
        if self.recipe not in RECIPES:
            raise ParameterError(f"the recipe is one of {', '.join(RECIPES)}", found=self.recipe)
        if self.queries is None:
            return
        _check_vectors(self.queries, "queries")
        _check_rows(self.queries, "queries", ids=self.query_ids, texts=self.query_texts, segments=self.query_segments)
        if self.queries.shape[1] != self.dim:
            raise VectorError(
                "corpus and queries must have the same number of dimensions",
                found=f"{self.dim} and {self.queries.shape[1]}",
                hint="Embed both with the same model at its full dimension",
            )

    @property
    def n_docs(self) -> int:
        """Number of corpus rows."""
        return int(self.corpus.shape[0])

    @property
    def n_queries(self) -> int:
        """Number of query rows; 0 when the set has none."""
        return 0 if self.queries is None else int(self.queries.shape[0])

    @property
    def dim(self) -> int:
        """The full dimension d."""
        return int(self.corpus.shape[1])

    def doc_id(self, row: int) -> str:
        """Return the id of corpus row `row`."""
        return str(row) if self.corpus_ids is None else str(self.corpus_ids[row])

    def query_id(self, row: int) -> str:
        """Return the id of query row `row`."""
        return str(row) if self.query_ids is None else str(self.query_ids[row])

    @cached_property
    def sha256(self) -> str:
        """Digest of everything that can change a result: vectors, ids, judgements, metric and recipe."""
        parts: list[object] = [self.corpus, self.queries, self.corpus_ids, self.query_ids, self.query_corpus_rows]
        if self.judgements is not None:
            parts += [self.judgements.query_rows, self.judgements.doc_rows, self.judgements.grades]
        return fingerprint(*parts, self.metric, self.recipe)

    def with_held_out_queries(self, n: int = 1000, *, seed: int = 0) -> EmbeddingSet:
        """Return the set with `n` corpus rows (fewer when the corpus is small) drawn as queries.

        The rows stay in the corpus, so that every other query can still find them; `query_corpus_rows` keeps each
        query from retrieving itself. The set is labelled ``held-out queries``.
        """
        if n < 1:
            raise ParameterError("the number of held-out queries must be at least 1", found=n)
        check_seed(seed)
        rows = np.sort(np.random.default_rng(seed).choice(self.n_docs, size=min(n, self.n_docs), replace=False))
        return replace(
            self,
            queries=np.ascontiguousarray(self.corpus[rows]),
            query_ids=[self.doc_id(row) for row in rows],
            query_texts=None if self.corpus_texts is None else _Picked(self.corpus_texts, rows),
            query_segments=None if self.corpus_segments is None else [self.corpus_segments[row] for row in rows],
            judgements=None,
            query_corpus_rows=rows.astype(np.int64),
            labels=(*self.labels, "held-out queries"),
        )

    def with_query_sample(self, n: int, *, seed: int = 0) -> EmbeddingSet:
        """Return the set with a seeded sample of `n` of its queries, in their order; itself when it has no more."""
        if n < 1:
            raise ParameterError("the number of queries must be at least 1", found=n)
        check_seed(seed)
        if self.queries is None or n >= self.n_queries:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(self.n_queries, size=n, replace=False))

        return replace(
            self,
            queries=np.ascontiguousarray(self.queries[rows]),
            query_ids=[self.query_id(row) for row in rows],
            query_texts=None if self.query_texts is None else _Picked(self.query_texts, rows),
            query_segments=None if self.query_segments is None else [self.query_segments[row] for row in rows],
            judgements=None if self.judgements is None else _of_queries(self.judgements, rows, self.n_queries),
            query_corpus_rows=None if self.query_corpus_rows is None else self.query_corpus_rows[rows],
        )


class _Picked(Sequence[str]):
    """Some of `values`, looked up when asked: texts may cost an import or a read from disk each."""

    def __init__(self, values: Sequence[str], rows: npt.NDArray[Any]) -> None:
        self._values, self._rows = values, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return _Picked(self._values, self._rows[index])
        return self._values[int(self._rows[index])]


def _of_queries(judgements: Judgements, rows: npt.NDArray[Any], n_queries: int) -> Judgements:
    new_row = np.full(n_queries, -1, dtype=np.int64)
    new_row[rows] = np.arange(len(rows))
    kept = new_row[judgements.query_rows] >= 0
    return replace(
        judgements,
        query_rows=new_row[judgements.query_rows[kept]],
        doc_rows=judgements.doc_rows[kept],
        grades=judgements.grades[kept],
    )


def _check_vectors(vectors: Vectors, what: str) -> None:
    if vectors.ndim != 2:
        raise VectorError(f"the {what} must be a 2-D array, a row a vector", found=f"shape {vectors.shape}")
    if vectors.shape[0] == 0 or vectors.shape[1] == 0:
        raise VectorError(f"the {what} must hold at least one vector", found=f"shape {vectors.shape}")
    if vectors.dtype.name not in DTYPES:
        raise VectorError(f"the {what} must be one of {', '.join(DTYPES)}", found=vectors.dtype.name)


def _check_rows(vectors: Vectors, what: str, *, ids: Sequence[str] | None, **others: Sequence[str] | None) -> None:
    for name, values in {"ids": ids, **others}.items():
        if values is not None and len(values) != vectors.shape[0]:
            raise VectorError(
                f"the {what} must have as many {name} as vectors",
                found=f"{len(values)} {name}, {vectors.shape[0]} vectors",
            )
    if ids is not None and len(set(ids)) != len(ids):
        seen: set[str] = set()
        repeated = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]  # add returns None on purpose
        raise VectorError(
            f"every id of the {what} must occur once",
            found=f"{len(ids) - len(set(ids))} repeated, first {repeated!r}",
            hint="Remove the duplicate rows or give them ids of their own",
        )
