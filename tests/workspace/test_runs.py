"""Runs: kept whole, found again, never changed."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError

from engine.errors import ParameterError, RunNotFoundError, WorkspaceError
from engine.workspace import Run, Workspace, environment, plain_json
from engine.workspace.runs import new_run_id

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

Save = "Callable[..., Run]"

HOSTILE_IDS = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "20261122-153012-ab12cd34/../../x",
    "20261122-153012-ab12cd34\n",
    "20261122-153012-ab12cd34\0",
    "20261122-153012-AB12CD34",
    "２０２６1122-153012-ab12cd34",
    "<script>alert(1)</script>",
    "a" * 10_000,
]


def test_saved_run_is_read_back_whole(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Everything given comes back from the database as it was returned, with the environment it was made in."""
    run = save(summary={"recall": np.float32(0.25), "low": float("nan")}, parameters={"dims": (2, np.int64(4))})
    assert workspace.run(run.id) == run
    assert run.summary == {"recall": 0.25, "low": None}
    assert run.parameters == {"dims": [2, 4]}
    assert (run.kind, run.seed, run.elapsed_s, run.array_names) == ("sweep", 7, 1.5, ("recall",))
    assert run.created_at == datetime(2026, 11, 22, 15, 30, 12, tzinfo=UTC)
    assert run.environment == plain_json(environment())


def test_run_ids_sort_by_time_and_suit_urls(save: Callable[..., Run]) -> None:
    """Ids name the second they were made in, UTC, and grow."""
    ids = [save().id for _ in range(3)]
    assert [run_id[:15] for run_id in ids] == ["20261122-153012", "20261122-153013", "20261122-153014"]
    assert ids == sorted(ids)
    berlin = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert new_run_id(berlin).startswith("20251231-233000-")


def test_run_ids_of_one_second_differ() -> None:
    """A thousand runs of the same second have a thousand ids."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({new_run_id(moment) for _ in range(1000)}) == 1000


def test_runs_are_listed_newest_first(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Lists are ordered by time and filtered by kind and data set, and no longer than asked for."""
    first = save()
    other_kind = save(kind="latency")
    other_set = save(dataset={"sha256": "b" * 64})
    no_set = save(dataset={"name": "made up"})
    ids = [run.id for run in workspace.runs()]
    assert ids == [no_set.id, other_set.id, other_kind.id, first.id]
    assert [run.id for run in workspace.runs(kind="sweep", dataset_sha256="a" * 64)] == [first.id]
    assert [run.id for run in workspace.runs(limit=2)] == ids[:2]
    with pytest.raises(ParameterError, match="at least 1"):
        workspace.runs(limit=0)


@pytest.mark.parametrize("run_id", [*HOSTILE_IDS, "20261122-153012-00000000"])
def test_unknown_and_hostile_ids_are_not_found(workspace: Workspace, run_id: str) -> None:
    """An id from a URL that is no run's, however it is written, is not found and touches no file."""
    for ask in (workspace.run, workspace.arrays):
        with pytest.raises(RunNotFoundError) as refusal:
            ask(run_id)
        assert "\n" not in str(refusal.value)
        assert "\0" not in str(refusal.value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET seed = 8",
        "UPDATE runs SET id = 'x'",
        "DELETE FROM runs",
        pytest.param("INSERT OR REPLACE INTO runs SELECT * FROM runs", marks=pytest.mark.sqlite),
        pytest.param("REPLACE INTO runs SELECT * FROM runs", marks=pytest.mark.sqlite),
        "INSERT INTO runs SELECT * FROM runs WHERE true ON CONFLICT (id) DO UPDATE SET seed = 8",
    ],
)
def test_database_refuses_to_change_runs(workspace: Workspace, save: Callable[..., Run], statement: str) -> None:
    """SQL that would change or remove a run is refused by the database itself."""
    run = save()
    stranger = create_engine(workspace._engine.url)  # which configures no connection as Dimshift does
    with pytest.raises(IntegrityError, match="rows of runs are never changed"), stranger.begin() as connection:
        connection.exec_driver_sql(statement)
    stranger.dispose()
    with pytest.raises(IntegrityError), workspace.writing() as session:
        session.connection().exec_driver_sql(statement)
    assert workspace.runs() == (run,)


