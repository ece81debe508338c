"""What every store checks of what it is given, before any engine sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError, StoreError
from engine.migration.ids import fits, shown_id
from engine.migration.stores.protocol import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.protocol import Batch, Dtype

MOST_NEIGHBOURS = 10_000
MOST_ROWS_A_BATCH = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_BEYOND_FLOAT16 = 65_520  # anything below is rounded to the greatest float16, 65,504


def check_batch_size(batch_size: int) -> None:
    """Raise ParameterError unless a batch of that many rows can be asked for."""
    if not 1 <= batch_size <= MOST_ROWS_A_BATCH:
        raise ParameterError(f"a batch must have from 1 to {MOST_ROWS_A_BATCH:,} rows", found=batch_size)


def microseconds(moment: datetime) -> int:
    """Return an aware moment as microseconds since 1970. Raises ParameterError for one without a time zone."""
    if moment.tzinfo is None:
        raise ParameterError("a moment must have a time zone", found=moment.isoformat())
    return (moment - _EPOCH) // timedelta(microseconds=1)


def check_prefix(dim: int | None, full: int | None) -> None:
    """Raise ParameterError unless vectors of `full` dims can be cut to `dim`."""
    if dim is not None and (dim < 1 or (full is not None and dim > full)):
        raise ParameterError("the dims to read must be from 1 to those of the store", found=f"{dim} of {full}")


def check_queries(queries: npt.NDArray[np.float32], k: int, dim: int | None) -> npt.NDArray[np.float32]:
    """Return `queries` as float32 (q, d). Raises ParameterError when they do not fit the store's `dim`, or k is off."""
    queries = np.ascontiguousarray(np.atleast_2d(queries), dtype=np.float32)
    if not 1 <= k <= MOST_NEIGHBOURS:
        raise ParameterError(f"k must be from 1 to {MOST_NEIGHBOURS:,}", found=k)
    if dim is not None and queries.shape[1] != dim:
        raise ParameterError(
            "queries must have as many dims as the store", found=f"{queries.shape[1]}, the store has {dim}"
        )
    if not np.isfinite(queries).all():
        raise ParameterError("queries must hold no NaN and no infinity")
    return queries


def rejections(batch: Batch, *, dim: int | None, dtype: Dtype, id_kind: IdKind) -> dict[int, str]:
    """Return the rows of `batch` that no store may take, each with the reason: broken vectors, ids that do not fit.

    Raises
    ------
    StoreError
        When the whole batch does not fit: another dim than the store's, or an id twice.
    """
    if dim is not None and batch.dim != dim:
        raise StoreError("a batch must have the dims of the store", found=f"{batch.dim}, the store has {dim}")
    if len(set(batch.ids)) != len(batch):
        twice = next(one for place, one in enumerate(batch.ids) if one in batch.ids[:place])
        raise StoreError("an id must occur once in a batch", found=shown_id(twice))
    reasons = {
        int(row): "its vector holds NaN or infinity" for row in np.flatnonzero(~np.isfinite(batch.vectors).all(axis=1))
    }
    if dtype == "float16":
        reasons |= {
            int(row): "its vector holds values that float16 cannot"
            for row in np.flatnonzero((np.abs(batch.vectors) >= _FIRST_BEYOND_FLOAT16).any(axis=1))
        }
    reasons |= {one.row: one.reason for one in batch.broken}
    reasons |= {
        row: f"the store's ids are of the kind {id_kind}" for row, one in enumerate(batch.ids) if not fits(one, id_kind)
    }
    return reasons


def without(batch: Batch, reasons: dict[int, str]) -> Batch:
    """Return `batch` without the rows that `reasons` names."""
    if not reasons:
        return batch
    keep = np.ones(len(batch), dtype=bool)
    keep[list(reasons)] = False
    return batch.take(keep)


def rejected_rows(batch: Batch, reasons: dict[int, str]) -> tuple[RejectedRow, ...]:
    """Return what `Written.rejected` says of `reasons`."""
    return tuple(RejectedRow(id=batch.ids[row], reason=reasons[row]) for row in sorted(reasons))


def in_asked_order(batch: Batch, wanted: Sequence[Id]) -> Batch:
    """Return the rows of `batch` in the order of the ids `wanted`, each of which is asked once."""
    places: dict[Id, list[int]] = {}
    for row, one in enumerate(batch.ids):
        places.setdefault(one, []).append(row)
    return batch.take([row for one in wanted for row in places.get(one, ())])


def completed(batch: Batch, there: Batch) -> Batch:
    """Return `batch` with payloads and moments of the rows `there`, where it brings none itself."""
    rows = {one: row for row, one in enumerate(there.ids)}
    places = [rows.get(one) for one in batch.ids]
    payloads, moments = batch.payloads, batch.updated_at
    if payloads is None and there.payloads is not None:
        payloads = tuple(None if place is None else there.payloads[place] for place in places)
    if moments is None and there.updated_at is not None:
        kept = [np.datetime64("NaT") if place is None else there.updated_at[place] for place in places]
        moments = np.array(kept, dtype="datetime64[us]")
    return replace(batch, payloads=payloads, updated_at=moments)
