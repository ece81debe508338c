"""The events behind a read-out: held by this tab, or simulated again; read under other thresholds, and downloaded."""

from __future__ import annotations

import io
import json
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, WorkspaceError
from engine.experiment.analysis import analyze
from engine.experiment.event_files import write_events
from engine.experiment.storage import analysis_json, load_origin, save_analysis
from engine.experiment.traffic import simulate
from pages.shell import state
from pages.shell.ab import testing as ab_testing
from pages.shell.company.allowed import shown
from pages.shell.services import services
from pages.shell.text import sentence

if TYPE_CHECKING:
    from engine.experiment.event_files import EventFormat
    from engine.experiment.events import Events
    from engine.experiment.results import Analysis
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.storage import Origin
    from engine.workspace import Run, Workspace

_FORMS: tuple[tuple[EventFormat, str, str, int], ...] = (
    ("csv", "CSV", "text/csv", 5_000_000),
    ("parquet", "Parquet", "application/vnd.apache.parquet", 50_000_000),
)
"""Format, name, type and how many rows may be downloaded: a file is made in memory, 75 bytes a row as CSV."""


def origin_of(run: Run) -> Origin:
    """Return where the events of a run came from."""
    workspace = services().workspace
    return _origin(f"{workspace.id}/{run.id}", workspace, run.id)


def events_of(run: Run, stored: Analysis) -> Events:
    """Return the events of the read-out `stored`: those of this tab, or the same ones simulated once more.

    Raises WorkspaceError for a log that this tab has not read, and where what was simulated on has changed.
    """
    held = state.held_events(run.id)
    if held is not None:
        return held
    if origin_of(run).traffic is None:
        raise WorkspaceError(
            "the events of a log stay in the tab that read it", hint="Analyze the log here to read it another way"
        )
    return _simulated_again(f"{services().workspace.id}/{run.id}", run, stored)


def read_again(run: Run, stored: Analysis, settings: AnalysisSettings) -> Analysis:
    """Return the read-out of the run's events under other settings. Raises what `events_of` does."""
    return _read_again(f"{state.owner()}/{services().workspace.id}/{run.id}/{settings!r}", run, stored, settings)


def downloads(run: Run, stored: Analysis, found: Analysis) -> None:
    """Offer the read-out as JSON, the events where they are at hand, and to store a reading with other thresholds."""
    with st.container(horizontal=True):
        st.download_button(
            "Read-out as JSON",
            lambda: json.dumps(analysis_json(found, run_id=run.id), indent=2),
            file_name=f"dimshift-{run.id}.json",
            mime="application/json",
            icon=":material/download:",
            key="ab_json",
            on_click="ignore",
        )
        is_at_hand = state.held_events(run.id) is not None or origin_of(run).traffic is not None
        for form, name, mime, most in _FORMS:
            if is_at_hand and found.n_queries <= most:
                st.download_button(
                    f"Events as {name}",
                    partial(_file, run, stored, form),
                    file_name=f"dimshift-{run.id}-events.{form}",
                    mime=mime,
                    icon=":material/download:",
                    key=f"ab_{form}",
                    on_click="ignore",
                )
        if found.settings != stored.settings:
            st.button(
                "Store this reading",
                icon=":material/bookmark:",
                key="ab_store",
                **shown("run", "save", help="As a test of its own, with these thresholds and an address for others."),
                on_click=_store,
                args=(run, found),
            )
    too_large = [f"{name} up to {most:,}" for _, name, _, most in _FORMS if found.n_queries > most]
    if is_at_hand and too_large:
        st.caption(
            f"{found.n_queries:,} events are too many for some files ({', '.join(too_large)}); `dimshift ab simulate` "
            "writes any number."
        )


def _store(run: Run, found: Analysis) -> None:
    try:
        kept = save_analysis(services().workspace, found, origin_of(run))
    except EngineError as error:
        st.error(sentence(error))
        return
    held = state.held_events(run.id)
    if held is not None:
        state.event_slot().held = (kept.id, held)
    state.open_experiment(kept.id)


def _file(run: Run, stored: Analysis, form: EventFormat) -> bytes:
    file = io.BytesIO()
    write_events(events_of(run, stored), file, form=form)
    return file.getvalue()


@st.cache_resource(max_entries=64, show_spinner=False)
def _origin(key: str, _workspace: Workspace, _run_id: str) -> Origin:  # noqa: ARG001  # what the cache looks up
    return load_origin(_workspace, _run_id)


@st.cache_resource(max_entries=1, show_spinner="Simulating the events once more")
def _simulated_again(key: str, _run: Run, _stored: Analysis) -> Events:  # noqa: ARG001  # what the cache looks up
    origin, grounds = origin_of(_run), {}
    if origin.sweep_run is not None:
        sweep_run = services().workspace.run(origin.sweep_run)
        answer = ab_testing.measured_latency(sweep_run) if origin.latency_run is not None else None
        grounds = ab_testing.grounds_of(sweep_run, None if answer is None else answer.result)
    events = simulate(origin.traffic, **grounds)
    if analyze(events, _stored.settings).arms != _stored.arms:
        raise WorkspaceError(
            "the events can be simulated again only on what they rested on",
            found="another judgement or latency at hand",
            hint="Run the simulation anew",
        )
    return events


@st.cache_resource(max_entries=4, show_spinner="Reading the events again", scope="session")
def _read_again(key: str, _run: Run, _stored: Analysis, _settings: AnalysisSettings) -> Analysis:  # noqa: ARG001
    events = events_of(_run, _stored)
    return analyze(events, _settings, seed=_stored.seed, digest=_stored.events_digest)
