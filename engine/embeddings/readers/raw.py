"""Read fvecs, bvecs, ivecs and fbin, u8bin, i8bin, ibin: raw numbers with next to no header, memory-mapped.

A record of the vecs family is an int32 (little-endian) d, then d values. A file of the bin family is a uint32 n, a
uint32 d, then n·d values row by row; k-NN truth of that family is n·k int32 ids, then n·k float32 distances.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.paging import blocks
from engine.embeddings.readers.loaded import Loaded, Rows
from engine.errors import FormatError, VectorError

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Vectors
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

VECS = {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}
BIN = {".fbin": "<f4", ".u8bin": "u1", ".i8bin": "i1", ".ibin": "<i4"}

_BLOCK_BYTES = 1 << 24
_INT32_WARNING = "The file holds int32, as neighbour ids do; check that these are vectors"


def read_vecs(source: Source, options: ReadOptions) -> Loaded:
    """Read the vecs family as a strided view of the memory-mapped records; bvecs are told by their extension."""
    kind = np.dtype(VECS.get(source.suffix, "<f4"))
    dim = _leading_int(source, 0, signed=True)
    record = 4 + max(dim, 0) * kind.itemsize
    if dim < 1 or source.size % record:
        raise FormatError.in_file(
            source.name,
            f"the size must be a multiple of 4 + d·{kind.itemsize} bytes",
            found=f"{source.size:,} bytes, d {dim}",
            hint="The file is truncated, or not of the family that its extension names",
        )
    n = source.size // record
    records = source.array("u1" if kind.itemsize == 1 else "<i4", (n, record // kind.itemsize))
    head_width = 4 // kind.itemsize
    _check_dims(source, records, head_width, dim)
    return _loaded(source, records[:, head_width:].view(kind), options)


def read_bin(source: Source, options: ReadOptions) -> Loaded:
    """Read the bin family memory-mapped; u8bin and i8bin are told by their extension."""
    kind = np.dtype(BIN.get(source.suffix, "<f4"))
    n, dim = _leading_int(source, 0, signed=False), _leading_int(source, 4, signed=False)
    size = 8 + n * dim * kind.itemsize
    if kind.kind == "i" and kind.itemsize == 4 and n * dim and source.size == 8 + n * dim * 8:
        raise FormatError.in_file(
            source.name,
            "vectors must be n·d values",
            found=f"neighbour ids and distances of {n} queries, {dim} each",
            hint="This is ground truth; give the file of the vectors",
        )
    if n < 1 or dim < 1 or source.size != size:
        raise FormatError.in_file(
            source.name,
            f"the size must be 8 + n·d·{kind.itemsize} bytes, n and d at least 1",
            found=f"{source.size:,} bytes, n {n}, d {dim}",
            hint="The file is truncated, or not of the family that its extension names",
        )
    return _loaded(source, source.array(kind, (n, dim), offset=8), options)


def looks_like_bin(source: Source) -> bool:
    """Tell whether a file of unknown extension is exactly as long as an fbin header says."""
    n, dim = (int(size) for size in np.frombuffer(source.head[:8].ljust(8, b"\0"), "<u4"))
    return n > 0 and dim > 0 and source.size == 8 + 4 * n * dim


def looks_like_vecs(source: Source) -> bool:
    """Tell whether a file of unknown extension begins with two fvecs records of one length and is a whole number."""
    if len(source.head) < 8:
        return False
    dim = int(np.frombuffer(source.head[:4], "<i4")[0])
    record = 4 + 4 * dim
    second = source.read_at(record, 4) if dim > 0 and source.size > record else source.head[:4]
    return dim > 0 and source.size % record == 0 and second == source.head[:4]


def _leading_int(source: Source, offset: int, *, signed: bool) -> int:
    head = source.head[offset : offset + 4]
    if len(head) < 4:
        raise FormatError.in_file(source.name, "the file must begin with its sizes", found=f"{source.size} bytes")
    return int.from_bytes(head, "little", signed=signed)


def _check_dims(source: Source, records: Vectors, head_width: int, dim: int) -> None:
    expected: npt.NDArray[Any] = np.frombuffer(source.head[:4], records.dtype)
    for start, block in blocks(records, max(1, _BLOCK_BYTES // records[0].nbytes)):
        same = (block[:, :head_width] == expected).all(axis=1)
        if not same.all():
            row = int(same.argmin())
            found = int.from_bytes(block[row, :head_width].tobytes(), "little", signed=True)
            raise VectorError(
                f"{source.name}: every record must have as many components as the first, {dim}",
                found=f"{found} in row {start + row}",
                hint="The file is damaged, or not of the family that its extension names",
            )


def _loaded(source: Source, payload: Vectors, options: ReadOptions) -> Loaded:
    if payload.dtype.kind != "i" or payload.dtype.itemsize != 4:
        return Loaded(corpus=Rows(name=source.name, vectors=payload))
    options.check_expansion(source.name, payload.size * 8)
    exact = payload.astype(np.float64)  # float32 would round what is beyond 2**24
    return Loaded(corpus=Rows(name=source.name, vectors=exact), warnings=(_INT32_WARNING,))
