"""The migrator between real databases: nothing is lost, whatever fails on the way."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.errors import CancelledError, MigrationError, ParameterError, StoreError
from engine.migration import Batch, IndexSpec, MigrationSettings, Migrator, TableSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.migration.stores.local_postgres import LocalPostgres
    from engine.migration.stores.protocol import Written
    from engine.workspace import Workspace

DIMS = 6
QUICK: dict[str, Any] = {"dims": DIMS, "batch_size": 60, "index": None, "first_wait_s": 0.001, "validate_share": 1.0}


class Hooked:
    """A real store with a fault or an event in the way of its writes."""

    def __init__(self, store: Any, before_upsert: Callable[[Batch], None]) -> None:
        self._store, self._before_upsert = store, before_upsert

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Do what the test wants first."""
        self._before_upsert(batch)
        return self._store.upsert(batch, is_new=is_new)


@pytest.fixture
def move(workspace: Workspace) -> Callable[..., Migrator]:
    """Return what makes a migrator with small batches; settings can be given."""

    def make(source: Any, target: Any, **settings: Any) -> Migrator:
        return Migrator(source, target, MigrationSettings(**{**QUICK, **settings}), workspace=workspace, actor="ann")

    return make


def held_by(store: Any) -> dict[Any, tuple[np.ndarray, Any]]:
    """Return everything that a store holds, row by row."""
    found = {}
    for batch in store.scan(batch_size=1000):
        for row, one in enumerate(batch.ids):
            assert one not in found, "a row came twice"
            found[one] = (batch.vectors[row], batch.payload(row))
    return found


def assert_moved(source: Any, target: Any, *, without: tuple[Any, ...] = ()) -> None:
    """Compare with the definition: normalise(source[:d]) within 1e-6, the same ids and payloads."""
    ours, theirs = held_by(source), held_by(target)
    assert set(theirs) == set(ours) - set(without)
    for one, (vector, payload) in theirs.items():
        cut = ours[one][0][:DIMS].astype(np.float64)
        assert np.abs(vector - cut / np.linalg.norm(cut)).max() <= 1e-6
        assert payload == ours[one][1]


def test_every_row_arrives(filled: Any, connect: Any, move: Any) -> None:
    """Ids, truncated vectors and payloads are those of the source; the verdict is equal, with the moment of it."""
    source, _ = filled()
    target = connect()
    report = move(source, target, index=IndexSpec()).run()
    assert_moved(source, target)
    assert (report.validation.verdict, report.n_written, report.n_held) == ("equal", 500, 0)
    assert report.validation.n_values == 500
    assert report.equal_from is not None
    assert report.equal_from <= report.equal_until
    assert report.target.index == "hnsw"
    assert report.validation.search is not None
    assert report.validation.search.index_recall.mean > 0.9
    assert target.describe().mark is None


def test_a_finished_migration_is_left_alone(filled: Any, connect: Any, move: Any, workspace: Workspace) -> None:
    """Running a finished migration again reads and writes nothing and returns the same report."""
    source, _ = filled()
    target = connect()
    first = move(source, target).run()
    n_events = workspace.audit_head()
    touched: list[int] = []
    assert move(source, Hooked(target, lambda batch: touched.append(len(batch)))).run() == first
    assert workspace.audit_head() == n_events
    assert not touched


def test_text_ids_and_missing_payloads_survive(filled: Any, connect: Any, move: Any) -> None:
    """Ids in any script, and rows without a payload, arrive as they were."""
    ids = ("ä", "id with 'quotes'", "; DROP TABLE x", "x" * 300, "日本", "")
    vectors = np.random.default_rng(3).standard_normal((6, 8)).astype(np.float32)
    batch = Batch(
        ids=ids, vectors=vectors, payloads=(b'{"a":[1,{"b":null}]}', None, b'{"t":"\xc3\xa9"}', None, None, None)
    )
    source, _ = filled(batch=batch, id_kind="text")
    target = connect()
    assert move(source, target).run().validation.verdict == "equal"
    assert_moved(source, target)


def test_halfvec_target_is_equal_within_its_rounding(filled: Any, connect: Any, move: Any) -> None:
    """A float16 target passes within the bound of its type, which the report names."""
    source, _ = filled()
    target = connect()
    report = move(source, target, dtype="float16").run()
    assert report.validation.verdict == "equal"
    assert "float16" in report.validation.bound
    assert 0 < report.validation.largest_difference < 1e-3


