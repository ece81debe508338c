"""The audit log: every change of a record, each event hashed together with the one before it.

Events are numbered from 1 without a gap, whatever the clock does. The workspace's own row holds the number and hash of
the newest one, so that a cut-off end shows as well as a change in the middle.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from engine.errors import ParameterError
from engine.workspace.models import AuditRow, RecordRow, WorkspaceRow
from engine.workspace.plain import JsonValue, plain_json

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from sqlalchemy.orm import Session

LARGEST_BODY = 1 << 20
"""Characters of JSON that one record, one entry or one piece of evidence may take."""

_ROWS_A_CHUNK = 1000
_COLUMNS = AuditRow.__table__.columns
_CONTENT = ("seq", "at", "actor", "action", "kind", "key", "reason", "before", "after", "evidence", "previous_hash")
_DOCUMENTS = ("before", "after", "evidence")


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One change: who (`actor`) did what (`action`) to which record, when (`at`, UTC), why, from what to what.

    `before` and `after` are the record's bodies: None before its first version and after its removal, and both None
    for a note that changes nothing. `evidence` is the data that justified it. `hash` is the SHA-256 of everything
    else, `previous_hash` (empty for the first event) included, as JSON in ASCII with sorted keys and no spaces.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    kind: str
    key: str
    reason: str
    before: JsonValue
    after: JsonValue
    evidence: JsonValue
    previous_hash: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class AuditCheck:
    """What checking the whole log gave; `first_broken` is the number of the first event that is not as it was."""

    n_events: int
    is_intact: bool
    first_broken: int | None
    reason: str


def compact_json(value: object, *, what: str) -> str:
    """Return `value` as the JSON text that is stored: its keys in their order, no spaces, ASCII.

    Raises ParameterError that names `what` when it is not JSON, or longer than `LARGEST_BODY`.
    """
    try:
        text = _dumps(plain_json(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"{what} must be plain JSON", found=error) from error
    if len(text) > LARGEST_BODY:
        raise ParameterError(f"{what} may take {LARGEST_BODY:,} characters of JSON", found=f"{len(text):,}")
    return text


def new_event(
    head: WorkspaceRow,
    *,
    at: datetime,
    actor: str,
    action: str,
    kind: str,
    key: str,
    reason: str,
    before: str | None = None,
    after: str | None = None,
    evidence: object = None,
) -> AuditRow:
    """Return the row that follows `head`, and move `head` on to it; the caller holds the lock on `head`.

    `before` and `after` are bodies as `compact_json` wrote them.
    """
    content: dict[str, Any] = {
        "seq": head.audit_seq + 1,
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "kind": kind,
        "key": key,
        "reason": reason,
        "before": before or "null",
        "after": after or "null",
        "evidence": compact_json(evidence, what="evidence"),
        "previous_hash": head.audit_hash,
    }
    row = AuditRow(**content, hash=_hash(content))
    head.audit_seq, head.audit_hash = row.seq, row.hash
    return row


def event_of(row: AuditRow) -> AuditEvent:
    """Read a row out."""
    content: dict[str, Any] = {name: getattr(row, name) for name in _CONTENT}
    documents = {name: json.loads(content[name]) for name in _DOCUMENTS}
    return AuditEvent(**{**content, **documents, "at": datetime.fromisoformat(row.at)}, hash=row.hash)


def events(
    session: Session,
    *,
    kind: str | Collection[str] | None,
    key: str | None,
    after: int,
    limit: int,
    newest_first: bool,
) -> tuple[AuditEvent, ...]:
    """Return what `engine.workspace.Workspace.audit` does."""
    if limit < 1:
        raise ParameterError("the number of audit events must be at least 1", found=limit)
    order = AuditRow.seq.desc() if newest_first else AuditRow.seq
    query = select(AuditRow).where(AuditRow.seq > after).order_by(order).limit(limit)
    if kind is not None:
        query = query.where(AuditRow.kind.in_([kind] if isinstance(kind, str) else list(kind)))
    if key is not None:
        query = query.where(AuditRow.key == key)
    return tuple(event_of(row) for row in session.scalars(query))


def last_change(session: Session, kind: str, key: str) -> AuditEvent | None:
    """Return the newest event that changed a record, notes left out."""
    query = (
        select(AuditRow)
        .where(AuditRow.kind == kind, AuditRow.key == key, (AuditRow.before != "null") | (AuditRow.after != "null"))
        .order_by(AuditRow.seq.desc())
        .limit(1)
    )
    row = session.scalars(query).first()
    return None if row is None else event_of(row)


def check_chain(session: Session) -> AuditCheck:
    """Walk the whole log from its first event; see `engine.workspace.Workspace.check_audit`."""
    head = session.execute(select(WorkspaceRow.audit_seq, WorkspaceRow.audit_hash)).one()
    n_events, previous, latest = 0, "", {}
    with closing(_rows(session)) as rows:
        for event in rows:
            problem = _problem(event, seq=n_events + 1, previous=previous)
            if problem is not None:
                return AuditCheck(n_events=n_events, is_intact=False, first_broken=n_events + 1, reason=problem)
            n_events, previous = event["seq"], event["hash"]
            if (event["before"], event["after"]) != ("null", "null"):
                latest[event["kind"], event["key"]] = event["seq"], event["after"]
    if (head.audit_seq, head.audit_hash) != (n_events, previous):
        reason = f"the log ends at event {n_events}, but the workspace knows {head.audit_seq} events"
        return AuditCheck(n_events=n_events, is_intact=False, first_broken=n_events + 1, reason=reason)
    return _check_records(session, latest, n_events=n_events)


def _rows(session: Session) -> Generator[dict[str, Any], None, None]:
    query = select(*_COLUMNS).order_by(AuditRow.seq).execution_options(yield_per=_ROWS_A_CHUNK)
    with session.execute(query) as result:  # else PostgreSQL keeps its cursor where nobody reads to the end
        for row in result:
            yield dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for a row's columns


def _problem(event: dict[str, Any], *, seq: int, previous: str) -> str | None:
    if event["seq"] != seq:
        return f"event {seq} is missing"
    if event["previous_hash"] != previous:
        return f"event {seq} does not follow the one before it"
    try:
        is_intact = event["hash"] == _hash(event)
    except (TypeError, ValueError, RecursionError):  # what somebody wrote into the row need not even be JSON
        is_intact = False
    return None if is_intact else f"event {seq} was altered"


def _hash(content: dict[str, Any]) -> str:
    documents = {name: json.loads(content[name]) for name in _DOCUMENTS}
    for name, document in documents.items():
        if _dumps(document) != content[name]:
            raise ValueError(f"{name} is not spelt as it was written")
    said = _dumps({name: content[name] for name in _CONTENT} | documents, sort_keys=True)
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def _dumps(value: object, *, sort_keys: bool = False) -> str:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), allow_nan=False)


def _check_records(session: Session, latest: dict[tuple[str, str], tuple[int, str]], *, n_events: int) -> AuditCheck:
    """Compare every record with what its newest event says it is."""
    unseen = {place: seq for place, (seq, after) in latest.items() if after != "null"}
    for row in session.execute(select(RecordRow.kind, RecordRow.key, RecordRow.body)):
        seq, after = latest.get((row.kind, row.key), (n_events, "null"))
        unseen.pop((row.kind, row.key), None)
        if row.body != (None if after == "null" else after):
            reason = f"{row.kind} {row.key} is not what its newest event says"
            return AuditCheck(n_events=n_events, is_intact=False, first_broken=seq, reason=reason)
    if unseen:
        (kind, key), seq = min(unseen.items(), key=lambda item: item[1])
        reason = f"{kind} {key} is missing, though no event removed it"
        return AuditCheck(n_events=n_events, is_intact=False, first_broken=seq, reason=reason)
    return AuditCheck(n_events=n_events, is_intact=True, first_broken=None, reason="every event is as it was written")
