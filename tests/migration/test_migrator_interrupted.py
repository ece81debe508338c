"""A finished migration that is being caught up, and records of processes that ended: nothing gets stuck."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import CancelledError, MigrationError
from engine.migration import MigrationSettings, Migrator
from engine.migration.job import Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import Workspace


class Failing:
    """A real store whose writes can be made to fail."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.before_upsert: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def upsert(self, *arguments: Any, **options: Any) -> Any:
        """Do first what the test wants."""
        self.before_upsert()
        return self._store.upsert(*arguments, **options)


@pytest.fixture
def moved(filled: Any, connect: Any, workspace: Workspace) -> Callable[[], tuple[Any, Failing, Migrator]]:
    """Return what makes a finished migration of 200 rows: its source, its target and its migrator."""

    def make() -> tuple[Any, Failing, Migrator]:
        source, _ = filled(200)
        target = Failing(connect())
        settings = MigrationSettings(dims=6, batch_size=60, index=None, first_wait_s=0.001, validate_share=1.0)
        migrator = Migrator(source, target, settings, workspace=workspace, actor="ann")
        migrator.run()
        return source, target, migrator

    return make


def test_the_report_stays_when_the_quarantine_is_tried_again(moved: Any) -> None:
    """Trying an empty quarantine again leaves the migration done, with its report."""
    _, _, migrator = moved()
    before = migrator.report()
    assert migrator.retry_quarantine() == 0
    assert migrator.status().state == "done"
    assert migrator.report() == before


def test_catching_up_that_broke_off_goes_on(moved: Any, make_rows: Any) -> None:
    """Whatever ends a catch-up early leaves a record that says so; a resume takes over the rest, once."""
    source, target, migrator = moved()
    source.upsert(make_rows(150, 16, seed=5, start=190))

    def break_off() -> None:
        raise ZeroDivisionError

    target.before_upsert = break_off
    with pytest.raises(ZeroDivisionError):
        migrator.catch_up()
    assert migrator.status().state == "stopped"
    assert migrator.status().reason == "it ended on an unexpected ZeroDivisionError"
    target.before_upsert = lambda: None
    report = migrator.run()
    assert (report.validation.verdict, target.count()) == ("equal", 340)
    assert migrator.status().state == "done"


def test_a_cancelled_catch_up_leaves_the_finished_migration(moved: Any, make_rows: Any) -> None:
    """Cancelling a catch-up leaves the migration done, with the report that it had, and it can be caught up again."""
    source, target, migrator = moved()
    before = migrator.report()
    source.upsert(make_rows(5, 16, seed=5, start=300))
    target.before_upsert = lambda: migrator.record.ask("cancel", actor="bob")
    with pytest.raises(CancelledError):
        migrator.catch_up()
    assert (migrator.status().state, migrator.status().reason) == ("done", "catching up was cancelled")
    assert migrator.report() == before
    target.before_upsert = lambda: None
    assert migrator.catch_up().validation.verdict == "equal"


def test_a_wish_to_cancel_counts_when_the_process_is_stopped_first(
    filled: Any, connect: Any, workspace: Workspace
) -> None:
    """Asked to cancel and then stopped by its own process, a migration is cancelled and not paused."""
    source, _ = filled(200)
    settings = MigrationSettings(dims=6, batch_size=60, index=None)
    target = Failing(connect())
    migrator = Migrator(source, target, settings, workspace=workspace, actor="ann")
    wished = [False]

    def ask() -> None:
        migrator.record.ask("cancel", actor="bob")
        wished[0] = True
        raise CancelledError

    target.before_upsert = ask
    with pytest.raises(CancelledError):
        migrator.run(cancelled=lambda: wished[0])
    assert migrator.status().state == "cancelled"


def test_a_process_of_the_same_number_before_this_one_is_gone(moved: Any) -> None:
    """A record of a process with this one's number (the first of a container) and another token blocks nothing."""
    _, _, migrator = moved()
    job = migrator.status()
    earlier = Owner(host=platform.node(), pid=os.getpid(), token=migrator.job_id)
    migrator.record.change(replace(job, state="catching up", owner=earlier), actor="ann", action="test")
    assert earlier.is_gone() is True
    assert migrator.run().validation.verdict == "equal"
    mine = replace(migrator.status(), state="copying", owner=Owner.this_process())
    migrator.record.change(mine, actor="ann", action="test")
    with pytest.raises(MigrationError, match="runs in one process at a time"):
        migrator.run()
