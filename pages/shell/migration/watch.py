"""How far a running migration is, with what pauses and cancels it: of this process, or of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from engine.errors import EngineError
from engine.migration.job import JobRecord
from pages.shell import state
from pages.shell.company.allowed import refusal, shown
from pages.shell.flags import actor as flags_actor
from pages.shell.migration import view as migration_view
from pages.shell.services import services
from pages.shell.text import plain

if TYPE_CHECKING:
    from engine.migration.job import MigrationJob
    from engine.workspace import Job

_POLL_S = 1.0
_LABELS: dict[str, str] = {"copying": "Copying", "catching up": "Catching up", "indexing": "Building the index",
                           "validating": "Validating"}  # fmt: skip


def watch(migration: str) -> None:
    """Show how far a migration is; the page is drawn anew when it comes to its end."""
    _watch(migration)


@st.fragment(run_every=_POLL_S)
def _watch(migration: str) -> None:
    shared = services()
    here = shared.transfers.job(migration)
    job = JobRecord(shared.workspace, migration).read()
    is_here = here is not None and not here.is_finished
    if not is_here and (job is None or not job.is_running or migration_view.is_gone(job)):
        st.rerun()
    with st.container(border=True, gap="small", key="running"):
        if is_here and here is not None:
            _here(here, job)
        elif job is not None:
            _elsewhere(job)
        _buttons(migration, job, here)
    if state.notice("migration") is not None:
        st.rerun()


def _here(here: Job, job: MigrationJob | None) -> None:
    what = "Waiting for a free worker" if here.state == "queued" else here.message or "Looking at the stores"
    asked = _asked(job) or ("Stopping" if here.cancelling else None)
    st.progress(here.share, text=f"**{plain(here.label)}**  \n{plain(asked or what)} · {here.elapsed_s:.0f} s")


def _elsewhere(job: MigrationJob) -> None:
    """Show the newest checkpoint of a migration that another process works on."""
    done = JobRecord(services().workspace, job.id).progressed(job.generation)
    n_rows = _n_rows(job)
    rate = done.n_read / done.seconds if done.seconds else 0.0
    share = min(1.0, done.n_read / n_rows) if n_rows else 0.0
    of = f" of {n_rows:,}" if n_rows else ""
    left = f", about {(n_rows - done.n_read) / rate:,.0f} s left" if n_rows and rate and done.n_read < n_rows else ""
    owner = job.owner
    where = "" if owner is None else f" · process {owner.pid} on {plain(owner.host)}"
    st.progress(
        share,
        text=f"**{_asked(job) or _LABELS[job.state]}**, in another process{where}  \n"
        f"{done.n_read:,}{of} rows copied, {rate:,.0f} rows/s{left}",
    )


def _buttons(migration: str, job: MigrationJob | None, here: Job | None) -> None:
    is_asked = job is not None and job.asked is not None
    with st.container(horizontal=True):
        for what, icon, words in (
            ("pause", ":material/pause:", "What was copied stays, and a resume goes on behind it."),
            (
                "cancel",
                ":material/cancel:",
                "Ends it. What was copied stays, marked as unfinished, until you drop it.",
            ),
        ):
            st.button(
                what.capitalize(),
                icon=icon,
                key=f"{what}_migration",
                on_click=_ask,
                args=(migration, what),
                **shown(
                    "migration",
                    f"ask to {what}",
                    disabled=is_asked or (here is not None and here.cancelling),
                    help=words,
                ),
            )


def _ask(migration: str, what: Literal["pause", "cancel"]) -> None:
    shared = services()
    is_here = shared.transfers.is_at_work(migration)

    def ask() -> None:
        shared.workspace.check_access("migration", f"ask to {what}")
        record = JobRecord(shared.workspace, migration)
        job = record.read()
        # Before its first record, and where it waits for a store, only its own process can be told.
        if job is not None and job.is_running and not migration_view.is_gone(job):
            record.ask(what, actor=flags_actor.actor())

    flags_actor.attempt("migration", ask)
    if is_here and refusal("migration", f"ask to {what}") is None:
        shared.transfers.stop(migration)


def _asked(job: MigrationJob | None) -> str | None:
    asked = None if job is None else job.asked
    return None if asked is None else {"pause": "Pausing after this batch", "cancel": "Cancelling"}.get(asked)


def _n_rows(job: MigrationJob) -> int:
    """Return how many rows the plan counted; 0 where the audit log does not tell."""
    try:
        events: Any = services().workspace.audit(kind="migration", key=job.id, newest_first=True, limit=50)
    except EngineError:
        return 0
    for event in events:
        if event.action == "start migration" and isinstance(event.evidence, dict):
            return int(event.evidence.get("n_rows") or 0)
    return 0
