"""The audit log: hashed as documented, refused to change, and every tampering found."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import IntegrityError

from engine.errors import ParameterError
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ON_SQLITE = pytest.mark.sqlite


def _put(workspace: Workspace, key: str = "a", body: dict[str, Any] | None = None, **given: Any) -> Any:
    options: dict[str, Any] = {"expected_version": None, "actor": "anna", "action": "set", "reason": "because"}
    with workspace.recording() as ledger:
        return ledger.put("thing", key, {"x": 1} if body is None else body, **{**options, **given})


def test_the_hash_is_that_of_the_documented_text(workspace: Workspace) -> None:
    """An auditor with nothing but the events recomputes every hash from the rule in the docstring."""
    _put(workspace, body={"ü": 1.5, "a": "\ud800"})
    _put(workspace, body={})
    previous = ""
    for event in workspace.audit():
        said = {name: getattr(event, name) for name in event.__dataclass_fields__ if name != "hash"}
        said["at"] = event.at.isoformat(timespec="microseconds")
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        assert event.previous_hash == previous
        assert event.hash == hashlib.sha256(text.encode()).hexdigest()
        previous = event.hash


def test_the_log_is_read_by_kind_key_and_number(workspace: Workspace) -> None:
    """Filters combine, the newest come first where asked, and a limit below one is refused."""
    for key in ("a", "b", "a", "b"):
        _put(workspace, key)
    assert [event.seq for event in workspace.audit(kind="thing", key="b", after=2)] == [4]
    assert [event.seq for event in workspace.audit(limit=2, newest_first=True)] == [4, 3]
    assert workspace.audit(kind="other") == ()
    assert workspace.audit_head() == 4
    with pytest.raises(ParameterError, match="at least 1; found 0"):
        workspace.audit(limit=0)


def test_a_reason_cannot_forge_a_line_of_the_log(workspace: Workspace) -> None:
    """Line breaks and halves of characters in a reason become harmless."""
    _put(workspace, reason="all good\n2 | mallory | \ud800")
    assert workspace.audit()[0].reason == "all good 2 | mallory | ?"


def test_a_clock_that_jumps_back_breaks_nothing(tmp_path: Path) -> None:
    """Events keep the order in which they happened, and the moments that the clock really gave."""
    moments = [MOMENT, MOMENT - timedelta(days=400), MOMENT - timedelta(days=399)]
    clock = iter(moments)
    with Workspace.open(tmp_path / "w", clock=lambda: next(clock)) as workspace:
        for number in range(3):
            _put(workspace, body={"n": number}, expected_version=number)
        assert [(event.seq, event.at) for event in workspace.audit()] == list(zip((1, 2, 3), moments, strict=True))
        assert workspace.check_audit().is_intact


@pytest.mark.parametrize("table", ["audit_events", "entries"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET key = 'z'",
        "DELETE FROM {table}",
        pytest.param("INSERT OR REPLACE INTO {table} SELECT * FROM {table}", marks=ON_SQLITE),
        pytest.param("UPDATE OR REPLACE {table} SET seq = 1", marks=ON_SQLITE),
        "INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT (seq) DO UPDATE SET key = 'z'",
    ],
)
def test_rows_of_the_log_are_refused_to_change(workspace: Workspace, table: str, statement: str) -> None:
    """The database itself refuses to update, delete or replace events and entries."""
    with workspace.recording() as ledger:
        ledger.note("thing", "a", actor="anna", action="look")
        ledger.append("s", "k", {}, at=MOMENT)
    with pytest.raises(IntegrityError, match=f"rows of {table} are never changed"), workspace.writing() as session:
        session.connection().exec_driver_sql(statement.format(table=table))


@pytest.mark.sqlite
def test_an_entry_is_not_replaced_under_another_number(workspace: Workspace) -> None:
    """INSERT OR REPLACE with the key of an entry but a number of its own is refused too."""
    with workspace.recording() as ledger:
        ledger.append("s", "k", {}, at=MOMENT)
    replacing = "INSERT OR REPLACE INTO entries SELECT 99, stream, key, at, '{}' FROM entries"
    with pytest.raises(IntegrityError, match="never changed"), workspace.writing() as session:
        session.connection().exec_driver_sql(replacing)


@pytest.mark.parametrize(
    ("statement", "broken", "reason"),
    [
        ("UPDATE audit_events SET at = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET actor = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET action = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET kind = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET key = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET reason = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET after = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET hash = 'x' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET evidence = 'null ' WHERE seq = 2", 2, "event 2 was altered"),
        pytest.param("UPDATE audit_events SET before = x'ff' WHERE seq = 2", 2, "event 2 was altered", marks=ON_SQLITE),
        ("UPDATE audit_events SET previous_hash = '' WHERE seq = 2", 2, "event 2 does not follow"),
        ("DELETE FROM audit_events WHERE seq = 1", 1, "event 1 is missing"),
        ("DELETE FROM audit_events WHERE seq = 3", 3, "event 3 is missing"),
        ("DELETE FROM audit_events WHERE seq = 4", 4, "the log ends at event 3, but the workspace knows 4 events"),
        ("DELETE FROM audit_events", 1, "the log ends at event 0"),
        pytest.param("UPDATE audit_events SET seq = 3.5 WHERE seq = 2", 2, "event 2 is missing", marks=ON_SQLITE),
        ("UPDATE workspace SET audit_hash = ''", 5, "the log ends at event 4"),
        ("UPDATE records SET body = '{}' WHERE key = 'a'", 3, "thing a is not what its newest event says"),
        ("UPDATE records SET body = NULL WHERE key = 'b'", 4, "thing b is not what its newest event says"),
        ("DELETE FROM records WHERE key = 'b'", 4, "thing b is missing, though no event removed it"),
        ("INSERT INTO records SELECT kind, 'c', version, body, updated_at FROM records WHERE key = 'a'", 4, "thing c"),
    ],
)  # fmt: skip
def test_every_tampering_is_found(
    workspace: Workspace, tamper: Callable[..., None], statement: str, broken: int, reason: str
) -> None:
    """Altered, missing, reordered, added and cut-off rows show, with the first event that is not as it was."""
    for number, key in enumerate(("a", "b", "a", "b")):
        _put(workspace, key, {"n": number})
    assert workspace.check_audit().is_intact
    tamper(statement)
    check = workspace.check_audit()
    assert (check.is_intact, check.first_broken) == (False, broken)
    assert reason in check.reason


def test_events_that_changed_places_are_found(workspace: Workspace, tamper: Callable[..., None]) -> None:
    """Two events swapped, and one added at the end with the workspace's own row moved on, both show."""
    for number in range(4):
        _put(workspace, body={"n": number})
    tamper(
        "INSERT INTO audit_events SELECT 5, at, actor, action, kind, key, reason, before, after, evidence, hash, hash "
        "FROM audit_events WHERE seq = 4",
        "UPDATE workspace SET audit_seq = 5",
    )
    assert workspace.check_audit().reason == "event 5 was altered"
    tamper(
        "DELETE FROM audit_events WHERE seq = 5",
        "UPDATE workspace SET audit_seq = 4",
        "UPDATE audit_events SET seq = -2 WHERE seq = 2",
        "UPDATE audit_events SET seq = 2 WHERE seq = 3",
        "UPDATE audit_events SET seq = 3 WHERE seq = -2",
    )
    assert workspace.check_audit().reason == "event 2 does not follow the one before it"
