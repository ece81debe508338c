"""Background jobs against a model: any order of submitting, finishing, cancelling, looking and staying away."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.errors import JobNotFoundError, ParameterError, WorkspaceError
from engine.progress import Cancelled, Progress, stop_if
from engine.workspace import JobRunner

_LONG_S = 10.0
_FINISHED, _QUEUED, _IDLE_S = 2, 2, 10.0
_OWNERS = st.sampled_from(["ann", "bob", "cy"])


@dataclass(eq=False)
class _Planned:
    """A job as the model sees it, and the gate its work stands at."""

    owner: str
    id: str = ""
    outcome: str = "done"
    state: str = "queued"
    asked_to_stop: bool = False
    started_at: float = 0.0
    finished_at: float = 0.0
    started: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def work(self, _progress: Progress, cancelled: Cancelled) -> str:
        """Wait at the gate and end as planned."""
        self.started.set()
        assert self.released.wait(_LONG_S)
        stop_if(cancelled)
        if self.outcome == "failed":
            raise ParameterError("planned")
        return f"result of {self.owner}"


class JobRunnerMachine(RuleBasedStateMachine):
    """A runner beside a single-threaded model of it; every job stands still until the model lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.known: dict[str, list[_Planned]] = {}
        self.turns: deque[str] = deque()
        self.seen_at: dict[str, float] = {}
        self.everything: list[_Planned] = []
        self.finished: list[_Planned] = []  # in the order they finished

    @initialize(n_workers=st.integers(1, 2))
    def open(self, n_workers: int) -> None:
        """Make the runner with one or two workers."""
        self.n_workers = n_workers
        self.runner = JobRunner(
            max_workers=n_workers,
            max_finished=_FINISHED,
            max_queued=_QUEUED,
            max_idle_s=_IDLE_S,
            clock=lambda: self.now,
        )

    def _all(self, *states: str) -> list[_Planned]:
        return [job for job in self.everything if job.state in states]

    def _queue(self, owner: str) -> list[_Planned]:
        return [job for job in self.known.get(owner, []) if job.state == "queued"]

    def _see(self, owner: str) -> None:
        self.seen_at[owner] = self.now
        for other, moment in self.seen_at.items():
            if self.now - moment > _IDLE_S:
                self._forget(other, keep=0)

    def _forget(self, owner: str, *, keep: int) -> None:
        finished = [job for job in self.finished if job in self.known.get(owner, [])]
        for job in finished[: max(0, len(finished) - keep)]:
            self.known[owner].remove(job)

    def _finish(self, job: _Planned, state: str) -> None:
        job.state = state
        job.finished_at = self.now
        self.finished.append(job)
        self._forget(job.owner, keep=_FINISHED)

    def _dispatch(self) -> None:
        while self.turns and len(self._all("running")) < self.n_workers:
            owner = self.turns.popleft()
            job, *others = self._queue(owner)
            job.state = "running"
            job.started_at = self.now
            if others:
                self.turns.append(owner)
        for job in self._all("running"):
            assert job.started.wait(_LONG_S)

    @rule(owner=_OWNERS, outcome=st.sampled_from(["done", "failed"]))
    def submit(self, owner: str, outcome: str) -> None:
        """Queue a job; the third that would wait is refused."""
        job = _Planned(owner=owner, outcome=outcome)
        self._see(owner)
        if len(self._queue(owner)) >= _QUEUED:
            with pytest.raises(WorkspaceError, match="may wait at once"):
                self.runner.submit(owner, "label", job.work)
            return
        job.id = self.runner.submit(owner, "label", job.work).id
        self.everything.append(job)
        self.known.setdefault(owner, []).append(job)
        if len(self._queue(owner)) == 1:
            self.turns.append(owner)
        self._dispatch()

    @precondition(lambda self: self._all("running"))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Let a running job go to its end; whoever's turn it is starts."""
        job = data.draw(st.sampled_from(self._all("running")), label="job")
        self._see(job.owner)
        job.released.set()
        ended = self.runner.wait(job.owner, job.id, timeout_s=_LONG_S)
        self._finish(job, "cancelled" if job.asked_to_stop else job.outcome)
        assert ended.state == job.state
        self._dispatch()

    @precondition(lambda self: self.everything)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel any job, also one that is finished or forgotten."""
        job = data.draw(st.sampled_from(self.everything), label="job")
        self._see(job.owner)
        if job not in self.known[job.owner]:
            with pytest.raises(JobNotFoundError):
                self.runner.cancel(job.owner, job.id)
            return
        self.runner.cancel(job.owner, job.id)
        if job.state == "queued":
            self._finish(job, "cancelled")
            if not self._queue(job.owner):
                self.turns.remove(job.owner)
        elif job.state == "running":
            job.asked_to_stop = True

    @precondition(lambda self: self.everything)
    @rule(data=st.data(), stranger=_OWNERS)
    def intrude(self, data: st.DataObject, stranger: str) -> None:
        """Reach for another owner's job in every way and find nothing."""
        job = data.draw(st.sampled_from(self.everything), label="job")
        if stranger == job.owner:
            return
        self._see(stranger)
        for ask in (self.runner.job, self.runner.cancel, self.runner.result):
            with pytest.raises(JobNotFoundError):
                ask(stranger, job.id)

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        """Move the clock, sometimes past the time after which an owner counts as gone."""
        self.now += seconds

    @rule(owner=_OWNERS)
    def look(self, owner: str) -> None:
        """Compare everything an owner can see with the model."""
        self._see(owner)
        expected = list(reversed(self.known.get(owner, [])))
        found = self.runner.jobs(owner)
        assert [self._facts(job) for job in expected] == [
            (job.id, job.state, job.elapsed_s, job.cancelling) for job in found
        ]
        for job in expected:
            if job.state == "done":
                assert self.runner.result(owner, job.id) == f"result of {owner}"
            else:
                with pytest.raises(WorkspaceError, match="only a job that is done"):
                    self.runner.result(owner, job.id)

    def _facts(self, job: _Planned) -> tuple[Any, ...]:
        elapsed_s = {"queued": 0.0, "running": self.now - job.started_at}.get(
            job.state, job.finished_at - job.started_at if job.started.is_set() else 0.0
        )
        return job.id, job.state, elapsed_s, job.state == "running" and job.asked_to_stop

    def teardown(self) -> None:
        """Compare for the last time and let every thread go."""
        for owner in ("ann", "bob", "cy"):
            self.look(owner)
        self.runner.close(timeout_s=0)  # first: a job that is let go would make room for one that waits
        for job in self.everything:
            job.released.set()
        self.runner.close(timeout_s=_LONG_S)
        assert not [job for job in self.everything if job.state == "queued" and job.started.is_set()]


class TestJobRunner(JobRunnerMachine.TestCase):
    """Isolation, bounds, turns and states hold after any sequence of actions."""

    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
