"""Who loses: how every query changes at a dimension, the worst ones with their documents, and groups of queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import losses as charts
from engine.errors import EngineError
from engine.tradeoff.queries.losses import changes_of_query
from pages.shell import figures
from pages.shell.explore import documents, explored
from pages.shell.explore.documents import Documents
from pages.shell.sweep.table import share, shares
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.tradeoff import Interval, Quantity
    from engine.tradeoff.queries.losses import Losses, QueryChanges
    from pages.shell.explore.frame import Opened

CLUSTERS = "clusters"


def show(opened: Opened, dim: int, k: int, quantity: Quantity) -> None:
    """Draw how the queries change, list the worst, and show what the chosen one of them lost and gained."""
    try:
        found = explored.losses_at(opened.run, dim, k=k, quantity=quantity, clusters=None)
    except EngineError as error:
        st.error(sentence(error))
        return
    _numbers(found)
    figures.show(
        charts.change_chart(found, colours=figures.colours(), labels=opened.sweep.dataset.labels),
        alt=charts.describe_changes(found),
        key="change_chart",
    )
    if not found.worst:
        st.caption("No query gets worse.")
        return
    st.header("Worst queries", anchor=False)
    known = Documents.of(opened)
    row = _worst(found, known)
    _lost_and_gained(changes_of_query(opened.sweep, row, dim, k=k), known)


def show_segments(opened: Opened, dim: int, k: int, quantity: Quantity) -> None:
    """Draw the mean change of groups of queries, by the set's labels or by clusters, and name the worst."""
    by_label = opened.sweep.query_segments is not None
    offered = (["labels"] if by_label else []) + [CLUSTERS]
    source = st.segmented_control(
        "Grouped by",
        offered,
        default=offered[0],
        required=True,
        key="segments",
        help="labels: the set's own column. clusters: k-means of the query vectors.",
    )
    clusters = opened.answer(CLUSTERS) if source == CLUSTERS else None
    if source == CLUSTERS and clusters is None:
        return
    try:
        found = explored.losses_at(opened.run, dim, k=k, quantity=quantity, clusters=clusters)
    except EngineError as error:
        st.error(sentence(error))
        return
    st.markdown(_worst_segment(found))
    figures.show(
        charts.segments_chart(found, colours=figures.colours(), labels=opened.sweep.dataset.labels),
        alt=charts.describe_segments(found),
        key="segments_chart",
    )
    small = [segment for segment in found.segments if segment.too_small]
    if small:
        st.caption(
            f":material/info: {len(small)} of {len(found.segments)} groups have fewer than 30 queries: too small for "
            "an interval, and never called worse."
        )
    if clusters is not None:
        result = clusters.result
        st.caption(f"k-means, {result.n_clusters} clusters, fitted on {result.n_fitted:,} queries, seed {result.seed}")


def _numbers(found: Losses) -> None:
    with st.container(horizontal=True, gap="small"):
        _card("Mean change", _signed(found.mean.mean), f"95 % interval {_signed_span(found.mean)}")
        _card("p5", _signed(found.p5), "one query in twenty")
        _card("Get worse", share(found.harmed.mean), shares(found.harmed))
        _card("Get better", share(found.improved.mean), shares(found.improved))


def _worst(found: Losses, known: Documents) -> int:
    """List the worst queries and return the row of the one to look at: the selected one, else the first."""
    name = f"recall@{found.k}" if found.quantity == "recall" else f"nDCG@{found.k}"
    number = st.column_config.NumberColumn
    chosen = st.dataframe(
        [
            {
                "query": loss.query_id,
                "change": loss.change,
                "full": loss.at_full,
                "dim": loss.at_dim,
                **({"text": known.query_text(loss.query_row)} if known.has_query_texts else {}),
            }
            for loss in found.worst
        ],
        hide_index=True,
        height=300,
        key=f"worst_{found.dim}_{name}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "query": st.column_config.TextColumn("Query", width="medium"),
            "text": st.column_config.TextColumn("Text", width="large"),
            "full": number(f"{name} at {found.full_dim:,}", format="%.3f"),
            "dim": number(f"at {found.dim:,}", format="%.3f"),
            "change": number("Change", format="%+.3f"),
        },
    )
    rows = chosen["selection"]["rows"]
    return found.worst[rows[0] if rows and rows[0] < len(found.worst) else 0].query_row


def _lost_and_gained(changes: QueryChanges, known: Documents) -> None:
    text = known.query_text(changes.query_row)
    name = plain(changes.query_id) if text is None else f"{plain(changes.query_id)}: {plain(text)}"
    st.markdown(f"**{name}**")
    left, right = st.columns(2, gap="large")
    for column, title, listed, there in (
        (left, "Lost", changes.lost, changes.dim),
        (right, "Gained", changes.gained, changes.full_dim),
    ):
        with column:
            st.subheader(f"{title}: {len(listed)} of {len(changes.full)}", anchor=False)
            if listed:
                documents.ranking(listed, known, is_full=title == "Lost", there=there, depth=changes.depth)
            else:
                st.caption("None.")
    n_kept = len(changes.full) - len(changes.lost)
    if changes.recall is not None and round(changes.recall * len(changes.full)) > n_kept:
        st.caption(
            "Recall counts more than what is kept here: a document that ties with the last of the top k is a hit."
        )


def _worst_segment(found: Losses) -> str:
    worst = next((segment for segment in found.segments if segment.name == found.worst_segment), None)
    if worst is None or worst.change is None:
        return "No group that is large enough to judge gets worse."
    clearly = "clearly worse than the others" if worst.clearly_worse else "not clearly worse than the others"
    return (
        f"**{plain(worst.name)}** loses most: {_signed(worst.change.mean)} ({_signed_span(worst.change)}) over "
        f"{worst.n_queries:,} queries, {clearly}."
    )


def _card(label: str, value: str, below: str) -> None:
    st.metric(label, value, below, delta_color="off", delta_arrow="off", border=True, height="stretch")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _signed_span(change: Interval) -> str:
    return f"{_signed(change.low)} to {_signed(change.high)}"
