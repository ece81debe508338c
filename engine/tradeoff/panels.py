"""Everything that is measured beyond recall, panel by panel: each is kept as a run of its own once it is there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.tradeoff.growth import forecast
from engine.tradeoff.latency import measure as latency
from engine.tradeoff.latency import results as latency_results
from engine.tradeoff.latency.timing import Throughput
from engine.tradeoff.nesting import diagnosis
from engine.tradeoff.percentiles import Percentile
from engine.tradeoff.queries import score_scale, segments
from engine.tradeoff.queries.distribution import Distribution
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.size import footprint, funnel
from engine.tradeoff.summary import default_criterion
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.embeddings import EmbeddingSet
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.results import SweepResult
    from engine.workspace import Run, Workspace

_PARTS = (
    DatasetInfo,
    Distribution,
    Interval,
    Percentile,
    Throughput,
    diagnosis.NestPoint,
    footprint.FootprintRow,
    footprint.StorageOption,
    forecast.DimForecast,
    forecast.HeldBackSize,
    funnel.FunnelRow,
    latency_results.HnswSetting,
    latency_results.LatencyPoint,
    score_scale.CutoffAt,
    score_scale.CutoffTranslation,
)
_CORPUS_GROWTH = 50


@dataclass(frozen=True, kw_only=True)
class PanelOptions:
    """What the panels ask beside the sweep: `k` None is the swept one nearest to 10, `target_size` None 50 × corpus.

    `shortlist` None is ten times k, at most the corpus.
    """

    k: int | None = None
    shortlist: int | None = None
    target_size: int | None = None
    n_threads: int = 1


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """One measurement to make: `chosen` is `given` with the swept queries; of the options nothing is left open."""

    given: EmbeddingSet
    chosen: EmbeddingSet
    sweep: SweepResult
    k: int
    shortlist: int
    target_size: int
    n_threads: int
    progress: Progress
    cancelled: Cancelled

    @property
    def shared(self) -> dict[str, Any]:
        """What every measurement takes."""
        return {"seed": self.sweep.seed, "progress": self.progress, "cancelled": self.cancelled}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One question of the Explore section: `key` is also the kind of the run that keeps its answer."""

    key: str
    title: str
    result: type
    measure: Callable[[_Asked], object]


@dataclass(frozen=True, kw_only=True)
class PanelAnswer:
    """What a stored panel says: its result, or the sentence with which the set was refused."""

    run_id: str
    result: Any = None
    refused: str | None = None


def _nesting(asked: _Asked) -> object:
    return diagnosis.diagnose(asked.chosen, asked.sweep.dims, k=asked.k, metric=asked.sweep.metric, **asked.shared)


def _footprint(asked: _Asked) -> object:
    return footprint.measure_footprint(
        asked.chosen, asked.sweep.dims, k=asked.k, shortlist=asked.shortlist, metric=asked.sweep.metric, **asked.shared
    )


def _funnel(asked: _Asked) -> object:
    return funnel.sweep_funnel(asked.chosen, asked.sweep.dims, k=asked.k, metric=asked.sweep.metric, **asked.shared)


def _score_scale(asked: _Asked) -> object:
    return score_scale.score_scale(asked.given, asked.sweep.dims, k=asked.k, result=asked.sweep, **asked.shared)


def _clusters(asked: _Asked) -> object:
    if asked.chosen.queries is None:
        raise ParameterError("segments need queries, and this set has none")
    return segments.cluster_queries(
        asked.chosen.queries,
        metric=asked.sweep.metric,
        recipe=asked.sweep.recipe,
        seed=asked.sweep.seed,
        cancelled=asked.cancelled,
    )


def _latency(asked: _Asked) -> object:
    return latency.measure_latency(
        asked.chosen,
        asked.sweep.dims,
        k=asked.k,
        metric=asked.sweep.metric,
        n_threads=asked.n_threads,
        **asked.shared,
    )


def _forecast(asked: _Asked) -> object:
    return forecast.forecast(
        asked.chosen,
        asked.sweep.dims,
        k=asked.k,
        metric=asked.sweep.metric,
        target_size=asked.target_size,
        **asked.shared,
    )


PANELS: tuple[Panel, ...] = (
    Panel(key="nesting", title="Does it nest?", result=diagnosis.Diagnosis, measure=_nesting),
    Panel(key="clusters", title="Groups of queries", result=segments.QueryClusters, measure=_clusters),
    Panel(key="score-scale", title="Score scale", result=score_scale.ScoreScale, measure=_score_scale),
    Panel(key="footprint", title="Bytes", result=footprint.FootprintResult, measure=_footprint),
    Panel(key="funnel", title="Shortlist and rerank", result=funnel.FunnelResult, measure=_funnel),
    Panel(key="latency", title="Latency", result=latency_results.LatencyResult, measure=_latency),
    Panel(key="forecast", title="As the corpus grows", result=forecast.Forecast, measure=_forecast),
)
"""Every panel, the quickest first."""


