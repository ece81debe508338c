"""What a sweep returns, and what is read out of it for one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe

Verdict = Literal["safe", "harmful", "undecided"]
Quantity = Literal["recall", "ndcg"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over queries with its 95 % percentile bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """The facts about an embedding set that a stored result needs to be read on its own."""

    name: str
    n_docs: int
    n_queries: int
    dim: int
    sha256: str
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, embedding_set: EmbeddingSet) -> DatasetInfo:
        """Read the facts off `embedding_set`."""
        return cls(
            name=embedding_set.name,
            n_docs=embedding_set.n_docs,
            n_queries=embedding_set.n_queries,
            dim=embedding_set.dim,
            sha256=embedding_set.sha256,
            labels=embedding_set.labels,
            warnings=embedding_set.warnings,
        )


@dataclass(frozen=True, kw_only=True)
class ClusterInfo:
    """The cluster that scored a sweep: its workers, those that died meanwhile, and what all of them run.

    A task is a stretch of the corpus and runs on one thread, with `blas_threads` of BLAS (one, as measured within the
    tasks); `blas` names the kernels that the workers use, since the last bit of a score may depend on them.
    """

    workers: int
    threads: int
    workers_lost: int
    tasks: int
    blas_threads: int
    dask: str
    blas: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepResult:
    """Per-query values at every dimension; D = len(dims), K = len(ks), q queries.

    `recall` (K, D, q) is against the full dimension. `ndcg` and `judged_recall` (K, D, q) and `mrr` (D, q) are against
    the relevance judgements, None without them. `top1_agreement` and `rank_overlap` (rank-biased overlap, p = .9),
    both (D, q), compare with the full-dimension ranking. A value is NaN where a query has none: no relevant document,
    or a zero vector. `judged_recall` is capped: relevant documents found / min(relevant documents, k). `ids` (row
    numbers) and `scores` are (D, q, max(ks)), or fewer where a query can retrieve fewer documents; a larger k is read
    as that number. `cluster` says who scored, None for this machine alone.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dims: tuple[int, ...]
    ks: tuple[int, ...]
    seed: int
    query_ids: tuple[str, ...]
    query_segments: tuple[str, ...] | None
    recall: npt.NDArray[np.float32]
    ndcg: npt.NDArray[np.float32] | None
    judged_recall: npt.NDArray[np.float32] | None
    mrr: npt.NDArray[np.float32] | None
    top1_agreement: npt.NDArray[np.float32]
    rank_overlap: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    warnings: tuple[str, ...]
    elapsed_s: float
    cluster: ClusterInfo | None = None

    def retrieves_everything(self, k: int) -> bool:
        """Whether the top `k` is every document a query can retrieve, so that recall@k is 1 whatever is measured."""
        held_out = int("held-out queries" in self.dataset.labels)
        return min(k, int(self.ids.shape[-1])) >= self.dataset.n_docs - held_out

    @property
    def has_judgements(self) -> bool:
        """Whether quality against relevance judgements was measured."""
        return self.ndcg is not None


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What a dimension must keep: mean recall@k >= target, or nDCG@k >= target × the full dimension's nDCG@k."""

    quantity: Quantity = "recall"
    k: int = 10
    target: float = 0.95


@dataclass(frozen=True, kw_only=True)
class Point:
    """Everything known at one dimension under one criterion.

    `recall`, `ndcg`, `retention` (nDCG@k / full-dimension nDCG@k) and `judged_recall` map k to an interval; the last
    three are empty without judgements, `mrr` is then None. `further_queries` is how many more queries would settle an
    undecided verdict at the observed spread; None when it is settled or no number would. `holm_p` is the one-sided
    bootstrap p-value of "the target is missed", Holm-adjusted over the dims below the full one.
    """

    dim: int
    recall: dict[int, Interval]
    ndcg: dict[int, Interval]
    retention: dict[int, Interval]
    judged_recall: dict[int, Interval]
    mrr: Interval | None
    top1_agreement: Interval
    rank_overlap: Interval
    bytes_per_vector: int
    verdict: Verdict
    further_queries: int | None
    holm_p: float


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The smallest dimension that is safe after Holm's correction, or None, with the reason in one or two sentences."""

    dim: int | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True)
class SweepSummary:
    """A sweep read against one criterion: a `Point` a dimension, ascending, and the recommendation."""

    dataset: DatasetInfo
    criterion: Criterion
    points: tuple[Point, ...]
    recommendation: Recommendation

    def judged(self, point: Point) -> Interval:
        """Return the interval that the criterion judges: recall@k or nDCG retention@k of `point`."""
        values: dict[int, Any] = point.recall if self.criterion.quantity == "recall" else point.retention
        interval: Interval = values[self.criterion.k]
        return interval
