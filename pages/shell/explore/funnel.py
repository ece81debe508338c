"""The funnel panel: how long a shortlist must be before a rerank wins the loss back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import funnel as charts
from pages.shell import figures
from pages.shell.explore.frame import measure_again, small_print
from pages.shell.sweep.table import scores

if TYPE_CHECKING:
    from engine.tradeoff.size.funnel import FunnelResult
    from pages.shell.explore.frame import Opened

KEY = "funnel"


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: FunnelResult = answer.result
    st.markdown(_words(result, opened.dim))
    quality = st.segmented_control(
        "Quality",
        ["recall", "nDCG"] if result.ndcg is not None else ["recall"],
        default="recall",
        required=True,
        key="funnel_quality",
        bind="query-params",
    )
    quantity = "ndcg" if quality == "nDCG" else "recall"
    figures.show(
        charts.funnel_chart(result, quantity=quantity, colours=figures.colours()),
        alt=charts.describe_funnel(result, quantity=quantity),
        key="funnel_chart",
    )
    if result.rerank_dim == result.dims[-1]:
        st.caption(
            "Dotted: the share of the full top k that is within the shortlist. A rerank by the full vectors reaches "
            "this ceiling exactly, so the two lines lie on each other."
        )
    st.header("Every funnel", anchor=False)
    _table(result)
    small_print(
        result,
        facts=(
            f"{len(result.query_ids):,} queries",
            f"{result.dtypes[0]} shortlist, rerank by {result.rerank_dim:,} dims",
        ),
    )
    measure_again(opened, KEY)


def _words(result: FunnelResult, dim: int) -> str:
    rows = [row for row in result.rows if row.dim == dim and row.dtype == result.dtypes[0]]
    short, long = rows[0], next((row for row in rows if row.shortlist >= 10 * result.k), rows[-1])
    return (
        f"At **{dim:,} of {result.dims[-1]:,} dimensions** a rerank of {long.shortlist:,} documents lifts "
        f"recall@{result.k} from {short.recall.mean:.3f} to **{long.recall.mean:.3f}** "
        f"({scores(long.recall)}), and reads {long.fetched_bytes_per_query / 1024:,.0f} KiB of full vectors a query."
    )


def _table(result: FunnelResult) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    rows = []
    for row in result.rows:
        shown = {
            "dim": row.dim,
            "shortlist": row.shortlist,
            "recall": row.recall.mean,
            "recall interval": scores(row.recall),
            "ceiling": row.shortlist_recall.mean,
        }
        if row.ndcg is not None:
            shown |= {"ndcg": row.ndcg.mean, "ndcg interval": scores(row.ndcg)}
        rows.append(shown | {"fetched": row.fetched_bytes_per_query, "memory": row.memory_bytes_per_vector})
    st.dataframe(
        rows,
        hide_index=True,
        key="funnel_table",
        column_config={
            "dim": number("Dimensions", format="localized", pinned=True),
            "shortlist": number("Shortlist", format="localized", pinned=True),
            "recall": number(f"Recall@{result.k} after the rerank", format="%.3f"),
            "recall interval": text("95 % interval"),
            "ceiling": number("Ceiling", format="%.3f", help="The share of the full top k within the shortlist."),
            "ndcg": number(f"nDCG@{result.k}", format="%.3f"),
            "ndcg interval": text("95 % interval "),
            "fetched": number("Bytes fetched a query", format="localized"),
            "memory": number("Bytes a vector in memory", format="localized"),
        },
    )
