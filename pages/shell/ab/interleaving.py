"""The interleaving panel: both ranked lists on one page, and which of them simulated clicks prefer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import experiment_plans as charts
from engine.errors import EngineError
from engine.experiment.interleaved import InterleavedTraffic, simulate_interleaving
from engine.experiment.presets import preset
from engine.experiment.wording import p_text, percent
from pages.shell import figures
from pages.shell.ab import form as ab_form
from pages.shell.ab import testing as ab_testing
from pages.shell.ab import view as ab_view
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.workspace import Run

_MOST_PAGES = 500_000


def show() -> None:
    """Let the reader choose two dimensions of a stored sweep, and show which list is preferred."""
    st.markdown(
        "Every result page mixes both ranked lists (team draft), and the list whose results are clicked more often "
        "wins the page. Each user compares both, so a first answer takes far fewer users than an A/B test."
    )
    run, dims = ab_form.ground("interleaving")
    if run is None:
        return
    left, right = st.columns(2)
    n_pages = left.number_input("Result pages", 1, _MOST_PAGES, 100_000, 10_000, key="interleaved_pages")
    seed = right.number_input(
        "Seed",
        0,
        2**31,
        preset(ab_form.FIRST_PRESET).settings.seed,
        key="interleaved_seed",
        help="Draws users, clicks and which queries are popular: the same seed as a simulation has the same ones.",
    )
    try:
        found = _interleaved(run, dims, n_pages=int(n_pages), seed=int(seed))
    except EngineError as error:
        st.error(sentence(error))
        return
    _result(found)


def _result(found: InterleavedTraffic) -> None:
    wins = found.preference
    control, treatment = found.dims
    if wins.share is None or wins.low is None or wins.high is None:
        st.info("No page preferred a list: nobody clicked, or both lists are the same.")
    else:
        better = None if wins.low <= 0.5 <= wins.high else control if wins.low > 0.5 else treatment
        head = "Neither list is preferred." if better is None else f"The list of {better:,} dimensions is preferred."
        st.markdown(
            f"**{head}** "
            + ab_view.words(
                f"Of the pages that preferred one, {percent(wins.share)} preferred {control:,} dimensions "
                f"({percent(wins.confidence)} interval {percent(wins.low)} to {percent(wins.high)}"
                + ("" if wins.p_value is None else f", {p_text(wins.p_value)}")
                + ")."
            )
        )
        figures.show(
            charts.preference_chart(found, colours=figures.colours()),
            alt=charts.describe_preference(found),
            key="preference_chart",
        )
    st.caption(
        f"simulated · {found.n_pages:,} pages · {wins.wins_a:,} for {control:,} · {wins.wins_b:,} for {treatment:,} · "
        f"{wins.ties:,} ties · {found.n_clicks:,} clicks"
    )
    st.info(
        "What this cannot say: how many clicks either list would earn on its own, whether people convert, what it "
        "costs in latency or errors, and what happens when they come back. It does not replace the A/B test.",
        icon=":material/info:",
    )
    for words in found.assumptions:
        st.caption(plain(words))


def _interleaved(run: Run, dims: dict[str, int], *, n_pages: int, seed: int) -> InterleavedTraffic:
    key = f"{services().workspace.id}/{run.id}/{dims}/{n_pages}/{seed}"
    settings = replace(preset(ab_form.FIRST_PRESET).settings, seed=seed, **dims)
    return _cached(key, run, settings, n_pages)


@st.cache_resource(max_entries=16, show_spinner="Interleaving")
def _cached(key: str, _run: Run, _settings: TrafficSettings, _n_pages: int) -> InterleavedTraffic:  # noqa: ARG001
    grounds = ab_testing.grounds_of(_run, None)
    return simulate_interleaving(_settings, grounds["sweep"], judgements=grounds["judgements"], n_pages=_n_pages)
