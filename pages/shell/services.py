"""What every tab of this process shares, bound to who is signed in: the workspace, jobs, and bounded caches."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.embeddings.samples import load_sample
from engine.errors import EngineError
from engine.flags import FlagStore
from engine.migration import DualControl
from engine.rollout import RolloutControl, SimulatedRollouts
from engine.tradeoff import Criterion, Estimates, SweepSummary, estimate, judge, load_sweep
from engine.workspace import JobRecords, JobRunner, Workspace
from engine.workspace.database import wait_for_locks
from pages.shell.company import login
from pages.shell.migration.shared import Transfers
from pages.shell.nudges import Nudges
from pages.shell.text import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.embeddings import EmbeddingSet
    from engine.workspace import BoundJobs, Identity

_CLOSE_S = 5.0
_REFRESH_S = 0.1
_WAITS_S = 3.0

Part = TypeVar("Part", Workspace, FlagStore, RolloutControl, DualControl)


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
class Shared:
    """The workspace and the jobs of this process, bound to nobody: pages take `services` instead."""

    workspace: Workspace
    jobs: JobRunner
    job_records: JobRecords
    first_sweep: FirstSweep
    transfers: Transfers
    nudges: Nudges

    @cached_property
    def flags(self) -> FlagStore:
        """The flags of the workspace, in memory. Raises FlagError or WorkspaceError when they cannot be read."""
        return FlagStore(self.workspace, refresh_s=_REFRESH_S)

    @cached_property
    def rollouts(self) -> RolloutControl:
        """The rollouts of the workspace."""
        return RolloutControl(self.workspace, self.flags)

    @cached_property
    def dual_control(self) -> DualControl:
        """How old and new store answer together in this workspace."""
        return DualControl(self.workspace)


class Services:
    """The same for who has this tab open; what that person may not do raises AccessError in the engine.

    Made anew for every action, so that a role that changed holds at once. `identity` is None for the single user.
    """

    def __init__(self, shared: Shared, identity: Identity | None) -> None:
        self._shared = shared
        self.identity = identity
        self.workspace: Workspace = _bound(shared.workspace, identity)
        self.jobs: BoundJobs = shared.jobs.acting_as(identity)
        self.job_records = shared.job_records.acting_as(self.workspace)
        self.first_sweep = shared.first_sweep
        self.transfers = shared.transfers
        self.nudges = shared.nudges

    @property
    def flags(self) -> FlagStore:
        """The flags of the workspace, in memory. Raises FlagError or WorkspaceError when they cannot be read."""
        return _bound(self._shared.flags, self.identity)

    @property
    def rollouts(self) -> RolloutControl:
        """The rollouts of the workspace."""
        return _bound(self._shared.rollouts, self.identity)

    @property
    def dual_control(self) -> DualControl:
        """How old and new store answer together in this workspace."""
        return _bound(self._shared.dual_control, self.identity)

    @property
    def simulated(self) -> SimulatedRollouts:
        """What steps rollouts on simulated time through their days."""
        return SimulatedRollouts(self.rollouts)


def services() -> Services:
    """Return the services for who is signed in; a workspace that cannot be opened ends the page with one sentence.

    When the session is over the page is drawn anew: the router asks to sign in then.
    """
    shared = _shared()
    who = login.visitor(shared.workspace)
    if not who.is_inside:
        st.rerun()
        st.stop()
    return Services(shared, who.identity)


def visitor() -> login.Visitor:
    """Return who has this tab open. Raises WorkspaceError when the workspace cannot be opened."""
    return login.visitor(_opened().workspace)


def end_session(who: login.Visitor) -> None:
    """Log out whoever has this tab open, in every tab of that browser."""
    login.end_session(_shared().workspace, who)


def _shared() -> Shared:
    try:
        return _opened()
    except EngineError as error:
        st.error(sentence(error))
        st.stop()


def _opened() -> Shared:
    if get_script_run_ctx(suppress_warning=True) is not None:
        wait_for_locks(_WAITS_S)  # every run of a page comes through here; a job may too, but waits longer
    return _open(os.environ.get("DIMSHIFT_WORKSPACE", ""), os.environ.get("DIMSHIFT_DATABASE_URL", ""))


def _bound(part: Part, identity: Identity | None) -> Part:
    return part if identity is None else part.acting_as(identity)


def summary(run_id: str, criterion: Criterion) -> SweepSummary:
    """Read a stored sweep against `criterion`, from the per-query values kept with the run."""
    return judge(estimates(run_id), criterion)


def estimates(run_id: str) -> Estimates:
    """Return the bootstrapped means of a stored sweep. Raises RunNotFoundError or WorkspaceError."""
    workspace = services().workspace
    return _estimates(f"{workspace.id}/{run_id}", lambda: estimate(load_sweep(workspace, run_id)))


def keep_estimates(workspace: Workspace, run_id: str, found: Estimates) -> None:
    """Have the means of a sweep at hand that was just stored; the caller is its job."""
    _estimates(f"{workspace.id}/{run_id}", lambda: found)


def sample(key: str) -> EmbeddingSet:
    """Return a bundled set."""
    return _sample(key)


def stored_set(sha256: str) -> EmbeddingSet:
    """Return a set that the workspace keeps, memory-mapped. Raises RunNotFoundError or WorkspaceError."""
    return services().workspace.load_dataset(sha256)


def data_root() -> str | None:
    """Return the folder below which sets are loaded by path; None when none is configured."""
    return os.environ.get("DIMSHIFT_DATA_ROOT") or None


def _close(opened: Shared) -> None:
    opened.nudges.close(timeout_s=_CLOSE_S)
    opened.jobs.close(timeout_s=_CLOSE_S)
    opened.transfers.close(timeout_s=_CLOSE_S)
    opened.job_records.close()
    opened.workspace.close()


@st.cache_resource(max_entries=2, show_spinner=False, on_release=_close)
def _open(folder: str, database_url: str) -> Shared:
    workspace = Workspace.open(folder or None, database_url=database_url or None)
    transfers = Transfers(workspace.folder)
    return Shared(
        workspace=workspace,
        jobs=JobRunner(),
        job_records=JobRecords(workspace),
        first_sweep=FirstSweep(),
        transfers=transfers,
        nudges=Nudges(),
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _estimates(key: str, _found: Callable[[], Estimates]) -> Estimates:  # noqa: ARG001  # what the cache looks up
    return _found()


@st.cache_resource(max_entries=4, show_spinner=False)
def _sample(key: str) -> EmbeddingSet:
    return load_sample(key)
