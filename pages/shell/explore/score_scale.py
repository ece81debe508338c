"""The score scale panel: how scores move with the dimension, and what a cut-off used in production becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import score_scale as charts
from engine.errors import EngineError
from pages.shell import figures
from pages.shell.explore import explored
from pages.shell.explore.frame import measure_again, small_print
from pages.shell.sweep.table import share, shares
from pages.shell.text import sentence

if TYPE_CHECKING:
    from engine.tradeoff.queries.score_scale import CutoffTranslation, ScoreScale
    from pages.shell.explore.frame import Opened

KEY = "score-scale"
_USUAL_CUTOFF = 0.75


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: ScoreScale = answer.result
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        cutoff = st.number_input(
            "Cut-off in production",
            value=_first_cutoff(result),
            step=0.01,
            format="%.3f",
            width=220,
            key="cutoff",
            bind="query-params",
            help="The lowest score at the full dimension that is accepted; under l2 a negated squared distance.",
        )
        depth = st.segmented_control(
            "Scores shown",
            ["top 1", f"top {result.k}"],
            default=f"top {result.k}",
            required=True,
            key="score_depth",
        )
    try:
        found = explored.translation(answer, float(cutoff))
    except EngineError as error:
        st.error(sentence(error))
        return
    st.markdown(_words(result, found, opened.dim))
    drawn: charts.Depth = "top1" if depth == "top 1" else "topk"
    figures.show(
        charts.score_chart(result, found, depth=drawn, colours=figures.colours()),
        alt=charts.describe_scores(result, found, depth=drawn),
        key="score_chart",
    )
    st.header("The cut-off at every dimension", anchor=False)
    _table(found)
    small_print(result, facts=(f"{result.n_queries:,} queries",))
    measure_again(opened, KEY)


def _first_cutoff(result: ScoreScale) -> float:
    """Return the usual cut-off where it cuts anything off at the full dimension, else the median score there."""
    spread = result.topk[-1].percentiles
    return _USUAL_CUTOFF if spread[5] < _USUAL_CUTOFF < spread[95] else round(spread[50], 2)


def _words(result: ScoreScale, found: CutoffTranslation, dim: int) -> str:
    at = next((at for at in found.dims if at.dim == dim), found.dims[-1])
    return (
        f"{found.cutoff:g} accepts {share(found.accepted.mean)} of the results at the full dimension. "
        f"At **{at.dim:,} of {result.dims[-1]:,} dimensions** the cut-off that accepts as many is **{at.cutoff:.3f}** "
        f"({at.low:.3f}–{at.high:.3f}). It flips {share(at.flipped.mean)} of the results ({shares(at.flipped)}); "
        f"left at {found.cutoff:g} it would flip {share(at.kept_flipped.mean)}."
    )


def _table(found: CutoffTranslation) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        [
            {
                "dim": at.dim,
                "cutoff": at.cutoff,
                "interval": f"{at.low:.3f}–{at.high:.3f}",
                "flipped": 100 * at.flipped.mean,
                "flipped interval": shares(at.flipped),
                "lost": 100 * at.lost.mean,
                "gained": 100 * at.gained.mean,
                "own": 100 * at.own_accepted,
                "kept": 100 * at.kept_flipped.mean,
                "kept own": 100 * at.kept_own_accepted,
            }
            for at in found.dims
        ],
        hide_index=True,
        key="cutoff_table",
        column_config={
            "dim": number("Dimensions", format="localized", pinned=True),
            "cutoff": number("Cut-off", format="%.3f"),
            "interval": text("95 % interval"),
            "flipped": number("Flipped", format="%.1f %%", help="Results accepted at one of the two dims only."),
            "flipped interval": text("95 % interval "),
            "lost": number("Lost", format="%.1f %%"),
            "gained": number("Gained", format="%.1f %%"),
            "own": number("Own accepted", format="%.1f %%", help="Of what this dimension itself retrieves."),
            "kept": number("Flipped if kept", format="%.1f %%", help="With the cut-off left as it is."),
            "kept own": number("Own accepted if kept", format="%.1f %%"),
        },
    )
