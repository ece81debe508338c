"""What the workspace knows that a plan rests on: the sweep, and what was measured beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.present.reading import Reader
from engine.tradeoff.verdicts import ALPHA, MIN_QUERIES

if TYPE_CHECKING:
    from engine.present.plan.inputs import PlanInputs
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.nesting.diagnosis import Diagnosis
    from engine.tradeoff.results import Point, SweepSummary
    from engine.tradeoff.size.funnel import FunnelResult, FunnelRow
    from engine.workspace import Run, Workspace

_PANELS = ("nesting", "latency", "funnel")


@dataclass(frozen=True, kw_only=True)
class AbEvidence:
    """What the newest A/B test of the workspace says."""

    run_id: str
    verdict: str
    headline: str
    is_simulated: bool


@dataclass(frozen=True, kw_only=True)
class CopyEvidence:
    """How fast the newest migration copied, rows a second of the whole copy."""

    run_id: str
    rows_per_s: float
    dims: int


@dataclass(frozen=True, eq=False, kw_only=True)
class PlanEvidence:
    """What was measured; None is what was not, `problems` say what could not be read.

    `summary` is the sweep `run_id` under the criterion that it was kept with.
    """

    run_id: str | None = None
    summary: SweepSummary | None = None
    nesting: Diagnosis | None = None
    latency: LatencyResult | None = None
    funnel: FunnelResult | None = None
    ab: AbEvidence | None = None
    copy: CopyEvidence | None = None
    problems: tuple[str, ...] = ()

    @property
    def full_dim(self) -> int | None:
        """The full dimension of the sweep."""
        return None if self.summary is None else self.summary.points[-1].dim

    @property
    def labels(self) -> tuple[str, ...]:
        """What the swept set is labelled, as ``synthetic``."""
        return () if self.summary is None else self.summary.dataset.labels

    def point(self, dim: int) -> Point | None:
        """Return the swept point of `dim`, None where it was not swept."""
        points = () if self.summary is None else self.summary.points
        return next((point for point in points if point.dim == dim), None)

    def shortlist(self, dim: int) -> FunnelRow | None:
        """Return the smallest shortlist by `dim` dims that is safe after a rerank by the full vectors, None if none is.

        Safe: the lower bound of what the sweep is judged by reaches its target.
        """
        if self.summary is None or self.funnel is None or self.funnel.dataset.n_queries < MIN_QUERIES:
            return None
        criterion, full = self.summary.criterion, self.funnel.full_ndcg
        if self.funnel.k != criterion.k or self.funnel.rerank_dim != self.full_dim:
            return None
        for row in sorted(self.funnel.rows, key=lambda row: row.shortlist):
            if row.dim != dim or row.dtype != "float32":
                continue
            if criterion.quantity == "recall" and row.recall.low >= criterion.target:
                return row
            # Its lower bound over the mean at the full dimension: no paired interval is kept, so this errs to "no".
            is_kept = row.ndcg is not None and full is not None and row.ndcg.low >= criterion.target * full.mean
            if criterion.quantity == "ndcg" and is_kept:
                return row
        return None

    def times_faster(self, path: str, dim: int) -> float | None:
        """Return how many times faster the median query of a serving path is at `dim` than at the full dimension."""
        if self.latency is None or self.latency.dims[-1] != self.full_dim:
            return None
        found = [one for one in self.latency.points if (one.path, one.dim) == (path, dim)]
        return self.latency.times_faster(found[0]) if found else None


def is_shown_safe(point: Point) -> bool:
    """Tell whether a dim is safe, also after Holm's correction over the dims tried."""
    return point.verdict == "safe" and point.holm_p <= ALPHA


def evidence_of(workspace: Workspace, run_id: str | None = None) -> PlanEvidence:
    """Return what the workspace knows: of the sweep `run_id`, of the newest one where it is None.

    Raises
    ------
    RunNotFoundError
        When there is no such run.
    WorkspaceError
        When the run is no sweep, or damaged.
    """
    from engine.tradeoff import Criterion, summarize
    from engine.tradeoff.panels import panel_answer, panel_runs
    from engine.tradeoff.storage import KIND, load_sweep

    run = _newest(workspace, KIND) if run_id is None else workspace.run(run_id)
    beside = PlanEvidence(ab=_ab_test(workspace), copy=_copy(workspace))
    if run is None:
        return beside
    summary = summarize(load_sweep(workspace, run.id), Criterion(**run.summary["criterion"]))
    reader = Reader(workspace)
    measured: dict[str, Any] = {}
    for key, one in panel_runs(workspace, run).items():
        if key in _PANELS:
            answer = reader.attempt(f"{one.kind} of run {one.id}", partial(panel_answer, workspace, one))
            if answer is not None:
                measured[key] = answer.result
    return replace(beside, run_id=run.id, summary=summary, problems=tuple(reader.problems), **measured)


def inputs_from(evidence: PlanEvidence | None, inputs: PlanInputs) -> PlanInputs:
    """Return `inputs` with the dims of the sweep: its full dimension, and what it recommends (else its largest below).

    Unchanged where there is no sweep with a dimension below the full one.
    """
    summary = None if evidence is None else evidence.summary
    if summary is None or len(summary.points) < 2:
        return inputs
    to_dims = summary.recommendation.dim or summary.points[-2].dim
    return replace(inputs, from_dims=summary.points[-1].dim, to_dims=to_dims)


def _newest(workspace: Workspace, kind: str) -> Run | None:
    found = workspace.runs(kind=kind, limit=1)
    return found[0] if found else None


def _ab_test(workspace: Workspace) -> AbEvidence | None:
    from engine.experiment.storage import KIND

    run = _newest(workspace, KIND)
    if run is None:
        return None
    return AbEvidence(
        run_id=run.id,
        verdict=str(run.summary.get("verdict")),
        headline=str(run.summary.get("headline")),
        is_simulated=run.parameters.get("traffic") is not None,
    )


def _copy(workspace: Workspace) -> CopyEvidence | None:
    from engine.migration.results import RUN_KIND
    from engine.migration.storage import load_report

    run = _newest(workspace, RUN_KIND)
    if run is None:
        return None
    try:
        report = load_report(workspace, run.id)
    except EngineError:  # then the rate is assumed, and said to be
        return None
    if report.rows_per_s <= 0:
        return None
    return CopyEvidence(run_id=run.id, rows_per_s=report.rows_per_s, dims=report.dims)
