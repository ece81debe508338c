"""A workspace in a real PostgreSQL: what the other tests, which run on it too, cannot say for both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from engine.errors import ConflictError, WorkspaceError
from engine.workspace import Workspace, database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def url(databases: Any) -> Iterator[str]:
    """Return the URL of a workspace's database, whatever the other tests run on."""
    made = databases.new()
    yield made
    databases.drop(made)


@pytest.fixture
def workspace(url: str, tmp_path: Path) -> Iterator[Workspace]:
    """Return the workspace in it, with a folder of this test."""
    with Workspace.open(tmp_path / "workspace", database_url=url) as opened:
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
    assert [(event.seq, event.after) for event in events] == [(n + 1, {"n": n + 1}) for n in range(80)]
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


@pytest.mark.parametrize("table", ["runs", "audit_events", "entries"])
def test_append_only_tables_are_not_emptied(workspace: Workspace, table: str) -> None:
    """TRUNCATE fires no trigger of rows; it is refused too."""
    with pytest.raises(IntegrityError, match=f"rows of {table} are never changed"), workspace.writing() as session:
        session.connection().exec_driver_sql(f"TRUNCATE {table}")


def test_a_lock_that_is_held_too_long_is_one_sentence(workspace: Workspace) -> None:
    """While another process holds the workspace's row, changing says so after a while and reading goes on."""
    patience = database._patience_s.set(0.05)
    refused = pytest.raises(WorkspaceError, match="locked by another process")
    with workspace.recording() as ledger:
        ledger.note("thing", "a", actor="anna", action="look")
        with refused, workspace.recording():
            pass
        assert workspace.audit() == ()
    assert workspace.audit_head() == 1
    database._patience_s.reset(patience)


def test_a_writer_that_hangs_is_ended_by_the_server(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops in the middle of a change, as a machine does that is gone, loses the lock and the change."""

    def hang() -> None:
        with workspace.recording() as ledger:
            ledger.note("thing", "a", actor="anna", action="look")
            with workspace.recording() as other:  # waits until the server has ended the first
                other.note("thing", "b", actor="bob", action="look")

    monkeypatch.setattr(database, "_IDLE_S", 0.2)
    with pytest.raises(WorkspaceError, match="must be reachable and healthy"):
        hang()
    assert [event.actor for event in workspace.audit()] == ["bob"]


def test_missing_rights_are_one_sentence(url: str, tmp_path: Path) -> None:
    """A user who may not write, or may not even make the tables, is told which right is missing."""
    with Workspace.open(tmp_path / "workspace", database_url=url) as workspace, workspace.writing() as session:
        sql = session.connection().exec_driver_sql
        sql("DROP ROLE IF EXISTS reader")
        sql("CREATE ROLE reader LOGIN")
        sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    as_reader = url.replace("postgres@", "reader@")
    refused = pytest.raises(WorkspaceError, match="must let Dimshift make its tables and write.*permission denied")
    with Workspace.open(tmp_path / "workspace", database_url=as_reader) as workspace:
        assert workspace.runs() == ()
        with refused, workspace.recording():
            pass
    owner = create_engine(database.database_url(url, tmp_path))
    with owner.begin() as connection:
        connection.execute(text("DROP TABLE dimshift_version, workspace, runs, datasets, records"))
    with refused:
        Workspace.open(tmp_path / "workspace", database_url=as_reader)
    with owner.begin() as connection:
        connection.execute(text("DROP OWNED BY reader"))
        connection.execute(text("DROP ROLE reader"))
    owner.dispose()


def test_a_missing_table_is_one_sentence(workspace: Workspace) -> None:
    """A database that somebody took a table out of is refused with the name of the table."""
    with workspace.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE records")
    with (
        pytest.raises(WorkspaceError, match='all of its tables.*"records" does not exist'),
        workspace.records() as view,
    ):
        view.all("thing")


def test_another_application_s_tables_are_left_alone(databases: Any, tmp_path: Path) -> None:
    """Unlike a file, a database may be shared with somebody whose tables have other names."""
    url = databases.empty()
    engine = create_engine(database.database_url(url, tmp_path))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE recipes AS SELECT 'soup' AS name"))
    with Workspace.open(tmp_path / "workspace", database_url=url) as workspace:
        assert workspace.runs() == ()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM recipes")).scalars().all() == ["soup"]
    engine.dispose()
    databases.drop(url)
