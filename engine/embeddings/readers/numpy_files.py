"""Read `.npy` arrays, memory-mapped, and `.npz` archives of them; nothing is ever unpickled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.embeddings.readers.archive import Archive
from engine.embeddings.readers.arrays import ArrayInfo, as_matrix, load_named
from engine.embeddings.readers.loaded import Loaded, Rows
from engine.errors import FormatError

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Vectors
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

NPY_MAGIC = b"\x93NUMPY"

_LONGEST_HEADER = 1 << 16  # a dict of three short entries; format 2.0 exists for structured dtypes only
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*(?P<descr>'[^']*'|"[^"]*"|\[)""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(?P<order>True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\((?P<shape>[^)]*)\)""")
_SIZES = re.compile(r"(\d{1,18}L?, ?)*(\d{1,18}L?)?", re.ASCII)
_SIMPLE = re.compile(r"[<>|=]?[fiubSU][0-9]{1,6}")


@dataclass(frozen=True, kw_only=True)
class NpyHeader:
    """What an npy header promises; the payload begins at `offset`."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    offset: int


def read_npy(source: Source, options: ReadOptions) -> Loaded:
    """Read one 2-D array, memory-mapped when it lies on disk."""
    info = npy_info(source)
    return Loaded(corpus=Rows(name=source.name, vectors=as_matrix(source.name, info, options)))


def read_npz(source: Source, options: ReadOptions) -> Loaded:
    """Read an archive of arrays: one 2-D array, or names such as corpus, queries, doc_ids and query_ids.

    Members that were stored uncompressed are mapped as they lie in the archive.
    """
    archive = Archive(source, options)
    arrays: dict[str, ArrayInfo] = {}
    for member in archive.names():
        if member.endswith(".npy"):
            arrays[member.removesuffix(".npy")] = _member_info(archive, member)
    return load_named(source.name, arrays, options)


def _member_info(archive: Archive, member: str) -> ArrayInfo:
    # Only the header is read now; the array, once it is chosen and its size has been checked.
    head, size = archive.head(member, _LONGEST_HEADER + 16), archive.size(member)
    label = archive.label(member)
    header = read_npy_header(label, head)
    _check_size(label, header, size)

    def read() -> Vectors:
        return archive.source(member).array(header.dtype, header.shape, offset=header.offset, order=header.order)

    return ArrayInfo(shape=header.shape, dtype=header.dtype, read=read)


def npy_info(source: Source) -> ArrayInfo:
    """Describe the array in an npy file; its size is checked against the file."""
    header = read_npy_header(source.name, source.read_at(0, _LONGEST_HEADER + 16))
    _check_size(source.name, header, source.size)

    def read() -> Vectors:
        return source.array(header.dtype, header.shape, offset=header.offset, order=header.order)

    return ArrayInfo(shape=header.shape, dtype=header.dtype, read=read)


def read_npy_header(name: str, head: bytes) -> NpyHeader:
    """Parse the header at the beginning of `head` (NumPy Enhancement Proposal 1) without evaluating it.

    Raises `FormatError` for another magic, a header that is cut off, and dtypes that would need unpickling.
    """
    if not head.startswith(NPY_MAGIC):
        raise FormatError.in_file(name, "an npy file must begin with the bytes \\x93NUMPY", found=repr(head[:6])[1:])
    width = {1: 2, 2: 4, 3: 4}.get(head[6] if len(head) > 6 else 0)
    if width is None or len(head) < 8 + width:
        raise FormatError.in_file(name, "an npy header must be of version 1, 2 or 3", found=repr(head[6:8])[1:])
    offset = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    if offset > len(head):
        raise FormatError.in_file(name, "an npy header must be complete", found=f"{len(head)} of {offset} bytes")
    text = head[8 + width : offset].decode("latin-1")
    descr, order, shape = _DESCR.search(text), _ORDER.search(text), _SHAPE.search(text)
    if not (descr and order and shape and _SIZES.fullmatch(shape["shape"])):
        raise FormatError.in_file(name, "an npy header must give descr, fortran_order and shape", found=text.strip())
    return NpyHeader(
        dtype=_dtype(name, descr["descr"]),
        shape=tuple(int(size) for size in re.findall(r"[0-9]+", shape["shape"])),
        order="F" if order["order"] == "True" else "C",
        offset=offset,
    )


def _dtype(name: str, descr: str) -> np.dtype[np.generic]:
    plain = "structured" if descr == "[" else descr[1:-1]
    if "O" in plain:
        raise FormatError.in_file(
            name,
            "an npy array must hold plain numbers or fixed-width strings; pickled objects are never opened",
            found=f"dtype {plain}",
            hint="Save it again as array.astype('float32'), or ids as array.astype(str)",
        )
    if not _SIMPLE.fullmatch(plain):
        raise FormatError.in_file(name, "an npy array must be of a plain dtype", found=plain)
    try:
        return np.dtype(plain)
    except TypeError:
        raise FormatError.in_file(name, "an npy array must be of a plain dtype", found=plain) from None


def _check_size(name: str, header: NpyHeader, size: int) -> None:
    promised = header.offset + header.dtype.itemsize * math.prod(header.shape)
    if promised != size:
        raise FormatError.in_file(
            name,
            "an npy file must hold exactly what its header promises",
            found=f"{size:,} bytes, {promised:,} for shape {header.shape} of {header.dtype.name}",
            hint="The file is truncated or its header is wrong; write or download it again",
        )
