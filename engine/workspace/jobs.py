"""Background jobs: work that outlives the page that asked for it, invisible to everybody but its owner.

An owner is an opaque string (a browser session, a user). Owners take turns, so that one with a long queue holds up
nobody else. What a job is meant to leave behind it saves itself: results here are bounded and kept for a while only.
"""

from __future__ import annotations

import atexit
import logging
import math
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from engine.errors import CancelledError, EngineError, JobNotFoundError, ParameterError, WorkspaceError, printable
from engine.progress import Cancelled, Progress
from engine.workspace.bound_jobs import BoundJobs

if TYPE_CHECKING:
    from engine.workspace.access import Identity

JobState = Literal["queued", "running", "done", "failed", "cancelled"]

Work = Callable[[Progress, Cancelled], Any]
"""What a job does: it reports progress, asks between blocks whether to stop, and returns its result."""

_log = logging.getLogger(__name__)
_EXIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is known about a job at one moment.

    `share` (0..1) and `message` are its last report; `elapsed_s` counts from its start, 0 while it waits. `error` is
    one sentence when it failed. `cancelling` is true from the request to stop until the work has noticed.
    """

    id: str
    label: str
    state: JobState
    share: float
    message: str
    elapsed_s: float
    error: str | None
    cancelling: bool

    @property
    def is_finished(self) -> bool:
        """Whether the job will not change any more."""
        return self.state in {"done", "failed", "cancelled"}


@dataclass(eq=False, kw_only=True)
class _Entry:
    owner: str
    label: str
    work: Work
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: JobState = "queued"
    report: tuple[float, str] = (0.0, "")
    started_at: float | None = None
    finished_at: float | None = None
    result: Any = None
    error: str | None = None
    on_end: Callable[[], None] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, kw_only=True)
class _Owner:
    seen_at: float
    entries: dict[str, _Entry] = field(default_factory=dict)
    queue: deque[_Entry] = field(default_factory=deque)
    finished: deque[_Entry] = field(default_factory=deque)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    state: JobState
    result: Any = None
    error: str | None = None


class JobRunner:
    """Run work on `max_workers` threads, `max_queued` waiting jobs and `max_finished` finished ones an owner at most.

    The oldest finished jobs are forgotten first, and all finished jobs of an owner who was not seen for `max_idle_s`.
    `clock` returns seconds that never go back.
    """

    def __init__(
        self,
        *,
        max_workers: int = 2,
        max_finished: int = 16,
        max_queued: int = 8,
        max_idle_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in {"workers": max_workers, "finished jobs": max_finished, "queued jobs": max_queued}.items():
            if value < 1:
                raise ParameterError(f"the number of {name} must be at least 1", found=value)
        self._max_workers = max_workers
        self._max_finished = max_finished
        self._max_queued = max_queued
        self._max_idle_s = max_idle_s
        self._clock = clock
        self._changed = threading.Condition()
        self._owners: dict[str, _Owner] = {}
        self._turns: deque[str] = deque()  # owners with waiting jobs, each once
        self._threads: list[threading.Thread] = []
        self._n_idle = 0
        self._closed = False
        _runners.add(self)

    def acting_as(self, identity: Identity | None) -> BoundJobs:
        """Return these jobs as `identity` may start them; None is the single user."""
        return BoundJobs(self, identity)

    def submit(self, owner: str, label: str, work: Work, *, on_end: Callable[[], None] | None = None) -> Job:
        """Queue `work(progress, cancelled)` for `owner` and return its job at once.

        `on_end` is called once when the job has come to its end or its owner cancelled it; not when closing the runner
        interrupts it, so that somebody can tell. It must not raise.

        Raises WorkspaceError when too many jobs of the owner wait already, or the runner is closed.
        """
        with self._changed:
            known = self._seen(owner)
            if self._closed:
                raise WorkspaceError("no job can start while Dimshift is stopping")
            if len(known.queue) >= self._max_queued:
                raise WorkspaceError(
                    f"at most {self._max_queued} jobs may wait at once", hint="Wait for one to start, or cancel one"
                )
            entry = _Entry(owner=owner, label=printable(label), work=work, on_end=on_end)
            known.entries[entry.id] = entry
            known.queue.append(entry)
            if len(known.queue) == 1:
                self._turns.append(owner)
            self._wake_worker()
            return self._snapshot(entry)

    def job(self, owner: str, job_id: str) -> Job:
        """Return what is known about a job. Raises JobNotFoundError, also for another owner's job."""
        with self._changed:
            return self._snapshot(self._entry(owner, job_id))

    def jobs(self, owner: str) -> tuple[Job, ...]:
        """Return the jobs of `owner`, the last submitted first."""
        with self._changed:
            return tuple(self._snapshot(entry) for entry in reversed(self._seen(owner).entries.values()))

    def result(self, owner: str, job_id: str) -> Any:
        """Return what the work returned. Raises JobNotFoundError, or WorkspaceError when the job is not done."""
        with self._changed:
            entry = self._entry(owner, job_id)
            if entry.state != "done":
                raise WorkspaceError("only a job that is done has a result", found=entry.state, hint=entry.error)
            return entry.result

    def cancel(self, owner: str, job_id: str) -> Job:
        """Ask a job to stop: one that waits is cancelled at once, one that runs when it next asks.

        A finished job stays what it is. Raises JobNotFoundError, also for another owner's job.
        """
        with self._changed:
            entry = self._entry(owner, job_id)
            was_finished = entry.finished.is_set()
            self._cancel(entry)
            snapshot = self._snapshot(entry)
        if snapshot.is_finished and not was_finished:
            _tell_end(entry)
        return snapshot

    def wait(self, owner: str, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return the job when it is finished, or as it is after `timeout_s`. Raises JobNotFoundError."""
        with self._changed:
            entry = self._entry(owner, job_id)
        entry.finished.wait(timeout_s)
        with self._changed:
            return self._snapshot(entry)

    def close(self, *, timeout_s: float | None = None) -> None:
        """Cancel every job and wait, at most `timeout_s`, until the running ones have noticed."""
        with self._changed:
            self._closed = True
            for known in self._owners.values():
                for entry in list(known.entries.values()):
                    self._cancel(entry)
            self._changed.notify_all()
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _seen(self, owner: str) -> _Owner:
        now = self._clock()
        known = self._owners.setdefault(owner, _Owner(seen_at=now))
        known.seen_at = now
        for name, other in list(self._owners.items()):
            if now - other.seen_at > self._max_idle_s:
                self._forget_finished(other, keep=0)
            if other is not known and not other.entries:
                del self._owners[name]
        return known

    def _entry(self, owner: str, job_id: str) -> _Entry:
        entry = self._seen(owner).entries.get(job_id)
        if entry is None:
            raise JobNotFoundError(
                "no such job of yours is known", found=job_id, hint="It may have been forgotten; start it again"
            )
        return entry

    def _snapshot(self, entry: _Entry) -> Job:
        share, message = entry.report
        elapsed_s = 0.0
        if entry.started_at is not None:
            elapsed_s = (self._clock() if entry.finished_at is None else entry.finished_at) - entry.started_at
        return Job(
            id=entry.id,
            label=entry.label,
            state=entry.state,
            share=1.0 if entry.state == "done" else _within_unit(share),
            message=printable(message),
            elapsed_s=elapsed_s,
            error=entry.error,
            cancelling=entry.state == "running" and entry.cancel.is_set(),
        )

    def _cancel(self, entry: _Entry) -> None:
        if entry.state == "queued":
            queue = self._owners[entry.owner].queue
            queue.remove(entry)
            if not queue:
                self._turns.remove(entry.owner)
            self._finish(entry, _Outcome(state="cancelled"))
        elif entry.state == "running":
            entry.cancel.set()

    def _finish(self, entry: _Entry, outcome: _Outcome) -> None:
        entry.state, entry.result, entry.error = outcome.state, outcome.result, outcome.error
        entry.work = _nothing  # what the work closed over may be large
        entry.finished_at = self._clock()
        known = self._owners[entry.owner]
        known.finished.append(entry)
        self._forget_finished(known, keep=self._max_finished)
        entry.finished.set()

    def _forget_finished(self, known: _Owner, *, keep: int) -> None:
        while len(known.finished) > keep:
            del known.entries[known.finished.popleft().id]

    def _wake_worker(self) -> None:
        n_waiting = sum(len(self._owners[owner].queue) for owner in self._turns)
        if self._n_idle < n_waiting and len(self._threads) < self._max_workers:
            # Daemons, unlike an executor's threads, do not hold up Ctrl-C until the last sweep has finished; what they
            # write to the workspace is whole or absent whenever they end.
            thread = threading.Thread(target=self._serve, name=f"dimshift-job-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify()

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._n_idle += 1
                self._changed.wait_for(lambda: self._turns or self._closed)
                self._n_idle -= 1
                if not self._turns:
                    return
                entry = self._next_entry()
            outcome = _run(entry)
            if not (self._closed and outcome.state == "cancelled"):
                _tell_end(entry)  # before anybody learns that it is over
            with self._changed:
                self._finish(entry, outcome)
            del entry, outcome  # or the result would live on here until the next job

    def _next_entry(self) -> _Entry:
        owner = self._turns.popleft()
        queue = self._owners[owner].queue
        entry = queue.popleft()
        if queue:
            self._turns.append(owner)
        entry.state = "running"
        entry.started_at = self._clock()
        return entry


def _run(entry: _Entry) -> _Outcome:
    def progress(share: float, message: str) -> None:
        entry.report = (share, message)  # one assignment, so that reporting a thousand times a second costs nothing

    try:
        return _Outcome(state="done", result=entry.work(progress, entry.cancel.is_set))
    except CancelledError:
        return _Outcome(state="cancelled")
    except EngineError as error:
        return _Outcome(state="failed", error=str(error))
    except MemoryError:
        return _Outcome(
            state="failed", error="There was not enough memory. Try fewer queries, a smaller k or a memory-mapped file."
        )
    except BaseException:  # noqa: BLE001  # the boundary of a job: whatever ends the work must not leave it running forever
        error_id = secrets.token_hex(4)
        _log.exception("job %r stopped on an unexpected error %s", entry.label, error_id)
        return _Outcome(
            state="failed", error=f"The work stopped on an unexpected error; the log has it under {error_id}."
        )


def _tell_end(entry: _Entry) -> None:
    told, entry.on_end = entry.on_end, None
    if told is not None:
        told()


def _nothing(_progress: Progress, _cancelled: Cancelled) -> None:
    """Stand in for work that is over."""


def _within_unit(share: float) -> float:
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0


_runners: weakref.WeakSet[JobRunner] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    for runner in list(_runners):
        runner.close(timeout_s=_EXIT_S)
