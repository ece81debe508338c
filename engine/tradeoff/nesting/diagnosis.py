"""Does it nest: the prefix against random subsets, the tail and a projection of equal size."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled
from engine.scoring import usable_processors
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.dims import check_ks, dims_below_full
from engine.tradeoff.nesting.families import FamilyRecalls, family_recalls
from engine.tradeoff.nesting.verdict import CLEAR_GAIN, PROJECTION, Order, is_clear, order_of, widened_by_subsets
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.rows import MAX_ROWS, at_least, measured_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.bootstrap import Resampled
    from engine.tradeoff.rows import MeasuredRows

MOST_SUBSETS = 50
_ASSUMPTIONS = (
    "The projection is fitted to this very corpus. Serving it means projecting every stored vector and every query.",
    "The projection rotates without subtracting a mean, so that full-dimension scores stay.",
    "Random subsets of one draw are nested: a smaller one is part of the larger.",
    "Gains over random subsets are judged with an interval that covers both queries and the drawing of subsets.",
)


@dataclass(frozen=True, kw_only=True)
class NestPoint:
    """Mean recall@k of every choice of `dim` components, and the paired gains of the prefix and of the projection.

    `random` is the mean over the subsets, its interval over queries alone; `random_low`, `random_high` and `random_std`
    are the extremes and the standard deviation of the subsets' means. `order_gain` is prefix less random subsets (its
    interval covers queries and drawing), `projection_gain` is projection less prefix.
    """

    dim: int
    prefix: Interval
    random: Interval
    random_low: float
    random_high: float
    random_std: float
    tail: Interval
    projection: Interval
    order_gain: Interval
    projection_gain: Interval


@dataclass(frozen=True, eq=False, kw_only=True)
class Diagnosis:
    """Whether the embeddings nest: a `NestPoint` for each of `dims`, all below the full dimension, and the verdict.

    `order` says what the order of the components is worth and `projection_wins` whether PCA clearly beats the prefix:
    two findings, for a set may be ordered and still lose to a projection fitted to it. Both are read off the gains at
    `half_dim`, the dim nearest to half the full one, and the `overall` gains, averages over all `dims`. `sentences`
    say it in words. `random_means` (S, D) are the subsets' mean recalls. `n_docs` were searched by `n_queries`, the
    projection was fitted on `n_fitted` documents (`centred` or not, see `principal_axes`).
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dims: tuple[int, ...]
    k: int
    seed: int
    n_docs: int
    n_queries: int
    n_subsets: int
    n_fitted: int
    centred: bool
    n_threads: int
    points: tuple[NestPoint, ...]
    random_means: npt.NDArray[np.float64]
    half_dim: int
    overall_order_gain: Interval
    overall_projection_gain: Interval
    order: Order
    projection_wins: bool
    sentences: tuple[str, ...]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    elapsed_s: float

    @property
    def half(self) -> NestPoint:
        """The point at `half_dim`."""
        return self.points[self.dims.index(self.half_dim)]

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Every verdict that holds, the one on the order first."""
        return (self.order, PROJECTION) if self.projection_wins else (self.order,)


def diagnose(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    k: int = 10,
    n_subsets: int = 5,
    metric: Metric | None = None,
    n_queries: int = 500,
    max_rows: int = MAX_ROWS,
    n_resamples: int = 10_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> Diagnosis:
    """Compare the recall@k of prefixes with random subsets, the tail components and PCA of equal size.

    Recall is tie-aware and against the full dimension, paired query by query. `n_queries` and `max_rows` bound the
    seeded samples of queries and documents that are measured; without `dims`, `default_dims` are. `metric`
    overrides the set's own. The rule of the
    verdicts is that of `nest_verdict.order_of` and `is_clear`, at about half size and on average over the sizes.

    Raises
    ------
    ParameterError
        When the set has no queries, no dim lies below the full one, or a number is out of range.
    VectorError
        When the set holds NaN or infinite components.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    (k,) = check_ks((k,))
    dims = dims_below_full(embedding_set.dim, dims)
    if at_least("the number of random subsets", n_subsets, 2) > MOST_SUBSETS:
        raise ParameterError(f"the number of random subsets must be at most {MOST_SUBSETS}", found=n_subsets)
    chosen = measured_rows(embedding_set, n_queries=n_queries, max_rows=max_rows, seed=seed)
    chosen.check_size(n_dims=len(dims) + 1, k=k)
    recalls = family_recalls(
        chosen,
        dims,
        k,
        metric=embedding_set.metric if metric is None else metric,
        recipe=embedding_set.recipe,
        n_subsets=n_subsets,
        seed=seed,
        progress=progress,
        cancelled=cancelled,
    )
    found = _diagnosed(embedding_set, chosen, dims, recalls, asked_k=k, n_resamples=n_resamples, seed=int(seed))
    progress(1.0, "Done")
    return replace(found, elapsed_s=clock() - began)


