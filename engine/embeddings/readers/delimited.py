"""Read CSV and TSV: a vector as JSON text in one column, or one column a component, or only texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.readers.loaded import Loaded, Rows
from engine.embeddings.readers.row_buffer import RowBuffer
from engine.embeddings.readers.table_layout import TableLayout, find_layout, is_number, parse_json_list, table_rows
from engine.errors import FormatError, VectorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source


def read_delimited(source: Source, options: ReadOptions) -> Loaded:
    """Read a vector a row, with ids, texts and segments where the header names them; or the texts to encode."""
    layout = find_layout(source, options.columns)
    buffer = RowBuffer(source.name, options)
    ids: list[str] = []
    texts: list[str] = []
    segments: list[str] = []
    rows = table_rows(source, layout.delimiter)
    if layout.has_header:
        next(rows)
    for number, cells in rows:
        if len(cells) != len(layout.names):
            raise VectorError(
                f"{source.name}: every row must have as many cells as the first, {len(layout.names)}",
                found=f"{len(cells)} in line {number}",
                hint="Quote cells that hold the delimiter",
            )
        if layout.json_vector is not None:
            buffer.add_numbers(_json_vector(source.name, cells[layout.json_vector], number), f"line {number}")
        elif layout.components:
            _add_components(buffer, source.name, cells, layout, number)
        if layout.id is not None:
            ids.append(cells[layout.id].strip())
        texts.append(" ".join(cells[at].strip() for at in layout.texts if cells[at].strip()))
        if layout.segment is not None:
            segments.append(cells[layout.segment].strip())
    has_vectors = layout.json_vector is not None or bool(layout.components)
    rows_read = Rows(
        name=source.name,
        vectors=buffer.finish() if has_vectors else None,
        ids=ids if layout.id is not None else None,
        texts=texts if layout.texts else None,
        segments=segments if layout.segment is not None else None,
    )
    return Loaded(corpus=rows_read)


def _json_vector(name: str, cell: str, number: int) -> Sequence[object]:
    vector = parse_json_list(cell)
    if vector is None:
        raise FormatError.in_file(
            name,
            "a vector in one cell must be a JSON list, as [0.1, 0.2]",
            found=f"{cell[:40]!r} in line {number}",
            hint="Write it with json.dumps(vector.tolist())",
        )
    return vector


def _add_components(buffer: RowBuffer, name: str, cells: Sequence[str], layout: TableLayout, number: int) -> None:
    values = [cells[at] for at in layout.components]
    try:
        row = np.array([float(value) for value in values])
    except ValueError:
        wrong = next(at for at in layout.components if not is_number(cells[at]))
        raise FormatError.in_file(
            name,
            "a component must be a number",
            found=f"{cells[wrong][:40]!r} in line {number}, column {layout.names[wrong]}",
        ) from None
    with np.errstate(over="ignore"):  # becomes infinite, which is reported with its row later
        buffer.add(row.astype(np.float32), f"line {number}")
