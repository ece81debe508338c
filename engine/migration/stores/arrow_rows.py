"""Rows out of Arrow columns, as LanceDB and Parquet give them: vectors, moments and payloads."""

from __future__ import annotations

import base64
import json
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.migration.stores.protocol import BrokenRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MOMENT_NAMES = ("updated_at", "modified_at", "last_modified", "updated", "changed_at")


def is_vector(kind: Any) -> bool:
    """Tell whether a column of this Arrow type holds vectors of floats."""
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_floating(kind.value_type))


def declared_dim(kind: Any) -> int | None:
    """Return the dims that the type itself fixes; None when rows may differ."""
    return int(kind.list_size) if pa.types.is_fixed_size_list(kind) else None


def usual_dim(column: Any) -> int | None:
    """Return the most frequent length of the lists in `column`; None when there is none."""
    counts = pc.value_counts(pc.list_value_length(column).drop_null()).to_pylist()
    counts = [one for one in counts if one["values"]]
    return max(counts, key=lambda one: (one["counts"], -one["values"]))["values"] if counts else None


def vectors_of(column: Any, dim: int) -> tuple[npt.NDArray[np.float32], tuple[BrokenRow, ...]]:
    """Return the vectors of a list column, float32 (n, dim); rows without one or of another length are NaN."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    n = len(array)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), -1), dtype=np.int64)
    values = array.values.to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(array.type):
        width = array.type.list_size
        starts = (np.arange(n) + array.offset) * width
    else:
        starts = array.offsets.to_numpy()[:n].astype(np.int64)
    regular = lengths == dim
    if regular.all() and n and (np.diff(starts) == dim).all():
        first = int(starts[0])
        vectors = values[first : first + n * dim].reshape(n, dim).astype(np.float32)
    else:
        vectors = np.full((n, dim), np.nan, dtype=np.float32)
        vectors[regular] = values[starts[regular][:, None] + np.arange(dim)]
    broken = tuple(
        BrokenRow(row=row, dim=None, reason="it has no vector")
        if lengths[row] < 0
        else BrokenRow(
            row=row, dim=int(lengths[row]), reason=f"its vector has {lengths[row]:,} dims instead of {dim:,}"
        )
        for row in np.flatnonzero(~regular).tolist()
    )
    return vectors, broken


def vector_array(vectors: npt.NDArray[np.float32], dtype: str) -> Any:
    """Return `vectors` (n, d) as an Arrow list array of that dtype."""
    flat = np.ascontiguousarray(vectors, dtype=dtype).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1])


def moments_of(column: Any) -> npt.NDArray[np.datetime64]:
    """Return a timestamp column as datetime64[us] in UTC, NaT for none."""
    kind = pa.timestamp("us")
    if column.type.tz is not None:
        kind = pa.timestamp("us", tz="UTC")
    microseconds = pc.fill_null(column.cast(kind, safe=False).cast(pa.int64()), np.iinfo(np.int64).min)
    return np.asarray(microseconds, dtype=np.int64).view("datetime64[us]")


def moment_array(updated_at: npt.NDArray[np.datetime64]) -> Any:
    """Return moments as an Arrow array of timestamps in UTC."""
    return pa.array(updated_at.astype("datetime64[us]")).cast(pa.timestamp("us", tz="UTC"))


def payloads_of(table: Any, columns: Sequence[str], *, is_json: bool) -> tuple[bytes | None, ...]:
    """Return a row's payload: the JSON text of the one column, or an object of all `columns` by name."""
    if is_json:
        return tuple(None if one is None else one.encode() for one in table.column(columns[0]).to_pylist())
    return tuple(_object(row) for row in table.select(list(columns)).to_pylist())


def _object(row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain).encode()
    except ValueError:  # JSON has no NaN and no infinity
        return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, default=_plain).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"cannot turn {type(value).__name__} into JSON")
