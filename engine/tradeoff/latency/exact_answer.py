"""The exact top k at one dimension, and how much of it another answer holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.scoring.pairs import pair_scores
from engine.scoring.ranking import TIE_TOLERANCE

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import Metric
    from engine.scoring import NestedTopK

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_PAIRS_AT_ONCE = 4096
_COMPARISONS_AT_ONCE = 1 << 24


@dataclass(frozen=True, eq=False, kw_only=True)
class ExactAnswer:
    """The exact top k `ids` (q, k) of `queries` (q, D) in `corpus` (n, D) at `dim`, and the k-th score (q,) of each.

    `measurable` (q,) is false for queries that have no neighbours: zero vectors.
    """

    dim: int
    ids: Int64
    kth_scores: Float32
    measurable: npt.NDArray[np.bool_]
    corpus: Float32
    queries: Float32
    metric: Metric

    @classmethod
    def of(cls, nested: NestedTopK, dim: int, corpus: Float32, queries: Float32, metric: Metric) -> ExactAnswer:
        """Read the answer at `dim` off `nested`, which scored these vectors."""
        place = nested.dims.index(dim)
        # A zero query has distances like any other, but neither a cosine nor an inner product that ranks.
        measurable = np.ones(len(queries), bool) if metric == "l2" else ~nested.zero_queries
        return cls(
            dim=dim,
            ids=nested.ids[place],
            kth_scores=nested.scores[place, :, -1],
            measurable=measurable,
            corpus=corpus,
            queries=queries,
            metric=metric,
        )

    def recall_of(self, found: Int64, rows: Int64 | None = None) -> Float32:
        """Return the tie-aware recall (q,) of the documents `found` (q, m), -1 for none; NaN where not measurable.

        A document is a hit when it is in the exact answer, or its exact score ties with the k-th (see `recall_at`).
        `rows` (q,) are the queries that `found` answers, all of them unless given.
        """
        queries = np.arange(len(self.ids)) if rows is None else rows
        hits = np.empty(found.shape, bool)
        step = max(1, _COMPARISONS_AT_ONCE // (found.shape[1] * self.ids.shape[1]))
        for start in range(0, len(found), step):
            part = slice(start, start + step)
            hits[part] = (found[part, :, None] == self.ids[queries[part], None, :]).any(axis=2)
        missed = np.argwhere(~hits & (found >= 0))
        for start in range(0, len(missed), _PAIRS_AT_ONCE):
            places, ranks = missed[start : start + _PAIRS_AT_ONCE].T
            hits[places, ranks] = self._ties(queries[places], found[places, ranks])
        recall: Float32 = (hits.sum(axis=1) / self.ids.shape[1]).astype(np.float32)
        recall[~self.measurable[queries]] = np.nan
        return recall

    def _ties(self, queries: Int64, docs: Int64) -> npt.NDArray[np.bool_]:
        scores = pair_scores(
            self.corpus, self.queries[queries], docs[:, None], metric=self.metric, dim=self.dim, n_threads=1
        )
        kth = self.kth_scores[queries].astype(np.float64)
        return np.asarray(scores[:, 0] >= kth - TIE_TOLERANCE * np.maximum(1.0, np.abs(kth)))
