"""A database that another process has locked: pages hear of it soon, jobs wait, and nothing is half done."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from engine.errors import WorkspaceError
from engine.workspace.database import wait_for_locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.workspace import Run, Workspace


@contextmanager
def _locked(workspace: Workspace) -> Iterator[None]:
    """Hold what every change needs, as another process would."""
    if workspace._engine.dialect.name == "sqlite":
        file = workspace._engine.url.database
        with closing(sqlite3.connect(str(file), isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
        return
    with workspace._engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT * FROM workspace FOR UPDATE"))
        yield


def _put(workspace: Workspace, key: str) -> None:
    with workspace.recording() as ledger:
        ledger.put("note", key, {"key": key}, expected_version=0, actor="ann", action="set")


def _in_a_thread(work: Callable[[], None]) -> list[Exception]:
    """Do `work` in a thread, whose patience is its own, and return what it raised."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            work()
        except WorkspaceError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def test_a_page_hears_of_the_lock_and_a_job_outwaits_it(workspace: Workspace, save: Callable[..., Run]) -> None:
    """An impatient thread gets one sentence while reading goes on; a job of the same moment is kept once it is free."""
    _put(workspace, "before")
    job = threading.Thread(target=_put, args=(workspace, "job"))

    def page() -> None:
        wait_for_locks(0.05)
        with workspace.records() as ledger:
            assert [record.key for record in ledger.all("note")] == ["before"]
        _put(workspace, "page")

    with _locked(workspace):
        job.start()
        (error,) = _in_a_thread(page)
        assert "locked by another process" in str(error)
        assert "Traceback" not in str(error)
        assert job.is_alive()
    job.join(30)
    with workspace.records() as ledger:
        assert [record.key for record in ledger.all("note")] == ["before", "job"]
    assert workspace.check_audit().is_intact
    _put(workspace, "page")
    assert save().id


def test_patience_does_not_stay_with_a_connection(workspace: Workspace) -> None:
    """The connection that an impatient thread used waits its usual time for the next one."""
    if workspace._engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL's is set for each transaction")

    def waits() -> int:
        with workspace.reading() as session:
            return int(session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar_one())

    before, seen = waits(), list[int]()

    def page() -> None:
        wait_for_locks(0.25)
        seen.append(waits())

    assert _in_a_thread(page) == []
    assert (before, seen, waits()) == (30_000, [250], 30_000)
