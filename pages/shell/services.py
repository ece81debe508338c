"""What every tab of this process shares: the workspace, the job runner, and bounded caches of what they hold."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import streamlit as st

from engine.embeddings.samples import load_sample
from engine.errors import EngineError
from engine.flags import FlagStore
from engine.migration import DualControl
from engine.rollout import RolloutControl, SimulatedRollouts
from engine.tradeoff import Criterion, Estimates, SweepSummary, estimate, judge, load_sweep
from engine.workspace import JobRunner, Workspace
from pages.shell.migration_shared import Transfers
from pages.shell.text import sentence

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet

_CLOSE_S = 5.0


@dataclass(eq=False, kw_only=True)
class FirstSweep:
    """The sweep that fills an empty workspace: one for the process, watched by every tab, owned by none.

    `error` says why the last attempt ended without a run; nothing is started again until a reader asks for it.
    """

    owner: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    job_id: str | None = None
    error: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False, kw_only=True)
class Services:
    """The workspace and the jobs of this process."""

    workspace: Workspace
    jobs: JobRunner
    first_sweep: FirstSweep
    transfers: Transfers

    @cached_property
    def flags(self) -> FlagStore:
        """The flags of the workspace, in memory. Raises FlagError or WorkspaceError when they cannot be read."""
        return FlagStore(self.workspace)

    @cached_property
    def rollouts(self) -> RolloutControl:
        """The rollouts of the workspace."""
        return RolloutControl(self.workspace, self.flags)

    @cached_property
    def dual_control(self) -> DualControl:
        """How old and new store answer together in this workspace."""
        return DualControl(self.workspace)

    @cached_property
    def simulated(self) -> SimulatedRollouts:
        """What steps rollouts on simulated time through their days."""
        return SimulatedRollouts(self.rollouts)


def services() -> Services:
    """Return the shared services; a workspace that cannot be opened ends the page with one sentence."""
    try:
        return _open(os.environ.get("DIMSHIFT_WORKSPACE", ""), os.environ.get("DIMSHIFT_DATABASE_URL", ""))
    except EngineError as error:
        st.error(sentence(error))
        st.stop()


def summary(run_id: str, criterion: Criterion) -> SweepSummary:
    """Read a stored sweep against `criterion`, from the per-query values kept with the run."""
    return judge(estimates(run_id), criterion)


def estimates(run_id: str) -> Estimates:
    """Return the bootstrapped means of a stored sweep. Raises RunNotFoundError or WorkspaceError."""
    workspace = services().workspace
    return _estimates(f"{workspace.id}/{run_id}", workspace, run_id)


def sample(key: str) -> EmbeddingSet:
    """Return a bundled set."""
    return _sample(key)


def stored_set(sha256: str) -> EmbeddingSet:
    """Return a set that the workspace keeps, memory-mapped. Raises RunNotFoundError or WorkspaceError."""
    return services().workspace.load_dataset(sha256)


def data_root() -> str | None:
    """Return the folder below which sets are loaded by path; None when none is configured."""
    return os.environ.get("DIMSHIFT_DATA_ROOT") or None


def _close(opened: Services) -> None:
    opened.jobs.close(timeout_s=_CLOSE_S)
    opened.transfers.close(timeout_s=_CLOSE_S)
    opened.workspace.close()


@st.cache_resource(max_entries=2, show_spinner=False, on_release=_close)
def _open(folder: str, database_url: str) -> Services:
    workspace = Workspace.open(folder or None, database_url=database_url or None)
    transfers = Transfers(workspace.folder)
    return Services(workspace=workspace, jobs=JobRunner(), first_sweep=FirstSweep(), transfers=transfers)


@st.cache_resource(max_entries=8, show_spinner=False)
def _estimates(key: str, _workspace: Workspace, _run_id: str) -> Estimates:  # noqa: ARG001  # what the cache looks up
    return estimate(load_sweep(_workspace, _run_id))


@st.cache_resource(max_entries=4, show_spinner=False)
def _sample(key: str) -> EmbeddingSet:
    return load_sample(key)
