"""Files as a store: npy files that Dimshift writes, and npy and Parquet files that it reads.

A written ``vectors.npy`` has ``vectors.npy.rows`` beside it, an SQLite file that says which row holds which id, with
the payloads. When the index is built, the file is made dense and ``vectors.jsonl`` is written, a line a row with
``_id`` and the payload, as `engine.embeddings.load` and others read it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from engine.errors import StoreError
from engine.migration.stores import checks
from engine.migration.stores.brute_search import search_blocks
from engine.migration.stores.failures import disk_reported, existing_table, missing_table, no_moments
from engine.migration.stores.protocol import Batch, IndexSpec, SearchAnswer, StoreInfo, Written
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.npy_rows import NpyRows
    from engine.migration.stores.protocol import Dtype, IndexInfo, TableSpec
    from engine.migration.stores.urls import StoreUrl

SUFFIXES = (".npy", ".parquet")


class FileRows(Protocol):
    """The rows of a file, whatever its format."""

    dim: int | None
    dim_is_declared: bool
    dtype: Dtype
    id_kind: IdKind
    has_payload: bool
    has_updated_at: bool
    payload_columns: tuple[str, ...]
    left_out: tuple[str, ...]

    def count(self) -> int:
        """Count the rows."""

    def ids(self, *, after: Id | None, batch_size: int) -> Iterator[tuple[Id, ...]]:
        """Yield ids in canonical order."""

    def fetch(self, ids: Sequence[Id], *, dim: int | None, with_payload: bool) -> Batch:
        """Return the rows that are there, in any order."""

    def scan(
        self, *, after: str | None, batch_size: int, dim: int | None, with_payload: bool, since: datetime | None
    ) -> Iterator[Batch]:
        """Yield rows with cursors."""

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Yield row numbers and vectors of all rows, a block at a time; rows without a usable vector are left out."""

    def ids_at(self, rows: npt.NDArray[np.int64]) -> list[Id]:
        """Return the ids of row numbers."""

    def close(self) -> None:
        """Close what is open."""


