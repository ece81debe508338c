"""The forecast panel: whether recall holds as the corpus grows, and how well the trend was tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import forecast as charts
from engine.tradeoff.growth.forecast import LARGEST_TARGET
from engine.tradeoff.panels import PanelOptions
from pages.shell import figures
from pages.shell.explore.frame import measure_again, small_print
from pages.shell.sweep.table import score, scores
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tradeoff.growth.forecast import DimForecast, Forecast
    from pages.shell.explore.frame import Opened

KEY = "forecast"
_SHOWN_AT_FIRST = 4


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: Forecast = answer.result
    st.markdown(_words(result, opened.dim))
    st.markdown(plain(result.sentence))
    _target(opened, result)
    swept = [one.dim for one in result.dims]
    shown = st.pills(
        "Dimensions shown",
        swept,
        selection_mode="multi",
        default=swept[-_SHOWN_AT_FIRST:],
        key="forecast_dims",
        format_func=lambda dim: f"{dim:,}",
    )
    if shown:
        figures.show(
            charts.forecast_chart(result, dims=shown, colours=figures.colours()),
            alt=charts.describe_forecast(result, dims=shown),
            key="forecast_chart",
        )
    else:
        st.caption("Choose at least one dimension.")
    st.header("Every dimension", anchor=False)
    _table(result.dims, result)
    small_print(
        result,
        facts=(f"{result.n_queries:,} queries", f"{len(result.sizes)} sizes from {result.sizes[0]:,} documents"),
    )


def _words(result: Forecast, dim: int) -> str:
    one = next((one for one in result.dims if one.dim == dim), result.dims[-1])
    size = f"{one.dim:,} of {result.dataset.dim:,} dimensions"
    return (
        f"At **{size}** recall@{result.k} is {one.measured[-1].mean:.3f} with "
        f"{result.sizes[-1]:,} documents; with **{result.target_size:,}** the trend expects "
        f"**{one.at_target.mean:.3f}** ({scores(one.at_target)})."
    )


def _target(opened: Opened, result: Forecast) -> None:
    """Let the reader name the size of the corpus to come; only this panel is measured again for it."""
    if opened.found is None:
        return
    n_docs = result.dataset.n_docs
    with st.container(horizontal=True, vertical_alignment="bottom"):
        target = st.number_input(
            "Documents you expect",
            n_docs,
            LARGEST_TARGET,
            min(LARGEST_TARGET, max(n_docs, result.target_size)),
            max(1, n_docs),
            width=240,
            key=f"forecast_target_{result.target_size}",
            help=f"From {n_docs:,}, the size of the corpus, upwards.",
        )
        measure_again(opened, KEY, options=PanelOptions(target_size=int(target)), label="Forecast for this size")


def _table(dims: Sequence[DimForecast], result: Forecast) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    rows = []
    for one in dims:
        worst = max(one.held_back, key=lambda held: abs(held.error))
        rows.append(
            {
                "dim": one.dim,
                "measured": f"{score(one.measured[-1].mean)} ({scores(one.measured[-1])})",
                "forecast": f"{score(one.at_target.mean)} ({scores(one.at_target)})",
                "slope": one.logit_slope,
                "test": f"{sum(held.inside for held in one.held_back)} of {len(one.held_back)}",
                "predicted": score(worst.predicted.mean),
                "found": score(worst.measured.mean),
                "widened": one.widened_by,
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        key="forecast_table",
        column_config={
            "dim": number("Dimensions", format="localized", pinned=True),
            "measured": text(f"Measured at {result.sizes[-1]:,}"),
            "forecast": text(f"Forecast at {result.target_size:,}"),
            "slope": number("Slope", format="%.2f", help="Change of recall's logit with every tenfold corpus."),
            "test": text(
                "Held back, inside", help="Sizes kept from the fit whose value lay in the predicted interval."
            ),
            "predicted": text("Largest miss: predicted"),
            "found": text("measured"),
            "widened": number("Widened by", format="×%.2f", help="By how much that test widened the intervals."),
        },
    )
