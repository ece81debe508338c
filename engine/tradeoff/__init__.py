"""What every dimension keeps: the sweep, its intervals and verdicts, the recommendation, and how they are kept."""

from engine.tradeoff.dims import check_dims, check_ks, default_dims
from engine.tradeoff.export import points_table, sweep_json
from engine.tradeoff.results import (
    QUANTITIES,
    ClusterInfo,
    Criterion,
    DatasetInfo,
    Interval,
    Point,
    Quantity,
    Recommendation,
    SweepResult,
    SweepSummary,
    Verdict,
)
from engine.tradeoff.storage import load_sweep, save_sweep
from engine.tradeoff.summary import Estimates, check_criterion, default_criterion, estimate, judge, summarize
from engine.tradeoff.sweep import sweep

__all__ = [
    "QUANTITIES",
    "ClusterInfo",
    "Criterion",
    "DatasetInfo",
    "Estimates",
    "Interval",
    "Point",
    "Quantity",
    "Recommendation",
    "SweepResult",
    "SweepSummary",
    "Verdict",
    "check_criterion",
    "check_dims",
    "check_ks",
    "default_criterion",
    "default_dims",
    "estimate",
    "judge",
    "load_sweep",
    "points_table",
    "save_sweep",
    "summarize",
    "sweep",
    "sweep_json",
]