class FileStore:
    """One file of vectors.

    Files that Dimshift did not write are only read, in the order of their rows; their ids are the row numbers, the ids
    of ``name.jsonl`` beside an npy file, or a column of Parquet. Searching compares every row: there is no index.
    """

    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._path = url.path or Path()
        self._known: FileRows | None = None
        if self._path.suffix.lower() not in SUFFIXES:
            raise StoreError(
                "a file store must be an .npy or a .parquet file",
                found=self._path.name,
                hint="Load other formats with dimshift inspect, or save the vectors as .npy",
            )

    @property
    def url(self) -> str:
        """The store's URL."""
        return str(self._url)

    def describe(self) -> StoreInfo:
        """Look into the file."""
        self.close()
        rows, own = self._rows(), self._own()
        with disk_reported(self._path.name):
            n_bytes = self._path.stat().st_size
        return StoreInfo(
            kind="files",
            url=self.url,
            table=self._path.name,
            server=f"NumPy {np.__version__}" if self._is_npy else "Parquet",
            dim=rows.dim,
            dim_is_declared=rows.dim_is_declared,
            dtype=rows.dtype,
            metric=own.metric if own else None,
            index=None,
            id_kind=rows.id_kind,
            ids_are_unique=self._is_npy,
            n_rows=rows.count(),
            n_bytes=n_bytes,
            has_payload=rows.has_payload,
            has_updated_at=rows.has_updated_at,
            payload_columns=rows.payload_columns,
            left_out=rows.left_out,
            writable=own is not None and os.access(self._path, os.W_OK),
            mark=own.mark if own else None,
        )

    def exists(self) -> bool:
        """Tell whether the file is there."""
        return self._path.is_file()

    def count(self) -> int:
        """Count the rows."""
        return self._rows().count()

    def create(self, spec: TableSpec) -> None:
        """Create an npy file without rows, and its row table."""
        from engine.migration.stores.npy_rows import create_rows

        self.close()
        if not self._is_npy:
            raise StoreError("only .npy files can be written", found=self._path.name, hint="Name the target x.npy")
        for file in (self._path, self._path.with_suffix(".jsonl")):
            if file.exists():
                raise existing_table("file", file.name)
        with disk_reported(str(self._path)):
            self._path.parent.mkdir(parents=True, exist_ok=True)
        create_rows(self._path, spec)

    def drop(self) -> None:
        """Remove the file, and what Dimshift wrote beside it."""
        from engine.migration.stores.npy_rows import files_beside, is_own

        self.close()
        beside = files_beside(self._path) if self._is_npy and is_own(self._path) else ()
        with disk_reported(self._path.name):
            for file in (self._path, *beside):
                file.unlink(missing_ok=True)

    def set_mark(self, mark: str | None) -> None:
        """Keep the mark in the row table."""
        self._written().set_mark(mark)

    def ids(self, *, after: Id | None = None, batch_size: int = 65_536) -> Iterator[tuple[Id, ...]]:
        """Yield all ids in canonical order; those of files that others wrote are sorted on disk first."""
        checks.check_batch_size(batch_size)
        yield from self._rows().ids(after=after, batch_size=batch_size)

    def fetch(self, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True) -> Batch:
        """Return the rows that have one of `ids`, in the order asked."""
        rows = self._rows()
        checks.check_prefix(dim, rows.dim)
        wanted = list(dict.fromkeys(ids))
        return checks.in_asked_order(rows.fetch(wanted, dim=dim, with_payload=with_payload), wanted)

    def scan(
        self,
        *,
        after: str | None = None,
        batch_size: int = 2048,
        dim: int | None = None,
        with_payload: bool = True,
        changed_since: datetime | None = None,
    ) -> Iterator[Batch]:
        """Yield all rows: of files that Dimshift wrote in canonical order, of others in the order of their rows."""
        checks.check_batch_size(batch_size)
        rows = self._rows()
        checks.check_prefix(dim, rows.dim)
        if changed_since is not None and not rows.has_updated_at:
            raise no_moments()
        yield from rows.scan(
            after=after, batch_size=batch_size, dim=dim, with_payload=with_payload, since=changed_since
        )

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Write rows; their row table switches to them at once."""
        rows = self._written()
        reasons = checks.rejections(batch, dim=rows.dim, dtype=rows.dtype, id_kind=rows.id_kind)
        rest = checks.without(batch, reasons)
        if len(rest):
            if not is_new and (batch.payloads is None or batch.updated_at is None):
                rest = checks.completed(rest, rows.fetch(rest.ids, dim=None, with_payload=True))
            rows.write(rest)
        return Written(n_written=len(rest), rejected=checks.rejected_rows(batch, reasons))

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete the rows that have one of `ids`; their space is used again."""
        return self._written().delete(ids)

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None = None, exact: bool = False
    ) -> SearchAnswer:
        """Compare every row with every query, block by block."""
        del ef, exact
        rows, own = self._rows(), self._own()
        queries = checks.check_queries(queries, k, rows.dim)
        metric: Metric = (own.metric if own else None) or "cosine"
        nearest, scores, latency_ms = search_blocks(rows.blocks(), queries, k, metric=metric)
        names = dict(zip(nearest[nearest >= 0].tolist(), rows.ids_at(nearest[nearest >= 0]), strict=True))
        found = tuple(tuple(names[row] for row in one.tolist() if row >= 0) for one in nearest)
        return SearchAnswer(ids=found, scores=scores, latency_ms=latency_ms)

    def build_index(
        self,
        spec: IndexSpec | None = None,
        *,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> IndexInfo | None:
        """Make the file dense and write ids and payloads beside it; there is no index to build."""
        del spec
        own = self._own()
        if own is not None:
            own.finish(progress=progress, cancelled=cancelled)
        return None

    def now(self) -> datetime:
        """Return this machine's clock."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Close what is open."""
        rows, self._known = self._known, None
        if rows is not None:
            rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _is_npy(self) -> bool:
        return self._path.suffix.lower() == ".npy"

    def _rows(self) -> FileRows:
        if self._known is None:
            if not self._path.is_file():
                there = sorted(one.name for one in self._path.parent.glob("*") if one.suffix.lower() in SUFFIXES)
                raise missing_table("file", self._path.name, there=there)
            self._known = self._opened()
        return self._known

    def _opened(self) -> FileRows:
        if not self._is_npy:
            from engine.migration.stores.parquet_rows import ParquetRows

            return ParquetRows(self._path, self._url)
        from engine.migration.stores.npy_rows import NpyRows

        return NpyRows(self._path, self._url)

    def _own(self) -> NpyRows | None:
        """Return the rows when Dimshift wrote the file."""
        from engine.migration.stores.npy_rows import NpyRows

        rows = self._rows()
        return rows if isinstance(rows, NpyRows) and rows.is_own else None

    def _written(self) -> NpyRows:
        own = self._own()
        if own is None:
            raise StoreError(
                "only files that Dimshift wrote can be written to", found=self._path.name, hint="Name a new .npy file"
            )
        return own