def test_rows_that_cannot_move_are_quarantined_and_retried_alone(
    filled: Any, connect: Any, move: Any, make_rows: Any
) -> None:
    """A zero prefix is set aside with its reason; once mended, the retry moves it and nothing else."""
    batch = make_rows(200, 16)
    batch.vectors[7, :DIMS] = 0
    source, _ = filled(batch=batch)
    target = connect()
    migrator = move(source, target, quarantine_share=0.05)
    report = migrator.run()
    assert [(held.id, held.reason) for held in report.held] == [("7", "its first 6 components are all zero")]
    assert report.validation.verdict == "equal"
    assert_moved(source, target, without=(7,))
    source.upsert(make_rows(1, 16, seed=9, start=7))
    written: list[int] = []
    again = move(source, Hooked(target, lambda rows: written.extend(rows.ids)), quarantine_share=0.05)
    assert again.retry_quarantine() == 1
    assert written == [7]
    assert_moved(source, target)


def test_too_many_rows_set_aside_stop_the_job(filled: Any, connect: Any, move: Any, make_rows: Any) -> None:
    """Above the set share the job stops with one sentence, is marked so, and goes on with a larger share."""
    batch = make_rows(200, 16)
    batch.vectors[:50, :DIMS] = 0
    source, _ = filled(batch=batch)
    target = connect()
    migrator = move(source, target)
    with pytest.raises(MigrationError, match="rows may be set aside"):
        migrator.run()
    assert migrator.status().state == "stopped"
    assert "unfinished" in target.describe().mark
    report = move(source, target, quarantine_share=0.5).run()
    assert (report.n_held, report.validation.verdict) == (50, "equal")


def test_a_target_that_fails_at_random_loses_nothing(filled: Any, connect: Any, move: Any) -> None:
    """With every tenth write failing at random all rows arrive."""
    source, _ = filled()
    target = connect()
    rng = random.Random(4)
    failures: list[int] = []

    def fail(batch: Batch) -> None:
        if rng.random() < 0.3:
            failures.append(len(batch))
            raise StoreError("the write failed")

    report = move(source, Hooked(target, fail), attempts=3).run()
    assert failures
    assert report.validation.verdict == "equal"
    assert_moved(source, target, without=tuple(int(one.id) for one in report.held))


def test_one_poisoned_row_costs_that_row_alone(filled: Any, connect: Any, move: Any) -> None:
    """A row that the target always refuses is found by halving and set aside; its batch arrives."""
    source, _ = filled()
    target = connect()

    def refuse(batch: Batch) -> None:
        if 123 in batch.ids:
            raise StoreError("row 123 is poison")

    report = move(source, Hooked(target, refuse), attempts=2).run()
    assert [held.id for held in report.held] == ["123"]
    assert "row 123 is poison" in report.held[0].reason
    assert_moved(source, target, without=(123,))


def test_a_target_that_refuses_everything_stops_the_job(filled: Any, connect: Any, move: Any) -> None:
    """When not one row of a batch can be written the store is at fault: the job stops instead of quarantining all."""
    source, _ = filled(120)
    target = connect()

    def refuse(_batch: Batch) -> None:
        raise StoreError("the disk of the store is full")

    migrator = move(source, Hooked(target, refuse), attempts=1)
    with pytest.raises(StoreError, match="disk of the store is full"):
        migrator.run()
    assert migrator.status().state == "stopped"
    assert "disk of the store is full" in migrator.status().reason
    assert move(source, target).run().validation.verdict == "equal"


@pytest.mark.parametrize("has_moments", [True, False])
def test_changes_during_the_copy_are_caught_up(
    filled: Any, connect: Any, move: Any, make_rows: Any, has_moments: bool
) -> None:
    """Rows changed, added and deleted in the source during the copy are so in the target; no deletion is undone."""
    source, held = filled(has_updated_at=has_moments)
    target, n_batches = connect(), [0]
    writer = connect(source.url)

    def change(_batch: Batch) -> None:
        n_batches[0] += 1
        if n_batches[0] == 4:
            moment = np.full(1, np.datetime64(writer.now().replace(tzinfo=None), "us")) if has_moments else None
            for one in (3, 499, 900):  # copied already, not yet, and new
                new = make_rows(1, 16, seed=one, start=one)
                writer.upsert(Batch(ids=new.ids, vectors=new.vectors, payloads=(b'{"new":1}',), updated_at=moment))
            writer.delete([5, 6, 498])

    report = move(source, Hooked(target, change)).run()
    assert_moved(source, target)
    assert set(held_by(target)) == (set(held.ids) - {5, 6, 498}) | {900}
    assert sum(one.n_deleted for one in report.passes) >= 2
    assert report.passes[-1].is_clean
    assert report.validation.verdict == "equal"
    assert report.passes[0].by == ("updated-at column" if has_moments else "comparing all rows")


def test_catching_up_later_takes_over_what_changed(filled: Any, connect: Any, move: Any, make_rows: Any) -> None:
    """A finished migration can be brought up to date: its report says what was taken over."""
    source, _ = filled()
    target = connect()
    move(source, target).run()
    source.upsert(make_rows(2, 16, seed=8, start=499))
    source.delete([1])
    report = move(source, target).catch_up()
    assert (report.passes[0].n_changed, report.passes[0].n_missing, report.passes[0].n_deleted) == (1, 1, 1)
    assert_moved(source, target)


