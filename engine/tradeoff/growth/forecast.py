"""Will it hold as the corpus grows: recall on nested subsamples, a trend that is tested first, and what it predicts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import usable_processors
from engine.tradeoff.bootstrap import CONFIDENCE
from engine.tradeoff.dims import check_ks, dims_below_full
from engine.tradeoff.growth.corpora import SizeRecalls, default_sizes, recalls_by_size, resampled_means
from engine.tradeoff.growth.trend import MIN_SIZES, Bands, fit_trend
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.rows import MAX_ROWS, at_least, measured_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress

    Float64 = npt.NDArray[np.float64]

MIN_DOCS = 2_000
LARGEST_TARGET = 10**12
_LINE_SIZES = 25
_ASSUMPTIONS = (
    "The documents to come are like those at hand, and so are the queries.",
    "The logit of recall goes on changing by the same amount with every doubling of the corpus.",
    "The line runs through the larger half of the sizes, and the interval also spans that of the line through all.",
    "The interval covers the sampling of queries and documents and the scatter of the sizes around the lines.",
    "Where a held-back size fell outside its interval, the forecast's is widened by as much as would have held it.",
)


@dataclass(frozen=True, kw_only=True)
class HeldBackSize:
    """A size that was kept from the fit: what the smaller sizes `predicted`, and what was `measured` there.

    `error` is predicted less measured mean; `inside` tells whether the measured mean lies in the predicted interval.
    """

    size: int
    predicted: Interval
    measured: Interval
    error: float
    inside: bool


@dataclass(frozen=True, kw_only=True)
class DimForecast:
    """Recall@k at one dim: `measured` at every size, the `line` at every line size, and `at_target`.

    `logit_slope` is the change of the logit with every tenfold corpus. `held_back` tests the trend: predictions from
    the smaller sizes only, as they came; `widened_by`, at least 1, is by how much that test widened the intervals of
    `line` and `at_target`, which are fitted to all sizes.
    """

    dim: int
    measured: tuple[Interval, ...]
    line: tuple[Interval, ...]
    at_target: Interval
    logit_slope: float
    held_back: tuple[HeldBackSize, ...]
    widened_by: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Recall@k against the full dimension at `sizes` of the corpus, and its trend up to `target_size`.

    The last `n_held_back` sizes tested the trend before all were fitted. `n_draws` are how many disjoint subsamples
    stand behind each size, `line_sizes` where the lines are drawn, from the smallest size to the target. `sentence`
    says how well the test went.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    k: int
    seed: int
    target_size: int
    sizes: tuple[int, ...]
    n_draws: tuple[int, ...]
    n_held_back: int
    line_sizes: tuple[int, ...]
    n_queries: int
    n_threads: int
    dims: tuple[DimForecast, ...]
    sentence: str
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    elapsed_s: float


def forecast(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    target_size: int,
    k: int = 10,
    sizes: Sequence[int] | None = None,
    metric: Metric | None = None,
    n_queries: int = 500,
    max_rows: int = MAX_ROWS,
    n_resamples: int = 2_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast:
    """Measure recall@k on nested subsamples of the corpus and extrapolate it to `target_size` documents.

    The same queries search every subsample, and the full-dimension truth is found anew in each. `sizes` ascend to at
    most the corpus (default: eight, spread evenly on a logarithmic scale). The largest are held back first, predicted
    from the smaller ones and compared; then all are fitted. Without `dims`, `default_dims` below the full one;
    `metric` overrides the set's own.

    Raises
    ------
    ParameterError
        Below 2,000 documents, without queries or a dim below the full one, or when a number is out of range.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    (k,) = check_ks((k,))
    if embedding_set.n_docs < MIN_DOCS:
        raise ParameterError(
            f"a forecast needs at least {MIN_DOCS:,} documents",
            found=embedding_set.n_docs,
            hint="Fewer show no trend to extrapolate; load more of the corpus",
        )
    below_full = dims_below_full(embedding_set.dim, dims)
    chosen = measured_rows(embedding_set, n_queries=n_queries, max_rows=max_rows, seed=seed)
    chosen.check_size(n_dims=len(below_full) + 1, k=k)
    checked = _check_sizes(sizes, n_docs=len(chosen.corpus), k=k)
    target = _check_target(target_size, checked[-1])
    recalls = recalls_by_size(
        chosen,
        checked,
        below_full,
        k,
        metric=embedding_set.metric if metric is None else metric,
        recipe=embedding_set.recipe,
        seed=seed,
        progress=progress,
        cancelled=cancelled,
    )
    stop_if(cancelled)
    progress(0.97, "Fitting the trend")
    found = _forecasted(embedding_set, recalls, below_full, target, k=k, n_resamples=n_resamples, seed=int(seed))
    progress(1.0, "Done")
    return replace(found, warnings=chosen.sentences, elapsed_s=clock() - began)


