"""Every reader of embeddings under damage: a set or one printable sentence, in bounded time and memory.

The slow part runs 40,000 of the 100,000 cases; the imports' part of it stands in test_fuzz_imports.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.embeddings import load, load_upload
from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20_260_106

VECTORS = np.arange(24, dtype=np.float32).reshape(6, 4) + 1
IDS = [f"d{row}" for row in range(6)]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A format: the name of its uploads, valid files of it, and how many damaged ones each part of the suite reads."""

    name: str
    seeds: Callable[[], list[bytes]]
    n_slow: int
    n_quick: int = 12
    role: str = "corpus"


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz(*, packed: bool) -> bytes:
    buffer = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(buffer, corpus=VECTORS, queries=VECTORS[:2], doc_ids=np.array(IDS))
    return buffer.getvalue()


@cache
def _table() -> Any:
    import pyarrow as pa

    vectors = pa.array(list(VECTORS), pa.list_(pa.float32()))
    return pa.table({"id": IDS, "emb": vectors, "text": [f"text {row}" for row in range(6)]})


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fixed = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 4)
    binary = pa.array([row.tobytes() for row in VECTORS], pa.binary())
    files = []
    for table, compression in (
        (_table(), "snappy"), (pa.table({"vector": fixed}), "zstd"), (pa.table({"emb": binary}), "none"),
    ):  # fmt: skip
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression=compression)
        files.append(buffer.getvalue())
    return files


def _arrow() -> list[bytes]:
    import pyarrow as pa

    files = []
    for new, compression in ((pa.ipc.new_file, None), (pa.ipc.new_file, "lz4"), (pa.ipc.new_stream, "zstd")):
        buffer = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with new(buffer, _table().schema, options=options) as writer:
            writer.write_table(_table())
        files.append(buffer.getvalue())
    return files


def _hdf5() -> list[bytes]:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("train", data=VECTORS, chunks=(2, 4), compression="gzip")
        file["test"] = VECTORS[:2]
        file.attrs["distance"] = "angular"
    return [buffer.getvalue()]


def _safetensors() -> list[bytes]:
    from safetensors.numpy import save

    return [save({"corpus": VECTORS, "queries": VECTORS[:2]})]


def _bin(kind: str) -> Callable[[], list[bytes]]:
    return lambda: [np.array(VECTORS.shape, "<u4").tobytes() + VECTORS.astype(kind).tobytes()]


def _vecs(kind: str) -> Callable[[], list[bytes]]:
    head = np.int32(4).tobytes()
    return lambda: [b"".join(head + row.astype(kind).tobytes() for row in VECTORS)]


def _json_lines() -> list[bytes]:
    rows = [{"_id": key, "text": "a", "embedding": row.tolist()} for key, row in zip(IDS, VECTORS, strict=True)]
    return ["\n".join(map(json.dumps, rows)).encode(), "\n".join(json.dumps(row.tolist()) for row in VECTORS).encode()]


def _openai() -> list[bytes]:
    files = []
    for in_base64 in (False, True):
        lines = []
        for key, row in zip(IDS, VECTORS, strict=True):
            embedding = base64.b64encode(row.tobytes()).decode() if in_base64 else row.tolist()
            body = {"data": [{"index": 0, "embedding": embedding}]}
            lines.append(json.dumps({"custom_id": key, "response": {"status_code": 200, "body": body}, "error": None}))
        files.append("\n".join(lines).encode())
    return files


def _csv() -> list[bytes]:
    wide = "\n".join(["id,d0,d1,d2,d3", *(f"{key}," + ",".join(map(str, row)) for key, row in zip(IDS, VECTORS))])  # noqa: B905
    cells = "\n".join(["id\tvector", *(f"{key}\t{json.dumps(row.tolist())}" for key, row in zip(IDS, VECTORS))])  # noqa: B905
    return [wide.encode(), cells.encode(), wide.replace(",", ";").encode()]


def _zip() -> list[bytes]:
    files = []
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("s/corpus.jsonl", _json_lines()[0])
            archive.writestr("s/queries.jsonl", _json_lines()[0])
            archive.writestr("s/qrels/test.tsv", "query-id\tcorpus-id\tscore\nd0\td1\t1\n")
        files.append(buffer.getvalue())
    return files


