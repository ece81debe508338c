"""Writers that more than one test module of the readers needs."""

import base64
import io
import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

# Each returns the bytes of a file that holds `vectors`, written independently of the readers.


def as_npy(vectors):
    """Write with NumPy."""
    buffer = io.BytesIO()
    np.save(buffer, vectors)
    return buffer.getvalue()


def as_npz(**arrays):
    """Write with NumPy, deflated."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def as_parquet(table, **options):
    """Write an Arrow table with Arrow."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def as_arrow(table, *, compression=None, stream=False):
    """Write an Arrow table as an IPC file or stream."""
    import pyarrow as pa

    buffer = io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(buffer, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def as_table(vectors, **columns):
    """Make an Arrow table with a column `emb` of float lists."""
    import pyarrow as pa

    kind = pa.list_(pa.from_numpy_dtype(vectors.dtype))
    return pa.table({**columns, "emb": pa.array(list(vectors), kind)})


def as_hdf5(*, distance=None, chunked=False, **arrays):
    """Write as ann-benchmarks does."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            options = {"chunks": True, "compression": "gzip"} if chunked else {}
            file.create_dataset(name, data=array, **options)
        if distance is not None:
            file.attrs["distance"] = distance
    return buffer.getvalue()


def as_safetensors(**tensors):
    """Write with the reference implementation."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def as_vecs(vectors):
    """Write records of int32 d and d values."""
    head = np.int32(vectors.shape[1]).astype("<i4").tobytes()
    return b"".join(head + row.tobytes() for row in vectors)


def as_bin(vectors):
    """Write uint32 n, uint32 d and the values."""
    return np.array(vectors.shape, dtype="<u4").tobytes() + vectors.tobytes()


def as_json_lines(vectors, **columns):
    """Write objects with `embedding` and the columns given, a list each."""
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    rows = rows or [{} for _ in vectors]
    lines = [json.dumps({**row, "embedding": vector.tolist()}) for row, vector in zip(rows, vectors, strict=True)]
    return "\n".join(lines).encode()


def as_batch(vectors, custom_ids, *, in_base64=False):
    """Write a successful line of OpenAI batch output a vector."""
    lines = []
    for custom_id, vector in zip(custom_ids, vectors, strict=True):
        plain = vector.astype("<f4")
        embedding = base64.b64encode(plain.tobytes()).decode() if in_base64 else plain.tolist()
        data = [{"object": "embedding", "index": 0, "embedding": embedding}]
        response = {"status_code": 200, "request_id": "r", "body": {"object": "list", "data": data}}
        lines.append(json.dumps({"id": "b", "custom_id": custom_id, "response": response, "error": None}))
    return "\n".join(lines).encode()


def as_csv(vectors):
    """Write a column a component, d0, d1 and so on."""
    header = ",".join(f"d{column}" for column in range(vectors.shape[1]))
    return "\n".join([header, *(",".join(map(repr, row.tolist())) for row in vectors)]).encode()


def as_json_csv(vectors):
    """Write ids, and vectors as JSON text."""
    lines = [f'{row},"{json.dumps(vector.tolist())}"' for row, vector in enumerate(vectors)]
    return "\n".join(["id,vector", *lines]).encode()


def as_zip(members, *, method=zipfile.ZIP_DEFLATED):
    """Write members, a mapping of name to content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def write():
    """Return writers of every format."""
    return SimpleNamespace(
        npy=as_npy,
        npz=as_npz,
        parquet=as_parquet,
        arrow=as_arrow,
        table=as_table,
        hdf5=as_hdf5,
        safetensors=as_safetensors,
        vecs=as_vecs,
        bin=as_bin,
        json_lines=as_json_lines,
        batch=as_batch,
        csv=as_csv,
        json_csv=as_json_csv,
        zip=as_zip,
    )


@pytest.fixture
def vectors():
    """Return a small corpus whose rows all differ."""
    return np.random.default_rng(7).standard_normal((6, 4)).astype(np.float32)
