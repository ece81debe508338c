"""Turn Arrow columns into vectors and strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.errors import FormatError, VectorError

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Vectors
    from engine.embeddings.readers.options import ReadOptions

VectorKind = Literal["floats", "integers", "bytes"]

_NATIVE = ("float16", "float32", "float64", "int8", "uint8")


def vector_kind(kind: Any) -> VectorKind | None:
    """Return how a column of Arrow type `kind` could hold vectors; None when it cannot.

    int8 and uint8 lists count as floats: they are common for quantized vectors and for little else.
    """
    import pyarrow as pa

    kind = _storage_type(kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_bytes(kind):
        return "bytes"
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    value = kind.value_type
    if pa.types.is_floating(value) or pa.types.is_int8(value) or pa.types.is_uint8(value):
        return "floats"
    return "integers" if pa.types.is_integer(value) else None


def component_bytes(kind: Any) -> int:
    """Return how many bytes a component of a vector column takes in memory (a row, for binary of fixed width)."""
    import pyarrow as pa

    kind = _storage_type(kind)
    if pa.types.is_fixed_size_binary(kind):
        return int(kind.byte_width)
    if _is_bytes(kind) or pa.types.is_dictionary(kind):
        return 0
    return int(kind.value_type.bit_width) // 8


def matrix_of(name: str, column: Any, options: ReadOptions, *, first_row: int, packed: int | None = None) -> Vectors:
    """Return the vectors of an Arrow array as (n, d); `first_row` is its place in the table, for messages.

    A dictionary may expand as far as `options` allow for `packed` bytes, the size of its file.
    Other whole numbers than int8 and uint8 become float64. Raises `VectorError` for rows of different length and
    `FormatError` for missing rows or components.
    """
    import pyarrow as pa

    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    if column.null_count:
        raise FormatError.in_file(name, "every row must have a vector", found=f"none in row {first_row + _gap(column)}")
    if pa.types.is_dictionary(column.type):
        entries = _from_bytes(name, column.dictionary, first_row)
        options.check_expansion(name, len(column) * entries[0].nbytes, packed=packed)
        return np.asarray(entries[column.indices.to_numpy(zero_copy_only=False)])
    if _is_bytes(column.type):
        return _from_bytes(name, column, first_row)
    if pa.types.is_fixed_size_list(column.type):
        dim = column.type.list_size
    else:
        dim = _common_length(name, np.diff(column.offsets.to_numpy(zero_copy_only=False)), first_row)
    values = column.flatten()
    if values.null_count:
        row = first_row + _gap(values) // max(1, dim)
        raise FormatError.in_file(name, "a vector must hold numbers only", found=f"a missing one in row {row}")
    flat = values.to_numpy(zero_copy_only=False)
    if flat.dtype.name not in _NATIVE:
        flat = flat.astype(np.float64)
    return np.asarray(flat.reshape(len(column), dim))


def strings_of(name: str, column_name: str, column: Any) -> list[str | None]:
    """Return an Arrow array as strings; whole numbers as their digits, missing values as None.

    Strings that repeat in a dictionary are held once, so a small file cannot grow by repeating a long one.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        entries = strings_of(name, column_name, column.dictionary)
        return [None if index is None else entries[index] for index in column.indices.to_pylist()]
    if pa.types.is_floating(column.type):
        values = column.to_pylist()
        if any(value is not None and not float(value).is_integer() for value in values):
            raise FormatError.in_file(
                name, f"column {column_name!r} must hold strings or whole numbers", found="fractions"
            )
        return [None if value is None else str(int(value)) for value in values]
    kind = column.type
    is_string = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_string or pa.types.is_integer(kind)):
        raise FormatError.in_file(name, f"column {column_name!r} must hold strings or whole numbers", found=kind)
    return [None if value is None else str(value) for value in column.to_pylist()]


def _from_bytes(name: str, column: Any, first_row: int) -> Vectors:
    rows = [value for value in column.to_pylist() if value is not None]
    width = _common_length(name, np.array([len(row) for row in rows], dtype=np.int64), first_row, unit="bytes")
    if width % 4 or not width or len(rows) != len(column):
        raise FormatError.in_file(
            name, "a binary vector must be float32, so a multiple of 4 bytes long", found=f"{width} bytes"
        )
    return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), width // 4)


def _common_length(name: str, lengths: Any, first_row: int, *, unit: str = "components") -> int:
    if not len(lengths):
        return 0
    same = lengths == lengths[0]
    if not same.all():
        row = int(same.argmin())
        raise VectorError(
            f"{name}: every vector must have as many {unit} as the first, {int(lengths[0])}",
            found=f"{int(lengths[row])} in row {first_row + row}",
        )
    return int(lengths[0])


def _gap(column: Any) -> int:
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _storage_type(kind: Any) -> Any:
    import pyarrow as pa

    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
