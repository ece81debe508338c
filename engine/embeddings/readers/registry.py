"""Every format: how its content is recognised and which reader reads it."""

from __future__ import annotations

import csv
import lzma
import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.embeddings.readers import (
    columnar,
    delimited,
    folders,
    hdf5,
    json_lines,
    numpy_files,
    openai_batch,
    parquet_footer,
    raw,
    tensors,
    texts,
)
from engine.embeddings.readers.archive import ZIP_MAGIC, Archive
from engine.embeddings.readers.folder import ArchiveFolder
from engine.embeddings.readers.table_layout import is_table_of_numbers
from engine.errors import EngineError, FormatError, PathError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.embeddings.readers.loaded import Loaded
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

# What the standard library, NumPy, Arrow and the decompressors raise on damaged input that no explicit check has met.
_DAMAGE = (
    ArithmeticError, EOFError, LookupError, MemoryError, NotImplementedError, OSError, RecursionError, ValueError,
    csv.Error, lzma.LZMAError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FormatInfo:
    """A format as people know it: its name, usual extensions and what is read from it."""

    name: str
    extensions: tuple[str, ...]
    description: str


@dataclass(frozen=True, kw_only=True)
class _Format:
    info: FormatInfo
    matches: Callable[[Source], bool]
    read: Callable[[Source, ReadOptions], Loaded]


def formats() -> tuple[FormatInfo, ...]:
    """Return every format that can be read, the commonest first."""
    return (*(one.info for one in _FORMATS), *_FOLDERS)


def read_file(source: Source, options: ReadOptions) -> Loaded:
    """Read `source` in whichever format its content has.

    Raises `FormatError`, `VectorError` and the other input errors; never what a library raises.
    """
    with damage_reported(source.name):
        if not source.size:
            raise FormatError.in_file(source.name, "a file must not be empty", found="0 bytes")
        for one in _FORMATS:
            if one.matches(source):
                return one.read(source, options)
        raise _unknown(source)


@contextmanager
def damage_reported(name: str) -> Iterator[None]:
    """Turn what libraries raise on damaged or unreadable files into errors that name the file."""
    try:
        yield
    except EngineError:
        raise
    except (PermissionError, FileNotFoundError) as error:
        raise PathError(f"{name}: the file must be readable", found=error.strerror) from None
    except _DAMAGE as error:
        raise FormatError.in_file(
            name,
            "the file must be readable as what it claims to be",
            found=f"{error}".rstrip(".") or type(error).__name__,
            hint="The file is truncated or damaged; write or download it again",
        ) from None


def _read_zip(source: Source, options: ReadOptions) -> Loaded:
    archive = Archive(source, options)
    folder = ArchiveFolder(source.name, archive)
    if folders.is_set(folder) and not _only_arrays(archive):
        return folders.read_folder(folder, options, read_file)
    if any(member.endswith(".npy") for member in archive.names()):
        return numpy_files.read_npz(source, options)
    return folders.read_folder(folder, options, read_file)


def _only_arrays(archive: Archive) -> bool:
    return all(member.endswith(".npy") for member in archive.names())


def _starts(*magics: bytes) -> Callable[[Source], bool]:
    return lambda source: source.head.startswith(magics)


def _is_text(source: Source) -> bool:
    """Tell whether the first line is text, and the extension does not promise something binary."""
    if source.suffix in _BINARY_EXTENSIONS or b"\0" in source.head:
        return False
    try:
        return bool(source.first_line)
    except FormatError:
        return source.suffix in _TEXT_EXTENSIONS  # so that the reader says what is wrong with the text


def _is_json_lines(source: Source) -> bool:
    return _is_text(source) and (source.suffix in _JSON_EXTENSIONS or source.first_line.lstrip().startswith(("{", "[")))


def _is_openai(source: Source) -> bool:
    if not (_is_json_lines(source) and '"custom_id"' in source.first_line):
        return False
    first = next(json_lines.parse_lines(source), None)
    return first is not None and openai_batch.is_openai_batch(first[1])


def _is_table(source: Source) -> bool:
    return _is_text(source) and (source.suffix in _TABLE_EXTENSIONS or is_table_of_numbers(source))


def _unknown(source: Source) -> FormatError:
    head = source.head[:8]
    for magics, found, hint in _REFUSED:
        if head.startswith(magics):
            return FormatError.in_file(source.name, "the format must be one that is read", found=found, hint=hint)
    known = next((one.info for one in reversed(_FORMATS) if source.suffix in one.info.extensions), None)
    if known is not None:
        return FormatError.in_file(
            source.name,
            f"a file named {source.suffix} must hold {known.name}",
            found=f"{source.size:,} bytes that begin with {head!r}",
            hint="The file is damaged, or its extension is wrong",
        )
    return FormatError.in_file(
        source.name,
        "the format must be one that is read",
        found=f"{source.size:,} bytes that begin with {head!r}",
        hint="Save the vectors as .npy, or give a file of raw numbers its extension, as .fbin or .fvecs",
    )


_REFUSED = (
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle", "Pickles are never opened; save as .npy"),
    ((b"\x1f\x8b",), "a gzip file", "Decompress it first"),
    ((b"\x28\xb5\x2f\xfd",), "a Zstandard file", "Decompress it first"),
    ((b"BZh",), "a bzip2 file", "Decompress it first"),
    ((b"FEA1",), "Feather version 1", "Write it again as Feather version 2 or Parquet"),
    ((b"\xff\xfe", b"\xfe\xff"), "UTF-16 text", "Save it as UTF-8"),
)
_JSON_EXTENSIONS = (".jsonl", ".ndjson", ".json")
_TABLE_EXTENSIONS = (".csv", ".tsv")
_TEXT_EXTENSIONS = (*_JSON_EXTENSIONS, *_TABLE_EXTENSIONS, ".txt")

_FORMATS = (
    _Format(
        info=FormatInfo(
            name="NumPy array",
            extensions=(".npy",),
            description="One 2-D array of float16, float32, float64, int8 or uint8; memory-mapped.",
        ),
        matches=_starts(numpy_files.NPY_MAGIC),
        read=numpy_files.read_npy,
    ),
    _Format(
        info=FormatInfo(
            name="NumPy archive or zipped folder",
            extensions=(".npz", ".zip"),
            description="Arrays such as corpus, queries, doc_ids and query_ids; or a BEIR or VectorDBBench folder.",
        ),
        matches=_starts(*ZIP_MAGIC),
        read=_read_zip,
    ),
    _Format(
        info=FormatInfo(
            name="Parquet",
            extensions=(".parquet", ".pq"),
            description="A column of float lists or binary float32, with id, title and text columns.",
        ),
        matches=_starts(parquet_footer.PARQUET_MAGIC),
        read=columnar.read_parquet,
    ),
    _Format(
        info=FormatInfo(
            name="Arrow IPC (Feather)",
            extensions=(".arrow", ".feather", ".ipc"),
            description="As Parquet; files and streams.",
        ),
        matches=columnar.is_arrow,
        read=columnar.read_arrow,
    ),
    _Format(
        info=FormatInfo(
            name="HDF5",
            extensions=(".hdf5", ".h5"),
            description="As ann-benchmarks has it: train, test and the attribute distance.",
        ),
        matches=_starts(hdf5.HDF5_MAGIC),
        read=hdf5.read_hdf5,
    ),
    _Format(
        info=FormatInfo(
            name="fbin family",
            extensions=tuple(raw.BIN),
            description="uint32 n, uint32 d, then n·d float32, uint8, int8 or int32; memory-mapped.",
        ),
        matches=lambda source: source.suffix in raw.BIN or _is_unnamed(source, raw.looks_like_bin),
        read=raw.read_bin,
    ),
    _Format(
        info=FormatInfo(
            name="fvecs family",
            extensions=tuple(raw.VECS),
            description="Records of int32 d, then d float32, uint8 or int32; memory-mapped.",
        ),
        matches=lambda source: source.suffix in raw.VECS or _is_unnamed(source, raw.looks_like_vecs),
        read=raw.read_vecs,
    ),
    _Format(
        info=FormatInfo(
            name="safetensors",
            extensions=(".safetensors",),
            description="One 2-D tensor, or chosen by name; memory-mapped.",
        ),
        matches=lambda source: source.suffix == ".safetensors" or tensors.is_safetensors(source),
        read=tensors.read_safetensors,
    ),
    _Format(
        info=FormatInfo(
            name="OpenAI batch output",
            extensions=(".jsonl",),
            description="A response a line, lists or base64; ordered by custom_id, failed lines counted.",
        ),
        matches=_is_openai,
        read=openai_batch.read_openai_batch,
    ),
    _Format(
        info=FormatInfo(
            name="JSON lines",
            extensions=_JSON_EXTENSIONS,
            description="Objects with embedding, vector or emb; bare arrays; or only texts, which are encoded.",
        ),
        matches=_is_json_lines,
        read=json_lines.read_json_lines,
    ),
    _Format(
        info=FormatInfo(
            name="CSV or TSV",
            extensions=_TABLE_EXTENSIONS,
            description="A vector as JSON text in one column, or one column a component; or texts, which are encoded.",
        ),
        matches=_is_table,
        read=delimited.read_delimited,
    ),
    _Format(
        info=FormatInfo(
            name="plain text",
            extensions=(".txt",),
            description="A text a line, encoded with the bundled encoder.",
        ),
        matches=lambda source: source.suffix == ".txt" and _is_text(source),
        read=texts.read_texts,
    ),
)

_BINARY_EXTENSIONS = {
    extension for one in _FORMATS for extension in one.info.extensions if extension not in _TEXT_EXTENSIONS
}
_NAMED_EXTENSIONS = {*_BINARY_EXTENSIONS, *_TEXT_EXTENSIONS}


def _is_unnamed(source: Source, looks_right: Callable[[Source], bool]) -> bool:
    return source.suffix not in _NAMED_EXTENSIONS and looks_right(source)


_FOLDERS = (
    FormatInfo(
        name="BEIR folder",
        extensions=(),
        description="corpus.jsonl, queries.jsonl, qrels/*.tsv; texts are encoded, or corpus.npy and queries.npy given.",
    ),
    FormatInfo(
        name="VectorDBBench folder",
        extensions=(),
        description="train.parquet or its shards train-01-of-10.parquet, and test.parquet.",
    ),
    FormatInfo(
        name="judgements (qrels)",
        extensions=(".tsv", ".txt", ".qrels"),
        description="BEIR (query, document, score, tabs between) or TREC (query 0 document grade).",
    ),
)