def _forecasted(
    embedding_set: EmbeddingSet,
    recalls: SizeRecalls,
    dims: tuple[int, ...],
    target: int,
    *,
    k: int,
    n_resamples: int,
    seed: int,
) -> Forecast:
    sizes = recalls.sizes
    line_sizes = tuple(int(size) for size in np.geomspace(sizes[0], target, _LINE_SIZES).round())
    by_dim, n_held_back = _fit(recalls, dims, line_sizes, n_resamples=n_resamples, seed=seed)
    return Forecast(
        dataset=DatasetInfo.of(embedding_set),
        metric=recalls.metric,
        recipe=embedding_set.recipe,
        k=k,
        seed=seed,
        target_size=target,
        sizes=sizes,
        n_draws=tuple(len(draws) for draws in recalls.values),
        n_held_back=n_held_back,
        line_sizes=line_sizes,
        n_queries=recalls.n_trials // k,
        n_threads=usable_processors(),
        dims=by_dim,
        sentence=_sentence(by_dim, sizes, n_held_back, target),
        assumptions=_ASSUMPTIONS,
        warnings=(),
        elapsed_s=0.0,
    )


def _check_sizes(sizes: Sequence[int] | None, *, n_docs: int, k: int) -> tuple[int, ...]:
    if sizes is None:
        return default_sizes(n_docs, k)
    checked = tuple(at_least("a size", size, 2 * k) for size in sizes)
    if len(checked) <= MIN_SIZES or list(checked) != sorted(set(checked)) or checked[-1] > n_docs:
        raise ParameterError(
            f"at least {MIN_SIZES + 1} sizes must ascend within {2 * k:,}..{n_docs:,}",
            found=list(checked),
            hint="Leave them out to have them chosen",
        )
    return checked


def _check_target(target_size: int, largest: int) -> int:
    target = at_least("the target size", target_size, largest)
    if target > LARGEST_TARGET:
        raise ParameterError(f"the target size must be at most {LARGEST_TARGET:,}", found=f"{target:,}")
    return target


def _fit(
    recalls: SizeRecalls, dims: tuple[int, ...], line_sizes: tuple[int, ...], *, n_resamples: int, seed: int
) -> tuple[tuple[DimForecast, ...], int]:
    sizes, n_trials = recalls.sizes, recalls.n_trials
    means, resamples = resampled_means(recalls, n_resamples=n_resamples, seed=seed)
    bounds = np.quantile(resamples, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=2)
    measured = Bands(mean=means.T, low=bounds[0].T, high=bounds[1].T)
    n_held_back = max(1, len(sizes) * 3 // 8)
    small, held = slice(None, -n_held_back), slice(-n_held_back, None)
    test = fit_trend(sizes[small], means[small], resamples[small], n_trials=n_trials)
    predicted = test.predict(sizes[held])
    widened_by = test.widening_for(sizes[held], means[held])
    trend = fit_trend(sizes, means, resamples, n_trials=n_trials, widened_by=widened_by)
    line = trend.predict(line_sizes)
    forecasts = tuple(
        DimForecast(
            dim=dim,
            measured=_intervals(measured, column),
            line=_intervals(line, column),
            at_target=_intervals(line, column)[-1],
            logit_slope=float(trend.slopes[column]),
            held_back=tuple(
                _held_back(size, expected, found)
                for size, expected, found in zip(
                    sizes[held], _intervals(predicted, column), _intervals(measured, column)[held], strict=True
                )
            ),
            widened_by=float(widened_by[column]),
        )
        for column, dim in enumerate(dims)
    )
    return forecasts, n_held_back


def _intervals(bands: Bands, column: int) -> tuple[Interval, ...]:
    rows = zip(bands.mean[column], bands.low[column], bands.high[column], strict=True)
    return tuple(Interval(mean=float(mean), low=float(low), high=float(high)) for mean, low, high in rows)


def _held_back(size: int, predicted: Interval, measured: Interval) -> HeldBackSize:
    return HeldBackSize(
        size=size,
        predicted=predicted,
        measured=measured,
        error=predicted.mean - measured.mean,
        inside=predicted.low <= measured.mean <= predicted.high,
    )


def _sentence(dims: tuple[DimForecast, ...], sizes: tuple[int, ...], n_held_back: int, target: int) -> str:
    tests = [test for dim in dims for test in dim.held_back]
    n_inside = sum(test.inside for test in tests)
    worst = max(abs(test.error) for test in tests)
    fitted = sizes[-n_held_back - 1]
    return (
        f"Fitted to {fitted:,} documents and fewer, the trend put {n_inside} of {len(tests)} held-back values (up to "
        f"{sizes[-1]:,} documents, {sizes[-1] / fitted:.1f} times as many) inside its interval; its largest error was "
        f"{100 * worst:.1f} points. The target is {target / sizes[-1]:,.1f} times the largest size measured."
    )
