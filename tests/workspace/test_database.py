"""Opening a workspace: new, old, newer, damaged, shared."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from engine.errors import WorkspaceError
from engine.workspace import Run, Workspace, database
from engine.workspace.models import Base

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable


def test_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DIMSHIFT_WORKSPACE names the folder, .dimshift in the working directory is the default, an argument wins."""
    monkeypatch.chdir(tmp_path)
    with Workspace.open() as workspace:
        assert workspace.folder == tmp_path / ".dimshift"
    monkeypatch.setenv("DIMSHIFT_WORKSPACE", str(tmp_path / "a b % ü"))
    with Workspace.open() as workspace:
        assert workspace.folder == tmp_path / "a b % ü"
    with Workspace.open("given") as workspace:
        assert workspace.folder == tmp_path / "given"


def test_workspace_keeps_itself_out_of_git(workspace: Workspace) -> None:
    """A folder that the workspace makes is ignored by git; one that was there before gets no such rule."""
    assert (workspace.folder / ".gitignore").read_text() == "*\n"
    with tempfile.TemporaryDirectory() as existing:
        Workspace.open(existing).close()
        assert not (Path(existing) / ".gitignore").exists()


@pytest.mark.sqlite
def test_sqlite_is_in_wal_mode_with_foreign_keys(workspace: Workspace) -> None:
    """The database file is in WAL mode, and every connection checks foreign keys and waits when it is busy."""
    with workspace.reading() as session:
        pragmas = {
            name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}
    other = sqlite3.connect(workspace.folder / "workspace.db")
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_models_and_migrations_describe_the_same_tables(workspace: Workspace) -> None:
    """A migrated database has exactly the tables, columns and indexes that the models declare."""
    with workspace.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"version_table": database.VERSION_TABLE, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_head_is_the_newest_migration() -> None:
    """The revision that opening compares with is the last of one line of migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [database.HEAD]
    assert all(Path(script.path).name.startswith(f"{script.revision}_") for script in scripts.walk_revisions())


def test_opening_again_keeps_the_workspace(workspace: Workspace) -> None:
    """A second opening finds the same workspace and migrates nothing."""
    with Workspace.open(workspace.folder) as again:
        assert again.id == workspace.id
    with workspace.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM workspace").scalar() == 1


def test_opening_a_migrated_workspace_needs_no_alembic(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Neither the import nor the opening of an up-to-date workspace loads Alembic or pandas."""
    process = start_python(
        """
        import sys
        from engine.workspace import Workspace
        Workspace.open(sys.argv[1]).close()
        print(sorted({"alembic", "pandas", "pyarrow", "streamlit"} & set(sys.modules)))
        """,
        workspace.folder,
    )
    out, err = process.communicate(timeout=60)
    assert (out.strip(), err) == ("[]", "")


def test_migrating_leaves_logging_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Making a workspace neither changes the handlers and levels of a process nor warns."""
    before = (list(logging.root.handlers), logging.root.level, logging.getLogger("alembic").handlers)
    Workspace.open(tmp_path / "new").close()
    assert (list(logging.root.handlers), logging.root.level, logging.getLogger("alembic").handlers) == before
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_processes_open_a_new_workspace_at_once(
    tmp_path: Path,
    start_python: Callable[..., subprocess.Popen[str]],
    new_database: Callable[..., str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four processes that open the same new folder at the same moment share one workspace and can all write."""
    code = """
        import sys
        from engine.workspace import Workspace
        import alembic.command
        print("ready", flush=True)
        sys.stdin.readline()
        with Workspace.open(sys.argv[1]) as workspace:
            workspace.save_run(kind="sweep", dataset={}, parameters={}, seed=0, summary={}, arrays={}, elapsed_s=0)
            print(workspace.id)
        """
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", new_database(is_empty=True) or "")
    processes = [start_python(code, tmp_path / "new") for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]
    assert [err for _, err in answers] == [""] * 4
    with Workspace.open(tmp_path / "new") as workspace:
        assert {out.strip() for out, _ in answers} == {workspace.id}
        assert len(workspace.runs()) == 4


def test_newer_workspace_is_refused(workspace: Workspace) -> None:
    """A workspace at a migration this version does not know is refused with both revisions, and left alone."""
    with workspace.writing() as session:
        session.connection().exec_driver_sql("UPDATE dimshift_version SET version_num = '9876'")
    workspace.close()
    with pytest.raises(WorkspaceError, match=rf"newer Dimshift.*9876.*{database.HEAD}.*Upgrade Dimshift"):
        Workspace.open(workspace.folder)
    with workspace.reading() as session:
        assert session.connection().exec_driver_sql("SELECT version_num FROM dimshift_version").scalar() == "9876"


