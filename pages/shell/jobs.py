"""Background jobs on a page: start, watch, cancel, and pick up what they returned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, JobNotFoundError
from engine.workspace import JobNote
from pages.shell import state
from pages.shell.company import allowed
from pages.shell.data.loading import Loading, Question, Slot, load_work
from pages.shell.services import services
from pages.shell.sweep.sweeping import SweepRequest, first_request, note_of, sweep_work
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import InterruptedJob, Job
    from engine.workspace.jobs import Work
    from pages.shell.state import Purpose

_POLL_S = 1.0


def start_sweep(request: SweepRequest, *, instead_of: InterruptedJob | None = None) -> None:
    """Sweep in the background, in the place of an interrupted job when given.

    The run is stored by the job itself, so that a closed tab loses nothing; a restart offers to start it again.
    """
    work = sweep_work(request, services().workspace)
    label = f"Sweep of {request.source.name}"
    _start("sweep", label, work, note=note_of(request), instead_of=instead_of)


def start_load(asked: Loading) -> None:
    """Read and inspect a data set in the background, in place of the one that may still be read."""
    for job_id in state.followed_jobs("load"):
        _cancel(job_id)
    state.follow_jobs("load", ())
    state.set_loading(asked)
    state.set_question(None)
    slot = Slot()
    state.set_slot(slot)
    _start("load", f"Loading {asked.label}", load_work(asked, slot))


def take_loaded() -> None:
    """Open what was loaded since the page was drawn last, or keep the question that it leaves open."""
    for finished in _take_finished("load"):
        slot = state.slot()
        found = None if finished.state != "done" or slot is None else slot.found
        state.set_slot(None)
        if isinstance(found, Question):
            state.set_question(found)
            continue
        state.set_loading(None)
        if found is not None:
            state.hold_set(found)


def take_swept() -> None:
    """Show the run of the last sweep that finished since the page was drawn."""
    for finished in _take_finished("sweep"):
        if finished.state != "done":
            continue
        try:
            run_id = services().jobs.result(state.owner(), finished.id)
        except JobNotFoundError:
            continue  # forgotten a moment ago; its run is stored and in the list
        state.open_run(run_id)


def start_measuring(label: str, work: Work) -> None:
    """Measure what a run leaves open in the background."""
    _start("explore", label, work, note=JobNote(label="Measuring for a sweep", purpose="explore"))


def take_measured() -> list[Job]:
    """Return the measurings of this tab that finished since the page was drawn last, once."""
    return _take_finished("explore")


def start_test(label: str, work: Work) -> None:
    """Simulate or analyse an experiment in the background; the job stores its run itself."""
    _start("experiment", label, work, note=JobNote(label="A/B test", purpose="experiment"))


def take_tested() -> str | None:
    """Return the run of the last experiment of this tab that finished since the page was drawn, once."""
    run_id = None
    for finished in _take_finished("experiment"):
        if finished.state == "done":
            try:
                run_id = str(services().jobs.result(state.owner(), finished.id))
            except JobNotFoundError:
                continue  # forgotten a moment ago; its run is stored and in the list
    return run_id


def start_looking(label: str, work: Work) -> None:
    """Look at the stores of a migration, or ask them, in the background."""
    _start("migration", label, work)


def take_looked() -> list[Job]:
    """Return the looks of this tab at stores that finished since the page was drawn last, once."""
    return _take_finished("migration")


def start_demonstration(label: str, work: Work) -> None:
    """Build the demonstration in the background; every stage is kept as soon as it is done."""
    _start("demonstration", label, work)


def take_demonstrated() -> None:
    """Say how the demonstration of this tab ended, when it has since the page was drawn last and not as asked."""
    for finished in _take_finished("demonstration"):
        if finished.state == "cancelled":
            said = "The demonstration was cancelled; the stages that were done are kept, and it can go on from there."
            state.set_notice("demonstration", state.Notice(level="info", sentence=said))


def start_evidence(label: str, work: Work) -> None:
    """Measure something for the checklist in the background; the job keeps what it finds itself."""
    _start("runbook", label, work, note=JobNote(label=label, purpose="runbook"))


def take_evidence() -> None:
    """Say how what was measured for the checklist ended, when it did not succeed."""
    _take_finished("runbook")


def show_progress(purpose: Purpose, *, news: Callable[[], object] | None = None) -> None:
    """Show the jobs of `purpose` that run, each with a cancel button, and how the last one ended.

    The page is also drawn anew when `news` returns something else than now.
    """
    said = state.notice(purpose)
    if said is not None:
        {"error": st.error, "info": st.info}[said.level](sentence(said.sentence))
    for job_id in state.followed_jobs(purpose):
        watch(state.owner(), job_id, cancellable=True, news=news)


def _start(
    purpose: Purpose,
    label: str,
    work: Work,
    *,
    note: JobNote | None = None,
    instead_of: InterruptedJob | None = None,
) -> None:
    state.set_notice(purpose, None)
    try:
        job = _submit(label, work, note, instead_of)
    except EngineError as error:
        state.set_notice(purpose, state.Notice(level="error", sentence=str(error)))
        return
    state.follow_jobs(purpose, (*state.followed_jobs(purpose), job.id))


def _submit(label: str, work: Work, note: JobNote | None, instead_of: InterruptedJob | None) -> Job:
    """Queue `work`; with a `note` it is written down until it has ended, so that a restart can name it."""
    shared = services()
    if note is None:
        return shared.jobs.submit(state.owner(), label, work)
    key = shared.job_records.begin(note, instead_of=instead_of)
    try:
        return shared.jobs.submit(state.owner(), label, work, on_end=lambda: shared.job_records.end(key))
    except BaseException:
        shared.job_records.end(key)
        raise


def _take_finished(purpose: Purpose) -> list[Job]:
    """Return this tab's jobs of `purpose` that came to their end, once; say how when one did not succeed."""
    finished: list[Job] = []
    going: list[Job] = []
    for job_id in state.followed_jobs(purpose):
        try:
            job = services().jobs.job(state.owner(), job_id)
        except JobNotFoundError:
            continue  # forgotten long after it ended
        (finished if job.is_finished else going).append(job)
    state.follow_jobs(purpose, tuple(job.id for job in going))
    for job in finished:
        if job.state == "failed":
            state.set_notice(purpose, state.Notice(level="error", sentence=job.error or "The work failed."))
        elif job.state == "cancelled":
            said = f"{job.label} was cancelled; nothing was kept."
            state.set_notice(purpose, state.Notice(level="info", sentence=said))
    return finished


