"""Digests that tell whether two runs saw the same data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.paging import blocks

_BLOCK_BYTES = 1 << 24


def fingerprint(*parts: object) -> str:
    """Return the sha256 (hex) of arrays, sequences of strings, strings and None, in order.

    Arrays are hashed with dtype and shape, in row blocks of 16 MiB, so that a memory-mapped array is never resident
    as a whole. Equal values in another dtype or shape have another digest.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            _add_array(digest, part)
        elif part is None or isinstance(part, str):
            _add_text(digest, "none" if part is None else f"str:{part}")
        elif isinstance(part, Sequence):
            _add_text(digest, f"list:{len(part)}")
            for item in part:
                _add_text(digest, str(item))
        else:
            raise TypeError(f"cannot fingerprint {type(part).__name__}")
    return digest.hexdigest()


def _add_array(digest: Any, array: npt.NDArray[Any]) -> None:
    _add_text(digest, f"array:{array.dtype.str}:{array.shape}")
    if array.ndim == 0 or array.size == 0:
        digest.update(array.tobytes())
        return
    rows = max(1, _BLOCK_BYTES // max(1, array[0].nbytes))
    for _, block in blocks(array, rows):
        digest.update(np.ascontiguousarray(block).view(np.uint8).data)


def _add_text(digest: Any, text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    digest.update(len(encoded).to_bytes(8, "little"))
    digest.update(encoded)
