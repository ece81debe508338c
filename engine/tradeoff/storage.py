"""Keep sweeps in a workspace and read them back without loss."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import WorkspaceError
from engine.tradeoff.export import criterion_json, interval_json, recommendation_json
from engine.tradeoff.results import ClusterInfo, DatasetInfo, SweepResult
from engine.tradeoff.summary import check_criterion, default_criterion, estimate, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from engine.tradeoff.results import Criterion, Point, SweepSummary
    from engine.tradeoff.summary import Estimates
    from engine.workspace import Run, Workspace

KIND = "sweep"
_ALWAYS = ("recall", "top1_agreement", "rank_overlap", "ids", "scores")
_WITH_JUDGEMENTS = ("ndcg", "judged_recall", "mrr")


def save_sweep(
    workspace: Workspace,
    result: SweepResult,
    *,
    criterion: Criterion | None = None,
    estimates: Estimates | None = None,
) -> Run:
    """Store `result` as an immutable run; its row also holds the recommendation under `criterion`, for lists of runs.

    `criterion` defaults to `default_criterion(result)`, `estimates` to `estimate(result)`.

    Raises
    ------
    ParameterError
        When the criterion does not fit the sweep; nothing is stored then.
    """
    criterion = default_criterion(result) if criterion is None else criterion
    check_criterion(result, criterion)
    summary = judge(estimate(result) if estimates is None else estimates, criterion)
    return workspace.save_run(
        kind=KIND,
        dataset=asdict(result.dataset),
        parameters={
            "dims": list(result.dims),
            "ks": list(result.ks),
            "metric": result.metric,
            "recipe": result.recipe,
        },
        seed=result.seed,
        summary=_headline(result, summary),
        arrays=_arrays(result),
        elapsed_s=result.elapsed_s,
        machines=None if result.cluster is None else {"cluster": asdict(result.cluster)},
    )


def load_sweep(workspace: Workspace, run_id: str) -> SweepResult:
    """Return the stored sweep.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When the run is not a sweep, or its artefacts are incomplete.
    """
    run = workspace.run(run_id)
    if run.kind != KIND:
        raise WorkspaceError("the run must be a sweep", found=run.kind, hint="Open it where its kind is shown")
    arrays = workspace.arrays(run_id)
    missing = [name for name in (*_ALWAYS, "query_ids") if name not in arrays]
    if missing:
        raise WorkspaceError(
            "a stored sweep holds all of its arrays", found=f"no {', '.join(missing)}", hint="Run the sweep again"
        )
    segments = arrays.get("query_segments")
    values: dict[str, Any] = {name: arrays.get(name) for name in (*_ALWAYS, *_WITH_JUDGEMENTS)}
    return SweepResult(
        dataset=_dataset(run.dataset),
        metric=run.parameters["metric"],
        recipe=run.parameters["recipe"],
        dims=tuple(run.parameters["dims"]),
        ks=tuple(run.parameters["ks"]),
        seed=run.seed,
        query_ids=_texts(arrays["query_ids"]),
        query_segments=None if segments is None else _texts(segments),
        warnings=tuple(run.summary["warnings"]),
        elapsed_s=run.elapsed_s,
        cluster=_cluster(run.environment.get("cluster")),
        **values,
    )


def _dataset(stored: Mapping[str, Any]) -> DatasetInfo:
    facts = {**stored, "labels": tuple(stored["labels"]), "warnings": tuple(stored["warnings"])}
    return DatasetInfo(**facts)


def _cluster(stored: Mapping[str, Any] | None) -> ClusterInfo | None:
    return None if stored is None else ClusterInfo(**{**stored, "blas": tuple(stored["blas"])})


def _headline(result: SweepResult, summary: SweepSummary) -> dict[str, Any]:
    return {
        "criterion": criterion_json(summary.criterion),
        "recommendation": recommendation_json(summary.recommendation),
        "points": [_point_headline(summary, point) for point in summary.points],
        "has_judgements": result.has_judgements,
        "warnings": list(result.warnings),
    }


def _point_headline(summary: SweepSummary, point: Point) -> dict[str, Any]:
    """Return what is judged, with what a list or an overview shows beside it, so that neither bootstraps again."""
    k = summary.criterion.k
    beside = {"recall": point.recall, "ndcg_kept": point.retention}
    return {
        "dim": point.dim,
        "verdict": point.verdict,
        **interval_json(summary.judged(point)),
        **{name: interval_json(values[k]) for name, values in beside.items() if k in values},
    }


def _arrays(result: SweepResult) -> dict[str, npt.NDArray[Any]]:
    arrays = {name: getattr(result, name) for name in (*_ALWAYS, *_WITH_JUDGEMENTS)}
    arrays["query_ids"] = _text_array(result.query_ids)
    if result.query_segments is not None:
        arrays["query_segments"] = _text_array(result.query_segments)
    return {name: array for name, array in arrays.items() if array is not None}


def _text_array(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    # JSON bytes: NumPy's own string arrays pad to the longest text and drop trailing NULs, objects would be pickled.
    return np.frombuffer(json.dumps(list(texts)).encode("ascii"), dtype=np.uint8)


def _texts(array: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(json.loads(array.tobytes().decode("ascii")))
