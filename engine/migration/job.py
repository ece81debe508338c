"""The record of a migration in the workspace: what it moves where, how far it is, and whose process moves it."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import MigrationError
from engine.migration.ids import coded_text, from_coded_text
from engine.migration.transform import HeldRow
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.migration.settings import MigrationSettings
    from engine.workspace import Workspace
    from engine.workspace.records import Ledger, Record

KIND = "migration"
State = Literal["copying", "catching up", "indexing", "validating", "done", "paused", "cancelled", "stopped"]
RUNNING: tuple[State, ...] = ("copying", "catching up", "indexing", "validating")
STATES: tuple[State, ...] = get_args(State)
_SILENT_S = 60.0
"""A process of another machine that has written nothing for so long is taken for dead."""


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """How far the copy is: behind which cursor of the source, and how many rows until there."""

    cursor: str | None = None
    n_read: int = 0
    n_written: int = 0
    n_held: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MigrationJob:
    """One migration; `generation` counts how often it was begun anew over its own target.

    `asked` is what somebody else wants its process to do next: ``pause``, ``cancel`` or nothing. `copy_began` is a
    moment on the source's own clock. `is_copied` tells that the copy is through and only catching up is left. `run_id`
    names the run that keeps the newest report, once there is one.
    """

    id: str
    source: str
    target: str
    settings: dict[str, Any]
    state: State
    reason: str
    generation: int
    owner: Owner | None
    asked: str | None
    copy_began: str
    made_target: bool
    run_id: str | None
    is_copied: bool = False
    version: int = 0

    @property
    def is_running(self) -> bool:
        """Whether a process says that it is at work on it."""
        return self.state in RUNNING


def job_id(source: str, target: str, settings: MigrationSettings) -> str:
    """Return the id of the migration of `source` to `target` (URLs without secrets) at these dims and this type."""
    what = [source, target, settings.dims, settings.dtype, settings.metric, settings.normalise]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


class JobRecord:
    """Reads and writes the record, the checkpoints and the quarantine of one migration."""

    def __init__(self, workspace: Workspace, key: str) -> None:
        self._workspace, self.key = workspace, key

    def read(self) -> MigrationJob | None:
        """Return the job as it is now, None before its first run."""
        with self._workspace.records() as ledger:
            record = ledger.get(KIND, self.key)
        return None if record is None else job_of(record)

    def change(
        self, job: MigrationJob, *, actor: str, action: str, reason: str = "", evidence: object = None
    ) -> MigrationJob:
        """Keep `job` (audited) and return it with its new version.

        Raises ConflictError when it was changed since it was read.
        """
        body = asdict(job)
        version = body.pop("version")
        with self._workspace.recording() as ledger:
            record = ledger.put(
                KIND,
                self.key,
                body,
                expected_version=version,
                actor=actor,
                action=action,
                reason=reason or job.reason,
                evidence=evidence,
            )
        return replace(job, version=record.version)

    def ask(self, what: Literal["pause", "cancel"], *, actor: str, reason: str = "") -> MigrationJob:
        """Ask the process that moves the rows to pause or cancel after its next batch."""
        job = self.read()
        if job is None or not job.is_running:
            raise MigrationError(
                f"only a running migration can be asked to {what}", found="none" if job is None else job.state
            )
        return self.change(replace(job, asked=what), actor=actor, action=f"ask to {what}", reason=reason)

    def check_free(self, job: MigrationJob) -> None:
        """Raise MigrationError when another process is at work on `job`."""
        if not job.is_running or job.owner is None:
            return
        gone = job.owner.is_gone()
        if gone or (gone is None and self._silent_for() > timedelta(seconds=_SILENT_S)):
            return
        raise MigrationError(
            "a migration runs in one process at a time",
            found=f"{job.state} in process {job.owner.pid} of {job.owner.host}",
            hint="Wait for it, or pause it first",
        )

    def progressed(self, generation: int) -> Progressed:
        """Return the newest checkpoint of the copy."""
        with self._workspace.records() as ledger:
            entries = ledger.entries(self._stream(generation))
        return Progressed(**_fields(entries[-1].body)) if entries else Progressed()

    @contextmanager
    def checkpoint(self, job: MigrationJob, progressed: Progressed, held: Iterable[HeldRow]) -> Iterator[str | None]:
        """Keep how far the copy is together with the rows set aside; yields what somebody asks of this process.

        Raises MigrationError when another process has taken the migration over; nothing is kept then.
        """
        with self._workspace.recording() as ledger:
            asked = self._still_mine(ledger, job)
            ledger.append(self._stream(job.generation), f"{progressed.n_read:015d}", asdict(progressed), at=ledger.now)
            self._hold(ledger, job, held, round_=0)
            yield asked

    def hold(self, job: MigrationJob, held: Iterable[HeldRow], *, round_: int) -> None:
        """Set rows aside in a later `round_` (1 and up) of catching up or trying again."""
        with self._workspace.recording() as ledger:
            self._still_mine(ledger, job)
            self._hold(ledger, job, held, round_=round_)

    def release(self, job: MigrationJob, held: Iterable[HeldRow], *, round_: int) -> None:
        """Take rows out of the quarantine: they are in the target now, or no longer in the source."""
        with self._workspace.recording() as ledger:
            self._still_mine(ledger, job)
            for row in held:
                body = {"id": coded_text(row.id), "reason": row.reason, "is_held": False}
                ledger.append(self._quarantine(job), _entry_key(row, f"{round_}-out"), body, at=ledger.now)

    def quarantine(self, job: MigrationJob) -> tuple[HeldRow, ...]:
        """Return the rows that are set aside now, in the order in which they were."""
        held: dict[str, HeldRow] = {}
        with self._workspace.records() as ledger:
            for entry in ledger.entries(self._quarantine(job)):
                body: dict[str, Any] = entry.body
                if body["is_held"]:
                    held[body["id"]] = HeldRow(id=from_coded_text(body["id"]), reason=body["reason"])
                else:
                    held.pop(body["id"], None)
        return tuple(held.values())

    def n_rounds(self, job: MigrationJob) -> int:
        """Return how many rounds have written to the quarantine, so that the next one has a number of its own."""
        with self._workspace.records() as ledger:
            rounds = {entry.key.split("-", 1)[0] for entry in ledger.entries(self._quarantine(job))}
        return max((int(one) for one in rounds), default=0)

    def _hold(self, ledger: Ledger, job: MigrationJob, held: Iterable[HeldRow], *, round_: int) -> None:
        for row in held:
            body = {"id": coded_text(row.id), "reason": row.reason, "is_held": True}
            ledger.append(self._quarantine(job), _entry_key(row, f"{round_}-in"), body, at=ledger.now)

    def _still_mine(self, ledger: Ledger, job: MigrationJob) -> str | None:
        record = ledger.get(KIND, self.key)
        stored = None if record is None else job_of(record)
        if stored is None or stored.owner != job.owner:
            raise MigrationError("another process has taken this migration over", hint="Look at its progress there")
        return stored.asked

    def _silent_for(self) -> timedelta:
        with self._workspace.records() as ledger:
            record = ledger.get(KIND, self.key)
            if record is None:
                return timedelta.max
            entries = ledger.entries(self._stream(job_of(record).generation))
            latest = max((record.updated_at, *(entry.at for entry in entries[-1:])))
            return ledger.now - latest

    def _stream(self, generation: int) -> str:
        return f"migration:{self.key}:{generation}"

    def _quarantine(self, job: MigrationJob) -> str:
        return f"quarantine:{self.key}:{job.generation}"


def job_of(record: Record) -> MigrationJob:
    """Read a job out of its record."""
    body: dict[str, Any] = dict(record.body)
    owner = body.pop("owner")
    return MigrationJob(**body, owner=None if owner is None else Owner(**owner), version=record.version)


def aware(moment: str) -> datetime:
    """Return an ISO moment that carries its time zone."""
    return datetime.fromisoformat(moment)


def _entry_key(row: HeldRow, round_: str) -> str:
    # Ids may be longer than a key, and a row may be set aside twice in a round for two reasons.
    digest = hashlib.sha256(f"{coded_text(row.id)}\0{row.reason}".encode()).hexdigest()[:32]
    return f"{round_}-{digest}"


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    return body
