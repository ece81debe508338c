"""The app while another process has locked its database: it goes on, says so where it must, and recovers by itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import load_sample
from engine.flags import FlagStore
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace
from pages.shell import services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/explore/sweep.py"


@pytest.fixture
def holder(workspace_folder: Path) -> Iterator[sqlite3.Connection]:
    """Return another process's connection to a workspace with one sweep."""
    with Workspace.open(workspace_folder) as workspace:
        FlagStore(workspace)  # writes the flags that come with Dimshift
        save_sweep(workspace, sweep(load_sample("digits-pixels"), (16, 64), (10,), n_queries=50))
    with closing(sqlite3.connect(workspace_folder / "workspace.db", isolation_level=None)) as connection:
        yield connection


def n_sweeps(folder: Path) -> int:
    with Workspace.open(folder) as workspace:
        return len(workspace.runs(kind="sweep"))


def test_a_locked_database_leaves_pages_alive(
    app: App, holder: sqlite3.Connection, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages open and show what is stored; what must be written says in one sentence why not, and later is."""
    monkeypatch.setattr(services, "_WAITS_S", 0.1)
    holder.execute("BEGIN EXCLUSIVE")
    app.open(SCRIPT)
    assert not app.at.exception
    assert not app.at.error
    assert app.at.get("plotly_chart")
    app.at.session_state["new_sweep"] = True
    app.at.session_state["sweep_source"] = "sample:digits-pixels"
    app.at.run()
    app.at.number_input(key="n_queries_sample:digits-pixels").set_value(40).run()
    app.at.button(key="run_sweep").click().run()
    assert not app.at.exception
    assert ["locked by another process" in error.value for error in app.at.error] == [True]
    assert app.at.get("plotly_chart")
    assert n_sweeps(workspace_folder) == 1
    holder.execute("ROLLBACK")
    app.at.session_state["new_sweep"] = True
    app.at.run()
    app.at.button(key="run_sweep").click().run()
    app.until(lambda at: n_sweeps(workspace_folder) == 2 and not at.error)


def test_a_page_that_cannot_be_read_tries_again(
    app: App, holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a disk without shared memory a lock stops readers too: the page says so, and is itself again afterwards."""
    monkeypatch.setattr(services, "_WAITS_S", 0.1)
    app.open(SCRIPT)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    services.services().workspace.close()  # its connections would keep others from taking the file for themselves
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE workspace SET id = id")
    app.at.run()
    assert not app.at.exception
    words = " ".join(error.value for error in app.at.error)
    assert "locked by another process" in words
    assert [button.label for button in app.at.button if button.key == "trouble_again"] == ["Try again"]
    holder.close()
    app.at.run()
    assert not app.at.error
    assert app.at.get("plotly_chart")