def first_sweep() -> Job | None:
    """Start the sweep that an empty workspace begins with, once for the process.

    None when there are sweeps, or when it ended without a run: `offer_first_sweep` says why and offers another try.
    """
    shared = services()
    if shared.workspace.runs(kind="sweep", limit=1) or allowed.refusal("job", "start"):
        return None
    first = shared.first_sweep
    with first.lock:
        if first.error is not None:
            return None
        if first.job_id is None:
            request = first_request()
            work = sweep_work(request, shared.workspace)
            first.job_id = shared.jobs.submit(first.owner, f"Sweep of {request.source.name}", work).id
        try:
            job = shared.jobs.job(first.owner, first.job_id)
        except JobNotFoundError as error:
            first.job_id, first.error = None, str(error)
            return None
        if job.state in {"failed", "cancelled"}:
            first.job_id, first.error = None, job.error or "The first sweep was cancelled."
            return None
    return job


def offer_first_sweep() -> bool:
    """Say why the first sweep ended without a run and offer to try again; False when it did not."""
    if allowed.refusal("job", "start"):
        return _say_nothing_is_here()
    error = services().first_sweep.error
    if error is None:
        return False
    st.error(sentence(error))
    st.button("Try again", type="primary", key="first_sweep_again", on_click=_try_again)
    return True


def _say_nothing_is_here() -> bool:
    is_empty = not services().workspace.runs(kind="sweep", limit=1)
    if is_empty:
        st.info("Nothing is here yet. An operator begins with a first sweep.", icon=":material/hourglass_empty:")
    return is_empty


def _try_again() -> None:
    first = services().first_sweep
    with first.lock:
        first.error = None


def show_first_sweep(job: Job) -> None:
    """Show how far the first sweep is; the page is drawn anew when it is over."""
    watch(services().first_sweep.owner, job.id, cancellable=False)


def watch(owner: str, job_id: str, *, cancellable: bool, news: Callable[[], object] | None = None) -> None:
    """Show how far a job is; the page is drawn anew when it is over or `news` returns something else than now."""
    told = None if news is None else news()
    _watch(owner, job_id, cancellable=cancellable, news=news, told=told, with_page=[True])


@st.fragment(run_every=_POLL_S)
def _watch(
    owner: str,
    job_id: str,
    *,
    cancellable: bool,
    news: Callable[[], object] | None,
    told: object,
    with_page: list[bool],
) -> None:
    shared = services()
    # The page that this is drawn with may have a click to answer further down, which would be lost: a poll comes soon.
    is_poll = not (with_page and with_page.pop())
    try:
        job = shared.jobs.job(owner, job_id)
    except JobNotFoundError:
        if is_poll:
            st.rerun()
        return
    if is_poll and (job.is_finished or (news is not None and news() != told)):
        st.rerun()
    what = "Waiting for a free worker" if job.state == "queued" else job.message or "Starting"
    what = "Stopping" if job.cancelling else what
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(job.share, text=f"**{plain(job.label)}**  \n{plain(what)} · {job.elapsed_s:.0f} s")
        if cancellable:
            st.button("Cancel", key=f"cancel_{job_id}", on_click=_cancel, args=(job_id,), disabled=job.cancelling)
    shared.nudges.listen(False, lambda: shared.jobs.job(owner, job_id).is_finished, poll_s=_POLL_S)


def _cancel(job_id: str) -> None:
    try:
        services().jobs.cancel(state.owner(), job_id)
    except JobNotFoundError:
        return  # it was forgotten, so there is nothing left to stop
