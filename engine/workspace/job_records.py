"""What is kept about background jobs while they wait and run, so that a restart can name the ones it interrupted."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, JobNotFoundError
from engine.workspace.access import Role
from engine.workspace.processes import Owner, drop_sign, hold_sign, is_gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.workspace.plain import JsonValue
    from engine.workspace.records import Ledger, Record
    from engine.workspace.store import Workspace

KIND = "job"
_SILENT = timedelta(days=1)
"""A job that began so long ago on a machine that cannot be asked is taken for interrupted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobNote:
    """What to keep about a job: what it does (`label`), where (`purpose`), and what starts it again (`request`).

    Everybody with the workspace may read it, so that `label` names nothing that a tab has not kept.
    """

    label: str
    purpose: str
    request: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, kw_only=True)
class InterruptedJob:
    """A job whose process ended before it did; `version` is that of its record."""

    id: str
    label: str
    purpose: str
    request: dict[str, Any] | None
    actor: str
    began: datetime
    version: int


class JobRecords:
    """The jobs of one process in its workspace: written down when they are asked for, forgotten when they ended.

    Whatever stops the process in between leaves the record, which another process then finds to be nobody's.
    """

    def __init__(self, workspace: Workspace, *, owner: Owner | None = None) -> None:
        self._workspace = workspace
        self._owner = Owner.this_process() if owner is None else owner

    def acting_as(self, workspace: Workspace) -> JobRecords:
        """Return these records as whoever `workspace` is bound to may see and write them."""
        return JobRecords(workspace, owner=self._owner)

    def begin(self, note: JobNote, *, instead_of: InterruptedJob | None = None) -> str:
        """Keep `note` and return the key that `end` takes; it takes the place of an interrupted job when given.

        Raises ConflictError or JobNotFoundError when somebody else has taken that one up.
        """
        hold_sign(self._owner, self._workspace.folder)
        key = secrets.token_hex(8)
        who = self._workspace.identity
        owner = {"host": self._owner.host, "pid": self._owner.pid, "token": self._owner.token}
        body = {
            "label": note.label,
            "purpose": note.purpose,
            "request": None if note.request is None else dict(note.request),
            "actor": "" if who is None else who.name,
            "owner": owner,
        }
        with self._workspace.recording() as ledger:
            if instead_of is not None:
                self._remove(ledger, instead_of, action="start again")
            ledger.put(KIND, key, body, expected_version=0, actor=_actor(ledger), action="start")
        return key

    def end(self, key: str) -> None:
        """Forget a job that has ended; when the database refuses, it is listed after the process has ended."""
        try:
            with self._workspace.by_itself().recording() as ledger:
                if ledger.get(KIND, key) is not None:
                    ledger.remove(KIND, key, expected_version=None, actor=_actor(ledger), action="end")
        except EngineError as error:
            _log.warning("the record of a job that has ended stays: %s", error)

    def interrupted(self) -> tuple[InterruptedJob, ...]:
        """Return the jobs that processes left behind, the newest first: one's own, an admin everybody's."""
        with self._workspace.records() as ledger:
            left = [job for record in ledger.all(KIND) if (job := self._left(record, ledger.now)) is not None]
        return tuple(sorted(left, key=lambda job: job.began, reverse=True))

    def dismiss(self, job: InterruptedJob) -> None:
        """Forget an interrupted job. Raises ConflictError or JobNotFoundError when somebody was quicker."""
        with self._workspace.recording() as ledger:
            self._remove(ledger, job, action="dismiss")

    def close(self) -> None:
        """Let other processes know that this one is over."""
        drop_sign(self._owner, self._workspace.folder)

    def _remove(self, ledger: Ledger, job: InterruptedJob, *, action: str) -> None:
        if ledger.get(KIND, job.id) is None:
            raise JobNotFoundError("this job was taken up or dismissed already", found=job.label)
        ledger.remove(KIND, job.id, expected_version=job.version, actor=_actor(ledger), action=action)

    def _left(self, record: Record, now: datetime) -> InterruptedJob | None:
        body: dict[str, Any] = record.body
        who = self._workspace.identity
        if who is not None and not who.role.includes(Role.ADMIN) and body["actor"] != who.name:
            return None
        gone = is_gone(Owner(**body["owner"]), self._workspace.folder)
        if not (now - record.updated_at > _SILENT if gone is None else gone):
            return None
        return InterruptedJob(
            id=record.key,
            label=body["label"],
            purpose=body["purpose"],
            request=body["request"],
            actor=body["actor"],
            began=record.updated_at,
            version=record.version,
        )


def _actor(ledger: Ledger) -> str:
    return ledger.who("app")
