"""The scale of scores at each dimension, and what a similarity cut-off used in production becomes there."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import nested_topk, usable_processors
from engine.scoring.pairs import pair_scores
from engine.tradeoff.bootstrap import CONFIDENCE, bootstrap_means
from engine.tradeoff.dims import check_dims, check_ks, default_dims
from engine.tradeoff.queries.distribution import Distribution, common_edges, distribution_of
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.rows import measured_rows, swept_query_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.bootstrap import Resampled
    from engine.tradeoff.results import SweepResult

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]

_N_BINS = 40
_SHARE_OF_SCORING = 0.8
_ASSUMPTIONS = (
    "Acceptance is counted over the pairs of a query with each of its top k documents at the full dimension.",
    "At a smaller dimension the very same pairs are scored again; what that dimension itself retrieves is shown apart.",
    "A cut-off accepts scores equal to it or above.",
)


@dataclass(frozen=True, kw_only=True)
class CutoffAt:
    """What the production cut-off becomes at one dimension; every share is one of the pairs, or said otherwise.

    `cutoff` accepts as many pairs at `dim` as the production cut-off does at the full dimension; `low` and `high` are
    its 95 % bounds. With it, `lost` pairs were accepted at the full dimension and no longer are, `gained` the reverse,
    and `flipped` either. `kept_lost`, `kept_gained` and `kept_flipped` are the same for a cut-off kept as it was.
    `own_accepted` and `kept_own_accepted` are the shares of the results that `dim` itself retrieves, its own top k,
    which score higher than the pairs do, that the translated and the kept cut-off accept.
    """

    dim: int
    cutoff: float
    low: float
    high: float
    lost: Interval
    gained: Interval
    flipped: Interval
    kept_lost: Interval
    kept_gained: Interval
    kept_flipped: Interval
    own_accepted: float
    kept_own_accepted: float


@dataclass(frozen=True, kw_only=True)
class CutoffTranslation:
    """A production `cutoff` at the full dimension, the share of pairs it accepts, and a `CutoffAt` for every dim."""

    cutoff: float
    accepted: Interval
    dims: tuple[CutoffAt, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoreScale:
    """Scores at every one of `dims`, the full dimension last.

    `top1` and `topk` describe, for each dim, the best score of every query and all scores of its top k, as retrieved at
    that dim; histograms share their bins over the dims. `own_scores` (D, q, k) are those scores, `pair_scores` (D, q,
    k) the scores at each dim of the full dimension's top k; -inf where a zero vector has no cosine. `translation` is of
    the cut-off that was asked for, None without.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dims: tuple[int, ...]
    k: int
    seed: int
    n_queries: int
    n_threads: int
    top1: tuple[Distribution, ...]
    topk: tuple[Distribution, ...]
    own_scores: Float32
    pair_scores: Float32
    translation: CutoffTranslation | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    elapsed_s: float


