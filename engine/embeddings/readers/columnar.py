"""Read Parquet and Arrow IPC (Feather) tables: a column of vectors, with ids, texts and segments beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings.readers.arrow_tables import ArrowTable, ParquetTable
from engine.embeddings.readers.arrow_values import matrix_of, strings_of, vector_kind
from engine.embeddings.readers.loaded import Loaded, Rows
from engine.embeddings.readers.naming import (
    ID_NAMES,
    SEGMENT_NAMES,
    TEXT_NAMES,
    TITLE_NAMES,
    choose_named,
    choose_vectors,
    looks_like_vectors,
)
from engine.errors import FormatError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from engine.embeddings.embedding_set import Vectors
    from engine.embeddings.readers.arrow_tables import Table
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

ARROW_FILE_MAGIC = b"ARROW1\0\0"

_STREAM_MAGIC = b"\xff\xff\xff\xff"

_BYTES_PER_STRING = 64  # a Python string costs about that, however short


def is_arrow(source: Source) -> bool:
    """Tell whether the file is an Arrow IPC file or begins with a message of a stream that it can hold."""
    message = int.from_bytes(source.head[4:8], "little", signed=True)
    is_stream = source.head.startswith(_STREAM_MAGIC) and 0 < message < source.size and message % 8 == 0
    return is_stream or source.head.startswith(ARROW_FILE_MAGIC)


def read_parquet(source: Source, options: ReadOptions) -> Loaded:
    """Read a Parquet file."""
    return _read(source.name, ParquetTable(source, options), options)


def read_arrow(source: Source, options: ReadOptions) -> Loaded:
    """Read an Arrow IPC file (Feather version 2) or stream."""
    is_file = source.head.startswith(ARROW_FILE_MAGIC)
    if is_file and (source.size < 16 or source.read_at(source.size - 6, 6) != ARROW_FILE_MAGIC[:6]):
        raise FormatError.in_file(
            source.name,
            "an Arrow file must begin and end with ARROW1",
            found=f"{source.size:,} bytes without the end",
            hint="The file is truncated; write or download it again",
        )
    return _read(source.name, ArrowTable(source, options, start=8 if is_file else 0), options)


def _read(name: str, table: Table, options: ReadOptions) -> Loaded:
    import pyarrow as pa

    try:
        return Loaded(corpus=_read_rows(name, table, options))
    except pa.ArrowException as error:
        raise FormatError.in_file(
            name,
            "Arrow must be able to read the file",
            found=f"{error}".rstrip("."),
            hint="The file is damaged; write it again",
        ) from None


def _read_rows(name: str, table: Table, options: ReadOptions) -> Rows:
    names = table.schema.names
    if len(set(names)) != len(names):
        raise FormatError.in_file(name, "every column must have a name of its own", found=", ".join(names))
    columns = options.columns
    vector = choose_vector_column(name, table.schema, columns.vector)
    readable = [field.name for field in table.schema if _is_readable(field.type) and field.name != vector]
    strings = [field.name for field in table.schema if _is_string(field.type) and field.name != vector]
    id_column = choose_named(name, names if columns.id else readable, ID_NAMES, chosen=columns.id)
    texts = _choose_texts(name, names, strings, options)
    segment = choose_named(name, names if columns.segment else strings, SEGMENT_NAMES, chosen=columns.segment)
    if vector is None and not texts:
        raise FormatError.in_file(
            name,
            "one column must hold vectors (a list of floats, or binary float32) or texts",
            found=", ".join(f"{field.name} {field.type}" for field in table.schema),
        )
    return _gather(name, table, options, vector=vector, id_column=id_column, texts=texts, segment=segment)


def _gather(
    name: str,
    table: Table,
    options: ReadOptions,
    *,
    vector: str | None,
    id_column: str | None,
    texts: Sequence[str],
    segment: str | None,
) -> Rows:
    wanted = [column for column in dict.fromkeys((id_column, *texts, segment)) if column is not None]
    options.check_expansion(name, table.n_rows * _BYTES_PER_STRING * len(wanted))
    values: dict[str, list[str | None]] = {column: [] for column in wanted}
    matrix = _Matrix(name, table, options)
    n = 0
    for batch in table.batches(vector, wanted):
        if vector is not None:
            matrix.add(matrix_of(name, batch.column(vector), options, first_row=n, packed=table.packed))
        for column in values:
            values[column] += strings_of(name, column, batch.column(column))
        n += batch.num_rows
    if n != table.n_rows or n == 0:
        raise FormatError.in_file(name, "a table must hold at least one row, and all it promises", found=f"{n} rows")
    if id_column is not None and None in values[id_column]:
        raise FormatError.in_file(
            name, "every row must have an id", found=f"none in row {values[id_column].index(None)}"
        )
    return Rows(
        name=name,
        vectors=None if vector is None else matrix.finish(),
        ids=None if id_column is None else [value or "" for value in values[id_column]],
        texts=_joined([values[column] for column in texts]),
        segments=None if segment is None else [value or "" for value in values[segment]],
    )


class _Matrix:
    """An array (n, d) that batches fill; allocated with the first one, once its size has been checked."""

    def __init__(self, name: str, table: Table, options: ReadOptions) -> None:
        self._name = name
        self._n = table.n_rows
        self._packed = table.packed
        self._options = options
        self._rows: Vectors | None = None
        self._filled = 0

    def add(self, block: Vectors) -> None:
        if not len(block):
            return
        if self._rows is None:
            self._options.check_expansion(self._name, self._n * block[0].nbytes, packed=self._packed)
            self._rows = np.empty((self._n, block.shape[1]), dtype=block.dtype)
        if block.shape[1] != self._rows.shape[1]:
            raise VectorError(
                f"{self._name}: every vector must have as many components as the first, {self._rows.shape[1]}",
                found=f"{block.shape[1]} in row {self._filled}",
            )
        self._rows[self._filled : self._filled + len(block)] = block
        self._filled += len(block)

    def finish(self) -> Vectors | None:
        return self._rows


def choose_vector_column(name: str, schema: pa.Schema, chosen: str | None) -> str | None:
    """Return the column of `schema` that holds vectors, by type and name; None when none does.

    Raises `AmbiguousColumnsError` when several could, `ParameterError` when there is no column `chosen`.
    """
    kinds = {field.name: vector_kind(field.type) for field in schema}
    plain = [column for column, kind in kinds.items() if kind == "floats"]
    # Bytes and whole numbers are more often something else: pictures, tokens, neighbour ids. Their name must speak.
    named = [column for column, kind in kinds.items() if kind in ("bytes", "integers") and looks_like_vectors(column)]
    if chosen is not None:
        plain = [column for column, kind in kinds.items() if kind is not None]
    return choose_vectors(name, plain or named, chosen=chosen, available=kinds)


def _choose_texts(name: str, names: Sequence[str], strings: Sequence[str], options: ReadOptions) -> list[str]:
    chosen = options.columns.text
    if chosen is not None:
        return [choose_named(name, names, (), chosen=chosen) or chosen]
    text = choose_named(name, strings, TEXT_NAMES, chosen=None)
    title = choose_named(name, strings, TITLE_NAMES, chosen=None)
    if text is None or title in (None, text):
        return [] if text is None else [text]
    return [title, text] if title is not None else [text]


def _joined(columns: Sequence[Sequence[str | None]]) -> list[str] | None:
    if not columns:
        return None
    return [" ".join(part for part in parts if part) for parts in zip(*columns, strict=True)]


def _is_string(kind: Any) -> bool:
    import pyarrow as pa

    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def _is_readable(kind: Any) -> bool:
    import pyarrow as pa

    return _is_string(kind) or bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
