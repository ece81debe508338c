"""LanceDB: folders that are not there, tables that others made, versions and compaction."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from engine.errors import AmbiguousColumnsError, StoreError
from engine.migration.stores import Batch, TableSpec, open_store, same_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.migration.stores import VectorStore


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Callable[..., VectorStore]]:
    """Return what creates a table from Arrow columns and opens it as a store."""
    with ExitStack() as stack:

        def make(columns: dict[str, Any], options: str = "") -> VectorStore:
            lancedb.connect(str(tmp_path)).create_table("t", pa.table(columns))
            return stack.enter_context(open_store(f"lancedb://{tmp_path}?{options}#t"))

        yield make


def vectors(rows: list[list[float]]) -> Any:
    """Return a column of vectors of one dim."""
    return pa.array(rows, pa.list_(pa.float32(), len(rows[0])))


def batch(ids: Any, *, seed: int = 0) -> Batch:
    """Return random rows of 4 dims."""
    rows = np.random.default_rng(seed).standard_normal((len(ids), 4)).astype(np.float32)
    return Batch(ids=tuple(ids), vectors=rows, payloads=tuple(b"{}" for _ in ids))


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    """Asking for a table in a folder that is not there leaves no folder behind."""
    store = open_store(f"lancedb://{tmp_path}/none#t")
    assert not store.exists()
    with pytest.raises(StoreError, match="the table must exist; found no t"):
        store.describe()
    assert not (tmp_path / "none").exists()


def test_a_missing_table_lists_those_that_are_there(foreign: Callable[..., VectorStore], tmp_path: Path) -> None:
    """The sentence helps with a misspelt name."""
    foreign({"id": [1], "vector": vectors([[1, 2]])})
    with pytest.raises(StoreError, match="There are t"):
        open_store(f"lancedb://{tmp_path}#other").describe()


def test_all_other_columns_are_the_payload(foreign: Callable[..., VectorStore]) -> None:
    """Columns of every type survive as an object by name; dates as text, bytes as base64, NaN as null."""
    store = foreign({
        "_id": ["a'b", "\0"],
        "emb": vectors([[1, 2], [3, 4]]),
        "title": ["x", None],
        "score": [1.5, float("nan")],
        "when": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 2),
        "raw": [b"\xff", b""],
        "tags": [["a"], []],
    })  # fmt: skip
    info = store.describe()
    assert (info.id_kind, info.dim, info.payload_columns) == ("text", 2, ("title", "score", "when", "raw", "tags"))
    part = next(iter(store.scan()))
    assert part.ids == ("\0", "a'b")
    assert json.loads(part.payloads[1]) == {
        "title": "x", "score": 1.5, "when": "2026-01-02T00:00:00+00:00", "raw": "/w==", "tags": ["a"]
    }  # fmt: skip
    assert same_payload(
        part.payloads[0], b'{"title":null,"score":null,"when":"2026-01-02T00:00:00+00:00","raw":"","tags":[]}'
    )
    assert store.fetch(["\0"]).ids == ("\0",)
    with pytest.raises(StoreError, match="payloads must have one text column"):
        store.upsert(Batch(ids=("c",), vectors=np.ones((1, 2), np.float32), payloads=(b"{}",)))


def test_lists_of_any_length_are_told_row_by_row(foreign: Callable[..., VectorStore]) -> None:
    """In a list column the commonest length is the dim; other rows, and rows without a vector, are broken."""
    rows = pa.array([[1.0, 2.0], None, [3.0], [4.0, 5.0], []], pa.list_(pa.float32()))
    columns = {"id": pa.array([1, 2, 3, 4, 5], pa.int32()), "vec": pa.nulls(5, pa.list_(pa.float32()))}
    schema = pa.schema([("id", pa.int32()), ("vec", pa.list_(pa.float32()))])
    store = foreign(columns)
    table = lancedb.connect(str(store._url.path)).open_table("t")
    table.delete("true")
    # LanceDB itself refuses such rows when they are added; Lance tables written by others hold them.
    table.add(pa.table({"id": columns["id"], "vec": rows}, schema=schema), on_bad_vectors="null")
    info = store.describe()
    assert info.dim_is_declared is False
    part = next(iter(store.scan()))
    assert {one.row for one in part.broken} >= {1}
    assert part.vectors[[0, 3]].tolist() == [[1, 2], [4, 5]]


def test_duplicate_and_missing_ids_are_shown(foreign: Callable[..., VectorStore]) -> None:
    """Lance keeps ids from nothing: repeated ones come repeatedly, rows without one are counted."""
    store = foreign({"id": [2, 1, 2, None], "vector": vectors([[1, 1], [2, 2], [3, 3], [4, 4]])})
    info = store.describe()
    assert (info.n_rows, info.n_without_id, info.ids_are_unique) == (4, 1, False)
    assert list(store.ids()) == [(1, 2, 2)]
    assert sum(map(len, store.scan(batch_size=2))) == 3
    assert store.fetch([2]).ids == (2, 2)


def test_two_vectors_are_a_question(foreign: Callable[..., VectorStore]) -> None:
    """With two columns that look like vectors the candidates are listed."""
    store = foreign({"id": [1], "a_vector": vectors([[1, 2]]), "b_vector": vectors([[1, 2, 3]])})
    with pytest.raises(AmbiguousColumnsError) as asked:
        store.describe()
    assert asked.value.candidates == ("a_vector", "b_vector")


def test_a_scan_sees_one_version(tmp_path: Path) -> None:
    """What is written, deleted and compacted while a scan runs does not disturb it."""
    url = f"lancedb://{tmp_path}#t"
    store, writer = open_store(url), open_store(url)
    store.create(TableSpec(dim=4))
    for start in range(0, 60, 10):
        store.upsert(batch(range(start, start + 10)), is_new=True)
    scan = store.scan(batch_size=7)
    found = [*next(scan).ids]
    writer.delete(range(20, 40))
    writer.upsert(batch(range(100, 110)))
    writer.build_index()
    found += [one for part in scan for one in part.ids]
    assert found == list(range(60))
    assert [one for some in store.ids() for one in some] == [*range(20), *range(40, 60), *range(100, 110)]


def test_many_small_writes_are_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some hundred writes the files are merged by themselves, and no row is lost by it."""
    monkeypatch.setattr("engine.migration.stores.lancedb._WRITES_UNTIL_COMPACTION", 8)
    store = open_store(f"lancedb://{tmp_path}#t")
    store.create(TableSpec(dim=4))
    for start in range(20):
        store.upsert(batch([start]), is_new=True)
    table = lancedb.connect(str(tmp_path)).open_table("t")
    assert table.stats()["fragment_stats"]["num_fragments"] < 8
    assert [one for some in store.ids() for one in some] == list(range(20))


