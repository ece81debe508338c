"""From a source row to a target row: truncate and re-normalise, and tell apart what cannot move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.migration.stores.protocol import Batch

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.migration.ids import Id
    from engine.migration.stores.protocol import Dtype

FLOAT32_BOUND = 1e-6
FLOAT16_BOUND = 2.0**-11
"""Half a unit in the last place of float16, relative to the largest component, which a unit vector keeps below 1."""


@dataclass(frozen=True, kw_only=True)
class HeldRow:
    """A row that cannot move, and why in half a sentence."""

    id: Id
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Transformed:
    """The rows of a batch that can move, as the target shall hold them, and those that cannot."""

    batch: Batch
    held: tuple[HeldRow, ...]


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Keeps the first `dims` components; re-normalises them when `normalise`; rounds to `dtype`."""

    dims: int
    normalise: bool
    dtype: Dtype = "float32"

    def __call__(self, source: Batch) -> Transformed:
        """Return what the target shall hold for the rows of `source`.

        Held back are rows without a usable vector (see `Batch.broken`), with NaN or infinite components, with the same
        id as a row before them, and, when re-normalising, those whose prefix is zero: it has no direction.
        """
        vectors = np.ascontiguousarray(source.vectors[:, : self.dims], dtype=np.float32)
        # A sum of squares is finite exactly when every component is, unless it overflows float32: so float64.
        lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        reasons = {one.row: one.reason for one in source.broken}
        for row in np.flatnonzero(~np.isfinite(lengths)).tolist():
            reasons.setdefault(row, "its vector holds NaN or infinite components")
        if self.normalise:
            for row in np.flatnonzero(lengths == 0).tolist():
                reasons.setdefault(row, f"its first {self.dims} components are all zero")
            usable = np.where(np.isfinite(lengths) & (lengths > 0), lengths, 1)
            vectors = (vectors / usable[:, None]).astype(np.float32)
        if len(set(source.ids)) < len(source.ids):
            seen: set[Id] = set()
            for place, one in enumerate(source.ids):
                if one in seen:
                    reasons.setdefault(place, "another row of the source has the same id")
                seen.add(one)
        moved = Batch(
            ids=source.ids,
            vectors=vectors,
            payloads=source.payloads,
            updated_at=source.updated_at,
            cursor=source.cursor,
        )
        if not reasons:
            return Transformed(batch=moved, held=())
        keep = np.ones(len(source), dtype=bool)
        keep[list(reasons)] = False
        held = tuple(HeldRow(id=source.ids[row], reason=reason) for row, reason in sorted(reasons.items()))
        return Transformed(batch=moved.take(keep), held=held)

    def cut(self, queries: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return `queries` (q, D) as they are asked of the target, (q, dims)."""
        cut = np.ascontiguousarray(queries[:, : self.dims], dtype=np.float32)
        if not self.normalise:
            return cut
        lengths = np.linalg.norm(cut.astype(np.float64), axis=1, keepdims=True)
        return (cut / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def bound(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return per row (n,) the largest difference that the target's type explains for `vectors` (n, dims)."""
        largest: npt.NDArray[np.float64] = np.abs(vectors).max(axis=1, initial=0.0).astype(np.float64)
        if self.dtype == "float16":
            # Below 2^-14 float16 has fixed steps.
            return np.multiply(np.maximum(largest, 2.0**-14), FLOAT16_BOUND)
        # One in a million of a unit vector, and as many parts of a longer one.
        return np.multiply(np.maximum(largest, 1.0), FLOAT32_BOUND)
