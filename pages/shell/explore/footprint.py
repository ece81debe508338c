"""The bytes panel: what every storage option keeps, and whether smaller numbers beat fewer of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import footprint as charts
from engine.tradeoff.latency.frontier import pareto
from pages.shell import figures
from pages.shell.explore import explored
from pages.shell.explore.frame import measure_again, small_print
from pages.shell.sweep.table import scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.charts.footprint import Counted
    from engine.tradeoff import Quantity
    from engine.tradeoff.size.comparison import Comparison
    from engine.tradeoff.size.footprint import FootprintResult
    from pages.shell.explore.frame import Opened

KEY = "footprint"
_COUNTED: dict[str, Counted] = {"in memory": "memory", "on disk": "disk"}


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: FootprintResult = answer.result
    quantity, counted = _controls(result)
    frontier = pareto([(charts.bytes_of(row, counted), charts.quality_of(row, quantity).mean) for row in result.rows])
    figures.show(
        charts.storage_chart(result, frontier=frontier, quantity=quantity, counted=counted, colours=figures.colours()),
        alt=charts.describe_storage(result, frontier=frontier, quantity=quantity, counted=counted),
        key="storage_chart",
    )
    st.caption(
        f"A rerank orders the best {result.shortlist:,} documents again by the full float32 vectors, which it reads "
        "from disk: they count there, and not in memory."
    )
    st.header("Do smaller numbers beat fewer of them?", anchor=False)
    _comparisons(explored.equal_bytes(answer, quantity), result.k)
    st.header("Every storage option", anchor=False)
    _table(result, frontier)
    small_print(result, facts=(f"{len(result.query_ids):,} queries", "exact scoring over the codes"))
    measure_again(opened, KEY)


def _controls(result: FootprintResult) -> tuple[Quantity, Counted]:
    with st.container(horizontal=True, gap="medium"):
        quality = st.segmented_control(
            "Quality",
            ["recall", "nDCG"] if result.ndcg is not None else ["recall"],
            default="recall",
            required=True,
            key="storage_quality",
            bind="query-params",
        )
        where = st.segmented_control(
            "Bytes counted",
            list(_COUNTED),
            default="in memory",
            required=True,
            key="storage_bytes",
            bind="query-params",
            help="In memory: what a search touches. On disk: everything kept, the full vectors of a rerank among it.",
        )
    return "ndcg" if quality == "nDCG" else "recall", _COUNTED[where]


def _comparisons(found: Sequence[Comparison], k: int) -> None:
    if not found:
        st.caption("The dimensions that were swept give no two options of equal bytes; sweep halves and quarters.")
        return
    for dtype in dict.fromkeys(one.a.dtype for one in found):
        pairs = [one for one in found if one.a.dtype == dtype]
        won, lost = (sum(one.winner == side for one in pairs) for side in ("a", "b"))
        if won == len(pairs):
            verdict = f"**{dtype} beats float32 of fewer dimensions** at all {len(pairs)} equal sizes"
        elif lost == len(pairs):
            verdict = f"**{dtype} loses to float32 of fewer dimensions** at all {len(pairs)} equal sizes"
        else:
            open_ = len(pairs) - won - lost
            verdict = f"**{dtype} against float32 of fewer dimensions**: {won} won, {lost} lost, {open_} undecided"
        st.markdown(f"{verdict}. {_sentence(pairs[-1], k)}".replace("at all 1 equal sizes", "at the one equal size"))
    if len(found) > 1:
        with st.expander("Every comparison at equal bytes", icon=":material/balance:"):
            st.markdown("\n".join(f"- {_sentence(one, k)}" for one in found))


def _sentence(one: Comparison, k: int) -> str:
    name = f"recall@{k}" if one.quantity == "recall" else f"nDCG@{k}"
    gap = one.difference
    more = "more" if gap.mean >= 0 else "less"
    low, high = (100 * bound if gap.mean >= 0 else -100 * bound for bound in (gap.low, gap.high))
    low, high = min(low, high), max(low, high)
    settled = "" if one.winner != "undecided" else "; the interval holds 0, so this is undecided"
    return (
        f"At {one.memory_bytes_a:,.0f} bytes a vector, {one.a.dtype} of {one.a.dim:,} dims keeps "
        f"{abs(100 * gap.mean):.1f} points {more} {name} than {one.b.dtype} of {one.b.dim:,} dims "
        f"({low:.1f} to {high:.1f}){settled}."
    )


def _table(result: FootprintResult, frontier: Sequence[int]) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    rows = []
    for place, row in enumerate(result.rows):
        shown = {
            "type": row.option.dtype,
            "dim": row.option.dim,
            "rerank": row.option.rerank,
            "frontier": place in frontier,
            "memory": row.memory_bytes_per_vector,
            "disk": row.disk_bytes_per_vector,
            "recall": row.recall.mean,
            "recall interval": scores(row.recall),
        }
        if row.ndcg is not None:
            shown |= {"ndcg": row.ndcg.mean, "ndcg interval": scores(row.ndcg)}
        rows.append(shown)
    st.dataframe(
        rows,
        hide_index=True,
        key="storage_table",
        column_config={
            "type": text("Stored as", pinned=True),
            "dim": number("Dimensions", format="localized", pinned=True),
            "rerank": st.column_config.CheckboxColumn("Rerank"),
            "frontier": st.column_config.CheckboxColumn("On the frontier"),
            "memory": number("Bytes in memory", format="localized"),
            "disk": number("Bytes on disk", format="localized"),
            "recall": number(f"Recall@{result.k}", format="%.3f"),
            "recall interval": text("95 % interval"),
            "ndcg": number(f"nDCG@{result.k}", format="%.3f"),
            "ndcg interval": text("95 % interval "),
        },
    )
