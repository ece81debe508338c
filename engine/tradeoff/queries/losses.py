"""Who loses: the change of every query against the full dimension, and the documents behind it. Nothing is rescored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.errors import ParameterError
from engine.scoring.ranking import TIE_TOLERANCE
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.queries.distribution import Distribution, distribution_of
from engine.tradeoff.queries.segments import QueryClusters, SegmentChange, segment_changes
from engine.tradeoff.results import Criterion, Interval
from engine.tradeoff.rows import at_least
from engine.tradeoff.summary import check_criterion, default_criterion
from engine.tradeoff.verdicts import ROUNDING

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.tradeoff.results import Quantity, SweepResult

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

SegmentSource = Literal["labels", "clusters"]
Fate = Literal["kept", "lost", "gained"]

# Bins of a twentieth around every multiple of it, so that no value of recall@10 or recall@20 sits on an edge.
_EDGES = np.linspace(-1.025, 1.025, 42)


@dataclass(frozen=True, kw_only=True)
class QueryLoss:
    """One query: its value at the reduced and the full dimension, and the `change` from full to reduced."""

    query_row: int
    query_id: str
    at_dim: float
    at_full: float
    change: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Losses:
    """How the queries change between the full dimension and `dim` in recall@k or nDCG@k; negative is worse.

    `changes` (q,) is per query of the sweep, NaN where it has no value; `n_queries` have one. `p5` is the change that
    one query in twenty does not even reach. `worst` are the most harmed queries, worst first, none unharmed.
    `worst_segment` names the most harmed of the segments that are large enough.
    """

    dim: int
    full_dim: int
    k: int
    quantity: Quantity
    seed: int
    n_queries: int
    changes: Float32
    mean: Interval
    distribution: Distribution
    p5: float
    harmed: Interval
    improved: Interval
    worst: tuple[QueryLoss, ...]
    segment_source: SegmentSource | None
    segments: tuple[SegmentChange, ...]
    worst_segment: str | None


@dataclass(frozen=True, kw_only=True)
class RankedDocument:
    """A document in a query's top k at one dimension, and what becomes of it.

    `rank` and `score` are those of this list. `other_rank` and `other_score` are those at the other dimension, None
    where the document is beyond what the sweep kept there. `tied` tells whether its full-dimension score ties with the
    k-th one (None where that score was not kept): recall counts such a document as a hit wherever it is found, so one
    may stand in for another.
    """

    doc_row: int
    fate: Fate
    rank: int
    score: float
    other_rank: int | None
    other_score: float | None
    tied: bool | None


@dataclass(frozen=True, kw_only=True)
class QueryChanges:
    """One query's top k at the full dimension and at `dim`, side by side, best first.

    Ranks count from 1; scores of different dims are not comparable. The sweep kept `depth` documents a dimension.
    """

    query_row: int
    query_id: str
    dim: int
    full_dim: int
    k: int
    depth: int
    recall: float | None
    full: tuple[RankedDocument, ...]
    reduced: tuple[RankedDocument, ...]

    @property
    def lost(self) -> tuple[RankedDocument, ...]:
        """Documents of the full top k that are not in the reduced one, best first."""
        return tuple(document for document in self.full if document.fate == "lost")

    @property
    def gained(self) -> tuple[RankedDocument, ...]:
        """Documents of the reduced top k that are not in the full one, best first."""
        return tuple(document for document in self.reduced if document.fate == "gained")


def losses(
    result: SweepResult,
    dim: int,
    *,
    k: int | None = None,
    quantity: Quantity = "recall",
    clusters: QueryClusters | None = None,
    n_worst: int = 20,
    seed: int | None = None,
    n_resamples: int = 2_000,
) -> Losses:
    """Read off `result` how every query's recall@k or nDCG@k changes from the full dimension to `dim`.

    `k` defaults to the swept one nearest to 10, `seed` to the sweep's. Segments are those of `clusters` where given,
    else the sweep's own labels, else none.

    Raises
    ------
    ParameterError
        When `dim` or `k` was not swept, for nDCG without judgements, or when `clusters` label other queries.
    """
    k = default_criterion(result).k if k is None else k
    check_criterion(result, Criterion(quantity=quantity, k=k))
    column, seed = _column(result, dim), result.seed if seed is None else seed
    by_dim = (result.recall if quantity == "recall" or result.ndcg is None else result.ndcg)[result.ks.index(k)]
    changes = by_dim[column] - by_dim[-1]
    known = ~np.isnan(changes)
    signs = np.stack([changes, changes < -ROUNDING, changes > ROUNDING]).astype(np.float32)
    signs[:, ~known] = np.nan
    (means,) = bootstrap_means(signs, seed=seed, n_resamples=n_resamples)
    distribution = distribution_of(changes, _EDGES)
    source, labels = _labels(result, clusters)
    segments = () if labels is None else segment_changes(changes, labels, seed=seed, n_resamples=n_resamples)
    return Losses(
        dim=dim,
        full_dim=result.dims[-1],
        k=k,
        quantity=quantity,
        seed=seed,
        n_queries=int(known.sum()),
        changes=changes,
        mean=means.interval(0),
        distribution=distribution,
        p5=distribution.percentiles[5],
        harmed=means.interval(1),
        improved=means.interval(2),
        worst=_worst(result, by_dim[column], by_dim[-1], at_least("the number of worst queries", n_worst, 0)),
        segment_source=source,
        segments=segments,
        worst_segment=next((s.name for s in segments if not s.too_small and s.mean < -ROUNDING), None),
    )


def changes_of_query(result: SweepResult, query_row: int, dim: int, *, k: int | None = None) -> QueryChanges:
    """Set the documents that query `query_row` of the sweep finds at the full dimension beside those at `dim`.

    Raises
    ------
    ParameterError
        When the row is not one of the sweep's queries, or `dim` or `k` was not swept.
    """
    k = default_criterion(result).k if k is None else k
    check_criterion(result, Criterion(k=k))
    column = _column(result, dim)
    if at_least("the query row", query_row, 0) >= len(result.query_ids):
        raise ParameterError(f"the query row must lie below {len(result.query_ids):,}", found=query_row)
    pair = rank_side_by_side(
        result.ids[-1, query_row],
        result.scores[-1, query_row],
        result.ids[column, query_row],
        result.scores[column, query_row],
        k=k,
    )
    recall = float(result.recall[result.ks.index(k), column, query_row])
    return QueryChanges(
        query_row=query_row,
        query_id=result.query_ids[query_row],
        dim=dim,
        full_dim=result.dims[-1],
        k=k,
        depth=result.ids.shape[2],
        recall=None if np.isnan(recall) else recall,
        full=pair.full,
        reduced=pair.reduced,
    )


@dataclass(frozen=True, kw_only=True)
class RankingPair:
    """One query's top k at the full dimension and at a smaller one, side by side, best first."""

    full: tuple[RankedDocument, ...]
    reduced: tuple[RankedDocument, ...]


