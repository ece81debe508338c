"""Incidents: what a rollback leaves behind, with the evidence that justified it; opened, and closed with a note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import ConflictError, ParameterError, RolloutError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.rollout.machine import Rollout
    from engine.workspace import JsonValue
    from engine.workspace.records import Entry, Ledger

INCIDENT_STREAM = "incidents"

_LONGEST_NOTE = 2000


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A rollback that the monitor made: when, at which share, why, and the monitor's report as `evidence`.

    `closed_at`, `closed_by` and `note` are empty while it is open.
    """

    key: str
    rollout_key: str
    flag_key: str
    opened_at: datetime
    title: str
    percent: float
    sentences: tuple[str, ...]
    evidence: JsonValue
    is_simulated: bool
    closed_at: datetime | None = None
    closed_by: str = ""
    note: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it yet."""
        return self.closed_at is None


def open_incident(
    ledger: Ledger, rollout: Rollout, *, at: datetime, title: str, sentences: tuple[str, ...], evidence: JsonValue
) -> str:
    """Append an incident for `rollout` as it was before the rollback, and return its key."""
    key = f"{rollout.key}/{at.isoformat()}"
    body = {
        "rollout": rollout.key,
        "flag": rollout.flag_key,
        "title": title,
        "percent": rollout.percent,
        "sentences": list(sentences),
        "evidence": evidence,
        "is_simulated": rollout.is_simulated,
    }
    ledger.append(INCIDENT_STREAM, key, body, at=at)
    return key


def close_incident(ledger: Ledger, key: str, *, note: str, actor: str, at: datetime) -> None:
    """Close the incident `key` with what was found out, and note it in the audit log.

    Raises
    ------
    ParameterError
        When the note is missing or too long.
    RolloutError
        When there is no such incident.
    ConflictError
        When it is closed already.
    """
    if not note or note != printable(note, longest=_LONGEST_NOTE):
        raise ParameterError(
            f"closing an incident takes a note on one line of at most {_LONGEST_NOTE:,} characters",
            found=note or "none",
        )
    present = next((one for one in incidents(ledger) if one.key == key), None)
    if present is None:
        raise RolloutError("no such incident", found=key)
    if not present.is_open:
        raise ConflictError("the incident is closed already", found=f"{key}, by {present.closed_by}")
    ledger.append(INCIDENT_STREAM, f"{key}/closed", {"closes": key, "by": ledger.who(actor), "note": note}, at=at)
    ledger.note("rollout", present.rollout_key, actor=actor, action="close incident", reason=note)


def incidents(ledger: Ledger, *, rollout_key: str | None = None) -> tuple[Incident, ...]:
    """Return the incidents, newest first, of one rollout when given."""
    entries = ledger.entries(INCIDENT_STREAM)
    closed: dict[str, Entry] = {str(entry.body["closes"]): entry for entry in entries if "closes" in entry.body}
    opened = (entry for entry in entries if "closes" not in entry.body)
    found = (_incident_of(entry, closed.get(entry.key)) for entry in opened)
    return tuple(one for one in found if rollout_key in {None, one.rollout_key})[::-1]


def _incident_of(entry: Entry, closed: Entry | None) -> Incident:
    body: Mapping[str, Any] = entry.body
    return Incident(
        key=entry.key,
        rollout_key=body["rollout"],
        flag_key=body["flag"],
        opened_at=entry.at,
        title=body["title"],
        percent=body["percent"],
        sentences=tuple(body["sentences"]),
        evidence=body["evidence"],
        is_simulated=body["is_simulated"],
        closed_at=None if closed is None else closed.at,
        closed_by="" if closed is None else str(closed.body["by"]),
        note="" if closed is None else str(closed.body["note"]),
    )
