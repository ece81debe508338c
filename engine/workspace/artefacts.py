"""Array files beside the database: written whole or not at all, checked when they are read.

Every array is one uncompressed ``.npy`` file, so that a stored sweep opens by mapping the two arrays its view needs.
A folder is written under a ``.partial-`` name and renamed before its row is committed: a crash leaves a folder that
no row names, never a row without its folder. `ArtefactFolders.sweep` removes what crashes left, a day later.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.paging import blocks
from engine.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    Array = npt.NDArray[Any]

_ARRAY_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FOLDER_NAME = re.compile(r"[0-9a-f][0-9a-f-]{7,99}")
_PARTIAL = ".partial-"
_MANIFEST = "manifest.json"
_BLOCK_BYTES = 1 << 24
_MAPPED_FROM_BYTES = 1 << 20
_ORPHAN_AGE_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class ArrayFile:
    """What an array file must be; kept in the database."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    n_bytes: int
    sha256: str

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ArrayFile:
        """Read back what `dataclasses.asdict` and JSON made of it."""
        return cls(**{**value, "shape": tuple(value["shape"])})


@dataclass(frozen=True, kw_only=True)
class StreamedArray:
    """An array that is written piece by piece: `chunks` yields the bytes of its C-ordered values."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[bytes | memoryview]]


class ArtefactFolders:
    """The folders below `root` that belong to the workspace `workspace_id`."""

    def __init__(self, root: Path, *, workspace_id: str) -> None:
        self._root = root
        self._workspace_id = workspace_id

    def write(self, folder: str, arrays: Mapping[str, Array | StreamedArray]) -> tuple[ArrayFile, ...]:
        """Write `arrays` as the new folder `folder`, which must not exist, and return what they must be from now on.

        Raises WorkspaceError when the disk refuses, TypeError for arrays of Python objects.
        """
        target = self._path(folder)
        partial = self._root / f"{_PARTIAL}{folder}"
        try:
            partial.mkdir(parents=True)
            try:
                files = tuple(_write_array(partial, name, source) for name, source in arrays.items())
                manifest = {"workspace": self._workspace_id, "arrays": [file.name for file in files]}
                _write_bytes(partial / _MANIFEST, [json.dumps(manifest, indent=2).encode()])
                partial.replace(target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            _sync_folder(self._root)
        except OSError as error:
            raise WorkspaceError(
                "the workspace folder must be writable and have room",
                found=error.strerror,
                hint="Make room on its disk, or open another folder",
            ) from error
        return files

    def read(
        self,
        folder: str,
        files: Iterable[ArrayFile],
        *,
        what: str,
        names: Collection[str] | None = None,
        verify: bool = True,
    ) -> dict[str, Array]:
        """Return the arrays `names` (all of them by default), read-only, large ones memory-mapped.

        With `verify` the digests are compared, otherwise sizes and headers only. Raises WorkspaceError that names
        `what` when a file is missing or altered.
        """
        path = self._path(folder)
        chosen = [file for file in files if names is None or file.name in names]
        arrays = {}
        for file in chosen:
            try:
                arrays[file.name] = _read_array(path / _file_name(file.name), file, verify=verify)
            except (OSError, ValueError, EOFError, _DamagedError) as error:
                raise WorkspaceError(
                    f"the stored arrays of {what} must be as they were saved",
                    found=f"{file.name}.npy {_problem(error)}",
                    hint="Restore the workspace folder from a backup, or compute it again",
                ) from error
        return arrays

    def remove(self, folder: str) -> None:
        """Remove a folder that no row names any more; what cannot be removed now is left to `sweep`."""
        shutil.rmtree(self._path(folder), ignore_errors=True)

    def sweep(self, known: Callable[[], Collection[str]], *, older_than_s: float = _ORPHAN_AGE_S) -> None:
        """Remove what crashes left: old partial folders, and old folders of this workspace that are not `known`.

        Age is by the file system's clock. Younger folders may be another process's work in flight; folders of
        another workspace (a second database on the same folder) are never touched.
        """
        horizon = time.time() - older_than_s
        with suppress(OSError):
            old = [path for path in self._root.iterdir() if path.is_dir() and path.stat().st_mtime < horizon]
            named = [path for path in old if not path.name.startswith(_PARTIAL)]
            rows = known() if named else ()
            orphans = [path for path in named if path.name not in rows and self._is_ours(path)]
            for path in (*orphans, *(path for path in old if path.name.startswith(_PARTIAL))):
                shutil.rmtree(path, ignore_errors=True)

    def _is_ours(self, path: Path) -> bool:
        try:
            manifest = json.loads((path / _MANIFEST).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(manifest, dict) and manifest.get("workspace") == self._workspace_id

    def _path(self, folder: str) -> Path:
        if not _FOLDER_NAME.fullmatch(folder):
            raise WorkspaceError("a folder of the workspace is named by the engine", found=folder)
        return self._root / folder


class _DamagedError(Exception):
    """A file is not what the database says."""


def _problem(error: Exception) -> str:
    if isinstance(error, _DamagedError):
        return str(error)
    return "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"


def _file_name(name: str) -> str:
    if not _ARRAY_NAME.fullmatch(name):
        raise ValueError(f"an array is named by lower-case letters, digits and _; found {name!r}")
    return f"{name}.npy"


def _write_array(folder: Path, name: str, source: Array | StreamedArray) -> ArrayFile:
    if source.dtype.hasobject:
        raise TypeError(f"array {name!r} holds Python objects, which only pickle could store")
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(source.dtype)
    np.lib.format.write_array_header_2_0(header, {"descr": descr, "fortran_order": False, "shape": source.shape})
    chunks = source.chunks() if isinstance(source, StreamedArray) else _chunks(source)
    n_bytes, sha256 = _write_bytes(folder / _file_name(name), [header.getvalue()], chunks)
    if n_bytes != header.tell() + source.dtype.itemsize * int(np.prod(source.shape, dtype=np.int64)):
        raise ValueError(f"array {name!r} yielded other bytes than its shape {source.shape} needs")
    return ArrayFile(name=name, dtype=source.dtype.str, shape=source.shape, n_bytes=n_bytes, sha256=sha256)


def _chunks(array: Array) -> Iterator[bytes]:
    """Yield the C-ordered bytes of `array`, 16 MiB at a time."""
    if array.ndim == 0 or array.size == 0:
        yield array.tobytes()
        return
    for _, block in blocks(array, max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))):
        yield block.tobytes()


def _write_bytes(path: Path, *parts: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Write everything, down to the disk, and return its size and digest."""
    digest = hashlib.sha256()
    with path.open("xb") as file:
        for part in parts:
            for chunk in part:
                digest.update(chunk)
                file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return file.tell(), digest.hexdigest()


def _sync_folder(path: Path) -> None:
    # Makes the rename itself survive a power cut. Windows cannot open folders and orders renames on its own.
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read_array(path: Path, file: ArrayFile, *, verify: bool) -> Array:
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size != file.n_bytes:
            raise _DamagedError("has another size")
        if verify and _digest(stream) != file.sha256:
            raise _DamagedError("was altered")
        array: Array = (
            np.load(path, mmap_mode="r", allow_pickle=False)
            if file.n_bytes >= _MAPPED_FROM_BYTES
            else np.load(stream, allow_pickle=False)
        )
    if (array.dtype.str, array.shape) != (file.dtype, file.shape):
        raise _DamagedError("has another header")
    array.setflags(write=False)
    return array


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants readinto, which open() returns
    stream.seek(0)
    return digest
