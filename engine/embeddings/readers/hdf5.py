"""Read HDF5 as ann-benchmarks writes it: `train`, `test` and the attribute `distance`.

libhdf5 runs in a process of its own (see `hdf5_child`): damaged files can make it hang or crash. That process only
tells where the arrays lie; contiguous ones are memory-mapped from here, chunked ones are copied out of the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from engine.embeddings.readers.arrays import ArrayInfo, load_named
from engine.embeddings.readers.naming import metric_named
from engine.errors import FormatError

if TYPE_CHECKING:
    from engine.embeddings.readers.loaded import Loaded
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

_CHILD = Path(__file__).with_name("hdf5_child.py")
_DESCRIPTORS = Path("/dev/fd")
_SECONDS = 3  # of CPU; describing a healthy file takes a tenth of one
_PATIENCE = 60  # seconds on the clock, where CPU time cannot be limited or is scarce
_BYTES_PER_SECOND = 50 << 20  # slowest that datasets are expected to inflate
_OWN_MEMORY = 2 << 30  # address space of an interpreter with NumPy and h5py, far from all of it used


def read_hdf5(source: Source, options: ReadOptions) -> Loaded:
    """Read the corpus (train), the queries (test) and the metric that the file names.

    Raises `FormatError` for files that refer to other files: external links, external storage, virtual datasets.
    """
    with _Library(source, options) as library:
        answer = library.ask({}, seconds=_SECONDS)
        if answer["foreign"]:
            raise FormatError.in_file(
                source.name,
                "an HDF5 file must hold its data itself, without external links, storage or virtual datasets",
                found=", ".join(answer["foreign"]),
                hint="Copy the datasets into one file",
            )
        datasets = {name: _Dataset.of(facts) for name, facts in answer["datasets"].items()}
        loaded = load_named(source.name, {name: library.info(name, data) for name, data in datasets.items()}, options)
    distance = answer["distance"]
    if distance is None:
        return loaded
    metric = metric_named(distance)
    if metric is not None:
        return replace(loaded, metric=metric)
    unknown = f"The file names the distance {distance}, which is not scored here; choose a metric that fits"
    return replace(loaded, warnings=(*loaded.warnings, unknown))


@dataclass(frozen=True, kw_only=True)
class _Dataset:
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    offset: int | None
    chunk_bytes: int

    @classmethod
    def of(cls, facts: dict[str, Any]) -> _Dataset:
        dtype = None if facts["dtype"] is None else np.dtype(facts["dtype"])
        return cls(
            shape=tuple(facts["shape"]), dtype=dtype, offset=facts["offset"], chunk_bytes=facts["chunk_bytes"]
        )  # fmt: skip


class _Library:
    """libhdf5 at arm's length: one short-lived process a question, on the file or a temporary copy of an upload."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self._source = source
        self._options = options
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="dimshift-")
        if self._source.identity is not None and not self._source.is_part and _DESCRIPTORS.exists():
            # The child inherits the very file that was checked, whatever its path leads to by now.
            self._file = self._source.open()
            self._path = _DESCRIPTORS / str(self._file.fileno())
            return self
        content = self._source.content()
        if isinstance(content, memoryview):
            self._path = Path(self._folder.name) / "upload.hdf5"
            self._path.write_bytes(content)
        else:
            self._path = content
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        if self._file is not None:
            self._file.close()

    def ask(self, request: dict[str, Any], *, seconds: int) -> dict[str, Any]:
        """Run the child on `request` and return its answer; a `FormatError` when it has none in time."""
        environment = {
            **os.environ,
            "HDF5_PLUGIN_PRELOAD": "::",  # no filter from a shared library, whatever the file asks for
            "HDF5_USE_FILE_LOCKING": "FALSE",  # data may lie on a read-only disk
            "OPENBLAS_NUM_THREADS": "1",
        }
        memory = self._options.max_expanded_bytes + _OWN_MEMORY
        command = [sys.executable, "-I", str(_CHILD), str(self._path.absolute()), str(memory), str(seconds)]
        try:
            ran = subprocess.run(  # noqa: S603 -- our own interpreter and script; the path is one argument, no shell
                command,
                input=json.dumps(request).encode(),
                capture_output=True,
                timeout=_PATIENCE + 2 * seconds,
                check=False,
                env=environment,
                pass_fds=() if self._file is None else (self._file.fileno(),),
            )
            answer = json.loads(ran.stdout)
        except (subprocess.TimeoutExpired, ValueError):  # hung, or died without a word
            answer = {"error": "the library neither read nor refused it"}
        if "error" in answer:
            raise FormatError.in_file(
                self._source.name,
                "the HDF5 library must be able to read the file",
                found=answer["error"],
                hint="The file is truncated or damaged; write or download it again",
            )
        return dict(answer)

    def info(self, name: str, dataset: _Dataset) -> ArrayInfo:
        """Describe one dataset and how to read it."""

        def read() -> npt.NDArray[Any]:
            if dataset.dtype is None:
                raise FormatError.in_file(self._source.name, "a dataset must hold plain numbers", found=name)
            if dataset.offset is not None:
                return self._source.array(dataset.dtype, dataset.shape, offset=dataset.offset)
            return self._copied(name, dataset, dataset.dtype)

        return ArrayInfo(shape=dataset.shape, dtype=dataset.dtype, read=read)

    def _copied(self, name: str, dataset: _Dataset, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        n_bytes = dtype.itemsize
        for size in dataset.shape:
            n_bytes *= size
        label = f"{name} in {self._source.name}"
        self._options.check_expansion(label, n_bytes, packed=self._source.size)
        self._options.check_expansion(label, dataset.chunk_bytes)
        target = Path(self._folder.name) / "copied.npy"
        self.ask({"copy": {name: str(target)}}, seconds=_SECONDS + n_bytes // _BYTES_PER_SECOND)
        copied: npt.NDArray[Any] = np.load(target, allow_pickle=False)
        return copied
