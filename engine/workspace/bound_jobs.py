"""The background jobs that one person may start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.workspace.access import check_access

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace.access import Identity
    from engine.workspace.jobs import Job, JobRunner, Work


class BoundJobs:
    """The jobs of `runner` for `identity`, None for the single user; see `JobRunner` for what the methods do."""

    def __init__(self, runner: JobRunner, identity: Identity | None) -> None:
        self._runner = runner
        self._identity = identity

    def submit(self, owner: str, label: str, work: Work, *, on_end: Callable[[], None] | None = None) -> Job:
        """Queue `work`. Raises AccessError for who may start none."""
        if self._identity is not None:  # by the role of a moment ago: what the work changes is checked then
            check_access(self._identity, "job", "start", role=self._identity.role)
        return self._runner.submit(owner, label, work, on_end=on_end)

    def job(self, owner: str, job_id: str) -> Job:
        """Return what is known about a job."""
        return self._runner.job(owner, job_id)

    def jobs(self, owner: str) -> tuple[Job, ...]:
        """Return the jobs of `owner`, the last submitted first."""
        return self._runner.jobs(owner)

    def result(self, owner: str, job_id: str) -> Any:
        """Return what the work returned."""
        return self._runner.result(owner, job_id)

    def cancel(self, owner: str, job_id: str) -> Job:
        """Ask a job to stop."""
        return self._runner.cancel(owner, job_id)

    def wait(self, owner: str, job_id: str, *, timeout_s: float | None = None) -> Job:
        """Return the job when it is finished, or as it is after `timeout_s`."""
        return self._runner.wait(owner, job_id, timeout_s=timeout_s)