def test_a_source_that_was_emptied_deletes_nothing(filled: Any, connect: Any, move: Any) -> None:
    """When the source loses its rows midway the job stops, and what was copied stays in the target."""
    source, _ = filled()
    target = connect()
    writer, n_batches = connect(source.url), [0]

    def empty(_batch: Batch) -> None:
        n_batches[0] += 1
        if n_batches[0] == 5:
            writer.delete(list(range(500)))

    migrator = move(source, Hooked(target, empty))
    with pytest.raises(MigrationError, match="the source must keep its rows while they move"):
        migrator.run()
    assert target.count() >= 300
    assert migrator.status().state == "stopped"


def test_differences_are_found_and_listed(filled: Any, connect: Any, move: Any, workspace: Workspace) -> None:
    """A target that somebody changed after the copy is told row by row."""
    source, _ = filled(100)
    target = connect()
    migrator = move(source, target)
    migrator.run()
    spoilt = target.fetch([1, 2])
    spoilt.vectors[0, 0] += 0.01
    target.upsert(Batch(ids=(1, 2), vectors=spoilt.vectors, payloads=(spoilt.payloads[0], b'{"n":-1}')))
    target.delete([3])
    target.upsert(Batch(ids=(777,), vectors=spoilt.vectors[:1], payloads=(None,)))
    from engine.migration.comparing import Comparison
    from engine.migration.patience import Patience
    from engine.migration.transform import Transform
    from engine.progress import ignore_progress, never_cancelled

    patience = Patience(MigrationSettings(**QUICK), cancelled=never_cancelled, on_wait=str)
    comparison = Comparison(source, target, Transform(dims=DIMS, normalise=True), patience=patience)
    found = {
        (one.id, one.what)
        for chunk in comparison.differences(n_rows=100, progress=ignore_progress, cancelled=never_cancelled)
        for one in chunk
    }
    assert found == {(1, "vector"), (2, "payload"), (3, "missing"), (777, "unexpected")}
    assert comparison.tally.n_found == {"vector": 1, "payload": 1, "missing": 1, "unexpected": 1}
    assert comparison.tally.largest_difference == pytest.approx(0.01, abs=1e-4)


def test_a_pause_is_carried_out_and_resumed(filled: Any, connect: Any, move: Any) -> None:
    """Somebody asks for a pause; the process stops after its batch, and a resume copies only what is left."""
    source, _ = filled()
    target = connect()
    asked = [False]

    def ask(_batch: Batch) -> None:
        if not asked[0] and target.count() >= 120:
            asked[0] = True
            move(source, target).record.ask("pause", actor="bob")

    migrator = move(source, Hooked(target, ask))
    with pytest.raises(CancelledError):
        migrator.run()
    assert migrator.status().state == "paused"
    n_there = target.count()
    assert 120 <= n_there < 500
    written: list[int] = []
    report = move(source, Hooked(target, lambda batch: written.extend(batch.ids))).run()
    assert len(written) == 500 - n_there
    assert (report.n_read, report.validation.verdict) == (500, "equal")
    assert_moved(source, target)


def test_one_process_at_a_time(filled: Any, connect: Any, move: Any) -> None:
    """While a migration runs, another start of it is refused and changes nothing."""
    source, _ = filled(120)
    target = connect()
    refused: list[str] = []

    def start_again(_batch: Batch) -> None:
        with pytest.raises(MigrationError, match="runs in one process at a time") as caught:
            move(connect(source.url), connect(target.url)).run()
        refused.append(str(caught.value))

    assert move(source, Hooked(target, start_again)).run().validation.verdict == "equal"
    assert refused


def test_a_server_that_restarts_is_waited_for(postgres: LocalPostgres, filled: Any, connect: Any, move: Any) -> None:
    """PostgreSQL is stopped and started in the middle of the copy: the job waits and goes on to the end."""
    source, _ = filled()
    target = connect()
    stopped: list[threading.Timer] = []

    def stop(_batch: Batch) -> None:
        if not stopped and target.count() >= 120:
            postgres.stop(mode="immediate")
            stopped.append(threading.Timer(0.5, postgres.start))
            stopped[0].start()

    report = move(source, Hooked(target, stop), wait_for_store_s=60.0, first_wait_s=0.05).run()
    stopped[0].join()
    assert report.n_waits > 0
    assert report.validation.verdict == "equal"
    assert_moved(source, target)


