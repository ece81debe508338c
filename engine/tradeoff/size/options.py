"""What a cost estimate can choose from, and the estimates that were kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from engine.tradeoff.size.cost import CostAssumptions, CostEstimate, MonthlyCost, Serving, estimate_cost, query_ms_at
from engine.tradeoff.summary import BYTES_PER_COMPONENT
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from engine.tradeoff.latency.results import LatencyPoint, LatencyResult
    from engine.tradeoff.results import DatasetInfo
    from engine.tradeoff.size.footprint import FootprintResult
    from engine.workspace import Run, Workspace

KIND = "cost"
Index = Literal["hnsw", "exact"]
"""What answers the queries: an HNSW graph of the truncated vectors, or an exact scan of a truncated copy."""


@dataclass(frozen=True, kw_only=True)
class KeptEstimate:
    """An estimate with the run that keeps it."""

    run_id: str
    created_at: datetime
    estimate: CostEstimate


def serving_options(
    dims: Sequence[int],
    *,
    n_docs: int,
    index: Index = "hnsw",
    footprint: FootprintResult | None = None,
    latency: LatencyResult | None = None,
) -> tuple[Serving, ...]:
    """Return every way to serve that was measured, float32 of the full dimension first, with distinct labels.

    Without `footprint` these are float32 of `dims`. With `latency`, a graph's links are counted into every option that
    `index` serves from one, and float32 without a rerank has its median latency, carried over to `n_docs` documents by
    `query_ms_at`, and its build speed.
    """
    if footprint is None:
        plain = [Serving.float32(dim) for dim in sorted(dims, reverse=True)]
    else:
        rows = [footprint.rows[-1], *footprint.rows[:-1]]
        plain = [Serving.of_footprint(row) for row in rows]
    float32 = {Serving.float32(dim).label for dim in dims}
    options = []
    for option in plain:
        point = _point(latency, index, option.dim)
        served = option if point is None or index == "exact" else _with_links(option, point)
        if point is not None and latency is not None and option.label in float32:
            served = _with_speed(served, point, n_rows=latency.n_rows, n_docs=n_docs, exact=index == "exact")
        options.append(served)
    return tuple(options)


def compare_costs(assumptions: CostAssumptions, *, now: Serving, then: Serving) -> CostEstimate:
    """Estimate both; where only one of the two was measured, speeds are assumed alike for both.

    Otherwise the difference between a measurement and an assumption would pass for a saving.
    """
    if now.query_ms is None or then.query_ms is None:
        now, then = replace(now, query_ms=None), replace(then, query_ms=None)
    if now.build_rows_per_s is None or then.build_rows_per_s is None:
        now, then = replace(now, build_rows_per_s=None), replace(then, build_rows_per_s=None)
    return estimate_cost(assumptions, now=now, then=then)


def save_estimate(workspace: Workspace, sweep_run: Run, dataset: DatasetInfo, estimate: CostEstimate) -> Run:
    """Keep `estimate` with its assumptions as a run that belongs to the sweep `sweep_run` of `dataset`."""
    document, arrays = encode(estimate)
    return workspace.save_run(
        kind=KIND,
        dataset=asdict(dataset),
        parameters={"sweep": sweep_run.id},
        seed=sweep_run.seed,
        summary={"result": document},
        arrays=arrays,
        elapsed_s=0.0,
    )


def kept_estimates(workspace: Workspace, sweep_run: Run) -> tuple[KeptEstimate, ...]:
    """Return the estimates kept for `sweep_run`, newest first.

    Raises
    ------
    WorkspaceError
        When one is of a form that this version does not know.
    """
    runs = workspace.runs(kind=KIND, dataset_sha256=sweep_run.dataset["sha256"])
    return tuple(
        KeptEstimate(
            run_id=run.id,
            created_at=run.created_at,
            estimate=decode(run.summary["result"], {}, CostEstimate, (CostAssumptions, MonthlyCost, Serving)),
        )
        for run in runs
        if run.parameters.get("sweep") == sweep_run.id
    )


def _point(latency: LatencyResult | None, index: Index, dim: int) -> LatencyPoint | None:
    points = () if latency is None else latency.points
    return next((point for point in points if (point.path, point.dim) == (index, dim)), None)


def _with_links(option: Serving, point: LatencyPoint) -> Serving:
    links = max(0.0, point.bytes_per_vector - BYTES_PER_COMPONENT * point.dim)
    return replace(
        option,
        memory_bytes_per_vector=option.memory_bytes_per_vector + links,
        disk_bytes_per_vector=option.disk_bytes_per_vector + links,
    )


def _with_speed(option: Serving, point: LatencyPoint, *, n_rows: int, n_docs: int, exact: bool) -> Serving:
    if n_rows < 2 or n_docs < 2:  # a graph's latency grows with the logarithm, which is 0 for one document
        return option
    return option.measured(
        query_ms=query_ms_at(point.p50_ms.value, measured_docs=n_rows, n_docs=n_docs, exact=exact),
        build_rows_per_s=n_rows / point.build_s if point.build_s > 0 else None,
    )
