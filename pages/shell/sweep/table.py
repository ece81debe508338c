"""The table of a sweep, its downloads, and how its numbers are written."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import VERDICTS
from engine.spreadsheets import csv_text
from engine.tradeoff import points_table, sweep_json

if TYPE_CHECKING:
    from engine.tradeoff import Interval, Point, SweepResult, SweepSummary
    from engine.workspace import Run


def table(summary: SweepSummary) -> None:
    """List every dimension: verdict, recall, quality, bytes, and what would settle it."""
    k = summary.criterion.k
    rows = [_row(point, k) for point in summary.points]
    if any(point.further_queries is not None for point in summary.points):
        rows = [{**row, "further": point.further_queries} for row, point in zip(rows, summary.points, strict=True)]
    st.header("Every dimension", anchor=False)
    st.dataframe(
        rows,
        hide_index=True,
        key="points",
        placeholder="–",
        column_config={
            "dim": st.column_config.NumberColumn("Dimensions", format="localized", pinned=True),
            "verdict": st.column_config.TextColumn("Verdict"),
            "recall": st.column_config.NumberColumn(f"Recall@{k}", format="%.3f"),
            "recall interval": st.column_config.TextColumn("95 % interval"),
            "ndcg": st.column_config.NumberColumn(f"nDCG@{k}", format="%.3f"),
            "ndcg interval": st.column_config.TextColumn("95 % interval "),
            "kept": st.column_config.NumberColumn("nDCG kept", format="%.1f %%"),
            "bytes": st.column_config.NumberColumn("Bytes a vector", format="localized"),
            "further": st.column_config.NumberColumn(
                "Further queries",
                format="localized",
                help="How many more queries would settle an undecided verdict at the spread seen.",
            ),
        },
    )


def downloads(run: Run, result: SweepResult, summary: SweepSummary) -> None:
    """Offer all that was measured as CSV and as the JSON of ``dimshift sweep --json``."""
    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: csv_text(points_table(summary)),
            file_name=f"dimshift-{run.id}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "JSON",
            lambda: json.dumps(sweep_json(result, summary, run_id=run.id, environment=run.environment), indent=2),
            file_name=f"dimshift-{run.id}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )


def _row(point: Point, k: int) -> dict[str, object]:
    row: dict[str, object] = {
        "dim": point.dim,
        "verdict": f"{VERDICTS[point.verdict].symbol} {point.verdict}",
        "recall": point.recall[k].mean,
        "recall interval": scores(point.recall[k]),
    }
    if point.ndcg:
        row |= {
            "ndcg": point.ndcg[k].mean,
            "ndcg interval": scores(point.ndcg[k]),
            "kept": 100 * point.retention[k].mean,
        }
    return row | {"bytes": point.bytes_per_vector}


def score(value: float) -> str:
    """Write a mean from 0 to 1; a dash for one that does not exist."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def scores(interval: Interval) -> str:
    """Write the bounds of an interval of scores."""
    return f"{score(interval.low)}–{score(interval.high)}"


def share(value: float) -> str:
    """Write a share of the full dimension in percent; a dash for one that does not exist."""
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def shares(interval: Interval) -> str:
    """Write the bounds of an interval of shares."""
    return f"{share(interval.low).removesuffix(' %')}–{share(interval.high)}"
