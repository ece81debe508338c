"""The corpus as parts: files in row order that the workers of a cluster open, and nobody else."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.embeddings import DTYPES
from engine.embeddings.readers.arrow_values import matrix_of
from engine.embeddings.readers.columnar import choose_vector_column
from engine.embeddings.readers.numpy_files import read_npy_header
from engine.embeddings.readers.options import ReadOptions
from engine.errors import FormatError, VectorError
from engine.tradeoff.distributed.storage import (
    file_name,
    filesystem,
    is_local,
    is_web,
    opened,
    read_or_reported,
    read_range,
    size_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import Vectors

PartKind = Literal["mapped", "npy", "parquet"]

_HEADER_BYTES = (1 << 16) + 16
_EXTENSIONS = (".npy", ".parquet")
# What lies beside the corpus in a folder and is not a part of it.
_BESIDE = re.compile(r"(queries|query|test|neighbors|qrels|shuffle_train.*)\.(npy|parquet)", re.IGNORECASE)
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of a corpus in one file of `n_bytes`, an absolute path or a URL.

    A `mapped` part is an array that lies in a file as it is, its first component at `offset`; an `npy` part is read in
    ranges from where it cannot be mapped; of a `parquet` part the `column` is read.
    """

    url: str
    kind: PartKind
    n_rows: int
    dim: int
    n_bytes: int
    dtype: str = "<f4"
    offset: int = 0
    strides: tuple[int, int] = (0, 0)
    column: str = ""

    @property
    def mapped_bytes(self) -> int:
        """How far into its file a mapped part reaches."""
        rows, components = self.strides
        return self.offset + (self.n_rows - 1) * rows + (self.dim - 1) * components + np.dtype(self.dtype).itemsize

    @property
    def name(self) -> str:
        """What messages call it."""
        return file_name(self.url)


def list_parts(url: str) -> tuple[str, ...]:
    """Return the files at `url`, itself or in that folder, in row order: by name, numbers within names as numbers.

    Raises
    ------
    PathError
        When nothing is there that this machine can read.
    FormatError
        When the folder holds no parts, or parts of two formats.
    ClusterError
        When the driver of the URL is not installed.
    """
    name = file_name(url)
    found = read_or_reported(name, partial(_listed, url))
    if found is None:
        return (url,)
    fs = filesystem(url)[0]
    files = [one for one in found if _extension(one) and not _BESIDE.fullmatch(file_name(one))]
    kinds = {_extension(one) for one in files}
    if len(kinds) != 1:
        raise FormatError.in_file(
            name,
            "a folder of a corpus must hold parts that are all .npy or all .parquet",
            found="both" if kinds else ", ".join(sorted(file_name(one) for one in found)[:5]) or "an empty folder",
            hint="Name the folder that holds the parts and nothing else",
        )
    return tuple(one if is_local(fs) else str(fs.unstrip_protocol(one)) for one in sorted(files, key=_natural))


def describe_parts(urls: Sequence[str], *, column: str | None = None) -> tuple[Part, ...]:
    """Return what the headers of the files say; `column` names the vectors of Parquet files.

    Raises
    ------
    PathError
        When this machine cannot read one of them, or a web server sends no ranges of it.
    FormatError
        When one is not what it claims to be, or holds no vectors.
    ClusterError
        When the driver of the URL is not installed.
    """
    return tuple(read_or_reported(file_name(url), partial(_described, url, column)) for url in urls)


def check_parts(parts: Sequence[Part]) -> None:
    """Raise `VectorError` unless every part has as many components as the first."""
    for part in parts:
        if part.dim != parts[0].dim:
            raise VectorError(
                f"every part of a corpus must have as many dimensions as the first, {parts[0].dim}",
                found=f"{part.dim} in {part.name}",
                hint="Keep the vectors of one model in a folder of their own",
            )


