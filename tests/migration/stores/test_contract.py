"""What every store promises, checked on the real engines."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError, StoreError
from engine.migration.ids import coded_text, order_key
from engine.migration.stores import Batch, IndexSpec, StoreInfo, TableSpec, VectorStore, same_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    NewStore = Callable[..., VectorStore]

DIM = 12
# U+FFFF and U+1F600 stand in another order in UTF-16 than in UTF-8, which is canonical.
TEXTS = (
    "", "a", "B", "b", "ä", "\uffff", "\U0001f600", "a b", "a'b", 'a"b', "a\\b", "a\nb", "a\0b", "\0", "\1", "\1\1",
    "1", "-1", "NULL", "x" * 2000, "é", "e\u0301",
)  # fmt: skip
IDS: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, -1, 255, 256, -256, (1 << 63) - 1, -(1 << 63)),
    "uint": (0, 1, 1 << 63, (1 << 64) - 1),
    "uuid": (
        uuid.UUID(int=0),
        uuid.UUID(int=1),
        uuid.UUID(int=(1 << 128) - 1),
        *(uuid.UUID(int=7**n) for n in range(1, 30, 3)),
    ),
    "text": TEXTS,
    "mixed": (0, -5, 1 << 70, -(1 << 70), "", "0", "a\0", uuid.UUID(int=3), str(uuid.UUID(int=3))),
}
PAYLOADS = (
    None, b"{}", b'{"a":1}', b'{"a":{"b":[1,2.5,null,true,"x"]}}', b"[1,2]", b'"text"', b"12.5", b"false",
    b'{"nul":"a\\u0000b"}', b'{"half":"\\ud800"}', b'{"emoji":"\\ud83d\\ude00"}', '{"ü":"ß\u2028"}'.encode(),
    b'{"large":123456789012345678901234567890,"small":-9223372036854775808}',
    b'{"float":1e300,"int":18446744073709551615}',
    b'{"__dimshift":{"json":"mine"}}', b'{"__dimshift":1,"a":2}', b'{"\\u005f_dimshift":{"json":"mine"}}',
    b'{"back\\\\u0000slash":1}',
)  # fmt: skip


def vectors(n: int, *, dim: int = DIM, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return unit vectors: Qdrant keeps no others for cosine."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def batch(ids: Sequence[Any], *, dim: int = DIM, seed: int = 0, **parts: Any) -> Batch:
    """Return rows with payloads that name their place."""
    payloads = tuple(b'{"n":%d}' % n for n in range(len(ids)))
    return Batch(ids=tuple(ids), vectors=vectors(len(ids), dim=dim, seed=seed), **{"payloads": payloads, **parts})


def created(new_store: NewStore, rows: Batch | None = None, **spec: Any) -> VectorStore:
    """Return a new table with `rows` in it."""
    store = new_store()
    store.create(TableSpec(**{"dim": DIM, **spec}))
    if rows is not None:
        written = store.upsert(rows, is_new=True)
        assert written.n_written == len(rows)
        assert not written.rejected
    return store


def everything(store: VectorStore, **options: Any) -> Batch:
    """Return all rows of a store by one scan, joined."""
    parts = list(store.scan(**options))
    assert parts
    payloads = None if parts[0].payloads is None else tuple(one for part in parts for one in part.payloads or ())
    moments = None if parts[0].updated_at is None else np.concatenate([part.updated_at for part in parts])
    return Batch(
        ids=tuple(one for part in parts for one in part.ids),
        vectors=np.concatenate([part.vectors for part in parts]),
        payloads=payloads,
        updated_at=moments,
    )


def assert_same_rows(found: Batch, expected: Batch) -> None:
    """Compare rows by id, whatever their order."""
    assert sorted(map(order_key, found.ids)) == sorted(map(order_key, expected.ids))
    places = {one: row for row, one in enumerate(found.ids)}
    order = [places[one] for one in expected.ids]
    np.testing.assert_allclose(found.vectors[order], expected.vectors, atol=1e-6, rtol=0)
    if expected.payloads is not None:
        assert found.payloads is not None
        for row, payload in zip(order, expected.payloads, strict=True):
            assert same_payload(found.payloads[row], payload)


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_kind_come_back_equal(new_store: NewStore, kind: Any) -> None:
    """Ids survive with their vectors and payloads, whatever the store holds natively; looked up and deleted, too."""
    rows = batch(IDS[kind])
    store = created(new_store, rows, id_kind=kind)
    assert store.describe().id_kind == kind
    assert_same_rows(everything(store), rows)
    assert_same_rows(store.fetch(rows.ids), rows)
    assert store.delete(rows.ids[:2]) == 2
    assert_same_rows(everything(store), rows.take(range(2, len(rows))))


@pytest.mark.parametrize("kind", IDS)
def test_ids_are_listed_in_one_order_everywhere(new_store: NewStore, kind: Any) -> None:
    """Ids come in canonical order in batches of any size, and from any id on, so that stores can be merged."""
    expected = sorted(IDS[kind], key=order_key)
    store = created(new_store, batch(IDS[kind]), id_kind=kind)
    for size in (1, 3, 1000):
        assert [one for some in store.ids(batch_size=size) for one in some] == expected
    for place in (0, len(expected) // 2, len(expected) - 1):
        assert [one for some in store.ids(after=expected[place]) for one in some] == expected[place + 1 :]


def test_an_id_of_another_kind_still_parts_the_list(new_store: NewStore) -> None:
    """Asked for the ids after one of another kind, a store answers by the order of all ids."""
    store = created(new_store, batch([1, 2, 3]))
    assert [one for some in store.ids(after=-(1 << 80)) for one in some] == [1, 2, 3]
    assert [one for some in store.ids(after="a") for one in some] == []


def test_a_scan_goes_on_from_any_cursor(new_store: NewStore) -> None:
    """From the cursor of every batch a new scan yields exactly the rows that the first one had still to come."""
    store = created(new_store, batch(range(50)))
    parts = list(store.scan(batch_size=8))
    assert [one for part in parts for one in part.ids] == list(everything(store).ids)
    for place, part in enumerate(parts):
        later = [one for other in store.scan(after=part.cursor, batch_size=5) for one in other.ids]
        assert later == [one for other in parts[place + 1 :] for one in other.ids]


def test_a_scan_survives_changes_around_its_cursor(new_store: NewStore, engine: str) -> None:
    """Deleting the row at the cursor and writing rows meanwhile makes a resumed scan neither skip nor repeat others."""
    rows = batch([f"r{n:03d}" for n in range(40)])
    store = created(new_store, rows, id_kind="text")
    first = next(iter(store.scan(batch_size=10)))
    store.delete(first.ids[-1:])
    store.upsert(batch([first.ids[0], "r100"], seed=2))
    later = [one for part in store.scan(after=first.cursor, batch_size=7) for one in part.ids]
    assert len(later) == len(set(later))
    assert set(rows.ids) - set(first.ids) <= set(later)


def test_writing_again_changes_nothing(new_store: NewStore) -> None:
    """The same batch twice leaves the rows of one, also when it was said to be new the first time only."""
    rows = batch(range(30))
    store = created(new_store, rows)
    assert store.upsert(rows).n_written == 30
    store.upsert(rows.take(range(10)))
    assert store.count() == 30
    assert_same_rows(everything(store), rows)


def test_rows_of_the_same_id_are_replaced(new_store: NewStore) -> None:
    """An upsert replaces vector and payload of ids that are there and adds the others."""
    store = created(new_store, batch(range(10)))
    newer = batch(range(5, 15), seed=1, payloads=tuple(b'{"newer":%d}' % n for n in range(10)))
    store.upsert(newer)
    assert store.count() == 15
    assert_same_rows(store.fetch(newer.ids), newer)
    assert_same_rows(store.fetch(range(5)), batch(range(10)).take(range(5)))


def test_vectors_without_payloads_leave_payloads_alone(new_store: NewStore) -> None:
    """A batch that brings no payloads changes the vectors only."""
    store = created(new_store, batch(range(5)))
    moved = batch(range(5), seed=3, payloads=None)
    store.upsert(moved)
    assert_same_rows(everything(store), replace(moved, payloads=batch(range(5)).payloads))


def test_payloads_of_every_shape_come_back(new_store: NewStore) -> None:
    """NUL, half surrogate pairs, large numbers, lists and reserved keys survive in stores that cannot hold them."""
    rows = batch(range(len(PAYLOADS)), payloads=PAYLOADS)
    assert_same_rows(everything(created(new_store, rows)), rows)


def test_rows_are_fetched_in_the_order_asked(new_store: NewStore) -> None:
    """Unknown ids are left out, repeated ones come once, and nothing asked is nothing found."""
    store = created(new_store, batch(range(20)))
    assert store.fetch([7, 99, 3, 7, "3"]).ids == (7, 3)
    assert store.fetch([]).ids == ()
    assert store.fetch([7], with_payload=False).payloads is None


def test_a_prefix_is_the_beginning_of_the_vector(new_store: NewStore) -> None:
    """Scans and fetches cut to fewer dims give exactly the first components."""
    store = created(new_store, batch(range(9)))
    whole, cut = everything(store), everything(store, dim=5)
    assert cut.ids == whole.ids
    np.testing.assert_array_equal(cut.vectors, whole.vectors[:, :5])
    np.testing.assert_array_equal(store.fetch([4], dim=3).vectors, store.fetch([4]).vectors[:, :3])
    with pytest.raises(ParameterError, match="from 1 to those of the store"):
        list(store.scan(dim=DIM + 1))


def test_half_precision_is_the_nearest_float16(new_store: NewStore, engine: str) -> None:
    """A float16 table gives back what NumPy rounds the same vectors to, and refuses what float16 cannot hold."""
    if engine == "qdrant-client":
        pytest.skip("the client's local mode keeps float32 whatever the collection says")
    rows = batch(range(20), dim=8)
    store = created(new_store, None, dim=8, dtype="float16", metric="ip")
    too_large = replace(batch(["x"], dim=8), ids=(99,), vectors=np.full((1, 8), 1e6, np.float32))
    store.upsert(rows)
    assert [one.id for one in store.upsert(too_large).rejected] == [99]
    assert store.describe().dtype == "float16"
    found = store.fetch(rows.ids)
    np.testing.assert_array_equal(found.vectors, rows.vectors.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_searching_finds_what_comparing_every_row_finds(new_store: NewStore, metric: Any) -> None:
    """Ids and scores are those of a naive search, for every metric."""
    rows, queries = batch([f"d{n}" for n in range(60)]), vectors(4, seed=9)
    store = created(new_store, rows, metric=metric, id_kind="text")
    products = queries @ rows.vectors.T
    expected = products if metric != "l2" else -((queries[:, None] - rows.vectors[None]) ** 2).sum(axis=2)
    answer = store.search(queries, 5)
    best = np.argsort(-expected, axis=1)[:, :5]
    assert answer.ids == tuple(tuple(rows.ids[row] for row in one) for one in best)
    np.testing.assert_allclose(answer.scores, np.take_along_axis(expected, best, axis=1), atol=1e-5)
    assert answer.latency_ms.shape == (4,)


def test_searching_for_more_than_there_is_says_so(new_store: NewStore) -> None:
    """Fewer rows than k give fewer ids and NaN scores; queries that do not fit are refused."""
    store = created(new_store, batch(range(3)))
    answer = store.search(vectors(1), 5)
    assert sorted(answer.ids[0]) == [0, 1, 2]
    assert np.isnan(answer.scores[0, 3:]).all()
    with pytest.raises(ParameterError, match="as many dims"):
        store.search(vectors(1, dim=5), 3)
    with pytest.raises(ParameterError, match="k must be"):
        store.search(vectors(1), 0)


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
def test_an_index_answers_like_the_whole_table(new_store: NewStore) -> None:
    """After the index is built, once or twice, every row finds itself, and rows written later are found too."""
    rows = batch(range(300))
    store = created(new_store, rows)
    shares: list[float] = []
    index = store.build_index(IndexSpec(m=8, ef_construction=32), progress=lambda share, _said: shares.append(share))
    assert index == store.build_index()
    assert all(0 <= share <= 1 for share in shares)
    assert store.describe().index == index
    if index is not None:
        assert index.metric == "cosine"
    store.upsert(batch([500], seed=4))
    found = store.search(rows.vectors[:20], 3, ef=64)
    assert [ids[0] for ids in found.ids] == list(range(20))
    assert store.search(batch([500], seed=4).vectors, 1, exact=True).ids == ((500,),)
    assert_same_rows(everything(store).take(slice_of(everything(store), rows)), rows)


def slice_of(found: Batch, rows: Batch) -> list[int]:
    """Return where the ids of `rows` stand in `found`."""
    return [found.ids.index(one) for one in rows.ids]


def test_moments_of_change_are_kept_and_asked_for(new_store: NewStore) -> None:
    """Moments survive to the microsecond, missing ones stay missing, and a scan since a moment yields what changed."""
    start = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    moments = np.array([start.replace(tzinfo=None) + timedelta(hours=n) for n in range(5)], dtype="datetime64[us]")
    moments[4] = np.datetime64("NaT")
    rows = batch(range(5), updated_at=moments)
    store = created(new_store, rows, has_updated_at=True)
    assert store.describe().has_updated_at
    found = store.fetch(range(5)).updated_at
    np.testing.assert_array_equal(found, moments)
    changed = everything(store, changed_since=start + timedelta(hours=2), batch_size=1)
    assert sorted(changed.ids) == [2, 3]
    with pytest.raises(ParameterError, match="time zone"):
        list(store.scan(changed_since=datetime(2026, 1, 1)))  # noqa: DTZ001  # that is the point
    assert abs(store.now() - datetime.now(UTC)) < timedelta(minutes=5)


def test_without_moments_changes_cannot_be_asked_for(new_store: NewStore) -> None:
    """A table without an updated-at column says how to name one."""
    with pytest.raises(StoreError, match="updated_at"):
        list(created(new_store, batch([1])).scan(changed_since=datetime.now(UTC)))


def test_rows_that_cannot_be_held_do_not_stop_the_others(new_store: NewStore) -> None:
    """NaN, infinity and ids of another kind are rejected with a reason each; the rest is written."""
    rows = batch(range(6))
    rows.vectors[1, 0] = np.nan
    rows.vectors[3, 2] = np.inf
    rows = replace(rows, ids=(0, 1, 2, 3, "four", 5))
    store = created(new_store)
    written = store.upsert(rows)
    assert written.n_written == 3
    assert {one.id: one.reason for one in written.rejected} == {
        1: "its vector holds NaN or infinity",
        3: "its vector holds NaN or infinity",
        "four": "the store's ids are of the kind int",
    }
    assert sorted(everything(store).ids) == [0, 2, 5]


def test_a_batch_that_does_not_fit_is_refused_as_a_whole(new_store: NewStore) -> None:
    """Another dim, and an id twice in a batch, are refused before anything is written."""
    store = created(new_store)
    with pytest.raises(StoreError, match="dims of the store; found 5, the store has 12"):
        store.upsert(batch([1], dim=5))
    with pytest.raises(StoreError, match="once in a batch; found 7"):
        store.upsert(batch([7, 8, 7]))
    assert store.count() == 0
    assert list(store.scan()) == []


def test_a_table_that_is_not_there_is_one_sentence(new_store: NewStore) -> None:
    """Nothing can be read from or written to a table that does not exist; dropping it is no error."""
    store = new_store()
    assert not store.exists()
    for ask in (store.describe, store.count, lambda: list(store.scan()), lambda: store.upsert(batch([1]))):
        with pytest.raises(StoreError, match="must exist"):
            ask()
    store.drop()


def test_creating_twice_is_refused_and_dropping_makes_room(new_store: NewStore) -> None:
    """A table that is there is never replaced by itself."""
    store = created(new_store, batch(range(3)))
    with pytest.raises(StoreError, match="must not exist yet"):
        store.create(TableSpec(dim=DIM))
    assert store.count() == 3
    store.drop()
    assert not store.exists()
    store.create(TableSpec(dim=3))
    assert store.describe().n_rows == 0


def test_a_mark_stays_until_it_is_removed(new_store: NewStore) -> None:
    """What is half done says so to whoever opens it, and no longer when it is done."""
    store = created(new_store, batch([1]), mark="half of 2 rows")
    assert store.describe().mark == "half of 2 rows"
    store.set_mark("'; DROP TABLE x; --")
    assert store.describe().mark == "'; DROP TABLE x; --"
    store.set_mark(None)
    assert store.describe().mark is None
    assert store.describe().metric == "cosine"


def test_another_store_sees_the_same(new_store: NewStore) -> None:
    """What one store wrote and closed, another opened from the same address reads; a closed store opens again."""
    store = new_store("shared")
    store.create(TableSpec(dim=DIM, metric="l2", id_kind="uuid", has_payload=True))
    rows = batch(IDS["uuid"])
    store.upsert(rows)
    store.close()
    other = new_store("shared")
    assert_same_rows(everything(other), rows)
    info = other.describe()
    assert isinstance(info, StoreInfo)
    assert (info.dim, info.metric, info.id_kind, info.n_rows, info.has_payload) == (DIM, "l2", "uuid", len(rows), True)
    assert json.dumps(info.url)
    other.close()
    assert store.count() == len(rows)


def test_two_stores_of_one_table_work_side_by_side(new_store: NewStore) -> None:
    """A store that scans does not keep another of the same process from reading and writing the table."""
    first, second = new_store("both"), new_store("both")
    first.create(TableSpec(dim=DIM))
    first.upsert(batch(range(30)))
    scan = first.scan(batch_size=10)
    assert len(next(scan)) == 10
    second.upsert(batch([1000]))
    assert second.count() == 31
    assert sum(map(len, scan)) >= 20
    listed = first.ids(batch_size=5)
    next(listed)
    assert first.fetch([3]).ids == (3,)
    assert first.count() == 31


def test_a_cursor_is_a_printable_text(new_store: NewStore) -> None:
    """Cursors of awkward ids can be kept in any record, and lead behind their row."""
    store = created(new_store, batch(TEXTS), id_kind="text")
    for part in store.scan(batch_size=1):
        assert part.cursor is not None
        assert json.loads(json.dumps(part.cursor)) == part.cursor
        assert "\0" not in part.cursor
    assert list(store.scan(after=part.cursor)) == []


def test_batches_of_senseless_size_are_refused(new_store: NewStore) -> None:
    """A batch has at least one row."""
    store = created(new_store, batch([1]))
    with pytest.raises(ParameterError, match="a batch must have"):
        list(store.scan(batch_size=0))
    with pytest.raises(ParameterError, match="a batch must have"):
        list(store.ids(batch_size=0))


def test_an_index_that_is_cancelled_leaves_the_rows(new_store: NewStore, engine: str) -> None:
    """Cancelling while the index is built raises, or comes too late; no row is lost either way."""
    store = created(new_store, batch(range(50)))
    with suppress(CancelledError):
        store.build_index(cancelled=lambda: True)
    assert store.count() == 50


def test_coded_ids_tell_text_from_number(new_store: NewStore) -> None:
    """``1`` and ``"1"`` are two rows of a table of mixed ids."""
    store = created(new_store, batch([1, "1"]), id_kind="mixed")
    assert {coded_text(one) for one in everything(store).ids} == {coded_text(1), coded_text("1")}