def test_an_unfinished_table_keeps_no_old_versions(tmp_path: Path) -> None:
    """Compacting a table that is marked as half done frees the disk; a finished one keeps its versions for readers."""
    store = open_store(f"lancedb://{tmp_path}#t")
    store.create(TableSpec(dim=4, mark="half"))
    for start in range(5):
        store.upsert(batch([start]), is_new=True)
    store.build_index()
    versions = lancedb.connect(str(tmp_path)).open_table("t").list_versions()
    store.set_mark(None)
    store.upsert(batch([9]))
    store.build_index()
    assert len(lancedb.connect(str(tmp_path)).open_table("t").list_versions()) > len(versions)
    assert store.count() == 6


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A folder below a file cannot be made."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="must be writable"):
        open_store(f"lancedb://{tmp_path}/file/x#t").create(TableSpec(dim=2))


def test_a_damaged_table_is_one_sentence(tmp_path: Path) -> None:
    """A table whose files are gone says so without a place in somebody's source code."""
    store = open_store(f"lancedb://{tmp_path}#t")
    store.create(TableSpec(dim=4))
    store.upsert(batch(range(5)))
    for file in (tmp_path / "t.lance" / "data").iterdir():
        file.write_bytes(b"x" * 10)
    with pytest.raises(StoreError) as refused:
        list(open_store(f"lancedb://{tmp_path}#t").scan())
    assert ".rs" not in str(refused.value)
