"""Recall of every way to choose d components: prefix, random subsets, tail and principal axes, one pass each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.paging import blocks
from engine.progress import stop_if
from engine.scoring import nested_topk
from engine.scoring.rows import as_float32
from engine.tradeoff.rows import draw_rows, recall_below_full, take_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.rows import MeasuredRows

    Float32 = npt.NDArray[np.float32]
    Turn = Callable[[Float32], Float32]

_BLOCK_BYTES = 1 << 26
_FIT_BYTES = 1 << 29


@dataclass(frozen=True, eq=False, kw_only=True)
class FamilyRecalls:
    """Recall@k of each query at every dim below the full one: (D, q) each, `random` (S, D, q); NaN for zero queries.

    `projection` comes from axes fitted on `n_fitted` documents, `centred` or not.
    """

    k: int
    metric: Metric
    prefix: Float32
    random: Float32
    tail: Float32
    projection: Float32
    n_fitted: int
    centred: bool
    zero_queries: int


def family_recalls(
    chosen: MeasuredRows,
    dims: tuple[int, ...],
    k: int,
    *,
    metric: Metric,
    recipe: Recipe,
    n_subsets: int,
    seed: int,
    progress: Progress,
    cancelled: Cancelled,
) -> FamilyRecalls:
    """Measure 3 + `n_subsets` orders of the components, each with one pass over the corpus for all of `dims`.

    A permutation or rotation of all components keeps full-dimension scores, so every pass finds the same full-dimension
    answer beside its own, up to ties within rounding, which recall counts as hits.
    """
    d = chosen.corpus.shape[1]
    passes = _Passes(chosen, dims, k, metric, recipe, n_passes=3 + n_subsets, progress=progress, cancelled=cancelled)
    prefix = passes.measure("the prefix", lambda rows: rows)
    rng = np.random.default_rng(seed)
    random = []
    for number in range(1, n_subsets + 1):
        columns = rng.permutation(d)
        random.append(passes.measure(f"random subset {number} of {n_subsets}", _reordered(columns)))
    tail = passes.measure("the tail", _reordered(np.arange(d)[::-1]))
    passes.report("Fitting the projection")
    fitted = as_float32(_fit_sample(chosen.corpus, metric, seed=seed), recipe)
    stop_if(cancelled)
    axes = principal_axes(fitted, metric=metric)
    projection = passes.measure("the projection", lambda rows: rows @ axes)
    return FamilyRecalls(
        k=passes.k_found,
        metric=metric,
        prefix=prefix,
        random=np.stack(random),
        tail=tail,
        projection=projection,
        n_fitted=len(fitted),
        centred=metric == "l2",
        zero_queries=int(np.isnan(prefix[0]).sum()),
    )


def principal_axes(rows: Float32, *, metric: Metric) -> Float32:
    """Return an orthogonal matrix (d, d) whose columns are the principal axes of `rows` (n, d), strongest first.

    Under cosine and inner product the axes are those of the second moment, not centred: the mean is part of every
    score, and for cosine each row counts with norm 1. Distances do not know the mean, so l2 takes the axes of the
    covariance. ``rows @ axes`` keeps every full-dimension score, whatever the fit. Where there are fewer rows than
    dims, an arbitrary orthogonal complement fills up the last axes.
    """
    from sklearn.decomposition import PCA  # heavy, and only this needs it

    if metric == "cosine":
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    if metric != "l2":
        # Rows beside their negatives have mean zero, so that the PCA's centring changes nothing.
        rows = np.concatenate([rows, -rows])
    components = PCA(svd_solver="covariance_eigh").fit(rows).components_
    # In float64 once more: axes that are orthogonal to float32 only would move full-dimension scores beyond ties.
    axes, _ = np.linalg.qr(components.T.astype(np.float64), mode="complete")
    return np.ascontiguousarray(axes, dtype=np.float32)


def _fit_sample(corpus: Vectors, metric: Metric, *, seed: int) -> Vectors:
    copies = 1 if metric == "l2" else 2
    most = max(1, _FIT_BYTES // (4 * copies * corpus.shape[1]))
    return corpus if len(corpus) <= most else take_rows(corpus, draw_rows(len(corpus), most, seed=seed))


def _reordered(columns: npt.NDArray[np.intp]) -> Turn:
    return lambda rows: np.ascontiguousarray(rows[:, columns])


class _Passes:
    """Runs one scan of the corpus for each way to turn its rows, and reports them as one piece of work."""

    def __init__(
        self,
        chosen: MeasuredRows,
        dims: tuple[int, ...],
        k: int,
        metric: Metric,
        recipe: Recipe,
        *,
        n_passes: int,
        progress: Progress,
        cancelled: Cancelled,
    ) -> None:
        self._chosen, self._dims, self._k, self._metric, self._recipe = chosen, dims, k, metric, recipe
        self._n_passes, self._progress, self._cancelled = n_passes, progress, cancelled
        self._n_done = 0
        self.k_found = k

    def report(self, message: str) -> None:
        """Report `message` between two passes."""
        self._progress(self._n_done / self._n_passes, message)

    def measure(self, what: str, turn: Turn) -> Float32:
        """Return the recall@k (D, q) of the prefixes of the turned rows."""
        queries = turn(as_float32(self._chosen.queries, self._recipe))
        nested = nested_topk(
            self._turned_blocks(what, turn),
            queries,
            (*self._dims, queries.shape[1]),
            min(self._k, len(self._chosen.corpus)),
            metric=self._metric,
            exclude=self._chosen.exclude,
            cancelled=self._cancelled,
        )
        self._n_done += 1
        self.k_found = nested.k
        return recall_below_full(nested, self._k, metric=self._metric)

    def _turned_blocks(self, what: str, turn: Turn) -> Iterator[Float32]:
        corpus = self._chosen.corpus
        rows = max(1, _BLOCK_BYTES // (4 * corpus.shape[1]))
        for start, block in blocks(corpus, rows):
            share = (self._n_done + start / len(corpus)) / self._n_passes
            self._progress(share, f"Measuring {what}")
            yield turn(as_float32(block, self._recipe))