@pytest.mark.sqlite
def test_database_of_another_application_is_refused(tmp_path: Path) -> None:
    """An SQLite file with somebody else's tables is refused and gets none of ours."""
    with sqlite3.connect(tmp_path / "workspace.db") as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(WorkspaceError, match="must be a Dimshift workspace; found tables recipes"):
        Workspace.open(tmp_path)
    tables = sqlite3.connect(tmp_path / "workspace.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("recipes",)]


def test_failed_migration_leaves_nothing_behind(tmp_path: Path, new_database: Callable[..., str | None]) -> None:
    """When a migration cannot finish, none of its tables stay, so that the next opening can try again."""
    folder, url = tmp_path / "new", new_database(is_empty=True)
    folder.mkdir()
    engine = create_engine(database.database_url(url, folder))
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW datasets AS SELECT 1"))  # no table: only the migration runs into it
    with pytest.raises(WorkspaceError, match="datasets.* already exists"):
        Workspace.open(folder, database_url=url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("DROP VIEW datasets"))
    engine.dispose()
    Workspace.open(folder, database_url=url).close()


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [b"not a database, " * 300, b"SQLite format 3\0" + b"\xff" * 4096])
def test_damaged_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """Garbage in place of the database is one sentence with a hint, and stays on disk for whoever wants to save it."""
    (tmp_path / "workspace.db").write_bytes(content)
    with pytest.raises(WorkspaceError, match="must be intact.*Restore the workspace folder from a backup"):
        Workspace.open(tmp_path)
    assert (tmp_path / "workspace.db").read_bytes() == content


@pytest.mark.sqlite
def test_truncated_database_is_refused(workspace: Workspace) -> None:
    """A database cut off in the middle is one sentence, whether it shows on opening or on reading."""
    workspace.close()
    path = workspace.folder / "workspace.db"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WorkspaceError, match="must be intact"), Workspace.open(workspace.folder) as opened:
        opened.runs()


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    """A file where the folder should be, or above it, is named in the refusal."""
    file = tmp_path / "file"
    file.write_text("x")
    for folder in (file, file / "below"):
        with pytest.raises(WorkspaceError, match="must be a folder; found .*file"):
            Workspace.open(folder)
    assert file.read_text() == "x"


def test_unusable_folder_names_are_refused() -> None:
    """A folder name that no system can make is one sentence."""
    for folder in ("nul\0byte", "x" * 5000):
        with pytest.raises(WorkspaceError, match="the workspace folder must be writable"):
            Workspace.open(folder)


@pytest.mark.sqlite
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX's")
def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    """A folder where nothing may be written is one sentence, for a new and for an existing workspace."""
    if os.geteuid() == 0:
        if sys.platform != "linux":
            pytest.skip("root may write everywhere but in Linux's /sys")
        folders = [Path("/sys/dimshift")]
    else:
        Workspace.open(tmp_path / "existing").close()
        folders = [tmp_path / "existing", tmp_path / "existing" / "new"]
        (tmp_path / "existing" / "workspace.db").chmod(0o400)
        (tmp_path / "existing").chmod(0o500)
    try:
        for folder in folders:
            with pytest.raises(WorkspaceError, match="writable"):
                Workspace.open(folder)
    finally:
        if os.geteuid() != 0:
            (tmp_path / "existing").chmod(0o700)


@pytest.mark.sqlite
def test_locked_database_is_one_sentence(workspace: Workspace, save: Callable[..., Run]) -> None:
    """While another process holds the write lock for too long, saving says so and reading goes on."""
    holder = sqlite3.connect(workspace.folder / "workspace.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with workspace.reading() as session:
            session.connection().exec_driver_sql("PRAGMA busy_timeout = 0")  # stays with the pooled connection
        with pytest.raises(WorkspaceError, match="locked by another process"):
            save()
        assert workspace.runs() == ()
    finally:
        holder.close()


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://user:secret@host/db", "sqlite://", "sqlite:///:memory:", "://secret@", "http://secret/"],
)
def test_unsupported_database_urls_are_refused(tmp_path: Path, url: str) -> None:
    """A URL of another database is refused without repeating what may be a password."""
    with pytest.raises(WorkspaceError, match="DIMSHIFT_DATABASE_URL must") as refusal:
        Workspace.open(tmp_path, database_url=url)
    assert "secret" not in str(refusal.value)


def test_database_url_may_name_an_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DIMSHIFT_DATABASE_URL puts the database elsewhere while arrays stay in the folder."""
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    Workspace.open(tmp_path / "folder").close()
    assert (tmp_path / "elsewhere.db").is_file()
    assert not (tmp_path / "folder" / "workspace.db").exists()


def test_postgresql_urls_use_psycopg(tmp_path: Path) -> None:
    """The usual spellings of a PostgreSQL URL all mean the psycopg driver."""
    for url in ("postgres://u@h/d", "postgresql://u@h/d", "postgresql+psycopg://u@h/d"):
        assert database.database_url(url, tmp_path).drivername == "postgresql+psycopg"
