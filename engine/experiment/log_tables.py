"""Walk over the rows of a CSV or Parquet log in record batches, after its size has been checked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.embeddings.readers.options import FREE_EXPANSION_BYTES, MAX_EXPANSION_RATIO
from engine.embeddings.readers.parquet_footer import PARQUET_MAGIC, read_footer
from engine.errors import EngineError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.embeddings.readers.source import Source

MOST_ROWS = 100_000_000
"""Rows of one log."""

LONGEST_TEXT = 4096
"""Bytes of a user id or another text: longer ones are no ids, and could take any amount of memory."""

NULLS = ["", "NA", "N/A", "null", "NULL", "None"]

# What pyarrow raises on damaged files beside its own exceptions, such as for names that are no UTF-8.
_DAMAGE = (ValueError, OSError, LookupError, TypeError, NotImplementedError, MemoryError, RuntimeError)

_GZIP_MAGIC = b"\x1f\x8b"
_BATCH_ROWS = 1 << 18
_BLOCK_BYTES = 1 << 22
_MOST_INFLATED_BYTES = 64 << 30
_HEADER_BYTES = 1 << 16
_ROW_BYTES = 30  # of memory that a row takes while its log is read
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, eq=False, kw_only=True)
class LogTable:
    """A log with the `names` of its columns; `n_rows` is None where only reading tells."""

    source: Source
    names: tuple[str, ...]
    n_rows: int | None
    delimiter: str | None

    def batches(self, wanted: Sequence[str]) -> Iterator[Any]:
        """Yield record batches with the columns `wanted`, in that order; texts of CSV cells are not interpreted.

        Raises
        ------
        FormatError
            When the file is damaged or too large, or a text too long.
        """
        import pyarrow as pa

        n_rows = 0
        batches = self._parquet(wanted) if self.delimiter is None else self._csv(wanted)
        try:
            for batch in batches:
                batch.validate(full=True)
                n_rows += batch.num_rows
                if n_rows > MOST_ROWS:
                    raise _too_many(self.source.name, n_rows)
                for name in wanted:
                    _check_texts(self.source.name, name, batch.column(name))
                yield batch
        except EngineError:
            raise
        except (pa.ArrowException, *_DAMAGE) as error:
            raise _damaged(self.source.name, error) from None

    def _parquet(self, wanted: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(_opened(self.source)) as file:
            texts = [field.name for field in file.schema_arrow if _is_text(field.type) and field.name in wanted]
        # A dictionary keeps a long text that is repeated once; the check of lengths comes before it is spelled out.
        with pq.ParquetFile(_opened(self.source), read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(wanted)):
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in wanted], names=list(wanted))

    def _csv(self, wanted: Sequence[str]) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import csv

        stream = _opened(self.source)
        if self.source.head.startswith(_GZIP_MAGIC):
            stream = pa.CompressedInputStream(stream, "gzip")
        reader = csv.open_csv(
            stream,
            read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.string()),
                null_values=NULLS,
                strings_can_be_null=True,
            ),
        )
        n_bytes = 0
        for batch in reader:
            n_bytes += batch.nbytes
            if n_bytes > _MOST_INFLATED_BYTES:
                raise FormatError.in_file(self.source.name, "a log may hold at most 64 GiB of text", found="more")
            _check_ratio(self.source, n_bytes)
            yield batch


def open_log(source: Source) -> LogTable:
    """Return the log in `source`, a Parquet or CSV file (also compressed with gzip) told by its content.

    Raises
    ------
    FormatError
        When it is neither, damaged, empty, or declares more than memory should take.
    """
    if source.size == 0:
        raise FormatError.in_file(source.name, "a log must hold a header and rows", found="an empty file")
    if source.head.startswith(PARQUET_MAGIC):
        return _open_parquet(source)
    return _open_csv(source)


def _open_parquet(source: Source) -> LogTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = read_footer(source)
    if footer.n_rows > MOST_ROWS:
        raise _too_many(source.name, footer.n_rows)
    inflated = sum(chunk.n_bytes for chunk in footer.chunks)
    if inflated > _MOST_INFLATED_BYTES:
        raise FormatError.in_file(
            source.name, "a log may expand to at most 64 GiB", found=f"{inflated / (1 << 30):,.1f} GiB"
        )
    _check_ratio(source, max(inflated, _ROW_BYTES * footer.n_rows))
    try:
        with pq.ParquetFile(_opened(source)) as file:
            names = file.schema_arrow.names
    except (pa.ArrowException, *_DAMAGE) as error:
        raise _damaged(source.name, error) from None
    _check_names(source.name, names)
    return LogTable(source=source, names=tuple(names), n_rows=footer.n_rows, delimiter=None)


def _open_csv(source: Source) -> LogTable:
    import csv

    line = _header_line(source)
    delimiter = max(_DELIMITERS, key=line.count)
    try:
        names = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise _damaged(source.name, error) from None
    if len(names) < 2:
        raise FormatError.in_file(
            source.name,
            "a log must be a Parquet file, or a CSV file whose first line names its columns",
            found=line[:60] or "an empty line",
        )
    _check_names(source.name, names)
    return LogTable(source=source, names=tuple(names), n_rows=None, delimiter=delimiter)


def _header_line(source: Source) -> str:
    head = source.head
    try:
        if head.startswith(_GZIP_MAGIC):
            head = zlib.decompressobj(wbits=31).decompress(head, _HEADER_BYTES)
        lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
        return lines[0].decode("utf-8") if lines else ""
    except UnicodeDecodeError:
        raise FormatError.in_file(
            source.name, "a CSV log must be UTF-8 text", found="another encoding", hint="Save it again as UTF-8"
        ) from None
    except zlib.error as error:
        raise _damaged(source.name, error) from None


def _check_names(name: str, columns: Sequence[str]) -> None:
    if len(set(columns)) != len(columns):
        raise FormatError.in_file(name, "every column must have a name of its own", found=", ".join(columns))


def _check_texts(name: str, column: str, values: Any) -> None:
    """Refuse a text that is too long, before dictionaries are spelled out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = values.dictionary if pa.types.is_dictionary(values.type) else values
    if not _is_text(texts.type) or len(texts) == 0:
        return
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > LONGEST_TEXT:
        raise FormatError.in_file(
            name, f"a text in a log may take at most {LONGEST_TEXT:,} bytes", found=f"{longest:,} in column {column}"
        )


def _check_ratio(source: Source, n_bytes: int) -> None:
    """Refuse a small file that expands to much: a bomb keeps a server busy also where memory is bounded."""
    if n_bytes > max(FREE_EXPANSION_BYTES, MAX_EXPANSION_RATIO * source.size):
        raise FormatError.in_file(
            source.name,
            f"a compressed log may expand to at most {MAX_EXPANSION_RATIO} times its size",
            found=f"{source.size:,} bytes that expand to {n_bytes:,} or more",
            hint="Write it as plain CSV if its rows really are that alike",
        )


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _opened(source: Source) -> Any:
    import pyarrow as pa

    content = source.content()
    return pa.BufferReader(pa.py_buffer(content)) if isinstance(content, memoryview) else pa.memory_map(str(content))


def _too_many(name: str, n_rows: int) -> FormatError:
    return FormatError.in_file(
        name, f"a log may hold at most {MOST_ROWS:,} rows", found=f"{n_rows:,}", hint="Take fewer days or a sample"
    )


def _damaged(name: str, error: Exception) -> FormatError:
    return FormatError.in_file(
        name,
        "a log must be readable as CSV (UTF-8) or Parquet",
        found=f"{error}".rstrip("."),
        hint="The file is damaged or something else; write it again",
    )
