"""Sweeps as JSON and as a table, for scripts and spreadsheets."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from engine.tradeoff.panels import PanelAnswer
    from engine.tradeoff.results import Criterion, Interval, Point, Recommendation, SweepResult, SweepSummary


def sweep_json(
    result: SweepResult, summary: SweepSummary, *, run_id: str, environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the sweep as `dimshift sweep --json` prints it; a number that does not exist is None, never NaN."""
    return {
        "run_id": run_id,
        "dataset": {
            "name": result.dataset.name,
            "n_docs": result.dataset.n_docs,
            "n_queries": result.dataset.n_queries,
            "dim": result.dataset.dim,
            "sha256": result.dataset.sha256,
            "labels": list(result.dataset.labels),
        },
        "metric": result.metric,
        "recipe": result.recipe,
        "seed": result.seed,
        "ks": list(result.ks),
        "criterion": criterion_json(summary.criterion),
        "points": [_point_json(point) for point in summary.points],
        "recommendation": recommendation_json(summary.recommendation),
        "warnings": [*result.dataset.warnings, *result.warnings],
        "elapsed_s": result.elapsed_s,
        "environment": dict(environment),
    }


def interval_json(interval: Interval) -> dict[str, float | None]:
    """Return mean, low and high."""
    return {name: _number(value) for name, value in asdict(interval).items()}


def criterion_json(criterion: Criterion) -> dict[str, Any]:
    """Return quantity, k and target."""
    return asdict(criterion)


def recommendation_json(recommendation: Recommendation) -> dict[str, Any]:
    """Return dim (None when none is recommended), verdict and reason."""
    return asdict(recommendation)


def result_json(result: object) -> dict[str, Any]:
    """Return any result of this room as plain JSON; arrays of per-query values, which only the run keeps, are left out.

    `result` is a dataclass of numbers, texts, tuples, dicts and further dataclasses.
    """
    return {
        field.name: _plain(getattr(result, field.name))
        for field in fields(result)  # type: ignore[arg-type]  # every result is a dataclass
        if not isinstance(getattr(result, field.name), np.ndarray)
    }


def panel_json(answer: PanelAnswer) -> dict[str, Any]:
    """Return a panel's result with the id of its run, or the sentence with which the set was refused."""
    if answer.result is None:
        return {"run_id": answer.run_id, "refused": answer.refused}
    return {"run_id": answer.run_id, **result_json(answer.result)}


def points_table(summary: SweepSummary) -> pd.DataFrame:
    """Return a row a dimension: every mean with its bounds, the verdict, and what would settle it.

    Columns are named ``recall@10``, ``recall@10 low``, ``recall@10 high`` and so on; ratios are shares (1 = all kept).
    """
    import pandas as pd  # heavy, and only tables need it

    return pd.DataFrame([_row(point) for point in summary.points])


def _point_json(point: Point) -> dict[str, Any]:
    with_judgements = {
        "ndcg_at_k": _by_k_json(point.ndcg),
        "ndcg_retention_at_k": _by_k_json(point.retention),
        "judged_recall_at_k": _by_k_json(point.judged_recall),
        "mrr": None if point.mrr is None else interval_json(point.mrr),
    }
    return {
        "dim": point.dim,
        "recall_at_k": _by_k_json(point.recall),
        **(with_judgements if point.ndcg else {}),
        "top1_agreement": interval_json(point.top1_agreement),
        "rank_overlap": interval_json(point.rank_overlap),
        "bytes_per_vector": point.bytes_per_vector,
        "verdict": point.verdict,
        "further_queries": point.further_queries,
        "holm_p": _number(point.holm_p),
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return result_json(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return _number(value) if isinstance(value, float) else value


def _by_k_json(intervals: Mapping[int, Interval]) -> dict[str, dict[str, float | None]]:
    return {str(k): interval_json(interval) for k, interval in intervals.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _row(point: Point) -> dict[str, Any]:
    row: dict[str, Any] = {"dim": point.dim, "bytes per vector": point.bytes_per_vector, "verdict": point.verdict}
    named = {
        "recall": point.recall,
        "nDCG": point.ndcg,
        "nDCG retention": point.retention,
        "judged recall": point.judged_recall,
    }
    for name, intervals in named.items():
        for k, interval in intervals.items():
            row |= _columns(f"{name}@{k}", interval)
    if point.mrr is not None:
        row |= _columns("MRR", point.mrr)
    row |= _columns("top-1 agreement", point.top1_agreement)
    row |= _columns("rank overlap", point.rank_overlap)
    return row | {"further queries": point.further_queries, "Holm p": point.holm_p}


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name} low": interval.low, f"{name} high": interval.high}
