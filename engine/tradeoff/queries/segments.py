"""Which queries belong together, and which of these groups loses most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import never_cancelled, stop_if
from engine.scoring.blas import one_blas_thread
from engine.scoring.rows import as_float32
from engine.seeds import check_seed
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.rows import MAX_ROWS, at_least, draw_rows, take_rows
from engine.tradeoff.verdicts import ALPHA, MIN_QUERIES, ROUNDING, holm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled
    from engine.tradeoff.results import Interval

    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]
    Int64 = npt.NDArray[np.int64]

MOST_CLUSTERS = 100
_BLOCK_ROWS = 16_384
_NEGLIGIBLE = 1e-18  # squared: far below the rounding of float32 values


@dataclass(frozen=True, kw_only=True)
class QueryClusters:
    """A label for each query from k-means: ``cluster 1`` holds the most queries.

    The centres were fitted to `n_fitted` of the queries.
    """

    labels: tuple[str, ...]
    n_clusters: int
    n_fitted: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class SegmentChange:
    """The mean `change` of the queries of one segment, and whether it is `clearly_worse` than that of all others.

    Clearly: one-sided Welch test at 2.5 %, Holm-adjusted over the segments that are large enough. A segment of fewer
    than 30 queries is `too_small`: it has a mean but no interval, and is never called worse.
    """

    name: str
    n_queries: int
    too_small: bool
    mean: float
    change: Interval | None
    clearly_worse: bool


def cluster_queries(
    queries: Vectors,
    n_segments: int = 8,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    seed: int = 0,
    max_rows: int = MAX_ROWS,
    cancelled: Cancelled = never_cancelled,
) -> QueryClusters:
    """Label `queries` (q, d) by seeded k-means on at most `max_rows` sampled ones; under cosine on unit vectors.

    There are fewer clusters where there are fewer distinct queries.

    Raises
    ------
    ParameterError
        When `n_segments` is not within 2..100, or another number is out of range.
    CancelledError
        When `cancelled` says so.
    """
    from sklearn.cluster import KMeans  # heavy, and only this needs it

    check_seed(seed)
    if at_least("the number of segments", n_segments, 2) > MOST_CLUSTERS:
        raise ParameterError(f"the number of segments must be at most {MOST_CLUSTERS}", found=n_segments)
    rows = draw_rows(len(queries), at_least("the number of sampled rows", max_rows, n_segments), seed=seed)
    sample = _prepared(take_rows(queries, rows), metric, recipe)
    stop_if(cancelled)
    # Distinct rows are counted because k-means warns when it is asked for more clusters than there can be.
    n_clusters = min(n_segments, len({row.tobytes() for row in sample}))
    # scikit-learn limits BLAS itself while it runs; without our own limit around it, two jobs would undo each other's.
    with one_blas_thread():
        model = KMeans(n_clusters=n_clusters, n_init=3, random_state=seed % (1 << 32)).fit(sample)
        stop_if(cancelled)
        parts = [
            model.predict(_prepared(queries[start : start + _BLOCK_ROWS], metric, recipe))
            for start in range(0, len(queries), _BLOCK_ROWS)
        ]
    found = np.concatenate(parts)
    place = np.argsort(np.argsort(-np.bincount(found, minlength=n_clusters), kind="stable"))
    return QueryClusters(
        labels=tuple(f"cluster {place[cluster] + 1}" for cluster in found),
        n_clusters=n_clusters,
        n_fitted=len(rows),
        seed=int(seed),
    )


def segment_changes(
    changes: Float32, labels: Sequence[str], *, seed: int, n_resamples: int = 2_000
) -> tuple[SegmentChange, ...]:
    """Return the mean change of each segment with its 95 % bootstrap interval: most harmed first, too small ones last.

    `changes` (q,) are per query, NaN for no value; a segment without any value is left out.
    """
    known = ~np.isnan(changes)
    if not known.any():
        return ()
    values, names = changes[known].astype(np.float64), np.array(labels, dtype=object)[known]
    order: dict[str, int] = {}
    segment_of = np.array([order.setdefault(name, len(order)) for name in names], dtype=np.int64)
    groups = np.split(np.argsort(segment_of, kind="stable"), np.cumsum(np.bincount(segment_of))[:-1])
    large = [segment for segment, rows in enumerate(groups) if len(rows) >= MIN_QUERIES]
    worse = dict(zip(large, holm(_p_worse(values, segment_of)[large]) <= ALPHA, strict=True)) if large else {}
    segments = [
        SegmentChange(
            name=str(name),
            n_queries=len(groups[segment]),
            too_small=segment not in worse,
            mean=float(values[groups[segment]].mean()),
            change=_interval(values[groups[segment]], seed, n_resamples) if segment in worse else None,
            clearly_worse=bool(worse.get(segment, False)),
        )
        for name, segment in order.items()
    ]
    return tuple(sorted(segments, key=lambda segment: (segment.too_small, segment.mean, segment.name)))


def _prepared(queries: Vectors, metric: Metric, recipe: Recipe) -> Float32:
    rows = as_float32(queries, recipe)
    if metric != "cosine":
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Float32 = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return units


def _interval(values: Float64, seed: int, n_resamples: int) -> Interval:
    (resampled,) = bootstrap_means(values.astype(np.float32)[None], seed=seed, n_resamples=n_resamples)
    return resampled.interval(0)


def _p_worse(values: Float64, segment_of: Int64) -> Float64:
    """Return for every segment the one-sided p-value of "its mean is not below that of all other queries".

    Welch's t test, its degrees of freedom by Satterthwaite's formula (Welch 1947, "The generalization of Student's
    problem"). From sums, so that many segments cost one pass: (segments,).
    """
    import scipy.stats  # heavy, and only this needs it

    deviations = values - values.mean()
    n = np.bincount(segment_of).astype(np.float64)
    total, squares = (np.bincount(segment_of, each).astype(np.float64) for each in (deviations, deviations**2))
    own_mean, own_error = _mean_and_error(n, total, squares)
    other_mean, other_error = _mean_and_error(len(values) - n, total.sum() - total, squares.sum() - squares)
    error = own_error + other_error
    gap = own_mean - other_mean
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = error**2 / (own_error**2 / (n - 1) + other_error**2 / (len(values) - n - 1))
        p_values = scipy.stats.t.cdf(gap / np.sqrt(error), freedom)
    # Constants differ or they do not; and one segment alone has nothing to be worse than.
    decided = np.where(gap < -ROUNDING, 0.0, 1.0)
    p: Float64 = np.where(error > _NEGLIGIBLE, p_values, decided)
    return np.where(len(values) - n < 2, 1.0, p)


def _mean_and_error(n: Float64, total: Float64, squares: Float64) -> tuple[Float64, Float64]:
    """Return the means and their squared standard errors; 0 where there are too few values for one."""
    mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    spread = np.maximum(squares - n * mean**2, 0)
    return mean, np.divide(spread, n * (n - 1), out=np.zeros_like(total), where=n > 1)
