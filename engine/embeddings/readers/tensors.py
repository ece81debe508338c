"""Read safetensors: a JSON header with the place of every tensor, then the tensors, memory-mapped.

The layout is simple enough to be checked and mapped here: uint64 (little-endian) length of the header, the header,
and the payload that `data_offsets` count from (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from engine.embeddings.readers.arrays import ArrayInfo, load_named
from engine.errors import FormatError

if TYPE_CHECKING:
    from engine.embeddings.readers.loaded import Loaded
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

_LONGEST_HEADER = 100_000_000  # as in the reference implementation
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_BFLOAT16 = "BF16"  # the upper half of a float32; NumPy has no such dtype


def is_safetensors(source: Source) -> bool:
    """Tell whether the file begins with the length of a JSON object that fits into it."""
    size = int.from_bytes(source.head[:8], "little")
    return len(source.head) > 8 and 2 <= size <= min(_LONGEST_HEADER, source.size - 8) and source.head[8:9] == b"{"


def read_safetensors(source: Source, options: ReadOptions) -> Loaded:
    """Read the tensors named corpus, queries and the like, or the only 2-D tensor."""
    if not is_safetensors(source):
        raise FormatError.in_file(
            source.name,
            "a safetensors file must begin with the length of its header and the header",
            found=repr(source.head[:12])[1:],
            hint="The file is truncated or of another format",
        )
    header_size = int.from_bytes(source.head[:8], "little")
    try:
        header = json.loads(source.read_at(8, header_size))
    except (ValueError, RecursionError):
        raise FormatError.in_file(source.name, "the header of a safetensors file must be JSON") from None
    payload = source.part(source.name, "", start=8 + header_size, size=source.size - 8 - header_size)
    entries = {key: entry for key, entry in header.items() if key != "__metadata__"}
    return load_named(
        source.name, {key: _info(payload, key, entry, options) for key, entry in entries.items()}, options
    )


def _info(payload: Source, key: str, entry: Any, options: ReadOptions) -> ArrayInfo:
    dtype, shape, start, end = _checked(payload.name, key, entry)
    width = 2 if dtype == _BFLOAT16 else np.dtype(_DTYPES[dtype]).itemsize if dtype in _DTYPES else None
    if end > payload.size or (width is not None and math.prod(shape) * width != end - start):
        raise FormatError.in_file(
            payload.name,
            f"tensor {key!r} must lie within the file and be as long as its shape says",
            found=f"shape {shape} of {dtype} in bytes {start} to {end} of {payload.size}",
            hint="The file is truncated or its header is wrong",
        )

    def read() -> npt.NDArray[Any]:
        if dtype != _BFLOAT16:
            return payload.array(_DTYPES[dtype], shape, offset=start)
        options.check_expansion(payload.name, 8 * math.prod(shape))
        halves = payload.array("<u2", shape, offset=start)
        return (halves.astype(np.uint32) << 16).view(np.float32)

    known = np.dtype(np.float32) if dtype == _BFLOAT16 else np.dtype(_DTYPES[dtype]) if dtype in _DTYPES else None
    return ArrayInfo(shape=shape, dtype=known, read=read)


def _checked(name: str, key: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    if isinstance(entry, dict):
        dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2:
            return dtype, tuple(shape), offsets[0], offsets[1]
    raise FormatError.in_file(
        name, "every tensor must have dtype, shape and data_offsets", found=f"something else for {key!r}"
    )


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)