def panel(key: str) -> Panel:
    """Return the panel of that key. Raises ParameterError."""
    for one in PANELS:
        if one.key == key:
            return one
    raise ParameterError(f"the panel is one of {', '.join(one.key for one in PANELS)}", found=key)


def panel_keys(text: str | None) -> tuple[str, ...] | None:
    """Return the keys in `text` with commas between, every one for ``all``, None for None. Raises ParameterError."""
    if text is None:
        return None
    if text == "all":
        return tuple(one.key for one in PANELS)
    return tuple(panel(key.strip()).key for key in text.split(","))


def explore(
    workspace: Workspace,
    embedding_set: EmbeddingSet,
    sweep: SweepResult,
    *,
    run_id: str,
    keys: Collection[str] | None = None,
    options: PanelOptions | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> dict[str, PanelAnswer]:
    """Measure every panel (or those of `keys`) for the stored sweep `run_id` of `embedding_set`, and keep each at once.

    A panel that cannot be measured on this set (too few documents, say) is kept with the sentence that says so and
    holds up no other. What was kept before a cancel stays.

    Raises
    ------
    ParameterError
        When the set is not the one that was swept, or a key is unknown.
    CancelledError
        When `cancelled` says so.
    """
    if embedding_set.sha256 != sweep.dataset.sha256:
        raise ParameterError(
            "the set must be the one that was swept", found=embedding_set.name, hint="Choose it on the Datasets page"
        )
    chosen = [one for one in PANELS if keys is None or one.key in {panel(key).key for key in keys}]
    answers = {}
    for place, one in enumerate(chosen):
        stop_if(cancelled)

        def report(share: float, message: str, place: int = place, title: str = one.title) -> None:
            progress((place + share) / len(chosen), f"{title}: {message}")

        report(0.0, "starting")
        asked = _asked(embedding_set, sweep, options or PanelOptions(), progress=report, cancelled=cancelled)
        answers[one.key] = _measured(workspace, one, asked, run_id=run_id)
    return answers


def panel_runs(workspace: Workspace, sweep_run: Run) -> dict[str, Run]:
    """Return the newest run of every panel that was measured for `sweep_run`; nothing of its answer is read."""
    newest = {}
    for one in PANELS:
        runs = workspace.runs(kind=one.key, dataset_sha256=sweep_run.dataset["sha256"])
        found = next((run for run in runs if run.parameters.get("sweep") == sweep_run.id), None)
        if found is not None:
            newest[one.key] = found
    return newest


def panel_answer(workspace: Workspace, run: Run) -> PanelAnswer:
    """Return the answer that a run of `panel_runs` keeps.

    Raises
    ------
    WorkspaceError
        When it is of a form that this version does not know.
    """
    if "refused" in run.summary:
        return PanelAnswer(run_id=run.id, refused=str(run.summary["refused"]))
    result: Any = decode(run.summary["result"], workspace.arrays(run.id), panel(run.kind).result, _PARTS)
    return PanelAnswer(run_id=run.id, result=result)


def panel_answers(workspace: Workspace, sweep_run: Run) -> dict[str, PanelAnswer]:
    """Return the newest stored answer of every panel that was measured for `sweep_run`.

    Raises
    ------
    WorkspaceError
        When a stored answer is of a form that this version does not know.
    """
    return {key: panel_answer(workspace, run) for key, run in panel_runs(workspace, sweep_run).items()}


def _asked(
    embedding_set: EmbeddingSet,
    sweep: SweepResult,
    options: PanelOptions,
    *,
    progress: Progress,
    cancelled: Cancelled,
) -> _Asked:
    k = default_criterion(sweep).k if options.k is None else options.k
    shortlist = max(k, min(10 * k, embedding_set.n_docs)) if options.shortlist is None else options.shortlist
    return _Asked(
        given=embedding_set,
        # The same seed draws the same sample as the sweep did.
        chosen=embedding_set.with_query_sample(sweep.dataset.n_queries, seed=sweep.seed),
        sweep=sweep,
        k=k,
        shortlist=shortlist,
        target_size=options.target_size or _CORPUS_GROWTH * embedding_set.n_docs,
        n_threads=options.n_threads,
        progress=progress,
        cancelled=cancelled,
    )


def _measured(workspace: Workspace, one: Panel, asked: _Asked, *, run_id: str) -> PanelAnswer:
    arrays: dict[str, Any] = {}
    result, refused = None, None
    try:
        result = one.measure(asked)
    except InputError as error:
        refused = str(error)
        summary: dict[str, Any] = {"refused": refused}
    else:
        document, arrays = encode(result)
        summary = {"result": document}
    run = workspace.save_run(
        kind=one.key,
        dataset=asdict(asked.sweep.dataset),
        parameters={
            "sweep": run_id,
            "k": asked.k,
            "shortlist": asked.shortlist,
            "target_size": asked.target_size,
            "n_threads": asked.n_threads,
        },
        seed=asked.sweep.seed,
        summary=summary,
        arrays=arrays,
        elapsed_s=getattr(result, "elapsed_s", 0.0),
    )
    return PanelAnswer(run_id=run.id, result=result, refused=refused)
