"""What every vector database can do here, and what is handed in and out.

Order and cursors
    `VectorStore.scan` goes through a store in an order of the store's own that neither repeats nor skips a row while
    others write: every batch carries a cursor, a printable text, from which a later scan (also of another process) goes
    on behind the batch. `VectorStore.ids` lists the ids in the *canonical order* of `engine.migration.ids`, the same in
    every store, so that two stores are compared by a streaming merge.

Writing
    `VectorStore.upsert` is idempotent: the same batch again changes nothing. It returns when the batch survives the
    death of this process. So a checkpoint need not share a transaction with the batch: it is written to the workspace
    after `upsert` returned, and a crash in between repeats one batch with the same result. Only the first batch after a
    start or a resume, a batch tried again, and everything after the first pass can meet rows that are there already;
    all others may be handed in with ``is_new=True``, which lets a store take its bulk path.

Broken rows
    A row that cannot be read (no vector, another dim) does not stop a batch: it is listed in `Batch.broken` and its
    vector is NaN. A row that a store cannot hold does not stop `upsert`: it is listed in `Written.rejected`.

Threads
    `VectorStore.search` may be called from several threads. Everything else is for one thread at a time; two stores,
    also two opened from the same URL, are independent of each other.

Errors
    `StoreUnavailableError` says that the same call may succeed later (the server is restarting); every other
    `StoreError` says that it will not. Neither holds a secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args, runtime_checkable

import numpy as np

from engine.embeddings.embedding_set import METRICS, Metric
from engine.errors import ParameterError, VectorError
from engine.migration.ids import ID_KINDS, Id, IdKind
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    import numpy.typing as npt

StoreKind = Literal["pgvector", "lancedb", "qdrant", "files"]
Dtype = Literal["float32", "float16"]

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
MOST_DIMS = 16_000
"""pgvector's `vector` ends there; no embedding model comes near."""


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """A vector index as the store reports it. `metric` is the one it was built for; `n_rows` what it covers."""

    name: str
    kind: str
    metric: Metric | None
    n_rows: int | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class IndexSpec:
    """The graph index to build: neighbours a node, and candidates kept while building."""

    m: int = 16
    ef_construction: int = 64

    def __post_init__(self) -> None:
        """Check the ranges that every engine takes."""
        if not 4 <= self.m <= 100:
            raise ParameterError("m, the neighbours a node of the index, must be from 4 to 100", found=self.m)
        if not 2 * self.m <= self.ef_construction <= 1000:
            raise ParameterError(
                "ef_construction must be at least 2 × m and at most 1,000", found=f"{self.ef_construction}, m {self.m}"
            )


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """What is known about a table (collection, file).

    `dim` is None when the table is empty and does not say. `dim_is_declared` tells whether the store itself keeps
    other dims out. `metric` is the one the table was made for or its index has; None when nothing says. `n_without_id`
    rows have no id: no scan reaches them. `left_out` names columns whose content is neither id, vector, payload nor
    moment. `normalises` says that the store divides vectors by their norm when it takes them. `mark` is what
    `VectorStore.set_mark` left. `writable` is None when only trying would tell.
    """

    kind: StoreKind
    url: str
    table: str
    server: str
    dim: int | None
    dim_is_declared: bool
    dtype: Dtype
    metric: Metric | None
    index: IndexInfo | None
    id_kind: IdKind
    ids_are_unique: bool
    n_rows: int
    n_without_id: int = 0
    n_bytes: int | None = None
    has_payload: bool
    has_updated_at: bool
    payload_columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    normalises: bool = False
    writable: bool | None = None
    mark: str | None = None


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """The table to create. `mark` stays with it until `VectorStore.set_mark` changes it: what is half done says so."""

    dim: int
    dtype: Dtype = "float32"
    metric: Metric = "cosine"
    id_kind: IdKind = "int"
    has_payload: bool = True
    has_updated_at: bool = False
    mark: str | None = None

    def __post_init__(self) -> None:
        """Check what no store can make sense of."""
        if not 1 <= self.dim <= MOST_DIMS:
            raise ParameterError(f"a table must have from 1 to {MOST_DIMS:,} dims", found=self.dim)
        for what, value, known in (
            ("dtype", self.dtype, DTYPES),
            ("metric", self.metric, METRICS),
            ("kind of ids", self.id_kind, ID_KINDS),
        ):
            if value not in known:
                raise ParameterError(f"the {what} is one of {', '.join(known)}", found=value)


