"""Keep analyses in a workspace; events are not kept, but what makes simulated ones again is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import RunNotFoundError, WorkspaceError
from engine.experiment import results
from engine.experiment.settings import AnalysisSettings, Margin, Stage
from engine.workspace.codec import decode, encode
from engine.workspace.plain import plain_json

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Judgements
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.results import SweepResult
    from engine.workspace import Run, Workspace

KIND = "ab"

_PARTS = (
    AnalysisSettings,
    Margin,
    Stage,
    results.ArmRow,
    results.ArmValue,
    results.ClassicTest,
    results.Daily,
    results.DailyMetric,
    results.Estimate,
    results.Gate,
    results.LatencyResult,
    results.MetricResult,
    results.Peeking,
    results.PeekingRow,
    results.SegmentResult,
    results.Stratified,
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the events of an analysis came from.

    `traffic` makes simulated ones again, with the lists of the stored sweep `sweep_run` where one was used; `file` is
    the bare name of a log. All None for plain totals.
    """

    traffic: TrafficSettings | None = None
    sweep_run: str | None = None
    latency_run: str | None = None
    file: str | None = None


def save_analysis(workspace: Workspace, analysis: results.Analysis, origin: Origin | None = None) -> Run:
    """Keep `analysis` as an immutable run of kind ``ab``; its row also holds the verdict and the headline.

    Raises
    ------
    WorkspaceError
        When the disk or database refuses; nothing is kept then.
    """
    came_from = origin or Origin()
    document, arrays = encode(analysis)
    traffic = None if came_from.traffic is None else encode(came_from.traffic)[0]
    return workspace.save_run(
        kind=KIND,
        dataset={"name": came_from.file or analysis.experiment_id, "sha256": analysis.events_digest},
        parameters={
            "traffic": traffic,
            "sweep": came_from.sweep_run,
            "latency": came_from.latency_run,
            "file": came_from.file,
        },
        seed=analysis.seed or 0,
        summary={"verdict": analysis.verdict, "headline": analysis.headline, "result": document},
        arrays=arrays,
        elapsed_s=analysis.elapsed_s,
    )


def load_analysis(workspace: Workspace, run_id: str) -> results.Analysis:
    """Return the stored analysis.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When the run is not an analysis, or of a form that this version does not know.
    """
    run = _run(workspace, run_id)
    return decode(run.summary["result"], workspace.arrays(run_id), results.Analysis, _PARTS)


def load_origin(workspace: Workspace, run_id: str) -> Origin:
    """Return where the events of the stored analysis came from.

    Raises
    ------
    RunNotFoundError, WorkspaceError
        As `load_analysis`.
    """
    # Here, as what is simulated depends on rooms that an analysis of plain totals does not load.
    from engine.experiment.faults import Fault
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

    parameters = _run(workspace, run_id).parameters
    traffic = parameters.get("traffic")
    return Origin(
        traffic=None if traffic is None else decode(traffic, {}, TrafficSettings, (ArmNumbers, Fault, Stage)),
        sweep_run=parameters.get("sweep"),
        latency_run=parameters.get("latency"),
        file=parameters.get("file"),
    )


def analysis_json(analysis: results.Analysis, *, run_id: str | None = None) -> dict[str, Any]:
    """Return the analysis as `dimshift ab --json` prints it: every field, arrays as lists, None where NaN."""
    fields: Any = plain_json(analysis)
    return {"run_id": run_id, **fields}


def _run(workspace: Workspace, run_id: str) -> Run:
    run = workspace.run(run_id)
    if run.kind != KIND:
        raise WorkspaceError("the run must be an A/B analysis", found=run.kind, hint="Open it where its kind is shown")
    return run


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepSources:
    """What a stored sweep gives to simulated traffic; the last three are None where the workspace has no such thing."""

    sweep: SweepResult
    judgements: Judgements | None
    latency: LatencyResult | None
    latency_run: str | None


def load_sources(workspace: Workspace, sweep_run: str) -> SweepSources:
    """Return the sweep of a run with the judgements of its stored data set and the latency that was measured for it.

    Raises
    ------
    RunNotFoundError, WorkspaceError
        When there is no such sweep, or it is damaged.
    """
    from engine.tradeoff.panels import panel_answer, panel_runs
    from engine.tradeoff.storage import load_sweep

    sweep = load_sweep(workspace, sweep_run)
    judgements = None
    with suppress(RunNotFoundError):  # the data set may have been deleted; the sweep stays usable without it
        stored = workspace.load_dataset(sweep.dataset.sha256)
        # The same seed draws the same sample of queries as the sweep did.
        judgements = stored.with_query_sample(sweep.dataset.n_queries, seed=sweep.seed).judgements
    measured = panel_runs(workspace, workspace.run(sweep_run)).get("latency")
    latency = None if measured is None else panel_answer(workspace, measured).result
    return SweepSources(
        sweep=sweep,
        judgements=judgements,
        latency=latency,
        latency_run=None if measured is None or latency is None else measured.id,
    )
