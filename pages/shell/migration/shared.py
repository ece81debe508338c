"""What every tab of this process shares of migrations: those that run here, and the server of the demonstration."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from engine.errors import JobNotFoundError, MigrationError
from engine.migration import parse_url
from engine.migration.demonstration import prepare_demonstration
from engine.workspace import JobRunner

if TYPE_CHECKING:
    from pathlib import Path

    from engine.migration.demonstration import Demonstration
    from engine.progress import Cancelled, Progress
    from engine.workspace import Job
    from engine.workspace.jobs import Work

_MOST_AT_ONCE = 4
_MOST_REMEMBERED = 16
_FOLDER = "try-it-here"


class Transfers:
    """The migrations that this process works on, watched by every tab, and the one server of the demonstration.

    They have workers of their own: a copy that takes hours shall not keep sweeps waiting. Safe to use from threads.
    """

    def __init__(self, workspace_folder: Path) -> None:
        self.folder = workspace_folder / _FOLDER
        self._owner = secrets.token_urlsafe(24)
        self._jobs = JobRunner(max_workers=_MOST_AT_ONCE, max_finished=_MOST_REMEMBERED)
        self._lock = threading.Lock()
        self._job_of: dict[str, str] = {}
        self._demonstrating = threading.Lock()
        self._demonstration: Demonstration | None = None

    def start(self, migration: str, label: str, work: Work) -> None:
        """Work on `migration` in the background. Raises MigrationError while this process works on it already."""
        with self._lock:
            present = self._job(migration)
            if present is not None and not present.is_finished:
                raise MigrationError("this migration is at work already", hint="Wait for it, or pause it first")
            self._job_of[migration] = self._jobs.submit(self._owner, label, work).id

    def job(self, migration: str) -> Job | None:
        """Return the newest work of this process on `migration`, None when it had none or forgot it."""
        with self._lock:
            return self._job(migration)

    def is_at_work(self, migration: str) -> bool:
        """Tell whether this process works on `migration`."""
        job = self.job(migration)
        return job is not None and not job.is_finished

    def stop(self, migration: str) -> None:
        """Ask this process to stop working on `migration`, also while it waits for a store that is away."""
        with self._lock:
            job = self._job(migration)
            if job is not None:
                self._jobs.cancel(self._owner, job.id)

    def demonstrate(self, *, dims: int | None, progress: Progress, cancelled: Cancelled) -> Demonstration:
        """Start the demonstration's server unless it runs, fill it, and name the target for `dims`.

        Raises StoreError when a driver or the server is missing, or the server does not start.
        """
        with self._demonstrating:  # whoever comes second finds it running
            if self._demonstration is not None:
                self._demonstration.server.start()
            self._demonstration = prepare_demonstration(self.folder, dims=dims, progress=progress, cancelled=cancelled)
            return self._demonstration

    @property
    def demonstrates(self) -> bool:
        """Whether the demonstration's server was started by this process."""
        return self._demonstration is not None

    def is_demonstration(self, source: str, target: str) -> bool:
        """Tell whether two URLs are those of the demonstration, of this process or of one before it."""
        try:
            here, there = parse_url(source), parse_url(target)
        except ValueError:
            return False
        is_local_server = here.kind == "pgvector" and here.host is None and here.option("host") is not None
        return is_local_server and there.path is not None and self.is_own_folder(there.path)

    def is_own_folder(self, path: Path) -> bool:
        """Tell whether `path` lies in the demonstration's folder, symlinks followed."""
        return path.resolve().is_relative_to(self.folder.resolve())

    def own_folders(self) -> tuple[Path, ...]:
        """Return the demonstration's folder, and that of the socket of its server while it runs."""
        made = self._demonstration
        return (self.folder,) if made is None else (self.folder, made.server.socket_folder)

    def close(self, *, timeout_s: float) -> None:
        """Pause what is under way, wait at most `timeout_s` for it, and stop the demonstration's server."""
        self._jobs.close(timeout_s=timeout_s)
        with self._demonstrating:
            demonstration, self._demonstration = self._demonstration, None
            if demonstration is not None:
                demonstration.server.close()

    def _job(self, migration: str) -> Job | None:
        known = self._job_of.get(migration)
        if known is None:
            return None
        try:
            return self._jobs.job(self._owner, known)
        except JobNotFoundError:
            del self._job_of[migration]  # finished long ago
            return None
