"""Run by `hdf5.py` in a process of its own: describe an HDF5 file, or copy datasets out of it.

Damaged HDF5 files make libhdf5 hang, crash or allocate without end; here that hurts nobody. The only input is the
arguments (path, bytes of memory, seconds of CPU) and a JSON request on stdin; the only output is JSON on stdout.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import h5py
import numpy as np

_MOST_DATASETS = 1000
_DEEPEST = 4
_BLOCK_BYTES = 1 << 24


def main(path: str, memory: int, seconds: int) -> dict[str, Any]:
    """Answer the request on stdin: ``{"copy": {dataset: npy file}}``, or an empty object for a description."""
    _limit(memory, seconds)
    request = json.load(sys.stdin)
    with h5py.File(path, "r") as file:
        if "copy" in request:
            for name, target in request["copy"].items():
                _copy(file[name], target)
            return {}
        datasets: dict[str, Any] = {}
        foreign: list[str] = []
        _describe(file, "", 0, datasets, foreign)
        return {"datasets": datasets, "foreign": foreign, "distance": _distance(file)}


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none; the time limit of the caller remains
        return
    limits = ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0))
    for limit, value in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def _describe(group: Any, prefix: str, depth: int, datasets: dict[str, Any], foreign: list[str]) -> None:
    for name in group:
        if len(datasets) >= _MOST_DATASETS:
            return
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            foreign.append(prefix + name)
        if not isinstance(link, h5py.HardLink):
            continue
        found = group[name]
        if isinstance(found, h5py.Dataset):
            if found.is_virtual or found.external:
                foreign.append(prefix + name)
            else:
                datasets[prefix + name] = _facts(found)
        elif isinstance(found, h5py.Group) and depth < _DEEPEST:
            _describe(found, f"{prefix}{name}/", depth + 1, datasets, foreign)


def _facts(dataset: Any) -> dict[str, Any]:
    plain = _plain_dtype(dataset)
    chunk_bytes = 0
    if dataset.chunks is not None and plain is not None:
        chunk_bytes = int(np.prod(dataset.chunks, dtype=object)) * plain.itemsize
    return {
        "shape": list(dataset.shape or ()),
        "dtype": None if plain is None else plain.str,
        "offset": None if plain is None else _offset(dataset, plain),
        "chunk_bytes": chunk_bytes,
    }


def _plain_dtype(dataset: Any) -> np.dtype[Any] | None:
    try:
        dtype = dataset.dtype
    except TypeError:  # a type that NumPy does not have
        return None
    return dtype if dtype.kind in "fiubS" and dtype.fields is None and dtype.itemsize else None


def _offset(dataset: Any, dtype: np.dtype[Any]) -> int | None:
    """Return where the values lie in the file as NumPy would write them; None when they must be converted."""
    layout = dataset.id.get_create_plist().get_layout()
    if layout != h5py.h5d.CONTIGUOUS or not dataset.id.get_type().equal(h5py.h5t.py_create(dtype)):
        return None
    if dataset.id.get_storage_size() != dataset.size * dtype.itemsize:
        return None
    offset: int | None = dataset.id.get_offset()
    return offset


def _distance(file: Any) -> str | None:
    value = file.attrs.get("distance")
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _copy(dataset: Any, target: str) -> None:
    copied = np.lib.format.open_memmap(target, mode="w+", dtype=dataset.dtype, shape=dataset.shape)
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    rows = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, dataset.shape[0], rows):
        copied[start : start + rows] = dataset[start : start + rows]
    copied.flush()


if __name__ == "__main__":
    try:
        answer = main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except Exception as error:  # noqa: BLE001 -- the boundary of a process: what goes wrong is told as JSON
        answer = {"error": str(error.args[0]) if error.args else type(error).__name__}
    sys.stdout.write(json.dumps(answer))