def test_transaction_is_all_or_nothing(workspace: Workspace, save: Callable[..., Run]) -> None:
    """What was written in a block that an exception leaves is not kept; writers in turn do not disturb readers."""
    run = save()
    statement = "INSERT INTO workspace (id, created_at, created_with) VALUES ('second', '2026-01-01', '0')"

    def insert_and_fail() -> None:
        with workspace.writing() as session:
            session.connection().exec_driver_sql(statement)
            assert workspace.runs() == (run,)
            raise KeyError

    with pytest.raises(KeyError):
        insert_and_fail()
    with workspace.reading() as session:
        assert session.connection().exec_driver_sql("SELECT id FROM workspace").scalars().all() == [workspace.id]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"kind": "Sweep"}, "kind is a short lower-case word"),
        ({"kind": "../x"}, "kind is a short lower-case word"),
        ({"seed": -1}, "seed must lie within"),
        ({"seed": 2**63}, "seed must lie within"),
    ],
)
def test_bad_parameters_keep_nothing(
    workspace: Workspace, save: Callable[..., Run], given: dict[str, Any], match: str
) -> None:
    """A refused run leaves neither a row nor files."""
    with pytest.raises(ParameterError, match=match):
        save(**given)
    assert workspace.runs() == ()
    assert list(workspace.folder.glob("runs/*")) == []


@pytest.mark.parametrize(
    "given",
    [
        {"arrays": {"ok": np.zeros(3), "objects": np.array([object()])}},
        {"arrays": {"ok": np.zeros(3), "../escape": np.zeros(3)}},
        {"summary": {"x": object()}},
    ],
)
def test_programming_errors_keep_nothing(workspace: Workspace, save: Callable[..., Run], given: dict[str, Any]) -> None:
    """What cannot be stored without pickle or as JSON is refused, and nothing stays behind."""
    with pytest.raises((TypeError, ValueError)):
        save(**given)
    assert workspace.runs() == ()
    assert [path.name for path in workspace.folder.rglob("*.npy")] == []


def test_clock_must_be_aware(tmp_path: Any) -> None:
    """A clock without a time zone is refused before anything is written."""
    with (
        Workspace.open(tmp_path, clock=lambda: datetime(2026, 1, 1)) as workspace,  # noqa: DTZ001  # the mistake under test
        pytest.raises(ValueError, match="aware"),
    ):
        workspace.save_run(kind="sweep", dataset={}, parameters={}, seed=0, summary={}, arrays={}, elapsed_s=0)


def test_runs_survive_a_restart(
    workspace: Workspace, save: Callable[..., Run], start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Another process finds the run with its summary and arrays."""
    run = save()
    workspace.close()
    process = start_python(
        """
        import json, sys
        from engine.workspace import Workspace
        with Workspace.open(sys.argv[1]) as workspace:
            [run] = workspace.runs()
            print(json.dumps([run.id, run.summary, workspace.arrays(run.id)["recall"].tolist()]))
        """,
        workspace.folder,
    )
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert json.loads(out) == [run.id, run.summary, workspace.arrays(run.id)["recall"].tolist()]


def test_threads_save_at_once(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Runs saved by eight threads at the same time are all there, each with its own arrays."""
    barrier = threading.Barrier(8)
    saved: dict[str, int] = {}

    def work(number: int) -> None:
        barrier.wait()
        for i in range(4):
            value = number * 10 + i
            saved[save(seed=value, arrays={"value": np.array([value])}).id] = value

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(saved) == 32
    assert {run.id: run.seed for run in workspace.runs()} == saved
    assert {run_id: int(workspace.arrays(run_id)["value"][0]) for run_id in saved} == saved


def test_refused_commit_removes_the_arrays(workspace: Workspace, save: Callable[..., Run]) -> None:
    """When the database refuses the row, the arrays written before it are gone and the error is one sentence."""
    refuse = {
        "sqlite": "CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END",
        "postgresql": "ALTER TABLE runs ADD CONSTRAINT full_up CHECK (seed < 0)",
    }
    with workspace.writing() as session:
        session.connection().exec_driver_sql(refuse[session.connection().dialect.name])
    with pytest.raises(IntegrityError):
        save()
    assert list(workspace.folder.glob("runs/*")) == []


def test_folder_that_cannot_take_arrays_is_one_sentence(workspace: Workspace, save: Callable[..., Run]) -> None:
    """When the arrays cannot be written, saving says so and no row appears."""
    (workspace.folder / "runs").write_text("a file in the way")
    with pytest.raises(WorkspaceError, match="must be writable and have room"):
        save()
    assert workspace.runs() == ()
