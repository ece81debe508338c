"""Files: what others wrote, what Dimshift writes, and what a crash leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embeddings import load
from engine.errors import CancelledError, FormatError, StoreError
from engine.migration.stores import Batch, TableSpec, open_store, same_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.migration.stores import VectorStore


@pytest.fixture
def opened() -> Iterator[Callable[[Path], VectorStore]]:
    """Return what opens a file as a store until the end of the test."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(open_store(f"file://{path}"))


def vectors(n: int, dim: int = 4) -> np.ndarray[Any, Any]:
    """Return rows that tell their number."""
    return (np.arange(n)[:, None] + np.arange(dim)[None] / 10).astype(np.float32)


def batch(ids: Any, *, first: int = 0) -> Batch:
    """Return rows with payloads."""
    rows = vectors(first + len(tuple(ids)))[first:]
    return Batch(
        ids=tuple(ids), vectors=rows, payloads=tuple(json.dumps({"text": f"of {one}"}).encode() for one in ids)
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "int8", ">f4"])
def test_a_plain_npy_file_has_row_numbers_as_ids(
    opened: Callable[..., VectorStore], tmp_path: Path, dtype: str
) -> None:
    """Any numeric npy file is read in order, from any cursor, and is never written to."""
    np.save(tmp_path / "v.npy", vectors(10).astype(dtype))
    store = opened(tmp_path / "v.npy")
    info = store.describe()
    assert (info.id_kind, info.n_rows, info.dim, info.has_payload, info.writable) == ("int", 10, 4, False, False)
    assert info.dtype == ("float16" if dtype == "float16" else "float32")
    parts = list(store.scan(batch_size=4, dim=2))
    assert [part.ids for part in parts] == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9)]
    np.testing.assert_array_equal(parts[1].vectors, vectors(10).astype(dtype).astype(np.float32)[4:8, :2])
    assert [one for part in store.scan(after=parts[0].cursor) for one in part.ids] == [4, 5, 6, 7, 8, 9]
    assert list(store.ids(after=7)) == [(8, 9)]
    assert store.fetch([9, -1, 0, 10, "0"]).ids == (9, 0)
    assert store.build_index() is None
    with pytest.raises(StoreError, match="only files that Dimshift wrote"):
        store.upsert(batch([1]))


def test_json_lines_beside_an_npy_file_give_ids_and_payloads(
    opened: Callable[..., VectorStore], tmp_path: Path
) -> None:
    """A line a row, as the readers of data sets take them; ids of two kinds are mixed."""
    np.save(tmp_path / "v.npy", vectors(3))
    lines = [{"_id": "b", "title": "x"}, {"_id": "a"}, {"_id": 7, "deep": {"k": [1]}}]
    (tmp_path / "v.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    store = opened(tmp_path / "v.npy")
    info = store.describe()
    assert (info.id_kind, info.has_payload) == ("mixed", True)
    assert list(store.ids()) == [(7, "a", "b")]
    found = store.fetch(["b", 7])
    assert found.vectors[:, 0].tolist() == [0, 2]
    assert found.payloads == (b'{"title":"x"}', b'{"deep":{"k":[1]}}')
    assert store.search(vectors(3)[1:2], 3).ids == (("a", 7, "b"),)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ('{"_id":1}\n', "a line a row; found 1 lines, 2 rows"),
        ('{"_id":1}\n[]\n', "with _id or id; found none in line 2"),
        ('{"_id":1}\n{\n', "must be a JSON object; found none in line 2"),
        ('{"_id":1}\n{"_id":1}\n', "stand for one row only"),
        ('{"_id":1}\n{"_id":1.5}\n', "an id must be"),
    ],
)
def test_lines_that_do_not_fit_are_refused(
    opened: Callable[..., VectorStore], tmp_path: Path, lines: str, rule: str
) -> None:
    """Ids that would belong to other rows are worse than none."""
    np.save(tmp_path / "v.npy", vectors(2))
    (tmp_path / "v.jsonl").write_text(lines)
    with pytest.raises((FormatError, StoreError, ValueError), match=rule):
        opened(tmp_path / "v.npy").describe()


def parquet(path: Path, **columns: Any) -> Path:
    """Write a Parquet file of small row groups."""
    pq.write_table(pa.table(columns), path, row_group_size=3)
    return path