def _diagnosed(
    embedding_set: EmbeddingSet,
    chosen: MeasuredRows,
    dims: tuple[int, ...],
    recalls: FamilyRecalls,
    *,
    asked_k: int,
    n_resamples: int,
    seed: int,
) -> Diagnosis:
    points, overall_order, overall_projection = _gains(dims, recalls, n_resamples=n_resamples, seed=seed)
    half_dim = min(dims, key=lambda dim: (abs(2 * dim - embedding_set.dim), dim))
    half = points[dims.index(half_dim)]
    order = order_of(half.order_gain, overall_order)
    projection_wins = is_clear(half.projection_gain, overall_projection)
    return Diagnosis(
        dataset=DatasetInfo.of(embedding_set),
        metric=recalls.metric,
        recipe=embedding_set.recipe,
        dims=dims,
        k=recalls.k,
        seed=seed,
        n_docs=len(chosen.corpus),
        n_queries=len(chosen.queries),
        n_subsets=len(recalls.random),
        n_fitted=recalls.n_fitted,
        centred=recalls.centred,
        n_threads=usable_processors(),
        points=points,
        random_means=_known_mean(recalls.random),
        half_dim=half_dim,
        overall_order_gain=overall_order,
        overall_projection_gain=overall_projection,
        order=order,
        projection_wins=projection_wins,
        sentences=(
            _order_sentence(order, half, overall_order, full=embedding_set.dim),
            _projection_sentence(half, overall_projection, wins=projection_wins, ordered=order == "ordered"),
        ),
        assumptions=_ASSUMPTIONS,
        warnings=(*chosen.sentences, *_warnings(recalls, asked_k)),
        elapsed_s=0.0,
    )


def _known_mean(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the means over the last axis, queries without a value left out; NaN where none has one."""
    known = ~np.isnan(values)
    counts = known.sum(axis=-1)
    means = np.full(counts.shape, np.nan)
    np.divide(np.where(known, values, 0).sum(axis=-1, dtype=np.float64), counts, out=means, where=counts > 0)
    return means


def _gains(
    dims: tuple[int, ...], recalls: FamilyRecalls, *, n_resamples: int, seed: int
) -> tuple[tuple[NestPoint, ...], Interval, Interval]:
    random = recalls.random.mean(axis=0)
    families = np.stack([recalls.prefix, random, recalls.tail, recalls.projection])
    gains = np.stack([recalls.prefix - random, recalls.projection - recalls.prefix])
    means, gain, overall = bootstrap_means(families, gains, gains.mean(axis=1), seed=seed, n_resamples=n_resamples)
    random_means = _known_mean(recalls.random)
    points = tuple(_point(dim, column, means, gain, random_means) for column, dim in enumerate(dims))
    return points, widened_by_subsets(overall.interval(0), random_means.mean(axis=1)), overall.interval(1)


def _point(
    dim: int, column: int, means: Resampled, gains: Resampled, random_means: npt.NDArray[np.float64]
) -> NestPoint:
    subsets = random_means[:, column]
    return NestPoint(
        dim=dim,
        prefix=means.interval(0, column),
        random=means.interval(1, column),
        random_low=float(subsets.min()),
        random_high=float(subsets.max()),
        random_std=float(subsets.std(ddof=1)),
        tail=means.interval(2, column),
        projection=means.interval(3, column),
        order_gain=widened_by_subsets(gains.interval(0, column), subsets),
        projection_gain=gains.interval(1, column),
    )


def _order_sentence(order: Order, half: NestPoint, overall: Interval, *, full: int) -> str:
    found = (
        f"at {half.dim} of {full} dims the prefix keeps {100 * half.prefix.mean:.1f} % of the neighbours, a random "
        f"subset of that size {100 * half.random.mean:.1f} %: a gain of {_points_of(half.order_gain)}; "
        f"{_points_of(overall)} on average over the sizes"
    )
    if order == "ordered":
        here = "" if is_clear(half.order_gain) else ", though not clearly at that size"
        return f"Ordered{here}: {found}."
    if order == "spread evenly":
        worse = ", and the prefix is even worse than random subsets" if half.order_gain.high < -CLEAR_GAIN else ""
        return f"Spread evenly{worse}: {found}."
    return f"Undecided: {found}. More queries or more random subsets narrow the interval."


def _projection_sentence(half: NestPoint, overall: Interval, *, wins: bool, ordered: bool) -> str:
    found = (
        f"PCA fitted on the corpus keeps {100 * half.projection.mean:.1f} % at {half.dim} dims, a gain of "
        f"{_points_of(half.projection_gain)} over the prefix; {_points_of(overall)} on average over the sizes"
    )
    if not wins:
        return f"A projection would not clearly beat the prefix: {found}."
    both = " Both hold: the order is worth something, and a fitted projection more." if ordered else ""
    return f"A projection would beat the prefix: {found}.{both}"


def _points_of(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} points ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _warnings(recalls: FamilyRecalls, k: int) -> list[str]:
    sentences = []
    if recalls.k < k:
        sentences.append(f"A query can retrieve {recalls.k:,} documents only: k = {k:,} is read as {recalls.k:,}.")
    if recalls.zero_queries:
        sentences.append(f"Queries that are zero vectors, left out of every mean: {recalls.zero_queries:,}.")
    return sentences