def mapped_part(vectors: Vectors) -> Part | None:
    """Return where in which file the memory-mapped array `vectors` (n, d) lies; None for one that is in memory."""
    mapping: Any = vectors
    while isinstance(mapping, np.ndarray) and not (isinstance(mapping, np.memmap) and mapping.filename is not None):
        mapping = mapping.base
    held = getattr(mapping, "_mmap", None)
    if held is None or any(step < 0 for step in vectors.strides):
        return None
    # A mapping begins at the last page boundary before the array that it was made for.
    began = mapping.offset - mapping.offset % mmap.ALLOCATIONGRANULARITY
    address = np.frombuffer(held, np.uint8).__array_interface__["data"][0]
    path = Path(mapping.filename).absolute()
    return Part(
        url=str(path),
        kind="mapped",
        n_rows=int(vectors.shape[0]),
        dim=int(vectors.shape[1]),
        n_bytes=path.stat().st_size,
        dtype=vectors.dtype.str,
        offset=began + vectors.__array_interface__["data"][0] - address,
        strides=(int(vectors.strides[0]), int(vectors.strides[1])),
    )


def _listed(url: str) -> list[str] | None:
    """Return what the folder at `url` holds; None for a file."""
    fs, path = filesystem(url)
    fs.invalidate_cache()  # a worker lives longer than a listing holds
    # Every page of a web server is a file; elsewhere a folder may well be called corpus.parquet.
    is_file = bool(_extension(url)) if is_web(url) else fs.isfile(path)
    return None if is_file else [str(one) for one in fs.ls(path, detail=False)]


def _described(url: str, column: str | None) -> Part:
    filesystem(url)[0].invalidate_cache()
    return _parquet(url, column) if _extension(url) == ".parquet" else _npy(url)


def _npy(url: str) -> Part:
    fs, path = filesystem(url)
    name, size = file_name(url), size_of(url)
    header = read_npy_header(name, read_range(url, 0, min(size, _HEADER_BYTES)) if size else b"")
    if len(header.shape) != 2 or 0 in header.shape or header.dtype.name not in DTYPES:
        raise FormatError.in_file(
            name,
            f"a part must be a 2-D array with at least one row, of {', '.join(DTYPES)}",
            found=f"shape {header.shape} of {header.dtype.name}",
        )
    n_rows, dim = header.shape
    promised = header.offset + n_rows * dim * header.dtype.itemsize
    if promised != size:
        raise FormatError.in_file(
            name, "an npy file must hold exactly what its header promises", found=f"{size:,} bytes of {promised:,}"
        )
    if header.order == "F" and not is_local(fs):
        raise FormatError.in_file(
            name, "a part that is read by URL must be in row order", hint="Save np.ascontiguousarray(array)"
        )
    by_row = (dim * header.dtype.itemsize, header.dtype.itemsize)
    return Part(
        url=str(path) if is_local(fs) else url,
        kind="mapped" if is_local(fs) else "npy",
        n_rows=n_rows,
        dim=dim,
        n_bytes=size,
        dtype=header.dtype.str,
        offset=header.offset,
        strides=by_row if header.order == "C" else (header.dtype.itemsize, n_rows * header.dtype.itemsize),
    )


def _parquet(url: str, column: str | None) -> Part:
    import pyarrow.parquet as pq

    name, size = file_name(url), size_of(url)
    with opened(url) as file:
        table = pq.ParquetFile(file)
        chosen = choose_vector_column(name, table.schema_arrow, column)
        if chosen is None or table.metadata.num_rows == 0:
            found = "no column of them" if chosen is None else "no rows"
            raise FormatError.in_file(name, "a part must hold vectors, a list of floats a row", found=found)
        first = next(table.iter_batches(1, columns=[chosen])).column(0)
        dim = matrix_of(name, first, ReadOptions(), first_row=0).shape[1]
        return Part(url=url, kind="parquet", n_rows=table.metadata.num_rows, dim=dim, n_bytes=size, column=chosen)


def _extension(url: str) -> str:
    """Return the extension of a part; nothing for other files."""
    return next((one for one in _EXTENSIONS if file_name(url).lower().endswith(one)), "")


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in _NUMBERS.split(file_name(path))]
