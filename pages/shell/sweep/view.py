"""The parts of the Sweep page that show a stored sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import streamlit as st

from engine.charts import VERDICTS, companion_chart, describe, describe_companion, target_chart
from engine.tradeoff import Criterion, default_criterion
from pages.shell import figures, frame, state
from pages.shell.choices import choose_k, choose_quantity
from pages.shell.sweep.table import score, scores, share, shares
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tradeoff import Point, SweepResult, SweepSummary, Verdict
    from engine.workspace import Run

_BADGES: Mapping[Verdict, Literal["green", "yellow", "red"]] = {
    "safe": "green",
    "undecided": "yellow",
    "harmful": "red",
}
_DEFAULT_TARGET = 0.95


def headline(summary: SweepSummary) -> None:
    """State the recommendation: verdict, dimension, reason; with what kind of data it rests on."""
    full = summary.points[-1].dim
    said = summary.recommendation
    style = VERDICTS[said.verdict]
    if said.dim is not None:
        title, verdict = f"Keep {said.dim:,} of {full:,} dimensions", f"{style.symbol} {said.verdict}"
    elif said.verdict == "harmful":
        title, verdict = f"Keep all {full:,} dimensions", f"{style.symbol} every smaller dimension is harmful"
    else:
        title, verdict = f"No smaller dimension is safe yet; keep all {full:,}", f"{style.symbol} undecided"
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.title(title, anchor=False, width="content")
            st.badge(verdict, color=_BADGES[said.verdict])
            for label in summary.dataset.labels:
                st.badge(plain(label), color="gray")
        with st.container(key="reason"):
            st.markdown(plain(said.reason, longest=2000).replace(" \\%", "\u00a0\\%"))  # a number keeps its unit


def metrics(summary: SweepSummary) -> None:
    """Show the recommended dimension in numbers, or the largest smaller one when none is recommended."""
    k, full = summary.criterion.k, summary.points[-1]
    point = _spotlight(summary)
    recommended = summary.recommendation.dim is not None
    at = "" if recommended else f" at {point.dim:,}"
    saved = 1 - point.bytes_per_vector / full.bytes_per_vector
    with st.container(horizontal=True, gap="small"):
        _card(
            "Recommended",
            f"{point.dim:,}" if recommended else "none yet",
            f"of {full.dim:,}",
            "The smallest dimension whose verdict is safe after Holm's correction over the dims tried.",
        )
        _card(
            f"Bytes saved{at}",
            f"{100 * saved:.0f} %",
            f"{point.bytes_per_vector:,} of {full.bytes_per_vector:,} a vector",
            "Components as float32, 4 bytes each.",
        )
        _card(
            f"Recall@{k}{at}",
            score(point.recall[k].mean),
            f"95 % interval {scores(point.recall[k])}",
            f"The share of the full dimension's top {k} that is still found.",
        )
        if point.retention:
            _card(
                f"nDCG@{k} kept{at}",
                share(point.retention[k].mean),
                f"95 % interval {shares(point.retention[k])}",
                f"nDCG@{k} against the relevance judgements, over that of the full dimension.",
            )


def criterion_controls(result: SweepResult) -> Criterion:
    """Let the reader choose what is judged, at which k, against which target; the URL keeps all three."""
    room = max(1.0, 0.34 * len(result.ks))  # so that five values of k stay in one row on a laptop
    left, middle, right = st.columns([1.1, room, 2], gap="medium", vertical_alignment="bottom")
    with left:
        quantity = choose_quantity(
            "Criterion",
            has_judgements=result.has_judgements,
            help="recall: neighbours of the full dimension that are still found. nDCG: ranking quality that is kept, "
            "for sets with relevance judgements.",
        )
    with middle:
        k = choose_k(result.ks, default=default_criterion(result).k)
    target = right.slider(
        "Target",
        0.5,
        1.0,
        _DEFAULT_TARGET,
        0.005,
        format="%.3f",
        key=state.TARGET_KEY,
        bind="query-params",
        help="recall: the mean recall@k to reach. nDCG: the share of the full dimension's nDCG@k to keep. Moving it "
        "reads the stored values again; nothing is scored.",
    )
    return Criterion(quantity=quantity, k=k, target=float(target))


def charts(summary: SweepSummary) -> None:
    """Draw the judged curve and, with relevance judgements, the other one; a clicked point leads to its queries."""
    colours = figures.colours()
    figures.redraw_for_another_theme()
    clicked = figures.show_selectable(target_chart(summary, colours=colours), alt=describe(summary), key="target_chart")
    if clicked is not None:
        _go_to_queries(int(clicked))
    smaller = summary.points[:-1]
    if smaller and st.button(
        "See who loses",
        icon=":material/manage_search:",
        key="see_queries",
        help="Queries, lost documents and groups. A click on a point of the curve leads there at its dimension.",
    ):
        _go_to_queries(_spotlight(summary).dim)
    companion = companion_chart(summary, colours=colours)
    if companion is not None:
        by_recall = summary.criterion.quantity == "recall"
        st.header("Ranking quality" if by_recall else "Neighbours found", anchor=False)
        figures.show(companion, alt=describe_companion(summary) or "", key="companion_chart")


def provenance(run: Run, result: SweepResult) -> None:
    """Say on what, how and when this was measured, and what to beware of."""
    info = result.dataset
    facts = [
        f"**{plain(info.name)}**",
        *(plain(label) for label in info.labels),
        f"{info.n_docs:,} documents",
        f"{info.n_queries:,} queries",
        result.metric,
        *(["layer-norm first"] if result.recipe == "layer_norm" else []),
        f"seed {result.seed}",
        local_time(run.created_at, st.context.timezone),
        f"{run.elapsed_s:.1f} s on {_where(run, result)}",
    ]
    st.caption(" · ".join(facts))
    warnings = [*info.warnings, *result.warnings]
    if warnings:
        st.warning("  \n".join(plain(sentence) for sentence in warnings), icon=":material/info:")


def environment(run: Run) -> None:
    """List everything that was recorded with the run."""
    if run.created_by:
        st.caption(f"Made by {plain(run.created_by)}")
    st.caption("Data set digest (sha256)")
    st.code(str(run.dataset.get("sha256", "")), language=None, wrap_lines=True)
    st.caption("Environment")
    st.json(run.environment, expanded=1)


def _where(run: Run, result: SweepResult) -> str:
    cluster = result.cluster
    if cluster is None:
        return plain(run.environment.get("cpu") or "an unknown CPU")
    return f"a Dask cluster of {cluster.workers:,} worker{'' if cluster.workers == 1 else 's'}"


def _spotlight(summary: SweepSummary) -> Point:
    chosen = summary.recommendation.dim
    if chosen is not None:
        return next(point for point in summary.points if point.dim == chosen)
    return summary.points[max(0, len(summary.points) - 2)]


def _go_to_queries(dim: int) -> None:
    """Leave for the Queries page at `dim`, in the view that this page shows."""
    frame.go_to("queries", {state.DIM_KEY: str(dim), "queries": "Who loses?"})


def _card(label: str, value: str, below: str, explained: str) -> None:
    st.metric(label, value, below, delta_color="off", delta_arrow="off", border=True, height="stretch", help=explained)
