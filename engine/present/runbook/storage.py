"""What a workspace keeps of its runbook: ticks of people and what the system measured, every change audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from engine.errors import ConflictError, ParameterError, printable
from engine.present.runbook.checks import CHECK_KEYS, DAYS_UNTIL_STALE, Tick, check_key
from engine.present.runbook.results import (
    KillRehearsal,
    PreflightNote,
    SourceCount,
    as_body,
    count_of,
    preflight_of,
    rehearsal_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from engine.present.runbook.checks import CheckKey
    from engine.workspace import Ledger, Record, Workspace

RUNBOOK_KIND = "runbook"
LONGEST_NOTE = 400

_TICK = "tick:"
_REHEARSAL, _COUNT, _PREFLIGHT, _SETTINGS = "rehearsal", "source count", "preflight:", "settings"
_MOST_DAYS = 365

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Measured(Generic[T]):
    """Something that was measured, when, and who had it measured; both as the audit log has them."""

    result: T
    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Everything that is kept of the runbook, read in one go."""

    ticks: dict[CheckKey, Tick]
    rehearsal: Measured[KillRehearsal] | None
    count: Measured[SourceCount] | None
    preflights: dict[str, Measured[PreflightNote]]
    days_until_stale: int


class RunbookStore:
    """The ticks and the evidence of `workspace`; safe to share between threads and processes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tick(self, check: str, *, actor: str, note: str, about: str = "", expected_version: int | None = None) -> Tick:
        """Tick an item of the checklist, with a note that says why; `about` is the rollout that it is ticked for.

        `expected_version` is that of the tick that the caller has seen, 0 for none, None for whatever is there.

        Raises
        ------
        ParameterError
            When there is no such item, no note, or a longer one than `LONGEST_NOTE`.
        ConflictError
            When somebody else ticked it meanwhile.
        """
        key = check_key(check)
        said = printable(note, longest=LONGEST_NOTE + 1)
        if not said or len(said) > LONGEST_NOTE:
            found = f"{len(said):,} characters or more" if said else "nothing"
            raise ParameterError(f"a tick takes a note of 1 to {LONGEST_NOTE} characters", found=found)
        body = {"note": said, "about": about}
        with self._workspace.recording() as ledger:
            self._check_seen(ledger, key, expected_version)
            record = ledger.put(
                RUNBOOK_KIND, _TICK + key, body, expected_version=None, actor=actor, action="tick", reason=said
            )
            return _tick_of(ledger, record)

    def take_back(self, check: str, *, actor: str, reason: str = "", expected_version: int | None = None) -> None:
        """Take a tick back. Raises ParameterError when there is none, ConflictError as `tick` does."""
        key = check_key(check)
        with self._workspace.recording() as ledger:
            if ledger.get(RUNBOOK_KIND, _TICK + key) is None:
                raise ParameterError("only what a person ticked can be taken back", found=f"{key}, without a tick")
            self._check_seen(ledger, key, expected_version)
            ledger.remove(
                RUNBOOK_KIND, _TICK + key, expected_version=None, actor=actor, action="take back", reason=reason
            )

    def set_days_until_stale(self, days: int, *, actor: str, reason: str = "") -> None:
        """Say how old evidence and ticks may be, 1 to 365 days. Raises ParameterError."""
        if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= _MOST_DAYS:
            raise ParameterError(f"evidence is stale after 1 to {_MOST_DAYS} days", found=repr(days))
        self._keep(_SETTINGS, {"days_until_stale": days}, actor=actor, action="set staleness", reason=reason)

    def keep_rehearsal(self, rehearsal: KillRehearsal, *, actor: str) -> None:
        """Keep a rehearsed kill switch as evidence."""
        self._keep(
            _REHEARSAL, as_body(rehearsal), actor=actor, action="rehearse kill switch", reason=rehearsal.sentence
        )

    def keep_count(self, count: SourceCount, *, actor: str) -> None:
        """Keep a fresh count of a migration's source as evidence."""
        self._keep(_COUNT, as_body(count), actor=actor, action="count source", reason=count.sentence)

    def keep_preflight(self, note: PreflightNote, *, actor: str) -> None:
        """Keep that a pre-flight of a rollout was made, and for which settings."""
        self._keep(_preflight_key(note.rollout), as_body(note), actor=actor, action="pre-flight")

    def kept(self) -> Kept:
        """Return everything that is kept, as one moment has it."""
        with self._workspace.records() as ledger:
            return kept_in(ledger)

    def _keep(self, key: str, body: dict[str, Any], *, actor: str, action: str, reason: str = "") -> None:
        with self._workspace.recording() as ledger:
            ledger.put(RUNBOOK_KIND, key, body, expected_version=None, actor=actor, action=action, reason=reason)

    @staticmethod
    def _check_seen(ledger: Ledger, key: CheckKey, expected_version: int | None) -> None:
        record = ledger.get(RUNBOOK_KIND, _TICK + key)
        version = 0 if record is None else record.version
        if expected_version is not None and expected_version != version:
            last = ledger.last_change(RUNBOOK_KIND, _TICK + key)
            found = None if last is None else f"{last.action} by {last.actor} at {last.at:%Y-%m-%d %H:%M:%S} UTC"
            raise ConflictError(
                f"somebody else changed {key} of the checklist in between", found=found, hint="Look at what is there"
            )


def kept_in(ledger: Ledger) -> Kept:
    """Return everything that `ledger` holds of the runbook."""
    records = {record.key: record for record in ledger.all(RUNBOOK_KIND)}
    ticks = {key: _tick_of(ledger, records[_TICK + key]) for key in CHECK_KEYS if _TICK + key in records}
    rehearsal, count, settings = records.get(_REHEARSAL), records.get(_COUNT), records.get(_SETTINGS)
    noted = [record for key, record in records.items() if key.startswith(_PREFLIGHT)]
    preflights = [_measured(ledger, record, preflight_of(record.body)) for record in noted]
    days: Any = DAYS_UNTIL_STALE if settings is None else settings.body["days_until_stale"]
    return Kept(
        ticks=ticks,
        rehearsal=None if rehearsal is None else _measured(ledger, rehearsal, rehearsal_of(rehearsal.body)),
        count=None if count is None else _measured(ledger, count, count_of(count.body)),
        preflights={one.result.rollout: one for one in preflights},
        days_until_stale=int(days),
    )


def _measured(ledger: Ledger, record: Record, result: T) -> Measured[T]:
    change = ledger.last_change(RUNBOOK_KIND, record.key)
    by = "" if change is None else change.actor
    return Measured(result=result, at=record.updated_at if change is None else change.at, by=by)


def _tick_of(ledger: Ledger, record: Record) -> Tick:
    # Who and when come from the audit log: the one place that knows who is signed in.
    change = ledger.last_change(RUNBOOK_KIND, record.key)
    return Tick(
        by="" if change is None else change.actor,
        at=record.updated_at if change is None else change.at,
        note=str(record.body["note"]),
        about=str(record.body["about"]),
        version=record.version,
    )


def _preflight_key(rollout: str) -> str:
    import hashlib

    # Keys of rollouts may be as long as keys of records.
    return _PREFLIGHT + hashlib.sha256(rollout.encode()).hexdigest()[:32]
