"""What an A/B test can be asked for in the app, and the job that simulates or reads, analyses and stores it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import streamlit as st

from engine.experiment.analysis import analyze
from engine.experiment.clicks import judgements_of
from engine.experiment.logs import read_log
from engine.experiment.settings import AnalysisSettings
from engine.experiment.storage import Origin, save_analysis
from engine.experiment.traffic import simulate
from engine.progress import stop_if
from engine.tradeoff import load_sweep
from pages.shell.data.at_hand import set_of
from pages.shell.explore import explored
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BytesIO
    from typing import Any

    from engine.experiment.events import Events
    from engine.experiment.settings import Stage
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import SweepResult
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.panels import PanelAnswer
    from engine.workspace import Run, Workspace
    from engine.workspace.jobs import Work
    from pages.shell.state import EventSlot

_SHARE_OF_EVENTS = 0.6


@dataclass(frozen=True, eq=False, kw_only=True)
class ExperimentRequest:
    """One experiment as asked for: `make(progress=, cancelled=)` simulates or reads its events, of this `origin`.

    `stages` are those of a planned ramp; `digest` returns the SHA-256 of a log's bytes.
    """

    label: str
    make: Callable[..., Events]
    origin: Origin
    stages: tuple[Stage, ...] = ()
    digest: Callable[[], str] | None = None


def simulated(traffic: TrafficSettings, run: Run | None = None) -> ExperimentRequest:
    """Ask for a simulation, on the lists of the sweep `run` where given. Raises EngineError when that cannot be read.

    Clicks follow the relevance judgements and latency the measured one, where the set and the panel are at hand.
    """
    origin = Origin(traffic=traffic)
    grounds: dict[str, Any] = {}
    if run is not None:
        answer = measured_latency(run)
        origin = replace(origin, sweep_run=run.id, latency_run=None if answer is None else answer.run_id)
        grounds = grounds_of(run, None if answer is None else answer.result)
    make = partial(simulate, traffic, **grounds)
    return ExperimentRequest(label=f"Simulating {traffic.key}", make=make, origin=origin, stages=traffic.ramp)


def grounds_of(run: Run, latency: LatencyResult | None) -> dict[str, Any]:
    """Return what a simulation rests on beside its settings: the sweep, its judgements, the measured latency."""
    workspace = services().workspace
    sweep = _sweep(f"{workspace.id}/{run.id}", workspace, run.id)
    found = set_of(run)
    judgements = None if found is None else judgements_of(sweep, found.embedding_set)
    return {"sweep": sweep, "judgements": judgements, "latency": latency}


def measured_latency(run: Run) -> PanelAnswer | None:
    """Return the latency that was measured beside a sweep, where there is one."""
    answer = explored.stored_answers(run).answers.get("latency")
    return None if answer is None or answer.result is None else answer


def logged(source: Path | BytesIO, *, stages: tuple[Stage, ...] = (), **options: Any) -> ExperimentRequest:
    """Ask for the analysis of a log, uploaded or on the server's disk, of an experiment with a planned ramp or none."""
    name = PurePath(source.name).name
    make = partial(read_log, source, **options)
    digest = partial(_digest, source)
    return ExperimentRequest(label=f"Reading {name}", make=make, origin=Origin(file=name), stages=stages, digest=digest)


def experiment_work(request: ExperimentRequest, workspace: Workspace, slot: EventSlot | None = None) -> Work:
    """Return the job: make the events, analyse them, store the read-out, leave the events in `slot`; its run's id."""

    def work(progress: Progress, cancelled: Cancelled) -> str:
        def making(share: float, message: str) -> None:
            progress(_SHARE_OF_EVENTS * share, message)

        def reading(share: float, message: str) -> None:
            progress(_SHARE_OF_EVENTS + (1 - _SHARE_OF_EVENTS) * share, message)

        events = request.make(progress=making, cancelled=cancelled)
        stop_if(cancelled)
        seed = None if request.origin.traffic is None else request.origin.traffic.seed
        digest = None if request.digest is None else request.digest()
        settings = AnalysisSettings(stages=request.stages)
        found = analyze(events, settings, seed=seed, digest=digest, progress=reading, cancelled=cancelled)
        stop_if(cancelled)
        run = save_analysis(workspace, found, request.origin)
        if slot is not None:
            slot.held = (run.id, events)
        return run.id

    return work


def _digest(source: Path | BytesIO) -> str:
    if not isinstance(source, Path):
        return hashlib.sha256(source.getbuffer()).hexdigest()
    with source.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@st.cache_resource(max_entries=4, show_spinner=False)
def _sweep(key: str, _workspace: Workspace, _run_id: str) -> SweepResult:  # noqa: ARG001  # what the cache looks up
    return load_sweep(_workspace, _run_id)
