"""Jobs that a stop of the app interrupted: named after the restart, and started again or dismissed by a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from pages.shell import frame, jobs, state
from pages.shell.company.allowed import shown
from pages.shell.services import services
from pages.shell.sweep.sweeping import request_again
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from engine.workspace import InterruptedJob

_PAGE_OF = {"sweep": "datasets", "explore": "serving", "experiment": "ab-test", "runbook": "runbook"}
_MOST = 5


def show() -> None:
    """Name the interrupted jobs of the reader, the newest first; nothing where there is none."""
    try:
        left = services().job_records.interrupted()
    except EngineError as error:  # the page itself may not need the database that refused
        st.error(sentence(error))
        return
    for job in left[:_MOST]:
        _show(job)
    if len(left) > _MOST:
        st.caption(f"{len(left) - _MOST:,} more jobs were interrupted; they show when these are dealt with.")


def _show(job: InterruptedJob) -> None:
    fields = job.request
    request = None if fields is None else request_again(fields)
    when = local_time(job.began, st.context.timezone)
    name = f"Sweep of {request.source.name}" if request is not None else job.label
    words = f"**{plain(name)}**, begun {when}, was interrupted: Dimshift stopped before it was done."
    if request is None and fields is not None:
        words += " Its data set is not in the workspace, so load it again first."
    with st.container(border=True, key=f"interrupted_{job.id}", gap="xsmall"):
        st.markdown(f":material/power_off: {words} What was stored before is kept.")
        with st.container(horizontal=True):
            if request is not None:
                label, url = "Start again", None
            else:
                url = _PAGE_OF.get(job.purpose)
                label = "Load the data set" if fields is not None else "Open its page"
            if (request is not None or (url is not None and frame.is_listed(url))) and st.button(
                label,
                type="primary",
                icon=":material/restart_alt:",
                key=f"again_{job.id}",
                **shown("job", "start again"),
            ):
                _go_on(job, url)
            if st.button("Dismiss", key=f"dismiss_{job.id}", **shown("job", "dismiss")):
                _dismiss(job)
                st.rerun()


def _go_on(job: InterruptedJob, url: str | None) -> None:
    request = None if job.request is None else request_again(job.request)
    if request is not None:
        jobs.start_sweep(request, instead_of=job)
        frame.go_to("sweep")
    elif url is not None:
        _dismiss(job)
        frame.go_to(url)


def _dismiss(job: InterruptedJob) -> None:
    try:
        services().job_records.dismiss(job)
    except EngineError as error:
        state.set_notice("sweep", state.Notice(level="info", sentence=str(error)))