def _judgements() -> list[bytes]:
    return [b"query-id\tcorpus-id\tscore\nd0\td1\t1\nd1\td2\t2\n", b"d0 0 d1 1\nd1 0 d2 2\n"]


TARGETS = {
    "npy": Target(name="a.npy", seeds=lambda: [_npy(VECTORS), _npy(np.asfortranarray(VECTORS))], n_slow=5_000),
    "npz": Target(name="a.npz", seeds=lambda: [_npz(packed=True), _npz(packed=False)], n_slow=2_500),
    "parquet": Target(name="a.parquet", seeds=_parquet, n_slow=3_000),
    "arrow": Target(name="a.arrow", seeds=_arrow, n_slow=3_000),
    "hdf5": Target(name="a.hdf5", seeds=_hdf5, n_slow=25, n_quick=1),
    "safetensors": Target(name="a.safetensors", seeds=_safetensors, n_slow=3_000),
    "fbin": Target(name="a.fbin", seeds=_bin("<f4"), n_slow=2_000),
    "u8bin": Target(name="a.u8bin", seeds=_bin("u1"), n_slow=1_500),
    "fvecs": Target(name="a.fvecs", seeds=_vecs("<f4"), n_slow=2_000),
    "bvecs": Target(name="a.bvecs", seeds=_vecs("u1"), n_slow=1_500),
    "json lines": Target(name="a.jsonl", seeds=_json_lines, n_slow=4_000),
    "openai": Target(name="a.jsonl", seeds=_openai, n_slow=3_000),
    "csv": Target(name="a.csv", seeds=_csv, n_slow=4_000),
    "zip": Target(name="a.zip", seeds=_zip, n_slow=2_500),
    "judgements": Target(name="r.tsv", seeds=_judgements, n_slow=2_500, role="qrels"),
    "no extension": Target(
        name="a",
        seeds=lambda: [_npy(VECTORS), *_parquet(), *_bin("<f4")(), *_safetensors(), *_json_lines()],
        n_slow=1_000,
    ),
}


def _read(target: Target, content: bytes) -> object:
    if target.role == "corpus":
        return load_upload({"corpus": (target.name, content)}, n_held_out=0)
    side = ("c.jsonl", _json_lines()[0])
    return load_upload({"corpus": side, "queries": side, "qrels": (target.name, content)})


def _run(target: Target, n_cases: int, mutator: Any, judge: Any) -> None:
    damage = mutator(target.seeds(), seed=SEED)
    with judge.bounded_memory():
        for _ in range(n_cases):
            content = damage.bytes()
            judge(lambda content=content: _read(target, content), lambda content=content: content)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name, mutator, judge):
    """A file of every format with damage: a set or one printable sentence, never anything else."""
    _run(TARGETS[name], TARGETS[name].n_quick, mutator, judge)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_files_are_read_or_refused(name, mutator, judge):
    """The same claim over tens of thousands of damaged files, in bounded CPU time and memory."""
    _run(TARGETS[name], TARGETS[name].n_slow, mutator, judge)


def test_the_slow_part_reads_forty_thousand_files():
    """Together with the 60,000 of the imports, the slow suite tries 100,000 hostile inputs."""
    assert sum(target.n_slow for target in TARGETS.values()) >= 40_000


def test_undamaged_seeds_are_read():
    """The files that are damaged above are valid before, so that damage reaches beyond their first bytes."""
    for target in TARGETS.values():
        for content in target.seeds():
            assert _read(target, content).n_docs == 6


def test_damage_on_disk_is_told_like_damage_in_an_upload(tmp_path, mutator):
    """A file that is mapped instead of held in memory gives the same set or the same sentence."""
    damage = mutator([_npy(VECTORS), *_bin("<f4")(), *_safetensors()], seed=SEED)
    for _ in range(30):
        content = damage.bytes()
        (tmp_path / "a.npy").write_bytes(content)
        assert _said(lambda: load(tmp_path / "a.npy", n_held_out=0)) == _said(
            lambda content=content: load_upload({"corpus": ("a.npy", content)}, n_held_out=0)
        )


def _said(read: Callable[[], Any]) -> object:
    try:
        return read().corpus.shape
    except EngineError as error:
        return str(error)