def rank_side_by_side(full_ids: Int64, full_scores: Float32, ids: Int64, scores: Float32, *, k: int) -> RankingPair:
    """Say of every document in the top k of two rankings, each best first, where the other one has it.

    The four arrays may be longer than k: a document's other rank is told as far as they go.
    """
    full = _Ranking.of(full_ids, full_scores)
    reduced = _Ranking.of(ids, scores)
    depth = min(k, len(full.docs), len(reduced.docs))
    return RankingPair(
        full=tuple(_document(rank, full, reduced, full=full, depth=depth, missing="lost") for rank in range(depth)),
        reduced=tuple(
            _document(rank, reduced, full, full=full, depth=depth, missing="gained") for rank in range(depth)
        ),
    )


@dataclass(frozen=True)
class _Ranking:
    """One query's documents and scores at one dimension, and the place (from 0) of each document."""

    docs: list[int]
    scores: list[float]
    places: dict[int, int]

    @classmethod
    def of(cls, ids: Int64, scores: Float32) -> _Ranking:
        docs = ids.tolist()
        return cls(docs, scores.tolist(), {doc: place for place, doc in enumerate(docs)})


def _document(
    place: int, here: _Ranking, other: _Ranking, *, full: _Ranking, depth: int, missing: Fate
) -> RankedDocument:
    doc = here.docs[place]
    elsewhere, at_full = other.places.get(doc), full.places.get(doc)
    kept = elsewhere is not None and elsewhere < depth
    return RankedDocument(
        doc_row=doc,
        fate="kept" if kept else missing,
        rank=place + 1,
        score=here.scores[place],
        other_rank=None if elsewhere is None else elsewhere + 1,
        other_score=None if elsewhere is None else other.scores[elsewhere],
        tied=None if at_full is None else _ties(full.scores[at_full], full.scores[depth - 1]),
    )


def _ties(score: float, kth: float) -> bool:
    return score == kth or abs(score - kth) <= TIE_TOLERANCE * max(1.0, abs(kth))


def _column(result: SweepResult, dim: int) -> int:
    if dim not in result.dims:
        swept = ", ".join(str(swept) for swept in result.dims)
        raise ParameterError(
            f"the dim must be one of those swept: {swept}", found=dim, hint="Sweep again with that dim"
        )
    return result.dims.index(dim)


def _labels(result: SweepResult, clusters: QueryClusters | None) -> tuple[SegmentSource | None, tuple[str, ...] | None]:
    if clusters is None:
        return (None, None) if result.query_segments is None else ("labels", result.query_segments)
    if len(clusters.labels) != len(result.query_ids):
        raise ParameterError(
            f"clusters must label the {len(result.query_ids):,} queries of the sweep",
            found=f"{len(clusters.labels):,} labels",
            hint="Cluster the queries that were swept",
        )
    return "clusters", clusters.labels


def _worst(result: SweepResult, at_dim: Float32, at_full: Float32, n_worst: int) -> tuple[QueryLoss, ...]:
    changes = at_dim - at_full
    order = np.argsort(changes, kind="stable")[:n_worst]  # NaN sorts last
    return tuple(
        QueryLoss(
            query_row=int(row),
            query_id=result.query_ids[row],
            at_dim=float(at_dim[row]),
            at_full=float(at_full[row]),
            change=float(changes[row]),
        )
        for row in order
        if changes[row] < -ROUNDING
    )
