"""Records, series and the audit log: nothing lost, nothing changed afterwards, everything explained."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import string
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from engine.errors import ConflictError, ParameterError, WorkspaceError
from engine.workspace import Workspace, database

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4)


def _put(workspace: Workspace, key: str = "a", body: dict[str, Any] | None = None, **given: Any) -> Any:
    options: dict[str, Any] = {"expected_version": None, "actor": "anna", "action": "set", "reason": "because"}
    with workspace.recording() as ledger:
        return ledger.put("thing", key, {"x": 1} if body is None else body, **{**options, **given})


def _alter(workspace: Workspace, *statements: str) -> None:
    """Change the database as somebody who first drops the triggers."""
    connection = sqlite3.connect(workspace.folder / "workspace.db")
    with connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_record_is_versioned_and_its_history_told(workspace: Workspace) -> None:
    """Every put counts the version up and leaves an event with who, when, why, before and after."""
    first = _put(workspace, body={"b": 1, "a": [2.5, None]}, expected_version=0)
    second = _put(workspace, body={"b": 2}, expected_version=1, actor="bob", action="change", evidence={"p": 0.5})
    with workspace.records() as ledger:
        assert ledger.get("thing", "a") == second
        assert ledger.get("thing", "other") is None
        assert ledger.all("thing") == (second,)
    assert (first.version, second.version) == (1, 2)
    assert list(first.body) == ["b", "a"]  # the order of keys is the author's
    created, changed = workspace.audit()
    assert (created.seq, created.actor, created.action, created.reason) == (1, "anna", "set", "because")
    assert (created.before, created.after) == (None, {"b": 1, "a": [2.5, None]})
    assert (changed.before, changed.after, changed.evidence) == (created.after, {"b": 2}, {"p": 0.5})
    assert (created.at, changed.at) == (first.updated_at, second.updated_at)


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


def test_a_stale_version_is_a_conflict_that_names_who_was_faster(workspace: Workspace) -> None:
    """A put or removal that starts from another version changes nothing and tells who changed it and when."""
    _put(workspace, expected_version=0)
    _put(workspace, expected_version=1, actor="bob", action="edit")
    message = r"somebody else changed thing a .*version 1; found version 2, edit by bob at 2026-11-22 15:30:\d\d UTC"
    with pytest.raises(ConflictError, match=message):
        _put(workspace, expected_version=1)
    with pytest.raises(ConflictError, match="started from none; found version 2"):
        _put(workspace, expected_version=0)
    with pytest.raises(ConflictError), workspace.recording() as ledger:
        ledger.remove("thing", "a", expected_version=1, actor="anna", action="remove")
    assert workspace.audit_head() == 2


def test_versions_of_a_removed_record_are_not_given_out_again(workspace: Workspace) -> None:
    """Whoever still holds version 1 cannot overwrite a record that was removed and made anew meanwhile."""
    _put(workspace, expected_version=0)
    with workspace.recording() as ledger:
        ledger.remove("thing", "a", expected_version=1, actor="bob", action="remove")
        assert ledger.get("thing", "a") is None
        assert ledger.all("thing") == ()
    with pytest.raises(ConflictError, match="found none, remove by bob"):
        _put(workspace, expected_version=1)
    with pytest.raises(ConflictError), workspace.recording() as ledger:
        ledger.remove("thing", "a", expected_version=None, actor="bob", action="remove")
    assert _put(workspace, expected_version=0).version == 3
    assert workspace.check_audit().is_intact


def test_a_block_is_all_or_nothing(workspace: Workspace) -> None:
    """Records, events and entries of a block that fails are not there, and the numbers go on without a gap."""

    def fail_in_the_middle() -> None:
        with workspace.recording() as ledger:
            ledger.put("thing", "a", {}, expected_version=0, actor="anna", action="set")
            ledger.append("series", "one", {}, at=ledger.now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_in_the_middle()
    with workspace.records() as ledger:
        assert (ledger.get("thing", "a"), ledger.entries("series")) == (None, ())
    _put(workspace)
    assert [event.seq for event in workspace.audit()] == [1]
    assert workspace.check_audit().is_intact


def test_a_note_changes_no_record(workspace: Workspace) -> None:
    """A note is an event of its own, and the conflict of the next editor still names the last change, not the note."""
    _put(workspace, actor="bob")
    with workspace.recording() as ledger:
        noted = ledger.note("thing", "a", actor="carl", action="look", evidence=[1, 2])
    assert (noted.seq, noted.before, noted.after, noted.evidence) == (2, None, None, [1, 2])
    assert workspace.audit(after=1) == (noted,)
    with pytest.raises(ConflictError, match="by bob"):
        _put(workspace, expected_version=7)
    assert workspace.check_audit().is_intact


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


def test_entries_are_idempotent_and_ordered(workspace: Workspace) -> None:
    """The same entry twice is one; another value under its key is a conflict; streams do not mix."""
    with workspace.recording() as ledger:
        assert ledger.append("s", "1", {"n": 1}, at=MOMENT)
        assert not ledger.append("s", "1", {"n": 1}, at=MOMENT + timedelta(days=1))
        assert ledger.append("s", "0", {"n": 2}, at=MOMENT - timedelta(days=1))
        assert ledger.append("t", "1", {"n": 3}, at=MOMENT)
        with pytest.raises(ConflictError, match="s holds another value for 1"):
            ledger.append("s", "1", {"n": 9}, at=MOMENT)
    with workspace.records() as ledger:
        first, second = ledger.entries("s")
        assert (first.body, second.body, first.at) == ({"n": 1}, {"n": 2}, MOMENT)
        assert first.seq < second.seq
        assert ledger.entries("s", after=first.seq) == (second,)
        assert ledger.entries("s", since=MOMENT) == (first,)
        assert [entry.body for entry in ledger.entries("t")] == [{"n": 3}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": ""}, "the key of a record must be 1 to 200 printable"),
        ({"key": "a\nb"}, "printable"),
        ({"key": "\ud800"}, r"found '\\ud800'"),
        ({"key": "x" * 201}, "1 to 200"),
        ({"actor": ""}, "who changes something"),
        ({"action": "x" * 65}, "1 to 64"),
        ({"reason": "x" * 2001}, "a reason may take 2,000 characters; found 2,001"),
        ({"body": {"x": "y" * (1 << 20)}}, "thing a may take 1,048,576 characters"),
        ({"body": {"x": {1, 2}}}, "thing a must be plain JSON"),
        ({"evidence": object()}, "evidence must be plain JSON"),
    ],
)
def test_what_cannot_be_kept_is_refused(workspace: Workspace, given: dict[str, Any], message: str) -> None:
    """Names that are no names, bodies that are no JSON and whatever is too long leave no trace."""
    with pytest.raises(ParameterError, match=message):
        _put(workspace, **given)
    assert workspace.audit_head() == 0


def test_a_reason_cannot_forge_a_line_of_the_log(workspace: Workspace) -> None:
    """Line breaks and halves of characters in a reason become harmless."""
    _put(workspace, reason="all good\n2 | mallory | \ud800")
    assert workspace.audit()[0].reason == "all good 2 | mallory | ?"


def test_a_view_changes_nothing(workspace: Workspace) -> None:
    """Inside records() every method that would change something is refused."""
    with workspace.records() as ledger:
        for change in (
            lambda: ledger.put("thing", "a", {}, expected_version=0, actor="a", action="b"),
            lambda: ledger.remove("thing", "a", expected_version=None, actor="a", action="b"),
            lambda: ledger.note("thing", "a", actor="a", action="b"),
            lambda: ledger.append("s", "k", {}, at=MOMENT),
        ):
            with pytest.raises(WorkspaceError, match="inside Workspace.recording"):
                change()


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
        "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "UPDATE OR REPLACE {table} SET seq = 1",
    ],
)
def test_rows_of_the_log_are_refused_to_change(workspace: Workspace, table: str, statement: str) -> None:
    """The database itself refuses to update, delete or replace events and entries."""
    with workspace.recording() as ledger:
        ledger.note("thing", "a", actor="anna", action="look")
        ledger.append("s", "k", {}, at=MOMENT)
    with pytest.raises(IntegrityError, match=f"rows of {table} are never changed"), workspace.writing() as session:
        session.connection().exec_driver_sql(statement.format(table=table))


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
        ("UPDATE audit_events SET before = x'00ff' WHERE seq = 2", 2, "event 2 was altered"),
        ("UPDATE audit_events SET previous_hash = '' WHERE seq = 2", 2, "event 2 does not follow"),
        ("DELETE FROM audit_events WHERE seq = 1", 1, "event 1 is missing"),
        ("DELETE FROM audit_events WHERE seq = 3", 3, "event 3 is missing"),
        ("DELETE FROM audit_events WHERE seq = 4", 4, "the log ends at event 3, but the workspace knows 4 events"),
        ("DELETE FROM audit_events", 1, "the log ends at event 0"),
        ("UPDATE audit_events SET seq = CASE seq WHEN 2 THEN 3.5 ELSE seq END", 2, "event 2 is missing"),
        ("UPDATE workspace SET audit_hash = ''", 5, "the log ends at event 4"),
        ("UPDATE records SET body = '{}' WHERE key = 'a'", 3, "thing a is not what its newest event says"),
        ("UPDATE records SET body = NULL WHERE key = 'b'", 4, "thing b is not what its newest event says"),
        ("DELETE FROM records WHERE key = 'b'", 4, "thing b is missing, though no event removed it"),
        ("INSERT INTO records SELECT kind, 'c', version, body, updated_at FROM records WHERE key = 'a'", 4, "thing c"),
    ],
)  # fmt: skip
def test_every_tampering_is_found(workspace: Workspace, statement: str, broken: int, reason: str) -> None:
    """Altered, missing, reordered, added and cut-off rows show, with the first event that is not as it was."""
    for number, key in enumerate(("a", "b", "a", "b")):
        _put(workspace, key, {"n": number})
    assert workspace.check_audit().is_intact
    _alter(workspace, statement)
    check = workspace.check_audit()
    assert (check.is_intact, check.first_broken) == (False, broken)
    assert reason in check.reason


def test_events_that_changed_places_are_found(workspace: Workspace) -> None:
    """Two events swapped, and one added at the end with the workspace's own row moved on, both show."""
    for number in range(4):
        _put(workspace, body={"n": number})
    _alter(
        workspace,
        "INSERT INTO audit_events SELECT 5, at, actor, action, kind, key, reason, before, after, evidence, hash, hash "
        "FROM audit_events WHERE seq = 4",
        "UPDATE workspace SET audit_seq = 5",
    )
    assert workspace.check_audit().reason == "event 5 was altered"
    _alter(
        workspace,
        "DELETE FROM audit_events WHERE seq = 5",
        "UPDATE workspace SET audit_seq = 4",
        "UPDATE audit_events SET seq = -2 WHERE seq = 2",
        "UPDATE audit_events SET seq = 2 WHERE seq = 3",
        "UPDATE audit_events SET seq = 3 WHERE seq = -2",
    )
    assert workspace.check_audit().reason == "event 2 does not follow the one before it"


