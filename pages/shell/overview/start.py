"""How a workspace begins: a first sweep by itself, a demonstration of the whole path, or vectors of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import frame, jobs, state
from pages.shell.company.allowed import shown
from pages.shell.services import services

if TYPE_CHECKING:
    from engine.present.journey import Journey
    from engine.progress import Cancelled, Progress
    from engine.workspace import Job

_PURPOSE = "demonstration"


def take_finished() -> None:
    """Take in what became of this tab's demonstration since the page was drawn last."""
    jobs.take_demonstrated()


def is_building() -> bool:
    """Tell whether this tab builds the demonstration."""
    return bool(state.followed_jobs(_PURPOSE))


def first_sweep(journey: Journey) -> Job | None:
    """Start the sweep that an empty workspace begins with, and return it while it runs.

    Not beside a demonstration, which begins with that sweep itself.
    """
    if is_building() or journey.demonstration != "no":
        return None
    job = jobs.first_sweep()
    return None if job is None or job.is_finished else job


def progress(first: Job | None) -> None:
    """Show what is being made for a new workspace."""
    jobs.show_progress(_PURPOSE)
    if first is not None:
        st.markdown("A first sweep, of a data set that comes with Dimshift, is on its way: how few dimensions do?")
        jobs.show_first_sweep(first)
    else:
        jobs.offer_first_sweep()


def offer(journey: Journey) -> None:
    """Offer a demonstration of the whole path, and to begin with one's own vectors, where nothing is there yet."""
    if is_building():
        return
    if journey.demonstration == "under way":
        st.info("The demonstration is being built; what is done of it stands below.", icon=":material/movie:")
        return
    is_unfinished = journey.demonstration == "unfinished"
    if not (journey.is_untried or is_unfinished):
        return
    show, own = st.columns(2, gap="small")
    with show, st.container(border=True, height="stretch", key="offer_demonstration"):
        st.markdown("**See the whole path**")
        st.markdown(
            "From the bundled data through A/B test, rollout with an incident, and migration: built in about a minute, "
            "on a simulated clock, and labelled *simulated* wherever it is."
        )
        label = "Go on with the demonstration" if is_unfinished else "Build the demonstration"
        st.button(
            label,
            type="primary",
            icon=":material/movie:",
            key="build_demonstration",
            on_click=_build,
            **shown("job", "start"),
        )
    with own, st.container(border=True, height="stretch", key="offer_own"):
        st.markdown("**Bring your own vectors**")
        st.markdown(
            "NumPy, Parquet, CSV, HDF5, OpenAI batches, BEIR and more; with queries, and relevance judgements where "
            "you have them."
        )
        if st.button("Load my vectors", icon=":material/upload:", key="load_my_vectors"):
            frame.go_to("datasets")


def _build() -> None:
    # Here: it reaches into every room, and most visits build nothing.
    from engine.present.demonstration import build_demonstration

    workspace = services().workspace

    def work(progress: Progress, cancelled: Cancelled) -> None:
        build_demonstration(workspace, progress=progress, cancelled=cancelled)

    jobs.start_demonstration("Demonstration", work)
