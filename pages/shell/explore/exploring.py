"""The jobs of the Explore section: what each measures, and the ones that nobody needs to ask for."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import CancelledError, EngineError, JobNotFoundError
from engine.progress import stop_if
from engine.scoring import usable_processors
from engine.tradeoff import load_sweep
from engine.tradeoff.panels import PANELS, PanelOptions, explore, panel_runs
from pages.shell import jobs, state
from pages.shell.company import allowed
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.embeddings import EmbeddingSet
    from engine.progress import Cancelled, Progress
    from engine.workspace import Job, Run, Workspace
    from engine.workspace.jobs import Work

_MOST_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Why panels of a run could not be measured, by the panel's key."""

    run_id: str
    sentences: dict[str, str]


@dataclass(eq=False, kw_only=True)
class _Demonstration:
    """The measuring of a bundled set: one for the process and run, watched by every tab, owned by none."""

    owner: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    job_id: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def stored_panels(run: Run) -> dict[str, str]:
    """Return the run that keeps the newest answer of every panel measured for `run`, by the panel's key."""
    return {key: found.id for key, found in panel_runs(services().workspace, run).items()}


def default_options() -> PanelOptions:
    """Return what the app measures unless it is asked otherwise: throughput with up to four threads."""
    return PanelOptions(n_threads=min(_MOST_THREADS, usable_processors()))


def start(
    run: Run, found: EmbeddingSet, *, keys: Collection[str], first: Collection[str] = (), options: PanelOptions
) -> None:
    """Measure the panels `keys` in the background, those of `first` before the others; each is stored at once."""
    work = explore_work(services().workspace, run.id, found, keys=_ordered(keys, first), options=options)
    jobs.start_measuring(f"Measuring {found.name}", work)


def take_finished() -> None:
    """Pick up how the measuring ended since the page was drawn last."""
    for finished in jobs.take_measured():
        if finished.state == "done":
            failures: Failures = services().jobs.result(state.owner(), finished.id)
            state.set_failures(failures.run_id, failures.sentences)
        elif finished.state == "cancelled":
            words = f"{finished.label} was stopped; what was measured until then is kept."
            state.set_notice("explore", state.Notice(level="info", sentence=words))


def demonstration(run: Run, found: state.AtHand, *, first: Collection[str]) -> Job | None:
    """Measure a bundled set of which nothing is stored yet, once for the process; return its job, None for others."""
    if found.place != "bundled" or allowed.refusal("job", "start"):
        return None
    shared, workspace = _demonstration(f"{services().workspace.id}/{run.id}"), services().workspace
    with shared.lock:
        if shared.job_id is None and not stored_panels(run):
            keys = _ordered([one.key for one in PANELS], first)
            work = explore_work(workspace, run.id, found.embedding_set, keys=keys, options=default_options())
            shared.job_id = services().jobs.submit(shared.owner, f"Measuring {found.embedding_set.name}", work).id
    if shared.job_id is None:
        return None
    try:
        return services().jobs.job(shared.owner, shared.job_id)
    except JobNotFoundError:
        return None  # it ended long ago and was forgotten


def watch_demonstration(run: Run, job: Job) -> None:
    """Show how far that job is; the page is drawn anew with every panel that it stores."""
    shared = _demonstration(f"{services().workspace.id}/{run.id}")
    jobs.watch(shared.owner, job.id, cancellable=False, news=lambda: stored_panels(run))


def failures_of(run: Run, job: Job | None) -> dict[str, str]:
    """Return why panels of `run` could not be measured, in this tab or by the demonstration's `job`."""
    sentences: dict[str, str] = {}
    if job is not None and job.state == "done":
        shared = _demonstration(f"{services().workspace.id}/{run.id}")
        result = services().jobs.result(shared.owner, job.id)
        sentences |= result.sentences
    return sentences | dict(state.failures(run.id))


def explore_work(
    workspace: Workspace, run_id: str, found: EmbeddingSet, *, keys: Collection[str], options: PanelOptions
) -> Work:
    """Return the job: measure and store panel after panel; one that fails holds up no other."""

    def work(progress: Progress, cancelled: Cancelled) -> Failures:
        progress(0.0, "Reading the sweep")
        swept = load_sweep(workspace, run_id)
        sentences: dict[str, str] = {}
        for place, key in enumerate(keys):

            def report(share: float, message: str, place: int = place) -> None:
                progress((place + share) / len(keys), message)

            stop_if(cancelled)
            try:
                explore(
                    workspace,
                    found,
                    swept,
                    run_id=run_id,
                    keys=[key],
                    options=options,
                    progress=report,
                    cancelled=cancelled,
                )
            except CancelledError:
                raise
            except EngineError as error:
                sentences[key] = str(error)
            except MemoryError:
                sentences[key] = "There was not enough memory; try a smaller set, or sweep fewer queries"
        return Failures(run_id=run_id, sentences=sentences)

    return work


def _ordered(keys: Collection[str], first: Collection[str]) -> list[str]:
    """Return `keys` in the panels' order, those of `first` before the others."""
    chosen = [one.key for one in PANELS if one.key in keys]
    return sorted(chosen, key=lambda key: key not in first)


@st.cache_resource(max_entries=64, show_spinner=False)
def _demonstration(key: str) -> _Demonstration:  # noqa: ARG001  # what the cache looks up
    return _Demonstration()
