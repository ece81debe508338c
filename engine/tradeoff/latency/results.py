"""What a latency measurement returns: a point for each serving path and dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import ParameterError
from engine.tradeoff.latency.frontier import pareto

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe
    from engine.tradeoff.latency.timing import Throughput
    from engine.tradeoff.percentiles import Percentile
    from engine.tradeoff.results import DatasetInfo, Interval

LatencyPath = Literal["exact", "prefix", "hnsw"]
"""How vectors are served: ``exact`` scans a truncated contiguous copy (migrated), ``prefix`` scans the first components
of the full rows (full stored, query reduced), ``hnsw`` searches a graph of truncated vectors."""

LATENCY_PATHS: tuple[LatencyPath, ...] = get_args(LatencyPath)


@dataclass(frozen=True, eq=False, kw_only=True)
class HnswSetting:
    """How a graph was searched, and what that kept of the exact answer at its own dimension.

    `ef` is the smallest one tried whose recall, `tuning_recall` over queries that are not timed, reached the target;
    where none did (`reached` false) the largest. `recall_of_exact` is what it reached on the timed queries. `tried`
    maps each ef tried to its recall.
    """

    ef: int
    reached: bool
    tuning_recall: float
    recall_of_exact: Interval
    tried: dict[int, float]
    connectivity: int
    expansion_add: int


@dataclass(frozen=True, eq=False, kw_only=True)
class LatencyPoint:
    """One configuration: a serving path at a dimension.

    `recall` is against the full-dimension top k, of the documents that this configuration itself returned. The
    percentiles are of single queries, one sample each. `bytes_per_vector` is what the path stores: components, and the
    norms or links and keys beside them. `hnsw` is None on the other paths.
    """

    path: LatencyPath
    dim: int
    recall: Interval
    mean_ms: float
    p50_ms: Percentile
    p95_ms: Percentile
    p99_ms: Percentile
    throughput: tuple[Throughput, ...]
    build_s: float
    bytes_per_vector: float
    hnsw: HnswSetting | None


@dataclass(frozen=True, eq=False, kw_only=True)
class LatencyResult:
    """Single-query latency of every path at every dimension; `samples_ms` is (points, timed queries).

    `n_rows` documents and `n_timed_queries` queries were measured, `n_tuning_queries` others chose ef. `k` is the
    smaller of `k_requested` and what a query can retrieve. `blas_threads` is what BLAS reported while it was measured,
    None where it does not tell. `processors` may be used by this process. `assumptions` say what the numbers mean,
    `warnings` what limits them.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dims: tuple[int, ...]
    paths: tuple[LatencyPath, ...]
    k: int
    k_requested: int
    seed: int
    n_rows: int
    n_timed_queries: int
    n_tuning_queries: int
    target_recall: float
    n_threads: int
    n_build_threads: int
    blas_threads: int | None
    processors: int
    points: tuple[LatencyPoint, ...]
    samples_ms: npt.NDArray[np.float32]
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    elapsed_s: float

    def point(self, path: str, dim: int) -> LatencyPoint:
        """Return the point of `path` at `dim`; raises `ParameterError` where it was not measured."""
        for point in self.points:
            if (point.path, point.dim) == (path, dim):
                return point
        raise ParameterError("this path and dimension were not measured", found=f"{path} at {dim}")

    def frontier(self) -> tuple[int, ...]:
        """Return the positions of the points that no other beats on both recall and median latency, fastest first."""
        return pareto([(point.p50_ms.value, point.recall.mean) for point in self.points])

    def times_faster(self, point: LatencyPoint) -> float:
        """Return how many times the median latency of `point` goes into that of its path at the full dimension."""
        return self.point(point.path, self.dims[-1]).p50_ms.value / point.p50_ms.value
