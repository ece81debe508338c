"""Compiled kernel of the assignment: murmur3_32 of a CBOR text, over the UTF-8 bytes of many ids at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel

_LONGEST_HEADER = 9
_TEXT = 0x60  # CBOR major type 3, a text string (RFC 8949 §3.1)

_u = np.uint64
_LOW_32 = np.uint64(0xFFFFFFFF)
_C1 = np.uint64(0xCC9E2D51)
_C2 = np.uint64(0x1B873593)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_inlined = numba.njit(nogil=True, error_model="numpy", inline="always")


@_inlined
def _write_header(length: Scalar, target: Array, place: Scalar) -> Scalar:
    """Write the CBOR header of a text of `length` bytes in its shortest form; return the place after it."""
    if length < 24:
        target[place] = np.uint8(_TEXT + length)
        return place + 1
    n_bytes = 1 if length < 1 << 8 else 2 if length < 1 << 16 else 4 if length < 1 << 32 else 8
    target[place] = np.uint8(_TEXT + (24 if n_bytes == 1 else 25 if n_bytes == 2 else 26 if n_bytes == 4 else 27))
    for i in range(n_bytes):
        target[place + 1 + i] = np.uint8((length >> (8 * (n_bytes - 1 - i))) & 0xFF)
    return place + 1 + n_bytes


@_inlined
def _rotate(value: Scalar, by: Scalar) -> Scalar:
    return ((value << _u(by)) | (value >> _u(32 - by))) & _LOW_32


@_inlined
def _murmur3_32(data: Array, length: Scalar) -> Scalar:
    """Return MurmurHash3_x86_32 with seed 0 of the first `length` bytes of `data`."""
    h = _u(0)
    n_blocks = length // 4
    for block in range(n_blocks):
        at = 4 * block
        k = _u(data[at]) | _u(data[at + 1]) << _u(8) | _u(data[at + 2]) << _u(16) | _u(data[at + 3]) << _u(24)
        k = _rotate((k * _C1) & _LOW_32, 15)
        h = _rotate(h ^ ((k * _C2) & _LOW_32), 13)
        h = (h * _u(5) + _u(0xE6546B64)) & _LOW_32
    k = _u(0)
    for i in range(length - 1, 4 * n_blocks - 1, -1):
        k = k << _u(8) | _u(data[i])
    k = _rotate((k * _C1) & _LOW_32, 15)  # a tail of no bytes leaves k, and so h, as it is
    h ^= (k * _C2) & _LOW_32
    h ^= _u(length)
    h = ((h ^ (h >> _u(16))) * _u(0x85EBCA6B)) & _LOW_32
    h = ((h ^ (h >> _u(13))) * _u(0xC2B2AE35)) & _LOW_32
    return h ^ (h >> _u(16))


@_jit
def hash_texts(before: Array, joined: Array, data: Array, offsets: Array, hashes: Array) -> None:
    """Write the uint32 hash of ``before + cbor(joined + id)`` for each id into `hashes` (n,).

    `data` holds the UTF-8 bytes of all ids, `offsets` (n + 1,) where each begins; `before` and `joined` are bytes.
    """
    longest = 0
    for i in range(hashes.shape[0]):
        longest = max(longest, offsets[i + 1] - offsets[i])
    text = np.empty(before.shape[0] + _LONGEST_HEADER + joined.shape[0] + longest, np.uint8)
    for i in range(before.shape[0]):  # a slice would take numba two seconds more to compile
        text[_u(i)] = before[_u(i)]
    for i in range(hashes.shape[0]):
        first, length = np.int64(offsets[i]), np.int64(offsets[i + 1] - offsets[i])
        place = _write_header(np.int64(joined.shape[0]) + length, text, np.int64(before.shape[0]))
        for j in range(joined.shape[0]):
            text[_u(place + j)] = joined[_u(j)]
        place += joined.shape[0]
        for j in range(length):
            text[_u(place + j)] = data[_u(first + j)]
        hashes[i] = np.uint32(_murmur3_32(text, place + length))
