"""Small files that expand enormously are refused by their declared size, before memory is taken."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np
import pytest

from engine.embeddings import load_upload
from engine.errors import EngineError
from engine.experiment.logs import read_log

MOST_MIB = 200
EXPANDED = 80 << 20  # above what may expand freely


def _zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _beir():
    """Zip a BEIR corpus whose one text is 80 MiB of one letter."""
    corpus = b'{"_id": "d", "text": "' + b"x" * EXPANDED + b'"}\n'
    return "beir.zip", _zip({"corpus.jsonl": corpus, "queries.jsonl": b'{"_id": "q", "text": "a"}\n'})


def _npz():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, corpus=np.zeros((EXPANDED // 64, 16), np.float32))
    return "zeros.npz", buffer.getvalue()


def _parquet():
    """Repeat one vector 40,000 times, which a dictionary keeps once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    rows = pa.array([b"\0" * 4096], pa.binary()).take(pa.array(np.zeros(EXPANDED // 4096 * 2, np.int32)))
    pq.write_table(pa.table({"emb": rows}), buffer, compression="zstd")
    return "one.parquet", buffer.getvalue()


def _arrow():
    import pyarrow as pa

    buffer = io.BytesIO()
    kind = pa.list_(pa.float32(), 16)
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(EXPANDED // 4, np.float32)), type=kind)
    table = pa.table({"emb": zeros})
    with pa.ipc.new_file(buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return "zeros.arrow", buffer.getvalue()


def _hdf5():
    """Declare a deflated dataset of 40 TiB that was never written."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("train", (1 << 36, 160), "f4", chunks=(1 << 14, 160), compression="gzip")
    return "zeros.hdf5", buffer.getvalue()


def _sparse_npz():
    """Zip a header that promises 40 TiB in a few bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (1 << 36, 160)})
    return "promise.npz", _zip({"corpus.npy": buffer.getvalue()})


@pytest.mark.parametrize("make", [_beir, _npz, _parquet, _arrow, _hdf5, _sparse_npz])
def test_a_set_that_expands_enormously_is_refused_by_its_size(make, judge):
    """Zip, npz, Parquet, Arrow and HDF5 bombs: a sentence about sizes, and no memory for what they claim to hold."""
    name, content = make()
    assert len(content) < 1 << 20
    with judge.bounded_memory(MOST_MIB), pytest.raises(EngineError, match=r"expand|must hold exactly"):
        load_upload({"corpus": (name, content)}, n_held_out=0)


def _gzip_log():
    head = b"user_id,timestamp,variation_id,clicked\n"
    return gzip.compress(head + b"ada,2026-01-05,control,1\n" * (EXPANDED // 20), compresslevel=3, mtime=0)


def _parquet_log():
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    rows = pa.array(np.zeros(4_000_000, np.int32))
    columns = {"user_id": ["a"], "timestamp": ["2026-01-05"], "variation_id": ["control"], "clicked": ["1"]}
    table = pa.table({name: pa.DictionaryArray.from_arrays(rows, pa.array(one)) for name, one in columns.items()})
    pq.write_table(table, buffer, row_group_size=1 << 22)
    return buffer.getvalue()


@pytest.mark.parametrize("make", [pytest.param(_gzip_log, marks=pytest.mark.slow), _parquet_log])
def test_a_log_that_expands_enormously_is_refused(make, judge):
    """A log of a few KiB is not read for minutes because it holds one row millions of times."""
    content = make()
    assert len(content) < 1 << 20
    # The first log of a process also loads Arrow's CSV and compiled kernels, hence the wider bound.
    with judge.bounded_memory(), pytest.raises(EngineError, match="at most 200 times its size"):
        read_log(io.BytesIO(content))


def test_numbers_of_any_length_cost_no_quadratic_time(judge):
    """A JSON number of a million digits is refused, not turned into a whole number for minutes."""
    line = json.dumps({"id": 1, "embedding": [1, 2]}).replace("2]", "9" * 1_000_000 + "]").encode()
    judge(lambda: load_upload({"corpus": ("a.jsonl", line)}, n_held_out=0), lambda: "a long number")
