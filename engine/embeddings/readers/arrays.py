"""Files of several named arrays (npz, HDF5, safetensors): which is the corpus, which the queries, which the ids."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.embeddings.embedding_set import DTYPES
from engine.embeddings.readers.loaded import Loaded, Rows
from engine.embeddings.readers.naming import check_chosen, choose_named, choose_vectors
from engine.errors import AmbiguousColumnsError, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.embeddings.embedding_set import Vectors
    from engine.embeddings.readers.options import ReadOptions

CORPUS_NAMES = (
    "corpus", "train", "docs", "documents", "passages", "base", "database", "xb",
    "corpus_embeddings", "doc_embeddings", "document_embeddings", "corpus_vectors", "doc_vectors",
)  # fmt: skip
QUERY_NAMES = ("queries", "query", "test", "xq", "query_embeddings", "queries_embeddings", "query_vectors")
NOT_VECTORS = ("neighbors", "neighbours", "distances", "scores")

_STRINGS = {
    "corpus": {
        "ids": ("doc_ids", "corpus_ids", "document_ids", "docids", "train_ids", "ids", "id"),
        "texts": ("corpus_texts", "doc_texts", "texts", "text"),
        "segments": ("corpus_segments", "doc_segments", "segments"),
    },
    "queries": {
        "ids": ("query_ids", "queries_ids", "qids", "test_ids"),
        "texts": ("query_texts", "queries_texts"),
        "segments": ("query_segments", "queries_segments"),
    },
}


@dataclass(frozen=True, kw_only=True)
class ArrayInfo:
    """An array that has not been read yet: shape, dtype (None for one that NumPy cannot hold) and how to read it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    read: Callable[[], npt.NDArray[Any]]

    @property
    def can_be_vectors(self) -> bool:
        """Whether it is 2-D, not empty, and of a dtype that is scored."""
        return len(self.shape) == 2 and 0 not in self.shape and self.dtype is not None and self.dtype.name in DTYPES


def load_named(name: str, arrays: Mapping[str, ArrayInfo], options: ReadOptions) -> Loaded:
    """Read the corpus, and queries, ids, texts and segments where names tell them.

    Raises
    ------
    FormatError
        When no array can be the corpus.
    AmbiguousColumnsError
        When several can.
    """
    columns = options.columns
    if columns.queries is not None:
        check_chosen(name, columns.queries, arrays)
    corpus = _choose_corpus(name, arrays, options)
    others = [key for key in arrays if key != corpus]
    usable = [key for key in others if arrays[key].can_be_vectors]
    queries = columns.queries or choose_named(name, usable, QUERY_NAMES, chosen=None)
    if corpus == queries:
        raise AmbiguousColumnsError(name, wanted="corpus vectors, another one the queries", candidates=list(arrays))
    chosen = {"ids": columns.id, "texts": columns.text, "segments": columns.segment}
    return Loaded(
        corpus=_side(name, arrays, corpus, others, options, names=_STRINGS["corpus"], chosen=chosen),
        queries=None
        if queries is None
        else _side(name, arrays, queries, others, options, names=_STRINGS["queries"], chosen={}),
    )


def as_matrix(name: str, info: ArrayInfo, options: ReadOptions) -> Vectors:
    """Read `info` as vectors (n, d) in the byte order of this machine; raises `FormatError` when it cannot be."""
    if not info.can_be_vectors:
        dtype = "an unreadable dtype" if info.dtype is None else info.dtype.name
        raise FormatError.in_file(
            name,
            f"vectors must be a 2-D array with at least one row, of {', '.join(DTYPES)}",
            found=f"shape {info.shape} of {dtype}",
            hint="Save them as array.astype('float32') with a row a vector",
        )
    vectors = info.read()
    if vectors.dtype.isnative:
        return vectors
    options.check_expansion(name, vectors.nbytes)
    return np.asarray(vectors, dtype=vectors.dtype.newbyteorder("="))


def as_strings(name: str, info: ArrayInfo, options: ReadOptions) -> list[str]:
    """Read `info` as strings, a row each; whole numbers become their decimal digits."""
    if len(info.shape) != 1 or info.dtype is None or info.dtype.kind not in "iuSU":
        raise FormatError.in_file(
            name,
            "ids, texts and segments must be a 1-D array of fixed-width strings or whole numbers",
            found=f"shape {info.shape} of {info.dtype}",
        )
    options.check_expansion(name, info.shape[0] * max(64, info.dtype.itemsize))
    values = info.read()
    if info.dtype.kind == "S":
        return [value.decode("utf-8") for value in values.tolist()]
    if info.dtype.kind == "U" and info.dtype.itemsize:
        codes = np.ascontiguousarray(values).view(np.dtype(np.uint32).newbyteorder(info.dtype.byteorder))
        if (codes > sys.maxunicode).any():
            raise FormatError.in_file(name, "a string must hold Unicode characters", found=hex(int(codes.max())))
    return [str(value) for value in values.tolist()]


def _choose_corpus(name: str, arrays: Mapping[str, ArrayInfo], options: ReadOptions) -> str:
    columns = options.columns
    chosen = columns.corpus or columns.vector
    usable = [key for key, info in arrays.items() if info.can_be_vectors]
    if chosen is None:
        known = [key for key in usable if _plain(key) in CORPUS_NAMES]
        if len(known) == 1:
            return known[0]
        if known:
            raise AmbiguousColumnsError(name, wanted="corpus vectors", candidates=known)
        spoken_for = (*QUERY_NAMES, *NOT_VECTORS)
        rest = [key for key in usable if _plain(key) not in spoken_for and key != columns.queries]
        usable = rest or usable
    corpus = choose_vectors(name, usable, chosen=chosen, available=arrays, wanted="corpus vectors")
    if corpus is None:
        raise FormatError.in_file(
            name,
            f"one array must be 2-D and of {', '.join(DTYPES)}",
            found=_described(arrays),
            hint="Save the vectors as array.astype('float32') with a row a vector",
        )
    return corpus


def _side(
    name: str,
    arrays: Mapping[str, ArrayInfo],
    vectors: str,
    others: Sequence[str],
    options: ReadOptions,
    *,
    names: Mapping[str, Sequence[str]],
    chosen: Mapping[str, str | None],
) -> Rows:
    strings: dict[str, list[str]] = {}
    for role, known in names.items():
        wanted = chosen.get(role)
        available = [key for key in others if wanted or len(arrays[key].shape) == 1]
        key = choose_named(name, available, known, chosen=wanted)
        if key is not None:
            strings[role] = as_strings(f"{key} in {name}", arrays[key], options)
    label = name if len(arrays) == 1 else f"{vectors} in {name}"
    return Rows(name=label, vectors=as_matrix(label, arrays[vectors], options), **strings)


def _plain(key: str) -> str:
    return key.rsplit("/", 1)[-1].lower().replace("-", "_")


def _described(arrays: Mapping[str, ArrayInfo]) -> str:
    if not arrays:
        return "no array"
    return ", ".join(f"{key} {info.shape} {info.dtype}" for key, info in arrays.items())