def test_an_old_workspace_is_brought_up_to_date(tmp_path: Path) -> None:
    """A workspace of the first migration opens, keeps its id, its runs and their triggers, and has an empty log."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{tmp_path / 'workspace.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        before = connection.exec_driver_sql("SELECT id FROM workspace").scalar_one()
        connection.exec_driver_sql(
            "INSERT INTO runs VALUES ('20261122-153012-1f0c9a2e', 'sweep', '2026-11-22 15:30:12.000000', NULL, "
            "'{}', '{}', 0, '{}', '{}', '[]', 1.0)"
        )
    engine.dispose()
    with Workspace.open(tmp_path) as workspace:
        assert workspace.id == before
        assert [run.id for run in workspace.runs()] == ["20261122-153012-1f0c9a2e"]
        assert (workspace.audit_head(), workspace.check_audit().is_intact) == (0, True)
        assert _put(workspace).version == 1
        with pytest.raises(IntegrityError, match="rows of runs"), workspace.writing() as session:
            session.connection().exec_driver_sql("DELETE FROM runs")


def test_changes_of_several_processes_are_all_in_the_chain(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Processes that count up one record and note it lose nothing, and the chain stays whole."""
    code = """
        import sys
        from engine.workspace import Workspace
        with Workspace.open(sys.argv[1]) as workspace:
            for number in range(16):
                with workspace.recording() as ledger:
                    present = ledger.get("counter", "all")
                    count = 0 if present is None else present.body["n"]
                    version = 0 if present is None else present.version
                    ledger.put("counter", "all", {"n": count + 1}, expected_version=version, actor="p" + sys.argv[2],
                               action="count")
                    ledger.append("counts", f"{sys.argv[2]}-{number}", {"n": count}, at=ledger.now)
        """
    processes = [start_python(code, workspace.folder, number) for number in range(4)]
    assert [process.communicate(timeout=100)[1] for process in processes] == [""] * 4
    check = workspace.check_audit()
    assert (check.is_intact, check.n_events) == (True, 64)
    events = workspace.audit()
    assert [event.after for event in events] == [{"n": n + 1} for n in range(64)]
    assert Counter(event.actor for event in events) == {f"p{number}": 16 for number in range(4)}
    with workspace.records() as ledger:
        assert [entry.body["n"] for entry in ledger.entries("counts")] == list(range(64))


