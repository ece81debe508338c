"""Which run the Sweep page shows: the one in the URL, else the newest; and how to choose another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import RunNotFoundError
from pages.shell import jobs, state
from pages.shell.services import services
from pages.shell.text import local_time, sentence, told_apart

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from engine.workspace import Run

_CHOICE_KEY = "run_choice"


def opened_run() -> Run | None:
    """Return the run to show; None after saying that the one asked for is not there."""
    workspace = services().workspace
    runs = workspace.runs(kind="sweep")
    asked = state.asked_run()
    if not asked and runs:
        asked = runs[0].id
        state.open_run(asked)
    if not runs and jobs.offer_first_sweep() and not asked:
        return None
    try:
        return workspace.run(asked)
    except RunNotFoundError as error:
        st.error(sentence(error))
        if runs:
            st.button("Open the newest run", type="primary", on_click=state.open_run, args=(runs[0].id,))
        return None


def choose_run(shown: Run | None) -> None:
    """Offer the stored runs, newest first."""
    runs = {run.id: run for run in services().workspace.runs(kind="sweep")}
    if shown is not None:
        runs.setdefault(shown.id, shown)
    zone = st.context.timezone
    titles = told_apart({run_id: title_of(run, zone) for run_id, run in runs.items()})
    # The choice follows the run that is shown, whoever changed it.
    st.session_state[_CHOICE_KEY] = None if shown is None else shown.id
    st.selectbox(
        "Run",
        list(runs),
        index=None if shown is None else 0,  # the session state decides; Streamlit warns of another index
        format_func=lambda run_id: titles[run_id],
        key=_CHOICE_KEY,
        on_change=_open_choice,
        placeholder="Choose a stored run",
        label_visibility="collapsed",
    )


def run_bar(shown: Run | None) -> DeltaGenerator:
    """Offer the stored runs, and beside them the id of the one that is `shown`; return the place below that id."""
    left, right = st.columns([3, 1])
    with left:
        choose_run(shown)
    title = "Run id" if shown is None else "About"
    with right:
        about = st.popover(title, icon=":material/fingerprint:", width="stretch")
    with about:
        run_id_field()
    return about


def run_id_field() -> None:
    """Show the run's id, which the URL carries; another id opens another run."""
    st.text_input(
        "Run id",
        key=state.RUN_KEY,
        bind="query-params",
        max_chars=64,
        help="Part of this page's address: whoever opens the address sees this run in this view.",
    )


def title_of(run: Run, timezone: str | None) -> str:
    """Return how a sweep is named in a list: its data set with labels and size, and when it was made."""
    facts = run.dataset
    size = f"{facts.get('n_docs', 0):,} × {facts.get('dim', 0):,}"
    return " · ".join(
        [str(facts.get("name", "Unnamed set")), *facts.get("labels", ()), size, local_time(run.created_at, timezone)]
    )


def _open_choice() -> None:
    chosen = st.session_state[_CHOICE_KEY]
    try:
        state.open_run(services().workspace.run(chosen or "").id)
    except RunNotFoundError:
        return  # nothing was chosen, or a title that no run has any more
