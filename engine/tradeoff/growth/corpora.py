"""Recall at each dim on subsamples of the corpus, nested and of growing size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import stop_if
from engine.scoring import nested_topk
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.rows import recall_below_full, rows_within, take_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.rows import MeasuredRows

    Float32 = npt.NDArray[np.float32]
    Float64 = npt.NDArray[np.float64]

N_SIZES = 8
MOST_DRAWS = 3
_SMALLEST = 200
_LARGEST_SPAN = 100
_SMALLEST_SPAN = 4
_SHARE_OF_SCORING = 0.97


@dataclass(frozen=True, eq=False, kw_only=True)
class SizeRecalls:
    """Recall@k of the same queries at every size: for each of `sizes` an array (draws, D, q), NaN for zero queries.

    `n_trials` is how many neighbours were looked for at one size and dim.
    """

    metric: Metric
    sizes: tuple[int, ...]
    values: tuple[Float32, ...]
    n_trials: int


def default_sizes(n_docs: int, k: int) -> tuple[int, ...]:
    """Return eight sizes up to `n_docs`, evenly spaced on a logarithmic scale over at most a hundredfold.

    The smallest is at least 200 and 20·k: in fewer documents most neighbours are found by chance.

    >>> default_sizes(200_000, 10)
    (2000, 3862, 7456, 14398, 27802, 53685, 103664, 200000)
    """
    smallest = max(_SMALLEST, 20 * k, n_docs // _LARGEST_SPAN)
    if smallest * _SMALLEST_SPAN > n_docs:
        raise ParameterError(
            f"a trend in recall@k needs at least {20 * _SMALLEST_SPAN}·k documents",
            found=f"k {k:,} and {n_docs:,} documents",
            hint="Ask for a smaller k",
        )
    return tuple(int(size) for size in np.geomspace(smallest, n_docs, N_SIZES).round())


def recalls_by_size(
    chosen: MeasuredRows,
    sizes: Sequence[int],
    dims: tuple[int, ...],
    k: int,
    *,
    metric: Metric,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    cancelled: Cancelled,
) -> SizeRecalls:
    """Measure recall@k at `dims` (below the full one) in subsamples of every size of `sizes`, ascending.

    One permutation of the corpus is cut into runs of the size, of which up to `MOST_DRAWS` are measured: they share no
    document, and the first runs of all sizes are nested.
    """
    n_docs, d = chosen.corpus.shape
    order = np.random.default_rng(seed).permutation(n_docs)
    draws = [[order[first : first + size] for first in _starts(size, n_docs)] for size in sizes]
    work, done = sum(len(rows) for runs in draws for rows in runs), 0
    values = []
    for size, runs in zip(sizes, draws, strict=True):
        found = []
        for rows in runs:
            stop_if(cancelled)
            progress(_SHARE_OF_SCORING * done / work, f"Searching {size:,} documents")
            found.append(_recall_within(chosen, np.sort(rows), (*dims, d), k, metric, recipe, cancelled))
            done += size
        values.append(np.stack(found))
    return SizeRecalls(metric=metric, sizes=tuple(sizes), values=tuple(values), n_trials=len(chosen.queries) * k)


def resampled_means(recalls: SizeRecalls, *, n_resamples: int, seed: int) -> tuple[Float64, Float64]:
    """Return the mean recalls (m, D) and their bootstrap (m, D, R): the same queries at every size, draws anew at each.

    Raises
    ------
    ParameterError
        When no query has a value.
    """
    columns = bootstrap_means(*recalls.values, seed=seed, n_resamples=n_resamples)
    means = np.stack([column.means.mean(axis=0) for column in columns])
    if np.isnan(means).any():
        raise ParameterError("a forecast needs queries that are not zero vectors", found="none")
    rng = np.random.default_rng([seed, len(recalls.sizes)])
    resamples: list[Float64] = []
    for column in columns:
        n_draws = len(column.means)
        weights = rng.multinomial(n_draws, np.full(n_draws, 1 / n_draws), size=n_resamples) / n_draws
        drawn = np.einsum("ndr,rn->dr", column.resamples, weights)
        resamples.append(np.where(np.isnan(drawn), means[len(resamples)][:, None], drawn))
    return means, np.stack(resamples)


def _starts(size: int, n_docs: int) -> range:
    n_draws = min(MOST_DRAWS, n_docs // size)
    return range(0, n_draws * size, size)


def _recall_within(
    chosen: MeasuredRows,
    rows: npt.NDArray[np.int64],
    dims: tuple[int, ...],
    k: int,
    metric: Metric,
    recipe: Recipe,
    cancelled: Cancelled,
) -> Float32:
    nested = nested_topk(
        take_rows(chosen.corpus, rows),
        chosen.queries,
        dims,
        k,
        metric=metric,
        recipe=recipe,
        exclude=rows_within(chosen.exclude, rows),
        cancelled=cancelled,
    )
    return recall_below_full(nested, k, metric=metric)