def score_scale(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    k: int = 10,
    cutoff: float | None = None,
    result: SweepResult | None = None,
    metric: Metric | None = None,
    n_queries: int = 1_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> ScoreScale:
    """Compare the scores of the top 1 and the top k at every one of `dims`, and translate `cutoff` to each.

    The full dimension is added where it is missing. With `result`, a sweep of this very set, its rankings are read
    instead of found anew, for its queries and metric; `dims` and `k` must then have been swept. Otherwise a seeded
    sample of `n_queries` searches the corpus, all of it, since a sample would lower the top scores, and `metric`
    overrides the set's own. Under l2 a score,
    and so a cut-off, is a negated squared distance.

    Raises
    ------
    ParameterError
        When the set has no queries, `result` is of another set, or a number is out of range.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    (k,) = check_ks((k,))
    if cutoff is not None:
        _check_cutoff(cutoff)
    if result is None:
        found = _search(
            embedding_set,
            dims,
            k,
            metric=embedding_set.metric if metric is None else metric,
            n_queries=n_queries,
            seed=seed,
            progress=progress,
            cancelled=cancelled,
        )
    else:
        found = _read(embedding_set, dims, k, result)
    pairs = _full_pairs(embedding_set, found, progress=progress, cancelled=cancelled)
    scale = _described(embedding_set, found, pairs, seed=int(seed), asked_k=k)
    translation = None if cutoff is None else translate_cutoff(scale, cutoff)
    progress(1.0, "Done")
    return replace(scale, translation=translation, elapsed_s=clock() - began)


def _full_pairs(embedding_set: EmbeddingSet, found: _Found, *, progress: Progress, cancelled: Cancelled) -> Float32:
    """Return the scores of the full dimension's top k at every dim, (D, q, k)."""
    pairs = []
    for done, dim in enumerate(found.dims):
        stop_if(cancelled)
        share = _SHARE_OF_SCORING + (1 - _SHARE_OF_SCORING) * done / len(found.dims)
        progress(share, f"Scoring the full dimension's results at {dim} dims")
        pairs.append(
            pair_scores(
                embedding_set.corpus,
                found.queries,
                found.full_ids,
                metric=found.metric,
                recipe=embedding_set.recipe,
                dim=dim,
            )
        )
    return np.stack(pairs)


def translate_cutoff(scale: ScoreScale, cutoff: float, *, n_resamples: int = 2_000) -> CutoffTranslation:
    """Translate `cutoff`, a score at the full dimension, to every dim of `scale`; nothing is scored again.

    Bounds of a translated cut-off are those of the acceptance there, carried over to the scores (Woodruff 1952,
    "Confidence intervals for medians and other position measures"). Queries are resampled, each with all of its pairs.

    Raises
    ------
    ParameterError
        When the cut-off is not a finite number.
    """
    _check_cutoff(cutoff)
    full = scale.pair_scores[-1] >= cutoff
    ordered = [np.sort(scores[np.isfinite(scores)]) for scores in scale.pair_scores]
    cutoffs = [_accepting(scores, int(full.sum())) for scores in ordered]
    cutoffs[-1] = float(cutoff)
    shares = [full]
    for scores, translated in zip(scale.pair_scores, cutoffs, strict=True):
        for accepted in (scores >= translated, scores >= cutoff):
            shares += [full & ~accepted, ~full & accepted, full ^ accepted]
    by_query = np.stack([share.mean(axis=1, dtype=np.float32) for share in shares])
    (means,) = bootstrap_means(by_query, seed=scale.seed, n_resamples=n_resamples)
    return CutoffTranslation(
        cutoff=float(cutoff),
        accepted=means.interval(0),
        dims=tuple(
            _cutoff_at(scale, place, ordered[place], translated, kept=cutoff, means=means, n_accepted=int(full.sum()))
            for place, translated in enumerate(cutoffs)
        ),
    )


def _cutoff_at(
    scale: ScoreScale,
    place: int,
    ordered: Float32,
    translated: float,
    *,
    kept: float,
    means: Resampled,
    n_accepted: int,
) -> CutoffAt:
    first = 1 + 6 * place
    lost, gained, flipped, kept_lost, kept_gained, kept_flipped = (means.interval(first + i) for i in range(6))
    # By how many pairs acceptance here may differ from acceptance at the full dimension: both on the same queries.
    surplus = means.resamples[first + 1] - means.resamples[first]
    fewer, more = np.quantile(surplus, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)) * scale.pair_scores[place].size
    at_full = place == len(scale.dims) - 1
    own = scale.own_scores[place]
    return CutoffAt(
        dim=scale.dims[place],
        cutoff=translated,
        low=translated if at_full else min(translated, _accepting(ordered, n_accepted - round(min(fewer, 0)))),
        high=translated if at_full else max(translated, _accepting(ordered, n_accepted - round(max(more, 0)))),
        lost=lost,
        gained=gained,
        flipped=flipped,
        kept_lost=kept_lost,
        kept_gained=kept_gained,
        kept_flipped=kept_flipped,
        own_accepted=float((own >= translated).mean()),
        kept_own_accepted=float((own >= kept).mean()),
    )


def _accepting(ordered: Float32, n: int) -> float:
    """Return the cut-off that accepts the `n` largest of the ascending scores `ordered`, and what ties with them."""
    if not len(ordered):
        return math.inf
    if n <= 0:
        return float(np.nextafter(ordered[-1], np.float32(np.inf)))
    return float(ordered[-min(n, len(ordered))])


