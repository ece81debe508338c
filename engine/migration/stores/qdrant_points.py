"""What a Qdrant server and the engine in a folder have in common, and how ids and payloads become points.

A point's id is a whole number of 64 bits or a UUID. Any other id is mapped to a UUID (version 5) and kept, as coded
text, in the payload under ``__dimshift``; so are moments, and payloads that are no objects.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.errors import AmbiguousColumnsError, StoreError
from engine.migration.ids import ID_KINDS, UINT64, as_uuid5, coded_text, from_coded_text
from engine.migration.stores.payloads import RESERVED, as_object, from_object
from engine.migration.stores.protocol import Batch, BrokenRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.protocol import Dtype, IndexInfo, IndexSpec, TableSpec
    from engine.migration.stores.urls import StoreUrl
    from engine.progress import Cancelled, Progress

PointId = int | uuid.UUID

LEAST_UUID = uuid.UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What `create` left with the collection; nothing where Dimshift did not create it."""

    id_kind: IdKind | None = None
    has_updated_at: bool = False
    mark: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `notes_from` reads."""
        return {"ids": self.id_kind, "updated_at": self.has_updated_at, "mark": self.mark}


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A collection as it is configured; `vector` is the name of the vector, empty for the unnamed one."""

    vector: str
    dim: int
    dtype: Dtype
    metric: Metric | None
    notes: Notes
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point as it is stored; `vector` is None when it has none of the name, or one that is no plain vector."""

    id: PointId
    vector: Sequence[float] | None
    payload: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A point that a search found."""

    id: PointId
    score: float
    payload: dict[str, Any] | None


class Points(Protocol):
    """A collection of points, wherever it is. Every method raises StoreError for what goes wrong."""

    @property
    def server(self) -> str:
        """Name and version."""

    def collection(self) -> Collection | None:
        """Return how the collection is configured; None when there is none."""

    def there(self) -> list[str]:
        """Return the names of collections."""

    def create(self, spec: TableSpec) -> None:
        """Create the collection."""

    def drop(self) -> None:
        """Remove it."""

    def set_notes(self, notes: Notes) -> None:
        """Keep `notes` with the collection."""

    def count(self) -> int:
        """Count the points."""

    def n_bytes(self) -> int | None:
        """Return its size on disk where that is known."""

    def index(self) -> IndexInfo | None:
        """Return its graph; None when it has none yet."""

    def write(self, ids: Sequence[PointId], vectors: npt.NDArray[np.float32], payloads: list[dict[str, Any]]) -> None:
        """Insert points or replace them."""

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points."""

    def scroll(self, start: PointId | None, limit: int, *, with_vector: bool, with_payload: bool) -> list[Point]:
        """Return up to `limit` points from the id `start` on: numbers first, then UUIDs."""

    def retrieve(self, ids: Sequence[PointId], *, with_payload: bool) -> list[Point]:
        """Return the points that are there, with vectors; `with_payload` or only what `__dimshift` holds."""

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None, exact: bool
    ) -> tuple[list[list[Hit]], npt.NDArray[np.float64]]:
        """Return the hits of each query with what `__dimshift` holds of them, and the milliseconds each took."""

    def build_index(self, spec: IndexSpec, *, progress: Progress, cancelled: Cancelled) -> None:
        """Build the graph and wait for it."""

    def close(self) -> None:
        """Let go."""


def notes_from(said: object) -> Notes:
    """Return the notes that `Notes.as_json` made, whatever else is there."""
    if not isinstance(said, dict):
        return Notes()
    kind, mark = said.get("ids"), said.get("mark")
    return Notes(
        id_kind=kind if kind in ID_KINDS else None,
        has_updated_at=said.get("updated_at") is True,
        mark=mark if isinstance(mark, str) else None,
    )


def choose_vector(url: StoreUrl, names: Sequence[str]) -> str:
    """Return the name of the vector to use. Raises AmbiguousColumnsError or StoreError when it is not told."""
    chosen = url.option("vector")
    if chosen is not None and chosen not in names:
        there = ", ".join(name or "one without a name" for name in names)
        raise StoreError("the collection must have the vector named in the URL", found=chosen, hint=f"It has {there}")
    if chosen is not None:
        return chosen
    if len(names) > 1 and "" not in names:
        raise AmbiguousColumnsError(url.table, wanted="vectors", candidates=names)
    if not names:
        raise StoreError("the collection must hold dense vectors", found=url.table)
    return "" if "" in names else names[0]


def plain_vector(vector: Any, name: str) -> Sequence[float] | None:
    """Return the vector called `name` of a point; None when it has none, or one that is not a list of numbers."""
    if isinstance(vector, dict):
        vector = vector.get(name)
    if not isinstance(vector, list) or (vector and isinstance(vector[0], list)):
        return None
    return vector


def point_id(one: Id, kind: IdKind) -> PointId:
    """Return the point's id of an id that `kind` holds."""
    if isinstance(one, int) and one in UINT64:
        return one
    # Where UUIDs stand for other ids, they are mapped themselves, so that none can be taken for another.
    if isinstance(one, uuid.UUID) and kind == "uuid":
        return one
    return as_uuid5(one)


def original_id(point: PointId, payload: dict[str, Any] | None) -> Id:
    """Return the id that a point stands for."""
    held = (payload or {}).get(RESERVED)
    code = held.get("id") if isinstance(held, dict) else None
    return from_coded_text(code) if isinstance(code, str) else point


def point_payload(one: Id, point: PointId, payload: bytes | None, updated_at: np.datetime64 | None) -> dict[str, Any]:
    """Return the payload of the point: the user's own object, and under `RESERVED` what Qdrant cannot hold natively.

    Raises FormatError when `payload` is no JSON.
    """
    held: dict[str, Any] = {}
    value = as_object(payload) or {}
    if isinstance(value.get(RESERVED), dict):
        held |= value[RESERVED]
    if point != one:
        held["id"] = coded_text(one)
    if updated_at is not None and not np.isnat(updated_at):
        held["updated_at"] = str(updated_at.astype("datetime64[us]"))
    return {**value, RESERVED: held} if held else value


def batch_of(points: Sequence[Point], collection: Collection, *, dim: int | None, with_payload: bool) -> Batch:
    """Return points as a batch; those without a vector of the collection's dims are broken."""
    width = collection.dim
    broken = []
    rows: list[Any] = []
    blank = np.full(width, np.nan, dtype=np.float32)
    for row, point in enumerate(points):
        if point.vector is not None and len(point.vector) == width:
            rows.append(point.vector)
            continue
        length = None if point.vector is None else len(point.vector)
        why = "it has no vector" if length is None else f"its vector has {length:,} dims instead of {width:,}"
        broken.append(BrokenRow(row=row, dim=length, reason=why))
        rows.append(blank)
    vectors = np.array(rows, dtype=np.float32).reshape(len(points), width)
    moments = None
    if collection.notes.has_updated_at:
        moments = np.array([_moment(point.payload) for point in points], dtype="datetime64[us]")
    return Batch(
        ids=tuple(original_id(point.id, point.payload) for point in points),
        vectors=vectors if dim is None else np.ascontiguousarray(vectors[:, :dim]),
        payloads=tuple(from_object(point.payload) for point in points) if with_payload else None,
        updated_at=moments,
        broken=tuple(broken),
    )


def _moment(payload: dict[str, Any] | None) -> str:
    held = (payload or {}).get(RESERVED)
    said = held.get("updated_at") if isinstance(held, dict) else None
    return said if isinstance(said, str) else "NaT"
