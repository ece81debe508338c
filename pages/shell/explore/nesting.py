"""The nesting panel: whether the order of the components is worth anything, and whether a projection beats it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import nesting as charts
from pages.shell import figures
from pages.shell.explore.frame import measure_again, small_print
from pages.shell.text import plain

if TYPE_CHECKING:
    from engine.tradeoff import Interval
    from engine.tradeoff.nesting.diagnosis import Diagnosis
    from pages.shell.explore.frame import Opened

KEY = "nesting"
_COLOURS = {"ordered": "green", "spread evenly": "red", "undecided": "yellow"}


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: Diagnosis = answer.result
    with st.container(horizontal=True, key="nest_verdicts"):
        for verdict in result.verdicts:
            st.badge(verdict, color=_COLOURS.get(verdict, "blue"))
    for words in result.sentences:
        st.markdown(plain(words))
    figures.show(
        charts.nesting_chart(result, colours=figures.colours()),
        alt=charts.describe_nesting(result),
        key="nesting_chart",
    )
    st.header("Gains at equal size", anchor=False)
    _table(result)
    small_print(
        result,
        facts=(
            f"{result.n_queries:,} queries",
            f"{result.n_subsets} random subsets",
            f"PCA fitted on {result.n_fitted:,} documents",
        ),
    )
    measure_again(opened, KEY)


def _table(result: Diagnosis) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        [
            {
                "dim": point.dim,
                "prefix": point.prefix.mean,
                "random": point.random.mean,
                "spread": point.random_std,
                "tail": point.tail.mean,
                "pca": point.projection.mean,
                "order gain": _points(point.order_gain),
                "projection gain": _points(point.projection_gain),
            }
            for point in result.points
        ],
        hide_index=True,
        key="nesting_table",
        column_config={
            "dim": number("Dimensions", format="localized", pinned=True),
            "prefix": number("Prefix", format="%.3f"),
            "random": number("Random subsets", format="%.3f"),
            "spread": number("their spread (std)", format="%.3f"),
            "tail": number("Tail", format="%.3f"),
            "pca": number("PCA", format="%.3f"),
            "order gain": text("Prefix over random, points"),
            "projection gain": text("PCA over prefix, points"),
        },
    )


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})".replace("-", "−")
