"""Runs side by side: what each of them recommends, how they differ, and what keeps them from being alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import VERDICTS
from engine.charts import comparison as charts
from engine.present.report.comparison import compared_runs, compared_values
from engine.present.report.tables import table_bytes
from engine.present.report.wording import interval_words, written
from pages.shell import figures, frame, state
from pages.shell.company import allowed
from pages.shell.report.blocks import VERDICT_COLOURS, said, show_block
from pages.shell.report.state import BESIDE_KEY
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tradeoff import Quantity
    from engine.tradeoff.run_comparison import ComparedRun, RunComparison, RunDifference

_CARDS_A_ROW = 4
_NAMES: dict[Quantity, str] = {"recall": "Recall", "ndcg": "nDCG"}


def side_by_side(found: RunComparison) -> None:
    """Show what each run recommends, the first one first."""
    for start in range(0, len(found.runs), _CARDS_A_ROW):
        row = found.runs[start : start + _CARDS_A_ROW]
        columns = st.columns(max(len(row), min(len(found.runs), _CARDS_A_ROW)))
        for column, (place, run) in zip(columns, enumerate(row, start), strict=False):
            with column, st.container(border=True, height="stretch", gap="xsmall", key=f"compared_{place}"):
                _card(found, run, is_first=place == 0)


def differences(found: RunComparison, quantity: Quantity) -> None:
    """Say and draw how the runs differ in one quantity."""
    st.header("What differs", anchor=False)
    if found.sentences:
        st.markdown("\n".join(f"- {said(words)}" for words in found.sentences))
    for words in found.warnings:
        st.caption(f":material/info: {said(words)}")
    name, colours = f"{_NAMES[quantity]}@{found.k}", figures.colours()
    st.markdown(f"**{name} of every run**")
    figures.show(
        charts.comparison_chart(found, quantity=quantity, colours=colours),
        alt=charts.describe_comparison(found, quantity=quantity),
        key="comparison_chart",
    )
    listed = found.differences_of(quantity)
    if not listed:
        st.info(
            f"There is no dimension at which {name} of these runs could be compared: sweep them at the same dims.",
            icon=":material/compare_arrows:",
        )
        return
    st.markdown(f"**Difference in {name} to the first run**")
    st.caption(" ".join(_pairing(found, listed)))
    figures.show(
        charts.difference_chart(found, quantity=quantity, colours=colours),
        alt=charts.describe_difference(found, quantity=quantity),
        key="difference_chart",
    )
    show_block(compared_values(found, quantity), key="compared_values")


def facts(found: RunComparison) -> None:
    """List what tells the runs from each other, and how the differences were found."""
    show_block(compared_runs(found), key="compared_runs")
    st.caption(
        f"k {found.k} · 95 % percentile bootstrap intervals over {found.n_resamples:,} resamples of the queries, "
        f"seed {found.seed}"
    )


def further(found: RunComparison) -> None:
    """Offer the values as files, and the report of the first run with the others beside it."""
    with st.container(horizontal=True):
        for quantity in found.quantities:
            st.download_button(
                f"CSV, {_NAMES[quantity]}@{found.k}",
                lambda quantity=quantity: table_bytes(compared_values(found, quantity)),
                file_name=f"dimshift-compare-{quantity}.csv",
                mime="text/csv",
                icon=":material/download:",
                key=f"compare_csv_{quantity}",
                on_click="ignore",
                disabled=not found.differences_of(quantity),
            )
        if st.button("Put it in a report", icon=":material/description:", key="compare_report"):
            first, *others = (run.run_id for run in found.runs)
            frame.go_to("report", {state.RUN_KEY: first, BESIDE_KEY: ",".join(others)})


def nothing_to_compare(n_runs: int) -> None:
    """Say what is missing for a comparison, and lead to where another run is made."""
    said = "No sweep is stored yet" if n_runs == 0 else "One sweep is stored, and a comparison takes two"
    st.info(
        f"{said}. Sweep another model, corpus or seed; the queries are paired by their ids.",
        icon=":material/compare_arrows:",
    )
    if st.button(
        "New sweep", type="primary", icon=":material/add:", key="compare_sweep", **allowed.shown("job", "start")
    ):
        state.open_new_sweep()
        frame.go_to("sweep")


def _card(found: RunComparison, run: ComparedRun, *, is_first: bool) -> None:
    full, style = run.dims[-1], VERDICTS[run.verdict]
    st.caption("The first" if is_first else f"Beside {plain(found.runs[0].label, longest=60)}")
    st.markdown(f"**{plain(run.label, longest=80)}**")
    with st.container(horizontal=True, gap="xsmall"):
        st.badge(f"{style.symbol} {run.verdict}", color=VERDICT_COLOURS[run.verdict])
        for label in run.dataset.labels:
            st.badge(plain(label, longest=60), color="gray")
    if run.recommended_dim is None:
        st.markdown(f"Keep all **{full:,}** dimensions")
    else:
        saved = written(1 - run.recommended_dim / full, "share")
        st.markdown(f"Keep **{run.recommended_dim:,}** of {full:,} dimensions, {plain(saved)} of the bytes saved")
    dim = run.recommended_dim or (run.dims[-2] if len(run.dims) > 1 else full)
    kept = " · ".join(_kept(found, run, quantity, dim) for quantity in found.quantities)
    st.caption(f"At {dim:,}: {kept}")


def _kept(found: RunComparison, run: ComparedRun, quantity: Quantity, dim: int) -> str:
    """Say what the run reaches at `dim`."""
    curve = next(one for one in found.curves_of(quantity) if one.run_id == run.run_id)
    value = curve.values[curve.dims.index(dim)]
    return plain(f"{_NAMES[quantity]}@{found.k} {written(value.mean, 'score')} ({interval_words(value)})")


def _pairing(found: RunComparison, listed: Sequence[RunDifference]) -> list[str]:
    """Say of every run how it was compared with the first."""
    said = {}
    for one in listed:
        name = plain(found.run(one.run_id).label, longest=80)
        said[one.run_id] = (
            f"{name}: paired query by query over {one.n_queries:,} shared queries."
            if one.is_paired
            else f"{name}: unpaired, since fewer than half of the queries are in both; each run is resampled by "
            "itself, so the intervals are wider."
        )
    return list(said.values())