def test_a_store_that_stays_away_stops_the_job(postgres: LocalPostgres, filled: Any, connect: Any, move: Any) -> None:
    """After the set time the job stops with one sentence; the same job goes on once the server is back."""
    source, _ = filled(200)
    target = connect()
    migrator = move(source, target, wait_for_store_s=0.3)
    n_batches = [0]

    def stop(_batch: Batch) -> None:
        n_batches[0] += 1
        if n_batches[0] == 2:
            postgres.stop()

    try:
        with pytest.raises(StoreError):
            move(source, Hooked(target, stop), wait_for_store_s=0.3).run()
    finally:
        postgres.start()
    assert migrator.status().state == "stopped"
    assert migrator.run().validation.verdict == "equal"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"dims": 17}, "must be at most the source's 16"),
        ({"overwrite": "wrong"}, "must be typed"),
        ({}, "must be empty or new"),
    ],
)
def test_a_plan_refuses_before_anything_is_written(
    filled: Any, move: Any, settings: dict[str, Any], why: str, workspace: Workspace
) -> None:
    """Too many dims, and a target with rows that nobody confirmed by its name, are refused; the target is untouched."""
    source, _ = filled(50)
    target, held = filled(30, DIMS)
    migrator = move(source, target, **settings)
    assert any(why in refusal for refusal in migrator.plan().refusals)
    with pytest.raises(MigrationError, match=why):
        migrator.run()
    assert migrator.status() is None
    assert set(held_by(target)) == set(held.ids)


def test_the_typed_name_overwrites(filled: Any, move: Any) -> None:
    """With the name of its table typed, what the target held is replaced."""
    source, _ = filled(50)
    target, _ = filled(30, 3)
    name = target.describe().table
    assert move(source, target, overwrite=name).run().validation.verdict == "equal"
    assert_moved(source, target)


def test_an_empty_target_of_another_dim_is_refused(filled: Any, connect: Any, move: Any) -> None:
    """An empty table made for other dims is named with both; one of the right dims is filled."""
    source, _ = filled(50)
    target = connect()
    target.create(TableSpec(dim=DIMS + 1))
    with pytest.raises(MigrationError, match=f"{DIMS + 1} dims, not {DIMS}"):
        move(source, target).run()
    fitting = connect()
    fitting.create(TableSpec(dim=DIMS))
    assert move(source, fitting).run().validation.verdict == "equal"


def test_a_plan_writes_nothing(filled: Any, connect: Any, move: Any, workspace: Workspace) -> None:
    """A plan counts rows and bytes and estimates the time; no table, record or audit event is made."""
    source, _ = filled()
    target = connect()
    plan = move(source, target).plan()
    assert (plan.n_rows, plan.source_bytes, plan.target_bytes) == (500, 500 * 16 * 4, 500 * DIMS * 4)
    assert plan.seconds is not None
    assert not plan.refusals
    assert not target.exists()
    assert workspace.audit_head() == 0


def test_only_its_own_target_is_discarded(filled: Any, connect: Any, move: Any) -> None:
    """A stopped migration's half-filled table can be dropped by its typed name; a finished or foreign one cannot."""
    source, _ = filled(200)
    target = connect()

    def refuse(batch: Batch) -> None:
        if 150 in batch.ids:
            raise StoreError("no")

    migrator = move(source, Hooked(target, refuse), attempts=1, quarantine_share=0.0)
    with pytest.raises(MigrationError):
        migrator.run()
    with pytest.raises(MigrationError, match="must be typed"):
        migrator.discard(typed="yes")
    migrator.discard(typed=target.describe().table)
    assert not target.exists()
    assert move(source, target, quarantine_share=0.0).run().validation.verdict == "equal"


def test_the_rate_limit_holds(filled: Any, connect: Any, workspace: Workspace) -> None:
    """With a limit of rows a second the waits add up to what the limit asks, on a clock that only sleeping moves."""
    source, _ = filled(240)
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    settings = MigrationSettings(**{**QUICK, "rows_per_s": 100.0})
    migrator = Migrator(
        source, connect(), settings, workspace=workspace, actor="ann", clock=lambda: now[0], sleep=sleep
    )
    migrator.run()
    assert 1.0 < now[0] <= 0.6 * (1 + 2 + 3 + 4)  # each wait makes up for all rows until then


def test_wrong_settings_never_reach_a_store() -> None:
    """Settings out of range are refused where they are made."""
    with pytest.raises(ParameterError):
        MigrationSettings(dims=-1)


def test_progress_counts_rows_and_tells_the_rest(filled: Any, connect: Any, move: Any) -> None:
    """Progress rises to 1 and names rows, rows a second and the time left."""
    source, _ = filled()
    seen: list[tuple[float, str]] = []
    move(source, connect()).run(progress=lambda share, message: seen.append((share, message)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert any("rows/s" in message and "left" in message for _, message in seen)
    assert time.monotonic() > 0
