"""Walk over the batches of Parquet and Arrow files after the sizes that their headers declare have been checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from engine.embeddings.readers.arrow_messages import batch_header
from engine.embeddings.readers.arrow_values import component_bytes
from engine.embeddings.readers.parquet_footer import read_footer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

_BATCH_BYTES = 1 << 24
_MOST_ROWS = 1 << 16


class Table(Protocol):
    """A table of `n_rows`, `packed` bytes in its file, that hands out record batches holding some of its columns."""

    schema: pa.Schema
    n_rows: int
    packed: int

    def batches(self, vector: str | None, strings: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with the columns asked for."""


class ParquetTable:
    """A Parquet file; the footer tells how many values each column holds and how large they are once inflated."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self._source = source
        self.packed = source.size
        self._options = options
        self._footer = read_footer(source)
        self.n_rows = self._footer.n_rows
        with self._opened([]) as file:
            self.schema = file.schema_arrow

    def batches(self, vector: str | None, strings: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches of about 16 MiB; repeated strings and binary vectors stay one entry in a dictionary."""
        import pyarrow as pa

        columns = list(dict.fromkeys([*strings, *([] if vector is None else [vector])]))
        text_like = [name for name in columns if _is_byte_array(self.schema.field(name).type)]
        with self._opened(text_like) as file:
            expanded = self._check_sizes(columns, vector)
            per_row = max(1, expanded // max(1, self.n_rows))
            for batch in file.iter_batches(max(1, min(_MOST_ROWS, _BATCH_BYTES // per_row)), columns=columns):
                batch.validate(full=True)
                yield pa.RecordBatch.from_arrays([batch.column(name) for name in columns], columns)

    def _opened(self, text_like: list[str]) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(_file_of(self._source), read_dictionary=text_like)

    def _check_sizes(self, columns: Sequence[str], vector: str | None) -> int:
        width = 0 if vector is None else component_bytes(self.schema.field(vector).type)
        expanded = 0
        for chunk in self._footer.chunks:
            if chunk.column in columns:
                decoded = chunk.n_values * width if chunk.column == vector else 0
                expanded += max(chunk.n_bytes, decoded)
        self._options.check_expansion(self._source.name, expanded, packed=self._source.size)
        return expanded


class ArrowTable:
    """An Arrow IPC stream, or a file read as the stream that lies in it from byte 8 on."""

    def __init__(self, source: Source, options: ReadOptions, *, start: int) -> None:
        import pyarrow as pa

        self._source = source
        self.packed = source.size
        self._start = start
        with self._opened() as stream:
            self.schema = pa.ipc.open_stream(stream).schema
        self.n_rows = self._check_sizes(options)

    def batches(self, vector: str | None, strings: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they were written; columns not asked for are not inflated."""
        import pyarrow as pa

        wanted = {*strings, *([] if vector is None else [vector])}
        indices = [index for index, name in enumerate(self.schema.names) if name in wanted]
        with self._opened() as stream:
            options = pa.ipc.IpcReadOptions(included_fields=indices)
            for batch in pa.ipc.open_stream(stream, options=options):
                batch.validate(full=True)
                yield batch

    def _opened(self) -> Any:
        stream = _file_of(self._source)
        stream.seek(self._start)
        return stream

    def _check_sizes(self, options: ReadOptions) -> int:
        import pyarrow as pa

        n_rows = expanded = 0
        with self._opened() as stream:
            messages = pa.ipc.MessageReader.open_stream(stream)
            while (message := _next_message(messages)) is not None:
                batch = batch_header(message.metadata.to_pybytes())
                if batch is not None:
                    n_rows += batch.n_rows
                    expanded += batch.inflated_bytes(message.body)
        options.check_expansion(self._source.name, expanded, packed=self._source.size)
        return n_rows


def _file_of(source: Source) -> Any:
    import pyarrow as pa

    content = source.content()
    return pa.BufferReader(pa.py_buffer(content)) if isinstance(content, memoryview) else pa.memory_map(str(content))


def _next_message(messages: Any) -> Any:
    try:
        return messages.read_next_message()
    except StopIteration:
        return None


def _is_byte_array(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(
        is_kind(kind) for is_kind in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )
