"""Which read-out the A/B test page shows: the one in the URL, else the newest; how to choose; and the first one."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import VERDICTS
from engine.errors import JobNotFoundError, RunNotFoundError
from engine.experiment.presets import preset
from engine.experiment.storage import KIND, load_analysis
from pages.shell import jobs, state
from pages.shell.ab import testing as ab_testing
from pages.shell.ab.form import FIRST_PRESET
from pages.shell.company import allowed
from pages.shell.services import services
from pages.shell.text import local_time, sentence, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.experiment.results import Analysis
    from engine.workspace import Job, Run, Workspace

_CHOICE_KEY = "ab_choice"


@dataclass(eq=False, kw_only=True)
class _First:
    """The simulation that an empty workspace begins with: one for the process, watched by every tab, owned by none."""

    owner: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    job_id: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def take_finished() -> None:
    """Show the run of the last test that finished since the page was drawn."""
    run_id = jobs.take_tested()
    if run_id is not None:
        state.open_experiment(run_id)
        state.set_next(state.NEW_TEST_KEY, False)


def opened_run() -> Run | None:
    """Return the run to show; None after saying why there is none, while the first one is made, or when it failed."""
    workspace = services().workspace
    runs = workspace.runs(kind=KIND)
    asked = state.asked_experiment()
    if not runs and not asked:
        _first_run()
        return None
    try:
        run = workspace.run(asked or runs[0].id)
    except RunNotFoundError as error:
        st.error(sentence(error))
        if runs:
            st.button("Open the newest test", type="primary", on_click=state.open_experiment, args=(runs[0].id,))
        return None
    if run.kind != KIND:
        instead = "; the newest test is shown instead" if runs else ""
        st.warning(f"The run in the address is no A/B test{instead}.", icon=":material/link_off:")
        state.forget_experiment()
        return opened_run()
    state.open_experiment(run.id)
    return run


def choose_run(shown: Run | None) -> None:
    """Offer the stored read-outs, newest first."""
    runs = {run.id: run for run in services().workspace.runs(kind=KIND)}
    if shown is not None:
        runs.setdefault(shown.id, shown)
    titles = _titles(runs, st.context.timezone)
    # The choice follows the run that is shown, whoever changed it.
    st.session_state[_CHOICE_KEY] = None if shown is None else shown.id
    st.selectbox(
        "Test",
        list(runs),
        index=None if shown is None else 0,  # the session state decides; Streamlit warns of another index
        format_func=titles.__getitem__,
        key=_CHOICE_KEY,
        on_change=_open_choice,
        placeholder="Choose a stored test",
        label_visibility="collapsed",
    )


def stored(run: Run) -> Analysis:
    """Return the read-out that a run keeps. Raises WorkspaceError or RunNotFoundError."""
    workspace = services().workspace
    return _stored(f"{workspace.id}/{run.id}", workspace, run.id)


def _first_run() -> None:
    """Simulate one test for a workspace that has none, and show how far that is."""
    if allowed.refusal("job", "start"):
        st.info("No test is here yet. An operator simulates or reads the first one.", icon=":material/hourglass_empty:")
        return
    shared = services()
    first = _first(shared.workspace.id)
    with first.lock:
        if first.job_id is None:
            chosen = preset(FIRST_PRESET)
            request = ab_testing.simulated(chosen.settings)
            work = ab_testing.experiment_work(request, shared.workspace)
            first.job_id = shared.jobs.submit(first.owner, request.label, work).id
    try:
        job: Job | None = shared.jobs.job(first.owner, first.job_id)
    except JobNotFoundError:
        job = None
    if job is None or job.state in {"failed", "cancelled"}:
        st.error(sentence((job and job.error) or "The first simulation ended without a read-out."))
        st.button("Try again", type="primary", key="first_test_again", on_click=_try_again, args=(first,))
    elif job.is_finished:
        st.rerun()  # it was stored since the list of runs was read
    else:
        st.markdown("No test is stored yet: a simulated one is on its way, to show what a read-out looks like.")
        jobs.watch(first.owner, job.id, cancellable=False)


def _try_again(first: _First) -> None:
    with first.lock:
        first.job_id = None


def _open_choice() -> None:
    chosen = st.session_state[_CHOICE_KEY]
    try:
        state.open_experiment(services().workspace.run(chosen or "").id)
    except RunNotFoundError:
        return  # nothing was chosen, or a title that no test has any more


def _titles(runs: Mapping[str, Run], zone: str | None) -> dict[str, str]:
    return told_apart({run_id: _title(run, zone) for run_id, run in runs.items()})


def _title(run: Run, zone: str | None) -> str:
    verdict = run.summary.get("verdict")
    mark = f"{VERDICTS[verdict].symbol} {verdict}" if verdict in VERDICTS else "no verdict"
    kind = "log" if run.parameters.get("file") else "simulated" if run.parameters.get("traffic") else "totals"
    facts = [str(run.dataset.get("name", "Unnamed test")), kind]
    return " · ".join([*facts, mark, local_time(run.created_at, zone)])


@st.cache_resource(max_entries=2, show_spinner=False)
def _first(workspace_id: str) -> _First:  # noqa: ARG001  # what the cache looks up
    return _First()


@st.cache_resource(max_entries=16, show_spinner=False)
def _stored(key: str, _workspace: Workspace, _run_id: str) -> Analysis:  # noqa: ARG001  # what the cache looks up
    return load_analysis(_workspace, _run_id)