def test_parquet_is_read_over_row_groups(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """Ids, vectors, moments and all other columns come out of Parquet, in its order, from any cursor."""
    when = [datetime(2026, 1, 1 + n, tzinfo=UTC) for n in range(8)]
    file = parquet(
        tmp_path / "v.parquet", id=[f"k{7 - n}" for n in range(8)], emb=vectors(8).tolist(), title=list("abcdefgh"),
        updated_at=when,
    )  # fmt: skip
    store = opened(file)
    info = store.describe()
    assert (info.id_kind, info.dim, info.n_rows, info.payload_columns) == ("text", 4, 8, ("title",))
    parts = list(store.scan(batch_size=2))
    assert [one for part in parts for one in part.ids] == [f"k{7 - n}" for n in range(8)]
    assert parts[1].payloads == (b'{"title": "c"}', b'{"title": "d"}')
    later = [one for part in store.scan(after=parts[1].cursor, batch_size=3) for one in part.ids]
    assert later == ["k3", "k2", "k1", "k0"]
    assert list(store.ids(after="k5")) == [("k6", "k7")]
    found = store.fetch(["k0", "none", "k7", "k4"], dim=1)
    assert (found.ids, found.vectors[:, 0].tolist()) == (("k0", "k7", "k4"), [7, 0, 3])
    changed = [one for part in store.scan(changed_since=when[6]) for one in part.ids]
    assert changed == ["k1", "k0"]
    nearest = store.search(vectors(8)[3:4], 2)
    naive = vectors(8) @ vectors(8)[3] / np.linalg.norm(vectors(8), axis=1) / np.linalg.norm(vectors(8)[3])
    assert nearest.ids[0] == tuple(f"k{7 - row}" for row in np.argsort(-naive, kind="stable")[:2])


def test_parquet_without_ids_and_with_broken_vectors(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """Rows are told by their number; a missing vector and one of another length are broken, and not searched."""
    rows = [[1.0, 2.0], None, [3.0], [4.0, 5.0]]
    store = opened(parquet(tmp_path / "v.parquet", vector=pa.array(rows, pa.list_(pa.float32()))))
    assert store.describe().dim == 2
    part = next(iter(store.scan()))
    assert [(one.row, one.dim) for one in part.broken] == [(1, None), (2, 1)]
    assert store.fetch([3, 1]).ids == (3, 1)
    assert sorted(store.search(np.ones((1, 2), np.float32), 4).ids[0]) == [0, 3]
    with pytest.raises(StoreError, match="only .npy files can be written"):
        opened(tmp_path / "new.parquet").create(TableSpec(dim=2))


def test_a_finished_file_is_a_data_set(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """After rows were replaced and deleted the file is made dense, and the readers find ids and texts beside it."""
    store = opened(tmp_path / "v.npy")
    store.create(TableSpec(dim=4, id_kind="text", mark="half"))
    store.upsert(batch([f"r{n}" for n in range(20)]), is_new=True)
    store.upsert(batch([f"r{n}" for n in range(5)], first=50))
    store.delete([f"r{n}" for n in range(10, 15)])
    shares: list[float] = []
    store.build_index(progress=lambda share, _said: shares.append(share))
    assert shares[-1] == 1
    data = load(tmp_path / "v.npy")
    assert data.corpus.shape == (15, 4)
    assert data.corpus_texts[0] == f"of {data.doc_id(0)}"
    expected = {f"r{n}": float(n) for n in [*range(5, 10), *range(15, 20)]} | {f"r{n}": 50.0 + n for n in range(5)}
    assert {data.doc_id(row): float(data.corpus[row, 0]) for row in range(15)} == expected
    assert store.count() == 15
    assert {one: float(part.vectors[n, 0]) for part in store.scan() for n, one in enumerate(part.ids)} == expected
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), data.corpus)


def test_finishing_that_is_cancelled_loses_nothing(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """A cancelled compaction leaves every row where its id finds it."""
    store = opened(tmp_path / "v.npy")
    store.create(TableSpec(dim=4))
    store.upsert(batch(range(10)))
    store.delete(range(5))
    with pytest.raises(CancelledError):
        store.build_index(cancelled=lambda: True)
    assert store.fetch(range(10)).vectors[:, 0].tolist() == [5, 6, 7, 8, 9]


def test_a_row_is_never_half_replaced(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """When the row table cannot switch, every id still has its old vector: a new one never overwrites a row in use."""
    store = opened(tmp_path / "v.npy")
    store.create(TableSpec(dim=4))
    store.upsert(batch(range(6)))
    blocker = opened(tmp_path / "v.npy")
    rows: Any = blocker._written()
    with rows._table.changing():
        rows._table._database.execute("UPDATE rows SET payload = x'00'")
        rows._table._database.execute("PRAGMA busy_timeout = 0")
        writer = opened(tmp_path / "v.npy")
        table: Any = writer._written()
        table._table._database.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(StoreError, match="another process writes"):
            writer.upsert(batch(range(6), first=70))
        rows._table._database.execute("UPDATE rows SET payload = NULL")
    assert store.fetch(range(6)).vectors[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_payloads_that_are_no_objects_are_written_beside_as_well(
    opened: Callable[..., VectorStore], tmp_path: Path
) -> None:
    """A line is always an object; a payload that cannot be merged into it stands under ``payload``."""
    store = opened(tmp_path / "v.npy")
    store.create(TableSpec(dim=4))
    payloads = (b"[1]", b'{"_id":"mine"}', None, b'{"a":1}')
    store.upsert(Batch(ids=(1, 2, 3, 4), vectors=vectors(4), payloads=payloads))
    store.build_index()
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert lines == [
        {"_id": 1, "payload": [1]}, {"_id": 2, "payload": {"_id": "mine"}}, {"_id": 3}, {"_id": 4, "a": 1}
    ]  # fmt: skip
    found = store.fetch([1, 2, 3, 4]).payloads
    assert all(same_payload(one, other) for one, other in zip(found, payloads, strict=True))


def test_what_is_there_is_not_overwritten(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """Neither an npy file nor the lines beside it are replaced; a row table whose file is gone is rubbish."""
    for name in ("a.npy", "b.jsonl"):
        (tmp_path / name).write_text("mine")
    for name in ("a.npy", "b.npy"):
        with pytest.raises(StoreError, match="must not exist yet"):
            opened(tmp_path / name).create(TableSpec(dim=4))
    (tmp_path / "c.npy.rows").write_bytes(b"left by a crash")
    store = opened(tmp_path / "c.npy")
    store.create(TableSpec(dim=4))
    assert store.count() == 0
    store.drop()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npy", "b.jsonl"]


@pytest.mark.parametrize("name", ["v.csv", "v", "v.npz"])
def test_other_formats_are_not_stores(opened: Callable[..., VectorStore], tmp_path: Path, name: str) -> None:
    """Formats that cannot be read at random are left to the readers of data sets."""
    with pytest.raises(StoreError, match=r"must be an .npy or a .parquet file"):
        opened(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PAR1", b"x" * 200])
@pytest.mark.parametrize("name", ["v.npy", "v.parquet"])
def test_a_damaged_file_is_one_sentence(
    opened: Callable[..., VectorStore], tmp_path: Path, name: str, content: bytes
) -> None:
    """Truncated and foreign content is refused with the file's name."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        opened(tmp_path / name).describe()


def test_a_truncated_npy_file_is_refused(opened: Callable[..., VectorStore], tmp_path: Path) -> None:
    """A header that promises more than the file holds is found before anything is mapped."""
    np.save(tmp_path / "v.npy", vectors(100))
    with (tmp_path / "v.npy").open("r+b") as file:
        file.truncate(500)
    with pytest.raises(FormatError, match="every value that its header promises"):
        opened(tmp_path / "v.npy").describe()


def test_what_was_written_outlives_the_process(tmp_path: Path) -> None:
    """A batch that ``upsert`` took is there after kill -9, in every store that lives in the process."""
    code = f"""
import os, signal, numpy as np
from engine.migration.stores import Batch, TableSpec, open_store
rows = Batch(ids=tuple(range(500)), vectors=np.eye(500, 8, dtype=np.float32) + 1, payloads=(b'{{"a":1}}',) * 500)
for url in ("file://{tmp_path}/v.npy", "lancedb://{tmp_path}#t", "qdrant://{tmp_path}#c"):
    store = open_store(url)
    store.create(TableSpec(dim=8, metric="ip", mark="half"))
    store.upsert(rows.take(range(250)), is_new=True)
    store.upsert(rows)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    for url in (f"file://{tmp_path}/v.npy", f"lancedb://{tmp_path}#t", f"qdrant://{tmp_path}#c"):
        with open_store(url) as store:
            found = store.fetch(range(500))
            assert found.ids == tuple(range(500))
            np.testing.assert_array_equal(found.vectors, np.eye(500, 8, dtype=np.float32) + 1)
            assert store.describe().mark == "half"