class LedgerMachine(RuleBasedStateMachine):
    """Random changes against a plain dict of bodies and a list of what happened."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.workspace = Workspace.open(self.folder)
        self.bodies: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.events: list[tuple[str, Any, Any]] = []

    keys = st.sampled_from(list(string.ascii_lowercase[:3]))

    @rule(key=keys, body=BODIES, wrong=st.booleans())
    def put(self, key: str, body: dict[str, Any], wrong: bool) -> None:
        """Put from the version that is there, or from a wrong one."""
        expected = self.versions.get(key, 0) if key in self.bodies else 0
        if wrong:
            with pytest.raises(ConflictError):
                _put(self.workspace, key, body, expected_version=expected + 1)
            return
        record = _put(self.workspace, key, body, expected_version=expected)
        self.events.append((key, self.bodies.get(key), body))
        self.bodies[key], self.versions[key] = body, self.versions.get(key, 0) + 1
        assert (record.version, record.body) == (self.versions[key], body)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        """Remove what is there; a conflict otherwise."""
        with self.workspace.recording() as ledger:
            if key not in self.bodies:
                with pytest.raises(ConflictError):
                    ledger.remove("thing", key, expected_version=None, actor="anna", action="remove")
                return
            ledger.remove("thing", key, expected_version=self.versions[key], actor="anna", action="remove")
        self.events.append((key, self.bodies.pop(key), None))
        self.versions[key] += 1

    @invariant()
    def agrees(self) -> None:
        """Find the same in records and log as in the model."""
        with self.workspace.records() as ledger:
            assert {record.key: record.body for record in ledger.all("thing")} == self.bodies
        assert [(event.key, event.before, event.after) for event in self.workspace.audit()] == self.events

    def teardown(self) -> None:
        """Check the chain at the end."""
        check = self.workspace.check_audit()
        self.workspace.close()
        shutil.rmtree(self.folder)
        assert (check.is_intact, check.n_events) == (True, len(self.events))


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