@dataclass(frozen=True, kw_only=True)
class BrokenRow:
    """A row of a batch whose vector cannot be used: its place in the batch, the dims it has (None: none), and why."""

    row: int
    dim: int | None
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """n rows: ids, vectors float32 (n, d), payloads as raw JSON (None: none), moments datetime64[us] in UTC (n,).

    `broken` rows are NaN in `vectors`. `cursor` stands behind the last row; it is None in batches that no scan made.
    Vectors that hold NaN or zeros in the store come as they are: whether they may be moved is not the store's to say.
    """

    ids: tuple[Id, ...]
    vectors: npt.NDArray[np.float32]
    payloads: tuple[bytes | None, ...] | None = None
    updated_at: npt.NDArray[np.datetime64] | None = None
    broken: tuple[BrokenRow, ...] = ()
    cursor: str | None = None

    def __post_init__(self) -> None:
        """Check that all parts have one length."""
        if self.vectors.ndim != 2:
            raise VectorError("the vectors of a batch must be a 2-D array", found=f"shape {self.vectors.shape}")
        for what, part in (("vectors", self.vectors), ("payloads", self.payloads), ("moments", self.updated_at)):
            if part is not None and len(part) != len(self.ids):
                raise VectorError(f"a batch must have as many {what} as ids", found=f"{len(part)}, {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Components of every vector."""
        return int(self.vectors.shape[1])

    @property
    def n_bytes(self) -> int:
        """Bytes of vectors and payloads."""
        return int(self.vectors.nbytes) + sum(len(payload or b"") for payload in self.payloads or ())

    def take(self, rows: Sequence[int] | npt.NDArray[Any]) -> Batch:
        """Return the `rows` (numbers, or a mask (n,)) of the batch, in that order; the cursor stays with the whole."""
        picked = np.asarray(rows)
        picked = np.flatnonzero(picked) if picked.dtype == np.bool_ else picked.astype(np.int64)
        places = {int(row): place for place, row in enumerate(picked)}
        return Batch(
            ids=tuple(self.ids[row] for row in picked),
            vectors=self.vectors[picked],
            payloads=None if self.payloads is None else tuple(self.payloads[row] for row in picked),
            updated_at=None if self.updated_at is None else self.updated_at[picked],
            broken=tuple(
                BrokenRow(row=places[one.row], dim=one.dim, reason=one.reason)
                for one in self.broken
                if one.row in places
            ),
        )

    def payload(self, row: int) -> Any:
        """Return the payload of `row` parsed; None when it has none."""
        raw = None if self.payloads is None else self.payloads[row]
        return None if raw is None else json.loads(raw)


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """A row that the store cannot hold, and why in half a sentence."""

    id: Id
    reason: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of a batch: `n_written` rows are in the store, the `rejected` ones are not."""

    n_written: int
    rejected: tuple[RejectedRow, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchAnswer:
    """Per query the ids found, best first, and their scores float32 (q, k), higher is better, NaN where fewer were.

    Scores are cosines, inner products, or minus squared distances. `latency_ms` float64 (q,) is the
    time of each query; where a store answers all at once, its share.
    """

    ids: tuple[tuple[Id, ...], ...]
    scores: npt.NDArray[np.float32]
    latency_ms: npt.NDArray[np.float64]


@runtime_checkable
class VectorStore(Protocol):
    """One table of one database. Opening it touches nothing; see the module for order, writing and errors."""

    @property
    def url(self) -> str:
        """The store's URL without its secrets."""

    def describe(self) -> StoreInfo:
        """Look the table up. Raises StoreError when there is none, or it is none that vectors can be read from."""

    def exists(self) -> bool:
        """Tell whether the table is there. Raises StoreError when the database cannot be reached."""

    def count(self) -> int:
        """Count the rows, exactly."""

    def create(self, spec: TableSpec) -> None:
        """Create the table. Raises StoreError when there is one, or the store cannot hold the dims or dtype."""

    def drop(self) -> None:
        """Remove the table with everything in it; nothing happens when there is none."""

    def set_mark(self, mark: str | None) -> None:
        """Keep a short text with the table, or remove it; `describe` shows it."""

    def ids(self, *, after: Id | None = None, batch_size: int = 65_536) -> Iterator[tuple[Id, ...]]:
        """Yield all ids greater than `after` in canonical order; an id that several rows have comes several times."""

    def fetch(self, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True) -> Batch:
        """Return the rows that have one of `ids`, in the order asked; ids that no row has are left out."""

    def scan(
        self,
        *,
        after: str | None = None,
        batch_size: int = 2048,
        dim: int | None = None,
        with_payload: bool = True,
        changed_since: datetime | None = None,
    ) -> Iterator[Batch]:
        """Yield all rows behind the cursor `after` in batches of about `batch_size`.

        With `dim`, vectors are cut to their first `dim` components, in the store where it can; a row that has another
        dim than the table is broken all the same. With `changed_since`, an aware moment, only rows whose updated-at is
        not before it come; StoreError when the table has none.
        """

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Write rows, replacing those with the same ids; idempotent and durable on return.

        `is_new` vouches that no row of the batch can be there yet. Payloads are left alone where `batch.payloads` is
        None; so are moments.
        """

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete the rows that have one of `ids`; return how many there were."""

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None = None, exact: bool = False
    ) -> SearchAnswer:
        """Return the `k` nearest rows of each query (q, d) through the store's own index.

        `ef` is how many candidates a graph index keeps while searching, `k` at least; of an inverted-file index, how
        many lists it looks into. `exact` compares every row.
        """

    def build_index(
        self,
        spec: IndexSpec | None = None,
        *,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> IndexInfo | None:
        """Compact the table and build its vector index, once; None where the store searches without one."""

    def now(self) -> datetime:
        """Return the moment on the clock that the store's updated-at is written by, where it has one; aware, UTC."""

    def close(self) -> None:
        """Let go of connections and files; the store may be used again afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
