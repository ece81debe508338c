"""Records, series and the audit log: nothing lost, nothing changed afterwards, everything explained."""

from __future__ import annotations

import shutil
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

    from engine.workspace import AuditEvent, Ledger

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


def test_a_transaction_reads_the_events_of_a_record(workspace: Workspace) -> None:
    """Inside a block its own events are there already, by number; the last change is the newest that is no note."""
    for key in ("a", "b", "a"):
        _put(workspace, key)
    with workspace.recording() as ledger:
        noted = ledger.note("thing", "a", actor="carl", action="look")
        assert ledger.last_change("thing", "a") == _event(ledger, 3)
        assert ledger.events("thing", "a", after=1)[-1] == noted
        assert [event.seq for event in ledger.events("thing", "a")] == [1, 3, 4]
        assert ledger.last_change("thing", "c") is None


def _event(ledger: Ledger, seq: int) -> AuditEvent:
    """Return the event of record a with that number."""
    return next(event for event in ledger.events("thing", "a") if event.seq == seq)


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


@pytest.mark.parametrize("asked", ["a\0b", "half \ud800", "x" * 10_000])
def test_names_that_cannot_be_there_find_nothing(workspace: Workspace, asked: str) -> None:
    """What a URL or a shell asks for may be no text of a database: it is not found, and that is no failure."""
    _put(workspace)
    with workspace.recording() as ledger:
        assert (ledger.get("thing", asked), ledger.get(asked, "a"), ledger.all(asked)) == (None, None, ())
        assert (ledger.entries(asked), ledger.events("thing", asked), ledger.last_change(asked, "a")) == ((), (), None)
        with pytest.raises(ParameterError, match="printable"):
            ledger.append("series", asked, {}, at=MOMENT)
    assert workspace.audit(kind=asked) == workspace.audit(kind=["other", asked]) == workspace.audit(key=asked) == ()
    assert workspace.runs(kind=asked) == workspace.runs(dataset_sha256=asked) == ()
    with pytest.raises(ParameterError, match="printable"):
        _put(workspace, "\x01")  # stands for them, so nothing may have it


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


def test_an_old_workspace_is_brought_up_to_date(tmp_path: Path, new_database: Callable[..., str | None]) -> None:
    """A workspace of the first migration opens, keeps its id, its runs and their triggers, and has an empty log."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    url = new_database(is_empty=True)
    engine = create_engine(database.database_url(url, tmp_path))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        before = connection.exec_driver_sql("SELECT id FROM workspace").scalar_one()
        connection.exec_driver_sql(
            "INSERT INTO runs VALUES ('20261122-153012-1f0c9a2e', 'sweep', '2026-11-22 15:30:12.000000', NULL, "
            "'{}', '{}', 0, '{}', '{}', '[]', 1.0)"
        )
    engine.dispose()
    with Workspace.open(tmp_path, database_url=url) as workspace:
        assert workspace.id == before
        assert [(run.id, run.created_by) for run in workspace.runs()] == [("20261122-153012-1f0c9a2e", "")]
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
            for number in range(8):
                with workspace.recording() as ledger:
                    present = ledger.get("counter", "all")
                    count = 0 if present is None else present.body["n"]
                    version = 0 if present is None else present.version
                    ledger.put("counter", "all", {"n": count + 1}, expected_version=version, actor="p" + sys.argv[2],
                               action="count")
                    ledger.append("counts", f"{sys.argv[2]}-{number}", {"n": count}, at=ledger.now)
        """
    processes = [start_python(code, workspace.folder, number) for number in range(3)]
    assert [process.communicate(timeout=100)[1] for process in processes] == [""] * 3
    check = workspace.check_audit()
    assert (check.is_intact, check.n_events) == (True, 24)
    events = workspace.audit()
    assert [event.after for event in events] == [{"n": n + 1} for n in range(24)]
    assert Counter(event.actor for event in events) == {f"p{number}": 8 for number in range(3)}
    with workspace.records() as ledger:
        assert [entry.body["n"] for entry in ledger.entries("counts")] == list(range(24))


class LedgerMachine(RuleBasedStateMachine):
    """Random changes against a plain dict of bodies and a list of what happened."""

    new_database: Callable[[], str | None]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.workspace = Workspace.open(self.folder, database_url=self.new_database())
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


@pytest.fixture(autouse=True)
def _databases_of_the_machine(monkeypatch: pytest.MonkeyPatch, new_database: Callable[..., str | None]) -> None:
    monkeypatch.setattr(LedgerMachine, "new_database", staticmethod(new_database), raising=False)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
