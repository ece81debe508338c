"""Records that change and never lose how: versioned JSON documents, their audit log, and append-only series.

Whoever changes anything here holds the lock of the workspace's row until the transaction ends, so that changes of
several processes follow one another and what was read inside the block is still so when it is written.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from engine.errors import ConflictError, ParameterError, WorkspaceError, printable
from engine.workspace.access import ROLE_KIND, Identity, Role, check_access, stream_kind
from engine.workspace.audit import AuditEvent, compact_json, event_of, events, last_change, new_event
from engine.workspace.models import EntryRow, RecordRow, WorkspaceRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from engine.workspace.plain import JsonValue

_LONGEST_KEY = 200
_LONGEST_WORD = 64
_LONGEST_REASON = 2000
_MOST_EVENTS = 1000


@dataclass(frozen=True, kw_only=True)
class Record:
    """A JSON document of one `kind` under one `key`; `version` counts its changes from 1, removals included."""

    kind: str
    key: str
    version: int
    body: dict[str, JsonValue]
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One value of a series, the only one of its `stream` under its `key`; `seq` grows from entry to entry."""

    seq: int
    stream: str
    key: str
    at: datetime
    body: dict[str, JsonValue]


class Ledger:
    """The records and series of a workspace inside one transaction; `now` is its clock, read once.

    Methods that change something raise WorkspaceError where the transaction only reads. Bound to an `identity`, they
    raise AccessError for what that person may not do, and write that person's name whatever `actor` says.
    """

    def __init__(
        self, session: Session, *, clock: Callable[[], datetime], writes: bool, identity: Identity | None = None
    ) -> None:
        query = select(WorkspaceRow).with_for_update() if writes else select(WorkspaceRow)
        self._head = session.scalars(query).one()
        self.now = clock()  # after the lock was taken, so that waiting for it does not count
        self._session = session
        self._writes = writes
        self._identity = identity

    def by_itself(self) -> Ledger:
        """Return this ledger bound to nobody, for what Dimshift does by itself, whoever happens to look at it."""
        unbound = copy.copy(self)
        unbound._identity = None  # noqa: SLF001  # a copy of this very object
        return unbound

    def who(self, actor: str) -> str:
        """Return who is written down for a change: the person that this ledger is bound to, else `actor`."""
        return actor if self._identity is None else self._identity.name

    @property
    def audit_seq(self) -> int:
        """The number of the newest audit event, those of this transaction included."""
        return self._head.audit_seq

    @property
    def audit_hash(self) -> str:
        """The hash of the newest audit event, empty before the first."""
        return self._head.audit_hash

    def get(self, kind: str, key: str) -> Record | None:
        """Return one record, None when there is none."""
        row = self._session.get(RecordRow, (kind, key))
        return None if row is None else _record_of(row)

    def all(self, kind: str) -> tuple[Record, ...]:
        """Return the records of one kind, ordered by key."""
        query = select(RecordRow).where(RecordRow.kind == kind, RecordRow.body.is_not(None))
        found = (_record_of(row) for row in self._session.scalars(query))
        # Sorted here, because the order of text is a setting of a PostgreSQL database.
        return tuple(sorted((record for record in found if record is not None), key=lambda record: record.key))

    def put(
        self,
        kind: str,
        key: str,
        body: Mapping[str, object],
        *,
        expected_version: int | None,
        actor: str,
        action: str,
        reason: str = "",
        evidence: object = None,
    ) -> Record:
        """Write a record and the audit event that says so, and return it with its new version.

        `expected_version` is the version that the caller has read: 0 when it must be new, None for whatever is there.
        Raises ConflictError that names who changed it when, when it has another one, and ParameterError for bodies
        that are no JSON object.
        """
        self.check_access(kind, action)
        text = compact_json(dict(body), what=f"{kind} {key}")
        row = self._row_to_change(kind, key, expected_version)
        before = None if row is None else row.body
        self._add_event(
            kind, key, actor=actor, action=action, reason=reason, before=before, after=text, evidence=evidence
        )
        if row is None:
            row = RecordRow(kind=kind, key=key, version=1, body=text, updated_at=self.now)
            self._session.add(row)
        else:
            row.version, row.body, row.updated_at = row.version + 1, text, self.now
        self._session.flush()
        return Record(kind=kind, key=key, version=row.version, body=json.loads(text), updated_at=self.now)

    def remove(
        self, kind: str, key: str, *, expected_version: int | None, actor: str, action: str, reason: str = ""
    ) -> None:
        """Remove a record and write the audit event that says so.

        Raises ConflictError when it is not there, or has another version than the expected one.
        """
        self.check_access(kind, action)
        row = self._row_to_change(kind, key, expected_version)
        if row is None or row.body is None:
            raise self._conflict(kind, key, row, expected="one that is there")
        self._add_event(kind, key, actor=actor, action=action, reason=reason, before=row.body)
        row.version, row.body, row.updated_at = row.version + 1, None, self.now
        self._session.flush()

    def note(
        self, kind: str, key: str, *, actor: str, action: str, reason: str = "", evidence: object = None
    ) -> AuditEvent:
        """Write an audit event that changes no record, and return it."""
        self.check_access(kind, action)
        self._check_writes()
        return self._add_event(kind, key, actor=actor, action=action, reason=reason, evidence=evidence)

    def append(self, stream: str, key: str, body: Mapping[str, object], *, at: datetime) -> bool:
        """Add an entry to a series; return False when it is there already, so that sending it twice does no harm.

        `at` is an aware moment. Raises ConflictError when the stream holds another body under the same key.
        """
        self.check_access(stream_kind(stream), "append")
        self._check_writes()
        if at.tzinfo is None:
            raise ParameterError("the moment of an entry must carry its time zone", found=at.isoformat())
        stream, key = _name("a stream", stream, _LONGEST_KEY), _name("the key of an entry", key, _LONGEST_KEY)
        text = compact_json(dict(body), what=f"entry {key}")
        query = select(EntryRow).where(EntryRow.stream == stream, EntryRow.key == key)
        present = self._session.scalars(query).one_or_none()
        if present is not None:
            if json.loads(present.body) == json.loads(text):
                return False
            raise ConflictError(
                f"entries are never changed: {stream} holds another value for {key}",
                hint="Correct it under a key of its own",
            )
        last = self._session.scalar(select(func.max(EntryRow.seq))) or 0
        self._session.add(EntryRow(seq=last + 1, stream=stream, key=key, at=at, body=text))
        self._session.flush()
        return True

    def entries(self, stream: str, *, after: int = 0, since: datetime | None = None) -> tuple[Entry, ...]:
        """Return the entries of a series in the order they came: after number `after`, not older than `since`."""
        query = select(EntryRow).where(EntryRow.stream == stream, EntryRow.seq > after).order_by(EntryRow.seq)
        if since is not None:
            query = query.where(EntryRow.at >= since)
        return tuple(
            Entry(seq=row.seq, stream=row.stream, key=row.key, at=row.at, body=json.loads(row.body))
            for row in self._session.scalars(query)
        )

    def events(self, kind: str, key: str, *, after: int = 0) -> tuple[AuditEvent, ...]:
        """Return the first thousand audit events of one record after number `after`, the oldest first."""
        return events(self._session, kind=kind, key=key, after=after, limit=_MOST_EVENTS, newest_first=False)

    def last_change(self, kind: str, key: str) -> AuditEvent | None:
        """Return the newest audit event that changed a record, notes left out; None before its first version."""
        return last_change(self._session, kind, key)

    def check_access(self, kind: str, action: str) -> None:
        """Raise AccessError unless who this ledger is bound to may do `action` to a `kind` now."""
        if self._identity is None:
            return
        # Asked anew for every change: a role may be taken away while what it began goes on.
        listed = None if self._identity.is_fixed else self.get(ROLE_KIND, self._identity.name)
        role = None if listed is None else Role.parse(listed.body["role"])
        check_access(self._identity, kind, action, role=self._identity.role_now(role))

    def _check_writes(self) -> None:
        if not self._writes:
            raise WorkspaceError("records are changed inside Workspace.recording() only")

    def _row_to_change(self, kind: str, key: str, expected_version: int | None) -> RecordRow | None:
        self._check_writes()
        _name("the kind of a record", kind, _LONGEST_WORD)
        _name("the key of a record", key, _LONGEST_KEY)
        row = self._session.get(RecordRow, (kind, key))
        version = 0 if row is None or row.body is None else row.version
        if expected_version is not None and expected_version != version:
            raise self._conflict(kind, key, row, expected=f"version {expected_version}" if expected_version else "none")
        return row

    def _conflict(self, kind: str, key: str, row: RecordRow | None, *, expected: str) -> ConflictError:
        found = "none" if row is None or row.body is None else f"version {row.version}"
        last = last_change(self._session, kind, key)
        if last is not None:
            found += f", {last.action} by {last.actor} at {last.at:%Y-%m-%d %H:%M:%S} UTC"
        return ConflictError(
            f"somebody else changed {kind} {key} in between: you started from {expected}",
            found=found,
            hint="Look at what is there now and change that",
        )

    def _add_event(
        self,
        kind: str,
        key: str,
        *,
        actor: str,
        action: str,
        reason: str,
        before: str | None = None,
        after: str | None = None,
        evidence: object = None,
    ) -> AuditEvent:
        if len(reason) > _LONGEST_REASON:
            raise ParameterError(f"a reason may take {_LONGEST_REASON:,} characters", found=f"{len(reason):,}")
        row = new_event(
            self._head,
            at=self.now,
            actor=_name("who changes something", self.who(actor), _LONGEST_KEY),
            action=_name("an action", action, _LONGEST_WORD),
            kind=_name("the kind of a record", kind, _LONGEST_WORD),
            key=_name("the key of a record", key, _LONGEST_KEY),
            # Half a surrogate pair has no UTF-8.
            reason=printable(reason.encode("utf-8", "replace").decode(), longest=_LONGEST_REASON),
            before=before,
            after=after,
            evidence=evidence,
        )
        self._session.add(row)
        return event_of(row)


def _record_of(row: RecordRow) -> Record | None:
    if row.body is None:
        return None
    return Record(kind=row.kind, key=row.key, version=row.version, body=json.loads(row.body), updated_at=row.updated_at)


def _name(what: str, text: str, longest: int) -> str:
    """Return `text` when it can be a name in both databases, on one line. Raises ParameterError."""
    try:
        text.encode()
        is_valid = 0 < len(text) <= longest and printable(text, longest=longest) == text
    except UnicodeEncodeError:
        is_valid = False
    if not is_valid:
        raise ParameterError(
            f"{what} must be 1 to {longest} printable characters without spaces around", found=ascii(text)
        )
    return text