def _check_cutoff(cutoff: float) -> None:
    if not math.isfinite(cutoff):
        raise ParameterError("the cut-off must be a finite score", found=cutoff, hint="Give the one used in production")


@dataclass(frozen=True, eq=False, kw_only=True)
class _Found:
    """Rankings at `dims`, the full dimension last: what the scale is read from."""

    queries: Vectors
    metric: Metric
    dims: tuple[int, ...]
    k: int
    full_ids: Int64
    own_scores: Float32
    warnings: tuple[str, ...]


def _with_full(dims: tuple[int, ...], d: int) -> tuple[int, ...]:
    return dims if dims[-1] == d else (*dims, d)


def _search(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None,
    k: int,
    *,
    metric: Metric,
    n_queries: int,
    seed: int,
    progress: Progress,
    cancelled: Cancelled,
) -> _Found:
    checked = default_dims(embedding_set.dim) if dims is None else check_dims(dims, embedding_set.dim)
    chosen = measured_rows(embedding_set, n_queries=n_queries, max_rows=embedding_set.n_docs, seed=seed)
    with_full = _with_full(checked, embedding_set.dim)
    chosen.check_size(n_dims=len(with_full), k=k)
    nested = nested_topk(
        chosen.corpus,
        chosen.queries,
        with_full,
        min(k, embedding_set.n_docs),
        metric=metric,
        recipe=embedding_set.recipe,
        exclude=chosen.exclude,
        progress=lambda share, message: progress(_SHARE_OF_SCORING * share, message),
        cancelled=cancelled,
    )
    return _Found(
        queries=chosen.queries,
        metric=metric,
        dims=nested.dims,
        k=nested.k,
        full_ids=nested.ids[-1],
        own_scores=nested.scores,
        warnings=chosen.sentences,
    )


def _read(embedding_set: EmbeddingSet, dims: Sequence[int] | None, k: int, result: SweepResult) -> _Found:
    rows = swept_query_rows(embedding_set, result)
    wanted = result.dims if dims is None else _with_full(check_dims(dims, embedding_set.dim), embedding_set.dim)
    swept = {dim: place for place, dim in enumerate(result.dims)}
    missing = [dim for dim in wanted if dim not in swept]
    if missing or k > result.ks[-1]:
        raise ParameterError(
            f"the sweep must hold these dims and a k of at least {k:,}",
            found=f"dims {', '.join(map(str, result.dims))} and k {result.ks[-1]:,}",
            hint="Sweep again with them",
        )
    places = [swept[dim] for dim in wanted]
    depth = min(k, result.ids.shape[2])
    queries = embedding_set.queries
    return _Found(
        queries=embedding_set.corpus[:0] if queries is None else queries[rows],
        metric=result.metric,
        dims=wanted,
        k=depth,
        full_ids=result.ids[-1, :, :depth],
        own_scores=result.scores[places, :, :depth],
        warnings=(),
    )


def _described(embedding_set: EmbeddingSet, found: _Found, pairs: Float32, *, seed: int, asked_k: int) -> ScoreScale:
    own = found.own_scores
    best_edges, edges = common_edges(own[:, :, 0], _N_BINS), common_edges(own, _N_BINS)
    warnings = list(found.warnings)
    if found.k < asked_k:
        warnings.append(f"A query can retrieve {found.k:,} documents only: k = {asked_k:,} is read as {found.k:,}.")
    undefined = int((~np.isfinite(pairs)).any(axis=0).sum())
    if undefined:
        warnings.append(f"Pairs that have no cosine at some dim, a zero vector being part of them: {undefined:,}.")
    return ScoreScale(
        dataset=DatasetInfo.of(embedding_set),
        metric=found.metric,
        recipe=embedding_set.recipe,
        dims=found.dims,
        k=found.k,
        seed=seed,
        n_queries=len(found.queries),
        n_threads=usable_processors(),
        top1=tuple(distribution_of(scores[:, 0], best_edges) for scores in own),
        topk=tuple(distribution_of(scores, edges) for scores in own),
        own_scores=np.ascontiguousarray(own),
        pair_scores=pairs,
        translation=None,
        assumptions=_ASSUMPTIONS,
        warnings=tuple(warnings),
        elapsed_s=0.0,
    )
